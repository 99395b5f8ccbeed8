//! The process's memory against its limit: while it is above, new connections are refused, so that
//! a node that runs short degrades for newcomers instead of being killed for all.

use node_session::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Resident memory in bytes, as the kernel counts it.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Looks every second from now on, on the current runtime.
pub fn watch(limit_mb: Option<u64>, shared: Arc<Shared>) {
    let Some(limit_mb) = limit_mb else { return };
    tokio::spawn(async move {
        let mut over = false;
        loop {
            let now_over = resident_bytes().is_some_and(|bytes| bytes / 1024 / 1024 > limit_mb);
            if now_over != over {
                tracing::warn!(limit_mb, over = now_over, "memory limit");
                over = now_over;
            }
            shared.set_memory_short(now_over);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_uses_memory() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 100 * 1024));
    }
}

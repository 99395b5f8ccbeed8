//! The process's memory against its limit: while it is above, new connections are refused, so that
//! a node that runs short degrades for newcomers instead of being killed for all.

use node_session::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics::{self, Gauge};

static LIMIT: Gauge = Gauge::new("ddm_memory_limit_bytes", "The memory of the node's class.");
static RESIDENT: Gauge = Gauge::new("ddm_memory_resident_bytes", "Memory that the node uses.");

const LOOK_EVERY: Duration = Duration::from_secs(1);

const MEGABYTE: u64 = 1024 * 1024;

/// Resident memory in bytes, as the kernel counts it.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Looks every second from now on, on the current runtime.
pub fn watch(limit_mb: Option<u64>, shared: Arc<Shared>) {
    let Some(limit_mb) = limit_mb else { return };
    metrics::register(&[&LIMIT, &RESIDENT]);
    let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    LIMIT.set(gauge(limit_mb.saturating_mul(MEGABYTE)));
    tokio::spawn(async move {
        let mut over = false;
        loop {
            let bytes = resident_bytes().unwrap_or(0);
            RESIDENT.set(gauge(bytes));
            let now_over = bytes / MEGABYTE > limit_mb;
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

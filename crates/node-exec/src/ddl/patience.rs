//! Runs a change of a definition on one physical table. A server itself holds metadata locks for
//! moments (InnoDB's purge does, and who reads information_schema). A statement that is not to wait
//! meets them as many times more often as it has physical tables, so one that could not have a lock
//! is tried again before that is told.

use super::precheck::LOCK_WAIT_TIMEOUT;
use mysql_wire::packet::OkPacket;
use node_backend::error::BackendError;
use node_backend::pool::Lease;
use std::time::{Duration, Instant};

/// A lock that is held for less is nobody's transaction.
pub const MOMENT: Duration = Duration::from_millis(500);

/// Until the next try.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Runs a text; a numbered one has its settings before it.
pub async fn execute(
    lease: &mut Lease,
    text: &[u8],
    is_numbered: bool,
) -> Result<OkPacket, BackendError> {
    let text = match text.iter().position(|byte| *byte == b';').filter(|_| is_numbered) {
        Some(end) => {
            lease.mark_dirty();
            lease.execute_sql(&text[..end]).await?;
            &text[end + 1..]
        }
        None => text,
    };
    let begun = Instant::now();
    loop {
        match lease.execute_sql(text).await {
            Err(BackendError::Server(error))
                if error.number == LOCK_WAIT_TIMEOUT && begun.elapsed() < MOMENT =>
            {
                tokio::time::sleep(TRY_AGAIN).await;
            }
            done => return done,
        }
    }
}

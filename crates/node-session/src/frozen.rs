//! Tables whose placement is just being changed. For the moment of the change new statements on them
//! wait for the new definition; transactions that are open go on, for the change waits for them. A
//! statement that was planned before and came after finds its physical tables gone: it is planned
//! again.

use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use sql_plan::plan::Access;
use std::time::{Duration, Instant};

/// How long a statement waits. The change gives up its locks much earlier.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How often the definitions are looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Until a change of a definition is tried again that another one was ahead of.
const BEGIN_AGAIN: Duration = Duration::from_millis(50);

/// A data node's error for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

impl Core {
    /// Waits until none of these tables is frozen.
    pub async fn wait_while_frozen(&mut self, access: &[Access]) -> Result<(), ExecError> {
        let is_frozen =
            |core: &Core| access.iter().any(|access| sql_plan::is_frozen(&core.snapshot, access));
        if self.exec.transaction.is_some() || !is_frozen(self) {
            return Ok(());
        }
        let until = Instant::now() + WAIT_MAX;
        while is_frozen(self) {
            if Instant::now() > until {
                return Err(sql(
                    sql_error::DDL_CONFLICT,
                    "a table of the statement is getting another placement, which does not come to an end; try again",
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            self.follow_snapshot();
        }
        Ok(())
    }

    /// Whether a statement that could not begin, for another one changes what it changes, is to be
    /// planned anew; after a moment.
    pub async fn comes_again(&mut self, since: Instant) -> bool {
        let Some(patience) = self.exec.outrun.take() else { return false };
        if since.elapsed() >= patience {
            return false;
        }
        tokio::time::sleep(BEGIN_AGAIN).await;
        self.follow_snapshot();
        true
    }

    /// What to do with a statement that failed after it was planned by the definitions of `version`:
    /// `None` to plan it again and run it once more, or the error for the client.
    pub fn outdated(&mut self, error: ExecError, version: u64) -> Option<ExecError> {
        let ExecError::Server(packet) = &error else { return Some(error) };
        if packet.number != NO_SUCH_TABLE {
            return Some(error);
        }
        self.follow_snapshot();
        if self.snapshot.version == version {
            return Some(error);
        }
        self.exec.transaction.as_ref()?;
        Some(ExecError::Server(ErrPacket::new(
            1412,
            "HY000",
            "Table definition has changed, please retry transaction",
        )))
    }
}

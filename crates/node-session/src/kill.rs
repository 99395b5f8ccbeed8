//! KILL: a session ends its own account's sessions, the administrator anybody's.

use crate::processes::Kill;
use crate::session::Core;
use base::sql_error;
use node_exec::error::{ExecError, sql};

impl Core {
    /// Ends a session or its statement.
    pub fn kill(&mut self, id: u64, what: Kill) -> Result<(), ExecError> {
        let unknown = || sql(sql_error::NO_SUCH_THREAD, format!("Unknown thread id: {id}"));
        let target = u32::try_from(id)
            .ok()
            .and_then(|id| self.worker.shared.processes.get(id))
            .ok_or_else(unknown)?;
        let own = target.info().user == self.user;
        if !own && !self.account()?.administrator {
            return Err(ExecError::Server(mysql_wire::packet::ErrPacket::new(
                1095,
                "HY000",
                format!("You are not owner of thread {id}"),
            )));
        }
        target.kill(what);
        Ok(())
    }
}

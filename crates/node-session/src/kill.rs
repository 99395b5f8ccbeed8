//! KILL: a session ends its own account's sessions, the administrator anybody's, on whichever node of
//! the instance they are.

use crate::peers::Heard;
use crate::processes::Kill;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use topology::peers::{PeerAnswer, PeerAsk};

impl Core {
    /// Ends a session or its statement.
    pub async fn kill(&mut self, id: u64, what: Kill) -> Result<(), ExecError> {
        let unknown = || format!("Unknown thread id: {id}");
        let Ok(connection_id) = u32::try_from(id) else {
            return Err(sql(sql_error::NO_SUCH_THREAD, unknown()));
        };
        if connection_id == self.handle.id {
            return Err(self.kill_itself(what));
        }
        let user = (!self.account()?.administrator).then(|| self.user.clone());
        let ask = PeerAsk::Kill { connection_id, statement_only: what == Kill::Query, user };
        let mut heard = match self.worker.shared.answer_peer(&ask) {
            PeerAnswer::Killed { count: 0 } => self.ask_peers(ask).await,
            own => Heard { answers: vec![own], missing: None },
        };
        heard.answers.retain(|answer| *answer != PeerAnswer::Killed { count: 0 });
        match (heard.answers.first(), heard.missing) {
            (Some(PeerAnswer::Killed { .. }), _) => Ok(()),
            (Some(_), _) => Err(ExecError::Server(ErrPacket::new(
                1095,
                "HY000",
                format!("You are not owner of thread {id}"),
            ))),
            (None, None) => Err(sql(sql_error::NO_SUCH_THREAD, unknown())),
            (None, Some(missing)) => {
                Err(sql(sql_error::NO_SUCH_THREAD, format!("{} here, and {missing}", unknown())))
            }
        }
    }

    /// Whoever kills his own session or statement is told so by an error, as on a server.
    fn kill_itself(&mut self, what: Kill) -> ExecError {
        if what == Kill::Query {
            return sql(sql_error::QUERY_INTERRUPTED, "Query execution was interrupted");
        }
        self.ending = true;
        let packet = match self.lex.mariadb {
            true => ErrPacket::new(1927, "70100", "Connection was killed"),
            false => ErrPacket::new(1317, "70100", "Query execution was interrupted"),
        };
        ExecError::Server(packet)
    }

    /// Ends all sessions of an account but this one; how many. Nodes that do not answer are an error.
    pub async fn kill_sessions_of(&mut self, user: String) -> Result<u64, ExecError> {
        let own = &self.worker.shared.processes;
        let mut killed = own.kill_all_of(&user, Some(self.handle.id));
        let heard = self.ask_peers(PeerAsk::KillUser { user }).await;
        for answer in heard.answers {
            if let PeerAnswer::Killed { count } = answer {
                killed += count;
            }
        }
        match heard.missing {
            None => Ok(killed),
            Some(missing) => Err(sql(
                sql_error::CONTROL_PLANE_AWAY,
                format!("{killed} sessions are told to end, but {missing}"),
            )),
        }
    }
}

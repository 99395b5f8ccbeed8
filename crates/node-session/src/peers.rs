//! Sessions of all nodes of the instance: what a node tells the others of its own, and how a session
//! asks them. Without the control plane a node knows its own sessions alone, and says so.

use crate::processes::Kill;
use crate::session::Core;
use crate::shared::Shared;
use node_exec::ask::AskError;
use node_exec::error::ExecError;
use std::time::Duration;
use topology::peers::{PEER_TIMEOUT_MS, PeerAnswer, PeerAsk, SESSIONS_MAX, SessionRow};
use topology::stream::{Answer, Ask};

/// The control plane, which itself waits for the other nodes, has so long to answer.
const PEERS_TIMEOUT: Duration = Duration::from_millis(2 * PEER_TIMEOUT_MS);

/// What the other nodes said.
#[derive(Debug, Default)]
pub struct Heard {
    /// Their answers.
    pub answers: Vec<PeerAnswer>,
    /// What is missing in them, as a warning says it.
    pub missing: Option<String>,
}

impl Shared {
    /// Answers another node, or a session of this one.
    pub fn answer_peer(&self, ask: &PeerAsk) -> PeerAnswer {
        match ask {
            PeerAsk::Sessions { user } => {
                let all = self.processes.all();
                let rows = all.iter().map(|session| session.row());
                let seen = rows.filter(|row| user.as_ref().is_none_or(|user| *user == row.user));
                PeerAnswer::Sessions { sessions: seen.take(SESSIONS_MAX).collect() }
            }
            PeerAsk::Kill { connection_id, statement_only, user } => {
                let Some(session) = self.processes.get(*connection_id) else {
                    return PeerAnswer::Killed { count: 0 };
                };
                if user.as_ref().is_some_and(|user| *user != session.info().user) {
                    return PeerAnswer::NotOwner;
                }
                session.kill(if *statement_only { Kill::Query } else { Kill::Connection });
                PeerAnswer::Killed { count: 1 }
            }
            PeerAsk::KillUser { user } => {
                PeerAnswer::Killed { count: self.processes.kill_all_of(user, None) }
            }
            PeerAsk::Presence => PeerAnswer::Present,
            PeerAsk::Status => PeerAnswer::Status { counts: self.status_counts() },
            PeerAsk::Owners { connections } => {
                PeerAnswer::Owners { transactions: self.spread.owners(connections) }
            }
        }
    }

    /// Asks all other nodes of the instance.
    pub async fn ask_peers(&self, ask: PeerAsk) -> Heard {
        if self.snapshot().is_none_or(|snapshot| snapshot.node_numbers.len() < 2) {
            return Heard::default();
        }
        let asked = self.control.ask(Ask::Peers { ask });
        let asked = tokio::time::timeout(PEERS_TIMEOUT, asked).await;
        match asked.unwrap_or(Err(AskError::Lost)) {
            Ok(Answer::Peers { answers, silent }) => {
                let missing = (!silent.is_empty())
                    .then(|| format!("these nodes did not answer: {}", silent.join(", ")));
                Heard { answers, missing }
            }
            Ok(Answer::Refused { message, .. }) => {
                Heard { answers: Vec::new(), missing: Some(message) }
            }
            Ok(_) | Err(_) => {
                let missing = "the control plane does not answer, so other nodes cannot be asked";
                Heard { answers: Vec::new(), missing: Some(missing.to_owned()) }
            }
        }
    }
}

impl Core {
    /// Asks all other nodes of the instance.
    pub async fn ask_peers(&self, ask: PeerAsk) -> Heard {
        self.worker.shared.ask_peers(ask).await
    }

    /// The sessions of all nodes that this account may see, by id, and what is missing.
    pub async fn all_sessions(&self) -> Result<(Vec<SessionRow>, Option<String>), ExecError> {
        let user = (!self.account()?.administrator).then(|| self.user.clone());
        let ask = PeerAsk::Sessions { user };
        let own = self.worker.shared.answer_peer(&ask);
        let Heard { answers, missing } = self.ask_peers(ask).await;
        let mut rows = Vec::new();
        for answer in std::iter::once(own).chain(answers) {
            if let PeerAnswer::Sessions { sessions } = answer {
                rows.extend(sessions);
            }
        }
        rows.sort_by_key(|row| row.id);
        Ok((rows, missing))
    }
}

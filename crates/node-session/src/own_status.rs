//! SHOW STATUS with our own values where they are ours: clients' connections, what they asked, since
//! when the node runs, how the connection is encrypted and compressed. What can be added up is the
//! instance's, the sum over its nodes; the rest is a data node's.

use crate::compression::Method;
use crate::counts::counted_names;
use crate::peers::Heard;
use crate::session::Core;
use crate::shared::{LOGINS_FAILED, Shared};
use crate::slow_log::SLOW_QUERIES;
use base::sql_error;
use node_exec::exec::Warning;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use topology::peers::{PeerAnswer, PeerAsk};

/// What a node counts besides statements and bytes, of all its sessions.
const SUMMED: [&str; 6] = [
    "threads_connected",
    "threads_running",
    "connections",
    "aborted_connects",
    "prepared_stmt_count",
    "slow_queries",
];

/// What the other nodes count, by names in lower case.
#[derive(Debug, Default)]
pub struct OthersStatus {
    counts: BTreeMap<String, u64>,
    /// Which nodes' counts are missing, as a warning says it.
    pub missing: Option<String>,
}

impl Shared {
    /// What this node counts, without what is 0.
    pub fn status_counts(&self) -> BTreeMap<String, u64> {
        let names = SUMMED.into_iter().map(str::to_owned).chain(counted_names());
        let counted = names.filter_map(|name| self.summed(&name).map(|count| (name, count)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// The node's share of a value that is the instance's sum, named in lower case.
    fn summed(&self, name: &str) -> Option<u64> {
        let sessions = || self.processes.all().into_iter();
        Some(match name {
            "threads_connected" => self.processes.len() as u64,
            "threads_running" => sessions().filter(|one| one.running_since().0).count() as u64,
            "connections" => u64::from(self.processes.entered()),
            "aborted_connects" => LOGINS_FAILED.get(),
            "prepared_stmt_count" => {
                sessions().map(|one| one.prepared.load(Ordering::Relaxed)).sum()
            }
            "slow_queries" => SLOW_QUERIES.get(),
            _ => return self.node_count(name),
        })
    }
}

impl Core {
    /// What the other nodes count, if one of these values is the instance's sum.
    pub async fn others_status<'n>(
        &self,
        mut names: impl Iterator<Item = &'n str>,
        global: bool,
    ) -> OthersStatus {
        let shared = &self.worker.shared;
        let is_sum = |name: &str| {
            let name = name.to_ascii_lowercase();
            self.of_session(&name, global).is_none() && shared.summed(&name).is_some()
        };
        if !names.any(is_sum) {
            return OthersStatus::default();
        }
        let Heard { answers, missing } = self.ask_peers(PeerAsk::Status).await;
        let mut all = OthersStatus { missing, ..OthersStatus::default() };
        for answer in answers {
            let PeerAnswer::Status { counts } = answer else { continue };
            for (name, count) in counts {
                *all.counts.entry(name).or_default() += count;
            }
        }
        all
    }

    /// The session's own count, where that is asked for; none without one.
    fn of_session(&self, name: &str, global: bool) -> Option<u64> {
        (!global).then(|| self.session_count(name)).flatten()
    }

    /// The instance's, the node's or the session's value of a status variable, if it is one of theirs.
    pub fn own_status(&self, name: &str, global: bool, others: &OthersStatus) -> Option<String> {
        let shared = &self.worker.shared;
        let of_encryption = |shown: fn(&crate::encryption::Encryption) -> &str| {
            self.encryption.as_ref().map_or("", |encryption| shown(encryption)).to_owned()
        };
        let name = name.to_ascii_lowercase();
        if let Some(count) = self.of_session(&name, global) {
            return Some(count.to_string());
        }
        let is_sessions_own = name == "slow_queries" && !global;
        if let Some(count) = shared.summed(&name).filter(|_| !is_sessions_own) {
            let others = others.counts.get(&name).copied().unwrap_or(0);
            return Some(count.wrapping_add(others).to_string());
        }
        Some(match name.as_str() {
            // The limit that it is compared with is a node's, too.
            "max_used_connections" => shared.processes.most().to_string(),
            "uptime" => shared.started.elapsed().as_secs().to_string(),
            "uptime_since_flush_status" => shared.seconds_since_flush().to_string(),
            "compression" => match Method::agreed(self.capabilities, None) {
                Some(_) => "ON".to_owned(),
                None => "OFF".to_owned(),
            },
            "ssl_cipher" => of_encryption(|encryption| &encryption.cipher),
            "ssl_version" => of_encryption(|encryption| encryption.version),
            _ => return None,
        })
    }

    /// Says that the counts of some nodes are missing.
    pub(crate) fn warn_of_missing_counts(&mut self, missing: String) {
        self.exec.last.warnings.push(Warning {
            level: "Warning".to_owned(),
            code: sql_error::CONTROL_PLANE_AWAY.number,
            message: format!("counts of other nodes are missing: {missing}").into_bytes(),
        });
    }
}

//! SHOW STATUS with the node's own values where they are the node's: clients' connections, what they
//! asked, since when it runs, how the connection is encrypted and compressed. The rest is a data node's.

use crate::compression::Method;
use crate::session::Core;
use crate::shared::LOGINS_FAILED;
use crate::slow_log::SLOW_QUERIES;
use std::sync::atomic::Ordering;

impl Core {
    /// The node's or the session's value of a status variable, if it is one of theirs.
    pub fn own_status(&self, name: &str, global: bool) -> Option<String> {
        let shared = &self.worker.shared;
        let processes = &shared.processes;
        let of_encryption = |shown: fn(&crate::encryption::Encryption) -> &str| {
            self.encryption.as_ref().map_or("", |encryption| shown(encryption)).to_owned()
        };
        let name = name.to_ascii_lowercase();
        if let Some(count) = self.counted_status(&name, global) {
            return Some(count.to_string());
        }
        Some(match name.as_str() {
            "threads_connected" => processes.len().to_string(),
            "threads_running" => {
                let all = processes.all();
                all.iter().filter(|one| one.running_since().0).count().to_string()
            }
            "connections" => processes.entered().to_string(),
            "max_used_connections" => processes.most().to_string(),
            "aborted_connects" => LOGINS_FAILED.get().to_string(),
            "prepared_stmt_count" => {
                let all = processes.all();
                let prepared = all.iter().map(|one| one.prepared.load(Ordering::Relaxed));
                prepared.sum::<u64>().to_string()
            }
            "slow_queries" if global => SLOW_QUERIES.get().to_string(),
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
}

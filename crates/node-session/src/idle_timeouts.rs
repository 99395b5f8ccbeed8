//! wait_timeout and interactive_timeout of a session: the client's connection is ours, so they are
//! neither replayed on data nodes' connections nor theirs to end.

use crate::session::Core;
use node_exec::exec::IdleTimeouts;
use sql_plan::template::IdleTimeout;
use std::sync::atomic::Ordering;

/// What a server takes as it is; it has something to say of other values.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=31_536_000;

/// The variable of this name.
pub fn of_name(name: &str) -> Option<IdleTimeout> {
    match name {
        "wait_timeout" => Some(IdleTimeout::Wait),
        "interactive_timeout" => Some(IdleTimeout::Interactive),
        _ => None,
    }
}

/// A plain number that no server has to be asked about.
pub fn plain(value: &[u8]) -> Option<u32> {
    let number = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    SECONDS.contains(&number).then_some(number)
}

impl Core {
    /// From now on these are in force.
    pub fn set_idle_timeouts(&mut self, timeouts: IdleTimeouts) {
        let seconds = timeouts.get(IdleTimeout::Wait).map_or(0, u64::from);
        self.handle.idle_seconds.store(seconds, Ordering::Relaxed);
        self.exec.idle_timeouts = timeouts;
    }

    /// The session's value of a variable that is the client's connection's or the instance's.
    pub fn own_variable(&self, name: &str, global: bool) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let session =
            of_name(&name).filter(|_| !global).and_then(|which| self.exec.idle_timeouts.get(which));
        let instance = || {
            let own = sql_plan::variables::own_value(&self.snapshot.parameters, &name);
            own.map(|own| own.0.to_owned())
        };
        let schema = self.exec.identity.schema.as_deref().filter(|_| !global);
        let of_schema = || sql_plan::variables::of_schema(&self.snapshot, schema, &name);
        match name.as_str() {
            "port" => Some(self.exec.identity.port.to_string()),
            "hostname" => Some(self.exec.identity.machine.to_string()),
            "server_id" => Some(self.exec.identity.node_number.to_string()),
            // Places on a data node's machine are of no use to a client.
            "socket" | "datadir" => Some(String::new()),
            _ => session
                .map(|seconds| seconds.to_string())
                .or_else(|| of_schema().map(str::to_owned))
                .or_else(instance),
        }
    }
}

//! A session reads its own writes on replicas too, where `read_own_writes` says so: after a write the
//! first read of a replica asks the primary how far its log is, and waits until the replica has come
//! so far. A replica that does not get there in time is not waited for: the primary is read. A session
//! that has written nothing pays nothing, and one that has waited pays nothing before its next write.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::exec::Exec;
use crate::members::Member;
use base::id::DataNodeId;
use base::sql_error;
use std::collections::BTreeMap;
use std::rc::Rc;
use telemetry::metrics::Counter;

/// Reads that waited for a replica.
pub static OWN_WRITE_WAITS: Counter = Counter::new(
    "ddm_own_write_waits_total",
    "Reads that waited until a replica had their session's writes.",
);
/// Reads for which no replica had the session's writes in time.
pub static OWN_WRITE_MISSES: Counter = Counter::new(
    "ddm_own_write_misses_total",
    "Reads that went to the primary because a replica did not get their session's writes in time.",
);

/// A replica is awaited so many seconds.
const WAIT_SECONDS: u32 = 1;

/// What a session has written, and which replicas have it.
#[derive(Debug, Default)]
pub struct OwnWrites {
    /// How often it has written.
    writes: u64,
    by_node: BTreeMap<DataNodeId, Seen>,
}

/// What is known of one data node after so many writes.
#[derive(Debug)]
struct Seen {
    writes: u64,
    /// How far the primary's log was.
    position: String,
    /// Servers that have come so far.
    reached: Vec<(String, u16)>,
}

impl OwnWrites {
    /// A statement writes. Where it writes is not asked: a commit may end on any data node.
    pub fn note(&mut self) {
        self.writes += 1;
        self.by_node.clear();
    }

    fn has_reached(&self, id: &DataNodeId, place: &(String, u16)) -> bool {
        let known = self.by_node.get(id).filter(|seen| seen.writes == self.writes);
        known.is_some_and(|seen| seen.reached.contains(place))
    }
}

impl Exec<'_> {
    /// The server that this statement reads on a data node: a replica only when it has what the
    /// session has written, if that is asked for.
    pub async fn reader(&mut self, node: &Rc<BackendNode>) -> Result<Rc<Member>, ExecError> {
        let member = self.read_member(node)?;
        let asked = self.settings.reads_own_writes && self.session.own_writes.writes > 0;
        if !asked || !member.is_replica() || self.backends.is_read_only() {
            return Ok(member);
        }
        let (id, place) = (&node.definition.id, member.login().place());
        if self.session.own_writes.has_reached(id, &place)
            || Box::pin(self.wait_for_own_writes(node, &member)).await
        {
            return Ok(member);
        }
        OWN_WRITE_MISSES.increment();
        self.session.reads.read_primary(node);
        Ok(node.primary().clone())
    }

    /// Whether the replica has what the session has written; also false when that cannot be told.
    async fn wait_for_own_writes(&mut self, node: &Rc<BackendNode>, member: &Rc<Member>) -> bool {
        OWN_WRITE_WAITS.increment();
        match self.try_wait(node, member).await {
            Ok(reached) => reached,
            Err(error) => {
                tracing::debug!(%error, data_node = %node.definition.name, "a replica cannot be awaited");
                false
            }
        }
    }

    async fn try_wait(
        &mut self,
        node: &Rc<BackendNode>,
        member: &Rc<Member>,
    ) -> Result<bool, ExecError> {
        let id = &node.definition.id;
        let own = &mut self.session.own_writes;
        let known = own.by_node.get(id).filter(|seen| seen.writes == own.writes);
        let position = match known {
            Some(seen) => seen.position.clone(),
            None => {
                let position = position_of(node).await?;
                let writes = own.writes;
                let seen = Seen { writes, position: position.clone(), reached: Vec::new() };
                own.by_node.insert(id.clone(), seen);
                position
            }
        };
        // A primary without a log tells nothing.
        if position.is_empty() {
            return Ok(false);
        }
        let reached = is_reached(member, &position).await?;
        if let (true, Some(seen)) = (reached, own.by_node.get_mut(id)) {
            seen.reached.push(member.login().place());
        }
        Ok(reached)
    }
}

/// How far the primary's log is.
async fn position_of(node: &BackendNode) -> Result<String, ExecError> {
    let mut lease = node.own_lease_to_read().await?;
    let asked: &[u8] = match lease.is_mariadb() {
        true => b"SELECT @@global.gtid_binlog_pos",
        false => b"SELECT REPLACE(@@global.gtid_executed, '\n', '')",
    };
    let rows = lease.query(asked).await?.into_rows();
    let position = rows.first().and_then(|row| row.text(0)).unwrap_or_default();
    let fits = |one: char| one.is_ascii_alphanumeric() || "-:, ".contains(one);
    if !position.chars().all(fits) {
        return Err(sql(sql_error::UNKNOWN_ERROR, "a position in a log that is none"));
    }
    Ok(position)
}

/// Waits, not for long, until a replica has come so far.
async fn is_reached(member: &Member, position: &str) -> Result<bool, ExecError> {
    let mut lease = member.own_lease().await?;
    let wait = match lease.is_mariadb() {
        true => format!("SELECT MASTER_GTID_WAIT('{position}', {WAIT_SECONDS})"),
        false => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{position}', {WAIT_SECONDS})"),
    };
    let rows = lease.query(wait.as_bytes()).await?.into_rows();
    Ok(rows.first().and_then(|row| row.text(0)).as_deref() == Some("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_makes_what_was_known_old() {
        let (mut own, id) = (OwnWrites::default(), DataNodeId::from_random([1; 16]));
        let place = ("h".to_owned(), 1);
        own.note();
        assert!(!own.has_reached(&id, &place));
        let seen = Seen { writes: 1, position: "0-1-1".into(), reached: vec![place.clone()] };
        own.by_node.insert(id.clone(), seen);
        assert!(own.has_reached(&id, &place) && !own.has_reached(&id, &("h".to_owned(), 2)));
        own.note();
        assert!(!own.has_reached(&id, &place));
    }
}

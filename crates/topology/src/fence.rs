//! Who may use the definitions that he has, when planes do not hear each other. A node serves while
//! the control plane vouches for its version; cut off from it, while it sees on its data nodes that
//! nothing was changed behind its back. Before a change takes place without a node, the control plane
//! leaves a row for this node there, a **fence**, and waits until the node has obeyed or its last
//! assurance has run out. Here are the times and the statements that both sides agree on.

use base::id::{InstanceId, NodeId};
use std::time::Duration;

/// A node serves so long on what it was last assured of, from the moment on at which it asked.
pub const ASSURED_FOR: Duration = Duration::from_secs(6);

/// A node for which the control plane has not vouched for so long asks its data nodes.
pub const LOOK_AFTER: Duration = Duration::from_secs(2);

/// The control plane waits so long after the fence is everywhere: clocks that run at different speeds,
/// and a statement that was let through at the last moment.
pub const FENCED_AFTER: Duration = Duration::from_secs(7);

/// Where fences are.
const TABLE: &str = "`_ddm`.`fences`";

/// No such table, no such database: no fence was ever made there.
pub const MISSING: [u16; 2] = [1146, 1049];

/// A node's fence as it finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Later ones have greater numbers.
    pub number: u64,
    /// Whether the node has said that it serves no more.
    pub obeyed: bool,
}

impl Fence {
    /// Reads the columns that [`look`] selects.
    pub fn parse(number: &str, obeyed: &str) -> Option<Self> {
        Some(Self { number: number.parse().ok()?, obeyed: obeyed == "1" })
    }
}

/// Makes the table.
pub fn create() -> [String; 2] {
    [
        "CREATE DATABASE IF NOT EXISTS `_ddm`".to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (\
             instance_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
             node_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
             number BIGINT UNSIGNED NOT NULL, obeyed TINYINT NOT NULL DEFAULT 0, \
             made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
             PRIMARY KEY (instance_id, node_id)) ENGINE=InnoDB"
        ),
    ]
}

/// Fences a node, or fences it anew.
pub fn put(instance: &InstanceId, node: &NodeId, number: u64) -> String {
    format!(
        "INSERT INTO {TABLE} (instance_id, node_id, number) VALUES ('{instance}', '{node}', {number}) \
         ON DUPLICATE KEY UPDATE number = VALUES(number), obeyed = 0"
    )
}

/// Asks for a node's fence.
pub fn look(instance: &InstanceId, node: &NodeId) -> String {
    format!("SELECT number, obeyed FROM {TABLE} WHERE {}", of(instance, node))
}

/// The node serves no more; for the fence that it has seen, not for a later one.
pub fn obey(instance: &InstanceId, node: &NodeId, number: u64) -> String {
    format!("UPDATE {TABLE} SET obeyed = 1 WHERE {} AND number = {number}", of(instance, node))
}

/// The node has the definitions again.
pub fn lift(instance: &InstanceId, node: &NodeId) -> String {
    format!("DELETE FROM {TABLE} WHERE {}", of(instance, node))
}

fn of(instance: &InstanceId, node: &NodeId) -> String {
    format!("instance_id = '{instance}' AND node_id = '{node}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_fit_together() {
        // A look that is late by one round is followed by another before the assurance runs out.
        assert!(LOOK_AFTER * 2 < ASSURED_FOR);
        assert!(ASSURED_FOR < FENCED_AFTER);
    }

    #[test]
    fn a_fence_comes_back() {
        assert_eq!(Fence::parse("7", "1"), Some(Fence { number: 7, obeyed: true }));
        assert_eq!(Fence::parse("7", "0"), Some(Fence { number: 7, obeyed: false }));
        assert_eq!(Fence::parse("", "0"), None);
    }
}

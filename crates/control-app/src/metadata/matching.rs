//! Which data node takes the place of which, when metadata are restored on data nodes that were
//! themselves restored: decided by the physical databases that each holds, never by its place in a
//! list. A wrong match would serve wrong rows, so what is not certain is refused.

use base::id::DataNodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Why the data nodes cannot take each other's places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// No given data node has all databases of an old one.
    #[error("{database} is on none of the data nodes")]
    Missing {
        /// One of the databases.
        database: String,
    },
    /// More than one could take an old one's place.
    #[error("{database} is on several of the data nodes; name only one that has it")]
    Ambiguous {
        /// One of the databases.
        database: String,
    },
}

/// Old data node → new data node. `wanted` are the databases that each old one held, `held` those
/// that each given one holds. An old one that is given again keeps its place if it holds them.
pub fn match_data_nodes(
    wanted: &BTreeMap<DataNodeId, BTreeSet<String>>,
    held: &BTreeMap<DataNodeId, BTreeSet<String>>,
) -> Result<BTreeMap<DataNodeId, DataNodeId>, MatchError> {
    let fits = |old: &DataNodeId, new: &DataNodeId| {
        held.get(new).is_some_and(|databases| wanted[old].is_subset(databases))
    };
    let mut matched: BTreeMap<DataNodeId, DataNodeId> =
        wanted.keys().filter(|old| fits(old, old)).map(|old| (old.clone(), old.clone())).collect();
    loop {
        let taken: BTreeSet<DataNodeId> = matched.values().cloned().collect();
        let mut open = None;
        let mut certain = None;
        for (old, databases) in wanted.iter().filter(|(old, _)| !matched.contains_key(*old)) {
            let mut free =
                held.keys().filter(|new| !taken.contains(*new)).filter(|new| fits(old, new));
            match (free.next(), free.next()) {
                (None, _) => return Err(MatchError::Missing { database: absent(databases, held) }),
                (Some(new), None) => certain = Some((old.clone(), new.clone())),
                (Some(_), Some(_)) => open = databases.iter().next().cloned().or(open),
            }
        }
        match (certain, open) {
            (Some((old, new)), _) => {
                matched.insert(old, new);
            }
            (None, Some(database)) => return Err(MatchError::Ambiguous { database }),
            (None, None) => return Ok(matched),
        }
    }
}

/// A database that is nowhere, or else any: its data node holds only some of what must be together.
fn absent(databases: &BTreeSet<String>, held: &BTreeMap<DataNodeId, BTreeSet<String>>) -> String {
    let nowhere = |database: &&String| held.values().all(|there| !there.contains(*database));
    databases.iter().find(nowhere).or_else(|| databases.first()).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nodes(list: &[(u8, &[&str])]) -> BTreeMap<DataNodeId, BTreeSet<String>> {
        let id = |number: u8| DataNodeId::from_random([number; 16]);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        list.iter().map(|(number, names)| (id(*number), set(names))).collect()
    }

    fn matched(
        wanted: &[(u8, &[&str])],
        held: &[(u8, &[&str])],
    ) -> Result<Vec<(u8, u8)>, MatchError> {
        let number = |id: &DataNodeId| u8::from_str_radix(&id.as_str()[..2], 16).unwrap();
        let pairs = match_data_nodes(&nodes(wanted), &nodes(held))?;
        Ok(pairs.iter().map(|(old, new)| (number(old), number(new))).collect())
    }

    #[test]
    fn databases_decide() {
        let wanted: &[(u8, &[&str])] = &[(1, &["a", "b"]), (2, &["c"])];
        assert_eq!(matched(wanted, wanted).unwrap(), [(1, 1), (2, 2)]);
        // Crosswise, and with more than was asked for.
        let held: &[(u8, &[&str])] = &[(3, &["c", "x"]), (4, &["a", "b"])];
        assert_eq!(matched(wanted, held).unwrap(), [(1, 4), (2, 3)]);
        // The old ones themselves, with their databases exchanged.
        assert_eq!(matched(wanted, &[(1, &["c"]), (2, &["a", "b"])]).unwrap(), [(1, 2), (2, 1)]);
        // One could take both places, the other only one.
        let held: &[(u8, &[&str])] = &[(3, &["a", "b", "c"]), (4, &["c"])];
        assert_eq!(matched(wanted, held).unwrap(), [(1, 3), (2, 4)]);
        assert_eq!(matched(&[], &[]).unwrap(), []);
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        let wanted: &[(u8, &[&str])] = &[(1, &["a", "b"]), (2, &["c"])];
        let missing = |database: &str| Err(MatchError::Missing { database: database.to_owned() });
        assert_eq!(matched(wanted, &[(3, &["a"]), (4, &["c"])]), missing("b"));
        assert_eq!(matched(wanted, &[(3, &["a", "b"])]), missing("c"));
        // All there, but not together.
        assert_eq!(matched(wanted, &[(3, &["a", "c"]), (4, &["b", "c"])]), missing("a"));
        let held: &[(u8, &[&str])] = &[(3, &["a", "b", "c"]), (4, &["a", "b", "c"])];
        let ambiguous = matched(wanted, held).unwrap_err();
        assert!(matches!(ambiguous, MatchError::Ambiguous { .. }), "{ambiguous:?}");
    }
}

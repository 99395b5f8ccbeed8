//! The recycle bin: tables that were dropped while `enable_table_recycle` was on. Such a table is
//! kept beside the schema's tables under a name of the product's own, with its rows, until it is
//! restored, purged, or has been kept for long enough. Both planes derive names and times alike.

use crate::model::{Schema, Table};
use serde::{Deserialize, Serialize};

/// How long a dropped table is kept.
pub const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// So many dropped tables of one name are kept in a schema; the oldest go first.
pub const COPIES_MAX: usize = 10;

/// So many dropped tables are kept in a schema; the oldest go first.
pub const TABLES_MAX: usize = 1_000;

/// What all names in the bin begin with.
const PREFIX: &str = "_ddm_bin";

/// A physical table's name without its number is not longer, so that `_` and five digits fit into 64.
const BASE_CHARS_MAX: usize = 58;

/// What is known of a dropped table besides its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycled {
    /// The name that it had.
    pub name: String,
    /// Tells it from others that had the name.
    pub number: u32,
    /// When it was dropped, UNIX milliseconds; 0 until the control plane has recorded it.
    pub dropped_ms: i64,
}

impl Recycled {
    /// When it is no longer kept, UNIX milliseconds.
    pub fn kept_until_ms(&self) -> i64 {
        self.dropped_ms.saturating_add(KEPT_MS)
    }
}

/// The table as the bin keeps it when it is dropped now.
pub fn dropped(schema: &Schema, table: &Table) -> Table {
    let numbers = schema
        .recycled
        .values()
        .filter_map(|kept| kept.recycled.as_deref())
        .filter(|kept| kept.name.eq_ignore_ascii_case(&table.name))
        .map(|kept| kept.number);
    let number = numbers.max().map_or(1, |last| last.saturating_add(1));
    let recycled = Recycled { name: table.name.clone(), number, dropped_ms: 0 };
    Table {
        name: kept_name(&table.name, number),
        physical_base: None,
        definition_version: table.definition_version + 1,
        recycled: Some(Box::new(recycled)),
        ..table.clone()
    }
}

/// The table as it comes back; none when it is not in the bin.
pub fn restored(kept: &Table) -> Option<Table> {
    let recycled = kept.recycled.as_deref()?;
    Some(Table {
        name: recycled.name.clone(),
        definition_version: kept.definition_version + 1,
        recycled: None,
        ..kept.clone()
    })
}

/// A dropped table by its name in the bin, or the last one that had this name.
pub fn find<'s>(schema: &'s Schema, name: &str) -> Option<&'s Table> {
    if let Some(kept) = schema.recycled.get(&name.to_lowercase()) {
        return Some(kept);
    }
    let had_name = |kept: &&Table| {
        kept.recycled.as_deref().is_some_and(|kept| kept.name.eq_ignore_ascii_case(name))
    };
    let age = |kept: &&Table| {
        kept.recycled.as_deref().map_or((0, 0), |kept| (kept.dropped_ms, kept.number))
    };
    schema.recycled.values().filter(had_name).max_by_key(age)
}

fn kept_name(name: &str, number: u32) -> String {
    let whole = format!("{PREFIX}{number}_{name}");
    if whole.chars().count() <= BASE_CHARS_MAX {
        return whole;
    }
    let kept: String = whole.chars().take(BASE_CHARS_MAX - 9).collect();
    format!("{kept}_{:08x}", crc32fast::hash(name.to_lowercase().as_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Placement, ShardMode};
    use std::collections::BTreeMap;

    fn table(name: &str) -> Table {
        Table {
            name: name.to_owned(),
            placement: Placement::Single,
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            sequence_column: None,
            definition_version: 4,
            physical_base: Some("_ddm3_t".to_owned()),
            frozen: false,
            view: None,
            recycled: None,
        }
    }

    #[test]
    fn copies_are_told_apart_and_the_last_comes_back() {
        let mut schema = Schema {
            name: "s".to_owned(),
            mode: ShardMode::Single,
            ready: true,
            character_set: String::new(),
            collation: String::new(),
            shards: Vec::new(),
            tables: BTreeMap::new(),
            recycled: BTreeMap::new(),
        };
        for dropped_ms in 1..=3 {
            let mut kept = dropped(&schema, &table("T"));
            kept.recycled.as_mut().unwrap().dropped_ms = dropped_ms;
            schema.recycled.insert(kept.name.to_lowercase(), kept);
        }
        assert_eq!(schema.recycled.len(), 3);
        let last = find(&schema, "t").unwrap();
        assert_eq!(
            (last.name.as_str(), last.physical_name(0)),
            ("_ddm_bin3_T", "_ddm_bin3_T".to_owned())
        );
        let back = restored(find(&schema, "_DDM_BIN1_t").unwrap()).unwrap();
        assert_eq!((back.name.as_str(), back.definition_version), ("T", 6));
        assert!(find(&schema, "u").is_none() && restored(&table("T")).is_none());
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let names = ["a", "b"].map(|end| kept_name(&format!("{}{end}", "x".repeat(62)), 12));
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.chars().count() == BASE_CHARS_MAX));
    }
}

//! The names of what exists while a table's placement is changed: the new physical tables, and the
//! log and triggers that catch changes of the old ones. All begin with the reserved prefix, and both
//! planes derive them alike, so that whoever clears up finds them.

use crate::model::Table;

/// A physical table's name without its number is not longer, so that `_` and five digits fit into 64.
const BASE_CHARS_MAX: usize = 58;

/// What the physical tables of a table are called after its next change of placement.
pub fn next_base(table: &Table) -> String {
    let base = format!("_ddm{}_{}", table.definition_version + 1, table.name);
    if base.chars().count() <= BASE_CHARS_MAX {
        return base;
    }
    let kept: String = base.chars().take(BASE_CHARS_MAX - 9).collect();
    format!("{kept}_{:08x}", crc32fast::hash(table.name.to_lowercase().as_bytes()))
}

/// The names of what catches changes of one physical table, in its own database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The table that the triggers write to.
    pub log: String,
    /// The triggers after INSERT, UPDATE, DELETE.
    pub triggers: [String; 3],
}

impl Capture {
    /// Of this physical table.
    pub fn of(physical: &str) -> Self {
        let number = crc32fast::hash(physical.to_lowercase().as_bytes());
        let trigger = |event: &str| format!("_ddm_capture_{event}_{number:08x}");
        Self {
            log: format!("_ddm_capture_{number:08x}"),
            triggers: [trigger("insert"), trigger("update"), trigger("delete")],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::Placement;

    fn table(name: &str) -> Table {
        Table {
            name: name.to_owned(),
            placement: Placement::Single,
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            sequence_column: None,
            definition_version: 4,
            physical_base: None,
            frozen: false,
            recycled: None,
            view: None,
        }
    }

    #[test]
    fn names_are_reserved_short_and_told_apart() {
        assert_eq!(next_base(&table("orders")), "_ddm5_orders");
        let (one, other) = (format!("{}a", "x".repeat(62)), format!("{}b", "x".repeat(62)));
        let (one, other) = (next_base(&table(&one)), next_base(&table(&other)));
        assert_ne!(one, other);
        assert_eq!(one.chars().count(), BASE_CHARS_MAX);
        let capture = Capture::of("orders_3");
        assert!(capture.log.starts_with(crate::rule::RESERVED_TABLE_PREFIX));
        assert_ne!(capture, Capture::of("orders_4"));
        assert!(capture.triggers.iter().all(|name| name.len() <= 64));
    }
}

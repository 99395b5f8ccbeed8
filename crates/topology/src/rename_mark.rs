//! Marks of a RENAME of several tables. A swap leaves no trace of whether it happened, so the
//! statement renames one more table in each shard, empty and the product's own: its name tells.

/// Names of marks begin so; the name of the statement's first table follows.
const BEFORE: &str = "_ddm_rename_";

/// The same once the shard's tables have their new names.
const AFTER: &str = "_ddm_renamed_";

/// A name in a mark is cut to this, so that the whole stays a table's name. Two tables cannot share
/// a mark for longer than one statement: the first table of a statement is locked.
const NAME_CHARS_MAX: usize = 48;

fn cut(table: &str) -> String {
    table.chars().take(NAME_CHARS_MAX).collect()
}

/// The mark before the tables of the shard are renamed, by the statement's first table.
pub fn before(table: &str) -> String {
    format!("{BEFORE}{}", cut(table))
}

/// The mark after.
pub fn after(table: &str) -> String {
    format!("{AFTER}{}", cut(table))
}

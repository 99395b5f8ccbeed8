//! The tables of the random statements: those of the oracle, and some of `random_tables.sql` with
//! composite keys, several collations, duplicates and no key at all.

use super::tree::{Sort, Spelling};

/// A column as the generator sees it.
#[derive(Clone, Debug)]
pub struct Column {
    /// How a statement names it, with its source's alias.
    pub name: String,
    /// Its type.
    pub sort: Sort,
    /// Whether equal values are also spelled alike, so that any may stand for its group.
    pub single: bool,
    /// Whether arithmetic on it cannot overflow or warn.
    pub calm: bool,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// name, type, `s`ingle spelling, `x` for extreme values.
    pub columns: &'static [(&'static str, Sort, &'static str)],
    /// Columns that order its rows totally.
    pub key: &'static [&'static str],
}

const G: Sort = Sort::Text(Spelling::General);

/// Every table.
pub const TABLES: &[Table] = &[
    Table {
        name: "t1",
        columns: &[
            ("id", Sort::Int, "s"),
            ("grp", Sort::Int, "s"),
            ("name", G, "s"),
            ("amount", Sort::Decimal, "s"),
            ("note", G, "s"),
            ("born", Sort::Date, "s"),
            ("at", Sort::Moment, "s"),
            ("ratio", Sort::Double, "s"),
        ],
        key: &["id"],
    },
    Table {
        name: "t2",
        columns: &[
            ("id", Sort::Int, "s"),
            ("t1_id", Sort::Int, "s"),
            ("kind", G, "s"),
            ("score", Sort::Int, "s"),
            ("val", Sort::Decimal, "s"),
        ],
        key: &["id", "t1_id"],
    },
    Table { name: "dim", columns: &[("code", Sort::Int, "s"), ("label", G, "s")], key: &["code"] },
    Table {
        name: "s1",
        columns: &[
            ("id", Sort::Int, "s"),
            ("tag", Sort::Text(Spelling::Binary), "s"),
            ("v", Sort::Int, "s"),
        ],
        key: &["id"],
    },
    Table {
        name: "kinds",
        columns: &[
            ("k", Sort::Int, "s"),
            ("c_tiny", Sort::Int, "s"),
            ("c_date", Sort::Date, "sx"),
            ("c_time", Sort::Time, "sx"),
            ("c_dt", Sort::Moment, "sx"),
            ("c_char", G, ""),
            ("c_enum", G, "s"),
            ("c_set", G, "s"),
            ("c_dec", Sort::Decimal, "sx"),
        ],
        key: &["k"],
    },
    Table {
        name: "g1",
        columns: &[
            ("a", Sort::Int, "s"),
            ("b", Sort::Int, "s"),
            ("c", Sort::Text(Spelling::Unicode), "s"),
            ("d", Sort::Decimal, "s"),
            ("e", Sort::Date, "s"),
            ("f", Sort::Moment, "s"),
            ("g", Sort::Double, "s"),
        ],
        key: &["a", "b"],
    },
    Table {
        name: "g2",
        columns: &[
            ("k", Sort::Int, "s"),
            ("a", Sort::Int, "s"),
            ("word", G, ""),
            ("bin", Sort::Text(Spelling::Binary), "s"),
            ("n", Sort::Int, "s"),
        ],
        key: &["k"],
    },
    Table {
        name: "g3",
        columns: &[("x", Sort::Int, "s"), ("y", G, "s"), ("z", Sort::Date, "s")],
        key: &["x", "y", "z"],
    },
];

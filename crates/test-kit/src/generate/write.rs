//! Statements that write, of all forms, over the tables with a key.

use super::scalar::{Generator, Scope};
use super::schema::{TABLES, Table};
use super::source::named;
use super::tree::{Form, Node, Piece, Sort, Spelling};
use crate::node;

/// Tables that the random writes change.
pub const WRITTEN: &[&str] = &["t1", "t2", "dim", "s1", "g1", "g2", "g3"];

/// Columns that must have a value.
const REQUIRED: &[(&str, &[&str])] = &[
    ("t1", &["id", "grp", "name"]),
    ("t2", &["id", "t1_id", "kind"]),
    ("dim", &["code", "label"]),
    ("s1", &["id"]),
    ("g1", &["a", "b"]),
    ("g2", &["k"]),
    ("g3", &["x", "y", "z"]),
];

impl Generator {
    /// One statement that writes, and the table that it writes.
    pub fn write(&mut self) -> (Node, &'static str) {
        let name = *self.choice.of(WRITTEN);
        let table = *TABLES.iter().find(|table| table.name == name).expect("is listed");
        self.queries = 2;
        let node = match self.choice.below(20) {
            0..=2 => self.insert_values(table),
            3 => self.insert_select(table),
            4..=6 => self.update(table),
            7 => self.update_key(table),
            8 => self.update_join(table),
            9 | 10 => self.delete(table),
            11 => self.delete_join(table),
            12 => self.insert_set(table),
            _ => self.write_more(table),
        };
        (node, name)
    }

    /// Required columns, and some of the others.
    pub(super) fn columns_of(&mut self, table: Table) -> Vec<(&'static str, Sort)> {
        let required =
            REQUIRED.iter().find(|(name, _)| *name == table.name).map_or(&[][..], |r| r.1);
        let mut columns: Vec<(&'static str, Sort)> = Vec::new();
        for (name, sort, _) in table.columns {
            if required.contains(name) || self.choice.chance(40) {
                columns.push((name, *sort));
            }
        }
        columns
    }

    /// A value that fits a column; keys come from a small range, so that they meet others.
    pub(super) fn fitting(&mut self, table: Table, name: &str, sort: Sort) -> Node {
        if table.name == "g3" && self.choice.chance(85) || table.key.contains(&name) {
            return match sort {
                Sort::Int => {
                    let number = self.choice.between(1, 30);
                    let value = Some(mysql_wire::value::Value::Int(number));
                    let value = value.filter(|_| self.choice.chance(40));
                    let pieces = vec![Piece::Literal { text: number.to_string(), value }];
                    Node { sort: Sort::Other, form: Form::Whole, pieces }
                }
                other => self.literal(other).node,
            };
        }
        match (sort, name) {
            (Sort::Text(_), "kind") => {
                node!(sort; format!("'{}'", self.choice.of(&["aaa", "bbb", "zz"])))
            }
            (Sort::Text(_), "name" | "label") => {
                node!(sort; format!("'{}'", self.choice.of(&["new", "Bob", "n n", "", "q"])))
            }
            (_, "grp" | "t1_id" | "code") => {
                node!(Sort::Int; self.choice.between(1, 12).to_string())
            }
            _ => self.literal(sort).node,
        }
    }

    pub(super) fn rows_of(&mut self, table: Table, columns: &[(&'static str, Sort)]) -> Node {
        let count = 1 + self.choice.below(4);
        let rows = (0..count)
            .map(|_| {
                let values =
                    columns.iter().map(|(name, sort)| self.fitting(table, name, *sort)).collect();
                node!(Sort::Other; "(", Node::list(Sort::Other, ", ", columns.len(), values), ")")
            })
            .collect();
        Node::list(Sort::Other, ", ", 1, rows)
    }

    fn insert_values(&mut self, table: Table) -> Node {
        let columns = self.columns_of(table);
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let verb =
            *self.choice.of(&["INSERT INTO", "INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"]);
        let rows = self.rows_of(table, &columns);
        let end = self.insert_end(verb, table);
        node!(Sort::Other; format!("{verb} {} ({}) VALUES ", table.name, names.join(", ")), rows, end)
    }

    fn insert_set(&mut self, table: Table) -> Node {
        let columns = self.columns_of(table);
        let verb = *self.choice.of(&["INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"]);
        let sets = columns
            .iter()
            .map(|(name, sort)| node!(Sort::Other; format!("{name} = "), self.fitting(table, name, *sort)))
            .collect();
        let sets = Node::list(Sort::Other, ", ", columns.len(), sets);
        let end = self.insert_end(verb, table);
        node!(Sort::Other; format!("{verb} {} SET ", table.name), sets, end)
    }

    fn insert_end(&mut self, verb: &str, table: Table) -> Node {
        if verb == "INSERT INTO" && table.name != "g3" && self.choice.chance(45) {
            let Some((name, sort)) = self.changeable(table) else { return Node::nothing() };
            let value = match self.choice.below(3) {
                0 => node!(Sort::Other; format!("VALUES({name})")),
                1 => self.fitting(table, name, sort),
                _ => node!(Sort::Other; name),
            };
            return node!(Sort::Other; format!(" ON DUPLICATE KEY UPDATE {name} = "), value)
                .optional();
        }
        if self.choice.chance(15) {
            return node!(Sort::Other; format!(" RETURNING {}", table.key.join(", "))).optional();
        }
        Node::nothing()
    }

    /// A column that is no key.
    pub(super) fn changeable(&mut self, table: Table) -> Option<(&'static str, Sort)> {
        let fitting: Vec<(&'static str, Sort)> = table
            .columns
            .iter()
            .filter(|(name, ..)| !table.key.contains(name) && *name != "at")
            .map(|(name, sort, _)| (*name, *sort))
            .collect();
        if fitting.is_empty() { None } else { Some(*self.choice.of(&fitting)) }
    }

    /// Rows of the table itself under keys that are free, or other tables' rows.
    fn insert_select(&mut self, table: Table) -> Node {
        let verb = *self.choice.of(&["INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"]);
        let source = named(table, "s");
        let step = 100 * (1 + self.choice.below(9));
        let columns: Vec<(&'static str, Sort)> =
            table.columns.iter().map(|(name, sort, _)| (*name, *sort)).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|(name, sort)| match sort {
                Sort::Int if table.key.contains(name) => format!("s.{name} + {step}"),
                _ => format!("s.{name}"),
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let scope = Scope { here: source.columns, outer: Vec::new() };
        let filter = self.filter(2, &scope);
        node!(Sort::Other;
            format!("{verb} {} ({}) SELECT {} FROM {} s", table.name, names.join(", "), values.join(", "), table.name),
            filter)
    }

    /// A new value for a column: short enough to be stored without a warning.
    fn new_value(&mut self, table: Table, name: &str, sort: Sort, scope: &Scope) -> Node {
        match sort {
            Sort::Text(_) if name == "kind" => node!(Sort::Other; "'ccc'"),
            Sort::Text(_) if name == "name" || name == "label" => {
                let inner = self.scalar(Sort::Text(Spelling::General), 1, scope);
                node!(Sort::Other; "LEFT(COALESCE(", inner, ", 'none'), 15)")
            }
            Sort::Text(_) => {
                let inner = self.scalar(Sort::Text(Spelling::General), 1, scope);
                node!(Sort::Other; "LEFT(", inner, ", 15)")
            }
            Sort::Decimal => {
                let scale = if table.name == "t1" { 2 } else { 3 };
                let inner = self.scalar(sort, 1, scope);
                node!(Sort::Other; "CAST(", inner, format!(" % 1000 AS DECIMAL(10,{scale}))"))
            }
            Sort::Int if name == "grp" || name == "t1_id" => {
                node!(Sort::Other; "COALESCE(", self.scalar(sort, 1, scope), ", 0)")
            }
            _ => self.scalar(sort, 1, scope),
        }
    }

    /// `ORDER BY key LIMIT n`, in some statements.
    fn limited(&mut self, table: Table) -> Node {
        if table.name == "g3" || self.choice.chance(80) {
            return Node::nothing();
        }
        let down = *self.choice.of(&["", " DESC"]);
        let keys: Vec<String> = table.key.iter().map(|key| format!("{key}{down}")).collect();
        node!(Sort::Other; format!(" ORDER BY {} LIMIT {}", keys.join(", "), self.choice.below(6)))
            .optional()
    }

    /// The table under its own name as a scope.
    fn own_scope(&self, table: Table) -> Scope {
        Scope { here: named(table, table.name).columns, outer: Vec::new() }
    }

    fn update(&mut self, table: Table) -> Node {
        let scope = self.own_scope(table);
        let Some((name, sort)) = self.changeable(table) else { return self.delete(table) };
        let value = self.new_value(table, name, sort, &scope);
        let filter = self.filter(2, &scope);
        let limit = self.limited(table);
        node!(Sort::Other; format!("UPDATE {} SET {name} = ", table.name), value, filter, limit)
    }

    /// A change of a key, so that rows move.
    fn update_key(&mut self, table: Table) -> Node {
        let scope = self.own_scope(table);
        let key = *self.choice.of(table.key);
        let is_int = table.columns.iter().any(|(name, sort, _)| *name == key && *sort == Sort::Int);
        if !is_int {
            return self.update(table);
        }
        let step = 1000 * (1 + self.choice.below(9));
        let filter = self.filter(1, &scope);
        let limit = self.limited(table);
        node!(Sort::Other; format!("UPDATE {} SET {key} = {key} + {step}", table.name), filter, limit)
    }

    fn update_join(&mut self, table: Table) -> Node {
        let other = self.table();
        let Some((name, sort)) = self.changeable(table) else { return self.delete(table) };
        let left = named(table, "m");
        let own = Scope { here: left.columns.clone(), outer: Vec::new() };
        // Of several partners any could be taken: the value is of the row itself alone.
        let value = self.new_value(table, name, sort, &own);
        let both = Scope {
            here: left.columns.iter().chain(&other.columns).cloned().collect(),
            outer: Vec::new(),
        };
        let on = self.truth(1, &both);
        let filter = self.filter(1, &both);
        node!(Sort::Other; "UPDATE ", left.node, " JOIN ", other.node, " ON ", on,
            format!(" SET m.{name} = "), value, filter)
    }

    fn delete(&mut self, table: Table) -> Node {
        let scope = self.own_scope(table);
        let filter = node!(Sort::Other; " WHERE ", self.truth(2, &scope));
        let end = if self.choice.chance(15) {
            node!(Sort::Other; format!(" RETURNING {}", table.key.join(", "))).optional()
        } else {
            self.limited(table)
        };
        node!(Sort::Other; format!("DELETE FROM {}", table.name), filter, end)
    }

    fn delete_join(&mut self, table: Table) -> Node {
        let other = self.table();
        let left = named(table, "m");
        let both = Scope {
            here: left.columns.iter().chain(&other.columns).cloned().collect(),
            outer: Vec::new(),
        };
        let on = self.truth(1, &both);
        let filter = self.filter(1, &both);
        let kind = *self.choice.of(&[" JOIN ", " LEFT JOIN "]);
        node!(Sort::Other; "DELETE m FROM ", left.node, kind, other.node, " ON ", on, filter)
    }
}

//! What FROM names: tables, derived tables, CTEs, JSON_TABLE, and joins of them.

use super::scalar::{Generator, Scope};
use super::schema::{Column, TABLES, Table};
use super::tree::{Node, Sort, Spelling};
use crate::node;

/// A source of rows.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its tree.
    pub node: Node,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Expressions that order its rows totally.
    pub key: Vec<String>,
}

impl Generator {
    /// One table and the scope of a query over it.
    pub fn table_source(&mut self, outer: &Scope) -> (Node, Scope) {
        let source = self.table();
        (source.node, Scope { here: source.columns, outer: outer.inside() })
    }

    /// Some joined sources and the scope of a query over them.
    pub fn joined(&mut self, outer: &Scope) -> (Node, Scope) {
        let source = self.join_of(outer);
        (source.node, Scope { here: source.columns, outer: outer.inside() })
    }

    /// A table under an alias.
    pub fn table(&mut self) -> Source {
        let table = *self.choice.of(TABLES);
        let alias = self.name('a');
        named(table, &alias)
    }

    fn any(&mut self) -> Source {
        if !self.common.is_empty() && self.choice.chance(45) {
            let (name, columns) = self.choice.of(&self.common.clone()).clone();
            let alias = self.name('a');
            return renamed(node!(Sort::Source; format!("{name} {alias}")), &columns, &alias);
        }
        if self.queries > 0 && self.choice.chance(15) {
            self.queries -= 1;
            let alias = self.name('a');
            let (query, columns) = self.derived();
            return renamed(
                node!(Sort::Source; "(", query, format!(") {alias}")),
                &columns,
                &alias,
            );
        }
        self.table()
    }

    /// One to three sources, joined in any way.
    pub fn join_of(&mut self, outer: &Scope) -> Source {
        let mut all = self.any();
        let more = [0, 0, 0, 1, 1, 1, 2][self.choice.below(7)];
        for _ in 0..more {
            all = self.join_one(all, outer);
        }
        all
    }

    fn join_one(&mut self, left: Source, outer: &Scope) -> Source {
        if self.choice.chance(5) {
            return self.json_rows(left);
        }
        let right = self.any();
        let scope = Scope {
            here: left.columns.iter().chain(&right.columns).cloned().collect(),
            outer: if self.choice.chance(10) { outer.inside() } else { Vec::new() },
        };
        let (kind, conditional) = *self.choice.of(&[
            (" JOIN ", true),
            (" JOIN ", true),
            (" INNER JOIN ", true),
            (" LEFT JOIN ", true),
            (" LEFT JOIN ", true),
            (" RIGHT JOIN ", true),
            (" STRAIGHT_JOIN ", true),
            (" CROSS JOIN ", false),
            (", ", false),
        ]);
        let on = if conditional {
            let equal = self.equal(&left, &right);
            let more = if self.choice.chance(25) {
                node!(Sort::Other; " AND ", self.truth(1, &scope)).optional()
            } else {
                Node::nothing()
            };
            node!(Sort::Other; " ON ", equal, more)
        } else {
            Node::nothing()
        };
        // A comma binds weaker than JOIN: what stands left of it is put into parentheses.
        let node = if kind == ", " {
            node!(Sort::Source; left.node, " CROSS JOIN ", right.node)
        } else {
            node!(Sort::Source; left.node, kind, right.node, on)
        };
        let mut key = left.key;
        key.extend(right.key);
        Source { node, columns: scope.here, key }
    }

    /// An equality between columns of two sources, or one that no row meets.
    pub(super) fn equal(&mut self, left: &Source, right: &Source) -> Node {
        let mut pairs = Vec::new();
        for a in &left.columns {
            for b in right.columns.iter().filter(|b| b.sort == a.sort) {
                pairs.push((a.name.clone(), b.name.clone()));
            }
        }
        if pairs.is_empty() {
            return node!(Sort::Truth; "1 = 0");
        }
        let (a, b) = self.choice.of(&pairs).clone();
        node!(Sort::Truth; format!("{a} = {b}"))
    }

    /// JSON_TABLE over a column of the rows so far.
    fn json_rows(&mut self, left: Source) -> Source {
        let alias = self.name('a');
        let number = left
            .columns
            .iter()
            .find(|column| column.sort == Sort::Int && column.calm)
            .map_or("7".to_owned(), |column| format!("COALESCE({}, 0)", column.name));
        let table = format!(
            "JSON_TABLE(CONCAT('[1, ', {number}, ']'), '$[*]' COLUMNS(o FOR ORDINALITY, v INT PATH '$')) {alias}"
        );
        let column = |name: &str| Column {
            name: format!("{alias}.{name}"),
            sort: Sort::Int,
            single: true,
            calm: true,
        };
        let mut columns = left.columns;
        columns.extend([column("o"), column("v")]);
        let mut key = left.key;
        key.push(format!("{alias}.o"));
        Source { node: node!(Sort::Source; left.node, " JOIN ", table), columns, key }
    }

    /// NATURAL JOIN or USING of two tables that share a column name.
    pub fn natural(&mut self) -> Source {
        let (one, two, shared) = *self.choice.of(&[
            ("t1", "s1", "id"),
            ("t1", "t2", "id"),
            ("g1", "g2", "a"),
            ("s1", "t2", "id"),
            ("g2", "g1", "a"),
        ]);
        let find = |name| *TABLES.iter().find(|table| table.name == name).expect("is listed");
        let (a, b) = (self.name('a'), self.name('a'));
        let (left, right) = (named(find(one), &a), named(find(two), &b));
        let kind = *self.choice.of(&[" JOIN ", " LEFT JOIN ", " RIGHT JOIN "]);
        let node = if self.choice.chance(40) && shared_names(find(one), find(two)) == 1 {
            node!(Sort::Source; left.node, " NATURAL", kind, right.node)
        } else {
            node!(Sort::Source; left.node, kind, right.node, format!(" USING ({shared})"))
        };
        let columns = left.columns.into_iter().chain(right.columns).collect();
        let key = left.key.into_iter().chain(right.key).collect();
        Source { node, columns, key }
    }
}

fn shared_names(one: Table, two: Table) -> usize {
    one.columns.iter().filter(|(name, ..)| two.columns.iter().any(|(n, ..)| n == name)).count()
}

/// A table's columns under an alias.
pub fn named(table: Table, alias: &str) -> Source {
    let columns = table
        .columns
        .iter()
        .map(|(name, sort, traits)| Column {
            name: format!("{alias}.{name}"),
            sort: *sort,
            single: traits.contains('s'),
            calm: !traits.contains('x'),
        })
        .collect();
    let key = table.key.iter().map(|name| format!("{alias}.{name}")).collect();
    Source { node: node!(Sort::Source; format!("{} {alias}", table.name)), columns, key }
}

/// A query's columns under an alias; all of them together order its rows.
fn renamed(node: Node, columns: &[Column], alias: &str) -> Source {
    let columns: Vec<Column> = columns
        .iter()
        .map(|column| Column { name: format!("{alias}.{}", column.name), ..column.clone() })
        .collect();
    let key = columns.iter().map(ordered).collect();
    Source { node, columns, key }
}

/// An expression that orders all spellings of a column's values.
pub fn ordered(column: &Column) -> String {
    match column.sort {
        Sort::Text(spelling) if !column.single && spelling != Spelling::Forced => {
            format!("HEX({})", column.name)
        }
        _ => column.name.clone(),
    }
}

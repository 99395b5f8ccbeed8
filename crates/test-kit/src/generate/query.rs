//! Whole queries: set operations, CTEs, derived tables, ORDER BY and LIMIT.

use super::scalar::{Generator, SORTS, Scope};
use super::schema::Column;
use super::select::Core;
use super::tree::{Form, Node, Sort, Spelling};
use crate::node;

/// How many levels of set operations there may be.
const SET_DEPTH: usize = 2;

impl Generator {
    /// A whole statement that reads.
    pub fn statement(&mut self) -> Node {
        let count = 1 + self.choice.below(4);
        let sorts: Vec<Sort> = (0..count).map(|_| *self.choice.of(SORTS)).collect();
        let with = if self.choice.chance(15) { self.with() } else { Node::nothing() };
        let core = if self.choice.chance(25) {
            self.wide()
        } else if self.choice.chance(20) {
            self.set_operation(&sorts, SET_DEPTH)
        } else {
            self.select(&sorts, &Scope::default(), false, true)
        };
        let limited = self.choice.chance(40);
        let order = if core.may_order && self.choice.chance(60) {
            let order = self.order_by(&core.columns, limited);
            Node { sort: Sort::Order, form: Form::Optional, ..order }
        } else {
            Node::nothing()
        };
        node!(Sort::Other; with, core.node, order)
    }

    /// `ORDER BY` over every column, so that ties are equal rows; LIMIT only with it.
    fn order_by(&mut self, columns: &[Column], limited: bool) -> Node {
        let mut keys: Vec<String> = Vec::new();
        let from = self.choice.below(columns.len());
        for step in 0..columns.len() {
            let at = (from + step) % columns.len();
            let by = if !self.aliases || self.choice.chance(50) {
                (at + 1).to_string()
            } else {
                columns[at].name.clone()
            };
            let down = *self.choice.of(&["", "", " DESC", " ASC"]);
            keys.push(format!("{by}{down}"));
        }
        // What is spelled in several ways is told apart at the end.
        keys.extend(columns.iter().map(super::source::ordered).filter(|key| key.contains('(')));
        let limit = if limited {
            let count = self.choice.below(8);
            let text = match self.choice.below(3) {
                0 => format!(" LIMIT {} OFFSET {}", count, self.choice.below(4)),
                1 => format!(" LIMIT {}, {}", self.choice.below(4), count),
                _ => format!(" LIMIT {count}"),
            };
            node!(Sort::Other; text).optional()
        } else {
            Node::nothing()
        };
        node!(Sort::Other; format!(" ORDER BY {}", keys.join(", ")), limit)
    }

    fn set_operation(&mut self, sorts: &[Sort], depth: usize) -> Core {
        let operator = *self.choice.of(&[
            " UNION ",
            " UNION ALL ",
            " UNION DISTINCT ",
            " INTERSECT ",
            " EXCEPT ",
            " UNION ",
            " INTERSECT ALL ",
            " EXCEPT ALL ",
        ]);
        let (left, right) = (self.branch(sorts, depth), self.branch(sorts, depth));
        let columns = left
            .columns
            .iter()
            .zip(&right.columns)
            .map(|(a, b)| Column { single: a.single && b.single, calm: false, ..a.clone() })
            .collect();
        let node = node!(Sort::Query(sorts.len()); left.node, operator, right.node);
        Core { node, columns, may_order: true, nearly: false }
    }

    /// One operand of a set operation.
    pub(super) fn branch(&mut self, sorts: &[Sort], depth: usize) -> Core {
        if depth > 0 && self.choice.chance(20) {
            let inner = self.set_operation(sorts, depth - 1);
            return Core { node: node!(Sort::Query(sorts.len()); "(", inner.node, ")"), ..inner };
        }
        let core = self.select(sorts, &Scope::default(), true, false);
        if self.choice.chance(25) && core.may_order {
            let order = self.order_by(&core.columns, true).optional();
            let node = node!(Sort::Query(sorts.len()); "(", core.node, order, ")");
            return Core { node, ..core };
        }
        core
    }

    /// A derived table's query and its columns.
    pub fn derived(&mut self) -> (Node, Vec<Column>) {
        let count = 1 + self.choice.below(3);
        let mut sorts = vec![Sort::Int];
        sorts.extend((0..count).map(|_| *self.choice.of(SORTS)));
        let core = if self.choice.chance(25) {
            self.set_operation(&sorts, 0)
        } else {
            self.select(&sorts, &Scope::default(), true, false)
        };
        let order = if core.may_order && self.choice.chance(30) {
            self.order_by(&core.columns, true).optional()
        } else {
            Node::nothing()
        };
        let columns = core.columns.iter().map(settled).collect();
        (node!(Sort::Query(sorts.len()); core.node, order), columns)
    }

    /// `WITH …` and a space; the names are in sight for the rest of the statement.
    pub(super) fn with(&mut self) -> Node {
        let mut text = vec![node!(Sort::Other; "WITH RECURSIVE ")];
        for at in 0..=self.choice.below(2) {
            if at > 0 {
                text.push(node!(Sort::Other; ", "));
            }
            let name = self.name('w');
            let (definition, columns) =
                if self.choice.chance(35) { self.recursive(&name) } else { self.common_one(&name) };
            text.push(definition);
            self.common.push((name, columns));
        }
        text.push(node!(Sort::Other; " "));
        let pieces = text.into_iter().map(super::tree::Piece::Node).collect();
        Node { sort: Sort::Other, form: Form::Whole, pieces }
    }

    fn common_one(&mut self, name: &str) -> (Node, Vec<Column>) {
        // A prepared statement of MariaDB loses the aliases of a CTE whose columns get names.
        let named = self.choice.chance(40);
        self.aliases = !named;
        let (query, columns) = self.derived();
        self.aliases = true;
        let (names, columns) = if named {
            let fresh: Vec<Column> = columns
                .iter()
                .map(|column| Column { name: self.name('y'), ..column.clone() })
                .collect();
            let names: Vec<&str> = fresh.iter().map(|column| column.name.as_str()).collect();
            (format!(" ({})", names.join(", ")), fresh)
        } else {
            (String::new(), columns)
        };
        (node!(Sort::Other; format!("{name}{names} AS ("), query, ")"), columns)
    }

    /// A recursive CTE that certainly ends.
    fn recursive(&mut self, name: &str) -> (Node, Vec<Column>) {
        let most = self.choice.between(3, 9);
        let column = |name: &str| Column {
            name: name.to_owned(),
            sort: Sort::Int,
            single: true,
            calm: true,
        };
        let (n, m) = (self.name('y'), self.name('y'));
        let text = match self.choice.below(3) {
            0 => format!(
                "{name} ({n}, {m}) AS (SELECT 1, 0 UNION ALL SELECT {n} + 1, {m} + {n} FROM {name} WHERE {n} < {most})"
            ),
            1 => format!(
                "{name} ({n}, {m}) AS (SELECT id, 1 FROM t1 WHERE id < 4 UNION SELECT r.id, {m} + 1 FROM {name} JOIN t2 r ON r.t1_id = {n} WHERE {m} < {most})"
            ),
            _ => format!(
                "{name} ({n}, {m}) AS (SELECT a, b FROM g1 WHERE a = 1 UNION SELECT r.a, {m} + 1 FROM g1 r JOIN {name} ON r.a = {n} + 1 WHERE {m} < {most})"
            ),
        };
        (node!(Sort::Other; text), vec![column(&n), column(&m)])
    }
}

/// A column as an outer query sees it.
fn settled(column: &Column) -> Column {
    let sort = match column.sort {
        Sort::Text(Spelling::Forced) => Sort::Text(Spelling::Binary),
        other => other,
    };
    Column { sort, ..column.clone() }
}

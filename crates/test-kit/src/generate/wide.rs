//! Queries of rarer forms: frames of every kind and named windows, chains of set operations with and
//! without ALL, CTEs inside of derived tables, grouped queries over ROLLUP, lists of rows.

use super::scalar::{Generator, SORTS, Scope};
use super::schema::Column;
use super::select::Core;
use super::tree::{Node, Sort, Spelling};
use crate::node;

/// Frames over a total order.
const FRAMES: &[&str] = &[
    "",
    " ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING",
    " ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING",
    " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " ROWS UNBOUNDED PRECEDING",
    " ROWS CURRENT ROW",
];
/// Frames over the values of one number.
const RANGES: &[&str] = &[
    " RANGE BETWEEN 2 PRECEDING AND 3 FOLLOWING",
    " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
    " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " RANGE BETWEEN 5 PRECEDING AND 1 PRECEDING",
    " RANGE CURRENT ROW",
];
const OPERATORS: &[&str] = &[
    " UNION ",
    " UNION ALL ",
    " INTERSECT ",
    " INTERSECT ALL ",
    " EXCEPT ",
    " EXCEPT ALL ",
    " UNION DISTINCT ",
];

impl Generator {
    /// One of the rarer forms.
    pub fn wide(&mut self) -> Core {
        match self.choice.below(6) {
            0 | 1 => self.framed(),
            2 => self.chain(),
            3 => self.inner_with(),
            4 => self.over_groups(),
            _ => self.row_lists(),
        }
    }

    /// `expression AS name` and the column.
    pub(super) fn named_item(&mut self, value: Node, sort: Sort, single: bool) -> (Node, Column) {
        let name = self.name('x');
        let item = node!(Sort::Other; value, format!(" AS {name}"));
        (item, Column { name, sort, single, calm: false })
    }

    /// Window functions over frames, two of them by a named window.
    fn framed(&mut self) -> Core {
        let source = self.join_of(&Scope::default());
        let scope = Scope { here: source.columns.clone(), outer: Vec::new() };
        let number = scope.here.iter().find(|column| column.sort == Sort::Int && column.calm);
        let by_value = number.map(|column| column.name.clone()).filter(|_| self.choice.chance(35));
        let down = *self.choice.of(&["", " DESC"]);
        let keys: Vec<String> = source.key.iter().map(|key| format!("{key}{down}")).collect();
        let (order, frame) = match &by_value {
            Some(name) => (format!("ORDER BY {name}{down}"), *self.choice.of(RANGES)),
            None => (format!("ORDER BY {}", keys.join(", ")), *self.choice.of(FRAMES)),
        };
        let partition = if self.choice.chance(50) {
            let column = self.leaf_column(Sort::Int, &scope);
            format!("PARTITION BY {} ", column.text())
        } else {
            String::new()
        };
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for _ in 0..(1 + self.choice.below(3)) {
            let (value, sort) = self.over_frame(&scope, by_value.is_some());
            let over = if self.choice.chance(50) {
                " OVER w".to_owned()
            } else {
                format!(" OVER ({partition}{order}{frame})")
            };
            let node = node!(Sort::Other; value, over);
            let (item, column) = self.named_item(node, sort, true);
            items.push(item);
            columns.push(column);
        }
        for column in scope.here.iter().filter(|column| column.sort == Sort::Int).take(2) {
            let (item, column) =
                self.named_item(node!(Sort::Other; column.name.clone()), Sort::Int, true);
            items.push(item);
            columns.push(column);
        }
        let filter = self.filter(1, &scope);
        let items = Node::list(Sort::Items, ", ", 1, items);
        let window = format!(" WINDOW w AS ({partition}{order}{frame})");
        let node = node!(Sort::Query(columns.len()); "SELECT ", items, " FROM ", source.node, filter, window);
        Core { node, columns, may_order: true, nearly: false }
    }

    /// A function whose result is the frame's alone; by values, one that no order of equals changes.
    fn over_frame(&mut self, scope: &Scope, by_value: bool) -> (Node, Sort) {
        let int = self.expr(Sort::Int, 1, scope, true).node;
        let decimal = self.expr(Sort::Decimal, 1, scope, true).node;
        let any = *self.choice.of(&[Sort::Int, Sort::Date, Sort::Decimal]);
        let value = self.expr(any, 1, scope, true).node;
        match self.choice.below(if by_value { 7 } else { 11 }) {
            0 => (node!(Sort::Other; "COUNT(*)"), Sort::Int),
            1 => (node!(Sort::Other; "COUNT(", value, ")"), Sort::Int),
            2 => (node!(Sort::Other; "SUM(", int, ")"), Sort::Decimal),
            3 => (node!(Sort::Other; "AVG(", decimal, ")"), Sort::Decimal),
            4 => (node!(Sort::Other; "MIN(", value, ")"), any),
            5 => (node!(Sort::Other; "MAX(", value, ")"), any),
            6 => (node!(Sort::Other; "BIT_OR(", int, " & 63)"), Sort::Int),
            7 => (node!(Sort::Other; "FIRST_VALUE(", value, ")"), any),
            8 => (node!(Sort::Other; "LAST_VALUE(", value, ")"), any),
            9 => (node!(Sort::Other; "NTH_VALUE(", value, ", 2)"), any),
            _ => (node!(Sort::Other; "SUM(", decimal, ")"), Sort::Decimal),
        }
    }

    /// Three or four queries in one chain, where INTERSECT binds tighter.
    fn chain(&mut self) -> Core {
        let sorts: Vec<Sort> = (0..=self.choice.below(2)).map(|_| *self.choice.of(SORTS)).collect();
        let first = self.branch(&sorts, 1);
        let mut columns = first.columns.clone();
        let mut node = node!(Sort::Query(sorts.len()); first.node);
        for _ in 0..(2 + self.choice.below(2)) {
            let next = self.branch(&sorts, 1);
            for (column, other) in columns.iter_mut().zip(&next.columns) {
                column.single &= other.single;
                column.calm = false;
            }
            let operator = *self.choice.of(OPERATORS);
            node.pieces.push(operator.into());
            node.pieces.push(next.node.into());
        }
        Core { node, columns, may_order: true, nearly: false }
    }

    /// A derived table with CTEs of its own, one named by the other.
    fn inner_with(&mut self) -> Core {
        // MariaDB does not find a CTE of around in one of inside that nothing reads.
        let around = std::mem::take(&mut self.common);
        let (first, second) = (self.name('w'), self.name('w'));
        let (query, columns) = self.derived();
        self.common.push((first.clone(), columns));
        let (other, columns) = self.derived();
        self.common.push((second.clone(), columns.clone()));
        let sorts: Vec<Sort> = columns.iter().map(|column| column.sort).collect();
        let inner = self.select(&sorts, &Scope::default(), true, false);
        self.common = around;
        let alias = self.name('a');
        let (mut items, mut found) = (Vec::new(), Vec::new());
        for column in &inner.columns {
            let value = node!(Sort::Other; format!("{alias}.{}", column.name));
            let (item, column) = self.named_item(value, column.sort, column.single);
            items.push(item);
            found.push(column);
        }
        let items = Node::list(Sort::Items, ", ", 1, items);
        let node = node!(Sort::Query(found.len()); "SELECT ", items, format!(" FROM (WITH {first} AS ("),
            query, format!("), {second} AS ("), other, ") ", inner.node, format!(") {alias}"));
        Core { node, columns: found, may_order: true, nearly: false }
    }

    /// Groups, with ROLLUP or not, of groups.
    fn over_groups(&mut self) -> Core {
        let source = self.join_of(&Scope::default());
        let scope = Scope { here: source.columns, outer: Vec::new() };
        let (a, b) = (self.leaf_column(Sort::Int, &scope), self.leaf_column(Sort::Date, &scope));
        let (int, decimal) = (
            self.expr(Sort::Int, 2, &scope, true).node,
            self.expr(Sort::Decimal, 2, &scope, true).node,
        );
        let any = *self.choice.of(SORTS);
        let counted = self.scalar(any, 1, &scope);
        let end = *self.choice.of(&[" WITH ROLLUP", ""]);
        let filter = self.filter(2, &scope);
        let having = *self.choice.of(&[
            "",
            " HAVING n > 1",
            " HAVING s IS NOT NULL",
            " HAVING g IS NULL OR n < 4",
        ]);
        let alias = self.name('a');
        let inner = node!(Sort::Other; "SELECT ", a, " AS g, ", b, " AS h, COUNT(*) AS n, SUM(", int,
            ") AS s, AVG(", decimal, ") AS v, COUNT(DISTINCT ", counted, ") AS d FROM ", source.node,
            filter, format!(" GROUP BY g, h{end}{having}"));
        let (values, tail): (&[(&str, Sort)], &str) = match self.choice.below(3) {
            0 => (
                &[("COUNT(*)", Sort::Int), ("SUM(n)", Sort::Decimal), ("MAX(v)", Sort::Decimal)],
                "",
            ),
            1 => (
                &[("n", Sort::Int), ("COUNT(DISTINCT g)", Sort::Int), ("MIN(s)", Sort::Decimal)],
                " GROUP BY n",
            ),
            _ => (
                &[
                    ("n", Sort::Int),
                    ("s", Sort::Decimal),
                    ("d", Sort::Int),
                    ("SUM(n) OVER (PARTITION BY n)", Sort::Decimal),
                ],
                "",
            ),
        };
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for (value, sort) in values {
            let (item, column) = self.named_item(node!(Sort::Other; *value), *sort, true);
            items.push(item);
            columns.push(column);
        }
        let items = Node::list(Sort::Items, ", ", 1, items);
        let node = node!(Sort::Query(columns.len()); "SELECT ", items, " FROM (", inner,
            format!(") {alias}{tail}"));
        Core { node, columns, may_order: true, nearly: false }
    }

    /// Conditions on rows: lists of them, and what sub-queries give.
    fn row_lists(&mut self) -> Core {
        let source = self.join_of(&Scope::default());
        let scope = Scope { here: source.columns, outer: Vec::new() };
        let sort = *self.choice.of(&[Sort::Int, Sort::Date, Sort::Text(Spelling::General)]);
        let (a, b) =
            (self.leaf(Sort::Int, &scope, false).node, self.leaf(sort, &scope, false).node);
        let condition = match self.choice.below(5) {
            0 => {
                let rows = (0..=self.choice.below(4))
                    .map(|_| {
                        let (x, y) = (self.literal(Sort::Int).node, self.literal(sort).node);
                        node!(Sort::Other; "(", x, ", ", y, ")")
                    })
                    .collect();
                let not = *self.choice.of(&[") IN (", ") NOT IN ("]);
                node!(Sort::Truth; "(", a, ", ", b, not, Node::list(Sort::Other, ", ", 1, rows), ")")
            }
            1 => {
                let inner = self.inner_query(&[Sort::Int, sort], &scope);
                node!(Sort::Truth; "((", a, ", ", b, ") IN (", inner, ")) IS NOT TRUE")
            }
            2 => {
                let (x, y) = (self.scalar(Sort::Int, 1, &scope), self.scalar(sort, 1, &scope));
                let operator = *self.choice.of(&[" = ", " <=> ", " < ", " >= ", " <> "]);
                node!(Sort::Truth; "(", a, ", ", b, ")", operator, "(", x, ", ", y, ")")
            }
            3 => {
                let (table, inner) = self.table_source(&scope);
                // Aggregates of outer columns would be the outer query's.
                let inner = inner.local();
                let (x, y) =
                    (self.leaf(Sort::Int, &inner, true).node, self.leaf(sort, &inner, false).node);
                node!(Sort::Truth; "(", a, ", ", b, ") = (SELECT MAX(", x, "), MIN(", y, ") FROM ", table, ")")
            }
            _ => {
                let operator =
                    *self.choice.of(&[" > ALL (", " <= ANY (", " <> ALL (", " = SOME ("]);
                let inner = self.inner_query(&[Sort::Int], &scope);
                node!(Sort::Truth; a, operator, inner, ")")
            }
        };
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        let shown: Vec<Column> =
            scope.here.iter().filter(|column| column.single).take(3).cloned().collect();
        for column in shown {
            let (item, column) =
                self.named_item(node!(Sort::Other; column.name), column.sort, column.single);
            items.push(item);
            columns.push(column);
        }
        let node = if self.choice.chance(70) || columns.is_empty() {
            if columns.is_empty() {
                let (item, column) = self.named_item(node!(Sort::Other; "7"), Sort::Int, true);
                items.push(item);
                columns.push(column);
            }
            let items = Node::list(Sort::Items, ", ", 1, items);
            node!(Sort::Query(columns.len()); "SELECT ", items, " FROM ", source.node, " WHERE ", condition)
        } else {
            let (item, column) = self.named_item(node!(Sort::Other; condition), Sort::Int, true);
            items.push(item);
            columns.push(column);
            let items = Node::list(Sort::Items, ", ", 1, items);
            node!(Sort::Query(columns.len()); "SELECT ", items, " FROM ", source.node)
        };
        Core { node, columns, may_order: true, nearly: false }
    }
}

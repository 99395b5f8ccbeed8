//! One SELECT: plain, grouped or with window functions.

use super::scalar::{Generator, SORTS, Scope};
use super::schema::Column;
use super::source::Source;
use super::tree::{Node, Sort, Spelling};
use crate::node;

/// A SELECT without ORDER BY, and what is known of its result.
#[derive(Clone, Debug)]
pub struct Core {
    /// Its tree, of the sort Query.
    pub node: Node,
    /// Its columns by their aliases.
    pub columns: Vec<Column>,
    /// Whether ORDER BY may follow.
    pub may_order: bool,
    /// Whether values have undefined last digits.
    pub nearly: bool,
}

impl Generator {
    /// A SELECT with columns of these types.
    pub fn select(&mut self, sorts: &[Sort], outer: &Scope, single: bool, top: bool) -> Core {
        let source = if self.choice.chance(6) { self.natural() } else { self.join_of(outer) };
        let scope = Scope { here: source.columns.clone(), outer: outer.inside() };
        match self.choice.below(10) {
            0..=4 => self.plain(sorts, source, &scope, single),
            5..=7 => self.grouped(sorts, source, &scope, single, top),
            8 => self.windowed(sorts, source, &scope, single),
            _ => self.aggregated(sorts, source, &scope, single, top),
        }
    }

    /// An item `expression AS alias`; with `single`, equal values are spelled alike.
    fn item(&mut self, node: Node, sort: Sort, is_single: bool, single: bool) -> (Node, Column) {
        let name = self.name('x');
        let text = matches!(sort, Sort::Text(spelling) if spelling != Spelling::Forced);
        let wrap = single && text && !is_single;
        // Of no sort: making the statement smaller must not take the wrapper away.
        let node = if wrap { node!(Sort::Other; "HEX(", node, ")") } else { node };
        let sort_now = if wrap { Sort::Text(Spelling::General) } else { sort };
        let column =
            Column { name: name.clone(), sort: sort_now, single: is_single || wrap, calm: false };
        (node!(Sort::Other; node, format!(" AS {name}")), column)
    }

    fn plain(&mut self, sorts: &[Sort], source: Source, scope: &Scope, single: bool) -> Core {
        let fits = |column: &&Column| column.single && column.sort == sorts[0];
        let distinct = self.choice.chance(25) && scope.here.iter().any(|column| fits(&column));
        let mut items = Vec::new();
        let mut columns = Vec::new();
        for sort in sorts {
            let value = self.expr(*sort, 2, scope, false);
            let (item, column) = if distinct && items.is_empty() {
                // One column at least: LIMIT after DISTINCT over constants is MariaDB's own error.
                self.distinct_column(*sort, scope)
            } else {
                self.item(value.node, *sort, value.single, single || distinct)
            };
            items.push(item);
            columns.push(column);
        }
        let filter = self.filter(2, scope);
        let word = if distinct { "SELECT DISTINCT " } else { "SELECT " };
        let items = Node::list(Sort::Items, ", ", 1, items);
        let node = node!(Sort::Query(sorts.len()); word, items, " FROM ", source.node, filter);
        Core { node, columns, may_order: true, nearly: false }
    }

    /// An item that is a column and stays one when the statement is made smaller.
    fn distinct_column(&mut self, sort: Sort, scope: &Scope) -> (Node, Column) {
        let fits = |column: &&Column| column.single && column.sort == sort;
        let fitting: Vec<&Column> = scope.here.iter().filter(fits).collect();
        let from = (*self.choice.of(&fitting)).clone();
        self.item(node!(Sort::Other; from.name), sort, true, true)
    }

    fn grouped(
        &mut self,
        sorts: &[Sort],
        source: Source,
        scope: &Scope,
        single: bool,
        top: bool,
    ) -> Core {
        let local = scope.local();
        let keys = 1 + self.choice.below(2).min(sorts.len() - 1);
        let (mut items, mut columns, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        let (mut nearly, mut constant) = (false, false);
        let joined = source.node.text().contains(" JOIN ");
        for (at, sort) in sorts.iter().enumerate() {
            if at < keys {
                let value = if self.choice.chance(65) {
                    self.leaf(*sort, &local, false)
                } else {
                    self.expr(*sort, 2, &local, false)
                };
                let text = value.node.text();
                constant |= !local.here.iter().any(|column| text.contains(&column.name));
                constant |= joined && matches!(sort, Sort::Text(_));
                // The group's representative must be spelled in one way.
                let (item, column) = self.item(value.node, *sort, value.single, true);
                let by_name = self.aliases && self.choice.chance(60);
                groups.push(if by_name { column.name.clone() } else { (at + 1).to_string() });
                items.push(item);
                columns.push(column);
            } else {
                let (item, column, rough) = self.aggregate(*sort, &local, single, top);
                nearly |= rough;
                items.push(item);
                columns.push(column);
            }
        }
        // How long a constant is said to be under ROLLUP depends on a server's plan, and so does
        // whether a text of a join is CHAR, VARCHAR or TEXT there.
        let rollup = self.choice.chance(20) && !constant;
        let end = if rollup { " WITH ROLLUP" } else { "" };
        let groups = groups.join(", ");
        let filter = self.filter(2, scope);
        let having = self.having(&local);
        let items = Node::list(Sort::Items, ", ", 1, items);
        let node = node!(Sort::Query(sorts.len());
            "SELECT ", items, " FROM ", source.node, filter, format!(" GROUP BY {groups}{end}"), having);
        Core { node, columns, may_order: !rollup && !nearly, nearly }
    }

    /// Aggregates over all rows.
    fn aggregated(
        &mut self,
        sorts: &[Sort],
        source: Source,
        scope: &Scope,
        single: bool,
        top: bool,
    ) -> Core {
        let local = scope.local();
        let (mut items, mut columns, mut nearly) = (Vec::new(), Vec::new(), false);
        for sort in sorts {
            let (item, column, rough) = self.aggregate(*sort, &local, single, top);
            nearly |= rough;
            items.push(item);
            columns.push(column);
        }
        let filter = self.filter(2, scope);
        let having = if self.choice.chance(15) { self.having(&local) } else { Node::nothing() };
        let items = Node::list(Sort::Items, ", ", 1, items);
        let node = node!(Sort::Query(sorts.len());
            "SELECT ", items, " FROM ", source.node, filter, having);
        Core { node, columns, may_order: !nearly, nearly }
    }

    fn having(&mut self, scope: &Scope) -> Node {
        if self.choice.chance(60) {
            return Node::nothing();
        }
        let condition = match self.choice.below(4) {
            0 => node!(Sort::Truth; "COUNT(*) > ", self.literal(Sort::Int).node),
            1 => {
                let of = self.scalar(Sort::Int, 1, scope);
                node!(Sort::Truth; "SUM(", of, ") >= ", self.literal(Sort::Int).node)
            }
            2 => {
                let of = self.scalar(Sort::Date, 1, scope);
                node!(Sort::Truth; "MAX(", of, ") > ", self.literal(Sort::Date).node)
            }
            _ => node!(Sort::Truth; "COUNT(DISTINCT ", self.scalar(Sort::Int, 1, scope), ") <> 2"),
        };
        node!(Sort::Other; " HAVING ", condition).optional()
    }

    /// An aggregate of a type: item, column, whether its last digits are undefined.
    fn aggregate(
        &mut self,
        sort: Sort,
        scope: &Scope,
        single: bool,
        top: bool,
    ) -> (Node, Column, bool) {
        if top && sort == Sort::Double && self.choice.chance(60) {
            let function = *self.choice.of(&["SUM(", "AVG(", "STDDEV_POP(", "VAR_SAMP("]);
            let node = node!(Sort::Double; function, self.scalar(Sort::Double, 1, scope), ")");
            let (item, column) = self.item(node, sort, true, single);
            return (Node { sort: Sort::Nearly, ..item }, column, true);
        }
        let distinct = if self.choice.chance(25) { "DISTINCT " } else { "" };
        let argument = self.expr(sort, 2, scope, true);
        let (node, is_single) = match (sort, self.choice.below(8)) {
            (Sort::Int, 0..=2) => (self.count(scope), true),
            (Sort::Int, 3) => (node!(sort; "BIT_OR(", argument.node, " & 255)"), true),
            (Sort::Int, 4) => (node!(sort; "BIT_XOR(", argument.node, " & 255)"), true),
            (Sort::Decimal, 0 | 1) => {
                (node!(sort; format!("SUM({distinct}"), argument.node, ")"), true)
            }
            (Sort::Decimal, 2 | 3) => {
                (node!(sort; format!("AVG({distinct}"), argument.node, ")"), true)
            }
            (Sort::Decimal, 4) => {
                let of = self.expr(Sort::Int, 2, scope, true).node;
                (node!(sort; format!("SUM({distinct}"), of, ")"), true)
            }
            (Sort::Text(Spelling::General), 0 | 1) => {
                let of = *self.choice.of(&[Sort::Int, Sort::Date]);
                let of = self.scalar(of, 1, scope);
                let text = of.text();
                let order = *self.choice.of(&["", " DESC"]);
                let separator = *self.choice.of(&["", " SEPARATOR '|'"]);
                let rest = format!(" ORDER BY {text}{order}{separator})");
                (node!(sort; format!("GROUP_CONCAT({distinct}{text}{rest}")), false)
            }
            _ => {
                let function = *self.choice.of(&["MIN(", "MAX("]);
                (node!(sort; function, argument.node, ")"), argument.single)
            }
        };
        // The least or greatest of values that are spelled in several ways may be any of them. Of no
        // sort: the argument alone would not be one of the group's.
        let several = !is_single && matches!(sort, Sort::Text(_));
        let node = match several {
            true => node!(Sort::Other; "LOWER(", node, ")"),
            false => Node { sort: Sort::Other, ..node },
        };
        let (item, column) = self.item(node, sort, is_single, single);
        (item, column, false)
    }

    fn count(&mut self, scope: &Scope) -> Node {
        let of = *self.choice.of(SORTS);
        match self.choice.below(4) {
            0 => node!(Sort::Int; "COUNT(*)"),
            1 => node!(Sort::Int; "COUNT(", self.scalar(of, 1, scope), ")"),
            2 => node!(Sort::Int; "COUNT(DISTINCT ", self.scalar(of, 1, scope), ")"),
            _ => {
                let (a, b) = (self.scalar(of, 0, scope), self.scalar(Sort::Int, 0, scope));
                node!(Sort::Int; "COUNT(DISTINCT ", a, ", ", b, ")")
            }
        }
    }

    fn windowed(&mut self, sorts: &[Sort], source: Source, scope: &Scope, single: bool) -> Core {
        let local = scope.local();
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for (at, sort) in sorts.iter().enumerate() {
            let (node, is_single) = if at == 0 || self.choice.chance(30) {
                let value = self.expr(*sort, 1, &local, false);
                (value.node, value.single)
            } else {
                self.window(*sort, &local, &source.key)
            };
            let (item, column) = self.item(node, *sort, is_single, single);
            items.push(item);
            columns.push(column);
        }
        let filter = self.filter(1, scope);
        let items = Node::list(Sort::Items, ", ", 1, items);
        let node = node!(Sort::Query(sorts.len()); "SELECT ", items, " FROM ", source.node, filter);
        Core { node, columns, may_order: true, nearly: false }
    }

    fn window(&mut self, sort: Sort, scope: &Scope, key: &[String]) -> (Node, bool) {
        let by = *self.choice.of(&[Sort::Int, Sort::Date, Sort::Text(Spelling::General)]);
        let partition = if self.choice.chance(60) {
            node!(Sort::Other; "PARTITION BY ", self.leaf_column(by, scope)).optional()
        } else {
            Node::nothing()
        };
        let by = *self.choice.of(&[Sort::Int, Sort::Date]);
        let first = self.leaf_column(by, scope);
        let down = *self.choice.of(&["", " DESC"]);
        let order = format!(" ORDER BY {}{down}, {}", first.text(), key.join(", "));
        let ties = format!(" ORDER BY {}{down}", first.text());
        let argument = self.expr(sort, 1, scope, true);
        let frame = *self.choice.of(&[
            "",
            " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
            " ROWS 2 PRECEDING",
            " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        ]);
        let node = match (sort, self.choice.below(9)) {
            (Sort::Int, 0) => node!(sort; "ROW_NUMBER() OVER (", partition, order, ")"),
            (Sort::Int, 1) => node!(sort; "RANK() OVER (", partition, ties, ")"),
            (Sort::Int, 2) => node!(sort; "DENSE_RANK() OVER (", partition, ties, ")"),
            (Sort::Int, 3) => node!(sort; "COUNT(*) OVER (", partition, ties, ")"),
            (Sort::Int, 4) => node!(sort; "NTILE(3) OVER (", partition, order, ")"),
            (Sort::Decimal, 0..=3) => {
                let function = *self.choice.of(&["SUM(", "AVG("]);
                node!(sort; function, argument.node, ") OVER (", partition, order, frame, ")")
            }
            (Sort::Double, 0 | 1) => node!(sort; "CUME_DIST() OVER (", partition, ties, ")"),
            (Sort::Double, 2 | 3) => node!(sort; "PERCENT_RANK() OVER (", partition, ties, ")"),
            (_, 5) => node!(sort; "LAG(", argument.node, ") OVER (", partition, order, ")"),
            (_, 6) => node!(sort; "LEAD(", argument.node, ", 2) OVER (", partition, order, ")"),
            (_, 7) => {
                node!(sort; "FIRST_VALUE(", argument.node, ") OVER (", partition, order, ")")
            }
            _ if matches!(sort, Sort::Text(_)) => {
                node!(sort; "LAST_VALUE(", argument.node, ") OVER (", partition, order, frame, ")")
            }
            _ => {
                let function = *self.choice.of(&["MIN(", "MAX("]);
                node!(sort; function, argument.node, ") OVER (", partition, order, frame, ")")
            }
        };
        (node, argument.single)
    }

    /// A column of this type, else of any.
    pub(super) fn leaf_column(&mut self, sort: Sort, scope: &Scope) -> Node {
        let fitting: Vec<&Column> =
            scope.here.iter().filter(|column| column.sort == sort && column.single).collect();
        let all: Vec<&Column> = scope.here.iter().collect();
        let from = if fitting.is_empty() { &all } else { &fitting };
        let name = self.choice.of(from).name.clone();
        node!(Sort::Other; name)
    }
}

//! Conditions: comparisons, lists, patterns, and every form of sub-query that is one.

use super::scalar::{Generator, SORTS, Scope};
use super::tree::{Node, Sort, Spelling};
use crate::node;

const T: Sort = Sort::Truth;

impl Generator {
    /// A condition that may have parameters.
    fn asked(&mut self, depth: usize, scope: &Scope) -> Node {
        let before = std::mem::replace(&mut self.parameters, true);
        let node = self.truth(depth, scope);
        self.parameters = before;
        node
    }

    /// A condition.
    pub fn truth(&mut self, depth: usize, scope: &Scope) -> Node {
        if depth > 0 && self.choice.chance(35) {
            let (a, b) = (self.truth(depth - 1, scope), self.truth(depth - 1, scope));
            return match self.choice.below(7) {
                0..=2 => node!(T; "(", a, " AND ", b, ")"),
                3 | 4 => node!(T; "(", a, " OR ", b, ")"),
                5 => node!(T; "NOT (", a, ")"),
                _ => node!(T; "(", a, " XOR ", b, ")"),
            };
        }
        if self.queries > 0 && self.choice.chance(18) {
            return self.truth_query(scope);
        }
        self.comparison(depth, scope)
    }

    /// `WHERE …`, which may be dropped, or nothing.
    pub fn filter(&mut self, depth: usize, scope: &Scope) -> Node {
        if self.choice.chance(25) {
            return Node::nothing();
        }
        node!(Sort::Other; " WHERE ", self.asked(depth, scope)).optional()
    }

    fn comparison(&mut self, depth: usize, scope: &Scope) -> Node {
        let d = depth.saturating_sub(1);
        let sort = *self.choice.of(SORTS);
        match self.choice.below(12) {
            0..=5 => {
                let operator =
                    *self.choice.of(&[" = ", " = ", " <> ", " < ", " > ", " <= ", " >= ", " <=> "]);
                node!(T; self.scalar(sort, d, scope), operator, self.scalar(sort, d, scope))
            }
            6 => {
                let not = *self.choice.of(&[" IS NULL", " IS NOT NULL"]);
                node!(T; self.leaf(sort, scope, false).node, not)
            }
            7 => node!(T; self.scalar(sort, d, scope), " BETWEEN ", self.scalar(sort, 0, scope),
                " AND ", self.scalar(sort, 0, scope)),
            8 => {
                let items = (0..=self.choice.below(4)).map(|_| self.literal(sort).node).collect();
                let not = *self.choice.of(&[" IN (", " IN (", " NOT IN ("]);
                let list = Node::list(Sort::Other, ", ", 1, items);
                node!(T; self.scalar(sort, d, scope), not, list, ")")
            }
            9 => {
                let text = self.scalar(Sort::Text(Spelling::General), d, scope);
                let pattern = *self.choice.of(&[
                    " LIKE '%a%'",
                    " LIKE 'E%'",
                    " NOT LIKE '_e%'",
                    " REGEXP '^[a-d]'",
                    " LIKE '%'",
                    " RLIKE 'e$'",
                ]);
                node!(T; text, pattern)
            }
            10 => {
                let operator = *self.choice.of(&[" = ", " < ", " >= ", " <=> "]);
                let (a, b) = (self.scalar(sort, 0, scope), self.scalar(sort, 0, scope));
                let (c, e) = (self.scalar(Sort::Int, 0, scope), self.scalar(Sort::Int, 0, scope));
                node!(T; "(", a, ", ", c, ")", operator, "(", b, ", ", e, ")")
            }
            _ => {
                let is = *self.choice.of(&[" IS TRUE", " IS NOT FALSE", " IS UNKNOWN"]);
                node!(T; "(", self.scalar(Sort::Int, d, scope), ")", is)
            }
        }
    }

    fn truth_query(&mut self, scope: &Scope) -> Node {
        self.queries -= 1;
        let sort = *self.choice.of(SORTS);
        match self.choice.below(8) {
            0..=2 => {
                let not = *self.choice.of(&["EXISTS (", "NOT EXISTS ("]);
                node!(T; not, self.inner_query(&[Sort::Int], scope), ")")
            }
            3 | 4 => {
                let not = *self.choice.of(&[" IN (", " IN (", " NOT IN ("]);
                let left = self.scalar(sort, 1, scope);
                node!(T; left, not, self.inner_query(&[sort], scope), ")")
            }
            5 => {
                let operator = *self.choice.of(&[" = ", " <> ", " < ", " >= "]);
                let which = *self.choice.of(&["ANY (", "ALL (", "SOME ("]);
                let left = self.scalar(sort, 1, scope);
                node!(T; left, operator, which, self.inner_query(&[sort], scope), ")")
            }
            6 => {
                let (a, b) = (self.scalar(sort, 0, scope), self.scalar(Sort::Int, 0, scope));
                let inner = self.inner_query(&[sort, Sort::Int], scope);
                let not = *self.choice.of(&[") IN (", ") NOT IN ("]);
                node!(T; "(", a, ", ", b, not, inner, ")")
            }
            _ => {
                let operator = *self.choice.of(&[" = ", " < ", " >= "]);
                let left = self.scalar(Sort::Int, 1, scope);
                let (source, inner) = self.table_source(scope);
                let filter = self.filter(1, &inner);
                node!(T; left, operator, "(SELECT COUNT(*) FROM ", source, filter, ")")
            }
        }
    }

    /// A sub-query of a condition: its rows are a set, so it needs no order.
    pub(super) fn inner_query(&mut self, sorts: &[Sort], scope: &Scope) -> Node {
        let (source, inner) =
            if self.choice.chance(75) { self.table_source(scope) } else { self.joined(scope) };
        let filter = self.filter(2, &inner);
        let items = sorts.iter().map(|sort| self.scalar(*sort, 1, &inner)).collect();
        let items = Node::list(Sort::Items, ", ", sorts.len(), items);
        let distinct = if self.choice.chance(15) { "SELECT DISTINCT " } else { "SELECT " };
        let core = node!(Sort::Query(sorts.len()); distinct, items, " FROM ", source, filter);
        if self.choice.chance(12) {
            let (source, inner) = self.table_source(scope);
            let items = sorts.iter().map(|sort| self.leaf(*sort, &inner, false).node).collect();
            let items = Node::list(Sort::Items, ", ", sorts.len(), items);
            let filter = self.filter(1, &inner);
            let other = node!(Sort::Query(sorts.len()); "SELECT ", items, " FROM ", source, filter);
            let union = *self.choice.of(&[" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT "]);
            return node!(Sort::Query(sorts.len()); core, union, other);
        }
        core
    }
}

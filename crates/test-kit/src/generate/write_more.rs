//! Writes of rarer forms: rows of joins, groups and CTEs, ON DUPLICATE KEY UPDATE and RETURNING with
//! expressions, changes of two tables at once, values of sub-queries.

use super::scalar::{Generator, Scope};
use super::schema::{TABLES, Table};
use super::source::named;
use super::tree::{Node, Sort, Spelling};
use super::write::WRITTEN;
use crate::node;

const G: Sort = Sort::Text(Spelling::General);

impl Generator {
    /// One of the rarer forms, or another write where the table has no such form.
    pub(super) fn write_more(&mut self, table: Table) -> Node {
        match self.choice.below(9) {
            0 => self.insert_any_rows(),
            1 => self.insert_groups(),
            2 | 3 => self.insert_or_change(table),
            4 => self.update_two(table),
            5 => self.delete_two(table),
            6 => self.update_by_query(table),
            7 => self.returning(table),
            _ => self.replace_rows(table),
        }
    }

    /// Any query's rows into the table without a key.
    fn insert_any_rows(&mut self) -> Node {
        let with = self.choice.chance(30);
        let sorts = [Sort::Int, G, Sort::Date];
        let (head, known) = if with {
            let known = self.common.len();
            (self.with(), known)
        } else {
            (Node::nothing(), self.common.len())
        };
        let core = self.select(&sorts, &Scope::default(), true, false);
        self.common.truncate(known);
        let [x, y, z] = [0, 1, 2].map(|at| core.columns[at].name.clone());
        let alias = self.name('a');
        node!(Sort::Other; "INSERT INTO g3 (x, y, z) ", head,
            format!("SELECT {alias}.{x} % 1000, LEFT({alias}.{y}, 15), {alias}.{z} FROM ("), core.node,
            format!(") {alias}"))
    }

    /// One row for each group; the groups' keys are the new keys.
    fn insert_groups(&mut self) -> Node {
        let source = self.join_of(&Scope::default());
        let scope = Scope { here: source.columns, outer: Vec::new() };
        let by = self.leaf_column(Sort::Int, &scope).text();
        let value = self.expr(Sort::Int, 1, &scope, true).node;
        let filter = self.filter(1, &scope);
        let change = *self.choice.of(&[
            "",
            " ON DUPLICATE KEY UPDATE n = VALUES(n)",
            " ON DUPLICATE KEY UPDATE n = g2.n + 1, word = 'met'",
        ]);
        node!(Sort::Other; format!("INSERT INTO g2 (k, a, n) SELECT ABS({by}), COUNT(*), MAX("), value,
            ") % 1000 FROM ", source.node, filter, format!(" GROUP BY ABS({by}) HAVING ABS({by}) IS NOT NULL{change}"))
    }

    /// Listed rows, with several changes for those that are there.
    fn insert_or_change(&mut self, table: Table) -> Node {
        if table.name == "g3" {
            return self.insert_any_rows();
        }
        let columns = self.columns_of(table);
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let rows = self.rows_of(table, &columns);
        let free: Vec<(&str, Sort)> = columns
            .iter()
            .filter(|(name, _)| !table.key.contains(name) && *name != "at")
            .copied()
            .collect();
        if free.is_empty() {
            return self.update_by_query(table);
        }
        let sets = (0..=self.choice.below(2))
            .map(|_| {
                let (name, sort) = *self.choice.of(&free);
                let value = match (sort, self.choice.below(3)) {
                    (Sort::Int, 0) => format!("{name} = VALUES({name}) + 1"),
                    (Sort::Int | Sort::Decimal, 1) => {
                        format!("{name} = COALESCE(VALUES({name}), 0) + 2")
                    }
                    (_, 2) => {
                        format!("{name} = IF(VALUES({name}) IS NULL, {name}, VALUES({name}))")
                    }
                    _ => format!("{name} = COALESCE(VALUES({name}), {name})"),
                };
                node!(Sort::Other; value)
            })
            .collect();
        let sets = Node::list(Sort::Other, ", ", 1, sets);
        let end = if self.choice.chance(30) { self.shown(table) } else { Node::nothing() };
        node!(Sort::Other; format!("INSERT INTO {} ({}) VALUES ", table.name, names.join(", ")), rows,
            " ON DUPLICATE KEY UPDATE ", sets, end)
    }

    /// `RETURNING` with expressions.
    fn shown(&mut self, table: Table) -> Node {
        let mut own = named(table, table.name).columns;
        for column in &mut own {
            // RETURNING of INSERT knows the columns by their own names alone.
            if let Some((_, name)) = column.name.split_once('.') {
                column.name = name.to_owned();
            }
        }
        let scope = Scope { here: own, outer: Vec::new() };
        let before = std::mem::replace(&mut self.queries, 0);
        let value = self.scalar(Sort::Int, 1, &scope);
        self.queries = before;
        node!(Sort::Other; format!(" RETURNING {}, ", table.key.join(", ")), value, " AS r")
            .optional()
    }

    fn returning(&mut self, table: Table) -> Node {
        let shown = self.shown(table);
        if self.choice.chance(50) {
            let scope = Scope { here: named(table, table.name).columns, outer: Vec::new() };
            let filter = self.filter(1, &scope);
            return node!(Sort::Other; format!("DELETE FROM {}", table.name), filter, shown);
        }
        let columns = self.columns_of(table);
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let rows = self.rows_of(table, &columns);
        let verb = *self.choice.of(&["INSERT INTO", "REPLACE INTO", "INSERT IGNORE INTO"]);
        node!(Sort::Other; format!("{verb} {} ({}) VALUES ", table.name, names.join(", ")), rows, shown)
    }

    /// A join of two tables of which both change; the values are constants.
    fn two(&mut self, table: Table) -> (Table, Node, Scope) {
        let others: Vec<&str> =
            WRITTEN.iter().copied().filter(|name| *name != table.name).collect();
        let name = *self.choice.of(&others);
        let other = *TABLES.iter().find(|table| table.name == name).expect("is listed");
        let (m, n) = (named(table, "m"), named(other, "n"));
        let scope = Scope {
            here: m.columns.iter().chain(&n.columns).cloned().collect(),
            outer: Vec::new(),
        };
        let on = self.equal(&m, &n);
        (other, node!(Sort::Other; m.node, " JOIN ", n.node, " ON ", on), scope)
    }

    fn update_two(&mut self, table: Table) -> Node {
        let (other, from, scope) = self.two(table);
        let (Some((a, of)), Some((b, with))) = (self.changeable(table), self.changeable(other))
        else {
            return self.delete_two(table);
        };
        let (x, y) = (self.fitting(table, a, of), self.fitting(other, b, with));
        let filter = self.filter(1, &scope);
        node!(Sort::Other; "UPDATE ", from, format!(" SET m.{a} = "), x, format!(", n.{b} = "), y, filter)
    }

    fn delete_two(&mut self, table: Table) -> Node {
        let (_, from, scope) = self.two(table);
        let filter = self.filter(1, &scope);
        let form = self.choice.chance(50);
        if form {
            node!(Sort::Other; "DELETE m, n FROM ", from, filter)
        } else {
            node!(Sort::Other; "DELETE FROM m, n USING ", from, filter)
        }
    }

    /// A value that a sub-query finds, perhaps in the table itself.
    fn update_by_query(&mut self, table: Table) -> Node {
        let scope = Scope { here: named(table, table.name).columns, outer: Vec::new() };
        let free = table.columns.iter().filter(|(name, sort, _)| {
            *sort == Sort::Int && !table.key.contains(name) && !matches!(*name, "grp" | "t1_id")
        });
        let Some((name, ..)) = free.clone().next() else { return self.returning(table) };
        let (source, inner) = self.table_source(&scope);
        let value = self.expr(Sort::Int, 1, &inner.local(), true).node;
        let condition = self.truth(1, &inner);
        let filter = self.filter(1, &scope);
        let function = *self.choice.of(&["MAX(", "MIN(", "COUNT("]);
        node!(Sort::Other; format!("UPDATE {} SET {name} = (SELECT ", table.name), function, value,
            ") FROM ", source, " WHERE ", condition, ")", filter)
    }

    /// The table's own rows again, some of their values changed.
    fn replace_rows(&mut self, table: Table) -> Node {
        let source = named(table, "s");
        let scope = Scope { here: source.columns, outer: Vec::new() };
        let Some((changed, sort)) = self.changeable(table) else { return self.returning(table) };
        let value = self.fitting(table, changed, sort);
        let filter = self.filter(1, &scope);
        let (before, after): (Vec<&str>, Vec<&str>) = {
            let names: Vec<&str> = table.columns.iter().map(|(name, ..)| *name).collect();
            let at = names.iter().position(|name| *name == changed).unwrap_or(0);
            (names[..at].to_vec(), names[at + 1..].to_vec())
        };
        let list = |names: &[&str], prefix: &str| -> String {
            names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
        };
        let all: Vec<&str> = before.iter().chain([&changed]).chain(after.iter()).copied().collect();
        let comma = if after.is_empty() { "" } else { ", " };
        let first = if before.is_empty() { "" } else { ", " };
        node!(Sort::Other; format!("REPLACE INTO {} ({}) SELECT {}{first}", table.name, list(&all, ""),
            list(&before, "s.")), value, format!("{comma}{} FROM {} s", list(&after, "s."), table.name), filter)
    }
}

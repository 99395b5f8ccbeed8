//! INSERT and REPLACE by way of temporary tables: a sharding key that only a server knows (a
//! default, a value of other columns, a sub-query), RETURNING, and ON DUPLICATE KEY UPDATE that may
//! move a row or reads other tables.

use super::InsertHome;
use super::make::Maker;
use super::make::updates::has_groups;
use crate::bind::Bound;
use crate::expr::{self, Part, for_each_part};
use crate::names::{NameMode, keep_item_names, name_edits, number};
use crate::plan::{Plan, RoutedPlan};
use crate::planner::{Made, refused};
use crate::scratch::needed_columns;
use crate::scratch_write::{
    ScratchInsertPlan, ScratchRows, WriteLoad, Written, own_place, read_load,
};
use crate::template::{Edit, Piece, Template, TokenRange, quoted};
use crate::value::ValueRef;
use crate::write::reads_clock;
use base::sql_error::SqlError;
use sql_syntax::ast::{ColumnRef, Expr, ExprKind, Ident, InsertSource, Query, SelectItem, SetExpr};
use topology::model::Column;

/// Why an INSERT takes the road over temporary tables.
pub(super) type Reason = &'static str;

const CHECK_OPTION: Reason = "WITH CHECK OPTION of a view";
const RETURNING: Reason = "RETURNING over several shards";
const KEY_UPDATE: Reason = "ON DUPLICATE KEY UPDATE of a sharding key could move the row";
const UPDATE_READS: Reason = "ON DUPLICATE KEY UPDATE reads other tables";
const COPIES: Reason = "copies of a broadcast table could be changed differently";
const SUB_QUERY: Reason = "a value is read from a table";
const COMPUTED: Reason = "a value that places the row is computed from others";
const ROW_NUMBERS: Reason = "ROWNUM() counts the rows of the whole statement";
const DEFAULT: Reason = "the sharding key's default places the row";

/// Columns of the SELECT that ON DUPLICATE KEY UPDATE reads: they are gone when the rows are written,
/// so the SELECT gives them behind its own.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Each of them once, as SQL.
    pub distinct: Vec<Vec<u8>>,
    /// Where each is used.
    pub uses: Vec<(TokenRange, usize)>,
}

impl Maker<'_, '_> {
    /// The SELECT's columns in ON DUPLICATE KEY UPDATE.
    pub(super) fn strangers(&self) -> Strangers {
        let mut found = Strangers::default();
        let InsertSource::Query(_) = self.insert.source else { return found };
        for update in &self.insert.on_duplicate {
            self.add_strangers(&update.value, &mut found);
        }
        found
    }

    fn add_strangers(&self, value: &Expr, found: &mut Strangers) {
        if let ExprKind::Column(column) | ExprKind::Default(Some(column)) = &value.kind
            && self.is_stranger(column)
        {
            let src = self.bound.src;
            let is_default = matches!(value.kind, ExprKind::Default(_));
            let name = |ident: Ident| quoted(&String::from_utf8_lossy(&ident.name(src)));
            let mut sql =
                column.table.map_or_else(Vec::new, |table| [name(table), b".".to_vec()].concat());
            sql.extend(name(column.name));
            if is_default {
                sql = [b"DEFAULT(".as_slice(), &sql, b")"].concat();
            }
            let index =
                found.distinct.iter().position(|known| *known == sql).unwrap_or_else(|| {
                    found.distinct.push(sql);
                    found.distinct.len() - 1
                });
            found.uses.push((self.bound.range(value.span), index));
        }
        for_each_part(value, &mut |part| {
            if let Part::Expr(part) = part {
                self.add_strangers(part, found);
            }
        });
    }

    fn is_stranger(&self, column: &ColumnRef) -> bool {
        let src = self.bound.src;
        let name = String::from_utf8_lossy(&column.name.name(src)).into_owned();
        match column.table {
            Some(table) => !self.bound.is_named(0, column.schema, table),
            None => self.target().table.column(&name).is_none(),
        }
    }

    /// The edit that makes the SELECT give those columns too.
    pub(super) fn addition(
        &self,
        bound: &Bound<'_>,
        query: &Query,
        strangers: &Strangers,
    ) -> Result<Option<Edit>, SqlError> {
        if strangers.distinct.is_empty() {
            return Ok(None);
        }
        let SetExpr::Select(select) = &query.body else { return Err(not_of_one_row()) };
        let groups = select.distinct || has_groups(select, bound.src);
        let (Some(last), false) = (select.items.last(), groups) else {
            return Err(not_of_one_row());
        };
        let span = match last {
            SelectItem::Expr { span, .. } | SelectItem::Star { span, .. } => *span,
        };
        let mut text = Vec::new();
        for (index, name) in strangers.distinct.iter().enumerate() {
            text.extend(
                [b", ", name.as_slice(), format!(" AS `_ddm_{index}`").as_bytes()].concat(),
            );
        }
        Ok(Some(Edit::after(bound.range(span).last, vec![Piece::Text(text)])))
    }

    /// Why rows must be put together with those that they meet, if so.
    pub(super) fn meets_rows(&self) -> Option<Reason> {
        if self.insert.returning_span.is_some() {
            return Some(RETURNING);
        }
        let src = self.bound.src;
        let updates = &self.insert.on_duplicate;
        let reads = updates.iter().any(|update| expr::has_query(&update.value));
        if reads || !self.strangers().distinct.is_empty() {
            return Some(UPDATE_READS);
        }
        let differs = |value: &Expr| expr::is_random(value, src) || reads_clock(value, src);
        let broadcast = self.target().router.is_none() && !self.target().is_single();
        if broadcast && updates.iter().any(|update| differs(&update.value)) {
            return Some(COPIES);
        }
        let router = self.target().router.as_ref()?;
        let moves = updates.iter().any(|update| {
            let name = update.column.name.name(src);
            let name = String::from_utf8_lossy(&name);
            router.key(&name).is_some() && !self.keeps_key(&name, &update.value)
        });
        moves.then_some(KEY_UPDATE)
    }

    /// Why the rows of a list cannot be placed before a server made them, if so.
    pub(super) fn must_be_made(&self) -> Result<Option<Reason>, SqlError> {
        if self.bound.refs.len() > 1 {
            return Ok(Some(SUB_QUERY));
        }
        let columns = self.columns()?;
        let position =
            |name: &str| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let sequence = self.sequence();
        let home = self.home();
        let src = self.bound.src;
        let counts = |value: &Expr| expr::counts_rows(value, src);
        if self.bound.facts.row_numbers
            && self.rows().any(|row| row.exprs().any(|(_, value)| counts(value)))
        {
            return Ok(Some(ROW_NUMBERS));
        }
        let mut constant_seen = false;
        for row in self.rows() {
            // One row of constants is as another.
            if row.is_constant() && std::mem::replace(&mut constant_seen, true) {
                continue;
            }
            let at = |name: &str| position(name).and_then(|at| row.value(at, self.bound));
            if let InsertHome::Sharded(router) = &home {
                for key in &router.columns {
                    let generated = sequence
                        .as_ref()
                        .is_some_and(|of| of.column.eq_ignore_ascii_case(&key.name));
                    match at(&key.name).as_deref() {
                        _ if key.generated => return Ok(Some(COMPUTED)),
                        None if generated => {}
                        None => return Ok(Some(DEFAULT)),
                        Some(value) if super::make::is_default(value) && !generated => {
                            return Ok(Some(DEFAULT));
                        }
                        // A sub-query may read columns of the row.
                        Some(value) if expr::has_column(value) || expr::has_query(value) => {
                            return Ok(Some(COMPUTED));
                        }
                        Some(value) if is_date(key) && expr::is_time(value, self.bound.src) => {
                            return Ok(Some(COMPUTED));
                        }
                        Some(_) => {}
                    }
                }
            }
            let src = self.bound.src;
            let differs = |value: &Expr| {
                (expr::is_random(value, src) || reads_clock(value, src)) && expr::has_column(value)
            };
            let everywhere = matches!(home, InsertHome::Everywhere { .. });
            if everywhere && row.exprs().any(|(_, value)| differs(value)) {
                return Ok(Some(COPIES));
            }
            if let Some(value) = sequence.as_ref().and_then(|of| at(&of.column))
                && expr::has_column(&value)
            {
                return Ok(Some(COMPUTED));
            }
        }
        Ok(None)
    }

    /// Why rows must be looked at before they are placed, if so.
    pub(super) fn must_be_checked(&self) -> Option<Reason> {
        self.subject.context.check.map(|_| CHECK_OPTION)
    }

    /// The plan for listed rows.
    pub(super) fn scratch_listed(&self, reason: Reason) -> Result<Made, SqlError> {
        let last = match &self.insert.source {
            InsertSource::Values { span, .. } | InsertSource::Set { span, .. } => {
                self.bound.range(*span).last
            }
            InsertSource::Query(query) => self.bound.range(query.span).last,
        };
        let text = Template::edited(TokenRange { first: 0, last }, self.temporary_edits());
        let one_row = self.rows().take(2).count() == 1;
        self.scratch(reason, ScratchRows::Listed(text), one_row, true)
    }

    /// The plan for a query's rows.
    pub(super) fn scratch_query(
        &self,
        reason: Reason,
        source: RoutedPlan,
        cacheable: bool,
    ) -> Result<Made, SqlError> {
        let columns = self.columns()?.iter().map(|column| column.name.clone()).collect();
        let rows = ScratchRows::Query { source: Box::new(source), columns };
        self.scratch(reason, rows, false, cacheable)
    }

    /// PARTITION is a matter of the table that is written.
    fn temporary_edits(&self) -> Vec<Edit> {
        let mut edits = name_edits(self.bound, NameMode::TemporaryPlain(0));
        if let (Some(first), Some(last)) =
            (self.insert.partitions.first(), self.insert.partitions.last())
        {
            // `PARTITION (a, b)`: the word and the bracket stand before the first name.
            let at = TokenRange { first: first.tok.saturating_sub(2), last: last.tok + 1 };
            edits.push(Edit::replace(at, Vec::new()));
        }
        edits
    }

    fn scratch(
        &self,
        reason: Reason,
        rows: ScratchRows,
        one_row: bool,
        cacheable: bool,
    ) -> Result<Made, SqlError> {
        let target = self.target();
        let written = Written::of(target);
        let auto_increment = written.columns.iter().position(|column| column.auto_increment);
        let meets_rows = self.meets_rows().is_some();
        if meets_rows && target.is_single() && auto_increment.is_some() {
            return Err(refused(
                "RETURNING, or ON DUPLICATE KEY UPDATE with a sub-query, of a single table with \
                 AUTO_INCREMENT together with tables on other shards is not supported; insert the \
                 values of the sub-query by themselves",
            ));
        }
        let read: Vec<usize> = match &rows {
            // The query's own tables are read by its plan.
            ScratchRows::Query { .. } => self.tail_references(),
            ScratchRows::Listed(_) => (1..self.bound.refs.len()).collect(),
        };
        let needed = needed_columns(self.bound, &self.subject.parsed.stmt);
        let loads: Vec<WriteLoad> =
            read.iter().map(|index| read_load(self.bound, *index, &needed[*index])).collect();
        let mut tables: Vec<_> = self.bound.refs.iter().map(own_place).collect();
        tables.push(own_place(target));
        let verb = self.verb();
        let schema = target.schema.name.clone();
        let plan = ScratchInsertPlan {
            tables: tables.into(),
            loads,
            written,
            rows,
            verb,
            tail: self.scratch_tail(true),
            load_references: read,
            extras: self.strangers().distinct.len(),
            meets_rows,
            meets_all: meets_rows && self.insert.ignore && self.updates_keys(),
            pushed_tail: self.scratch_tail(false),
            updates_on_duplicate: !self.insert.on_duplicate.is_empty(),
            sequence: self.sequence(),
            auto_increment,
            one_row,
            reason,
            schema,
            check: self.subject.context.check.cloned(),
        };
        let uses = self.bound.facts.uses;
        // The names of RETURNING's columns can hold literals.
        let cacheable = cacheable && self.insert.returning.is_empty();
        Ok(Made::write(Plan::ScratchInsert(Box::new(plan)), cacheable, uses))
    }

    /// Whether ON DUPLICATE KEY UPDATE assigns a column of a unique key.
    fn updates_keys(&self) -> bool {
        let table = self.target().table;
        self.insert.on_duplicate.iter().any(|update| {
            let name = update.column.name.name(self.bound.src);
            let mut keys = table.unique_keys.iter().chain(std::iter::once(&table.primary_key));
            keys.any(|key| key.iter().any(|part| name.eq_ignore_ascii_case(part.as_bytes())))
        })
    }

    /// References in ON DUPLICATE KEY UPDATE and RETURNING.
    fn tail_references(&self) -> Vec<usize> {
        let tail = self.insert.on_duplicate_span.or(self.insert.returning_span);
        let Some(span) = tail else { return Vec::new() };
        let range = self.bound.range(span);
        (1..self.bound.refs.len())
            .filter(|index| self.bound.refs[*index].name.name.tok >= range.first)
            .collect()
    }

    /// What stands behind the rows: the new row's alias, ON DUPLICATE KEY UPDATE, RETURNING.
    fn scratch_tail(&self, temporary: bool) -> Template {
        let bound = self.bound;
        let first = match (self.insert.on_duplicate_span, self.insert.returning_span) {
            (Some(span), _) => bound.range(span).first,
            (None, Some(span)) if temporary => bound.range(span).first,
            _ => return Template::default(),
        };
        // `AS new (a, b)` stands right before.
        let first = match &self.insert.row_alias {
            Some((alias, _)) => alias.tok.saturating_sub(1),
            None => first,
        };
        let last = self.subject.whole().last;
        let mut edits = match temporary {
            true => self.temporary_edits(),
            false => name_edits(bound, NameMode::TargetPlain),
        };
        keep_item_names(bound, &self.insert.returning, &mut edits);
        // Of two edits of the same tokens the first counts.
        let values = self.strangers().uses.into_iter().map(|(at, index)| {
            let value = ValueRef::Evaluated { index: number(index) };
            Edit::replace(at, vec![Piece::Value(value)])
        });
        let mut edits: Vec<Edit> = values.chain(edits).collect();
        edits.sort_by_key(|edit| edit.at.first);
        // A copy leaves out what is said once.
        let edits = edits.into_iter().map(Edit::always).collect();
        let range = TokenRange { first, last };
        Template::made(vec![Piece::text(" "), Piece::Tokens(range)], edits)
    }
}

/// A TIME gets the present day when it is stored in such a column.
fn is_date(key: &Column) -> bool {
    use topology::model::ColumnClass as C;
    matches!(key.class, C::Date | C::DateTime)
}

fn not_of_one_row() -> SqlError {
    refused(
        "ON DUPLICATE KEY UPDATE that reads columns of a SELECT with groups, DISTINCT or UNION is not \
         supported; use VALUES(column)",
    )
}

//! The plan of an INSERT or REPLACE.

mod listed;
mod rows;
pub(super) mod updates;

use super::{InsertHome, InsertSelectPlan, PlacedSequence, RowPlacer, SequenceUse};
use crate::bind::Bound;
use crate::bind::walk::Binder;
use crate::expr;
use crate::names::{NameMode, keep_item_names, name_edits, number};
use crate::plan::{Home, Many, Plan, RoutedPlan, RowKind};
use crate::planner::{Made, Subject, refused};
use crate::query::places::{Found, Places, plan_table};
use crate::query::routed;
use crate::scratch_write::InsertVerb;
use crate::template::{Piece, Template, quoted};
use base::sql_error::{DELAYED_NOT_SUPPORTED, SqlError, UNKNOWN_COLUMN, VALUE_COUNT_MISMATCH};
use listed::Listed;
use sql_syntax::ast::{Expr, ExprKind, Insert, InsertRow, InsertSource, Query};
use std::sync::Arc;
use topology::model::{Column, Placement};

/// Plans an INSERT or REPLACE.
pub(crate) fn plan(subject: &Subject<'_>, insert: &Insert) -> Result<Made, SqlError> {
    let bound = bind(subject.binder(), insert)?;
    let maker = Maker { subject, insert, bound: &bound };
    maker.check()?;
    match &insert.source {
        InsertSource::Query(query) => maker.rows_of(query),
        InsertSource::Values { .. } | InsertSource::Set { .. } => maker.listed(),
    }
}

/// What an INSERT names.
pub(crate) fn bind<'s>(mut binder: Binder<'s>, insert: &'s Insert) -> Result<Bound<'s>, SqlError> {
    let block = binder.open_block(None);
    if binder.table_name(insert.table, None, block, false)?.is_none() {
        return Err(refused("tables of system schemas cannot be changed"));
    }
    for column in &insert.columns {
        binder.column(column, block);
    }
    match &insert.source {
        InsertSource::Values { rows, .. } => {
            for value in rows.iter().flat_map(InsertRow::exprs) {
                binder.expr(value, block)?;
            }
        }
        InsertSource::Set { assignments, .. } => {
            for assignment in assignments {
                binder.column(&assignment.column, block);
                binder.expr(&assignment.value, block)?;
            }
        }
        InsertSource::Query(query) => {
            binder.query(query, None, true)?;
        }
    }
    for assignment in &insert.on_duplicate {
        binder.column(&assignment.column, block);
        binder.expr(&assignment.value, block)?;
    }
    binder.items(&insert.returning, block)?;
    Ok(binder.finish())
}

pub(super) struct Maker<'m, 's> {
    pub(super) subject: &'m Subject<'s>,
    pub(super) insert: &'m Insert,
    pub(super) bound: &'m Bound<'s>,
}

impl<'m> Maker<'m, '_> {
    /// The table that is written.
    pub(super) fn target(&self) -> &crate::bind::Reference<'_> {
        &self.bound.refs[0]
    }

    fn check(&self) -> Result<(), SqlError> {
        if self.insert.delayed {
            let text =
                format!("DELAYED option not supported for table '{}'", self.target().table.name);
            return Err(SqlError::new(DELAYED_NOT_SUPPORTED, text));
        }
        Ok(())
    }

    /// `k = VALUES(k)` or `k = k`: the row is where it belongs in any case.
    pub(super) fn keeps_key(&self, key: &str, value: &Expr) -> bool {
        let is_key = |name: &[u8]| name.eq_ignore_ascii_case(key.as_bytes());
        match &value.unparen().kind {
            ExprKind::Values(column) => is_key(&column.name.name(self.bound.src)),
            ExprKind::Column(column) => {
                let new_row =
                    self.insert.row_alias.as_ref().map(|(alias, columns)| (alias, columns));
                let renamed = new_row.is_some_and(|(_, columns)| !columns.is_empty());
                !renamed && is_key(&column.name.name(self.bound.src))
            }
            _ => false,
        }
    }

    /// The columns that rows give values for, in order.
    pub(super) fn columns(&self) -> Result<Vec<&Column>, SqlError> {
        let table = self.target().table;
        let named = match &self.insert.source {
            InsertSource::Set { assignments, .. } => {
                assignments.iter().map(|assignment| assignment.column).collect()
            }
            // An empty list is none.
            _ if !self.insert.columns.is_empty() => self.insert.columns.clone(),
            _ => return Ok(table.columns.iter().filter(|column| !column.invisible).collect()),
        };
        named
            .iter()
            .map(|column| {
                let name = String::from_utf8_lossy(&column.name.name(self.bound.src)).into_owned();
                table.column(&name).map(|(_, column)| column).ok_or_else(|| {
                    let text = format!("Unknown column '{name}' in 'INSERT INTO'");
                    SqlError::new(UNKNOWN_COLUMN, text)
                })
            })
            .collect()
    }

    pub(super) fn home(&self) -> InsertHome {
        let target = self.target();
        match (&target.router, &target.table.placement) {
            (Some(router), _) => InsertHome::Sharded(router.clone()),
            (None, Placement::Broadcast) => {
                InsertHome::Everywhere { shards: target.schema.shard_count() }
            }
            (None, _) => InsertHome::Shard { shard: 0 },
        }
    }

    pub(super) fn sequence(&self) -> Option<SequenceUse> {
        let target = self.target();
        if target.is_single() {
            return None;
        }
        let (_, column) = target.table.column(target.table.sequence_column.as_deref()?)?;
        let max = column
            .integer_bounds()
            .map_or(u64::MAX, |(_, high)| u64::try_from(high).unwrap_or(u64::MAX));
        Some(SequenceUse {
            table: target.table.name.clone(),
            column: column.name.clone(),
            max,
            keeps_null: column.nullable,
        })
    }

    // Listed rows.

    fn listed(&self) -> Result<Made, SqlError> {
        let columns = self.columns()?;
        self.check_widths(columns.len())?;
        if let Some(reason) = self.must_be_checked() {
            return self.scratch_listed(reason);
        }
        let home = self.home();
        if let InsertHome::Shard { .. } = home {
            if let Found::One(home @ Home::Shard { .. }) = Places::of(self.bound).home {
                return Ok(self.on_one_place(home));
            }
            return self.scratch_listed("a value is read from other shards");
        }
        if let Some(reason) = self.meets_rows() {
            return self.scratch_listed(reason);
        }
        if let Some(reason) = self.must_be_made()? {
            return self.scratch_listed(reason);
        }
        if self.bound.facts.assigns_variables {
            return self.scratch_listed("values assign user variables");
        }
        let mut listed = Listed::new(self, &columns, self.sequence(), &home);
        let planned = self.rows().map(|row| listed.row(&row)).collect::<Result<Vec<_>, _>>()?;
        listed.add_sequence_column();
        Ok(listed.finish(planned, home))
    }

    /// All rows are as wide as the columns, or all are `()` where no columns are named.
    fn check_widths(&self, columns: usize) -> Result<(), SqlError> {
        let unnamed = match &self.insert.source {
            InsertSource::Values { .. } => self.insert.columns.is_empty(),
            _ => false,
        };
        let first_is_empty = self.rows().next().is_some_and(|row| row.is_empty());
        let width = if unnamed && first_is_empty { 0 } else { columns };
        match self.rows().position(|row| row.width() != width) {
            None => Ok(()),
            Some(index) => {
                let text = format!("Column count doesn't match value count at row {}", index + 1);
                Err(SqlError::new(VALUE_COUNT_MISMATCH, text))
            }
        }
    }

    /// A single table: its data node does it all.
    fn on_one_place(&self, home: Home) -> Made {
        let mut edits = name_edits(self.bound, NameMode::TargetPlain);
        let cacheable = keep_item_names(self.bound, &self.insert.returning, &mut edits);
        let plan = RoutedPlan {
            tables: Places::of(self.bound).tables,
            home,
            forward: Template::edited(self.subject.whole(), edits),
            many: Many::Refused(refused("the statement has one place to run")),
            key_guard: None,
            by_values: true,
            counts_found: false,
            wants_database: false,
            told_id: self.told_id(),
            kind: RowKind::Write,
        };
        Made::write(Plan::Routed(Box::new(plan)), cacheable, self.bound.facts.uses)
    }

    // Rows of a query.

    fn rows_of(&self, query: &Query) -> Result<Made, SqlError> {
        if let Some(made) = self.query_on_one_place().filter(|_| self.must_be_checked().is_none()) {
            return Ok(made);
        }
        // The query is planned by itself, without the table that is written.
        let mut binder = self.subject.binder();
        binder.query(query, None, false)?;
        let mut bound = binder.finish();
        self.check_updates(query, &bound)?;
        let strangers = self.strangers();
        bound.additions.extend(self.addition(&bound, query, &strangers)?);
        if bound.facts.system_schema {
            return Err(refused("INSERT ... SELECT from system schemas is not supported"));
        }
        let range = bound.range(query.span);
        let statement = &self.subject.parsed.stmt;
        let (mut source, cacheable) = routed(self.subject, &bound, query, statement, range)?;
        source.kind = RowKind::Read;
        let Some(placer) = self.placer()? else {
            return self.scratch_query(
                "the sharding key's default places the row",
                source,
                cacheable,
            );
        };
        if let Some(reason) = self.must_be_checked() {
            return self.scratch_query(reason, source, cacheable);
        }
        if let Some(reason) = self.meets_rows() {
            return self.scratch_query(reason, source, cacheable);
        }
        let (head, tail) = self.head_and_tail(&placer)?;
        let target = self.target();
        let table = plan_table(target, place_of(target));
        let tables = Arc::from([table]);
        let plan = InsertSelectPlan {
            lists_columns: !self.insert.columns.is_empty(),
            source,
            placer,
            tables,
            head,
            tail,
            verb: self.verb(),
            updates_on_duplicate: !self.insert.on_duplicate.is_empty(),
        };
        let uses = bound.facts.uses;
        Ok(Made::write(Plan::InsertSelect(Box::new(plan)), cacheable, uses))
    }

    /// Single tables alone, on one shard: the data node does it all.
    fn query_on_one_place(&self) -> Option<Made> {
        let sharded = self.bound.refs.iter().any(crate::bind::Reference::is_sharded);
        if !self.target().is_single() || sharded {
            return None;
        }
        match Places::of(self.bound).home {
            Found::One(home @ Home::Shard { .. }) => Some(self.on_one_place(home)),
            _ => None,
        }
    }

    /// Places rows by the query's values; `None` where a key is not among them.
    fn placer(&self) -> Result<Option<RowPlacer>, SqlError> {
        let columns = self.columns()?;
        let position =
            |name: &str| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let sequence = self
            .sequence()
            .map(|of| PlacedSequence { position: position(&of.column).map(number), of });
        let home = self.home();
        let mut key_positions = Vec::new();
        if let InsertHome::Sharded(router) = &home {
            for key in &router.columns {
                let position = position(&key.name).map(number);
                let generated = sequence.as_ref().is_some_and(|sequence| {
                    sequence.position.is_none() && sequence.of.column == key.name
                });
                if (position.is_none() && !generated) || key.generated {
                    return Ok(None);
                }
                key_positions.push(position);
            }
        }
        let schema = self.target().schema.name.clone();
        Ok(Some(RowPlacer { schema, home, width: number(columns.len()), key_positions, sequence }))
    }

    /// What the statement does with rows that are there already.
    pub(super) fn verb(&self) -> InsertVerb {
        match (self.insert.replace, self.insert.ignore) {
            (true, _) => InsertVerb::Replace,
            (false, true) => InsertVerb::Ignore,
            (false, false) => InsertVerb::Insert,
        }
    }

    fn head_and_tail(&self, placer: &RowPlacer) -> Result<(Template, Template), SqlError> {
        let columns = self.columns()?;
        let mut names: Vec<Vec<u8>> = columns.iter().map(|column| quoted(&column.name)).collect();
        if let Some(PlacedSequence { of, position: None }) = &placer.sequence {
            names.push(quoted(&of.column));
        }
        let list = [b" (".to_vec(), names.join(b", ".as_slice()), b") VALUES ".to_vec()].concat();
        let pieces = vec![Piece::text(self.verb().sql()), Piece::Table(0), Piece::Text(list)];
        let head = Template::made(pieces, Vec::new());
        let tail = match self.insert.on_duplicate_span {
            None => Template::default(),
            Some(span) => {
                let edits = name_edits(self.bound, NameMode::TargetPlain);
                let pieces = vec![Piece::text(" "), Piece::Tokens(self.bound.range(span))];
                Template::made(pieces, edits)
            }
        };
        Ok((head, tail))
    }
}

/// DEFAULT or DEFAULT(column).
pub(super) fn is_default(value: &Expr) -> bool {
    expr::any(value, &|part| matches!(part.kind, ExprKind::Default(_)))
}

fn place_of(target: &crate::bind::Reference<'_>) -> crate::plan::TablePlace {
    use crate::plan::TablePlace;
    match &target.table.placement {
        Placement::Sharded(rule) => TablePlace::Sharded { suffixed: rule.table.is_some() },
        Placement::Broadcast => TablePlace::Broadcast,
        Placement::Single => TablePlace::Fixed { shard: 0 },
    }
}

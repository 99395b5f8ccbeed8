//! Listed rows: the values that place each row, and the edits that write ids and evaluated values in.

use super::rows::RowOf;
use super::{Maker, is_default, place_of};
use crate::expr::{self, value_of};
use crate::insert::{InsertHome, InsertPlan, InsertRowPlan, InsertValue, SequenceUse};
use crate::names::{NameMode, name_edits, number};
use crate::plan::Plan;
use crate::planner::{Made, refused};
use crate::query::places::plan_table;
use crate::template::{Edit, Piece, Template, TokenRange, quoted};
use crate::value::ValueRef;
use base::sql_error::SqlError;
use sql_syntax::ast::{Expr, ExprKind, InsertSource, LiteralKind};
use std::sync::Arc;
use topology::model::{Column, ColumnClass};

/// Listed rows while they are planned.
pub(super) struct Listed<'l, 'm, 's> {
    maker: &'l Maker<'m, 's>,
    /// The router's key columns; `None` for broadcast tables.
    keys: Option<Vec<KeyPlace>>,
    sequence: Option<SequenceUse>,
    /// The place of the sequence's column among the columns.
    sequence_at: Option<usize>,
    edits: Vec<Edit>,
    /// Expressions that a data node evaluates first.
    evaluated: Vec<TokenRange>,
    /// Those of them that are stored in a column of a date.
    evaluated_dates: Vec<u32>,
}

/// A key column.
struct KeyPlace {
    name: String,
    /// Its place among the columns.
    at: Option<usize>,
    /// It is the sequence's column.
    is_sequence: bool,
    /// It is a DATE, DATETIME or TIMESTAMP.
    is_date: bool,
}

impl<'l, 'm, 's> Listed<'l, 'm, 's> {
    pub fn new(
        maker: &'l Maker<'m, 's>,
        columns: &[&Column],
        sequence: Option<SequenceUse>,
        home: &InsertHome,
    ) -> Self {
        let place =
            |name: &str| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let is_sequence =
            |name: &str| sequence.as_ref().is_some_and(|of| of.column.eq_ignore_ascii_case(name));
        let keys = match home {
            InsertHome::Sharded(router) => Some(
                router
                    .columns
                    .iter()
                    .map(|key| KeyPlace {
                        name: key.name.clone(),
                        at: place(&key.name),
                        is_sequence: is_sequence(&key.name),
                        is_date: matches!(
                            maker.target().table.column(&key.name).map(|(_, of)| of.class),
                            Some(ColumnClass::Date | ColumnClass::DateTime)
                        ),
                    })
                    .collect(),
            ),
            _ => None,
        };
        let sequence_at = sequence.as_ref().and_then(|of| place(&of.column));
        let edits = name_edits(maker.bound, NameMode::TargetPlain);
        let (evaluated, evaluated_dates) = (Vec::new(), Vec::new());
        Listed { maker, keys, sequence, sequence_at, edits, evaluated, evaluated_dates }
    }

    pub fn row(&mut self, row: &RowOf<'_>) -> Result<InsertRowPlan, SqlError> {
        let sequence = self.sequence_value(row);
        let mut keys = Vec::new();
        match self.keys.take() {
            Some(places) => {
                keys.reserve_exact(places.len());
                for place in &places {
                    keys.push(self.key(place, row, sequence.as_ref())?);
                }
                self.keys = Some(places);
            }
            None => self.fix_random_values(row),
        }
        Ok(InsertRowPlan {
            tokens: row.tokens,
            keys,
            sequence,
            free: row.is_free(self.maker.bound),
        })
    }

    /// The value given for the sequence column; edits its text.
    fn sequence_value(&mut self, row: &RowOf<'_>) -> Option<InsertValue> {
        let keeps_null = self.sequence.as_ref()?.keeps_null;
        let given = self.sequence_at.and_then(|place| row.value(place, self.maker.bound));
        let Some(given) = given.as_deref() else { return Some(InsertValue::Generated) };
        let tokens = self.maker.bound.range(given.span);
        let is_default = matches!(given.unparen().kind, ExprKind::Default(_));
        if is_default || is_null(given) && !keeps_null {
            let pieces = vec![Piece::GeneratedId { otherwise: None }];
            self.edits.push(Edit::replace(tokens, pieces).once());
            return Some(InsertValue::Generated);
        }
        let (value, otherwise) = match self.value(given, row) {
            (value, true) => {
                // What was placed must be what is stored.
                let piece = Box::new(Piece::Value(value.clone()));
                (InsertValue::GeneratedIfEmpty(value), Some(piece))
            }
            (value, false) => {
                (InsertValue::GeneratedIfEmpty(value), Some(Box::new(Piece::Tokens(tokens))))
            }
        };
        let pieces = vec![Piece::GeneratedId { otherwise }];
        self.edits.push(Edit::replace(tokens, pieces).once());
        Some(value)
    }

    /// A value that a plan can refer to: a literal, a parameter, or an expression to be evaluated.
    fn value(&mut self, expr: &Expr, row: &RowOf<'_>) -> (ValueRef, bool) {
        let bound = self.maker.bound;
        match value_of(expr, bound.src) {
            Some(value) => (value, false),
            None => {
                let range = bound.range(expr.span);
                // It may be known from this row.
                let of_row = |other: &&TokenRange| other.first >= row.tokens.first;
                let known = self
                    .evaluated
                    .iter()
                    .rev()
                    .take_while(of_row)
                    .position(|other| *other == range);
                let index = match known {
                    Some(back) => self.evaluated.len() - 1 - back,
                    None => {
                        self.evaluated.push(range);
                        self.evaluated.len() - 1
                    }
                };
                (ValueRef::Evaluated { index: number(index) }, true)
            }
        }
    }

    fn key(
        &mut self,
        place: &KeyPlace,
        row: &RowOf<'_>,
        sequence: Option<&InsertValue>,
    ) -> Result<InsertValue, SqlError> {
        if place.is_sequence
            && let Some(sequence) = sequence
        {
            return Ok(sequence.clone());
        }
        let given = place.at.and_then(|at| row.value(at, self.maker.bound));
        // Rows without a value that can be known here are made by a server (`must_be_made`).
        let given =
            given.ok_or_else(|| refused(format!("sharding key '{}' has no value", place.name)))?;
        let (value, evaluated) = self.value(&given, row);
        if evaluated {
            // What was placed must be what is stored.
            let at = self.maker.bound.range(given.span);
            self.edits.push(Edit::replace(at, vec![Piece::Value(value.clone())]));
            if let (true, ValueRef::Evaluated { index }) = (place.is_date, &value) {
                self.evaluated_dates.push(*index);
            }
        }
        Ok(InsertValue::Given(value))
    }

    /// All copies of a broadcast row must be the same.
    fn fix_random_values(&mut self, row: &RowOf<'_>) {
        let src = self.maker.bound.src;
        for (position, given) in row.exprs() {
            if Some(position) != self.sequence_at
                && (expr::is_random(given, src) || crate::write::reads_clock(given, src))
                && !expr::has_column(given)
            {
                let (value, _) = self.value(given, row);
                let at = self.maker.bound.range(given.span);
                self.edits.push(Edit::replace(at, vec![Piece::Value(value)]));
            }
        }
    }

    /// A sequence column that the statement does not name is added to it.
    pub fn add_sequence_column(&mut self) {
        let Some(sequence) = &self.sequence else { return };
        let rows = || self.maker.rows();
        if self.sequence_at.is_some() && rows().all(|row| !row.is_empty()) {
            return;
        }
        let insert = self.maker.insert;
        let name = quoted(&sequence.column);
        let id = Piece::GeneratedId { otherwise: None };
        if let InsertSource::Set { .. } = insert.source {
            for row in rows() {
                let text = [b", ".to_vec(), name.clone(), b" = ".to_vec()].concat();
                self.edits.push(Edit::after(row.last_inside, vec![Piece::Text(text), id.clone()]));
            }
            return;
        }
        let bound = self.maker.bound;
        match insert.columns.last() {
            Some(last) => {
                let text = [b", ".to_vec(), name].concat();
                self.edits.push(Edit::after(last.name.tok, vec![Piece::Text(text)]));
            }
            None => {
                let list = [b" (".to_vec(), name, b")".to_vec()].concat();
                match TokenRange::of(bound.tokens, insert.columns_span) {
                    Some(at) => {
                        self.edits.push(Edit::replace(at, vec![Piece::Text(list)]));
                    }
                    None => {
                        let after = insert
                            .partitions
                            .last()
                            .map_or(insert.table.name.tok, |last| last.tok + 1);
                        self.edits.push(Edit::after(after, vec![Piece::Text(list)]));
                    }
                }
            }
        }
        for row in rows() {
            let mut pieces = if row.is_empty() { Vec::new() } else { vec![Piece::text(", ")] };
            pieces.push(id.clone());
            self.edits.push(Edit::after(row.last_inside, pieces));
        }
    }

    pub fn finish(self, rows: Vec<InsertRowPlan>, home: InsertHome) -> Made {
        let maker = self.maker;
        let target = maker.target();
        let evaluation = (!self.evaluated.is_empty()).then(|| {
            let mut pieces = Vec::new();
            for range in &self.evaluated {
                pieces.push(Piece::text(if pieces.is_empty() { "SELECT " } else { ", " }));
                pieces.push(Piece::Tokens(*range));
            }
            Template::made(pieces, name_edits(maker.bound, NameMode::TargetPlain))
        });
        let plan = InsertPlan {
            tables: Arc::from([plan_table(target, place_of(target))]),
            schema: target.schema.name.clone(),
            home,
            evaluation,
            evaluated_dates: self.evaluated_dates,
            rows,
            sequence: self.sequence,
            text: Template::edited(maker.subject.whole(), self.edits),
            verb: maker.verb(),
            updates_on_duplicate: !maker.insert.on_duplicate.is_empty(),
            gives_defaults: maker.rows().any(|row| row.exprs().any(|(_, value)| is_default(value))),
        };
        Made::write(Plan::Insert(Box::new(plan)), true, maker.bound.facts.uses)
    }
}

fn is_null(expr: &Expr) -> bool {
    expr.as_literal().is_some_and(|literal| literal.kind == LiteralKind::Null)
}

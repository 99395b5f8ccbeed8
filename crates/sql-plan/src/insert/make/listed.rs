//! Listed rows: the values that place each row, and the edits that write ids and evaluated values in.

use super::{Maker, RowOf, place_of};
use crate::expr::{self, value_of};
use crate::insert::{InsertHome, InsertPlan, InsertRowPlan, InsertValue, SequenceUse};
use crate::names::{NameMode, name_edits, number};
use crate::plan::Plan;
use crate::planner::{Made, refused};
use crate::query::places::plan_table;
use crate::route::Router;
use crate::template::{Edit, Piece, Template, TokenRange, quoted};
use crate::value::ValueRef;
use base::sql_error::SqlError;
use sql_syntax::ast::{Expr, ExprKind, InsertSource, LiteralKind};
use std::sync::Arc;
use topology::model::Column;

/// Listed rows while they are planned.
pub(super) struct Listed<'l, 'm, 's> {
    pub maker: &'l Maker<'m, 's>,
    pub columns: Vec<&'l Column>,
    pub home: InsertHome,
    pub sequence: Option<SequenceUse>,
    pub edits: Vec<Edit>,
    /// Expressions that a data node evaluates first.
    pub evaluated: Vec<TokenRange>,
}

impl Listed<'_, '_, '_> {
    fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    pub fn row(&mut self, row: &RowOf<'_>) -> Result<InsertRowPlan, SqlError> {
        let sequence = self.sequence_value(row);
        let mut keys = Vec::new();
        if let InsertHome::Sharded(router) = self.home.clone() {
            for key in &router.columns {
                keys.push(self.key(&router, &key.name, row, sequence.as_ref())?);
            }
        } else {
            self.fix_random_values(row);
        }
        Ok(InsertRowPlan { tokens: row.tokens, keys, sequence })
    }

    /// The value given for the sequence column; edits its text.
    fn sequence_value(&mut self, row: &RowOf<'_>) -> Option<InsertValue> {
        let sequence = self.sequence.as_ref()?;
        let (column, keeps_null) = (sequence.column.clone(), sequence.keeps_null);
        let given = self.position(&column).and_then(|position| row.values.get(position).copied());
        let Some(given) = given else { return Some(InsertValue::Generated) };
        let tokens = self.maker.bound.range(given.span);
        let is_default = matches!(given.unparen().kind, ExprKind::Default(_));
        if is_default || is_null(given) && !keeps_null {
            let pieces = vec![Piece::GeneratedId { otherwise: None }];
            self.edits.push(Edit::replace(tokens, pieces).once());
            return Some(InsertValue::Generated);
        }
        let (value, otherwise) = match self.value(given) {
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
    fn value(&mut self, expr: &Expr) -> (ValueRef, bool) {
        let bound = self.maker.bound;
        match value_of(expr, bound.src) {
            Some(value) => (value, false),
            None => {
                let range = bound.range(expr.span);
                let known = self.evaluated.iter().position(|other| *other == range);
                let index = known.unwrap_or_else(|| {
                    self.evaluated.push(range);
                    self.evaluated.len() - 1
                });
                (ValueRef::Evaluated { index: number(index) }, true)
            }
        }
    }

    fn key(
        &mut self,
        router: &Router,
        name: &str,
        row: &RowOf<'_>,
        sequence: Option<&InsertValue>,
    ) -> Result<InsertValue, SqlError> {
        debug_assert!(router.key(name).is_some());
        let is_sequence =
            self.sequence.as_ref().is_some_and(|of| of.column.eq_ignore_ascii_case(name));
        if is_sequence && let Some(sequence) = sequence {
            return Ok(sequence.clone());
        }
        let given = self.position(name).and_then(|position| row.values.get(position).copied());
        // Rows without a value that can be known here are made by a server (`must_be_made`).
        let given = given.ok_or_else(|| refused(format!("sharding key '{name}' has no value")))?;
        let (value, evaluated) = self.value(given);
        if evaluated {
            // What was placed must be what is stored.
            let at = self.maker.bound.range(given.span);
            self.edits.push(Edit::replace(at, vec![Piece::Value(value.clone())]));
        }
        Ok(InsertValue::Given(value))
    }

    /// All copies of a broadcast row must be the same.
    fn fix_random_values(&mut self, row: &RowOf<'_>) {
        let sequence = self.sequence.as_ref().and_then(|of| self.position(&of.column));
        for (position, given) in row.values.iter().enumerate() {
            if Some(position) != sequence
                && (expr::is_random(given, self.maker.bound.src)
                    || crate::write::reads_clock(given, self.maker.bound.src))
                && !expr::has_column(given)
            {
                let (value, _) = self.value(given);
                let at = self.maker.bound.range(given.span);
                self.edits.push(Edit::replace(at, vec![Piece::Value(value)]));
            }
        }
    }

    /// A sequence column that the statement does not name is added to it.
    pub fn add_sequence_column(&mut self, rows: &[RowOf<'_>]) {
        let Some(sequence) = &self.sequence else { return };
        if self.position(&sequence.column).is_some() && rows.iter().all(|row| !row.empty) {
            return;
        }
        let insert = self.maker.insert;
        let name = quoted(&sequence.column);
        let id = Piece::GeneratedId { otherwise: None };
        if let InsertSource::Set { .. } = insert.source {
            for row in rows {
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
        for row in rows {
            let mut pieces = if row.empty { Vec::new() } else { vec![Piece::text(", ")] };
            pieces.push(id.clone());
            self.edits.push(Edit::after(row.last_inside, pieces));
        }
    }

    pub fn finish(self, rows: Vec<InsertRowPlan>) -> Made {
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
            home: self.home,
            evaluation,
            rows,
            sequence: self.sequence,
            text: Template::edited(maker.subject.whole(), self.edits),
            verb: maker.verb(),
            updates_on_duplicate: !maker.insert.on_duplicate.is_empty(),
        };
        Made::write(Plan::Insert(Box::new(plan)), true, maker.bound.facts.uses)
    }
}

fn is_null(expr: &Expr) -> bool {
    expr.as_literal().is_some_and(|literal| literal.kind == LiteralKind::Null)
}

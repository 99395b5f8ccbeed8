//! The writer: the source's text between edits, the edits' pieces in their places.

use super::{Edit, Fill, How, Piece, REDUCTIONS_FROM, Rendered, RowFill, TokenRange};
use super::{push_quoted, push_quoted_numbered};
use crate::plan::TablePlace;
use crate::value::ValueRef;
use sql_syntax::{Hint, HintKind};
use topology::algorithm::Target;

/// Writes one template.
pub(super) struct Writer<'w, 'f> {
    pub fill: &'w Fill<'f>,
    pub target: Target,
    pub out: &'w mut Rendered,
    pub edits: &'w [Edit],
    pub row: Option<RowFill>,
    pub copying: bool,
    pub explain: bool,
}

impl Writer<'_, '_> {
    /// Writes tokens with the edits inside of them. Text between tokens is copied as it stands.
    pub fn tokens(&mut self, range: TokenRange) {
        let edits = self.edits;
        let from = edits.partition_point(|edit| edit.order().0 < range.first);
        let mut next = range.first;
        let whole = self.fill.values.tokens.text_span();
        // A whole statement keeps the comments before and after it (hints); a copy or a row has none.
        let exact = self.copying || self.row.is_some();
        let last_token = u32::try_from(self.fill.values.tokens.tokens().len()).unwrap_or(u32::MAX);
        // A server would take these hints for statements of its own.
        let strange = |hint: &Hint| hint.before_tok == 0 && hint.kind != HintKind::Optimizer;
        let at_start =
            range.first == 0 && !exact && !self.fill.values.tokens.hints().iter().any(strange);
        let mut position = if at_start { whole.start } else { self.start(range.first) };
        for edit in &edits[from..] {
            let at = match edit.how {
                How::After => edit.at.last,
                _ => edit.at.first,
            };
            if at > range.last {
                break;
            }
            if self.copying && edit.once {
                continue;
            }
            // Inside of tokens that are replaced already.
            if at < next && edit.how != How::After {
                continue;
            }
            match edit.how {
                How::Before => position = self.copy(next, at, position, self.start(at)),
                How::After if at + 1 < next => continue,
                How::After => {
                    position = self.copy(next, at + 1, position, self.end(at));
                    next = at + 1;
                }
                How::Replace => {
                    self.copy(next, at, position, self.start(at));
                    position = self.end(edit.at.last);
                    next = edit.at.last + 1;
                }
            }
            if edit.how == How::Before {
                next = at;
            }
            self.pieces(&edit.pieces);
        }
        let at_end = range.last + 2 >= last_token && !exact;
        let end = if at_end { whole.end } else { self.end(range.last) };
        self.copy(next, range.last + 1, position, end.max(position));
    }

    fn start(&self, token: u32) -> u32 {
        self.fill.values.tokens.span(token).start
    }

    fn end(&self, token: u32) -> u32 {
        self.fill.values.tokens.span(token).end
    }

    /// Copies the source from `position` to `end`, which holds the tokens `first..last`; notes or
    /// writes out the parameters among them.
    fn copy(&mut self, first: u32, last: u32, position: u32, end: u32) -> u32 {
        let values = self.fill.values;
        let mut position = position;
        if self.explain {
            for token in first..last {
                if let Some(ordinal) = values.literal_ordinal(token) {
                    self.raw(position, self.start(token));
                    self.out.text.extend_from_slice(format!("?{ordinal}").as_bytes());
                    position = self.end(token);
                }
            }
            self.raw(position, end);
            return end;
        }
        if !values.params.is_empty() || !self.fill.inline_params {
            for token in first..last {
                let Some(ordinal) = values.param_of_token(token) else { continue };
                if self.fill.inline_params {
                    self.raw(position, self.start(token));
                    self.value(&ValueRef::Param { ordinal });
                    position = self.end(token);
                } else {
                    self.out.params.push(ordinal);
                }
            }
        }
        self.raw(position, end);
        end
    }

    fn raw(&mut self, from: u32, to: u32) {
        let bytes = self.fill.values.text.get(from as usize..to as usize).unwrap_or_default();
        self.out.text.extend_from_slice(bytes);
    }

    fn value(&mut self, value: &ValueRef) {
        if self.explain {
            self.out.text.extend_from_slice(b"<value>");
            return;
        }
        crate::value::write_typed_literal(&value.resolve(self.fill.values), &mut self.out.text);
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.piece(piece);
        }
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Text(text) => self.out.text.extend_from_slice(text),
            Piece::Table(index) | Piece::TableName(index) if self.explain => {
                if let Some(table) = self.fill.tables.get(*index as usize) {
                    push_quoted(table.name.as_bytes(), &mut self.out.text);
                }
            }
            Piece::GeneratedId { .. } if self.explain => self.out.text.extend_from_slice(b"<id>"),
            Piece::Database(index) if self.explain => {
                if let Some(table) = self.fill.tables.get(*index as usize) {
                    push_quoted(table.schema.as_bytes(), &mut self.out.text);
                }
            }
            Piece::Table(index) => {
                self.database(*index);
                self.out.text.push(b'.');
                self.table_name(*index);
            }
            Piece::TableName(index) => self.table_name(*index),
            Piece::Database(index) => self.database(*index),
            Piece::Suffixed(name) if self.explain => {
                push_quoted(name.as_bytes(), &mut self.out.text)
            }
            Piece::Suffixed(name) => {
                let number = Some((self.target.suffix, 1));
                push_quoted_numbered(name.as_bytes(), number, &mut self.out.text);
            }
            Piece::ByShard { shown, .. } if self.explain => self.out.text.extend_from_slice(shown),
            Piece::ByShard { texts, .. } => {
                if let Some(text) = texts.get(self.target.shard as usize) {
                    self.out.text.extend_from_slice(text);
                }
            }
            Piece::Temporary(load) => (self.fill.temporary)(*load, &mut self.out.text),
            Piece::Reduction(number) => {
                (self.fill.temporary)(REDUCTIONS_FROM + number, &mut self.out.text);
            }
            Piece::Tokens(range) => {
                let copying = std::mem::replace(&mut self.copying, true);
                self.tokens(*range);
                self.copying = copying;
            }
            Piece::Sum(parts) => {
                let sum = parts.iter().fold(0_u64, |sum, part| {
                    sum.saturating_add(self.fill.values.unsigned(part).unwrap_or(u64::MAX))
                });
                self.out.text.extend_from_slice(sum.to_string().as_bytes());
            }
            Piece::Value(value) => self.value(value),
            Piece::Session(value) => (self.fill.session)(*value, &mut self.out.text),
            Piece::GeneratedId { otherwise } => {
                match (self.row.and_then(|row| row.id), otherwise) {
                    (Some(id), _) => self.out.text.extend_from_slice(id.to_string().as_bytes()),
                    (None, Some(given)) => self.piece(given),
                    (None, None) => self.out.text.extend_from_slice(b"NULL"),
                }
            }
        }
    }

    fn database(&mut self, index: u32) {
        if let Some(table) = self.fill.tables.get(index as usize) {
            let number = (table.shard_at(self.target), topology::model::DATABASE_DIGITS);
            push_quoted_numbered(table.schema.as_bytes(), Some(number), &mut self.out.text);
        }
    }

    fn table_name(&mut self, index: u32) {
        if let Some(table) = self.fill.tables.get(index as usize) {
            let number = match table.place {
                TablePlace::Sharded { suffixed: true } => Some((self.target.suffix, 1)),
                _ => None,
            };
            push_quoted_numbered(table.physical_base().as_bytes(), number, &mut self.out.text);
        }
    }
}

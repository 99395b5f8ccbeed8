//! The rows that an INSERT lists, looked at without making anything of those of constants.

use super::Maker;
use crate::bind::Bound;
use crate::expr;
use crate::template::TokenRange;
use sql_syntax::TokenKind;
use sql_syntax::ast::{Assignment, Expr, ExprKind, InsertRow, InsertSource};
use std::borrow::Cow;

/// A row's values with the tokens that it takes.
pub(in crate::insert) struct RowOf<'m> {
    values: Given<'m>,
    pub(super) tokens: TokenRange,
    /// The last token inside of the row's brackets, or of SET.
    pub(super) last_inside: u32,
}

enum Given<'m> {
    Listed(&'m InsertRow),
    Set(&'m [Assignment]),
}

impl<'m> RowOf<'m> {
    /// How many values there are.
    pub(in crate::insert) fn width(&self) -> usize {
        match self.values {
            Given::Listed(row) => row.width(),
            Given::Set(assignments) => assignments.len(),
        }
    }

    /// `()`: each column has its default.
    pub(in crate::insert) fn is_empty(&self) -> bool {
        self.width() == 0
    }

    /// A value by its place.
    pub(in crate::insert) fn value(
        &self,
        place: usize,
        bound: &Bound<'_>,
    ) -> Option<Cow<'m, Expr>> {
        match self.values {
            Given::Set(assignments) => assignments.get(place).map(|of| Cow::Borrowed(&of.value)),
            Given::Listed(row) => match row.exprs() {
                [] => row.constant(place, bound.tokens).map(Cow::Owned),
                exprs => exprs.get(place).map(Cow::Borrowed),
            },
        }
    }

    /// The values that are more than constants, with their places.
    pub(in crate::insert) fn exprs(&self) -> impl Iterator<Item = (usize, &'m Expr)> + use<'m> {
        let (exprs, assignments): (&[Expr], &[Assignment]) = match self.values {
            Given::Listed(row) => (row.exprs(), &[]),
            Given::Set(assignments) => (&[], assignments),
        };
        exprs.iter().chain(assignments.iter().map(|of| &of.value)).enumerate()
    }

    /// Whether every value is a constant.
    pub(in crate::insert) fn is_constant(&self) -> bool {
        match self.values {
            Given::Listed(row) => row.exprs().is_empty() && row.width() > 0,
            Given::Set(_) => false,
        }
    }

    /// Whether it is `(…)` of values that a query without tables can give as well.
    pub(super) fn is_free(&self, bound: &Bound<'_>) -> bool {
        let Given::Listed(row) = self.values else { return false };
        let opening = bound.tokens.tokens().get(row.first as usize);
        let bound_to_row = |part: &Expr| {
            matches!(part.kind, ExprKind::Column(_) | ExprKind::Default(_) | ExprKind::Values(_))
        };
        opening.is_some_and(|token| token.kind == TokenKind::LParen)
            && !row.exprs().iter().any(|value| expr::any(value, &bound_to_row))
    }
}

impl<'m> Maker<'m, '_> {
    /// The listed rows; none where a query gives them.
    pub(in crate::insert) fn rows(&self) -> impl Iterator<Item = RowOf<'m>> + use<'m> {
        let (rows, set): (&[InsertRow], _) = match &self.insert.source {
            InsertSource::Values { rows, .. } => (rows, None),
            InsertSource::Set { assignments, span } => {
                let tokens = self.bound.range(*span);
                let values = Given::Set(assignments);
                (&[], Some(RowOf { values, tokens, last_inside: tokens.last }))
            }
            InsertSource::Query(_) => (&[], None),
        };
        let listed = rows.iter().map(|row| RowOf {
            values: Given::Listed(row),
            tokens: TokenRange { first: row.first, last: row.last },
            last_inside: row.last.saturating_sub(1),
        });
        listed.chain(set)
    }
}

//! The rows of VALUES in INSERT and REPLACE. Long statements have thousands of them, nearly all of
//! constants alone; those are taken by a look at their tokens, and no tree is made of them.

use super::{Parser, Result};
use crate::ast::{Expr, ExprKind, InsertRow, Literal, LiteralKind, RowValues, Span, UnaryOp};
use crate::keyword::Keyword;
use crate::lexer::{Token, TokenBuf, TokenKind as T};

/// Rows for which room is made at once; more rooms are made as they are needed.
const ROWS_AT_ONCE: usize = 4_096;

impl Parser<'_> {
    /// The rows behind VALUES.
    pub(super) fn insert_rows(&mut self) -> Result<Vec<InsertRow>> {
        let first = self.insert_row()?;
        // As many as there is text for, if they are all like the first.
        let like_first = match first.last.checked_sub(first.first) {
            Some(tokens) => self.tokens.len() / (tokens as usize + 2),
            None => 1,
        };
        let mut rows = Vec::with_capacity(like_first.clamp(1, ROWS_AT_ONCE));
        rows.push(first);
        while self.eat_kind(T::Comma) {
            rows.push(self.insert_row()?);
        }
        Ok(rows)
    }

    fn insert_row(&mut self) -> Result<InsertRow> {
        if let Some(row) = self.constants() {
            return Ok(row);
        }
        let (start, first) = (self.start(), self.tok());
        self.eat("ROW");
        self.expect_kind(T::LParen)?;
        let values = if self.is(T::RParen) { Vec::new() } else { self.comma_list(|p| p.value())? };
        let last = self.expect_kind(T::RParen)?;
        let values = RowValues::Exprs(values);
        Ok(InsertRow { values, span: self.since(start), first, last })
    }

    /// A row of constants, if it is one; else nothing is taken.
    fn constants(&mut self) -> Option<InsertRow> {
        let first = self.pos;
        let mut rest = self.tokens.get(first..)?.iter();
        let opening = rest.next().filter(|token| token.kind == T::LParen)?;
        let (mut at, mut count) = (first, 0_u32);
        loop {
            let mut value = rest.next()?;
            at += 2;
            if value.kind == T::Minus {
                value = rest.next().filter(|token| is_number(token.kind))?;
                at += 1;
            } else if kind_of(*value).is_none() {
                return None;
            }
            debug_assert!(kind_of(*value).is_some());
            count += 1;
            let behind = rest.next()?;
            match behind.kind {
                T::Comma => {}
                T::RParen => {
                    // The end's token always follows.
                    self.pos = at + 1;
                    return Some(InsertRow {
                        values: RowValues::Constants(count),
                        span: Span::new(opening.start, behind.end),
                        first: first as u32,
                        last: at as u32,
                    });
                }
                _ => return None,
            }
        }
    }
}

fn is_number(kind: T) -> bool {
    matches!(kind, T::Int | T::Decimal | T::Float)
}

/// The literal that a token is by itself.
fn kind_of(token: Token) -> Option<LiteralKind> {
    Some(match token.kind {
        T::Int => LiteralKind::Int,
        T::Decimal => LiteralKind::Decimal,
        T::Float => LiteralKind::Float,
        T::String => LiteralKind::String,
        T::NString => LiteralKind::NationalString,
        T::Hex => LiteralKind::Hex,
        T::Bit => LiteralKind::Bit,
        T::NullLiteral => LiteralKind::Null,
        T::Keyword => match token.keyword {
            Keyword::Null => LiteralKind::Null,
            Keyword::True => LiteralKind::True,
            Keyword::False => LiteralKind::False,
            _ => return None,
        },
        _ => return None,
    })
}

impl InsertRow {
    /// How many values it has.
    #[must_use]
    pub fn width(&self) -> usize {
        match &self.values {
            RowValues::Exprs(exprs) => exprs.len(),
            RowValues::Constants(count) => *count as usize,
        }
    }

    /// The values that are more than constants' tokens.
    #[must_use]
    pub fn exprs(&self) -> &[Expr] {
        match &self.values {
            RowValues::Exprs(exprs) => exprs,
            RowValues::Constants(_) => &[],
        }
    }

    /// The value at a place of a row of constants, as the expression that it would be.
    #[must_use]
    pub fn constant(&self, place: usize, buf: &TokenBuf) -> Option<Expr> {
        let RowValues::Constants(count) = self.values else { return None };
        if place >= count as usize {
            return None;
        }
        let tok = self.constant_token(place, count, buf)?;
        let token = *buf.tokens().get(tok as usize)?;
        if token.kind != T::Minus {
            return literal(token, tok);
        }
        let number = literal(*buf.tokens().get(tok as usize + 1)?, tok + 1)?;
        let span = token.span().to(number.span);
        let kind = ExprKind::Unary { op: UnaryOp::Minus, expr: Box::new(number) };
        Some(Expr { kind, span })
    }

    /// The first token of a value: at once where none has a minus, else counted by the commas.
    fn constant_token(&self, place: usize, count: u32, buf: &TokenBuf) -> Option<u32> {
        if self.last - self.first == 2 * count {
            return Some(self.first + 1 + 2 * place as u32);
        }
        let inside = buf.tokens().get(self.first as usize + 1..self.last as usize)?;
        let commas = inside.iter().enumerate().filter(|(_, token)| token.kind == T::Comma);
        let before = match place.checked_sub(1) {
            None => return Some(self.first + 1),
            Some(nth) => commas.map(|(at, _)| at as u32).nth(nth)?,
        };
        Some(self.first + 2 + before)
    }
}

fn literal(token: Token, tok: u32) -> Option<Expr> {
    let kind = ExprKind::Literal(Literal { kind: kind_of(token)?, tok, tok_count: 1 });
    Some(Expr { kind, span: token.span() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ast::{InsertSource, Statement};
    use crate::{LexMode, lex, parse};

    fn rows(text: &str) -> (Vec<InsertRow>, TokenBuf) {
        let (mode, mut buf) = (LexMode::default(), TokenBuf::new());
        lex(text.as_bytes(), 0, &mode, &mut buf);
        let Statement::Insert(insert) = parse(text.as_bytes(), &buf, &mode).unwrap().stmt else {
            panic!("an INSERT")
        };
        let InsertSource::Values { rows, .. } = insert.source else { panic!("listed rows") };
        (rows, buf)
    }

    #[test]
    fn rows_of_constants_have_no_tree() {
        let text = "INSERT INTO t VALUES (1, 'a', NULL), (-2.5, x'00', TRUE) , (3, 4 + 4, 'b' 'c'), ( ), \
                    (DEFAULT), ROW (7), (-'7'), (?), (DATE '2024-01-01'), (_utf8 'a'), (\\N)";
        let (rows, buf) = rows(text);
        let constants: Vec<bool> =
            rows.iter().map(|row| matches!(row.values, RowValues::Constants(_))).collect();
        let expected = [true, true, false, false, false, false, false, false, false, false, true];
        assert_eq!(constants, expected);
        let widths: Vec<usize> = rows.iter().map(InsertRow::width).collect();
        assert_eq!(widths, [3, 3, 3, 0, 1, 1, 1, 1, 1, 1, 1]);
        let shown = |row: usize, place: usize| {
            let expr = rows[row].constant(place, &buf).unwrap();
            String::from_utf8(expr.span.of(text.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!([shown(0, 0), shown(0, 1), shown(0, 2)], ["1", "'a'", "NULL"]);
        assert_eq!([shown(1, 0), shown(1, 1), shown(1, 2)], ["-2.5", "x'00'", "TRUE"]);
        assert!(rows[0].constant(3, &buf).is_none() && rows[2].constant(0, &buf).is_none());
        for row in &rows {
            let span = buf.span(row.first).to(buf.span(row.last));
            assert_eq!(row.span, span);
        }
    }
}

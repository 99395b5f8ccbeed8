//! Statements that are about values alone: SET @a = …, DO, and the values of EXECUTE … USING. Each is
//! run as the SELECT that it amounts to, by whatever plan that needs, and what it assigns is read
//! back from where it ran.

use crate::query::{Source, fetch};
use crate::select_limit::fetch_unlimited;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::insert::value_of;
use sql_plan::value::write_typed_literal;
use sql_syntax::ast::Span;
use sql_syntax::{Edits, Keyword, TokenKind};
use topology::algorithm::SqlValue;

/// Errors of values that DO swallows: a sub-query that gives more than one row.
const DO_SWALLOWS: [u16; 1] = [1242];

/// A part of a statement's text with its parameters written out.
pub fn inlined(source: Source<'_>, span: Span) -> Vec<u8> {
    let mut edits = Edits::new();
    for (ordinal, token) in source.param_tokens.iter().enumerate() {
        let at = source.tokens.span(*token);
        if at.start >= span.start && at.end <= span.end {
            let mut literal = Vec::new();
            write_typed_literal(
                source.params.get(ordinal).unwrap_or(&SqlValue::Null),
                &mut literal,
            );
            edits.replace(at, &literal);
        }
    }
    let mut out = Vec::new();
    edits.apply_within(source.text, span, &mut out);
    out
}

impl Core {
    /// What an expression makes of a user variable: SQL text of the value.
    pub async fn assigned_value(
        &mut self,
        name: &str,
        expression: &[u8],
    ) -> Result<String, ExecError> {
        let digits = !expression.is_empty() && expression.len() < 19;
        if digits && expression.iter().all(u8::is_ascii_digit) {
            return Ok(String::from_utf8_lossy(expression).into_owned());
        }
        let variable = format!("@`{}`", name.replace('`', "``"));
        let before = self.exec.state.clone();
        let text = [b"SELECT ", variable.as_bytes(), b" := (", expression, b"\n)"].concat();
        let ran = fetch_unlimited(self, &text).await;
        let after = std::mem::replace(&mut self.exec.state, before);
        ran?;
        Ok(after.get(&variable).unwrap_or("NULL").to_owned())
    }

    /// DO.
    pub async fn run_do(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        let whole = source.tokens.text_span();
        let first = source.tokens.tokens().iter().find(|token| token.kind != TokenKind::Eof);
        let after_do = first.map_or(whole.start, |token| token.span().end);
        let span = Span::new(after_do, whole.end);
        let text = [b"SELECT ".as_slice(), &inlined(source, span)].concat();
        let before = std::mem::take(&mut self.exec.last.warnings);
        match fetch(self, &text).await {
            Ok(_) => {}
            Err(error) if error.server_number().is_some_and(|one| DO_SWALLOWS.contains(&one)) => {
                let packet = error.packet();
                let (level, code) = ("Error".to_owned(), packet.number);
                let message = packet.message;
                self.exec.last.warnings.push(Warning { level, code, message });
            }
            Err(error) => return Err(error),
        }
        self.exec.last.row_count = 0;
        let warnings = u16::try_from(self.exec.last.warnings.len()).unwrap_or(u16::MAX);
        let names_tables = source.tokens.tokens().iter().any(|one| one.keyword == Keyword::From);
        // As of a server: what reads no tables leaves the warnings of the statement before.
        if warnings == 0 && !names_tables {
            self.exec.last.warnings = before;
        }
        self.reply_ok_packet(OkPacket { warnings, ..OkPacket::default() });
        Ok(())
    }

    /// The values of some expressions.
    pub async fn values_of_expressions(
        &mut self,
        expressions: &[Vec<u8>],
    ) -> Result<Vec<SqlValue>, ExecError> {
        if expressions.is_empty() {
            return Ok(Vec::new());
        }
        let text = [b"SELECT ".as_slice(), &expressions.join(&b", "[..])].concat();
        let (columns, records) = fetch_unlimited(self, &text).await?;
        if columns.len() != expressions.len() {
            return Err(ExecError::Server(ErrPacket::new(
                1241,
                "21000",
                "Operand should contain 1 column(s)",
            )));
        }
        let record =
            records.first().ok_or_else(|| sql(sql_error::UNKNOWN_ERROR, "values without a row"))?;
        Ok(columns
            .iter()
            .enumerate()
            .map(|(at, column)| value_of(record.get(at), column))
            .collect())
    }
}

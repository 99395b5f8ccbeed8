//! PREPARE, EXECUTE and DEALLOCATE PREPARE as statements. What is prepared is the same as by the
//! binary protocol; it is found by its name, and its parameters come from expressions.

use crate::control::text;
use crate::prepared_values::{Given, check_expression, no_subqueries};
use crate::query::Source;
use crate::session::Core;
use crate::statement::{Prepared, STATEMENTS_MAX};
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use sql_syntax::LiteralValue;
use sql_syntax::ast::{Expr, Ident, PreparedStmt};
use std::collections::HashMap;
use topology::algorithm::SqlValue;

/// ER_SP_DOES_NOT_EXIST
const UNKNOWN_FUNCTION: u16 = 1305;

/// Statements by name, in lower case.
#[derive(Debug, Default)]
pub struct NamedStatements(HashMap<String, Prepared>);

impl NamedStatements {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// The error of preparing a statement that can only be sent as text by itself.
pub fn not_preparable(statement: &PreparedStmt) -> ExecError {
    if let Err(error) = check_expressions(statement) {
        return error;
    }
    ExecError::Server(ErrPacket::new(
        1295,
        "HY000",
        "This command is not supported in the prepared statement protocol yet",
    ))
}

/// The error of one statement too many.
pub fn too_many() -> ExecError {
    ExecError::Server(ErrPacket::new(
        1461,
        "42000",
        format!(
            "Can't create more than max_prepared_stmt_count statements (current value: {STATEMENTS_MAX})"
        ),
    ))
}

/// Refuses expressions that read more than values.
fn check_expressions(statement: &PreparedStmt) -> Result<(), ExecError> {
    let (from, verb, using): (_, _, &[Expr]) = match statement {
        PreparedStmt::Prepare { from, .. } => (Some(from), "PREPARE..FROM", &[]),
        PreparedStmt::Execute { using, .. } => (None, "", using),
        PreparedStmt::ExecuteImmediate { from, using } => (Some(from), "EXECUTE IMMEDIATE", using),
        PreparedStmt::Deallocate(_) => (None, "", &[]),
    };
    using.iter().try_for_each(|one| check_expression(one, "EXECUTE..USING"))?;
    from.map_or(Ok(()), |from| check_expression(from, verb))
}

fn unknown(name: &str, verb: &str) -> ExecError {
    sql(
        sql_error::UNKNOWN_PREPARED_STATEMENT,
        format!("Unknown prepared statement handler ({name}) given to {verb}"),
    )
}

impl Core {
    /// PREPARE, EXECUTE, DEALLOCATE PREPARE.
    pub async fn run_prepared_text(
        &mut self,
        statement: &PreparedStmt,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        check_expressions(statement)?;
        match statement {
            PreparedStmt::Prepare { name, from } => {
                let name = statement_name(*name, source);
                self.kept.statements.0.remove(&name);
                let body = self.statement_text(from, "PREPARE..FROM", source).await?;
                let before = std::mem::take(&mut self.exec.last.warnings);
                let (prepared, _, _) = self.make_prepared(&body).await?;
                if !prepared.is_described()
                    && let Some(packet) = self.tried(&body).await?
                {
                    return Err(ExecError::Server(packet));
                }
                if self.kept.statements.0.len() >= STATEMENTS_MAX {
                    return Err(too_many());
                }
                self.kept.statements.0.insert(name, prepared);
                self.exec.last.row_count = 0;
                let warnings = u16::try_from(self.exec.last.warnings.len()).unwrap_or(u16::MAX);
                if warnings == 0 {
                    self.exec.last.warnings = before;
                }
                let info = b"Statement prepared".to_vec();
                self.track_state();
                self.reply_ok_packet(OkPacket { warnings, info, ..OkPacket::default() });
                Ok(())
            }
            PreparedStmt::Execute { name, using } => {
                let shown = text(&name.name(source.text));
                let name = statement_name(*name, source);
                let count = match self.kept.statements.0.get(&name) {
                    Some(prepared) => prepared.param_tokens.len(),
                    None => return Err(unknown(&shown, "EXECUTE")),
                };
                let params = self.using_values(using, count, source).await?;
                let Some(mut prepared) = self.kept.statements.0.remove(&name) else {
                    return Err(unknown(&shown, "EXECUTE"));
                };
                self.counts.begin();
                let ran = self.run_using(&mut prepared, using, &params, source).await;
                self.kept.statements.0.insert(name, prepared);
                ran
            }
            PreparedStmt::ExecuteImmediate { from, using } => {
                let body = self.statement_text(from, "EXECUTE IMMEDIATE", source).await?;
                let (mut prepared, _, _) = self.make_prepared(&body).await?;
                let count = prepared.param_tokens.len();
                let params = self.using_values(using, count, source).await?;
                self.counts.begin();
                self.run_using(&mut prepared, using, &params, source).await
            }
            PreparedStmt::Deallocate(name) => {
                let shown = text(&name.name(source.text));
                let name = statement_name(*name, source);
                match self.kept.statements.0.remove(&name) {
                    Some(_) => {
                        self.exec.last.row_count = 0;
                        self.reply_ok_packet(OkPacket::default());
                        Ok(())
                    }
                    None => Err(unknown(&shown, "DEALLOCATE PREPARE")),
                }
            }
        }
    }

    /// The text that is to be prepared: a string, a variable, or any expression.
    async fn statement_text(
        &mut self,
        from: &Expr,
        verb: &str,
        source: Source<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        if let Some(literal) = from.as_literal()
            && let LiteralValue::String(bytes) =
                source.tokens.value(source.text, literal.tok, source.mode)
        {
            let mut joined = bytes.into_owned();
            for token in literal.tok + 1..literal.tok + u32::from(literal.tok_count) {
                if let LiteralValue::String(more) =
                    source.tokens.value(source.text, token, source.mode)
                {
                    joined.extend_from_slice(&more);
                }
            }
            return Ok(joined);
        }
        let values = self
            .values_of_expressions(&[inlined(source, from.span)])
            .await
            .map_err(|error| without_functions(error, verb))?;
        Ok(match values.into_iter().next() {
            Some(SqlValue::Text(bytes) | SqlValue::Binary(bytes) | SqlValue::Temporal(bytes)) => {
                bytes
            }
            Some(SqlValue::Integer(number)) => number.to_string().into_bytes(),
            Some(SqlValue::Decimal(digits)) => digits.into_bytes(),
            Some(SqlValue::Float(number)) => number.to_string().into_bytes(),
            Some(SqlValue::Null) | None => b"NULL".to_vec(),
        })
    }

    async fn using_values(
        &mut self,
        using: &[Expr],
        count: usize,
        source: Source<'_>,
    ) -> Result<Vec<SqlValue>, ExecError> {
        if using.len() != count {
            return Err(sql(sql_error::WRONG_ARGUMENTS, "Incorrect arguments to EXECUTE"));
        }
        let expression = |one: &Expr| match Given::of(one, source.text) {
            Given::Value => inlined(source, one.span),
            Given::Default | Given::Ignore => b"NULL".to_vec(),
        };
        let expressions: Vec<Vec<u8>> = using.iter().map(expression).collect();
        self.values_of_expressions(&expressions)
            .await
            .map_err(|error| without_functions(error, "EXECUTE..USING"))
    }

    /// Runs a prepared statement with what USING gives.
    async fn run_using(
        &mut self,
        prepared: &mut Prepared,
        using: &[Expr],
        params: &[SqlValue],
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let given: Vec<Given> = using.iter().map(|one| Given::of(one, source.text)).collect();
        if given.iter().all(|one| *one == Given::Value) {
            return self.run_prepared(prepared, params, None).await;
        }
        let mut changed = self.with_keywords(prepared, &given).await?;
        let values = params.iter().zip(&given).filter(|(_, given)| **given == Given::Value);
        let params: Vec<SqlValue> = values.map(|(value, _)| value.clone()).collect();
        self.run_prepared(&mut changed, &params, None).await
    }
}

/// A function that is not the server's own cannot be called there.
fn without_functions(error: ExecError, verb: &str) -> ExecError {
    match error.server_number() {
        Some(UNKNOWN_FUNCTION) => no_subqueries(verb),
        _ => error,
    }
}

fn statement_name(name: Ident, source: Source<'_>) -> String {
    text(&name.name(source.text)).to_lowercase()
}

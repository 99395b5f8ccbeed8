//! PREPARE, EXECUTE and DEALLOCATE PREPARE as statements. What is prepared is the same as by the
//! binary protocol; it is found by its name, and its parameters come from expressions.

use crate::control::text;
use crate::query::Source;
use crate::session::Core;
use crate::statement::{Prepared, STATEMENTS_MAX};
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use sql_syntax::LiteralValue;
use sql_syntax::ast::{Expr, Ident, PreparedStmt, Statement};
use std::collections::HashMap;
use topology::algorithm::SqlValue;

/// Statements by name, in lower case.
#[derive(Debug, Default)]
pub struct NamedStatements(HashMap<String, Prepared>);

/// Whether a statement can only be sent as text by itself.
pub fn cannot_be_prepared(statement: &Statement) -> bool {
    matches!(statement, Statement::Prepared(_))
}

/// The error of preparing such a statement.
pub fn not_preparable() -> ExecError {
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
        match statement {
            PreparedStmt::Prepare { name, from } => {
                let name = statement_name(*name, source);
                self.kept.statements.0.remove(&name);
                let body = self.statement_text(from, source).await?;
                let (prepared, _, _) = self.make_prepared(&body).await?;
                if self.kept.statements.0.len() >= STATEMENTS_MAX {
                    return Err(too_many());
                }
                self.kept.statements.0.insert(name, prepared);
                self.exec.last.row_count = 0;
                self.reply_ok_packet(OkPacket::default());
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
                let ran = self.run_prepared(&mut prepared, &params, None).await;
                self.kept.statements.0.insert(name, prepared);
                ran
            }
            PreparedStmt::ExecuteImmediate { from, using } => {
                let body = self.statement_text(from, source).await?;
                let (mut prepared, _, _) = self.make_prepared(&body).await?;
                let count = prepared.param_tokens.len();
                let params = self.using_values(using, count, source).await?;
                self.run_prepared(&mut prepared, &params, None).await
            }
            PreparedStmt::Deallocate(name) => {
                let shown = text(&name.name(source.text));
                match self.kept.statements.0.remove(&statement_name(*name, source)) {
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
        source: Source<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        if let Some(literal) = from.as_literal()
            && let LiteralValue::String(bytes) =
                source.tokens.value(source.text, literal.tok, source.mode)
        {
            return Ok(bytes.into_owned());
        }
        let values = self.values_of_expressions(&[inlined(source, from.span)]).await?;
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
        let expressions: Vec<Vec<u8>> = using.iter().map(|one| inlined(source, one.span)).collect();
        self.values_of_expressions(&expressions).await
    }
}

fn statement_name(name: Ident, source: Source<'_>) -> String {
    text(&name.name(source.text)).to_lowercase()
}

//! SET STATEMENT … FOR, and SET ROLE.

use crate::query::{Source, run_made};
use crate::session::Core;
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use sql_syntax::ast::{SetItem, Span};
use std::sync::Arc;

/// ER_INVALID_ROLE
const INVALID_ROLE: u16 = 1959;

impl Core {
    /// SET STATEMENT variables FOR statement: the settings hold for that statement alone. What it
    /// does to user variables stays.
    pub async fn set_for_statement(
        &mut self,
        items: &[SetItem],
        statement: Span,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let state = self.exec.state.clone();
        let (lex, zero) = (self.lex, self.zero_is_a_value);
        let autocommit = self.exec.autocommit;
        let no_backslash_escapes = self.exec.no_backslash_escapes;
        let options = self.exec.transaction_options.clone();
        self.apply_items(items, source).await?;
        let text = inlined(source, statement);
        let mode = *source.mode;
        let ran = Box::pin(run_made(self, &text, &mode)).await;
        let mut restored = (*state).clone();
        for (name, value) in self.exec.state.settings().filter(|(name, _)| name.starts_with('@')) {
            restored = restored.with(name, value);
        }
        self.exec.state = Arc::new(restored);
        self.lex = lex;
        self.zero_is_a_value = zero;
        self.exec.autocommit = autocommit;
        self.exec.no_backslash_escapes = no_backslash_escapes;
        self.exec.transaction_options = options;
        self.follow_select_limit();
        ran
    }

    /// SET ROLE: there are no roles, so only NONE can be set.
    pub fn set_role(&mut self, statement: &str) -> Result<(), ExecError> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            [_, role, none]
                if role.eq_ignore_ascii_case("role") && none.eq_ignore_ascii_case("none") =>
            {
                self.reply_ok_packet(OkPacket::default());
                Ok(())
            }
            [_, role, name] if role.eq_ignore_ascii_case("role") => {
                let name = name.trim_matches(['`', '\'', '"']);
                Err(ExecError::Server(ErrPacket::new(
                    INVALID_ROLE,
                    "OP000",
                    format!("Invalid role specification `{name}`"),
                )))
            }
            _ => Err(sql(
                sql_error::NOT_SUPPORTED,
                "This version doesn't yet support 'this form of SET'",
            )),
        }
    }
}

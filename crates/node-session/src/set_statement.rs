//! SET STATEMENT … FOR, and SET ROLE.

use crate::control::text;
use crate::query::{Source, run_made};
use crate::session::Core;
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use sql_syntax::ast::{SetItem, SetTarget, Span};
use std::sync::Arc;

/// ER_SET_STATEMENT_NOT_SUPPORTED
const NOT_FOR_A_STATEMENT: u16 = 1971;

/// Variables that a server takes in SET and not for one statement (MariaDB 10.11 refuses these).
const OF_SESSIONS_ALONE: [&str; 13] = [
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_filesystem",
    "collation_connection",
    "interactive_timeout",
    "profiling",
    "profiling_history_size",
    "query_cache_type",
    "skip_replication",
    "sql_log_off",
    "tx_isolation",
    "wait_timeout",
];

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
        items.iter().try_for_each(|item| may_be_set_for_a_statement(item, source))?;
        let state = self.exec.state.clone();
        let (lex, zero) = (self.lex, self.zero_is_a_value);
        let autocommit = self.exec.autocommit;
        let no_backslash_escapes = self.exec.no_backslash_escapes;
        let ansi_quotes = self.exec.ansi_quotes;
        let options = self.exec.transaction_options.clone();
        let idle_timeouts = self.exec.idle_timeouts;
        let consistent_reads = self.exec.consistent_reads;
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
        self.exec.ansi_quotes = ansi_quotes;
        self.exec.transaction_options = options;
        self.set_idle_timeouts(idle_timeouts);
        self.exec.consistent_reads = consistent_reads;
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

fn may_be_set_for_a_statement(item: &SetItem, source: Source<'_>) -> Result<(), ExecError> {
    let SetTarget::System { name, .. } = item.target else { return Ok(()) };
    let name = text(&name.name(source.text)).to_ascii_lowercase();
    if !OF_SESSIONS_ALONE.contains(&name.as_str()) {
        return Ok(());
    }
    Err(ExecError::Server(ErrPacket::new(
        NOT_FOR_A_STATEMENT,
        "42000",
        format!("The system variable {name} cannot be set in SET STATEMENT."),
    )))
}

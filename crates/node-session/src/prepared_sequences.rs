//! Prepared statements with a sequence's values in them. What a place gives is another number each
//! time, so such a statement is made anew at each execution; at PREPARE it is described with a number
//! in each place.

use crate::prepared::params_of;
use crate::query::{Source, parse_source, plan_parsed, run_planned};
use crate::sequence_values::{Found, find, lexed};
use crate::session::Core;
use mysql_wire::column::ColumnDefinition;
use node_exec::error::ExecError;

/// What a client is told of a statement's parameters and columns.
type Description = (Option<Vec<ColumnDefinition>>, Vec<ColumnDefinition>);

impl Core {
    /// What PREPARE tells of a statement that asks sequences for values; `None` for all others.
    pub(crate) async fn describe_with_sequences(
        &mut self,
        source: Source<'_>,
    ) -> Result<Option<Description>, ExecError> {
        let text = match find(source)? {
            Found::Nothing => return Ok(None),
            Found::Rows(of, _) => return Ok(Some((None, vec![of.column()]))),
            Found::Values(of) => of.shape(source),
            Found::Places(of) => match self.begin_counting(&of, source, true).await? {
                Some(counting) => counting.text,
                None => return Ok(None),
            },
        };
        let tokens = lexed(&text, source.mode);
        let shaped = Source { text: &text, tokens: &tokens, ..source };
        let parsed = parse_source(shaped, 0)?;
        if Self::is_session_statement(&parsed.stmt) {
            return Ok(Some((None, Vec::new())));
        }
        let planned = plan_parsed(self, &parsed, shaped)?;
        self.describe(&planned, shaped, &params_of(&tokens)).await.map(Some)
    }

    /// Executes a statement that asks sequences for values; false for all others.
    pub(crate) async fn execute_with_sequences(
        &mut self,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        let of = match find(source)? {
            Found::Nothing => return Ok(false),
            Found::Rows(of, count) => {
                self.run_sequence_rows(&of, count).await?;
                return Ok(true);
            }
            Found::Values(of) => of,
            Found::Places(of) => {
                let Some(counting) = self.begin_counting(&of, source, false).await? else {
                    return Ok(false);
                };
                let input = source.input.filter(|_| of.is_select());
                let ran = self.execute_made(&counting.text, Source { input, ..source }).await;
                self.end_counting(counting, ran).await?;
                return Ok(true);
            }
        };
        self.check_sequences(&of).await?;
        let text = self.with_sequence_values(&of, source).await?;
        // Rows must come in the binary form; a write answers alike in both, and as text it leaves no
        // prepared statement on the data nodes that nobody will run again.
        let input = source.input.filter(|_| of.is_select());
        self.execute_made(&text, Source { input, ..source }).await?;
        Ok(true)
    }

    async fn execute_made(&mut self, text: &[u8], source: Source<'_>) -> Result<(), ExecError> {
        let tokens = lexed(text, source.mode);
        let param_tokens = params_of(&tokens);
        let made = Source { text, tokens: &tokens, param_tokens: &param_tokens, ..source };
        let parsed = parse_source(made, 0)?;
        if let Some(text) = crate::views::expand(self, &parsed, made)? {
            let check = crate::views::check_option(self, &parsed, made);
            return crate::views::run_expanded(self, &text, check, made).await;
        }
        if Self::is_session_statement(&parsed.stmt) {
            return Box::pin(self.run_session_statement(&parsed, made)).await.map(|_| ());
        }
        let planned = plan_parsed(self, &parsed, made)?;
        run_planned(self, &planned, made).await
    }
}

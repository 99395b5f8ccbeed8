//! Statements that name views of sharded tables run as the statements that the planner makes of
//! them, with the views' queries in their places. That text has a plan of its own in the cache.

use crate::query::{self, Source};
use crate::session::Core;
use node_exec::error::ExecError;
use sql_syntax::ast::Parsed;
use sql_syntax::{TokenBuf, lex};

/// The statement with the queries of its views; nothing when it names none.
pub fn expand(
    core: &Core,
    parsed: &Parsed,
    source: Source<'_>,
) -> Result<Option<Vec<u8>>, ExecError> {
    let schema = core.exec.identity.schema.as_deref();
    let text = sql_plan::view::expand(
        parsed,
        source.text,
        source.tokens,
        &core.snapshot,
        schema,
        source.mode,
    )?;
    Ok(text)
}

/// Runs an expanded text in the place of the statement that it came from.
pub async fn run_expanded(
    core: &mut Core,
    text: &[u8],
    outer: Source<'_>,
) -> Result<(), ExecError> {
    let mut tokens = TokenBuf::new();
    lex(text, 0, outer.mode, &mut tokens);
    let param_tokens = crate::prepared::params_of(&tokens);
    let source = Source { text, tokens: &tokens, param_tokens: &param_tokens, ..outer };
    Box::pin(query::run_one(core, source, 0)).await
}

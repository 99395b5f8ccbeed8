//! Statements that name views of sharded tables run as the statements that the planner makes of
//! them, with the views' queries in their places. That text has a plan of its own in the cache.

use crate::query::{self, Source};
use crate::session::Core;
use node_exec::error::ExecError;
use sql_plan::view::check::CheckOption;
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

/// What rows of the statement must satisfy, where it changes a view.
pub fn check_option(core: &Core, parsed: &Parsed, source: Source<'_>) -> Option<CheckOption> {
    let schema = core.exec.identity.schema.as_deref();
    sql_plan::view::check::check_option(
        parsed,
        source.text,
        source.tokens,
        &core.snapshot,
        schema,
        source.mode,
    )
}

/// Runs an expanded text in the place of the statement that it came from.
pub async fn run_expanded(
    core: &mut Core,
    text: &[u8],
    check: Option<CheckOption>,
    outer: Source<'_>,
) -> Result<(), ExecError> {
    let mut tokens = TokenBuf::new();
    lex(text, 0, outer.mode, &mut tokens);
    let param_tokens = crate::prepared::params_of(&tokens);
    let source = Source { text, tokens: &tokens, param_tokens: &param_tokens, ..outer };
    let Some(check) = check else { return Box::pin(query::run_one(core, source, 0)).await };
    // The text says nothing of what rows must satisfy, so its plan is for this once.
    let parsed = query::parse_source(source, 0)?;
    let schema = core.exec.identity.schema.clone();
    let access = sql_plan::access(&parsed.stmt, source.text, schema.as_deref());
    core.wait_while_frozen(&access).await?;
    let planned = query::plan_checked(core, &parsed, source, Some(&check))?;
    Box::pin(query::run_planned(core, &planned, source)).await
}

//! sql_select_limit: a query of a client without a LIMIT of its own gets this one. A data node would
//! apply it to what it is sent, which is not always what the client sent: parts of a merged query,
//! rows on their way to a temporary table. So it is put into the client's own text, and data nodes
//! do not see the variable while statements run.

use crate::prepared::params_of;
use crate::query::{Fetched, Source, fetch, plan_text, run_planned};
use crate::session::Core;
use node_exec::error::ExecError;
use sql_plan::plan::{Plan, Planned, RowKind};
use sql_syntax::ast::{Query, SelectInto, Statement};
use sql_syntax::{Edits, TokenBuf, lex, parse};
use std::sync::Arc;

/// The variable.
const NAME: &str = "sql_select_limit";

impl Core {
    /// Reads the variable out of the session's settings.
    pub fn follow_select_limit(&mut self) {
        let value = self.exec.state.get(NAME).and_then(|value| value.parse::<u64>().ok());
        self.kept.select_limit = value.filter(|value| *value != u64::MAX);
    }
}

/// Runs a query of ours, which has its row whatever the variable says.
pub async fn fetch_unlimited(core: &mut Core, text: &[u8]) -> Result<Fetched, ExecError> {
    let limit = core.exec.state.get(NAME).map(str::to_owned);
    if limit.is_some() {
        core.exec.state = Arc::new((*core.exec.state).clone().without(NAME));
    }
    let fetched = fetch(core, text).await;
    if let Some(limit) = limit {
        core.exec.state = Arc::new((*core.exec.state).clone().with(NAME, limit));
    }
    fetched
}

/// Runs a planned statement under the limit.
pub async fn run(core: &mut Core, planned: &Planned, source: Source<'_>) -> Result<(), ExecError> {
    let Some(limit) = core.kept.select_limit.take() else {
        return run_planned(core, planned, source).await;
    };
    // A query without tables is one data node's own affair.
    let on_tables = match &planned.plan {
        Plan::Routed(plan) => plan.kind == RowKind::Write || !plan.tables.is_empty(),
        _ => true,
    };
    let before = core.exec.state.get(NAME).map(str::to_owned);
    if on_tables {
        core.exec.state = Arc::new((*core.exec.state).clone().without(NAME));
    }
    let ran = run_limited(core, planned, source, limit).await;
    if let Some(before) = before
        && on_tables
    {
        core.exec.state = Arc::new((*core.exec.state).clone().with(NAME, before));
    }
    core.kept.select_limit = Some(limit);
    ran
}

async fn run_limited(
    core: &mut Core,
    planned: &Planned,
    source: Source<'_>,
    limit: u64,
) -> Result<(), ExecError> {
    let parsed = parse(source.text, source.tokens, source.mode).ok();
    let at = match parsed.as_ref().map(|parsed| &parsed.stmt) {
        Some(Statement::Query(query)) => place_of_limit(query),
        _ => None,
    };
    let Some(at) = at else { return run_planned(core, planned, source).await };
    let mut edits = Edits::new();
    edits.insert(at, format!(" LIMIT {limit} ").as_bytes());
    let mut text = Vec::new();
    edits.apply_within(source.text, source.tokens.text_span(), &mut text);
    let mut tokens = TokenBuf::new();
    lex(&text, 0, source.mode, &mut tokens);
    let param_tokens = params_of(&tokens);
    let limited = Source { text: &text, tokens: &tokens, param_tokens: &param_tokens, ..source };
    let planned = plan_text(core, limited)?;
    run_planned(core, &planned, limited).await
}

/// Where a LIMIT of the whole query goes; none when it has one.
fn place_of_limit(query: &Query) -> Option<u32> {
    if query.limit.is_some() {
        return None;
    }
    if let Some(order) = query.order_span {
        return Some(order.end);
    }
    let lock = query.locks.iter().map(|lock| lock.span.start).min();
    let at_end = |into: &&SelectInto| into.span.end == query.span.end;
    let into = query.select_into().filter(at_end).map(|into| into.span.start);
    lock.into_iter().chain(into).min().or(Some(query.span.end))
}

//! The road of a statement: tokens, plan (from the cache where it is known), permission, run.
//! Statements about the session itself branch off before planning; everything else goes to the
//! executor with its values.

use crate::permission;
use crate::plan_cache::TOKENS_MAX;
use crate::processes::Kill;
use crate::sequence_values;
use crate::session::Core;
use crate::shared::{PLAN_HITS, PLAN_MISSES};
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use node_exec::exec::{PreparedInput, Statement};
use sql_plan::number_tables::planned_over;
use sql_plan::plan::{Plan, Planned};
use sql_plan::reads::Reads;
use sql_plan::value::Values;
use sql_plan::view::check::CheckOption;
use sql_plan::{PlanContext, plan};
use sql_syntax::ast::{self, Parsed};
use sql_syntax::{LexMode, TokenBuf, lex, normalise, parse};
use std::rc::Rc;
use std::time::Instant;
use topology::algorithm::SqlValue;

/// A statement's text with what was read of it, and its values.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The whole text.
    pub text: &'a [u8],
    /// The statement's tokens.
    pub tokens: &'a TokenBuf,
    /// How it was lexed.
    pub mode: &'a LexMode,
    /// Tokens that are `?`.
    pub param_tokens: &'a [u32],
    /// Parameters.
    pub params: &'a [SqlValue],
    /// Parameters as a client packed them.
    pub input: Option<PreparedInput<'a>>,
}

/// Runs the statements of a text one after the other; the first error ends them.
pub async fn run_text(core: &mut Core, text: &[u8], started: Instant) -> Result<(), ExecError> {
    let mut tokens = std::mem::take(&mut core.tokens);
    let mode_at_start = core.lex;
    let result = run_statements(core, text, &mut tokens, mode_at_start, started).await;
    core.tokens = tokens;
    result
}

async fn run_statements(
    core: &mut Core,
    text: &[u8],
    tokens: &mut TokenBuf,
    mut mode: LexMode,
    mut started: Instant,
) -> Result<(), ExecError> {
    let mut from = 0;
    loop {
        lex(text, from, &mode, tokens);
        let rest = tokens.rest().or(tokens.comment().filter(|_| core.multi_statements));
        if rest.is_some() && !core.multi_statements {
            let error = sql(
                sql_error::SYNTAX_ERROR,
                "You have an error in your SQL syntax; several statements in one text need the client's multi-statements option",
            );
            return Err(Box::pin(core.told_by_server(error, text)).await);
        }
        core.form.more = rest.is_some();
        let source =
            Source { text, tokens, mode: &mode, param_tokens: &[], params: &[], input: None };
        core.statement_begins(started, from);
        core.count_question();
        let result = run_once_or_again(core, source, from).await;
        started = core.statement_ends(source.text, source.tokens, result.is_err());
        result?;
        let Some(next) = rest else { return Ok(()) };
        core.out.flush_if_long().await?;
        from = next;
        mode = core.lex;
        core.follow_snapshot();
    }
}

/// Runs one statement of a text, and once more when its tables' placement changed under it.
async fn run_once_or_again(
    core: &mut Core,
    source: Source<'_>,
    from: u32,
) -> Result<(), ExecError> {
    let (version, mark) = (core.snapshot.version, core.out.mark());
    let Err(mut error) = run_one(core, source, from).await else { return Ok(()) };
    let since = Instant::now();
    while core.comes_again(since).await {
        match run_one(core, source, from).await {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    match core.outdated(error, version) {
        None if core.out.take_back(mark) => run_one(core, source, from).await,
        None => Err(sql(sql_error::UNKNOWN_ERROR, "a table's placement changed during the answer")),
        Some(error) => Err(error),
    }
}

/// Refuses a statement while nothing assures that its definitions are in force.
pub fn check_not_fenced(core: &Core) -> Result<(), ExecError> {
    let begun = core.running.as_ref().map_or_else(Instant::now, |running| running.started);
    if core.worker.shared.is_assured(begun) {
        return Ok(());
    }
    match core.worker.shared.refusal() {
        None => Ok(()),
        Some(error) => Err(sql(error.code, error.message)),
    }
}

/// Runs one statement of a text.
pub async fn run_one(core: &mut Core, source: Source<'_>, from: u32) -> Result<(), ExecError> {
    check_not_fenced(core)?;
    let mut digest = std::mem::take(&mut core.digest);
    let shared = !core.kept.plans_alone() && source.tokens.tokens().len() <= TOKENS_MAX;
    if shared {
        normalise(source.text, source.tokens, &mut digest);
    }
    let known = match shared {
        true => core.worker.plans.borrow().get(
            core.snapshot.version,
            &digest,
            core.exec.identity.schema.as_deref(),
            source.mode,
        ),
        false => None,
    };
    if let Some(planned) = known {
        PLAN_HITS.increment();
        core.digest = digest;
        return run_planned(core, &planned, source).await;
    }
    // What follows is rare, and large: idle sessions would keep room for it.
    let schema = core.exec.identity.schema.clone();
    let outcome = Box::pin(plan_or_run(core, source, from)).await;
    let result = match outcome {
        Ok(None) => Ok(()),
        Err(error) => {
            let own = source.tokens.text_span().of(source.text);
            Err(Box::pin(core.told_by_server(error, own)).await)
        }
        Ok(Some(planned)) => {
            PLAN_MISSES.increment();
            if planned.cacheable && shared {
                core.worker.plans.borrow_mut().put(
                    core.snapshot.version,
                    &digest,
                    schema.as_deref(),
                    source.mode,
                    &planned,
                );
            }
            let ran = run_planned(core, &planned, source).await;
            if let (Ok(()), Plan::Placement(change)) = (&ran, &planned.plan) {
                Box::pin(core.repair_views_of(&change.schema, &change.from.name)).await;
            }
            ran
        }
    };
    core.digest = digest;
    result
}

/// Plans a statement; one that the session runs itself is run instead.
async fn plan_or_run(
    core: &mut Core,
    source: Source<'_>,
    from: u32,
) -> Result<Option<Rc<Planned>>, ExecError> {
    match sequence_values::find(source)? {
        sequence_values::Found::Nothing => {}
        sequence_values::Found::Rows(of, count) => {
            core.run_sequence_rows(&of, count).await?;
            return Ok(None);
        }
        sequence_values::Found::Values(of) => {
            core.check_sequences(&of).await?;
            let text = core.with_sequence_values(&of, source).await?;
            run_made(core, &text, source.mode).await?;
            return Ok(None);
        }
        sequence_values::Found::Places(of) => {
            if let Some(counting) = core.begin_counting(&of, source, false).await? {
                let ran = run_made(core, &counting.text, source.mode).await;
                core.end_counting(counting, ran).await?;
                return Ok(None);
            }
        }
    }
    let parsed = parse_source(source, from)?;
    core.count_parsed(&parsed.stmt, parsed.span.of(source.text));
    if core.run_with_stand_ins(&parsed, source).await? {
        return Ok(None);
    }
    if let Some(text) = crate::views::expand(core, &parsed, source)? {
        let check = crate::views::check_option(core, &parsed, source);
        crate::views::run_expanded(core, &text, check, source).await?;
        return Ok(None);
    }
    if core.run_session_statement(&parsed, source).await? {
        return Ok(None);
    }
    let schema = core.exec.identity.schema.as_deref();
    let access = sql_plan::access(&parsed.stmt, source.text, schema);
    core.wait_while_frozen(&access).await?;
    let planned = plan_parsed(core, &parsed, source)?;
    if let Plan::Session = planned.plan {
        core.run_catalogue_query(&parsed, source).await?;
        return Ok(None);
    }
    Ok(Some(Rc::new(planned)))
}

/// Runs a statement whose text was made here, and answers the client.
pub async fn run_made(core: &mut Core, text: &[u8], mode: &LexMode) -> Result<(), ExecError> {
    let tokens = sequence_values::lexed(text, mode);
    // Who executes a prepared statement gets binary rows also of a text that was made from it.
    let input = core.form.binary.then_some(PreparedInput { raw: None, values: &[] });
    let source = Source { text, tokens: &tokens, mode, param_tokens: &[], params: &[], input };
    Box::pin(run_one(core, source, 0)).await
}

/// Runs a query that says the same as a SHOW, and answers the client.
pub async fn run_shown(core: &mut Core, text: &[u8], source: Source<'_>) -> Result<(), ExecError> {
    run_made(core, text, source.mode).await
}

/// Runs a statement of our own; the client is not told of its end.
pub async fn run_quietly(core: &mut Core, text: &[u8]) -> Result<(), ExecError> {
    let mode = core.lex;
    let mark = core.out.mark();
    run_made(core, text, &mode).await?;
    if core.out.take_back(mark) {
        return Ok(());
    }
    Err(sql(sql_error::UNKNOWN_ERROR, "an answer within a statement was sent too early"))
}

/// Parses a statement; an error is told as a server does.
pub fn parse_source(source: Source<'_>, _from: u32) -> Result<Parsed, ExecError> {
    let parsed = parse(source.text, source.tokens, source.mode)
        .map_err(|error| sql(sql_error::SYNTAX_ERROR, error.to_string()))?;
    if parsed.stmt == ast::Statement::Empty && !is_comment(source) {
        return Err(match source.tokens.rest() {
            None => sql(sql_error::EMPTY_QUERY, "Query was empty"),
            Some(_) => sql(
                sql_error::SYNTAX_ERROR,
                "You have an error in your SQL syntax; there is nothing before ';'",
            ),
        });
    }
    if replaces_if_not_exists(&parsed.stmt) {
        let text = "Incorrect usage of OR REPLACE and IF NOT EXISTS";
        return Err(ExecError::Server(ErrPacket::new(1221, "HY000", text)));
    }
    Ok(parsed)
}

/// A statement of comments alone does nothing, and is none that is missing.
fn is_comment(source: Source<'_>) -> bool {
    !source.tokens.text_span().of(source.text).trim_ascii().is_empty()
}

fn replaces_if_not_exists(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::CreateTable(create) => create.or_replace && create.if_not_exists,
        ast::Statement::CreateIndex(create) => create.or_replace && create.if_not_exists,
        ast::Statement::CreateView(create) => create.or_replace && create.if_not_exists,
        ast::Statement::Sequence(sequence) => {
            sequence.or_replace && sequence.if_clause && sequence.action == ast::DdlAction::Create
        }
        _ => false,
    }
}

/// Plans a parsed statement, after a check of what the account may do.
pub fn plan_parsed(core: &Core, parsed: &Parsed, source: Source<'_>) -> Result<Planned, ExecError> {
    plan_checked(core, parsed, source, None)
}

/// The same for a statement whose rows must satisfy something.
pub fn plan_checked(
    core: &Core,
    parsed: &Parsed,
    source: Source<'_>,
    check: Option<&CheckOption>,
) -> Result<Planned, ExecError> {
    let schema = core.exec.identity.schema.as_deref();
    let access = sql_plan::access(&parsed.stmt, source.text, schema);
    permission::check(core.account()?, &core.host, &access)?;
    if let ast::Statement::Load(load) = &parsed.stmt
        && !load.local
    {
        // Nobody has the FILE right here.
        let (user, host) = (&core.user, &core.host);
        let text = format!("Access denied for user '{user}'@'{host}' (using password: YES)");
        return Err(sql(sql_error::ACCESS_DENIED, text));
    }
    let context = PlanContext {
        current_schema: schema,
        mode: source.mode,
        plain_names: core.kept.locks.is_some(),
        check,
    };
    core.check_view_of_temporary(&parsed.stmt, source.text)?;
    // Definitions are changed as others see them; queries and writes see temporary tables too.
    let snapshot = match &parsed.stmt {
        ast::Statement::CreateTable(_)
        | ast::Statement::AlterTable(_)
        | ast::Statement::DropTable(_)
        | ast::Statement::Recycle(_)
        | ast::Statement::CreateView(_)
        | ast::Statement::DropView(_)
        | ast::Statement::RenameTable(_) => core.base_snapshot(),
        _ => &core.snapshot,
    };
    let planned = planned_over(snapshot, &access, source.mode, |snapshot| {
        plan(parsed, source.text, source.tokens, snapshot, &context)
    });
    Ok(planned?)
}

/// Runs a plan with the values at hand. Permission is checked each time: the plan may be older than
/// the account's present rights.
pub async fn run_planned(
    core: &mut Core,
    planned: &Planned,
    source: Source<'_>,
) -> Result<(), ExecError> {
    core.count_planned(planned.counted);
    permission::check(core.account()?, &core.host, &planned.access)?;
    check_ready(core, planned)?;
    if core.kept.select_limit.is_some() {
        return Box::pin(crate::select_limit::run(core, planned, source)).await;
    }
    core.check_read_only(planned)?;
    core.before_planned(planned, source).await?;
    // What reads no tables is no transaction.
    let once = core.next_transaction.take_if(|_| !planned.access.is_empty());
    core.track_planned(planned, source, once.as_ref());
    if let Some(options) = once
        && core.exec.transaction.is_none()
        && !core.exec.autocommit
    {
        let distributed = core.exec().is_distributed();
        core.exec.transaction = Some(core.exec.new_transaction(distributed, options));
    }
    let values = Values { zero_is_a_value: core.zero_is_a_value, ..values_of(source) };
    let statement = Statement { planned, values, input: source.input };
    let mark = core.out.mark();
    let inside = core.enter_functions(planned);
    let before = planned.keeps_warnings.then(|| core.exec.last.warnings.clone());
    let outcome = core.exec().run(&statement).await;
    core.leave_functions(inside);
    outcome.map_err(|error| core.error_of_functions(inside, error))?;
    if let Some(before) = before.filter(|_| core.exec.last.warnings.is_empty()) {
        core.exec.last.warnings = before;
    }
    if planned.uses.named_locks {
        Box::pin(core.after_named_locks(source)).await?;
    }
    // A read that was stopped may look like one that ended well: SLEEP() just returns 1.
    if planned.read_only && core.handle.killed() == Kill::Timeout && core.out.take_back(mark) {
        return Err(core.timeout_error());
    }
    Ok(())
}

/// A statement's values for the executor.
pub fn values_of(source: Source<'_>) -> Values<'_> {
    Values {
        text: source.text,
        tokens: source.tokens,
        mode: source.mode,
        param_tokens: source.param_tokens,
        params: source.params,
        evaluated: &[],
        zero_is_a_value: false,
    }
}

fn check_ready(core: &Core, planned: &Planned) -> Result<(), ExecError> {
    for access in &planned.access {
        if core.snapshot.schemas.get(&access.schema).is_some_and(|schema| !schema.ready) {
            return Err(sql(
                sql_error::SCHEMA_NOT_READY,
                format!("schema '{}' is being created or deleted", access.schema),
            ));
        }
    }
    Ok(())
}

/// Columns and rows of an answer.
pub type Fetched = (Vec<mysql_wire::column::ColumnDefinition>, Vec<node_exec::merge::Record>);

/// Plans the text of one statement.
pub fn plan_text(core: &Core, source: Source<'_>) -> Result<Planned, ExecError> {
    let parsed = parse_source(source, 0)?;
    plan_parsed(core, &parsed, source)
}

/// Runs a query of the session's own making as a client's, and gathers its rows: SET with a
/// sub-query, DO, EXECUTE … USING.
pub async fn fetch(core: &mut Core, text: &[u8]) -> Result<Fetched, ExecError> {
    let mode = core.lex;
    let mut tokens = TokenBuf::new();
    lex(text, 0, &mode, &mut tokens);
    let source =
        Source { text, tokens: &tokens, mode: &mode, param_tokens: &[], params: &[], input: None };
    let mut planned = plan_text(core, source)?;
    // What a session keeps is not read from a server that may be late.
    planned.reads = Reads::Primary;
    if !matches!(planned.plan, Plan::Routed(_)) {
        return Err(sql(sql_error::NOT_SUPPORTED, "this query is not supported here"));
    }
    check_ready(core, &planned)?;
    core.before_planned(&planned, source).await?;
    let statement = Statement { planned: &planned, values: values_of(source), input: None };
    let inside = core.enter_functions(&planned);
    let collected = node_exec::collect::statement(&mut core.exec(), &statement).await;
    core.leave_functions(inside);
    let collected = collected.map_err(|error| core.error_of_functions(inside, error))?;
    if planned.uses.named_locks {
        core.after_named_locks(source).await?;
    }
    Ok((collected.columns, collected.records))
}

/// Runs a statement of the session's own making and answers the client with what it comes to.
pub async fn run_sql(core: &mut Core, text: &[u8]) -> Result<(), ExecError> {
    let mode = core.lex;
    let mut tokens = TokenBuf::new();
    lex(text, 0, &mode, &mut tokens);
    let source =
        Source { text, tokens: &tokens, mode: &mode, param_tokens: &[], params: &[], input: None };
    match plan_or_run(core, source, 0).await? {
        Some(planned) => run_planned(core, &planned, source).await,
        None => Ok(()),
    }
}

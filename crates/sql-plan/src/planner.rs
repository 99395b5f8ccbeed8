//! The way in: a parsed statement goes to the part that plans its kind.

use crate::bind::walk::Binder;
use crate::plan::{Plan, Planned, Uses};
use crate::view::check::CheckOption;
use crate::{access, ddl, insert, query, write};
use base::sql_error::{NOT_SUPPORTED, SqlError};
use sql_syntax::ast::{Parsed, Statement};
use sql_syntax::{Keyword, LexMode, TokenBuf, TokenKind, counted};
use topology::model::Snapshot;

/// What a plan depends on besides the statement and the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct PlanContext<'a> {
    /// The schema of unqualified names.
    pub current_schema: Option<&'a str>,
    /// How the statement was lexed.
    pub mode: &'a LexMode,
    /// Physical tables keep their own names in what data nodes get: under LOCK TABLES they can be
    /// used by no other.
    pub plain_names: bool,
    /// What rows must satisfy that are inserted or changed: WITH CHECK OPTION of the view that the
    /// statement was written for.
    pub check: Option<&'a CheckOption>,
}

/// A statement with everything that planning looks at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'s> {
    pub parsed: &'s Parsed,
    pub src: &'s [u8],
    pub tokens: &'s TokenBuf,
    pub snapshot: &'s Snapshot,
    pub context: &'s PlanContext<'s>,
}

impl<'s> Subject<'s> {
    /// A walk over this statement.
    pub fn binder(&self) -> Binder<'s> {
        let context = self.context;
        let binder = Binder::new(self.src, self.tokens, self.snapshot, context.current_schema);
        binder.with_plain_names(context.plain_names)
    }

    /// A token's text; nothing behind the end.
    pub fn word(&self, token: u32) -> &'s [u8] {
        let span = self.tokens.tokens().get(token as usize).map(|token| token.span());
        span.map(|span| span.of(self.src)).unwrap_or_default()
    }

    /// A token's kind.
    pub fn kind(&self, token: u32) -> Option<sql_syntax::TokenKind> {
        self.tokens.tokens().get(token as usize).map(|token| token.kind)
    }

    /// The tokens of the whole statement.
    pub fn whole(&self) -> crate::template::TokenRange {
        let last = u32::try_from(self.tokens.tokens().len().saturating_sub(2)).unwrap_or(0);
        crate::template::TokenRange { first: 0, last }
    }
}

/// What a kind's planner gives.
pub(crate) struct Made {
    pub plan: Plan,
    pub cacheable: bool,
    pub read_only: bool,
    pub locking: bool,
    pub uses: Uses,
}

impl Made {
    /// A plan that the session runs.
    pub fn session() -> Made {
        Made {
            plan: Plan::Session,
            cacheable: false,
            read_only: true,
            locking: false,
            uses: Uses::default(),
        }
    }

    /// A plan that changes things.
    pub fn write(plan: Plan, cacheable: bool, uses: Uses) -> Made {
        Made { plan, cacheable, read_only: false, locking: false, uses }
    }
}

/// Plans a statement. Errors are for the client: unknown names with MySQL's numbers, and statements
/// that are not supported with their reason.
pub fn plan(
    parsed: &Parsed,
    text: &[u8],
    tokens: &TokenBuf,
    snapshot: &Snapshot,
    context: &PlanContext<'_>,
) -> Result<Planned, SqlError> {
    let subject = Subject { parsed, src: text, tokens, snapshot, context };
    let made = match &parsed.stmt {
        Statement::Query(query) => query::plan(&subject, query)?,
        Statement::Update(update) => write::plan_update(&subject, update)?,
        Statement::Delete(delete) => write::plan_delete(&subject, delete)?,
        Statement::Insert(insert) => insert::plan(&subject, insert)?,
        Statement::CreateTable(create) => ddl::create_table(&subject, create)?,
        Statement::AlterTable(alter) => ddl::alter_table(&subject, alter)?,
        Statement::DropTable(drop) => ddl::drop_table(&subject, drop)?,
        Statement::Truncate(name) => ddl::truncate(&subject, *name)?,
        Statement::RenameTable(pairs) => ddl::rename_table(&subject, pairs)?,
        Statement::CreateIndex(create) => ddl::create_index(&subject, create)?,
        Statement::DropIndex(drop) => ddl::drop_index(&subject, drop)?,
        Statement::Load(load) => crate::load::plan(&subject, load)?,
        Statement::CreateView(view) => ddl::view::create_view(&subject, view)?,
        Statement::Recycle(recycle) => ddl::recycle::plan(&subject, recycle)?,
        Statement::DropView(drop) => ddl::view::drop_view(&subject, drop)?,
        Statement::Call(_) => return Err(unsupported("a stored procedure")),
        Statement::Handler(_) => return Err(unsupported("HANDLER")),
        _ => Made::session(),
    };
    check_named_locks(&made)?;
    let reads = crate::reads::of(&made, tokens, text);
    let read_back = crate::read_back::of(parsed, text, tokens, made.uses);
    let (made, hinted) = crate::hint::apply(&subject, made)?;
    let access = [access::access(&parsed.stmt, text, context.current_schema), hinted].concat();
    let frozen = access.iter().any(|access| is_frozen(snapshot, access));
    let short = match read_back.is_none() && !frozen {
        true => crate::short_reads::of(&made, &parsed.stmt, &access, snapshot, text),
        false => None,
    };
    let keeps_warnings = keeps_warnings(&parsed.stmt, &access, tokens);
    Ok(Planned {
        keeps_warnings,
        reads,
        read_back,
        short,
        counted: counted(&parsed.stmt, parsed.span.of(text)),
        plan: made.plan,
        cacheable: made.cacheable && !frozen,
        access,
        frozen,
        read_only: made.read_only,
        locking: made.locking,
        lock_wait: parsed.lock_wait,
        uses: made.uses,
    })
}

/// Whether a statement leaves the warnings of the one before, as servers do: a query without tables,
/// derived ones too.
fn keeps_warnings(
    statement: &Statement,
    access: &[crate::plan::Access],
    tokens: &TokenBuf,
) -> bool {
    let all = tokens.tokens();
    let derives = || {
        all.windows(2).any(|pair| match pair[0].keyword {
            Keyword::From => pair[1].kind == TokenKind::LParen,
            keyword => keyword == Keyword::With,
        })
    };
    matches!(statement, Statement::Query(_)) && access.is_empty() && !derives()
}

/// Whether statements on a table wait for a later definition ([`topology::model::Table::frozen`]).
pub fn is_frozen(snapshot: &Snapshot, access: &crate::plan::Access) -> bool {
    let schema = snapshot.schema(&access.schema);
    let table = schema.zip(access.table.as_ref()).and_then(|(schema, name)| schema.table(name));
    table.is_some_and(|table| table.frozen)
}

/// Named locks are those of one data node; what calls their functions must run there, so it cannot
/// read tables, which may be on others.
fn check_named_locks(made: &Made) -> Result<(), SqlError> {
    use crate::plan::Home;
    let alone = matches!(&made.plan, Plan::Routed(plan) if plan.home == Home::Any { schema: None });
    match made.uses.named_locks && !alone && !matches!(made.plan, Plan::Session) {
        true => Err(refused(
            "GET_LOCK, RELEASE_LOCK and their kin in a statement on tables are not supported; call \
             them in a SELECT, DO or SET of its own",
        )),
        false => Ok(()),
    }
}

/// The error of something that is not supported.
pub(crate) fn unsupported(what: &str) -> SqlError {
    SqlError::new(NOT_SUPPORTED, format!("This version doesn't yet support '{what}'"))
}

/// The error of something that is refused for a reason.
pub(crate) fn refused(reason: impl Into<String>) -> SqlError {
    SqlError::new(NOT_SUPPORTED, reason)
}

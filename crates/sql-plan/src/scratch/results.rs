//! Parts of a statement whose results are loaded instead of their tables: a derived table, a query of
//! WITH, a sub-query or an operand of a set operation that runs by itself on one shard or by a merge.
//! The temporary table gets its columns from a server that is asked for the same query without rows,
//! so the rule is for queries whose columns are then just what they are inside of the statement.

pub(super) mod types;

use crate::bind::{Bound, NamedUse, aggregates};
use crate::expr::{Part, for_each_part, has_aggregate};
use crate::plan::{Home, Many, RoutedPlan, ScratchPlan};
use crate::planner::Subject;
use crate::template::{Edit, Piece, TokenRange, push_quoted};
use sql_syntax::ast::{
    Expr, ExprKind, Query, Select, SelectItem, SetExpr, Span, Statement, TableExpr,
};

/// A column of a temporary table whose name is longer is refused by servers.
const NAME_BYTES_MAX: usize = 60;

/// A part whose result is loaded.
pub(super) struct ResultPart {
    /// Where its text is, brackets not included.
    pub range: TokenRange,
    /// How it is run.
    pub plan: RoutedPlan,
    /// What becomes of the text, by number of the temporary table: one for each use.
    pub uses: Vec<Use>,
    /// The names of its columns.
    pub names: Vec<Vec<u8>>,
    /// Which of its columns are certainly numbers.
    pub numbers: Vec<bool>,
    /// The plan serves every statement of the digest.
    pub cacheable: bool,
}

/// A place of the text that becomes a temporary table.
pub(super) struct Use {
    /// What is replaced.
    pub at: TokenRange,
    /// The token by which a block knows it as a source of rows; 0 for sub-queries.
    pub token: u32,
    /// What is written before and after the temporary table's name.
    pub around: (Vec<u8>, Vec<u8>),
}

/// How a part stands in the statement.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    /// In a FROM, or in WITH: the result replaces the table.
    Table,
    /// As an operand, with the meaning of its columns' names and types.
    Operand,
    /// In an expression: names mean nothing.
    Value,
}

/// A part's plan.
struct Planned {
    plan: RoutedPlan,
    names: Vec<Vec<u8>>,
    numbers: Vec<bool>,
    cacheable: bool,
}

impl Planned {
    fn with(self, range: TokenRange, uses: Vec<Use>) -> ResultPart {
        let Planned { plan, names, numbers, cacheable } = self;
        ResultPart { range, plan, uses, names, numbers, cacheable }
    }
}

/// Finds the parts.
pub(super) fn find(subject: &Subject<'_>, bound: &Bound<'_>, query: &Query) -> Vec<ResultPart> {
    let mut finder = Finder { subject, bound, found: Vec::new() };
    let is_one_whole = bound.facts.assigns_variables || aggregates::of_around(bound, query);
    if query.locks.is_empty() && !is_one_whole {
        finder.query(query);
    }
    finder.found
}

struct Finder<'f, 's> {
    subject: &'f Subject<'f>,
    bound: &'f Bound<'s>,
    found: Vec<ResultPart>,
}

impl Finder<'_, '_> {
    /// Looks for parts inside of a query that is not one itself.
    fn query(&mut self, query: &Query) {
        for cte in query.with.iter().flat_map(|with| &with.ctes) {
            let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
            if recursive || !self.named(cte) {
                self.query(&cte.query);
            }
        }
        self.body(&query.body);
        query.order_by.iter().for_each(|item| self.expr(&item.expr));
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Paren(query, _) => self.query(query),
            SetExpr::SetOp(chain) => {
                let operands = chain.rest.iter().map(|operand| &operand.operand);
                for operand in std::iter::once(&chain.first).chain(operands) {
                    match operand {
                        SetExpr::Select(select) if self.operand(select) => {}
                        operand => self.body(operand),
                    }
                }
            }
            SetExpr::Values(..) | SetExpr::Table(..) => {}
        }
    }

    fn select(&mut self, select: &Select) {
        select.from.iter().for_each(|table| self.table(table));
        for item in &select.items {
            if let SelectItem::Expr { expr, .. } = item {
                self.expr(expr);
            }
        }
        let grouping = select.group_by.iter().map(|item| &item.expr);
        grouping.chain(&select.selection).chain(&select.having).for_each(|expr| self.expr(expr));
    }

    fn table(&mut self, table: &TableExpr) {
        match table {
            TableExpr::Derived { lateral, query, alias, columns, span } => {
                let plain = !*lateral && alias.is_some() && columns.is_empty();
                if !plain || !self.derived(query, *span) {
                    self.query(query);
                }
            }
            TableExpr::Join(join) => {
                self.table(&join.left);
                self.table(&join.right);
                join.on.iter().for_each(|on| self.expr(on));
            }
            TableExpr::Nested { tables, .. } => tables.iter().for_each(|table| self.table(table)),
            TableExpr::JsonTable { expr, .. } => self.expr(expr),
            TableExpr::Table(_) => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        let with_order =
            matches!(expr.kind, ExprKind::InQuery { .. } | ExprKind::Quantified { .. });
        for_each_part(expr, &mut |part| match part {
            Part::Expr(part) => self.expr(part),
            Part::Query(query) => {
                // Servers refuse LIMIT in IN; they shall see it.
                if (with_order && query.limit.is_some()) || !self.value(query) {
                    self.query(query);
                }
            }
        });
    }

    fn derived(&mut self, query: &Query, span: Span) -> bool {
        if !is_materialised(query, self.bound) {
            return false;
        }
        let range = self.bound.range(query.span);
        let Some(planned) = self.plan(query, Standing::Table) else {
            return false;
        };
        // With all of the parentheses around it.
        let parens = range.first - self.bound.range(span).first;
        let at = TokenRange { first: range.first - parens, last: range.last + parens };
        let uses = vec![Use { at, token: range.first, around: (Vec::new(), Vec::new()) }];
        self.found.push(planned.with(range, uses));
        true
    }

    fn named(&mut self, cte: &sql_syntax::ast::Cte) -> bool {
        let is_used = |found: &&NamedUse<'_>| std::ptr::eq(self.bound.named[found.named].cte, cte);
        let uses: Vec<&NamedUse<'_>> = self.bound.named_uses.iter().filter(is_used).collect();
        let all_plain = uses.iter().all(|found| found.table_ref.is_some());
        if uses.is_empty()
            || !all_plain
            || !cte.columns.is_empty()
            || !is_materialised(&cte.query, self.bound)
        {
            return false;
        }
        let Some(planned) = self.plan(&cte.query, Standing::Table) else {
            return false;
        };
        let uses = uses
            .into_iter()
            .map(|found| {
                let mut alias = Vec::new();
                if found.table_ref.is_some_and(|table| table.alias.is_none()) {
                    alias.extend_from_slice(b" AS ");
                    push_quoted(&cte.name.name(self.bound.src), &mut alias);
                }
                let at = TokenRange { first: found.token, last: found.token };
                Use { at, token: found.token, around: (Vec::new(), alias) }
            })
            .collect();
        let range = self.bound.range(cte.query.span);
        self.found.push(planned.with(range, uses));
        true
    }

    fn value(&mut self, query: &Query) -> bool {
        let refs = self.refs_in(query);
        let worth = refs > 1 || is_materialised(query, self.bound);
        let Some(planned) = worth.then(|| self.plan(query, Standing::Value)).flatten() else {
            return false;
        };
        let at = self.bound.range(query.span);
        let around = (b"SELECT * FROM ".to_vec(), Vec::new());
        let uses = vec![Use { at, token: 0, around }];
        self.found.push(planned.with(at, uses));
        true
    }

    fn operand(&mut self, select: &Select) -> bool {
        let query = Query {
            with: None,
            body: SetExpr::Select(Box::new(select.clone())),
            order_by: Vec::new(),
            order_span: None,
            limit: None,
            locks: Vec::new(),
            into: None,
            span: select.span,
        };
        if self.refs_in(&query) < 2 && !is_materialised(&query, self.bound) {
            return false;
        }
        let Some(planned) = self.plan(&query, Standing::Operand) else {
            return false;
        };
        let at = self.bound.range(select.span);
        // Not `*`, which a server takes for a constant in EXISTS.
        let mut head = b"SELECT ".to_vec();
        for (place, name) in planned.names.iter().enumerate() {
            head.extend_from_slice(if place == 0 { b"" } else { b", " });
            push_quoted(name, &mut head);
        }
        head.extend_from_slice(b" FROM ");
        let around = (head, Vec::new());
        let uses = vec![Use { at, token: 0, around }];
        self.found.push(planned.with(at, uses));
        true
    }

    fn refs_in(&self, query: &Query) -> usize {
        let range = self.bound.range(query.span);
        let inside = |token: u32| token >= range.first && token <= range.last;
        self.bound.refs.iter().filter(|reference| inside(reference.name.name.tok)).count()
    }

    /// The plan of a query that is looked at by itself, where its result can stand for it.
    fn plan(&self, query: &Query, standing: Standing) -> Option<Planned> {
        if !query.locks.is_empty() || query.into.is_some() || self.refs_in(query) == 0 {
            return None;
        }
        let range = self.bound.range(query.span);
        let inside = |token: u32| token >= range.first && token <= range.last;
        let reads_around = self.bound.named_uses.iter().any(|found| {
            inside(found.token) && !inside(self.bound.named[found.named].cte.name.tok)
        });
        if reads_around {
            return None;
        }
        let mut binder = self.subject.binder();
        binder.query(query, None, false).ok()?;
        let own = binder.finish();
        if having_reads_around(query, own.src) {
            return None;
        }
        let knows_all = own.columns.iter().all(|(column, block)| own.is_known(*block, column));
        let uses = own.facts.uses;
        if !knows_all
            || own.facts.random
            || own.facts.system_schema
            || uses.user_variables
            || uses.connection_state
        {
            return None;
        }
        let names = own.column_names(query)?;
        let numbers = types::numbers(&own, query, standing == Standing::Value)?;
        if standing == Standing::Operand && types::has_wider_column(&own, query) {
            return None;
        }
        let (names, aliases) = match standing {
            Standing::Value => numbered(&own, query)?,
            _ if are_good(&names) => (names, Vec::new()),
            _ => return None,
        };
        let statement = Statement::Query(Box::new(query.clone()));
        let routed = crate::query::routed_as(self.subject, &own, query, &statement, range, aliases);
        let (plan, cacheable) = routed.ok()?;
        // A value may have digits that only its own server knows; a table's are cut for all.
        let by_groups =
            |scratch: &ScratchPlan| scratch.groups.is_some() && standing != Standing::Value;
        let runs_alone = matches!(plan.home, Home::Sharded { .. })
            && match &plan.many {
                Many::Scatter(_) => true,
                Many::Scratch(scratch) => by_groups(scratch),
                _ => false,
            };
        runs_alone.then_some(Planned { plan, names, numbers, cacheable })
    }
}

/// Whether HAVING names a column that its query neither selects nor groups by: one of around.
fn having_reads_around(query: &Query, src: &[u8]) -> bool {
    let Some(select) = query.as_select() else { return false };
    select.having.as_ref().is_some_and(|having| names_unseen(select, having, src))
}

fn names_unseen(select: &Select, expr: &Expr, src: &[u8]) -> bool {
    if has_aggregate(expr, src) && !matches!(expr.kind, ExprKind::And(_) | ExprKind::Or(_)) {
        return false;
    }
    if let ExprKind::Column(column) = &expr.kind {
        let name = column.name.name(src);
        let is_it = |of: &Expr| matches!(&of.kind, ExprKind::Column(of) if of.name.name(src).eq_ignore_ascii_case(&name));
        let selected = select.items.iter().any(|item| match item {
            SelectItem::Star { .. } => true,
            SelectItem::Expr { expr, alias, .. } => {
                let alias = alias.map(|alias| alias.name(src));
                alias.is_some_and(|alias| alias.eq_ignore_ascii_case(&name)) || is_it(expr)
            }
        });
        return !selected && !select.group_by.iter().any(|item| is_it(&item.expr));
    }
    let mut unseen = false;
    for_each_part(expr, &mut |part| {
        if let Part::Expr(part) = part {
            unseen |= names_unseen(select, part, src);
        }
    });
    unseen
}

/// Names for columns without one, and the edits that give them.
fn numbered(bound: &Bound<'_>, query: &Query) -> Option<(Vec<Vec<u8>>, Vec<Edit>)> {
    let select = query.as_select()?;
    let (mut names, mut edits) = (Vec::new(), Vec::new());
    for (place, item) in select.items.iter().enumerate() {
        let SelectItem::Expr { alias, span, .. } = item else { return None };
        let name = format!("c{}", place + 1);
        let mut text = b" AS ".to_vec();
        push_quoted(name.as_bytes(), &mut text);
        match alias {
            Some(alias) => names.push(alias.name(bound.src).into_owned()),
            None => {
                edits.push(Edit::after(bound.range(*span).last, vec![Piece::Text(text)]));
                names.push(name.into_bytes());
            }
        }
    }
    are_good(&names).then_some((names, edits))
}

/// Whether a table can have columns of these names.
fn are_good(names: &[Vec<u8>]) -> bool {
    let good = |name: &Vec<u8>| {
        !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.iter().all(|byte| (0x20..0x7f).contains(byte))
            && !name.starts_with(b" ")
            && !name.ends_with(b" ")
    };
    names.iter().enumerate().all(|(place, name)| {
        good(name) && !names[..place].iter().any(|other| other.eq_ignore_ascii_case(name))
    })
}

/// Whether a server makes a table of a derived table, instead of putting its parts into the query
/// around it: only then has a temporary table's column the same properties.
fn is_materialised(query: &Query, bound: &Bound<'_>) -> bool {
    if query.limit.is_some() {
        return true;
    }
    match &query.body {
        SetExpr::Select(select) => {
            select.distinct
                || !select.group_by.is_empty()
                || select.having.is_some()
                || select.items.iter().any(|item| match item {
                    SelectItem::Expr { expr, .. } => has_aggregate(expr, bound.src),
                    SelectItem::Star { .. } => false,
                })
        }
        SetExpr::Paren(query, _) => is_materialised(query, bound),
        _ => false,
    }
}

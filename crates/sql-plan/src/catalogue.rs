//! Queries on information_schema. Each of its tables is filled with logical rows before the query
//! runs, so the plan is the query's text with a temporary table in the place of each, and what its
//! conditions say about the rows that are needed: `TABLE_SCHEMA = 'shop'` spares the look at all other
//! schemas. Such a condition is used only where rows that it leaves out cannot matter, and the query
//! keeps it.

use crate::expr::{conjuncts, function_name, value_of};
use crate::names::{keep_column_names, number};
use crate::planner::{PlanContext, Subject, refused};
use crate::template::{Edit, Piece, Template, TokenRange, quoted};
use crate::value::{ValueRef, Values};
use base::sql_error::SqlError;
use sql_syntax::ast::{
    BinaryOp, Expr, ExprKind, JoinKind, Parsed, Query, Select, SetExpr, Statement, TableExpr,
    TableName, TableRef,
};
use sql_syntax::visit::{for_each_query, for_each_table};
use sql_syntax::{TokenBuf, TokenKind};
use std::collections::{BTreeMap, BTreeSet};
use topology::algorithm::SqlValue;
use topology::model::Snapshot;

/// The schema whose tables are filled.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// A query on information_schema.
#[derive(Clone, Debug)]
pub struct CataloguePlan {
    /// Its tables, one per reference; `Piece::Temporary` counts in them.
    pub tables: Vec<CatalogueTable>,
    /// The query with temporary tables.
    pub text: Template,
    /// Names that stand anywhere in the query, in capitals; `None`: it may read any column.
    pub names: Option<BTreeSet<String>>,
}

/// One reference to a table of information_schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogueTable {
    /// Its name in capitals.
    pub name: String,
    /// For each column (in capitals), the values that rows of use have there.
    pub filters: BTreeMap<String, Vec<Wanted>>,
}

/// A value that a column is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// This one.
    Value(ValueRef),
    /// The chosen schema.
    CurrentSchema,
}

/// A system schema's table that a statement reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemTable {
    /// The schema, in lower case.
    pub schema: String,
    /// The table, as written.
    pub table: String,
}

/// The tables of a query that are of a server's own schemas.
pub fn system_tables(
    statement: &Statement,
    text: &[u8],
    current_schema: Option<&str>,
) -> Vec<SystemTable> {
    let mut found = Vec::new();
    for_each_table(statement, text, |site| {
        let written =
            |name: sql_syntax::ast::Ident| String::from_utf8_lossy(&name.name(text)).into_owned();
        let schema = site.name.schema.map(written).or(current_schema.map(str::to_owned));
        if let Some(schema) = schema.filter(|_| !site.is_cte) {
            found.push(SystemTable {
                schema: schema.to_lowercase(),
                table: written(site.name.name),
            });
        }
    });
    found
}

/// Plans a query all of whose tables are of information_schema.
pub fn plan(
    parsed: &Parsed,
    text: &[u8],
    tokens: &TokenBuf,
    snapshot: &Snapshot,
    context: &PlanContext<'_>,
) -> Result<CataloguePlan, SqlError> {
    let Statement::Query(query) = &parsed.stmt else {
        return Err(refused("this statement is not supported on information_schema"));
    };
    let others = system_tables(&parsed.stmt, text, context.current_schema);
    if others.iter().any(|table| table.schema != INFORMATION_SCHEMA) {
        return Err(refused(
            "a query that joins information_schema with other tables is not supported; read them one after \
             the other",
        ));
    }
    let subject = Subject { parsed, src: text, tokens, snapshot, context };
    let mut binder = subject.binder();
    binder.query(query, None, false)?;
    let bound = binder.finish();
    let mut edits = Vec::new();
    for (value, range) in &bound.session_calls {
        edits.push(Edit::replace(*range, vec![Piece::Session(*value)]));
    }
    for (range, value) in &bound.own_variables {
        edits.push(Edit::replace(*range, vec![Piece::Text(value.clone())]));
    }
    let mut reader =
        Reader { subject: &subject, sites: sites(&parsed.stmt, text), filters: BTreeMap::new() };
    for_each_query(&parsed.stmt, |query, _| reader.query(query));
    let mut tables = Vec::new();
    let mut name_tokens = BTreeSet::new();
    for (index, site) in reader.sites.iter().enumerate() {
        let range = bound.range(site.name.span);
        name_tokens.extend(range.first..=range.last);
        let mut pieces = vec![Piece::Temporary(number(index))];
        if !site.has_alias {
            let name = site.name.name.name(text);
            pieces.push(Piece::Text(
                [b" AS ".as_slice(), &quoted(&String::from_utf8_lossy(&name))].concat(),
            ));
        }
        edits.push(Edit::replace(range, pieces));
        let name = String::from_utf8_lossy(&site.name.name.name(text)).to_uppercase();
        let filters = reader.filters.get(&index).cloned().unwrap_or_default();
        tables.push(CatalogueTable { name, filters });
    }
    edits.extend(unqualified(tokens, text, &name_tokens));
    keep_column_names(&bound, query, &mut edits);
    let names = names_of(tokens, text, &name_tokens);
    Ok(CataloguePlan { tables, text: Template::edited(subject.whole(), edits), names })
}

/// A place where a table is named.
struct Site {
    name: TableName,
    has_alias: bool,
}

fn sites(statement: &Statement, text: &[u8]) -> Vec<Site> {
    let mut sites = Vec::new();
    for_each_table(statement, text, |site| {
        if !site.is_cte {
            sites.push(Site { name: *site.name, has_alias: site.alias.is_some() });
        }
    });
    sites
}

/// `information_schema.` before the table of a column is left out.
fn unqualified(tokens: &TokenBuf, text: &[u8], tables: &BTreeSet<u32>) -> Vec<Edit> {
    let all = tokens.tokens();
    let is_dot = |at: usize| all.get(at).is_some_and(|token| token.kind == TokenKind::Dot);
    let mut edits = Vec::new();
    for (at, token) in all.iter().enumerate() {
        let word = sql_syntax::text::unquote_ident(token.span().of(text));
        let first = number(at);
        if word.eq_ignore_ascii_case(INFORMATION_SCHEMA.as_bytes())
            && token.kind != TokenKind::String
            && is_dot(at + 1)
            && is_dot(at + 3)
            && !tables.contains(&first)
        {
            edits.push(Edit::replace(TokenRange { first, last: first + 1 }, Vec::new()));
        }
    }
    edits
}

/// The names in a query, in capitals; none when a `*` may read every column.
fn names_of(tokens: &TokenBuf, text: &[u8], tables: &BTreeSet<u32>) -> Option<BTreeSet<String>> {
    let all = tokens.tokens();
    let kind = |at: usize| all.get(at).map(|token| token.kind);
    let mut names = BTreeSet::new();
    for (at, token) in all.iter().enumerate() {
        match token.kind {
            TokenKind::Star
                if kind(at + 1) == Some(TokenKind::RParen)
                    && at > 0
                    && kind(at - 1) == Some(TokenKind::LParen) => {}
            // Behind a value it multiplies.
            TokenKind::Star
                if at > 0 && matches!(kind(at - 1), Some(TokenKind::Int | TokenKind::RParen)) => {}
            TokenKind::Star => return None,
            TokenKind::Ident | TokenKind::Keyword | TokenKind::QuotedIdent => {
                let name = sql_syntax::text::unquote_ident(token.span().of(text));
                if name.eq_ignore_ascii_case(b"natural") || name.eq_ignore_ascii_case(b"table") {
                    return None;
                }
                if !tables.contains(&number(at)) {
                    names.insert(String::from_utf8_lossy(&name).to_uppercase());
                }
            }
            _ => {}
        }
    }
    Some(names)
}

/// A column of a reference.
type Place = (usize, String);

/// What a SELECT's conditions say of its tables.
struct Reader<'r, 's> {
    subject: &'r Subject<'s>,
    sites: Vec<Site>,
    filters: BTreeMap<usize, BTreeMap<String, Vec<Wanted>>>,
}

/// The tables of one FROM.
#[derive(Default)]
struct Tables<'q> {
    /// Each with its number and alias; `None` for a number: something else.
    all: Vec<(Option<usize>, Vec<u8>)>,
    /// Conditions of joins, with the tables that they may restrict.
    conditions: Vec<(&'q Expr, Vec<usize>)>,
    /// Columns of USING.
    using: Vec<(String, Vec<usize>)>,
}

impl Reader<'_, '_> {
    fn query(&mut self, query: &Query) {
        self.body(&query.body);
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOp(chain) => {
                self.body(&chain.first);
                chain.rest.iter().for_each(|operand| self.body(&operand.operand));
            }
            // A query of its own.
            SetExpr::Paren(..) | SetExpr::Values(..) | SetExpr::Table(..) => {}
        }
    }

    fn select(&mut self, select: &Select) {
        let mut tables = Tables::default();
        for table in &select.from {
            self.table(table, &mut tables);
        }
        let everywhere: Vec<usize> = tables.all.iter().filter_map(|(index, _)| *index).collect();
        let mut conditions = tables.conditions.clone();
        if let Some(selection) = &select.selection {
            conditions.push((selection, everywhere));
        }
        let mut found: BTreeMap<Place, Vec<Wanted>> = BTreeMap::new();
        let mut equal: Vec<(Place, Place)> = Vec::new();
        for (condition, restricts) in conditions {
            let mut parts = Vec::new();
            conjuncts(condition, &mut parts);
            for part in parts {
                self.conjunct(part, &tables, &restricts, &mut found, &mut equal);
            }
        }
        for (column, restricted) in &tables.using {
            let places = tables.all.iter().filter_map(|(index, _)| *index);
            for from in places {
                let to = restricted.iter().filter(|to| **to != from);
                equal.extend(to.map(|to| ((from, column.clone()), (*to, column.clone()))));
            }
        }
        // What is known of one column is known of those that equal it.
        for _ in 0..equal.len().min(tables.all.len() + 1) {
            for (from, to) in &equal {
                if let (Some(values), false) = (found.get(from).cloned(), found.contains_key(to)) {
                    found.insert(to.clone(), values);
                }
            }
        }
        for ((index, column), values) in found {
            self.filters.entry(index).or_default().entry(column).or_insert(values);
        }
    }

    fn table<'q>(&self, table: &'q TableExpr, tables: &mut Tables<'q>) -> Vec<usize> {
        let src = self.subject.src;
        match table {
            TableExpr::Table(table) => {
                let index = self.index_of(table);
                let alias = table.alias.unwrap_or(table.name.name).name(src).into_owned();
                tables.all.push((index, alias));
                index.into_iter().collect()
            }
            TableExpr::Join(join) => {
                let left = self.table(&join.left, tables);
                let right = self.table(&join.right, tables);
                let restricts = match join.kind {
                    JoinKind::Left => right.clone(),
                    JoinKind::Right => left.clone(),
                    JoinKind::Inner | JoinKind::Straight => [left.clone(), right.clone()].concat(),
                };
                if let Some(on) = &join.on {
                    tables.conditions.push((on, restricts.clone()));
                }
                for using in &join.using {
                    let column = String::from_utf8_lossy(&using.name(src)).to_uppercase();
                    tables.using.push((column, restricts.clone()));
                }
                [left, right].concat()
            }
            TableExpr::Nested { tables: inner, .. } => {
                inner.iter().flat_map(|table| self.table(table, tables)).collect()
            }
            TableExpr::Derived { alias, .. } | TableExpr::JsonTable { alias, .. } => {
                let alias = alias.map(|alias| alias.name(src).into_owned());
                tables.all.push((None, alias.unwrap_or_default()));
                Vec::new()
            }
        }
    }

    fn index_of(&self, table: &TableRef) -> Option<usize> {
        self.sites.iter().position(|site| site.name.span == table.name.span)
    }

    fn conjunct(
        &self,
        part: &Expr,
        tables: &Tables<'_>,
        restricts: &[usize],
        found: &mut BTreeMap<Place, Vec<Wanted>>,
        equal: &mut Vec<(Place, Place)>,
    ) {
        let mut add = |place: Option<Place>, values: Option<Vec<Wanted>>| {
            if let (Some(place), Some(values)) = (place, values)
                && restricts.contains(&place.0)
            {
                found.entry(place).or_insert(values);
            }
        };
        match &part.unparen().kind {
            ExprKind::Binary { op: BinaryOp::Eq, left, right } => {
                let sides = (self.place(left, tables), self.place(right, tables));
                if let (Some(left), Some(right)) = &sides {
                    for (from, to) in [(left, right), (right, left)] {
                        if restricts.contains(&to.0) {
                            equal.push((from.clone(), to.clone()));
                        }
                    }
                    return;
                }
                add(sides.0, self.wanted(right).map(|value| vec![value]));
                add(sides.1, self.wanted(left).map(|value| vec![value]));
            }
            ExprKind::InList { expr, not: false, list } => {
                add(
                    self.place(expr, tables),
                    list.iter().map(|value| self.wanted(value)).collect(),
                );
            }
            _ => {}
        }
    }

    /// The column of one of these tables that an expression is.
    fn place(&self, expr: &Expr, tables: &Tables<'_>) -> Option<Place> {
        let column = expr.unparen().as_column()?;
        let src = self.subject.src;
        let name = String::from_utf8_lossy(&column.name.name(src)).to_uppercase();
        let index = match column.table {
            Some(table) => tables.all.iter().find(|(_, alias)| table.is(src, alias))?.0?,
            None => match tables.all.as_slice() {
                [(Some(index), _)] => *index,
                _ => return None,
            },
        };
        Some((index, name))
    }

    fn wanted(&self, expr: &Expr) -> Option<Wanted> {
        if let ExprKind::Func(call) = &expr.unparen().kind
            && call.args.is_empty()
            && matches!(function_name(call, self.subject.src).as_str(), "DATABASE" | "SCHEMA")
        {
            return Some(Wanted::CurrentSchema);
        }
        value_of(expr, self.subject.src).map(Wanted::Value)
    }
}

impl CatalogueTable {
    /// The values (in lower case) that rows of use have in a column; `None`: any. Only plain texts
    /// say so: others may be compared in ways of their own.
    pub fn wanted(
        &self,
        column: &str,
        values: &Values<'_>,
        current_schema: Option<&str>,
    ) -> Option<BTreeSet<String>> {
        let wanted = self.filters.get(column)?;
        let mut texts = BTreeSet::new();
        for one in wanted {
            match one {
                Wanted::CurrentSchema => texts.extend(current_schema.map(str::to_lowercase)),
                Wanted::Value(value) => match value.resolve(values) {
                    SqlValue::Null => {}
                    SqlValue::Text(text) if text.is_ascii() => {
                        let text = String::from_utf8_lossy(&text).to_lowercase();
                        texts.insert(text.trim_end_matches(' ').to_owned());
                    }
                    _ => return None,
                },
            }
        }
        Some(texts)
    }
}

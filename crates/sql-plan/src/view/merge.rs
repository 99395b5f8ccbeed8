//! A simple view in a SELECT gives way to its table: the view's columns become their expressions, its
//! condition joins the WHERE. So a condition on the sharding key still finds its one shard. Where a
//! name cannot be told for certain, nothing is merged and the view becomes a derived table.

use super::Scene;
use super::simple::Simple;
use crate::template::{push_quoted, quoted};
use sql_syntax::ast::{
    ColumnRef, Expr, JoinKind, Query, Select, SelectItem, Span, TableExpr, TableRef,
};
use sql_syntax::visit::{Visitor, walk_expr};
use std::collections::HashSet;
use topology::model::Table;

/// What merging changes.
pub(super) struct Merged {
    /// Texts instead of spans.
    pub edits: Vec<(Span, Vec<u8>)>,
    /// The tokens of the views' names.
    pub tokens: Vec<u32>,
}

/// Something in the FROM.
struct Source<'s> {
    alias: String,
    has_alias: bool,
    reference: &'s TableRef,
    table: &'s Table,
    view: Option<Simple>,
}

impl Source<'_> {
    fn has(&self, name: &str) -> bool {
        match &self.view {
            Some(view) => view.column(name).is_some(),
            None => self.table.column(name).is_some(),
        }
    }

    /// The text that stands for its column.
    fn column(&self, name: &str) -> Option<Vec<u8>> {
        match &self.view {
            Some(view) => view.column(name).map(|column| {
                let text = view.render(column.expr, &self.alias);
                match column.expr.as_column() {
                    Some(_) => text,
                    None => [b"(".as_slice(), &text, b")"].concat(),
                }
            }),
            None => self.table.column(name).map(|(_, column)| {
                [quoted(&self.alias), b".".to_vec(), quoted(&column.name)].concat()
            }),
        }
    }

    fn columns(&self) -> Vec<String> {
        match &self.view {
            Some(view) => view.columns().into_iter().map(|column| column.name).collect(),
            None => {
                let columns = self.table.columns.iter().filter(|column| !column.invisible);
                columns.map(|column| column.name.clone()).collect()
            }
        }
    }
}

/// Merges the simple views of a query's one SELECT.
pub(super) fn merge(
    scene: &Scene<'_>,
    query: &Query,
    depth: u32,
    named_queries: &HashSet<u32>,
) -> Option<Merged> {
    let select = query.as_select()?;
    if query.with.is_some() {
        return None;
    }
    let mut sources = Vec::new();
    for table in &select.from {
        add_sources(scene, table, false, named_queries, &mut sources)?;
    }
    if !sources.iter().any(|source: &Source<'_>| source.view.is_some()) {
        return None;
    }
    let aliases = select.items.iter().filter_map(|item| match item {
        SelectItem::Expr { alias: Some(alias), .. } => Some(scene.text(*alias).to_lowercase()),
        _ => None,
    });
    let mut names = Names {
        scene,
        sources: &sources,
        aliases: aliases.collect(),
        sees_aliases: false,
        inner: 0,
        nested: depth > 1,
        edits: Vec::new(),
        failed: false,
    };
    names.select(query, select);
    if names.failed {
        return None;
    }
    let mut edits = names.edits;
    let mut tokens = Vec::new();
    let mut conditions = Vec::new();
    for source in &sources {
        let Some(view) = &source.view else { continue };
        let mut text = view.table_text()?.to_vec();
        if !source.has_alias {
            text.extend_from_slice(b" AS ");
            push_quoted(source.alias.as_bytes(), &mut text);
        }
        edits.push((source.reference.name.span, text));
        tokens.push(source.reference.name.name.tok);
        if let Some(condition) = view.condition() {
            conditions
                .push([b"(".as_slice(), &view.render(condition, &source.alias), b")"].concat());
        }
    }
    add_conditions(select, conditions, &mut edits)?;
    Some(Merged { edits, tokens })
}

fn add_conditions(
    select: &Select,
    conditions: Vec<Vec<u8>>,
    edits: &mut Vec<(Span, Vec<u8>)>,
) -> Option<()> {
    if conditions.is_empty() {
        return Some(());
    }
    let all = conditions.join(&b" AND "[..]);
    match &select.selection {
        Some(own) => {
            edits.push((Span::new(own.span.start, own.span.start), b"(".to_vec()));
            let text = [b") AND ".as_slice(), &all].concat();
            edits.push((Span::new(own.span.end, own.span.end), text));
        }
        None => {
            let end = select.from_span?.end;
            edits.push((Span::new(end, end), [b" WHERE ".as_slice(), &all].concat()));
        }
    }
    Some(())
}

/// The sources of a FROM; nothing when one of them hides its columns.
fn add_sources<'s>(
    scene: &Scene<'s>,
    table: &'s TableExpr,
    null_side: bool,
    named_queries: &HashSet<u32>,
    out: &mut Vec<Source<'s>>,
) -> Option<()> {
    match table {
        TableExpr::Table(reference) => {
            if named_queries.contains(&reference.name.name.tok) {
                return None;
            }
            let (_, table) = scene.table(&reference.name)?;
            let view = match table.expanded_view() {
                Some(view) => {
                    let hinted =
                        !reference.index_hints.is_empty() || !reference.partitions.is_empty();
                    if null_side || hinted {
                        return None;
                    }
                    Some(Simple::of(view, scene.mode).filter(|view| view.is_known(scene))?)
                }
                None => None,
            };
            let alias = reference.alias.unwrap_or(reference.name.name);
            out.push(Source {
                alias: scene.text(alias),
                has_alias: reference.alias.is_some(),
                reference,
                table,
                view,
            });
            Some(())
        }
        TableExpr::Join(join) => {
            if join.natural || !join.using.is_empty() {
                return None;
            }
            let left = null_side || join.kind == JoinKind::Right;
            let right = null_side || join.kind == JoinKind::Left;
            add_sources(scene, &join.left, left, named_queries, out)?;
            add_sources(scene, &join.right, right, named_queries, out)
        }
        TableExpr::Derived { .. } | TableExpr::Nested { .. } | TableExpr::JsonTable { .. } => None,
    }
}

/// Finds what names become.
struct Names<'n, 's> {
    scene: &'n Scene<'s>,
    sources: &'n [Source<'s>],
    aliases: HashSet<String>,
    /// Names of the select list count here.
    sees_aliases: bool,
    /// Inside of so many sub-queries.
    inner: usize,
    /// The query is itself inside another.
    nested: bool,
    edits: Vec<(Span, Vec<u8>)>,
    failed: bool,
}

impl Names<'_, '_> {
    fn select(&mut self, query: &Query, select: &Select) {
        for item in &select.items {
            self.item(item);
        }
        for table in &select.from {
            self.joins(table);
        }
        let grouping = select.group_by.iter().map(|item| &item.expr);
        for expr in select.selection.iter().chain(grouping) {
            walk_expr(expr, self);
        }
        for (_, window) in &select.windows {
            let order = window.order_by.iter().map(|item| &item.expr);
            for expr in window.partition_by.iter().chain(order) {
                walk_expr(expr, self);
            }
        }
        self.sees_aliases = true;
        for expr in select.having.iter().chain(query.order_by.iter().map(|item| &item.expr)) {
            walk_expr(expr, self);
        }
    }

    fn item(&mut self, item: &SelectItem) {
        match item {
            SelectItem::Star { table, span, .. } => {
                self.star(table.map(|t| self.scene.text(t)), *span)
            }
            SelectItem::Expr { expr, alias, span } => {
                if let (Some(column), false) = (expr.as_column(), self.nested) {
                    self.failed |= self.is_computed(&self.scene.text(column.name));
                }
                let before = self.edits.len();
                walk_expr(expr, self);
                if alias.is_none() && self.edits.len() > before {
                    let name = match expr.as_column() {
                        Some(column) => column.name.name(self.scene.src).into_owned(),
                        None => expr.span.of(self.scene.src).to_vec(),
                    };
                    let mut text = b" AS ".to_vec();
                    push_quoted(&name, &mut text);
                    self.edits.push((Span::new(span.end, span.end), text));
                }
            }
        }
    }

    fn star(&mut self, of: Option<String>, span: Span) {
        let mut items = Vec::new();
        for source in self.sources {
            if of.as_ref().is_some_and(|of| !of.eq_ignore_ascii_case(&source.alias)) {
                continue;
            }
            for name in source.columns() {
                self.failed |= !self.nested && self.is_computed(&name);
                let Some(mut text) = source.column(&name) else { continue };
                text.extend_from_slice(b" AS ");
                push_quoted(name.as_bytes(), &mut text);
                items.push(text);
            }
        }
        self.failed |= items.is_empty();
        self.edits.push((span, items.join(&b", "[..])));
    }

    /// A view's column that is no column of its table: in an answer it would lose the view's name.
    fn is_computed(&self, name: &str) -> bool {
        self.sources
            .iter()
            .filter_map(|one| one.view.as_ref())
            .any(|view| view.column(name).is_some_and(|column| column.expr.as_column().is_none()))
    }

    fn joins(&mut self, table: &TableExpr) {
        if let TableExpr::Join(join) = table {
            self.joins(&join.left);
            self.joins(&join.right);
            if let Some(on) = &join.on {
                walk_expr(on, self);
            }
        }
    }

    /// A column of the query itself.
    fn own(&mut self, column: &ColumnRef) {
        let name = self.scene.text(column.name);
        let mut found = match column.table {
            Some(table) => {
                let table = self.scene.text(table);
                let mut named =
                    self.sources.iter().filter(|one| one.alias.eq_ignore_ascii_case(&table));
                match (named.next(), named.next()) {
                    (Some(one), None) => vec![one],
                    (None, _) if self.nested => return,
                    _ => Vec::new(),
                }
            }
            None if self.sees_aliases && self.aliases.contains(&name.to_lowercase()) => return,
            None => self.sources.iter().filter(|one| one.has(&name)).collect(),
        };
        match (found.pop().and_then(|one| one.column(&name)), found.is_empty()) {
            (Some(text), true) => self.edits.push((column.span(), text)),
            _ => self.failed = true,
        }
    }

    /// A column inside of a sub-query: nothing may be meant of a view.
    fn foreign(&mut self, column: &ColumnRef) {
        let name = self.scene.text(column.name);
        let table = column.table.map(|table| self.scene.text(table));
        self.failed |= self.sources.iter().any(|one| match &table {
            Some(table) => one.alias.eq_ignore_ascii_case(table),
            None => one.has(&name) || one.table.column(&name).is_some(),
        });
    }
}

impl Visitor for Names<'_, '_> {
    fn enter_query(&mut self, _: &Query, _: u32) {
        self.inner += 1;
    }

    fn leave_query(&mut self, _: &Query, _: u32) {
        self.inner -= 1;
    }

    fn column(&mut self, column: &ColumnRef) {
        match self.inner {
            0 => self.own(column),
            _ => self.foreign(column),
        }
    }

    fn expr(&mut self, _: &Expr) -> bool {
        !self.failed
    }
}

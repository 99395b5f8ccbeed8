//! Views that are one table with some of its columns, expressions over them, and a condition: those
//! whose table can stand in their place.

use super::Scene;
use crate::expr::is_random_function;
use crate::insert::has_groups;
use crate::template::quoted;
use sql_syntax::ast::{
    ColumnRef, Expr, ExprKind, Ident, Parsed, Query, Select, SelectItem, Statement, TableExpr,
    TableName,
};
use sql_syntax::visit::{Visitor, walk_expr};
use sql_syntax::{Edits, LexMode, TokenBuf, lex, parse};
use topology::model::{Schema, View};

/// A simple view, its query read.
pub(super) struct Simple {
    text: Vec<u8>,
    parsed: Parsed,
}

fn joins(table: &TableExpr) -> bool {
    match table {
        TableExpr::Join(_) => true,
        TableExpr::Nested { tables, .. } => tables.len() > 1 || tables.iter().any(joins),
        _ => false,
    }
}

/// One column of a simple view.
pub(super) struct Column<'v> {
    pub name: String,
    pub expr: &'v Expr,
}

impl Simple {
    /// The view, if it is simple.
    pub fn of(view: &View, mode: &LexMode) -> Option<Simple> {
        let simple = Simple::read(view, mode)?;
        (simple.is_simple() && simple.query()?.order_by.is_empty()).then_some(simple)
    }

    /// The view, if it is simple but for an order, which says nothing of rows that are written.
    pub fn of_written(view: &View, mode: &LexMode) -> Option<Simple> {
        Simple::read(view, mode).filter(Simple::is_simple)
    }

    /// Whether a server would write through the view to one of its several tables.
    pub fn is_join(view: &View, mode: &LexMode) -> bool {
        let Some(simple) = Simple::read(view, mode) else { return false };
        simple.query().is_some_and(|query| query.with.is_none() && query.limit.is_none())
            && simple.select().is_some_and(|select| {
                let several = select.from.len() > 1 || select.from.iter().any(joins);
                several && !select.distinct && !has_groups(select, &simple.text)
            })
    }

    /// The view's query, if its rows are not to be put into a table of their own first.
    fn read(view: &View, mode: &LexMode) -> Option<Simple> {
        if super::is_temporary(view) {
            return None;
        }
        let text = view.query.clone().into_bytes();
        let mut tokens = TokenBuf::new();
        // Data nodes keep queries in the plain form.
        let mode = LexMode { ansi_quotes: false, no_backslash_escapes: false, ..*mode };
        lex(&text, 0, &mode, &mut tokens);
        let parsed = parse(&text, &tokens, &mode).ok()?;
        Some(Simple { text, parsed })
    }

    fn query(&self) -> Option<&Query> {
        match &self.parsed.stmt {
            Statement::Query(query) => Some(query),
            _ => None,
        }
    }

    fn select(&self) -> Option<&Select> {
        self.query().and_then(Query::as_select)
    }

    fn is_simple(&self) -> bool {
        let (Some(query), Some(select)) = (self.query(), self.select()) else { return false };
        let plain = query.with.is_none()
            && query.limit.is_none()
            && query.locks.is_empty()
            && !select.distinct
            && !select.calc_found_rows
            && select.group_by.is_empty()
            && select.having.is_none()
            && select.windows.is_empty()
            && select.procedure.is_none();
        let one_table = matches!(
            select.from.as_slice(),
            [TableExpr::Table(table)] if table.partitions.is_empty()
                && table.system_time.is_none() && table.index_hints.is_empty()
        );
        let expressions = select.items.iter().map(|item| match item {
            SelectItem::Expr { expr, alias: Some(_), .. } => Some(expr),
            _ => None,
        });
        plain
            && one_table
            && expressions
                .chain(select.selection.as_ref().map(Some))
                .all(|expr| expr.is_some_and(|expr| is_plain(expr, &self.text)))
    }

    /// Its table.
    pub fn table(&self) -> Option<TableName> {
        match self.select()?.from.as_slice() {
            [TableExpr::Table(table)] => Some(table.name),
            _ => None,
        }
    }

    /// Its table's name as it is written, schema included.
    pub fn table_text(&self) -> Option<&[u8]> {
        self.table().map(|table| table.span.of(&self.text))
    }

    /// The table's name alone.
    pub fn table_name(&self) -> Option<String> {
        let name = self.table()?.name;
        Some(String::from_utf8_lossy(&name.name(&self.text)).into_owned())
    }

    /// Its columns.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let items = self.select().map(|select| select.items.as_slice()).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| match item {
                SelectItem::Expr { expr, alias: Some(alias), .. } => Some(Column {
                    name: String::from_utf8_lossy(&alias.name(&self.text)).into_owned(),
                    expr,
                }),
                _ => None,
            })
            .collect()
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<Column<'_>> {
        self.columns().into_iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The table's column that a column of the view is, if it is one.
    pub fn base_column(&self, name: &str) -> Option<String> {
        let column = self.column(name)?;
        let column = column.expr.as_column()?;
        Some(String::from_utf8_lossy(&column.name.name(&self.text)).into_owned())
    }

    /// The condition.
    pub fn condition(&self) -> Option<&Expr> {
        self.select().and_then(|select| select.selection.as_ref())
    }

    /// The columns of the table that the condition names.
    pub fn condition_columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(condition) = self.condition() {
            for column in columns_of(condition) {
                names.push(String::from_utf8_lossy(&column.name.name(&self.text)).into_owned());
            }
        }
        names
    }

    /// An expression's text with the table under this name.
    pub fn render(&self, expr: &Expr, alias: &str) -> Vec<u8> {
        let mut edits = Edits::new();
        for column in columns_of(expr) {
            let mut text = quoted(alias);
            text.push(b'.');
            text.extend(quoted(&String::from_utf8_lossy(&column.name.name(&self.text))));
            edits.replace(column.span(), &text);
        }
        let mut out = Vec::new();
        edits.apply_within(&self.text, expr.span, &mut out);
        out
    }

    /// The definition of its table.
    pub fn base_table<'s>(&self, scene: &Scene<'s>) -> Option<&'s topology::model::Table> {
        self.base(scene).map(|(_, table)| table)
    }

    /// Its table with the schema.
    pub fn base<'s>(&self, scene: &Scene<'s>) -> Option<(&'s Schema, &'s topology::model::Table)> {
        let name = self.table()?;
        let text = |ident: Ident| String::from_utf8_lossy(&ident.name(&self.text)).into_owned();
        let schema = scene.snapshot.schema(&text(name.schema?))?;
        schema.table(&text(name.name)).map(|table| (schema, table))
    }

    /// Whether all names of the table are known, so that its columns can be told from others'.
    pub fn is_known(&self, scene: &Scene<'_>) -> bool {
        self.base_table(scene).is_some()
    }
}

fn columns_of(expr: &Expr) -> Vec<ColumnRef> {
    struct Columns(Vec<ColumnRef>);
    impl Visitor for Columns {
        fn column(&mut self, column: &ColumnRef) {
            self.0.push(*column);
        }
    }
    let mut columns = Columns(Vec::new());
    walk_expr(expr, &mut columns);
    columns.0
}

/// Nothing in it counts how often or where it is computed.
fn is_plain(expr: &Expr, src: &[u8]) -> bool {
    struct Plain<'s> {
        src: &'s [u8],
        plain: bool,
    }
    impl Visitor for Plain<'_> {
        fn enter_query(&mut self, _: &Query, _: u32) {
            self.plain = false;
        }
        fn expr(&mut self, expr: &Expr) -> bool {
            self.plain &= match &expr.kind {
                ExprKind::Func(call) => {
                    let name = crate::expr::function_name(call, self.src);
                    call.over.is_none() && call.aggregate().is_none() && !is_random_function(&name)
                }
                ExprKind::UserVar { .. } | ExprKind::Assign { .. } | ExprKind::Match { .. } => {
                    false
                }
                _ => true,
            };
            true
        }
    }
    let mut plain = Plain { src, plain: true };
    walk_expr(expr, &mut plain);
    plain.plain
}

//! Nothing that names a table may be missed: an overlooked name is a statement that reaches a table of
//! another schema or shard. So every `tb_…` and `db_…` of the corpus outside of strings and comments
//! has to be known to a walk, as a table, a qualifier of a column, or a schema that the tree names.
#![allow(clippy::unwrap_used)]

use sql_syntax::ast::{
    ColumnRef, DatabaseStmt, Expr, ExprKind, Ident, Query, Select, SelectItem, SetExpr, SetStmt,
    Statement,
};
use sql_syntax::visit::{self, TableSite, Visitor};
use sql_syntax::{LexMode, TokenBuf, TokenKind, parse_one};
use std::collections::HashSet;

/// Statements that stay text as a whole: no name in them is ever rewritten.
fn is_opaque(statement: &Statement) -> bool {
    match statement {
        Statement::Other(_) | Statement::Account(_) | Statement::Transaction(_) => true,
        Statement::Show(show) => show.rest.is_some(),
        _ => false,
    }
}

/// Tokens of all names that walks and the tree's own fields tell of.
#[derive(Default)]
struct Known(HashSet<u32>);

impl Known {
    fn add(&mut self, names: impl IntoIterator<Item = Ident>) {
        self.0.extend(names.into_iter().map(|name| name.tok));
    }

    fn select(&mut self, select: &Select) {
        for item in &select.items {
            if let SelectItem::Star { schema, table, .. } = item {
                self.add(schema.iter().chain(table).copied());
            }
        }
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOp(chain) => {
                self.body(&chain.first);
                chain.rest.iter().for_each(|operand| self.body(&operand.operand));
            }
            SetExpr::Paren(..) | SetExpr::Values(..) | SetExpr::Table(..) => {}
        }
    }

    /// Names that are no tables: the schema of USE, SHOW, CREATE DATABASE; the name of a routine.
    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Use(schema) => self.add([*schema]),
            Statement::Show(show) => self.add(show.schema),
            Statement::Database(DatabaseStmt { name, .. }) => self.add(*name),
            Statement::Sequence(sequence) => {
                for name in &sequence.names {
                    self.add(name.schema.into_iter().chain([name.name]));
                }
            }
            Statement::Call(call) => self.add(call.name.schema.into_iter().chain([call.name.name])),
            Statement::Explain(explain) => {
                explain.stmt.iter().for_each(|inner| self.statement(inner));
            }
            Statement::Set(set) => {
                if let SetStmt::Statement { stmt, .. } = set.as_ref() {
                    self.statement(stmt);
                }
            }
            _ => {}
        }
    }
}

impl Visitor for Known {
    fn enter_query(&mut self, query: &Query, _depth: u32) {
        self.body(&query.body);
        for lock in &query.locks {
            for name in &lock.of {
                self.add(name.schema.into_iter().chain([name.name]));
            }
        }
    }

    fn table(&mut self, site: TableSite<'_>) {
        self.add(site.name.schema.into_iter().chain([site.name.name]).chain(site.alias));
    }

    fn column(&mut self, column: &ColumnRef) {
        self.add(column.schema.into_iter().chain(column.table).chain([column.name]));
    }

    fn expr(&mut self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::SequenceValue { name, .. } => {
                self.add(name.schema.into_iter().chain([name.name]));
            }
            ExprKind::Func(call) => self.add(call.qualifiers.iter().copied()),
            _ => {}
        }
        true
    }
}

#[test]
fn every_table_and_schema_of_the_corpus_is_known() {
    let mode = LexMode { server_version: 101_119, mariadb: true, ..LexMode::default() };
    let (mut buf, mut checked, mut missed) = (TokenBuf::new(), 0, Vec::new());
    for line in include_str!("corpus.txt").lines().filter(|line| !line.starts_with('#')) {
        let text = line.splitn(3, ' ').nth(2).unwrap();
        let src = text.as_bytes();
        let Ok(parsed) = parse_one(src, 0, &mode, &mut buf) else { continue };
        if is_opaque(&parsed.stmt) {
            continue;
        }
        let mut known = Known::default();
        known.statement(&parsed.stmt);
        visit::walk_statement(&parsed.stmt, &mut known);
        for (at, token) in buf.tokens().iter().enumerate() {
            let raw = token.span().of(src);
            let name = sql_syntax::text::unquote_ident(raw).to_ascii_lowercase();
            let named = matches!(token.kind, TokenKind::Ident | TokenKind::QuotedIdent)
                && (name.starts_with(b"tb_") || name.starts_with(b"db_"));
            if named {
                checked += 1;
                if !known.0.contains(&(at as u32)) {
                    missed.push(format!("{} in {text}", String::from_utf8_lossy(raw)));
                }
            }
        }
    }
    assert!(checked > 250, "only {checked} names looked at");
    assert!(missed.is_empty(), "{} of {checked} missed:\n{}", missed.len(), missed.join("\n"));
}

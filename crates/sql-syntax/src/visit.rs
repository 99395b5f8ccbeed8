//! Read-only walks over a statement's tree: every table with what is done to it, every column, every
//! query. The planner, permission checks and tests walk; nobody changes a tree.

use crate::ast::{
    AlterKind, Assignment, ColumnDef, ColumnRef, Cte, Delete, Expr, ExprKind, FuncCall, Ident,
    Insert, InsertSource, Join, Limit, OrderItem, Over, Query, RecycleStmt, Select, SelectItem,
    SetExpr, Statement, TableConstraint, TableExpr, TableName, Update, WindowSpec, With,
};

/// What a statement does to a table that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableUse {
    /// Reads its rows.
    Read,
    /// INSERT.
    Insert,
    /// REPLACE.
    Replace,
    /// UPDATE (every table of the statement).
    Update,
    /// DELETE (the one table of the single-table form).
    Delete,
    /// A target of the multi-table form; may be an alias.
    DeleteTarget,
    /// CREATE TABLE, CREATE VIEW.
    Create,
    /// ALTER TABLE.
    Alter,
    /// DROP TABLE, DROP VIEW.
    Drop,
    /// TRUNCATE.
    Truncate,
    /// RENAME: old and new name.
    Rename,
    /// CREATE INDEX, DROP INDEX.
    Index,
    /// LOCK TABLES, FLUSH TABLES.
    Lock,
    /// DESCRIBE, SHOW.
    Describe,
    /// LOAD DATA.
    Load,
    /// REFERENCES, LIKE, EXCHANGE PARTITION, maintenance, and what is known by its words alone.
    Other,
}

/// A place where a table is named.
#[derive(Clone, Copy, Debug)]
pub struct TableSite<'a> {
    /// The name.
    pub name: &'a TableName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// What is done to it.
    pub usage: TableUse,
    /// How many queries it lies in: 1 for the outermost SELECT, 0 for a statement's own table.
    pub depth: u32,
    /// It is the name of a query of WITH, not a table. Only walks that know the text say so.
    pub is_cte: bool,
}

/// What a walk tells. All methods do nothing unless overridden.
pub trait Visitor {
    /// A query begins.
    fn enter_query(&mut self, _query: &Query, _depth: u32) {}
    /// A query ends.
    fn leave_query(&mut self, _query: &Query, _depth: u32) {}
    /// A named query of WITH comes into scope until the query or statement ends: before its own body
    /// is walked with RECURSIVE, after it otherwise.
    fn named(&mut self, _cte: &Cte) {}
    /// A table is named.
    fn table(&mut self, _site: TableSite<'_>) {}
    /// A column is named.
    fn column(&mut self, _column: &ColumnRef) {}
    /// An expression; false: do not look inside.
    fn expr(&mut self, _expr: &Expr) -> bool {
        true
    }
}

/// Calls `found` for every place where a table is named.
pub fn for_each_table<'a>(
    statement: &'a Statement,
    src: &'a [u8],
    found: impl FnMut(TableSite<'_>),
) {
    let mut tables = Tables { src, ctes: Vec::new(), scopes: Vec::new(), found };
    walk_statement(statement, &mut tables);
}

/// Calls `found` for every column that is named.
pub fn for_each_column(statement: &Statement, found: impl FnMut(&ColumnRef)) {
    struct Columns<F>(F);
    impl<F: FnMut(&ColumnRef)> Visitor for Columns<F> {
        fn column(&mut self, column: &ColumnRef) {
            (self.0)(column);
        }
    }
    walk_statement(statement, &mut Columns(found));
}

/// Calls `found` for every query, outer ones first, with its depth (1: outermost).
pub fn for_each_query(statement: &Statement, found: impl FnMut(&Query, u32)) {
    struct Queries<F>(F);
    impl<F: FnMut(&Query, u32)> Visitor for Queries<F> {
        fn enter_query(&mut self, query: &Query, depth: u32) {
            (self.0)(query, depth);
        }
    }
    walk_statement(statement, &mut Queries(found));
}

/// Names of WITH are in scope until the query that has them ends.
struct Tables<'a, F> {
    src: &'a [u8],
    ctes: Vec<Vec<u8>>,
    scopes: Vec<usize>,
    found: F,
}

impl<F: FnMut(TableSite<'_>)> Visitor for Tables<'_, F> {
    fn enter_query(&mut self, _query: &Query, _depth: u32) {
        self.scopes.push(self.ctes.len());
    }

    fn leave_query(&mut self, _query: &Query, _depth: u32) {
        let before = self.scopes.pop().unwrap_or(0);
        self.ctes.truncate(before);
    }

    fn named(&mut self, cte: &Cte) {
        self.ctes.push(cte.name.name(self.src).to_ascii_lowercase());
    }

    fn table(&mut self, site: TableSite<'_>) {
        let is_cte = site.name.schema.is_none() && {
            let name = site.name.name.name(self.src).to_ascii_lowercase();
            self.ctes.contains(&name)
        };
        (self.found)(TableSite { is_cte, ..site });
    }
}

/// Walks a whole statement.
pub fn walk_statement(statement: &Statement, visitor: &mut impl Visitor) {
    Walk { visitor, depth: 0, usage: TableUse::Read }.statement(statement);
}

/// Walks a query.
pub fn walk_query(query: &Query, visitor: &mut impl Visitor) {
    Walk { visitor, depth: 0, usage: TableUse::Read }.query(query);
}

/// Walks an expression.
pub fn walk_expr(expr: &Expr, visitor: &mut impl Visitor) {
    Walk { visitor, depth: 0, usage: TableUse::Read }.expr(expr);
}

/// Walks table references, with joins' conditions and derived tables.
pub fn walk_tables(tables: &[TableExpr], visitor: &mut impl Visitor) {
    Walk { visitor, depth: 0, usage: TableUse::Read }.table_exprs(tables);
}

struct Walk<'v, V> {
    visitor: &'v mut V,
    depth: u32,
    /// What is done to the tables of the table references being walked.
    usage: TableUse,
}

impl<V: Visitor> Walk<'_, V> {
    fn name(&mut self, name: &TableName, usage: TableUse) {
        let site = TableSite { name, alias: None, usage, depth: self.depth, is_cte: false };
        self.visitor.table(site);
    }

    fn names(&mut self, names: &[TableName], usage: TableUse) {
        for name in names {
            self.name(name, usage);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Load(load) => {
                self.name(&load.table, TableUse::Load);
                self.exprs(&load.columns);
                self.assignments(&load.assignments);
            }
            Statement::Explain(explain) => {
                if let Some(inner) = &explain.stmt {
                    self.statement(inner);
                }
            }
            Statement::Call(call) => self.exprs(&call.args),
            Statement::Do(exprs) => self.exprs(exprs),
            Statement::Set(set) => self.set(set),
            _ => self.definition(statement),
        }
    }

    /// Statements that name tables without reading them.
    fn definition(&mut self, statement: &Statement) {
        match statement {
            Statement::CreateTable(create) => {
                self.name(&create.name, TableUse::Create);
                if let Some(like) = &create.like {
                    self.name(like, TableUse::Other);
                }
                self.columns(&create.columns);
                self.constraints(&create.constraints);
                if let Some(query) = &create.query {
                    self.query(query);
                }
            }
            Statement::AlterTable(alter) => {
                self.name(&alter.name, TableUse::Alter);
                for action in &alter.actions {
                    self.alter(&action.kind);
                }
            }
            Statement::DropTable(drop) | Statement::DropView(drop) => {
                self.names(&drop.names, TableUse::Drop)
            }
            Statement::Truncate(name) => self.name(name, TableUse::Truncate),
            Statement::RenameTable(pairs) => {
                for (from, to) in pairs {
                    self.name(from, TableUse::Rename);
                    self.name(to, TableUse::Rename);
                }
            }
            Statement::CreateIndex(create) => {
                self.name(&create.table, TableUse::Index);
                self.constraints(std::slice::from_ref(&create.index));
            }
            Statement::DropIndex(drop) => self.name(&drop.table, TableUse::Index),
            Statement::CreateView(view) => {
                self.name(&view.name, TableUse::Create);
                self.query(&view.query);
            }
            Statement::Recycle(RecycleStmt::Restore(name)) => self.name(name, TableUse::Create),
            Statement::Recycle(RecycleStmt::Purge(names)) => self.names(names, TableUse::Drop),
            _ => self.administration(statement),
        }
    }

    fn administration(&mut self, statement: &Statement) {
        match statement {
            Statement::Show(show) => {
                if let Some(table) = &show.table {
                    self.name(table, TableUse::Describe);
                }
                self.optional(show.selection.as_ref());
            }
            Statement::Describe(describe) => self.name(&describe.table, TableUse::Describe),
            Statement::LockTables(tables) => {
                for lock in tables {
                    self.table_ref(&lock.table, TableUse::Lock);
                }
            }
            Statement::Maintain(maintain) => self.names(&maintain.tables, TableUse::Other),
            Statement::Flush(flush) => self.names(&flush.tables, TableUse::Lock),
            Statement::Handler(handler) => self.name(&handler.table, TableUse::Other),
            Statement::Other(other) => self.names(&other.tables, TableUse::Other),
            _ => {}
        }
    }

    fn set(&mut self, set: &crate::ast::SetStmt) {
        use crate::ast::SetStmt;
        match set {
            SetStmt::Items(items) => {
                for item in items {
                    self.expr(&item.value);
                }
            }
            SetStmt::Statement { items, stmt, .. } => {
                for item in items {
                    self.expr(&item.value);
                }
                self.statement(stmt);
            }
            SetStmt::Password { value, .. } => self.optional(value.as_ref()),
            SetStmt::Transaction { .. } | SetStmt::Other(_) => {}
        }
    }

    fn insert(&mut self, insert: &Insert) {
        let usage = if insert.replace { TableUse::Replace } else { TableUse::Insert };
        self.name(&insert.table, usage);
        for column in &insert.columns {
            self.visitor.column(column);
        }
        match &insert.source {
            InsertSource::Values { rows, .. } => {
                rows.iter().for_each(|row| self.exprs(row.exprs()));
            }
            InsertSource::Set { assignments, .. } => self.assignments(assignments),
            InsertSource::Query(query) => self.query(query),
        }
        self.assignments(&insert.on_duplicate);
        self.items(&insert.returning);
    }

    fn update(&mut self, update: &Update) {
        self.optional_with(update.with.as_ref());
        self.usage = TableUse::Update;
        self.table_exprs(&update.tables);
        self.usage = TableUse::Read;
        self.assignments(&update.assignments);
        self.optional(update.selection.as_ref());
        self.order(&update.order_by);
        self.limit(update.limit.as_ref());
    }

    fn delete(&mut self, delete: &Delete) {
        self.optional_with(delete.with.as_ref());
        self.names(&delete.targets, TableUse::DeleteTarget);
        self.usage = if delete.targets.is_empty() { TableUse::Delete } else { TableUse::Read };
        self.table_exprs(&delete.tables);
        self.usage = TableUse::Read;
        self.optional(delete.selection.as_ref());
        self.order(&delete.order_by);
        self.limit(delete.limit.as_ref());
        self.items(&delete.returning);
    }

    fn query(&mut self, query: &Query) {
        let usage = std::mem::replace(&mut self.usage, TableUse::Read);
        self.depth += 1;
        self.visitor.enter_query(query, self.depth);
        self.optional_with(query.with.as_ref());
        self.set_expr(&query.body);
        self.order(&query.order_by);
        self.limit(query.limit.as_ref());
        self.visitor.leave_query(query, self.depth);
        self.depth -= 1;
        self.usage = usage;
    }

    fn optional_with(&mut self, with: Option<&With>) {
        let Some(with) = with else { return };
        if with.recursive {
            with.ctes.iter().for_each(|cte| self.visitor.named(cte));
        }
        for cte in &with.ctes {
            self.query(&cte.query);
            if !with.recursive {
                self.visitor.named(cte);
            }
        }
    }

    fn set_expr(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Paren(query, _) => self.query(query),
            SetExpr::Values(rows, _) => {
                for row in rows {
                    self.exprs(row);
                }
            }
            SetExpr::Table(name, _) => self.name(name, TableUse::Read),
            SetExpr::SetOp(chain) => {
                self.set_expr(&chain.first);
                for operand in &chain.rest {
                    self.set_expr(&operand.operand);
                }
            }
        }
    }

    fn select(&mut self, select: &Select) {
        self.items(&select.items);
        self.table_exprs(&select.from);
        self.optional(select.selection.as_ref());
        self.order(&select.group_by);
        self.optional(select.having.as_ref());
        for (_, window) in &select.windows {
            self.window(window);
        }
    }

    fn items(&mut self, items: &[SelectItem]) {
        for item in items {
            if let SelectItem::Expr { expr, .. } = item {
                self.expr(expr);
            }
        }
    }

    fn table_exprs(&mut self, tables: &[TableExpr]) {
        for table in tables {
            self.table_expr(table);
        }
    }

    fn table_expr(&mut self, table: &TableExpr) {
        match table {
            TableExpr::Table(table) => self.table_ref(table, self.usage),
            TableExpr::Derived { query, .. } => self.query(query),
            TableExpr::Join(join) => self.join(join),
            TableExpr::Nested { tables, .. } => self.table_exprs(tables),
            TableExpr::JsonTable { expr, .. } => self.expr(expr),
        }
    }

    fn table_ref(&mut self, table: &crate::ast::TableRef, usage: TableUse) {
        let site = TableSite {
            name: &table.name,
            alias: table.alias,
            usage,
            depth: self.depth,
            is_cte: false,
        };
        self.visitor.table(site);
    }

    fn join(&mut self, join: &Join) {
        self.table_expr(&join.left);
        self.table_expr(&join.right);
        self.optional(join.on.as_ref());
    }

    fn columns(&mut self, columns: &[ColumnDef]) {
        for column in columns {
            self.optional(column.default.as_ref());
            self.optional(column.on_update.as_ref());
            if let Some((expr, _)) = &column.generated {
                self.expr(expr);
            }
            self.exprs(&column.checks);
            if let Some(references) = &column.references {
                self.name(references, TableUse::Other);
            }
        }
    }

    fn constraints(&mut self, constraints: &[TableConstraint]) {
        for constraint in constraints {
            for part in &constraint.parts {
                self.optional(part.expr.as_ref());
            }
            if let Some(references) = &constraint.references {
                self.name(references, TableUse::Other);
            }
            self.optional(constraint.check.as_ref());
        }
    }

    fn alter(&mut self, kind: &AlterKind) {
        match kind {
            AlterKind::AddColumns(columns) => self.columns(columns),
            AlterKind::AddConstraint(constraint) => {
                self.constraints(std::slice::from_ref(constraint))
            }
            AlterKind::ModifyColumn(column) | AlterKind::ChangeColumn { to: column, .. } => {
                self.columns(std::slice::from_ref(column));
            }
            AlterKind::RenameTo(name) => self.name(name, TableUse::Rename),
            AlterKind::Partition(action) => {
                if let Some(exchange) = &action.exchange {
                    self.name(exchange, TableUse::Other);
                }
            }
            _ => {}
        }
    }

    fn assignments(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            self.visitor.column(&assignment.column);
            self.expr(&assignment.value);
        }
    }

    fn order(&mut self, items: &[OrderItem]) {
        for item in items {
            self.expr(&item.expr);
        }
    }

    fn limit(&mut self, limit: Option<&Limit>) {
        let Some(limit) = limit else { return };
        self.optional(limit.count.as_ref());
        self.optional(limit.offset.as_ref());
        self.optional(limit.rows_examined.as_ref());
    }

    fn window(&mut self, window: &WindowSpec) {
        self.exprs(&window.partition_by);
        self.order(&window.order_by);
        self.exprs(&window.frame_exprs);
    }

    fn optional(&mut self, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if !self.visitor.expr(expr) {
            return;
        }
        match &expr.kind {
            ExprKind::Column(column)
            | ExprKind::Values(column)
            | ExprKind::Default(Some(column)) => {
                self.visitor.column(column);
            }
            ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Row(list) => self.exprs(list),
            ExprKind::Unary { expr, .. }
            | ExprKind::Is { expr, .. }
            | ExprKind::Cast { expr, .. }
            | ExprKind::ConvertUsing { expr, .. }
            | ExprKind::Collate { expr, .. }
            | ExprKind::Interval { value: expr, .. }
            | ExprKind::Assign { value: expr, .. }
            | ExprKind::Odbc { expr, .. } => self.expr(expr),
            ExprKind::Paren(inner) => self.expr(inner),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Func(call) => self.call(call),
            _ => self.compound(&expr.kind),
        }
    }

    /// The kinds that have sub-queries or several named parts.
    fn compound(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::InList { expr, list, .. } => {
                self.expr(expr);
                self.exprs(list);
            }
            ExprKind::InQuery { expr, query, .. } => {
                self.expr(expr);
                self.query(query);
            }
            ExprKind::Quantified { left, query, .. } => {
                self.expr(left);
                self.query(query);
            }
            ExprKind::Exists(query) | ExprKind::Subquery(query) => self.query(query),
            ExprKind::Between { expr, low, high, .. } => {
                self.expr(expr);
                self.expr(low);
                self.expr(high);
            }
            ExprKind::Like { expr, pattern, escape, .. } => {
                self.expr(expr);
                self.expr(pattern);
                self.optional(escape.as_deref());
            }
            ExprKind::Regexp { expr, pattern, .. } => {
                self.expr(expr);
                self.expr(pattern);
            }
            ExprKind::Case { operand, arms, otherwise } => {
                self.optional(operand.as_deref());
                for (when, then) in arms {
                    self.expr(when);
                    self.expr(then);
                }
                self.optional(otherwise.as_deref());
            }
            ExprKind::Match { columns, against, .. } => {
                self.exprs(columns);
                self.expr(against);
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &FuncCall) {
        self.exprs(&call.args);
        self.order(&call.order_by);
        self.limit(call.limit.as_deref());
        if let Some(over) = &call.over
            && let Over::Spec(window) = over.as_ref()
        {
            self.window(window);
        }
    }
}

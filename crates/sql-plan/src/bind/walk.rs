//! The walk that fills [`Bound`].

use super::resolve::ident_text;
use super::{Block, Bound, Conjunct, Facts, Named, NamedUse, Qualified, Reference, Source, What};
use crate::expr::{self, Part, ROW_NUMBER, conjuncts, for_each_part, function_name};
use crate::route::Router;
use crate::template::{IdleTimeout, SessionValue, TokenRange};
use base::sql_error::{NO_DB_SELECTED, NO_SUCH_TABLE, SCHEMA_NOT_READY, SqlError, UNKNOWN_DB};
use sql_syntax::TokenBuf;
use sql_syntax::ast::{
    ColumnRef, Expr, ExprKind, Ident, IntoKind, Join, JoinKind, Query, Select, SelectInto,
    SelectItem, SetExpr, Span, TableExpr, TableName, TableRef, VarScope, With,
};
use std::collections::HashMap;
use topology::model::{Placement, Schema, Snapshot};

/// Schemas of the servers themselves.
const SYSTEM_SCHEMAS: [&str; 4] = ["information_schema", "performance_schema", "mysql", "sys"];

/// Where a column's schema is written, to be understood when all tables are known.
struct Pending {
    block: usize,
    schema: Option<Ident>,
    table: Ident,
}

/// The walk.
pub(crate) struct Binder<'s> {
    bound: Bound<'s>,
    /// Queries of WITH that are visible now, by their names.
    ctes: Vec<(Vec<u8>, usize)>,
    pending: Vec<Pending>,
    /// Views may be named whose query has not been put in their place.
    views: bool,
}

impl<'s> Binder<'s> {
    pub fn new(
        src: &'s [u8],
        tokens: &'s TokenBuf,
        snapshot: &'s Snapshot,
        current_schema: Option<&'s str>,
    ) -> Self {
        Self {
            bound: Bound {
                src,
                tokens,
                snapshot,
                current_schema,
                plain_names: false,
                refs: Vec::new(),
                blocks: Vec::new(),
                ref_by_token: HashMap::new(),
                block_by_token: HashMap::new(),
                columns: Vec::new(),
                named: Vec::new(),
                named_uses: Vec::new(),
                qualified: Vec::new(),
                session_calls: Vec::new(),
                own_variables: Vec::new(),
                additions: Vec::new(),
                facts: Facts::default(),
            },
            ctes: Vec::new(),
            pending: Vec::new(),
            views: false,
        }
    }

    /// The statement defines a view: it names other views as they are.
    pub fn allow_views(&mut self) {
        self.views = true;
    }

    /// Tables get no alias that the statement does not give them.
    pub fn with_plain_names(mut self, plain: bool) -> Self {
        self.bound.plain_names = plain;
        self
    }

    /// Everything is walked: qualifiers are understood.
    pub fn finish(mut self) -> Bound<'s> {
        for pending in std::mem::take(&mut self.pending) {
            let mut at = Some(pending.block);
            while let Some(block) = at {
                let named =
                    self.bound.blocks[block].sources.iter().find_map(|source| match source {
                        Source::Table(index)
                            if self.bound.is_named(*index, pending.schema, pending.table) =>
                        {
                            Some(*index)
                        }
                        _ => None,
                    });
                if let Some(reference) = named {
                    let schema_token = pending.schema.map(|schema| schema.tok);
                    let table_token = pending.table.tok;
                    self.bound.qualified.push(Qualified { schema_token, table_token, reference });
                    break;
                }
                at = self.bound.blocks[block].parent;
            }
        }
        self.bound
    }

    /// A new block inside of `parent`.
    pub fn open_block(&mut self, parent: Option<usize>) -> usize {
        self.bound.blocks.push(Block { parent, ..Block::default() });
        self.bound.blocks.len() - 1
    }

    /// A query. `derived` says that it stands in a FROM.
    pub fn query(
        &mut self,
        query: &'s Query,
        parent: Option<usize>,
        derived: bool,
    ) -> Result<usize, SqlError> {
        let visible = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with, parent)?;
        }
        let block = self.set_expr(&query.body, parent, derived, false)?;
        for item in &query.order_by {
            self.expr(&item.expr, block)?;
        }
        if let Some(limit) = &query.limit {
            self.bound.blocks[block].limited = true;
            for part in limit.count.iter().chain(&limit.offset) {
                self.expr(part, block)?;
            }
        }
        self.into(query.into.as_ref());
        self.ctes.truncate(visible);
        Ok(block)
    }

    /// WITH: its names are visible from here on.
    pub fn with(&mut self, with: &'s With, parent: Option<usize>) -> Result<(), SqlError> {
        self.bound.facts.ctes = true;
        let first = self.bound.named.len();
        self.bound.named.extend(with.ctes.iter().map(|cte| Named { cte }));
        let names: Vec<(Vec<u8>, usize)> = (first..)
            .zip(&with.ctes)
            .map(|(index, cte)| (cte.name.name(self.bound.src).into_owned(), index))
            .collect();
        if with.recursive {
            self.ctes.extend(names.iter().cloned());
        }
        for (cte, name) in with.ctes.iter().zip(names) {
            self.query(&cte.query, parent, true)?;
            self.ctes.push(name);
        }
        Ok(())
    }

    fn into(&mut self, into: Option<&SelectInto>) {
        self.bound.facts.uses.user_variables |=
            into.is_some_and(|into| matches!(into.kind, IntoKind::Vars(_)));
    }

    fn set_expr(
        &mut self,
        body: &'s SetExpr,
        parent: Option<usize>,
        derived: bool,
        operand: bool,
    ) -> Result<usize, SqlError> {
        match body {
            SetExpr::Select(select) => self.select(select, parent, derived, operand),
            SetExpr::Paren(query, _) => {
                let block = self.query(query, parent, derived)?;
                self.bound.blocks[block].set_operand |= operand;
                Ok(block)
            }
            SetExpr::Values(rows, _) => {
                let block = self.open_block(parent);
                for value in rows.iter().flatten() {
                    self.expr(value, block)?;
                }
                Ok(block)
            }
            SetExpr::Table(name, _) => {
                // `TABLE t` has no place for a SELECT's parts: it is treated as an operand.
                self.bound.facts.set_operations = true;
                let block = self.open_block(parent);
                self.bound.blocks[block].set_operand = true;
                self.table_name(*name, None, block, false)?;
                Ok(block)
            }
            SetExpr::SetOp(chain) => {
                self.bound.facts.set_operations = true;
                let first = self.set_expr(&chain.first, parent, derived, true)?;
                for operand in &chain.rest {
                    self.set_expr(&operand.operand, parent, derived, true)?;
                }
                Ok(first)
            }
        }
    }

    fn select(
        &mut self,
        select: &'s Select,
        parent: Option<usize>,
        derived: bool,
        operand: bool,
    ) -> Result<usize, SqlError> {
        let block = self.open_block(parent);
        self.bound.block_by_token.insert(select.select_tok, block);
        self.bound.blocks[block].select = Some(select);
        self.bound.blocks[block].derived = derived;
        self.bound.blocks[block].set_operand = operand;
        self.into(select.into.as_ref());
        self.from(&select.from, select.selection.as_ref(), block)?;
        self.items(&select.items, block)?;
        let grouping = select.group_by.iter().map(|item| &item.expr);
        for expr in grouping.chain(&select.having) {
            self.expr(expr, block)?;
        }
        if !select.windows.is_empty() {
            self.bound.facts.windows = true;
            for (_, spec) in &select.windows {
                let order = spec.order_by.iter().map(|item| &item.expr);
                for expr in spec.partition_by.iter().chain(order).chain(&spec.frame_exprs) {
                    self.expr(expr, block)?;
                }
            }
        }
        Ok(block)
    }

    /// A select list, or RETURNING's.
    pub fn items(&mut self, items: &'s [SelectItem], block: usize) -> Result<(), SqlError> {
        for item in items {
            match item {
                SelectItem::Star { schema, table: Some(table), .. } => {
                    self.qualifier(*schema, *table, block);
                }
                SelectItem::Star { .. } => {}
                SelectItem::Expr { expr, .. } => self.expr(expr, block)?,
            }
        }
        Ok(())
    }

    /// A FROM with its WHERE.
    pub fn from(
        &mut self,
        tables: &'s [TableExpr],
        selection: Option<&'s Expr>,
        block: usize,
    ) -> Result<(), SqlError> {
        for table in tables {
            self.table_expr(table, block, false)?;
        }
        if let Some(selection) = selection {
            self.expr(selection, block)?;
            let restricts: Vec<usize> = self.bound.refs_of(block).collect();
            self.add_conditions(selection, block, &restricts, false, None);
        }
        Ok(())
    }

    /// Walks a table expression; gives the references in it.
    fn table_expr(
        &mut self,
        table: &'s TableExpr,
        block: usize,
        null_side: bool,
    ) -> Result<Vec<usize>, SqlError> {
        match table {
            TableExpr::Table(table) => Ok(self
                .table_name(table.name, Some(table), block, null_side)?
                .into_iter()
                .collect()),
            TableExpr::Derived { lateral, query, alias, columns, .. } => {
                // A lateral query sees what stands before it; others see what is around the block.
                let parent = if *lateral { Some(block) } else { self.bound.blocks[block].parent };
                self.query(query, parent, true)?;
                let alias = alias.map(|alias| alias.name(self.bound.src).into_owned());
                let names = if columns.is_empty() {
                    self.bound.column_names(query)
                } else {
                    let own = columns.iter().map(|name| name.name(self.bound.src).into_owned());
                    Some(own.collect())
                };
                let source = Source::Opaque {
                    alias: alias.unwrap_or_default(),
                    columns: names,
                    token: self.bound.range(query.span).first,
                };
                self.bound.blocks[block].sources.push(source);
                Ok(Vec::new())
            }
            TableExpr::Join(join) => self.join(join, block, null_side),
            TableExpr::Nested { tables, .. } => {
                let mut all = Vec::new();
                for table in tables {
                    all.extend(self.table_expr(table, block, null_side)?);
                }
                Ok(all)
            }
            TableExpr::JsonTable { expr, alias, .. } => {
                self.expr(expr, block)?;
                let alias = alias.map(|alias| alias.name(self.bound.src).into_owned());
                let alias = alias.unwrap_or_default();
                let source = Source::Opaque { alias, columns: None, token: 0 };
                self.bound.blocks[block].sources.push(source);
                Ok(Vec::new())
            }
        }
    }

    fn join(
        &mut self,
        join: &'s Join,
        block: usize,
        null_side: bool,
    ) -> Result<Vec<usize>, SqlError> {
        self.bound.blocks[block].natural |= join.natural;
        let left = self.table_expr(&join.left, block, null_side || join.kind == JoinKind::Right)?;
        let right =
            self.table_expr(&join.right, block, null_side || join.kind == JoinKind::Left)?;
        let restricts: Vec<usize> = match join.kind {
            JoinKind::Left => right.clone(),
            JoinKind::Right => left.clone(),
            JoinKind::Inner | JoinKind::Straight => left.iter().chain(&right).copied().collect(),
        };
        if let Some(on) = &join.on {
            self.expr(on, block)?;
            self.add_conditions(on, block, &restricts, null_side, Some(join));
        }
        for using in &join.using {
            self.using(*using, join, block, &left, &right, (&restricts, null_side));
        }
        Ok(left.into_iter().chain(right).collect())
    }

    fn using(
        &mut self,
        using: Ident,
        join: &'s Join,
        block: usize,
        left: &[usize],
        right: &[usize],
        (restricts, null_side): (&[usize], bool),
    ) {
        let name = ident_text(using, self.bound.src);
        let side = |refs: &[usize]| {
            let mut having = refs.iter().filter_map(|index| self.bound.column_index(*index, &name));
            having.next().filter(|_| having.next().is_none())
        };
        if let (Some(left), Some(right)) = (side(left), side(right)) {
            let what = What::Equal(left, right);
            self.push_condition(what, block, restricts, null_side, Some(join));
        }
        self.bound.blocks[block].using.push(name);
    }

    fn add_conditions(
        &mut self,
        condition: &'s Expr,
        block: usize,
        restricts: &[usize],
        null_side: bool,
        join: Option<&'s Join>,
    ) {
        let mut parts = Vec::new();
        conjuncts(condition, &mut parts);
        for part in parts {
            self.push_condition(What::Expr(part), block, restricts, null_side, join);
        }
    }

    fn push_condition(
        &mut self,
        what: What<'s>,
        block: usize,
        restricts: &[usize],
        null_side: bool,
        join: Option<&'s Join>,
    ) {
        // The condition of a join reaches its tables before other joins do only where these cannot
        // make them NULL in between; `null_side` of the tables under the join is what counts.
        let inner =
            join.is_none_or(|join| matches!(join.kind, JoinKind::Inner | JoinKind::Straight));
        let before_joins = restricts
            .iter()
            .copied()
            .filter(|index| match join {
                None => !self.bound.refs[*index].null_side,
                Some(join) => !is_null_side_within(join, *index, &self.bound),
            })
            .collect();
        let global = !null_side && inner;
        let join = join.map(|join| join.span);
        let conjunct = Conjunct { what, restricts: restricts.to_vec(), before_joins, global, join };
        self.bound.blocks[block].conditions.push(conjunct);
    }

    /// A table's name: a reference, a named query, or a system table.
    pub fn table_name(
        &mut self,
        name: TableName,
        table_ref: Option<&'s TableRef>,
        block: usize,
        null_side: bool,
    ) -> Result<Option<usize>, SqlError> {
        let src = self.bound.src;
        let alias = table_ref.and_then(|table| table.alias);
        if name.schema.is_none()
            && let Some((cte, named)) =
                self.ctes.iter().rev().find(|(cte, _)| name.name.is(src, cte)).cloned()
        {
            let alias = alias.map_or(cte, |alias| alias.name(src).into_owned());
            let token = name.name.tok;
            self.bound.named_uses.push(NamedUse { named, token, table_ref });
            let columns = self.named_columns(named);
            self.bound.blocks[block].sources.push(Source::Opaque { alias, columns, token });
            return Ok(None);
        }
        let Some((schema, table)) = self.look_up(name)? else {
            let alias = alias.unwrap_or(name.name).name(src).into_owned();
            let source = Source::Opaque { alias, columns: None, token: name.name.tok };
            self.bound.blocks[block].sources.push(source);
            return Ok(None);
        };
        if !self.views && table.expanded_view().is_some() {
            return Err(crate::planner::refused(format!(
                "view '{}.{}' cannot be used in this place",
                schema.name, table.name
            )));
        }
        let router = match &table.placement {
            Placement::Sharded(rule) => Router::new(schema, table, rule),
            _ => None,
        };
        let index = self.bound.refs.len();
        self.bound.refs.push(Reference {
            schema,
            table,
            alias: ident_text(alias.unwrap_or(name.name), src),
            has_alias: alias.is_some(),
            name,
            table_ref,
            block,
            null_side,
            router,
        });
        self.bound.ref_by_token.insert(name.name.tok, index);
        self.bound.blocks[block].sources.push(Source::Table(index));
        Ok(Some(index))
    }

    /// The names of a named query's columns.
    fn named_columns(&self, named: usize) -> Option<Vec<Vec<u8>>> {
        let cte = self.bound.named[named].cte;
        if cte.columns.is_empty() {
            return self.bound.column_names(&cte.query);
        }
        Some(cte.columns.iter().map(|name| name.name(self.bound.src).into_owned()).collect())
    }

    /// The table of this name; `None` for tables of the servers' own schemas.
    fn look_up(
        &mut self,
        name: TableName,
    ) -> Result<Option<(&'s Schema, &'s topology::model::Table)>, SqlError> {
        let schema_name = match name.schema {
            Some(schema) => ident_text(schema, self.bound.src),
            None => match self.bound.current_schema {
                Some(schema) => schema.to_owned(),
                None => return Err(SqlError::new(NO_DB_SELECTED, "No database selected")),
            },
        };
        if SYSTEM_SCHEMAS.contains(&schema_name.to_ascii_lowercase().as_str()) {
            self.bound.facts.system_schema = true;
            return Ok(None);
        }
        let schema = schema_of(self.bound.snapshot, &schema_name)?;
        let table_name = ident_text(name.name, self.bound.src);
        match schema.table(&table_name) {
            Some(table) => Ok(Some((schema, table))),
            None => Err(no_such_table(&schema_name, &table_name)),
        }
    }

    /// An expression.
    pub fn expr(&mut self, expr: &'s Expr, block: usize) -> Result<(), SqlError> {
        self.note(expr, block);
        let mut failed = Ok(());
        for_each_part(expr, &mut |part| {
            if failed.is_err() {
                return;
            }
            failed = match part {
                Part::Expr(part) => self.expr(part, block),
                Part::Query(query) => self.query(query, Some(block), false).map(|_| ()),
            };
        });
        failed
    }

    /// A column's name outside of an expression (assignments, column lists).
    pub fn column(&mut self, column: &ColumnRef, block: usize) {
        self.bound.columns.push((*column, block));
        if let Some(table) = column.table {
            self.qualifier(column.schema, table, block);
        }
    }

    /// A table's name that qualifies something.
    pub fn qualifier(&mut self, schema: Option<Ident>, table: Ident, block: usize) {
        self.pending.push(Pending { block, schema, table });
    }

    fn note(&mut self, expr: &'s Expr, block: usize) {
        let uses = &mut self.bound.facts.uses;
        match &expr.kind {
            ExprKind::Column(column) | ExprKind::Values(column) => self.column(column, block),
            ExprKind::Default(Some(column)) => {
                self.column(column, block);
                self.bound.facts.default_values = true;
            }
            ExprKind::UserVar { .. } => uses.user_variables = true,
            ExprKind::Assign { .. } => {
                uses.user_variables = true;
                self.bound.facts.assigns_variables = true;
            }
            ExprKind::SysVar(variable) => {
                uses.system_variables = true;
                self.note_variable(expr.span, variable);
            }
            ExprKind::Func(call) => self.note_call(expr.span, call),
            _ => {}
        }
    }

    fn note_variable(&mut self, span: Span, variable: &sql_syntax::ast::SysVar) {
        let name =
            String::from_utf8_lossy(&variable.name.name(self.bound.src)).to_ascii_lowercase();
        let global = variable.scope == VarScope::Global;
        let session = match name.as_str() {
            "wait_timeout" if !global => self.idle_timeout(IdleTimeout::Wait, &name),
            "interactive_timeout" if !global => self.idle_timeout(IdleTimeout::Interactive, &name),
            "last_insert_id" | "identity" => Some(SessionValue::LastInsertId),
            "warning_count" => Some(SessionValue::WarningCount),
            "error_count" => Some(SessionValue::ErrorCount),
            crate::variables::CONSISTENT_READS if !global => {
                let parameter = self.bound.snapshot.parameters.get("consistent_reads");
                Some(SessionValue::ConsistentReads { instance: parameter == "ON" })
            }
            "port" => Some(SessionValue::Port),
            // What a server refuses, it refuses by itself.
            "hostname" if variable.scope != VarScope::Session => Some(SessionValue::Hostname),
            "server_id" => Some(SessionValue::ServerId),
            _ => None,
        };
        if let Some(value) = session.filter(|_| variable.base.is_none()) {
            let range: TokenRange = self.bound.range(span);
            self.bound.session_calls.push((value, range));
            return;
        }
        let own = if variable.base.is_none() {
            let of_schema = crate::variables::of_schema(
                self.bound.snapshot,
                self.bound.current_schema.filter(|_| !global),
                &name,
            );
            let own = crate::variables::own_value(&self.bound.snapshot.parameters, &name);
            of_schema
                .map(|value| format!("'{value}'").into_bytes())
                .or_else(|| own.map(|own| own.as_sql()))
        } else {
            None
        };
        if let Some(value) = own {
            let range: TokenRange = self.bound.range(span);
            self.bound.own_variables.push((range, value));
        }
    }

    fn idle_timeout(&self, which: IdleTimeout, name: &str) -> Option<SessionValue> {
        let own = crate::variables::own_value(&self.bound.snapshot.parameters, name)?;
        Some(SessionValue::IdleTimeout { which, instance: own.0.parse().ok()? })
    }

    /// A stored function by its full name: it is in the database of its schema's first shard.
    fn note_stored_function(&mut self, name: sql_syntax::ast::Ident) {
        self.bound.facts.uses.other_functions = true;
        self.bound.facts.uses.stored_functions = true;
        let name_text = String::from_utf8_lossy(&name.name(self.bound.src)).into_owned();
        let schema = self.bound.snapshot.schema(&name_text);
        if let Some(schema) = schema {
            let database = topology::model::physical_database(&schema.name, 0);
            let range = TokenRange { first: name.tok, last: name.tok };
            self.bound.own_variables.push((range, crate::template::quoted(&database)));
        }
    }

    fn note_call(&mut self, span: Span, call: &sql_syntax::ast::FuncCall) {
        let name = function_name(call, self.bound.src);
        if call.over.is_some() {
            self.bound.facts.windows = true;
        }
        if expr::is_random_function(&name) {
            self.bound.facts.random = true;
            self.bound.facts.row_numbers |= name == ROW_NUMBER;
        }
        let connection = matches!(
            name.as_str(),
            "GET_LOCK" | "RELEASE_LOCK" | "RELEASE_ALL_LOCKS" | "IS_USED_LOCK" | "IS_FREE_LOCK"
        );
        self.bound.facts.uses.named_locks |= connection;
        if connection || (name == "LAST_INSERT_ID" && !call.args.is_empty()) {
            self.bound.facts.uses.connection_state = true;
        }
        if !crate::reads::is_pure_function(&name) {
            self.bound.facts.uses.other_functions = true;
        }
        self.bound.facts.uses.stored_functions |= crate::reads::may_be_stored(&name);
        if let [schema] = call.qualifiers.as_slice() {
            self.note_stored_function(*schema);
        }
        if !call.args.is_empty() {
            return;
        }
        let value = match name.as_str() {
            "DATABASE" | "SCHEMA" => SessionValue::Database,
            "USER" | "SESSION_USER" | "SYSTEM_USER" => SessionValue::User,
            "CURRENT_USER" => SessionValue::CurrentUser,
            "CONNECTION_ID" => SessionValue::ConnectionId,
            "LAST_INSERT_ID" => SessionValue::LastInsertId,
            "ROW_COUNT" => SessionValue::RowCount,
            "FOUND_ROWS" => SessionValue::FoundRows,
            "VERSION" => SessionValue::Version,
            _ => return,
        };
        let range: TokenRange = self.bound.range(span);
        self.bound.session_calls.push((value, range));
    }
}

/// The schema of this name, if it can be used.
pub(crate) fn schema_of<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s Schema, SqlError> {
    let schema = snapshot
        .schema(name)
        .ok_or_else(|| SqlError::new(UNKNOWN_DB, format!("Unknown database '{name}'")))?;
    if !schema.ready {
        let text = format!("Schema '{name}' is being created or deleted; try again later");
        return Err(SqlError::new(SCHEMA_NOT_READY, text));
    }
    Ok(schema)
}

/// MySQL's error for a table that is not there.
pub(crate) fn no_such_table(schema: &str, table: &str) -> SqlError {
    let schema = schema.to_lowercase();
    SqlError::new(NO_SUCH_TABLE, format!("Table '{schema}.{table}' doesn't exist"))
}

/// Whether an outer join below `join` can make the reference NULL.
fn is_null_side_within(join: &Join, reference: usize, bound: &Bound<'_>) -> bool {
    fn below(table: &TableExpr, token: u32, null_side: bool) -> Option<bool> {
        match table {
            TableExpr::Table(table) => (table.name.name.tok == token).then_some(null_side),
            TableExpr::Join(join) => {
                below(&join.left, token, null_side || join.kind == JoinKind::Right)
                    .or_else(|| below(&join.right, token, null_side || join.kind == JoinKind::Left))
            }
            TableExpr::Nested { tables, .. } => {
                tables.iter().find_map(|table| below(table, token, null_side))
            }
            TableExpr::Derived { .. } | TableExpr::JsonTable { .. } => None,
        }
    }
    let token = bound.refs[reference].name.name.tok;
    below(&join.left, token, false).or_else(|| below(&join.right, token, false)).unwrap_or(true)
}

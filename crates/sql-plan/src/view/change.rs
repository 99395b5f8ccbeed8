//! INSERT, UPDATE and DELETE through a simple view: they become statements on its table. What cannot
//! be rewritten exactly is refused, with a server's own error where a server refuses it too.

use super::Scene;
use super::simple::Simple;
use crate::planner::refused;
use crate::template::quoted;
use base::sql_error::{
    NO_DEFAULT_FOR_VIEW_FIELD, NON_INSERTABLE_TABLE, NON_UPDATABLE_TABLE, SqlError, SqlErrorCode,
    UNKNOWN_COLUMN,
};
use sql_syntax::Edits;
use sql_syntax::ast::{ColumnRef, Delete, Expr, Insert, Query, Span, Statement, TableName, Update};
use sql_syntax::visit::{Visitor, walk_expr};
use topology::model::{Table, View};

/// The error of a column of a view that is no column of its table.
const NON_UPDATABLE_COLUMN: SqlErrorCode =
    SqlErrorCode { number: 1348, name: "NON_UPDATABLE_COLUMN", ..NON_UPDATABLE_TABLE };

/// The error of a DELETE through a view of several tables.
const DELETE_FROM_JOIN_VIEW: SqlErrorCode =
    SqlErrorCode { number: 1395, name: "VIEW_DELETE_MERGE_VIEW", ..NON_UPDATABLE_TABLE };

/// Rewrites a statement that changes rows through a view; false when it does not.
pub(super) fn rewrite(
    scene: &Scene<'_>,
    statement: &Statement,
    edits: &mut Edits,
) -> Result<bool, SqlError> {
    match statement {
        Statement::Insert(insert) => rewrite_insert(scene, insert, edits),
        Statement::Update(update) => rewrite_update(scene, update, edits),
        Statement::Delete(delete) => rewrite_delete(scene, delete, edits),
        _ => Ok(false),
    }
}

/// A view that rows go through.
struct Target<'s> {
    table: &'s Table,
    view: &'s View,
    simple: Simple,
    base: String,
}

fn target<'s>(
    scene: &Scene<'s>,
    name: &TableName,
    verb: &str,
) -> Result<Option<Target<'s>>, SqlError> {
    let Some((schema, table, view)) = scene.view(name) else { return Ok(None) };
    super::check_valid(scene, schema, table, view)?;
    let simple = Simple::of_written(view, scene.mode).filter(|simple| simple.is_known(scene));
    let found = simple.and_then(|simple| simple.table_name().map(|base| (simple, base)));
    let Some((simple, base)) = found else {
        return Err(match Simple::is_join(view, scene.mode) {
            true => of_join(&schema.name, &table.name, verb),
            false => not_updatable(&table.name, verb),
        });
    };
    Ok(Some(Target { table, view, simple, base }))
}

/// A view of several tables, which a server changes one of.
fn of_join(schema: &str, name: &str, verb: &str) -> SqlError {
    match verb {
        "DELETE" => SqlError::new(
            DELETE_FROM_JOIN_VIEW,
            format!("Can not delete from join view '{schema}.{name}'"),
        ),
        _ => refused(format!(
            "{verb} through view '{name}' of several tables over shards is not supported; change the \
             table itself"
        )),
    }
}

fn not_updatable(name: &str, verb: &str) -> SqlError {
    match verb {
        "INSERT" => SqlError::new(
            NON_INSERTABLE_TABLE,
            format!("The target table {name} of the INSERT is not insertable-into"),
        ),
        _ => SqlError::new(
            NON_UPDATABLE_TABLE,
            format!("The target table {name} of the {verb} is not updatable"),
        ),
    }
}

impl Target<'_> {
    /// The table's column behind a view's, for a value to be given to it.
    fn assigned(&self, name: &str) -> Result<String, SqlError> {
        if let Some(column) = self.simple.base_column(name) {
            return Ok(column);
        }
        Err(match self.simple.column(name) {
            Some(_) => {
                SqlError::new(NON_UPDATABLE_COLUMN, format!("Column '{name}' is not updatable"))
            }
            None => {
                SqlError::new(UNKNOWN_COLUMN, format!("Unknown column '{name}' in 'field list'"))
            }
        })
    }
}

impl Target<'_> {
    /// The same for a row that is inserted.
    fn inserted(&self, name: &str) -> Result<String, SqlError> {
        match self.simple.column(name) {
            Some(column) if column.expr.as_column().is_none() => {
                Err(not_updatable(&self.table.name, "INSERT"))
            }
            _ => self.assigned(name),
        }
    }
}

/// Columns of the view become what they are of the table.
struct Columns<'c, 's> {
    scene: &'c Scene<'s>,
    target: &'c Target<'s>,
    /// The name of the view in the statement.
    alias: String,
    /// The name of the table in the new statement.
    table: String,
    inner: usize,
    edits: Vec<(Span, Vec<u8>)>,
    unclear: bool,
}

impl Visitor for Columns<'_, '_> {
    fn enter_query(&mut self, _: &Query, _: u32) {
        self.inner += 1;
    }

    fn leave_query(&mut self, _: &Query, _: u32) {
        self.inner -= 1;
    }

    fn column(&mut self, column: &ColumnRef) {
        let name = self.scene.text(column.name);
        let own = column
            .table
            .is_none_or(|table| self.scene.text(table).eq_ignore_ascii_case(&self.alias));
        let known = self.target.simple.column(&name);
        match (own, known) {
            (true, Some(found)) if self.inner == 0 => {
                let text = self.target.simple.render(found.expr, &self.table);
                let text = match found.expr.as_column() {
                    Some(_) => text,
                    None => [b"(".as_slice(), &text, b")"].concat(),
                };
                self.edits.push((column.span(), text));
            }
            // In a sub-query it may be another's; outside it must be the view's.
            (true, Some(_)) => self.unclear = true,
            (_, None) if self.inner == 0 => self.unclear = true,
            _ => self.unclear |= own && column.table.is_some(),
        }
    }
}

impl<'c, 's> Columns<'c, 's> {
    fn new(scene: &'c Scene<'s>, target: &'c Target<'s>, alias: String, table: String) -> Self {
        Columns { scene, target, alias, table, inner: 0, edits: Vec::new(), unclear: false }
    }

    fn walk<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        for expr in exprs {
            walk_expr(expr, self);
        }
    }

    fn finish(self, edits: &mut Edits) -> Result<(), SqlError> {
        if self.unclear {
            return Err(refused(format!(
                "a column of this statement cannot be told through view '{}'; name the table itself",
                self.target.table.name
            )));
        }
        for (span, text) in self.edits {
            edits.replace(span, &text);
        }
        Ok(())
    }
}

/// The view's condition joins the WHERE.
fn add_condition(
    target: &Target<'_>,
    name: &str,
    selection: Option<&Expr>,
    end: u32,
    edits: &mut Edits,
) {
    let Some(condition) = target.simple.condition() else { return };
    let text = target.simple.render(condition, name);
    match selection {
        Some(own) => {
            edits.insert(own.span.start, b"(");
            edits.insert(own.span.end, &[b") AND (".as_slice(), &text, b")"].concat());
        }
        None => edits.insert(end, &[b" WHERE (".as_slice(), &text, b")"].concat()),
    }
}

fn rewrite_update(scene: &Scene<'_>, update: &Update, edits: &mut Edits) -> Result<bool, SqlError> {
    let Some(table) = update.single_table() else {
        return check_many(scene, update);
    };
    let Some(target) = target(scene, &table.name, "UPDATE")? else { return Ok(false) };
    let alias = scene.text(table.alias.unwrap_or(table.name.name));
    for assignment in &update.assignments {
        let column = target.assigned(&scene.text(assignment.column.name))?;
        let text = [quoted(&alias), b".".to_vec(), quoted(&column)].concat();
        edits.replace(assignment.column.span(), &text);
    }
    check_levels(scene, &target, update.ignore)?;
    let mut columns = Columns::new(scene, &target, alias.clone(), alias.clone());
    let values = update.assignments.iter().map(|assignment| &assignment.value);
    columns.walk(values.chain(&update.selection).chain(update.order_by.iter().map(|o| &o.expr)));
    columns.finish(edits)?;
    replace_table(&target, table.name, table.alias.is_none().then_some(&alias), edits);
    add_condition(&target, &alias, update.selection.as_ref(), update.set_span.end, edits);
    Ok(true)
}

/// WITH CHECK OPTION is looked at where rows are made ([`super::check`]): under one condition, and for
/// all rows alike.
fn check_levels(
    scene: &Scene<'_>,
    target: &Target<'_>,
    passes_over_rows: bool,
) -> Result<(), SqlError> {
    if !target.view.check_option {
        return Ok(());
    }
    if target.simple.base_table(scene).is_some_and(|base| base.view.is_some()) {
        return Err(refused(format!(
            "view '{}' WITH CHECK OPTION is of another view; change that one, or the table",
            target.table.name
        )));
    }
    if passes_over_rows && target.simple.condition().is_some() {
        return Err(refused(format!(
            "IGNORE and ON DUPLICATE KEY UPDATE through view '{}' WITH CHECK OPTION of sharded tables \
             are not supported; change the table itself",
            target.table.name
        )));
    }
    Ok(())
}

fn replace_table(target: &Target<'_>, name: TableName, alias: Option<&String>, edits: &mut Edits) {
    let mut text = target.simple.table_text().unwrap_or_default().to_vec();
    if let Some(alias) = alias {
        text.extend_from_slice(b" AS ");
        text.extend(quoted(alias));
    }
    edits.replace(name.span, &text);
}

/// An UPDATE of several tables may read views, not change them.
fn check_many(scene: &Scene<'_>, update: &Update) -> Result<bool, SqlError> {
    struct Views<'v, 's>(&'v Scene<'s>, Vec<(String, &'s Table)>);
    impl Visitor for Views<'_, '_> {
        fn table(&mut self, site: sql_syntax::visit::TableSite<'_>) {
            if let Some((_, table, _)) = self.0.view(site.name) {
                self.1.push((self.0.text(site.alias.unwrap_or(site.name.name)), table));
            }
        }
    }
    let mut views = Views(scene, Vec::new());
    sql_syntax::visit::walk_tables(&update.tables, &mut views);
    for assignment in &update.assignments {
        let column = scene.text(assignment.column.name);
        let changed = views.1.iter().any(|(alias, view)| match assignment.column.table {
            Some(table) => scene.text(table).eq_ignore_ascii_case(alias),
            None => view.column(&column).is_some(),
        });
        if changed {
            return Err(refused(
                "an UPDATE of several tables cannot change a view of sharded tables; name its table",
            ));
        }
    }
    Ok(false)
}

fn rewrite_delete(scene: &Scene<'_>, delete: &Delete, edits: &mut Edits) -> Result<bool, SqlError> {
    let Some(table) = delete.single_table() else { return Ok(false) };
    let Some(target) = target(scene, &table.name, "DELETE")? else { return Ok(false) };
    let alias = scene.text(table.alias.unwrap_or(table.name.name));
    let name = if table.alias.is_some() { alias.clone() } else { target.base.clone() };
    let mut columns = Columns::new(scene, &target, alias, name.clone());
    columns.walk(delete.selection.iter().chain(delete.order_by.iter().map(|o| &o.expr)));
    columns.finish(edits)?;
    if !delete.returning.is_empty() {
        return Err(refused("RETURNING through a view of sharded tables is not supported"));
    }
    replace_table(&target, table.name, None, edits);
    add_condition(&target, &name, delete.selection.as_ref(), table.span.end, edits);
    Ok(true)
}

/// Columns behind the view that have no default must be given.
fn check_defaults(
    scene: &Scene<'_>,
    target: &Target<'_>,
    insert: &Insert,
    given: &[String],
) -> Result<(), SqlError> {
    let Some(base) = target.simple.base_table(scene) else { return Ok(()) };
    let missing = base.columns.iter().any(|column| {
        !column.has_default
            && !column.generated
            && !given.iter().any(|name| name.eq_ignore_ascii_case(&column.name))
    });
    if !missing || insert.ignore {
        return Ok(());
    }
    let schema = scene.view(&insert.table).map(|(schema, ..)| schema.name.clone());
    let text = format!(
        "Field of view '{}.{}' underlying table doesn't have a default value",
        schema.unwrap_or_default(),
        target.table.name
    );
    Err(SqlError::new(NO_DEFAULT_FOR_VIEW_FIELD, text))
}

fn rewrite_insert(scene: &Scene<'_>, insert: &Insert, edits: &mut Edits) -> Result<bool, SqlError> {
    let Some(target) = target(scene, &insert.table, "INSERT")? else { return Ok(false) };
    check_levels(scene, &target, insert.ignore || !insert.on_duplicate.is_empty())?;
    if !insert.returning.is_empty() || insert.row_alias.is_some() {
        return Err(refused(
            "RETURNING and row aliases through a view of sharded tables are not supported",
        ));
    }
    let mut given = Vec::new();
    for column in &insert.columns {
        let name = target.inserted(&scene.text(column.name))?;
        edits.replace(column.span(), &quoted(&name));
        given.push(name);
    }
    let sets = match &insert.source {
        sql_syntax::ast::InsertSource::Set { assignments, .. } => assignments.as_slice(),
        _ => &[],
    };
    for assignment in sets.iter().chain(&insert.on_duplicate) {
        let name = target.assigned(&scene.text(assignment.column.name))?;
        edits.replace(assignment.column.span(), &quoted(&name));
    }
    let alias = scene.text(insert.table.name);
    let mut columns = Columns::new(scene, &target, alias, target.base.clone());
    columns.walk(insert.on_duplicate.iter().map(|assignment| &assignment.value));
    columns.finish(edits)?;
    replace_table(&target, insert.table, None, edits);
    for assignment in sets {
        given.push(target.inserted(&scene.text(assignment.column.name))?);
    }
    if !insert.has_columns && sets.is_empty() {
        for column in target.simple.columns() {
            given.push(target.inserted(&column.name)?);
        }
        let names: Vec<Vec<u8>> = given.iter().map(|name| quoted(name)).collect();
        let list = [b" (".as_slice(), &names.join(&b", "[..]), b")"].concat();
        edits.insert(insert.table.span.end, &list);
    }
    check_defaults(scene, &target, insert, &given)?;
    Ok(true)
}

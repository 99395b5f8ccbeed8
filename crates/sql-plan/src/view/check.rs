//! WITH CHECK OPTION of views that are put into statements: what rows must satisfy that are inserted
//! or changed through them. A server that has the rows at hand looks.

use super::Scene;
use super::simple::Simple;
use sql_syntax::ast::{Parsed, Statement, TableName, Update};
use sql_syntax::{LexMode, TokenBuf};
use topology::model::{Snapshot, View};

/// The name under which [`CheckOption::condition`] knows the row.
pub const ROW: &str = "_ddm_row";

/// What rows must satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOption {
    /// The view's schema.
    pub schema: String,
    /// The view.
    pub view: String,
    /// The condition on a row of its table, which is called [`ROW`].
    pub condition: Vec<u8>,
}

/// What rows of the statement must satisfy, if it changes a view WITH CHECK OPTION.
pub fn check_option(
    parsed: &Parsed,
    text: &[u8],
    tokens: &TokenBuf,
    snapshot: &Snapshot,
    current_schema: Option<&str>,
    mode: &LexMode,
) -> Option<CheckOption> {
    let name: TableName = match &parsed.stmt {
        Statement::Insert(insert) => insert.table,
        Statement::Update(update) => update.single_table()?.name,
        _ => return None,
    };
    let scene = Scene { src: text, tokens, snapshot, current_schema, mode };
    let (schema, table, view) = scene.view(&name)?;
    if let Statement::Update(update) = &parsed.stmt
        && view.check_option
        && !changes_condition(&scene, view, update)
    {
        return None;
    }
    // As on a server, what a view that it reads would look at counts only where this one looks.
    let simple = Simple::of_written(view, mode).filter(|_| view.check_option)?;
    let condition = simple.render(simple.condition()?, ROW);
    Some(CheckOption { schema: schema.name.clone(), view: table.name.clone(), condition })
}

/// Whether an UPDATE changes what the view's condition looks at.
fn changes_condition(scene: &Scene<'_>, view: &View, update: &Update) -> bool {
    let Some(simple) = Simple::of_written(view, scene.mode) else { return false };
    let guarded = simple.condition_columns();
    let is_guarded = |name: &str| guarded.iter().any(|one| one.eq_ignore_ascii_case(name));
    let computed = simple
        .base_table(scene)
        .is_some_and(|base| base.columns.iter().any(|one| one.generated && is_guarded(&one.name)));
    computed
        || update.assignments.iter().any(|assignment| {
            let column = simple.base_column(&scene.text(assignment.column.name));
            column.is_some_and(|column| is_guarded(&column))
        })
}

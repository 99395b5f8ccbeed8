//! What a change is going to do, told to the control plane before it begins: should this node die,
//! somebody else finishes it on the physical tables that it did not reach.

use crate::error::ExecError;
use crate::exec::{Exec, Statement};
use sql_plan::plan::{DdlPlan, DdlStatement, table_targets};
use sql_plan::template::quoted;
use topology::definition::comparable;
use topology::model::{Placement, Table};
use topology::stream::{DdlStep, DdlWork, TableChange};

/// The statements of more than so many bytes are not recorded: the change is then taken over as its
/// first physical table has it.
const WORK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The work of a change; empty where it cannot be gone on with.
pub async fn of(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
) -> Result<DdlWork, ExecError> {
    // What creates is undone, what drops or renames is finished by names alone.
    let table = match plan.changes.as_slice() {
        [TableChange::Alter { table }] => table,
        // An ALTER that renames: where it did not run the old name is there yet.
        [TableChange::Rename { table, .. }] if !plan.refresh.is_empty() => table,
        [TableChange::Rename { .. }, _, ..] => return renames(exec, plan, statement),
        _ => return Ok(DdlWork::default()),
    };
    let is_rename = matches!(plan.changes.first(), Some(TableChange::Rename { .. }));
    let is_one = table.placement == Placement::Single && !plan.refresh.is_empty();
    if table.view.is_some() || (is_one && !is_rename) {
        return Ok(DdlWork::default());
    }
    let mut work = DdlWork {
        sql_mode: exec.session.state.get("sql_mode").map(str::to_owned),
        ..DdlWork::default()
    };
    let mut bytes = 0;
    for one in &plan.statements {
        for target in &one.targets {
            let text = exec.render(&one.text, &one.tables, *target, statement)?;
            bytes += text.len();
            let Ok(text) = String::from_utf8(text) else { return Ok(DdlWork::default()) };
            if bytes > WORK_BYTES_MAX {
                return Ok(DdlWork::default());
            }
            work.steps.push(DdlStep {
                shard: target.shard,
                table: one.tables[0].physical_name(*target),
                statement: text,
            });
        }
    }
    if let (Some(one), false) = (plan.statements.first(), plan.refresh.is_empty() || is_rename) {
        work.before = before(exec, plan, one, table).await?;
    }
    Ok(work)
}

/// Several renames: the statement of each shard, under the name of the mark.
fn renames(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    statement: &Statement<'_>,
) -> Result<DdlWork, ExecError> {
    let mut work = DdlWork::default();
    let Some(one) = plan.statements.last() else { return Ok(work) };
    for target in &one.targets {
        let text = exec.render(&one.text, &one.tables, *target, statement)?;
        let Ok(statement) = String::from_utf8(text) else { return Ok(DdlWork::default()) };
        let table = one.tables[0].name.to_lowercase();
        work.steps.push(DdlStep { shard: target.shard, table, statement });
    }
    Ok(work)
}

/// The definition that a physical table has now.
async fn before(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    one: &DdlStatement,
    table: &Table,
) -> Result<Option<String>, ExecError> {
    if table.placement == Placement::Single {
        return Ok(None);
    }
    let schema = exec.schema(&plan.schema)?;
    let Some(target) = table_targets(table, schema.shard_count()).first().copied() else {
        return Ok(None);
    };
    let (database, physical) =
        (one.tables[0].physical_database(target), one.tables[0].physical_name(target));
    let ask =
        [b"SHOW CREATE TABLE ".as_slice(), &quoted(&database), b".", &quoted(&physical)].concat();
    let node = exec.backends.node(&exec.data_node(&plan.schema, target.shard)?)?;
    let mut lease = node.own_lease().await?;
    // What is wrong with the table is told by the statement itself.
    let Ok(answer) = lease.query(&ask).await else { return Ok(None) };
    let create = answer.into_rows().first().and_then(|row| row.text(1));
    Ok(create.map(|create| comparable(&create, &physical, &one.tables[0].name)))
}

//! A column that becomes AUTO_INCREMENT in a table of several physical ones: rows without a value get
//! one from their own data node, each physical table counting in its own residue class above what any
//! of them has, so that no two rows get the same; the sequence then begins above all.

use crate::error::ExecError;
use crate::exec::Exec;
use futures::future::join_all;
use sql_plan::plan::{DdlPlan, DdlStatement};
use sql_plan::template::quoted;
use topology::algorithm::Target;
use topology::model::Placement;
use topology::stream::TableChange;

/// How a statement counts on its targets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbering {
    /// The first value that nobody has.
    pub first: u64,
    /// How far apart values of one physical table are.
    pub step: usize,
}

/// auto_increment_increment is never more on any server.
const STEP_MAX: usize = 65_535;

/// How to count, when a column becomes AUTO_INCREMENT.
pub async fn of(exec: &Exec<'_>, plan: &DdlPlan) -> Result<Option<Numbering>, ExecError> {
    let (Some(column), Some(statement)) = (&plan.numbered, plan.statements.first()) else {
        return Ok(None);
    };
    let is_broadcast = plan.changes.iter().any(|change| match change {
        TableChange::Alter { table } | TableChange::Rename { table, .. } => {
            table.placement == Placement::Broadcast
        }
        _ => false,
    });
    let is_new = !exists(exec, plan, statement, column);
    let top = if is_new { 0 } else { greatest(exec, plan, statement, column, 0).await? };
    let step = if is_broadcast { 1 } else { statement.targets.len().clamp(1, STEP_MAX) };
    Ok(Some(Numbering { first: top.saturating_add(1), step }))
}

fn exists(exec: &Exec<'_>, plan: &DdlPlan, statement: &DdlStatement, column: &str) -> bool {
    let schema = exec.snapshot.schemas.get(&plan.schema);
    let table = schema.and_then(|schema| schema.table(&statement.tables[0].name));
    table.is_some_and(|table| table.column(column).is_some())
}

/// The greatest value of the column over all physical tables; `name` is the table's place among the
/// statement's (0 before a rename, 1 after).
pub async fn greatest(
    exec: &Exec<'_>,
    plan: &DdlPlan,
    statement: &DdlStatement,
    column: &str,
    name: usize,
) -> Result<u64, ExecError> {
    let column = quoted(column);
    let asks = statement.targets.iter().map(|target: &Target| {
        let table = &statement.tables[name];
        let text = [
            b"SELECT MAX(".as_slice(),
            &column,
            b") FROM ",
            &quoted(&table.physical_database(*target)),
            b".",
            &quoted(&table.physical_name(*target)),
        ]
        .concat();
        async move {
            let node = exec.backends.node(&exec.data_node(&plan.schema, target.shard)?)?;
            let mut lease = node.own_lease().await?;
            let rows = lease.query(&text).await?.into_rows();
            let value = rows.first().and_then(|row| row.text(0));
            Ok::<u64, ExecError>(value.and_then(|value| value.parse().ok()).unwrap_or(0))
        }
    });
    let mut top = 0;
    for value in join_all(asks).await {
        top = top.max(value?);
    }
    Ok(top)
}

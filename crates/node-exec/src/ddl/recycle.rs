//! Which dropped tables the recycle bin can keep: one with foreign keys, or one that foreign keys
//! refer to, would go on to bind other tables' rows; and triggers would hold their names. Such a
//! table is dropped for good, and the client is told.

use crate::error::ExecError;
use crate::exec::{Exec, Warning};
use base::sql_error::NOT_IN_RECYCLE_BIN;
use sql_plan::plan::DdlPlan;

/// The plan to run, with a warning where it is the other one.
pub async fn settle<'p>(
    exec: &Exec<'_>,
    plan: &'p DdlPlan,
) -> Result<(&'p DdlPlan, Option<Warning>), ExecError> {
    let (Some(otherwise), Some(one)) = (&plan.otherwise, plan.statements.first()) else {
        return Ok((plan, None));
    };
    let Some(target) = one.targets.first() else { return Ok((plan, None)) };
    let table = &one.tables[0];
    let database = literal(&table.physical_database(*target));
    let physical = literal(&table.physical_name(*target));
    let ask = format!(
        "SELECT 'foreign keys' FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {database} AND (TABLE_NAME = {physical} OR REFERENCED_TABLE_NAME = {physical}) \
         UNION SELECT 'triggers' FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = {database} AND EVENT_OBJECT_TABLE = {physical}"
    );
    let node = exec.backends.node(&exec.data_node(&plan.schema, target.shard)?)?;
    let mut lease = node.own_lease().await?;
    let found = lease.query(ask.as_bytes()).await?.into_rows();
    let Some(why) = found.first().and_then(|row| row.text(0)) else { return Ok((plan, None)) };
    let text = format!(
        "Table '{}.{}' has {why}, so it is dropped for good and not kept in the recycle bin",
        plan.schema, table.name
    );
    let warning = Warning {
        level: "Warning".to_owned(),
        code: NOT_IN_RECYCLE_BIN.number,
        message: text.into_bytes(),
    };
    Ok((otherwise, Some(warning)))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

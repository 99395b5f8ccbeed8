//! Generated ids that rows have already. A value given by hand at one node can lie in a block that
//! another node holds; a plain INSERT finds out by its duplicate key, but REPLACE would overwrite
//! that row, and IGNORE and ON DUPLICATE KEY UPDATE would take it for one that they meet. So these
//! look before they write.

use crate::error::ExecError;
use crate::exec::Exec;
use sql_plan::insert::{InsertHome, InsertPart, InsertPlan};
use sql_plan::template::quoted;
use std::collections::BTreeMap;

/// Whether some generated id of the parts' rows is there already. It is asked for outside of the
/// session's transaction, which may not see what others have written since it began.
pub(crate) async fn any(
    exec: &Exec<'_>,
    plan: &InsertPlan,
    parts: &[InsertPart],
    ids: &[Option<u64>],
) -> Result<bool, ExecError> {
    let Some(sequence) = &plan.sequence else { return Ok(false) };
    let table = &plan.tables[0];
    let column = text(&sequence.column);
    let everywhere = matches!(plan.home, InsertHome::Everywhere { .. });
    let mut questions = BTreeMap::new();
    for part in parts.iter().filter(|part| !everywhere || part.target.shard == 0) {
        let of_row = |row: &u32| ids.get(*row as usize).copied().flatten();
        let generated: Vec<String> =
            part.rows.iter().filter_map(of_row).map(|id| id.to_string()).collect();
        if generated.is_empty() {
            continue;
        }
        let (database, name) =
            (table.physical_database(part.target), table.physical_name(part.target));
        let question = format!(
            "(SELECT 1 FROM {}.{} WHERE {column} IN ({}) LIMIT 1)",
            text(&database),
            text(&name),
            generated.join(",")
        );
        let data_node = exec.data_node(&plan.schema, part.target.shard)?;
        questions.entry(data_node).or_insert_with(Vec::new).push(question);
    }
    for (data_node, questions) in questions {
        let node = exec.backends.node(&data_node)?;
        let mut lease = node.own_lease().await?;
        let found = lease.query(questions.join(" UNION ALL ").as_bytes()).await?.into_rows();
        if !found.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn text(name: &str) -> String {
    String::from_utf8_lossy(&quoted(name)).into_owned()
}

//! RENAME of a table into another schema. A server moves a table between databases by renaming it,
//! and so is it here where each physical table has its new place on the same data node; elsewhere
//! rows would have to travel, and the statement is refused.

use super::{empty_plan, made, name_of, next_version, plan_table, schema_for};
use crate::plan::{DdlStatement, PlanTable, TablePlace, table_targets};
use crate::planner::{Made, Subject, refused};
use crate::template::{Piece, Template};
use base::sql_error::{SqlError, SqlErrorCode, TABLE_EXISTS, WRONG_OBJECT};
use sql_syntax::ast::TableName;
use std::collections::BTreeMap;
use std::sync::Arc;
use topology::model::{Placement, Schema, ShardMode, Table};
use topology::rule::{check_table, check_table_name};
use topology::stream::TableChange;

/// The error of a view that is renamed into another schema.
const NO_CHANGE_OF_SCHEMA: SqlErrorCode =
    SqlErrorCode { number: 1450, name: "NO_CHANGE_OF_SCHEMA", ..WRONG_OBJECT };

/// Plans a rename into another schema.
pub(crate) fn plan(
    subject: &Subject<'_>,
    schema: &Schema,
    table: &Table,
    to: TableName,
) -> Result<Made, SqlError> {
    let other = schema_for(subject, to)?;
    let name = name_of(subject, to.name);
    check_table_name(&name)?;
    if table.view.is_some() {
        let text =
            format!("Changing schema from '{}' to '{}' is not allowed.", schema.name, other.name);
        return Err(SqlError::new(NO_CHANGE_OF_SCHEMA, text));
    }
    if other.table(&name).is_some() {
        return Err(SqlError::new(TABLE_EXISTS, format!("Table '{name}' already exists")));
    }
    let moved = Table { name, physical_base: None, ..next_version(table) };
    let place = place(schema, other, table)?;
    check_table(other, &moved)?;
    let new = PlanTable { place, ..plan_table(other, &moved) };
    let pieces = |from, to| {
        let words = [
            Piece::text("RENAME TABLE "),
            Piece::Table(from),
            Piece::text(" TO "),
            Piece::Table(to),
        ];
        Template::made(words.to_vec(), Vec::new())
    };
    let mut plan = empty_plan(schema);
    plan.statements.push(DdlStatement {
        tables: Arc::from([plan_table(schema, table), new]),
        targets: table_targets(table, schema.shard_count()),
        text: pieces(0, 1),
        undo: Some(pieces(1, 0)),
    });
    plan.changes.push(TableChange::Rename {
        from: table.name.clone(),
        table: moved,
        to_schema: Some(other.name.clone()),
    });
    Ok(made(plan))
}

/// Where the physical tables are in the other schema, by their targets in the first.
fn place(schema: &Schema, other: &Schema, table: &Table) -> Result<TablePlace, SqlError> {
    let far = |why: &str| {
        refused(format!(
            "table '{}.{}' cannot be renamed into schema '{}': {why}, so its rows would have to move; \
             make the table there and copy them with INSERT ... SELECT",
            schema.name, table.name, other.name
        ))
    };
    let node = |schema: &Schema, shard: usize| {
        schema.shards.get(shard).map(|shard| shard.data_node.clone())
    };
    match &table.placement {
        Placement::Single if node(schema, 0) == node(other, 0) => {
            Ok(TablePlace::Fixed { shard: 0 })
        }
        Placement::Single => Err(far("the first shards of the two are on different data nodes")),
        _ if other.mode == ShardMode::Single => Err(far("that schema has one shard")),
        _ if schema.shards.len() != other.shards.len() => {
            Err(far("the two do not have the same number of shards"))
        }
        Placement::Sharded(rule) => {
            let alike = (0..schema.shards.len()).all(|at| node(schema, at) == node(other, at));
            match alike {
                true => Ok(TablePlace::Sharded { suffixed: rule.table.is_some() }),
                false => Err(far("shards of the same number are on different data nodes")),
            }
        }
        Placement::Broadcast => {
            let shards = pairs(schema, other)
                .ok_or_else(|| far("their data nodes do not have the same number of shards"))?;
            Ok(TablePlace::BroadcastOf { shards: Arc::from(shards) })
        }
    }
}

/// For each shard one of the other schema on the same data node, each once.
pub(crate) fn pairs(schema: &Schema, other: &Schema) -> Option<Vec<u32>> {
    let mut free: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for shard in other.shards.iter().rev() {
        free.entry(&shard.data_node).or_default().push(shard.index);
    }
    schema.shards.iter().map(|shard| free.get_mut(&shard.data_node)?.pop()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::id::DataNodeId;
    use topology::model::Shard;

    fn schema(nodes: &[u8]) -> Schema {
        let shards = (0_u32..).zip(nodes).map(|(index, node)| Shard {
            index,
            database: format!("s_{index:04}"),
            data_node: DataNodeId::from_random([*node; 16]),
        });
        Schema {
            name: "s".into(),
            mode: ShardMode::Cluster,
            ready: true,
            character_set: String::new(),
            collation: String::new(),
            shards: shards.collect(),
            tables: BTreeMap::new(),
            recycled: BTreeMap::new(),
        }
    }

    #[test]
    fn copies_stay_on_their_data_nodes() {
        assert_eq!(pairs(&schema(&[1, 1, 2, 2]), &schema(&[2, 1, 2, 1])), Some(vec![1, 3, 0, 2]));
        assert_eq!(pairs(&schema(&[1, 1]), &schema(&[1, 2])), None);
    }
}

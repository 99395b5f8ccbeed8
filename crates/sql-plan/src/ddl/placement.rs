//! ALTER TABLE … SINGLE, BROADCAST or DBPARTITION BY …: an existing table gets another placement.
//! Its rows go into new physical tables under names of their own, so that a statement planned by the
//! old definition can never write into a table of the new one.

use super::create;
use crate::insert::{InsertHome, RowPlacer};
use crate::plan::{Plan, Uses, table_targets};
use crate::planner::{Made, Subject, refused};
use crate::route::Router;
use base::sql_error::SqlError;
use sql_syntax::ast::{AlterKind, AlterTable, ShardingClause};
use topology::algorithm::Target;
use topology::model::{Column, Placement, Schema, ShardMode, Table};
use topology::move_names::next_base;
use topology::rule::check_table;

/// Another placement for a table.
#[derive(Clone, Debug)]
pub struct PlacementPlan {
    /// The logical schema.
    pub schema: String,
    /// The table as it is.
    pub from: Table,
    /// The table as it will be, its columns as they are now.
    pub to: Table,
    /// The columns that are copied: all but the generated ones, in the table's order.
    pub columns: Vec<Column>,
    /// Places rows of these columns by the new placement.
    pub placer: RowPlacer,
    /// The physical tables that are read: one of a broadcast table's copies.
    pub sources: Vec<Target>,
    /// The physical tables that are made.
    pub targets: Vec<Target>,
    /// A unique key may have equal values in several of the sources.
    pub may_collide: bool,
}

impl PlacementPlan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.from.placement == self.to.placement
    }

    /// The line of EXPLAIN.
    pub fn explain(&self) -> String {
        format!(
            "ChangePlacement(table=\"{}.{}\", from={}, to={}, count={})",
            self.schema,
            self.from.name,
            kind(&self.from.placement),
            kind(&self.to.placement),
            self.targets.len()
        )
    }

    /// The place of a copied column in [`Self::columns`].
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|one| one.name.eq_ignore_ascii_case(column))
    }
}

fn kind(placement: &Placement) -> &'static str {
    match placement {
        Placement::Single => "SINGLE",
        Placement::Broadcast => "BROADCAST",
        Placement::Sharded(_) => "SHARDING",
    }
}

/// The sharding clause of an ALTER, which stands alone.
pub(super) fn clause_of(alter: &AlterTable) -> Result<Option<&ShardingClause>, SqlError> {
    let clause = alter.actions.iter().find_map(|action| match &action.kind {
        AlterKind::Sharding(clause) => Some(clause),
        _ => None,
    });
    if clause.is_some() && alter.actions.len() > 1 {
        return Err(refused(
            "a change of placement (DBPARTITION BY, BROADCAST, SINGLE) is a statement of its own; \
             make the other changes in another ALTER TABLE",
        ));
    }
    Ok(clause)
}

/// Plans a change of placement.
pub(super) fn plan(
    subject: &Subject<'_>,
    schema: &Schema,
    table: &Table,
    clause: &ShardingClause,
) -> Result<Made, SqlError> {
    let placement = create::written(subject, &clause.rule)?;
    if schema.mode == ShardMode::Single && placement != Placement::Single {
        let text = format!("schema '{}' has one shard: all its tables are single", schema.name);
        return Err(refused(text));
    }
    if table.primary_key.is_empty() {
        return Err(refused(format!(
            "table '{}' has no primary key; its placement cannot be changed without one",
            table.name
        )));
    }
    let to = moved(table, placement);
    check_table(schema, &to)?;
    let columns: Vec<Column> =
        table.columns.iter().filter(|column| !column.generated).cloned().collect();
    let placer = placer(schema, &to, &columns)?;
    let sources = match &table.placement {
        Placement::Broadcast => vec![Target { shard: 0, suffix: 0 }],
        _ => table_targets(table, schema.shard_count()),
    };
    let plan = PlacementPlan {
        schema: schema.name.clone(),
        targets: table_targets(&to, schema.shard_count()),
        may_collide: may_collide(table),
        from: table.clone(),
        to,
        columns,
        placer,
        sources,
    };
    Ok(Made::write(Plan::Placement(Box::new(plan)), false, Uses::default()))
}

fn moved(table: &Table, placement: Placement) -> Table {
    let generated = table.columns.iter().find(|column| column.auto_increment);
    let sequence_column = match placement {
        Placement::Single => None,
        _ => generated.map(|column| column.name.clone()),
    };
    Table {
        placement,
        sequence_column,
        physical_base: Some(next_base(table)),
        ..super::next_version(table)
    }
}

fn placer(schema: &Schema, to: &Table, columns: &[Column]) -> Result<RowPlacer, SqlError> {
    let mut key_positions = Vec::new();
    let home = match &to.placement {
        Placement::Single => InsertHome::Shard { shard: 0 },
        Placement::Broadcast => InsertHome::Everywhere { shards: schema.shard_count() },
        Placement::Sharded(rule) => {
            let router = Router::new(schema, to, rule)
                .ok_or_else(|| refused("a sharding key is no column of the table"))?;
            for key in &router.columns {
                let position = columns.iter().position(|column| column.name == key.name);
                let position = position
                    .ok_or_else(|| refused("a generated column cannot be a sharding key"))?;
                key_positions.push(u32::try_from(position).ok());
            }
            InsertHome::Sharded(router)
        }
    };
    Ok(RowPlacer {
        schema: schema.name.clone(),
        home,
        width: u32::try_from(columns.len()).unwrap_or(u32::MAX),
        key_positions,
        sequence: None,
    })
}

/// Whether rows of several physical tables can be equal in a unique key: where it lacks one of the
/// sharding keys.
fn may_collide(table: &Table) -> bool {
    let Placement::Sharded(rule) = &table.placement else { return false };
    let keys = rule.key_columns();
    std::iter::once(&table.primary_key).chain(&table.unique_keys).any(|unique| {
        !keys.iter().all(|key| unique.iter().any(|column| column.eq_ignore_ascii_case(key)))
    })
}

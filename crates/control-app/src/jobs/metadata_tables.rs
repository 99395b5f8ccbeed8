//! Tables of an imported or restored schema on its data nodes: physical tables, positions of
//! sequences, and definitions as they really are there.

use crate::app::App;
use crate::data_node::DataNodeError;
use crate::ddl::definition;
use crate::error::AppError;
use crate::metadata::create_text;
use crate::metadata::document::{DocumentSchema, DocumentTable};
use crate::metadata::export::SEQUENCE_TABLE;
use crate::metadata::restore::physical_places;
use crate::metadata::sequences;
use base::id::{DataNodeId, InstanceId};
use control_store::record::Versioned;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::table::TableRecord;
use futures::future::try_join_all;
use job_engine::StepError;
use provision::AdminLogin;
use std::collections::{BTreeMap, BTreeSet};
use topology::model::{Schema, Shard};

/// A table may refer to one that is made later.
const FREE_ORDER: &str = "SET SESSION foreign_key_checks = 0";

/// Makes the physical tables that are not there yet, on all data nodes at once.
pub(super) async fn make(app: &App, schema: &DocumentSchema) -> Result<(), StepError> {
    let nodes: BTreeSet<&DataNodeId> = schema.shards.iter().map(|shard| &shard.data_node).collect();
    let made = nodes.into_iter().map(|id| async move {
        let login = own_login(app, id).await?;
        for shard in schema.shards.iter().filter(|shard| shard.data_node == *id) {
            let statements = statements(schema, shard)?;
            let made = app.data_nodes.execute_all(&login, &statements).await;
            made.map_err(DataNodeError::from)?;
        }
        Ok::<(), StepError>(())
    });
    try_join_all(made).await.map(|_| ())
}

fn statements(schema: &DocumentSchema, shard: &Shard) -> Result<Vec<String>, StepError> {
    let mut all = vec![FREE_ORDER.to_owned(), format!("USE `{}`", shard.database)];
    for one in &schema.tables {
        let missing = || StepError::permanent(format!("no CREATE statement of {}", one.table.name));
        let create = one.create.as_deref().ok_or_else(missing)?;
        let definition = create_text::definition(create).map_err(StepError::permanent)?;
        for (_, name) in
            physical_places(&one.table, &schema.shards).filter(|place| place.0.index == shard.index)
        {
            all.push(create_text::for_table(definition, &name));
        }
    }
    Ok(all)
}

/// Lets each sequence go on at the document's position, and, when there are rows already, after the
/// largest value in them. A position never goes back.
pub(super) async fn set_sequences(
    app: &App,
    schema: &DocumentSchema,
    after_rows: bool,
) -> Result<(), StepError> {
    let Some(first) = schema.shards.first() else { return Ok(()) };
    sequences::put(app, &own_login(app, &first.data_node).await?, schema).await?;
    let place = format!("`{}`.`{SEQUENCE_TABLE}`", first.database);
    let mut statements = Vec::new();
    for one in &schema.tables {
        let Some(column) = &one.table.sequence_column else { continue };
        let largest = if after_rows { largest(app, schema, one, column).await? } else { None };
        let next = largest.map(|value| value.saturating_add(1)).max(one.next_value);
        if let Some(next) = next {
            let name = one.table.name.to_lowercase().replace('\\', "\\\\").replace('\'', "''");
            statements.push(format!(
                "INSERT INTO {place} (name, next) VALUES ('{name}', {next}) \
                 ON DUPLICATE KEY UPDATE next = GREATEST(next, {next})"
            ));
        }
    }
    if statements.is_empty() {
        return Ok(());
    }
    // As nodes make it.
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {place} (name VARCHAR(64) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL PRIMARY KEY, \
         next BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
    );
    statements.insert(0, create);
    let login = own_login(app, &first.data_node).await?;
    let set = app.data_nodes.execute_all(&login, &statements).await;
    Ok(set.map_err(DataNodeError::from)?)
}

/// The largest value of a column in all physical tables.
async fn largest(
    app: &App,
    schema: &DocumentSchema,
    one: &DocumentTable,
    column: &str,
) -> Result<Option<u64>, StepError> {
    let mut asked: BTreeMap<&DataNodeId, Vec<String>> = BTreeMap::new();
    for (shard, name) in physical_places(&one.table, &schema.shards) {
        let sql = format!(
            "SELECT MAX(`{}`) AS largest FROM `{}`.`{}`",
            column.replace('`', "``"),
            shard.database,
            name.replace('`', "``")
        );
        asked.entry(&shard.data_node).or_default().push(sql);
    }
    let mut most = None;
    for (id, statements) in asked {
        let login = own_login(app, id).await?;
        let answers = app.data_nodes.query_all(&login, &statements).await;
        for rows in answers.map_err(DataNodeError::from)? {
            let rows = rows.map_err(DataNodeError::from)?;
            // Below zero, or none: no generated value.
            let value = rows.get(0, "largest").and_then(|value| value.parse::<u64>().ok());
            most = most.max(value);
        }
    }
    Ok(most)
}

/// The tables' records, with columns and keys as the data nodes have them.
pub(super) async fn read_definitions(
    app: &App,
    id: &InstanceId,
    schema: &DocumentSchema,
) -> Result<Vec<TableRecord>, StepError> {
    let logical = Schema {
        name: schema.name.clone(),
        mode: schema.mode,
        ready: true,
        character_set: schema.character_set.clone(),
        collation: schema.collation.clone(),
        shards: schema.shards.clone(),
        tables: BTreeMap::new(),
        recycled: BTreeMap::new(),
    };
    let mut records = Vec::with_capacity(schema.tables.len());
    for one in &schema.tables {
        let mut table = one.table.clone();
        let shard = schema.shards.first();
        let shard = shard.ok_or_else(|| StepError::permanent("the schema has no shards"))?;
        if !definition::read(app, shard, &mut table).await? {
            let text = format!("table {}.{} is not there", shard.database, table.name);
            return Err(StepError::permanent(text));
        }
        // What a node remembers of a table of this name that was there before must not count.
        table.definition_version += 1;
        topology::rule::check_table(&logical, &table).map_err(StepError::permanent)?;
        records.push(TableRecord { instance_id: id.clone(), schema: schema.name.clone(), table });
    }
    Ok(records)
}

/// The instance's own account on a data node: it may touch its own databases alone.
async fn own_login(app: &App, id: &DataNodeId) -> Result<AdminLogin, StepError> {
    let node: Option<Versioned<DataNodeRecord>> = app.get(&DataNodeRecord::key_of(id)).await?;
    let missing = || AppError::Broken(format!("data node {id} is no longer registered"));
    Ok(app.own_login(&node.ok_or_else(missing)?.value)?)
}

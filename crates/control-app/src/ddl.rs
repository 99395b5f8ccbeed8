//! Definitions of tables change here. A node that runs a DDL statement asks three times at most:
//! begin (recorded, tables locked, before any data node is touched), then commit (the definition is
//! stored, and every live node serves it before the answer) or abort. What a dead node left is
//! cleared up by [`orphans`].

pub(crate) mod definition;
pub mod flow;
mod moved;
pub mod orphans;
mod recycle;
mod unfinished;

use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::fences::FenceError;
use crate::ports::SnapshotPublisher;
use crate::time::now_ms;
use base::id::{InstanceId, NodeId, hex, random_bytes};
use base::sql_error::{
    CONTROL_PLANE_AWAY, DATA_NODE_UNREACHABLE, DDL_CONFLICT, NO_SUCH_TABLE, SCHEMA_NOT_READY,
    SqlErrorCode, TABLE_EXISTS, TOO_MANY_DDL, UNKNOWN_DB, UNKNOWN_ERROR, UNKNOWN_TABLE,
    WRONG_ARGUMENTS,
};
use control_store::record::{Record, Versioned};
use control_store::records::ddl::{DdlRecord, TableLockRecord};
use control_store::records::instance::InstanceRecord;
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::records::table::TableRecord;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use topology::model::Table;
use topology::stream::{Answer, Ask, DdlWork, TableChange};

/// A node that does not serve a new definition within this is fenced: no node may route by an old
/// definition once the client has its OK.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a question is refused.
#[derive(Debug)]
enum Refusal {
    /// For the client.
    Sql(SqlErrorCode, String),
    /// The control plane itself failed.
    App(AppError),
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Refusal::App(error)
    }
}

/// Answers a node's question.
pub async fn answer(
    app: &App,
    live: &dyn SnapshotPublisher,
    instance: &InstanceId,
    node: &NodeId,
    ask: Ask,
) -> Answer {
    let result = match ask {
        Ask::DdlBegin { schema, changes, work } => {
            begin(app, live, instance, node, &schema, (changes, work)).await
        }
        Ask::DdlCommit { ddl_id, changes } => {
            commit(app, live, instance, node, &ddl_id, changes).await
        }
        Ask::DdlFreeze { ddl_id, frozen } => {
            moved::freeze(app, live, instance, node, &ddl_id, frozen).await
        }
        Ask::Peers { ask } => return crate::peers::answer(app, live, instance, node, ask).await,
        Ask::Account { name, change } => {
            return crate::account_sql::answer(app, instance, &name, change).await;
        }
        // What a commit of other changes forgets at once, a move keeps until its old tables are gone.
        Ask::DdlEnd { ddl_id } | Ask::DdlAbort { ddl_id } => {
            abort(app, instance, node, &ddl_id).await
        }
        Ask::DdlAbandon { ddl_id } => abandon(app, instance, node, &ddl_id).await,
    };
    let (code, message) = match result {
        Ok(answer) => return answer,
        Err(Refusal::Sql(code, message)) => (code, message),
        Err(Refusal::App(AppError::Store(error))) => {
            (CONTROL_PLANE_AWAY, format!("the control plane cannot record the change: {error}"))
        }
        Err(Refusal::App(error)) => (UNKNOWN_ERROR, error.to_string()),
    };
    Answer::Refused { sql_error: code.number, message }
}

async fn begin(
    app: &App,
    live: &dyn SnapshotPublisher,
    instance: &InstanceId,
    node: &NodeId,
    schema: &str,
    (changes, work): (Vec<TableChange>, DdlWork),
) -> Result<Answer, Refusal> {
    let schema = schema.to_lowercase();
    // One that waits for another statement asks again and again, and counts once.
    check_free(app, instance, &schema, &changes).await?;
    check_flow(app, instance).await?;
    let record = DdlRecord {
        id: hex(&random_bytes::<16>()),
        instance_id: instance.clone(),
        node_id: node.clone(),
        pid: live.process_of(node),
        schema: schema.clone(),
        changes,
        work,
        begun_ms: now_ms(),
        abandoned: false,
    };
    let mut tries = Tries::default();
    loop {
        check_running(app, instance, &schema).await?;
        for other in record.changes.iter().filter_map(schema_after) {
            check_running(app, instance, other).await?;
        }
        check_presence(app, instance, &schema, &record.changes).await?;
        let mut change = app.change(instance).await?;
        check_free(app, instance, &schema, &record.changes).await?;
        change.create(&record);
        for (schema, table) in touched(&schema, &record.changes) {
            change.create(&lock(instance, &schema, &table, &record.id));
        }
        if let Some(committed) = change.commit().await? {
            if let Err(error) = app.reach_nodes(live, instance, committed.revision).await {
                // Nothing was changed yet, and nothing will be.
                abort(app, instance, node, &record.id).await?;
                return Err(match error {
                    FenceError::App(error) => Refusal::App(error),
                    out_of_reach => Refusal::Sql(DATA_NODE_UNREACHABLE, out_of_reach.to_string()),
                });
            }
            return Ok(Answer::DdlBegun { ddl_id: record.id });
        }
        tries.again()?;
    }
}

/// Refuses what changes a table whose definition is just being changed.
async fn check_free(
    app: &App,
    instance: &InstanceId,
    schema: &str,
    changes: &[TableChange],
) -> Result<(), Refusal> {
    for (schema, table) in touched(schema, changes) {
        let lock = lock(instance, &schema, &table, "");
        if app.get::<TableLockRecord>(&lock.key()).await?.is_some() {
            let text =
                format!("Another statement is changing the definition of table '{schema}.{table}'");
            return Err(Refusal::Sql(DDL_CONFLICT, text));
        }
    }
    Ok(())
}

/// The other schema that a table goes into.
fn schema_after(change: &TableChange) -> Option<&str> {
    match change {
        TableChange::Rename { to_schema, .. } => to_schema.as_deref(),
        _ => None,
    }
}

async fn check_running(app: &App, instance: &InstanceId, schema: &str) -> Result<(), Refusal> {
    let found: Option<Versioned<SchemaRecord>> =
        app.get(&SchemaRecord::key_of(instance, schema)).await?;
    let Some(found) = found else {
        return Err(Refusal::Sql(UNKNOWN_DB, format!("Unknown database '{schema}'")));
    };
    if found.value.status != SchemaStatus::Running {
        let text = format!("the schema '{schema}' is being created or deleted");
        return Err(Refusal::Sql(SCHEMA_NOT_READY, text));
    }
    Ok(())
}

/// Counts a statement, or refuses it when there were too many within an hour.
async fn check_flow(app: &App, instance: &InstanceId) -> Result<(), Refusal> {
    let record: Option<Versioned<InstanceRecord>> =
        app.get(&InstanceRecord::key_of(instance)).await?;
    let Some(record) = record else { return Ok(()) };
    let threshold = record.value.parameters.get_unsigned("ddl_flowcontrol_threshold");
    if app.ddl_flow.enter(instance, threshold, Instant::now()) {
        return Ok(());
    }
    let text = format!(
        "More than {threshold} DDL statements within an hour, which is what \
         ddl_flowcontrol_threshold allows; try again later"
    );
    Err(Refusal::Sql(TOO_MANY_DDL, text))
}

/// A table that comes to be must not be there, any other must.
async fn check_presence(
    app: &App,
    instance: &InstanceId,
    schema: &str,
    changes: &[TableChange],
) -> Result<(), Refusal> {
    let is_freed = |name: &str| {
        changes.iter().any(|change| {
            matches!(change, TableChange::Rename { from, .. } if from.eq_ignore_ascii_case(name))
        })
    };
    for change in changes {
        let (wanted, unwanted) = match change {
            TableChange::Create { table } => (None, Some(&table.name)),
            TableChange::Alter { table } | TableChange::Move { table, .. } => {
                (Some(&table.name), None)
            }
            TableChange::Rename { from, table, to_schema } => {
                let is_free = to_schema.is_none() && is_freed(&table.name);
                (Some(from), (!is_free).then_some(&table.name))
            }
            TableChange::Drop { name } => (Some(name), None),
        };
        if let Some(name) = wanted
            && find(app, instance, schema, name).await?.is_none()
        {
            return Err(match change {
                TableChange::Drop { .. } => {
                    Refusal::Sql(UNKNOWN_TABLE, format!("Unknown table '{schema}.{name}'"))
                }
                _ => Refusal::Sql(NO_SUCH_TABLE, format!("Table '{schema}.{name}' doesn't exist")),
            });
        }
        if let Some(name) = unwanted
            && find(app, instance, schema_after(change).unwrap_or(schema), name).await?.is_some()
        {
            return Err(Refusal::Sql(TABLE_EXISTS, format!("Table '{name}' already exists")));
        }
    }
    Ok(())
}

async fn commit(
    app: &App,
    live: &dyn SnapshotPublisher,
    instance: &InstanceId,
    node: &NodeId,
    ddl_id: &str,
    changes: Vec<TableChange>,
) -> Result<Answer, Refusal> {
    let version = store_definitions(app, instance, node, ddl_id, changes).await?;
    publish(app, live, instance, version).await?;
    Ok(Answer::Published { version })
}

/// Writes the definitions and forgets the change; returns the version of the snapshot that has them.
async fn store_definitions(
    app: &App,
    instance: &InstanceId,
    node: &NodeId,
    ddl_id: &str,
    changes: Vec<TableChange>,
) -> Result<u64, Refusal> {
    let mut tries = Tries::default();
    loop {
        let ddl = begun_by(app, instance, node, ddl_id).await?;
        check_serves(app, instance, &ddl.value.schema, &changes).await?;
        let mut change = app.change(instance).await?;
        for ((schema, name), table) in after(&ddl.value.schema, &changes) {
            let before = find(app, instance, &schema, &name).await?;
            let record = table.map(|table| TableRecord {
                instance_id: instance.clone(),
                schema,
                table: stamped(table.clone()),
            });
            match (before, record) {
                (Some(before), Some(record)) => change.update(&before, &record),
                (Some(before), None) => change.delete(&before),
                (None, Some(record)) => change.create(&record),
                (None, None) => {}
            }
        }
        if !moved::is_move(&changes) {
            forget(app, &mut change, &ddl).await?;
        }
        if let Some(committed) = change.commit().await? {
            return Ok(committed.revision);
        }
        tries.again()?;
    }
}

/// A table that goes into the recycle bin is there from now on.
fn stamped(mut table: Table) -> Table {
    if let Some(recycled) = &mut table.recycled
        && recycled.dropped_ms == 0
    {
        recycled.dropped_ms = now_ms();
    }
    table
}

/// What each name means after the changes; nothing where it is gone. Names may be swapped: one that
/// goes with one change may come with another.
fn after<'c>(
    schema: &str,
    changes: &'c [TableChange],
) -> BTreeMap<(String, String), Option<&'c Table>> {
    let mut names = BTreeMap::new();
    for one in changes {
        if let TableChange::Rename { from: name, .. } | TableChange::Drop { name } = one {
            names.entry((schema.to_owned(), name.to_lowercase())).or_insert(None);
        }
        if let TableChange::Create { table }
        | TableChange::Alter { table }
        | TableChange::Move { table, .. }
        | TableChange::Rename { table, .. } = one
        {
            let schema = schema_after(one).unwrap_or(schema).to_owned();
            names.insert((schema, table.name.to_lowercase()), Some(table));
        }
    }
    names
}

/// Refuses definitions with which the snapshot would contradict itself: no node could take it, nor
/// any later one.
async fn check_serves(
    app: &App,
    instance: &InstanceId,
    schema: &str,
    changes: &[TableChange],
) -> Result<(), Refusal> {
    let Some(mut snapshot) = app.snapshot(instance).await? else { return Ok(()) };
    for ((schema, name), table) in after(schema, changes) {
        let Some(schema) = snapshot.schemas.get_mut(&schema) else { continue };
        match table {
            Some(table) if table.recycled.is_some() => schema.recycled.insert(name, table.clone()),
            Some(table) => schema.tables.insert(name, table.clone()),
            None => schema.tables.remove(&name),
        };
    }
    let wrong =
        |error: topology::validate::SnapshotError| Refusal::Sql(WRONG_ARGUMENTS, error.to_string());
    snapshot.validate().map_err(wrong)
}

/// Returns when every node of the instance serves the version, or serves nothing.
async fn publish(
    app: &App,
    live: &dyn SnapshotPublisher,
    instance: &InstanceId,
    version: u64,
) -> Result<(), Refusal> {
    app.settle_nodes(live, instance, version, PUBLISH_TIMEOUT).await.map_err(|error| match error {
        FenceError::App(error) => Refusal::App(error),
        out_of_reach => {
            let text = format!("the definition is stored, but {out_of_reach}");
            Refusal::Sql(DATA_NODE_UNREACHABLE, text)
        }
    })
}

async fn abort(
    app: &App,
    instance: &InstanceId,
    node: &NodeId,
    ddl_id: &str,
) -> Result<Answer, Refusal> {
    let mut tries = Tries::default();
    loop {
        let ddl = begun_by(app, instance, node, ddl_id).await?;
        let mut change = app.change(instance).await?;
        forget(app, &mut change, &ddl).await?;
        if change.commit().await?.is_some() {
            return Ok(Answer::Aborted);
        }
        tries.again()?;
    }
}

/// Leaves a change to [`orphans`].
async fn abandon(
    app: &App,
    instance: &InstanceId,
    node: &NodeId,
    ddl_id: &str,
) -> Result<Answer, Refusal> {
    let mut tries = Tries::default();
    loop {
        let ddl = begun_by(app, instance, node, ddl_id).await?;
        if orphans::claim(app, &ddl).await?.is_some() {
            return Ok(Answer::Aborted);
        }
        tries.again()?;
    }
}

/// The pending change, if this node began it: nobody else ends it but [`orphans`].
async fn begun_by(
    app: &App,
    instance: &InstanceId,
    node: &NodeId,
    ddl_id: &str,
) -> Result<Versioned<DdlRecord>, Refusal> {
    let ddl = pending(app, instance, ddl_id).await?;
    let text = match (ddl.value.node_id == *node, ddl.value.abandoned) {
        (true, false) => return Ok(ddl),
        (true, true) => "the change of the definition was given up, and is cleared up",
        (false, _) => "another node began the change of the definition",
    };
    Err(Refusal::Sql(DDL_CONFLICT, text.to_owned()))
}

async fn pending(
    app: &App,
    instance: &InstanceId,
    ddl_id: &str,
) -> Result<Versioned<DdlRecord>, Refusal> {
    app.get(&DdlRecord::key_of(instance, ddl_id)).await?.ok_or_else(|| {
        Refusal::Sql(DDL_CONFLICT, "the change of the definition is no longer pending".to_owned())
    })
}

/// Removes the change and its locks.
async fn forget(
    app: &App,
    change: &mut crate::change::Change<'_>,
    ddl: &Versioned<DdlRecord>,
) -> Result<(), AppError> {
    change.delete(ddl);
    let record = &ddl.value;
    for (schema, table) in touched(&record.schema, &record.changes) {
        let key = lock(&record.instance_id, &schema, &table, &record.id).key();
        if let Some(held) = app.get::<TableLockRecord>(&key).await?
            && held.value.ddl_id == record.id
        {
            change.delete(&held);
        }
    }
    Ok(())
}

async fn find(
    app: &App,
    instance: &InstanceId,
    schema: &str,
    table: &str,
) -> Result<Option<Versioned<TableRecord>>, AppError> {
    app.get(&TableRecord::key_of(instance, schema, table)).await
}

fn lock(instance: &InstanceId, schema: &str, table: &str, ddl_id: &str) -> TableLockRecord {
    TableLockRecord {
        instance_id: instance.clone(),
        schema: schema.to_owned(),
        table: table.to_owned(),
        ddl_id: ddl_id.to_owned(),
    }
}

/// The tables that changes touch, with their schemas, lower case, each once.
fn touched(schema: &str, changes: &[TableChange]) -> std::collections::BTreeSet<(String, String)> {
    changes
        .iter()
        .flat_map(|change| match change {
            TableChange::Create { table }
            | TableChange::Alter { table }
            | TableChange::Move { table, .. } => vec![(schema, &table.name)],
            TableChange::Rename { from, table, .. } => {
                vec![(schema, from), (schema_after(change).unwrap_or(schema), &table.name)]
            }
            TableChange::Drop { name } => vec![(schema, name)],
        })
        .map(|(schema, name)| (schema.to_owned(), name.to_lowercase()))
        .collect()
}

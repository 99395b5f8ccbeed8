//! Changes that a dead node left on some of the physical tables, finished from their record: an ALTER
//! runs where a physical table still has the definition that it had before; a swap of names, where
//! the shard's mark says that it did not happen yet.

use super::orphans::{execute, login, quoted};
use crate::app::App;
use crate::error::AppError;
use crate::metadata::export::SEQUENCE_TABLE;
use base::disk_full::is_disk_full;
use control_store::records::ddl::DdlRecord;
use provision::{AdminError, AdminLogin};
use topology::definition::comparable;
use topology::model::{Shard, Table};
use topology::rename_mark;
use topology::stream::DdlStep;

/// Finishes an ALTER or TRUNCATE on the physical tables that it did not reach.
pub(super) async fn finish_alter(
    app: &App,
    record: &DdlRecord,
    altered: &Table,
    shards: &[Shard],
) -> Result<(), AppError> {
    for step in &record.work.steps {
        let Some(shard) = shards.get(step.shard as usize) else { continue };
        let Some((_, login)) = login(app, shard).await? else { continue };
        if let Some(before) = &record.work.before {
            let now = definition(app, &login, shard, step, &altered.name).await?;
            if now.as_ref() != Some(before) {
                continue;
            }
        }
        let (schema, table) = (&record.schema, &altered.name);
        tracing::info!(%schema, %table, physical = step.table, "a change of a definition is finished");
        match run(app, &login, record, &step.statement).await {
            Ok(()) => {}
            // The rows of this shard do not take it, or it is done: looked at again by CHECK TABLE.
            Err(AdminError::Server { number, message, .. })
                if !is_disk_full(number, message.as_bytes()) =>
            {
                tracing::warn!(%schema, %table, physical = step.table, number, %message, "the change cannot be finished on a physical table; CHECK TABLE shows which differ");
            }
            Err(error) => return Err(AppError::Broken(error.to_string())),
        }
    }
    Ok(())
}

/// Finishes an ALTER that renames, where the old names are there yet.
pub(super) async fn finish_renaming_alter(
    app: &App,
    record: &DdlRecord,
    shards: &[Shard],
) -> Result<(), AppError> {
    for step in &record.work.steps {
        let Some(shard) = shards.get(step.shard as usize) else { continue };
        let Some((_, login)) = login(app, shard).await? else { continue };
        if !is_there(app, &login, shard, &step.table).await? {
            continue;
        }
        match run(app, &login, record, &step.statement).await {
            Ok(()) => {}
            // It gets its new name all the same; CHECK TABLE shows what differs.
            Err(AdminError::Server { number, message, .. })
                if !is_disk_full(number, message.as_bytes()) =>
            {
                tracing::warn!(schema = record.schema, physical = step.table, number, %message, "the change cannot be finished on a physical table; CHECK TABLE shows which differ");
            }
            Err(error) => return Err(AppError::Broken(error.to_string())),
        }
    }
    Ok(())
}

/// The definition that a physical table has now, as it is compared.
async fn definition(
    app: &App,
    login: &AdminLogin,
    shard: &Shard,
    step: &DdlStep,
    logical: &str,
) -> Result<Option<String>, AppError> {
    let ask = format!("SHOW CREATE TABLE {}.{}", quoted(&shard.database), quoted(&step.table));
    match app.data_nodes.query(login, &ask).await {
        Ok(rows) => {
            let create = rows.get(0, "Create Table");
            Ok(create.map(|create| comparable(create, &step.table, logical)))
        }
        Err(AdminError::Server { number, ref message, .. })
            if !is_disk_full(number, message.as_bytes()) =>
        {
            Ok(None)
        }
        Err(error) => Err(AppError::Broken(error.to_string())),
    }
}

async fn run(
    app: &App,
    login: &AdminLogin,
    record: &DdlRecord,
    statement: &str,
) -> Result<(), AdminError> {
    let mut statements = Vec::new();
    if let Some(mode) = &record.work.sql_mode {
        statements.push(format!("SET SESSION sql_mode = {mode}"));
    }
    statements.push(statement.to_owned());
    app.data_nodes.execute_all(login, &statements).await
}

/// Finishes several renames of one statement; false when none had begun and none will.
pub(super) async fn finish_renames(
    app: &App,
    record: &DdlRecord,
    shards: &[Shard],
) -> Result<bool, AppError> {
    let mut waiting = Vec::new();
    let mut begun = false;
    for step in &record.work.steps {
        let Some(shard) = shards.get(step.shard as usize) else { continue };
        let Some((_, login)) = login(app, shard).await? else { continue };
        let (before, after) = (rename_mark::before(&step.table), rename_mark::after(&step.table));
        begun |= is_there(app, &login, shard, &after).await?;
        if is_there(app, &login, shard, &before).await? {
            waiting.push((login, step));
        }
    }
    if begun {
        for (login, step) in waiting {
            run(app, &login, record, &step.statement)
                .await
                .map_err(|error| AppError::Broken(error.to_string()))?;
        }
    }
    for step in &record.work.steps {
        let Some(shard) = shards.get(step.shard as usize) else { continue };
        let Some((_, login)) = login(app, shard).await? else { continue };
        for mark in [rename_mark::before(&step.table), rename_mark::after(&step.table)] {
            let drop =
                format!("DROP TABLE IF EXISTS {}.{}", quoted(&shard.database), quoted(&mark));
            let dropped = app.data_nodes.execute(&login, &drop).await;
            dropped.map_err(|error| AppError::Broken(error.to_string()))?;
        }
    }
    Ok(begun)
}

pub(super) async fn is_there(
    app: &App,
    login: &AdminLogin,
    shard: &Shard,
    table: &str,
) -> Result<bool, AppError> {
    let ask = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME = '{}'",
        shard.database.replace('\'', "''"),
        table.replace('\'', "''")
    );
    let rows = app.data_nodes.query(login, &ask).await;
    rows.map(|rows| !rows.rows.is_empty()).map_err(|error| AppError::Broken(error.to_string()))
}

/// The sequence of a table takes its new name too, unless it did already.
pub(super) async fn rename_sequence(
    app: &App,
    (from, shards): (&Table, &[Shard]),
    (to, after): (&Table, &[Shard]),
) -> Result<(), AppError> {
    let (Some(first), Some(new_first), Some(_)) =
        (shards.first(), after.first(), &from.sequence_column)
    else {
        return Ok(());
    };
    let Some((_, login)) = login(app, first).await? else { return Ok(()) };
    if !is_there(app, &login, first, SEQUENCE_TABLE).await? {
        return Ok(());
    }
    let name = |table: &Table| table.name.to_lowercase().replace('\\', "\\\\").replace('\'', "''");
    let place = |shard: &Shard| format!("{}.{}", quoted(&shard.database), quoted(SEQUENCE_TABLE));
    let (old, new) = (name(from), name(to));
    let ask = format!("SELECT next FROM {} WHERE name = '{old}'", place(first));
    let rows = app.data_nodes.query(&login, &ask).await;
    let rows = rows.map_err(|error| AppError::Broken(error.to_string()))?;
    let Some(next) = rows.get(0, "next") else { return Ok(()) };
    let set = format!(
        "INSERT INTO {} (name, next) VALUES ('{new}', {next}) ON DUPLICATE KEY UPDATE next = {next}",
        place(new_first)
    );
    execute(app, new_first, &create_sequence_table(&place(new_first))).await?;
    execute(app, new_first, &set).await?;
    execute(app, first, &format!("DELETE FROM {} WHERE name = '{old}'", place(first))).await
}

/// As nodes make it.
fn create_sequence_table(place: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {place} (name VARCHAR(64) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL PRIMARY KEY, \
         next BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
    )
}

//! Changes of the old tables while their rows are copied: triggers log the primary key, and the new
//! sharding key, of each row before and after it changes; whoever replays an entry removes what the
//! new tables have of it and writes what the old one has now. An entry that stays is only replayed
//! again.

use super::copy::{Writer, read, select};
use super::places::{Physical, Places, exact_lease, in_quotes, rows};
use crate::error::ExecError;
use crate::exec::Exec;
use crate::insert::row_values;
use node_backend::connection::Connection;
use sql_plan::ddl::placement::PlacementPlan;
use sql_plan::value::write_literal;
use std::collections::{BTreeMap, BTreeSet};
use topology::algorithm::{SqlValue, Target};
use topology::model::{Column, ColumnClass, Placement};

/// Entries that are replayed at once.
const ROUND_ENTRIES: usize = 500;

/// A round of so few is followed by the last one, for which writers are held.
const FEW: usize = 100;

/// After so many rounds the changes come as fast as they are replayed: writers are held for the rest.
const ROUNDS_MAX: usize = 200;

/// Makes the log and the triggers of every source.
pub(super) async fn start(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
) -> Result<(), ExecError> {
    for source in &places.sources {
        let mut lease = exact_lease(exec, &source.data_node).await?;
        let wait = format!(
            "SET SESSION lock_wait_timeout = {}",
            exec.settings.lock_held_max.as_secs().max(1)
        );
        lease.execute_sql(wait.as_bytes()).await?;
        for text in statements(plan, source) {
            lease.execute_sql(text.as_bytes()).await?;
        }
    }
    Ok(())
}

/// The columns that an entry has: the primary key's, then what else the new rule needs.
fn logged(plan: &PlacementPlan) -> Vec<&Column> {
    let mut names: Vec<&str> = plan.from.primary_key.iter().map(String::as_str).collect();
    if let Placement::Sharded(rule) = &plan.to.placement {
        for key in rule.key_columns() {
            if !names.iter().any(|name| name.eq_ignore_ascii_case(key)) {
                names.push(key);
            }
        }
    }
    names.iter().filter_map(|name| plan.position(name)).map(|at| &plan.columns[at]).collect()
}

fn statements(plan: &PlacementPlan, source: &Physical) -> Vec<String> {
    let columns = logged(plan);
    let capture = source.capture();
    let log = source.beside(&capture.log);
    let definitions: Vec<String> = columns
        .iter()
        .map(|column| {
            let collation = match (&column.class, &column.collation) {
                (ColumnClass::Text, Some(collation)) => format!(" COLLATE {collation}"),
                _ => String::new(),
            };
            format!("{} {}{collation} NULL", in_quotes(&column.name), column.column_type)
        })
        .collect();
    let names: Vec<String> = columns.iter().map(|column| in_quotes(&column.name)).collect();
    let row = |image: &str| {
        let values: Vec<String> = names.iter().map(|name| format!("{image}.{name}")).collect();
        format!("({})", values.join(", "))
    };
    let mut all = vec![
        format!("DROP TABLE IF EXISTS {log}"),
        format!(
            "CREATE TABLE {log} (_ddm_entry BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, {}) ENGINE=InnoDB",
            definitions.join(", ")
        ),
    ];
    let events = ["INSERT", "UPDATE", "DELETE"];
    let images = [row("NEW"), format!("{}, {}", row("OLD"), row("NEW")), row("OLD")];
    for ((trigger, event), images) in capture.triggers.iter().zip(events).zip(images) {
        let trigger = source.beside(trigger);
        all.push(format!("DROP TRIGGER IF EXISTS {trigger}"));
        all.push(format!(
            "CREATE TRIGGER {trigger} AFTER {event} ON {} FOR EACH ROW INSERT INTO {log} ({}) VALUES {images}",
            source.qualified,
            names.join(", ")
        ));
    }
    all
}

/// Replays the logs until a round finds little.
pub(super) async fn catch_up(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
) -> Result<(), ExecError> {
    for _ in 0..ROUNDS_MAX {
        let mut most = 0;
        for source in &places.sources {
            let mut lease = exact_lease(exec, &source.data_node).await?;
            most = most.max(round(exec, plan, places, source, &mut lease).await?);
        }
        if most <= FEW {
            return Ok(());
        }
    }
    Ok(())
}

/// Replays all of a source's log over a connection that holds its tables.
pub(super) async fn finish(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
    source: &Physical,
    lease: &mut Connection,
) -> Result<(), ExecError> {
    while round(exec, plan, places, source, lease).await? > 0 {}
    Ok(())
}

/// Replays some entries; answers how many.
async fn round(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
    source: &Physical,
    lease: &mut Connection,
) -> Result<usize, ExecError> {
    let columns = logged(plan);
    let log = source.beside(&source.capture().log);
    let names: Vec<String> = columns.iter().map(|column| in_quotes(&column.name)).collect();
    let ask = format!("SELECT _ddm_entry, {} FROM {log} LIMIT {ROUND_ENTRIES}", names.join(", "));
    let (definitions, entries) = read(lease, ask.as_bytes()).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut gone: BTreeMap<Target, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut ids = Vec::new();
    for entry in &entries {
        ids.push(entry.text(0).unwrap_or_default());
        let values = row_values(entry, &definitions).split_off(1);
        let key = is_key(plan, &values[..plan.from.primary_key.len()]);
        for target in plan.placer.place(&image(plan, &columns, &values), None)? {
            gone.entry(target).or_default().insert(key.clone());
        }
        keys.insert(key);
    }
    let mut writer = Writer::new(exec, plan, places);
    for (target, keys) in gone {
        let text = format!("DELETE FROM {} WHERE ", writer.place(target)?).into_bytes();
        writer.execute(target, &with_any(text, &keys)).await?;
    }
    let ask = with_any(format!("{} WHERE ", select(plan, source)).into_bytes(), &keys);
    let (definitions, found) = read(lease, &ask).await?;
    for row in &found {
        writer.put(&row_values(row, &definitions)).await?;
    }
    writer.flush().await?;
    let done = format!("DELETE FROM {log} WHERE _ddm_entry IN ({})", ids.join(", "));
    lease.execute_sql(done.as_bytes()).await?;
    Ok(entries.len())
}

/// An entry's values where they stand among the plan's columns.
fn image(plan: &PlacementPlan, columns: &[&Column], values: &[SqlValue]) -> Vec<SqlValue> {
    let mut row = vec![SqlValue::Null; plan.columns.len()];
    for (column, value) in columns.iter().zip(values) {
        if let Some(at) = plan.position(&column.name) {
            row[at] = value.clone();
        }
    }
    row
}

/// The text with one of the conditions.
fn with_any(mut text: Vec<u8>, conditions: &BTreeSet<Vec<u8>>) -> Vec<u8> {
    for (number, condition) in conditions.iter().enumerate() {
        if number > 0 {
            text.extend_from_slice(b" OR ");
        }
        text.extend_from_slice(condition);
    }
    text
}

fn is_key(plan: &PlacementPlan, key: &[SqlValue]) -> Vec<u8> {
    let mut text = vec![b'('];
    for (at, (name, value)) in plan.from.primary_key.iter().zip(key).enumerate() {
        if at > 0 {
            text.extend_from_slice(b" AND ");
        }
        text.extend_from_slice(in_quotes(name).as_bytes());
        text.extend_from_slice(b" = ");
        write_literal(value, &mut text);
    }
    text.push(b')');
    text
}

/// How many rows a physical table has.
pub(super) async fn count(lease: &mut Connection, place: &Physical) -> Result<u64, ExecError> {
    let found = rows(lease, &format!("SELECT COUNT(*) FROM {}", place.qualified)).await?;
    Ok(found.first().and_then(|row| row.text(0)).and_then(|n| n.parse().ok()).unwrap_or(0))
}

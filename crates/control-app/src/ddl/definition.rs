//! A table's definition as a data node has it now, read through the administrator: for a change
//! whose node can no longer tell.

use super::orphans::login;
use crate::app::App;
use crate::error::AppError;
use provision::{AdminLogin, Rows};
use std::collections::BTreeMap;
use topology::column::lower_type;
use topology::model::{Column, ColumnClass, Shard, Table};

/// Reads columns and keys of the table's first physical table in `shard`; false when it is not
/// there.
pub(crate) async fn read(app: &App, shard: &Shard, table: &mut Table) -> Result<bool, AppError> {
    let Some((_, login)) = login(app, shard).await? else { return Ok(false) };
    let physical = table.physical_name(0);
    let of = format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quoted(&shard.database),
        quoted(&physical)
    );
    let columns = query(
        app,
        &login,
        &format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, EXTRA, COLUMN_DEFAULT \
             FROM information_schema.COLUMNS WHERE {of} ORDER BY ORDINAL_POSITION"
        ),
    )
    .await?;
    if columns.rows.is_empty() {
        return Ok(false);
    }
    let keys = query(
        app,
        &login,
        &format!(
            "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
             WHERE {of} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
        ),
    )
    .await?;
    apply(table, &columns, &keys);
    Ok(true)
}

async fn query(app: &App, login: &AdminLogin, sql: &str) -> Result<Rows, AppError> {
    let answer = app.data_nodes.query(login, sql).await;
    answer.map_err(|error| AppError::Broken(error.to_string()))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn apply(table: &mut Table, columns: &Rows, keys: &Rows) {
    table.columns = (0..columns.rows.len()).map(|row| column(columns, row)).collect();
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in 0..keys.rows.len() {
        let (Some(index), Some(column)) =
            (keys.get(row, "INDEX_NAME"), keys.get(row, "COLUMN_NAME"))
        else {
            continue;
        };
        all.entry(index).or_default().push(column.to_owned());
    }
    table.primary_key = all.remove("PRIMARY").unwrap_or_default();
    table.unique_keys = all.into_values().collect();
    let Some(name) = table.sequence_column.clone() else { return };
    // The physical column of a global sequence has no AUTO_INCREMENT of its own.
    match table.columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(&name)) {
        Some(column) => {
            column.auto_increment = true;
            column.has_default = true;
        }
        None => table.sequence_column = None,
    }
}

fn column(rows: &Rows, row: usize) -> Column {
    let text = |name: &str| rows.get(row, name).unwrap_or_default();
    let column_type = lower_type(text("COLUMN_TYPE"));
    let extra = text("EXTRA").to_ascii_uppercase();
    let nullable = text("IS_NULLABLE") == "YES";
    let auto_increment = extra.contains("AUTO_INCREMENT");
    let generated = ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|word| extra.contains(word));
    Column {
        name: text("COLUMN_NAME").to_owned(),
        class: ColumnClass::from_column_type(&column_type),
        column_type,
        collation: rows.get(row, "COLLATION_NAME").map(str::to_owned),
        nullable,
        auto_increment,
        generated,
        invisible: extra.contains("INVISIBLE"),
        has_default: nullable
            || auto_increment
            || generated
            || rows.get(row, "COLUMN_DEFAULT").is_some(),
    }
}

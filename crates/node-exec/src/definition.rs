//! A table's definition as a data node reports it, read from information_schema of one physical
//! table: what routing, merging and INSERT need to know of columns and keys.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use base::sql_error;
use node_backend::connection::Connection;
use node_backend::query::Row;
use std::collections::BTreeMap;
use topology::model::{Column, ColumnClass, Table};

fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"))
}

/// Reads columns and keys of a physical table into `table`.
pub async fn refresh(
    node: &BackendNode,
    database: &str,
    physical: &str,
    table: &mut Table,
) -> Result<(), ExecError> {
    let mut lease = node.own_lease().await?;
    let columns = columns(&mut lease, database, physical).await?;
    if columns.is_empty() {
        return Err(sql(
            sql_error::NO_SUCH_TABLE,
            format!("Table '{database}.{physical}' is not there after it was changed"),
        ));
    }
    let (primary_key, unique_keys) = keys(&mut lease, database, physical).await?;
    table.columns = columns;
    table.primary_key = primary_key;
    table.unique_keys = unique_keys;
    if let Some(name) = &table.sequence_column {
        match table.columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(name)) {
            Some(column) => {
                column.auto_increment = true;
                column.has_default = true;
            }
            None => table.sequence_column = None,
        }
    }
    Ok(())
}

async fn columns(
    connection: &mut Connection,
    database: &str,
    physical: &str,
) -> Result<Vec<Column>, ExecError> {
    let ask = format!(
        "SELECT COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, EXTRA, COLUMN_DEFAULT \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
        quoted(database),
        quoted(physical)
    );
    let rows = connection.query(ask.as_bytes()).await?.into_rows();
    Ok(rows.iter().map(column).collect())
}

fn column(row: &Row) -> Column {
    let text = |at| row.text(at).unwrap_or_default();
    let column_type = text(1).to_ascii_lowercase();
    let extra = text(4).to_ascii_uppercase();
    let nullable = text(3) == "YES";
    let auto_increment = extra.contains("AUTO_INCREMENT");
    let generated = ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|word| extra.contains(word));
    Column {
        name: text(0),
        class: ColumnClass::from_column_type(&column_type),
        column_type,
        collation: row.text(2),
        nullable,
        auto_increment,
        generated,
        invisible: extra.contains("INVISIBLE"),
        has_default: nullable || auto_increment || generated || row.get(5).is_some(),
    }
}

async fn keys(
    connection: &mut Connection,
    database: &str,
    physical: &str,
) -> Result<(Vec<String>, Vec<Vec<String>>), ExecError> {
    let ask = format!(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        quoted(database),
        quoted(physical)
    );
    let rows = connection.query(ask.as_bytes()).await?.into_rows();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        all.entry(row.text(0).unwrap_or_default())
            .or_default()
            .push(row.text(1).unwrap_or_default());
    }
    let primary = all.remove("PRIMARY").unwrap_or_default();
    Ok((primary, all.into_values().collect()))
}

//! A temporary table's columns and keys as its own connection shows them; information_schema does
//! not know it.

use node_backend::connection::Connection;
use node_exec::error::ExecError;
use std::collections::BTreeMap;
use topology::model::{Column, ColumnClass};

/// Columns, primary key, other unique keys.
pub type Definition = (Vec<Column>, Vec<String>, Vec<Vec<String>>);

/// Reads the definition of the table of this quoted name.
pub async fn read(connection: &mut Connection, name: &[u8]) -> Result<Definition, ExecError> {
    let ask = [b"SHOW FULL COLUMNS FROM ".as_slice(), name].concat();
    let rows = connection.query(&ask).await?.into_rows();
    let columns = rows
        .iter()
        .map(|row| {
            let text = |at| row.text(at).unwrap_or_default();
            let column_type = text(1).to_ascii_lowercase();
            let extra = text(6).to_ascii_uppercase();
            let nullable = text(3) == "YES";
            let auto_increment = extra.contains("AUTO_INCREMENT");
            let generated =
                ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|word| extra.contains(word));
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
        })
        .collect();
    let ask = [b"SHOW INDEX FROM ".as_slice(), name].concat();
    let rows = connection.query(&ask).await?.into_rows();
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.text(1).as_deref() == Some("0")) {
        let key = row.text(2).unwrap_or_default();
        keys.entry(key).or_default().push(row.text(4).unwrap_or_default());
    }
    let primary = keys.remove("PRIMARY").unwrap_or_default();
    Ok((columns, primary, keys.into_values().collect()))
}

//! MariaDB's tables of numbers: `seq_1_to_10` and `seq_1_to_10_step_3` are in every database without a
//! definition, unless a table has the name. Each shard has all their rows, so that they are planned
//! like broadcast tables; no snapshot lists them, and a statement that names one is planned over a
//! snapshot of its own tables that does.

use crate::plan::Access;
use base::sql_error::{NO_SUCH_TABLE, SqlError};
use sql_syntax::LexMode;
use topology::model::{Column, ColumnClass, Placement, Schema, Snapshot, Table};

/// What such a table has.
pub const NUMBERS: &str = "(seq bigint(20) unsigned NOT NULL PRIMARY KEY)";

/// Whether this is the name of such a table. A data node says what is wrong with a step of 0.
pub fn is_number_table(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let numbers = name.strip_prefix("seq_").and_then(|rest| rest.split_once("_to_"));
    let Some((from, rest)) = numbers else { return false };
    let (to, step) = rest.split_once("_step_").unwrap_or((rest, "1"));
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u64>().ok()).flatten()
    };
    number(from).is_some() && number(to).is_some() && number(step).is_some()
}

/// What `plan` makes of a snapshot, or else of the same with the tables of numbers that a statement
/// names.
pub fn planned_over<T>(
    snapshot: &Snapshot,
    named: &[Access],
    mode: &LexMode,
    plan: impl Fn(&Snapshot) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    match plan(snapshot) {
        Err(error) if error.code == NO_SUCH_TABLE && mode.mariadb => {
            match with_number_tables(snapshot, named) {
                Some(wider) => plan(&wider),
                None => Err(error),
            }
        }
        planned => planned,
    }
}

/// The snapshot with the tables of numbers that a statement names; nothing when it names none. Of
/// the other tables it has those that the statement names, too.
fn with_number_tables(snapshot: &Snapshot, named: &[Access]) -> Option<Snapshot> {
    let names_in = |schema: &str| {
        let of_schema = move |access: &&Access| access.schema.eq_ignore_ascii_case(schema);
        let tables = named.iter().filter(of_schema).filter_map(|access| access.table.as_ref());
        tables.collect::<Vec<_>>()
    };
    let mut found = false;
    let schemas = snapshot.schemas.iter().map(|(key, schema)| {
        let names = names_in(&schema.name);
        let mut tables = Vec::new();
        for name in names {
            match schema.table(name) {
                Some(table) => tables.push((name.to_lowercase(), table.clone())),
                None if is_number_table(name) => {
                    found = true;
                    // Columns say its name as it is written.
                    tables.push((name.to_lowercase(), number_table(name.clone())));
                }
                None => {}
            }
        }
        (key.clone(), Schema { tables: tables.into_iter().collect(), ..without_tables(schema) })
    });
    let schemas = schemas.collect();
    found.then(|| Snapshot {
        schemas,
        form: snapshot.form,
        version: snapshot.version,
        instance_id: snapshot.instance_id.clone(),
        instance_name: snapshot.instance_name.clone(),
        data_nodes: snapshot.data_nodes.clone(),
        accounts: snapshot.accounts.clone(),
        parameters: snapshot.parameters.clone(),
        node_count: snapshot.node_count,
        node_numbers: snapshot.node_numbers.clone(),
        read_only_nodes: snapshot.read_only_nodes.clone(),
        client_access: snapshot.client_access.clone(),
        access_lists: snapshot.access_lists.clone(),
        time_zone: snapshot.time_zone.clone(),
    })
}

fn without_tables(schema: &Schema) -> Schema {
    Schema {
        name: schema.name.clone(),
        mode: schema.mode,
        ready: schema.ready,
        character_set: schema.character_set.clone(),
        collation: schema.collation.clone(),
        shards: schema.shards.clone(),
        tables: Default::default(),
        recycled: Default::default(),
    }
}

/// As MariaDB defines it.
pub fn number_table(name: String) -> Table {
    let seq = Column {
        name: "seq".to_owned(),
        column_type: "bigint(20) unsigned".to_owned(),
        class: ColumnClass::UnsignedInteger,
        collation: None,
        nullable: false,
        auto_increment: false,
        generated: false,
        invisible: false,
        has_default: false,
    };
    Table {
        name,
        placement: Placement::Broadcast,
        primary_key: vec![seq.name.clone()],
        columns: vec![seq],
        unique_keys: Vec::new(),
        sequence_column: None,
        definition_version: 0,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_by_the_server() {
        for name in
            ["seq_1_to_10", "SEQ_1_to_10_STEP_3", "seq_10_to_1", "seq_0_to_0", "seq_1_to_2_step_0"]
        {
            assert!(is_number_table(name), "{name}");
        }
        for name in [
            "seq",
            "seq_1_to_",
            "seq_1_to_10_step_",
            "seq_-1_to_2",
            "seq_1_to_10x",
            "xseq_1_to_10",
            "seq_1_to_99999999999999999999",
        ] {
            assert!(!is_number_table(name), "{name}");
        }
    }
}

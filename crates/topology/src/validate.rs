//! What must hold in a snapshot before a node serves it. A node keeps its old snapshot when a new
//! one fails here: a contradiction in the document must never become a wrong route.

use crate::model::{
    Placement, SNAPSHOT_FORM, Schema, ShardMode, Snapshot, Table, physical_database,
};

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Made by a newer program.
    #[error("the snapshot has form {0}; this program knows forms up to {SNAPSHOT_FORM}")]
    NewerForm(u32),
    /// A part contradicts another.
    #[error("the snapshot is inconsistent at {place}: {what}")]
    Inconsistent {
        /// Which part.
        place: String,
        /// What is wrong with it.
        what: String,
    },
}

fn require(holds: bool, place: &str, what: &str) -> Result<(), SnapshotError> {
    if holds {
        return Ok(());
    }
    Err(SnapshotError::Inconsistent { place: place.to_owned(), what: what.to_owned() })
}

impl Snapshot {
    /// Checks everything that serving relies on.
    pub fn validate(&self) -> Result<(), SnapshotError> {
        if self.form > SNAPSHOT_FORM {
            return Err(SnapshotError::NewerForm(self.form));
        }
        for (id, node) in &self.data_nodes {
            require(*id == node.id, id.as_str(), "a data node under another id")?;
            require(!node.host.is_empty() && node.port != 0, id.as_str(), "no address")?;
        }
        for (name, account) in &self.accounts {
            require(*name == account.name, name, "an account under another name")?;
        }
        for (name, schema) in &self.schemas {
            require(*name == schema.name && *name == name.to_lowercase(), name, "a wrong name")?;
            self.validate_shards(schema)?;
            for (name, table) in &schema.tables {
                validate_table(schema, name, table)?;
            }
        }
        Ok(())
    }

    fn validate_shards(&self, schema: &Schema) -> Result<(), SnapshotError> {
        let place = format!("schema {}", schema.name);
        require(!schema.shards.is_empty() || !schema.ready, &place, "no shards")?;
        require(
            schema.mode == ShardMode::Cluster || schema.shards.len() <= 1,
            &place,
            "a single schema with several shards",
        )?;
        for (index, shard) in (0_u32..).zip(&schema.shards) {
            require(shard.index == index, &place, "shards out of order")?;
            let database = physical_database(&schema.name, index);
            require(shard.database == database, &place, "a shard with another name")?;
            require(
                self.data_nodes.contains_key(&shard.data_node),
                &place,
                "a shard on an unknown data node",
            )?;
        }
        Ok(())
    }
}

fn validate_table(schema: &Schema, key: &str, table: &Table) -> Result<(), SnapshotError> {
    let place = format!("table {}.{}", schema.name, table.name);
    require(key == table.name.to_lowercase(), &place, "under another name")?;
    require(!table.columns.is_empty(), &place, "no columns")?;
    for column in table.primary_key.iter().chain(table.unique_keys.iter().flatten()) {
        require(table.column(column).is_some(), &place, "a key over an unknown column")?;
    }
    if let Some(column) = &table.sequence_column {
        require(table.column(column).is_some(), &place, "a sequence for an unknown column")?;
    }
    match &table.placement {
        Placement::Single => Ok(()),
        Placement::Broadcast => {
            require(schema.mode == ShardMode::Cluster, &place, "broadcast in a single schema")
        }
        Placement::Sharded(rule) => {
            require(schema.mode == ShardMode::Cluster, &place, "sharded in a single schema")?;
            rule.check(&table.columns, schema.shard_count())
                .map_err(|error| SnapshotError::Inconsistent { place, what: error.to_string() })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::*;
    use base::id::{DataNodeId, InstanceId};
    use base::secret::Secret;
    use std::collections::BTreeMap;

    fn snapshot() -> Snapshot {
        let node = DataNodeId::from_random([1; 16]);
        let rule = ShardingRule {
            database: KeyRule { column: "id".into(), algorithm: Algorithm::ModHash },
            table: Some(KeyRule { column: "d".into(), algorithm: Algorithm::YyyyMm }),
            tables_per_shard: 3,
        };
        let table = |name: &str, placement| Table {
            name: name.into(),
            placement,
            columns: vec![Column::plain("id", "bigint(20)"), Column::plain("d", "date")],
            primary_key: vec!["id".into()],
            unique_keys: vec![],
            sequence_column: Some("id".into()),
            definition_version: 1,
            view: None,
            physical_base: None,
            frozen: false,
            recycled: None,
        };
        let tables = [
            table("T", Placement::Sharded(rule)),
            table("b", Placement::Broadcast),
            table("s", Placement::Single),
        ];
        let schema = Schema {
            name: "db".into(),
            mode: ShardMode::Cluster,
            ready: true,
            character_set: "utf8mb4".into(),
            collation: "utf8mb4_unicode_ci".into(),
            shards: (0..8)
                .map(|index| Shard {
                    index,
                    database: physical_database("db", index),
                    data_node: node.clone(),
                })
                .collect(),
            tables: tables.into_iter().map(|table| (table.name.to_lowercase(), table)).collect(),
            recycled: BTreeMap::new(),
        };
        let data_node = DataNode {
            id: node.clone(),
            name: "dn".into(),
            host: "127.0.0.1".into(),
            port: 3307,
            server_version: "10.11.6-MariaDB".into(),
            user: "DDMRW1".into(),
            password: Secret::new("x"),
            read_weight: 100,
            replicas: vec![],
        };
        Snapshot {
            form: SNAPSHOT_FORM,
            version: 3,
            instance_id: InstanceId::from_random([2; 16]),
            instance_name: "ddm-1".into(),
            data_nodes: BTreeMap::from([(node, data_node)]),
            schemas: BTreeMap::from([("db".into(), schema)]),
            accounts: BTreeMap::new(),
            parameters: crate::parameters::Parameters::default(),
            node_count: 1,
            node_numbers: Default::default(),
            read_only_nodes: Default::default(),
            client_access: None,
            access_lists: Default::default(),
            time_zone: None,
        }
    }

    #[test]
    fn a_good_snapshot_passes_and_survives_the_wire() {
        let snapshot = snapshot();
        snapshot.validate().unwrap();
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
        assert_eq!(snapshot.schema("DB").unwrap().table("t").unwrap().physical_name(2), "T_2");
    }

    #[test]
    fn contradictions_are_found() {
        type Break = fn(&mut Snapshot);
        let breaks: [Break; 8] = [
            |s| s.form = SNAPSHOT_FORM + 1,
            |s| s.data_nodes.clear(),
            |s| s.schemas.get_mut("db").unwrap().shards[3].index = 4,
            |s| s.schemas.get_mut("db").unwrap().shards[3].database = "db_3".into(),
            |s| s.schemas.get_mut("db").unwrap().mode = ShardMode::Single,
            |s| s.schemas.get_mut("db").unwrap().tables.get_mut("t").unwrap().columns.clear(),
            |s| {
                let table = s.schemas.get_mut("db").unwrap().tables.remove("t").unwrap();
                s.schemas.get_mut("db").unwrap().tables.insert("u".into(), table);
            },
            |s| {
                let table = s.schemas.get_mut("db").unwrap().tables.get_mut("t").unwrap();
                table.columns[0] = Column::plain("id", "double");
            },
        ];
        for (index, break_it) in breaks.iter().enumerate() {
            let mut broken = snapshot();
            break_it(&mut broken);
            assert!(broken.validate().is_err(), "{index}");
        }
    }
}

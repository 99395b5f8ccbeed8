//! A small snapshot for tests that need no case file.
#![allow(clippy::unwrap_used)]

use base::id::{DataNodeId, InstanceId};
use base::secret::Secret;
use std::collections::BTreeMap;
use topology::model::*;
use topology::parameters::Parameters;

/// Schema `shop` of 8 shards on one data node, with `users` by id and `items` by oid in 4 tables.
pub fn snapshot() -> Snapshot {
    let node = DataNodeId::from_random([1; 16]);
    let rule = |column: &str, tables: u32| {
        let key = || KeyRule { column: column.into(), algorithm: Algorithm::ModHash };
        Placement::Sharded(ShardingRule {
            database: key(),
            table: (tables > 1).then(key),
            tables_per_shard: tables,
        })
    };
    let table = |name: &str, placement, columns: &[(&str, &str)]| Table {
        name: name.into(),
        placement,
        columns: columns.iter().map(|(name, kind)| Column::plain(name, kind)).collect(),
        primary_key: vec![],
        unique_keys: vec![],
        sequence_column: None,
        definition_version: 1,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    };
    let users = [("id", "bigint"), ("name", "varchar(50)"), ("age", "int")];
    let items = [("oid", "bigint"), ("sku", "varchar(20)"), ("qty", "int")];
    let tables = [table("users", rule("id", 1), &users), table("items", rule("oid", 4), &items)];
    let schema = Schema {
        name: "shop".into(),
        mode: ShardMode::Cluster,
        ready: true,
        character_set: "utf8mb4".into(),
        collation: "utf8mb4_general_ci".into(),
        shards: (0..8)
            .map(|index| Shard {
                index,
                database: physical_database("shop", index),
                data_node: node.clone(),
            })
            .collect(),
        tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
        recycled: BTreeMap::new(),
    };
    let data_node = DataNode {
        id: node.clone(),
        name: "dn".into(),
        host: "127.0.0.1".into(),
        port: 3306,
        server_version: "10.11.6-MariaDB".into(),
        user: "ddm".into(),
        password: Secret::new("x"),
        read_weight: 100,
        replicas: vec![],
    };
    Snapshot {
        form: SNAPSHOT_FORM,
        version: 1,
        instance_id: InstanceId::from_random([2; 16]),
        instance_name: "ddm".into(),
        data_nodes: BTreeMap::from([(node, data_node)]),
        schemas: BTreeMap::from([("shop".into(), schema)]),
        accounts: BTreeMap::new(),
        parameters: Parameters::default(),
        node_count: 1,
        node_numbers: Default::default(),
        read_only_nodes: Default::default(),
        client_access: None,
        access_lists: Default::default(),
        time_zone: None,
    }
}

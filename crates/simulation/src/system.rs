//! Data nodes, nodes, and the snapshot that these serve: schema `shop` with the tables `accounts` and
//! `moves`, both by id, over all data nodes.

use crate::data_node::DataNode;
use crate::node::Node;
use crate::world::World;
use base::id::{DataNodeId, InstanceId};
use base::secret::Secret;
use mysql_wire::auth::Verifiers as Hashes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use topology::account::{Account, Authority, Verifiers};
use topology::model::{
    Algorithm, Column, DataNode as Definition, KeyRule, Placement, SNAPSHOT_FORM, Schema, Shard,
    ShardMode, ShardingRule, Snapshot, Table, physical_database,
};

/// The account of clients, and its password.
pub const USER: &str = "app";
/// See [`USER`].
pub const PASSWORD: &str = "Client_1";

const FIRST_DATA_NODE_PORT: u16 = 3301;
const FIRST_NODE_PORT: u16 = 4001;

/// What each account has in the beginning.
pub const BALANCE: i64 = 1_000;

/// How large a system is, and how it is set.
#[derive(Clone, Debug)]
pub struct Form {
    /// Data nodes.
    pub data_nodes: u64,
    /// Nodes.
    pub nodes: u64,
    /// Shards of the schema.
    pub shards: u64,
    /// Accounts, with ids from 0 on.
    pub accounts: u64,
    /// Parameters of the instance.
    pub parameters: Vec<(&'static str, String)>,
}

/// A running system.
#[derive(Clone, Debug)]
pub struct System {
    /// Its form.
    pub form: Form,
    /// Its data nodes.
    pub data_nodes: Vec<DataNode>,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// What nodes serve.
    pub snapshot: Arc<Snapshot>,
}

impl System {
    /// Starts everything.
    pub fn start(world: &World, form: Form) -> Self {
        let ports = (FIRST_DATA_NODE_PORT..).take(form.data_nodes as usize);
        let data_nodes: Vec<DataNode> = ports.map(|port| DataNode::new(world, port)).collect();
        let ports = (FIRST_NODE_PORT..).take(form.nodes as usize);
        let nodes: Vec<Node> = ports.map(|port| Node::new(world, port)).collect();
        let snapshot = Arc::new(snapshot(&form, &data_nodes));
        let system = Self { form, data_nodes, nodes, snapshot };
        for shard in 0..system.form.shards {
            let data_node = &system.data_nodes[system.data_node_of(shard)];
            data_node.with(|store| {
                store.create(&format!("{}.moves", database(shard)));
                store.create(&format!("{}.accounts", database(shard)));
            });
        }
        for account in 0..system.form.accounts {
            let data_node = &system.data_nodes[system.data_node_of(account)];
            let table = format!("{}.accounts", database(account % system.form.shards));
            let row = vec![account.to_string(), BALANCE.to_string(), "0".to_owned()];
            data_node.with(|store| store.put(&table, row));
        }
        system.data_nodes.iter().for_each(DataNode::start);
        system.nodes.iter().for_each(|node| node.start(&system.snapshot));
        system
    }

    /// The data node where an id's row is.
    pub fn data_node_of(&self, id: u64) -> usize {
        let shard = id % self.form.shards;
        (shard * self.form.data_nodes / self.form.shards) as usize
    }

    /// All rows of a table, over all data nodes, by id.
    pub fn rows(&self, table: &str) -> BTreeMap<u64, Vec<String>> {
        let mut rows = BTreeMap::new();
        for shard in 0..self.form.shards {
            let table = format!("{}.{table}", database(shard));
            let data_node = &self.data_nodes[self.data_node_of(shard)];
            for row in data_node.with(|store| store.read(None, &table)) {
                rows.insert(row[0].parse().unwrap_or(u64::MAX), row);
            }
        }
        rows
    }
}

fn database(shard: u64) -> String {
    physical_database("shop", shard as u32)
}

fn table(name: &str, columns: &[(&str, &str)]) -> Table {
    Table {
        name: name.into(),
        placement: Placement::Sharded(ShardingRule {
            database: KeyRule { column: "id".into(), algorithm: Algorithm::ModHash },
            table: None,
            tables_per_shard: 1,
        }),
        columns: columns.iter().map(|(name, kind)| Column::plain(name, kind)).collect(),
        primary_key: vec!["id".to_owned()],
        unique_keys: Vec::new(),
        sequence_column: None,
        definition_version: 1,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    }
}

fn account() -> Account {
    let hashes = Hashes::from_password(PASSWORD.as_bytes());
    Account {
        name: USER.to_owned(),
        verifiers: Verifiers { native: hashes.native, sha2: hashes.sha2 },
        authorities: Authority::ALL.into_iter().collect(),
        schemas: BTreeSet::from(["shop".to_owned()]),
        tables: Default::default(),
        administrator: false,
        require_tls: false,
        password_expires_ms: None,
    }
}

fn data_node_id(number: u64) -> DataNodeId {
    DataNodeId::from_random([number as u8 + 1; 16])
}

fn snapshot(form: &Form, data_nodes: &[DataNode]) -> Snapshot {
    let definitions = data_nodes.iter().zip(0..).map(|(data_node, number)| {
        let id = data_node_id(number);
        let definition = Definition {
            id: id.clone(),
            name: format!("dn-{}", data_node.port()),
            host: "simulated".into(),
            port: data_node.port(),
            server_version: "10.11.6-MariaDB".into(),
            user: "ddmrw".into(),
            password: Secret::new("Backend_1"),
            read_weight: 100,
            replicas: Vec::new(),
        };
        (id, definition)
    });
    let shards = (0..form.shards).map(|shard| Shard {
        index: shard as u32,
        database: database(shard),
        data_node: data_node_id(shard * form.data_nodes / form.shards),
    });
    let tables = [
        table("accounts", &[("id", "bigint"), ("balance", "bigint"), ("operation", "bigint")]),
        table("moves", &[("id", "bigint"), ("operation", "bigint")]),
    ];
    let schema = Schema {
        name: "shop".into(),
        mode: ShardMode::Cluster,
        ready: true,
        character_set: "utf8mb4".into(),
        collation: "utf8mb4_general_ci".into(),
        shards: shards.collect(),
        tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
        recycled: BTreeMap::new(),
    };
    let parameters: BTreeMap<&str, &String> =
        form.parameters.iter().map(|(name, value)| (*name, value)).collect();
    let parameters = serde_json::to_value(parameters).expect("texts become JSON");
    Snapshot {
        form: SNAPSHOT_FORM,
        version: 1,
        instance_id: InstanceId::from_random([7; 16]),
        instance_name: "simulated".into(),
        data_nodes: definitions.collect(),
        schemas: BTreeMap::from([("shop".to_owned(), schema)]),
        accounts: BTreeMap::from([(USER.to_owned(), account())]),
        parameters: serde_json::from_value(parameters).expect("parameters are texts by name"),
        node_count: form.nodes as u32,
        node_numbers: Default::default(),
        read_only_nodes: Default::default(),
        client_access: None,
        access_lists: Default::default(),
        time_zone: Some("+05:00".into()),
    }
}

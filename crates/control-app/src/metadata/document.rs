//! The document of metadata: JSON, in gzip, in base64. It comes back from outside, so everything
//! about it is bounded and checked before anything is made of it.

use super::create_text;
use crate::data_node_weights::mend_weights;
use base::api_error::{ApiError, JSON_CONVERT_FAILED, PARAMETER_ERROR};
use base::id::{DataNodeId, InstanceId};
use base::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_api::data_node::REPLICAS_MAX;
use control_api::read_weight::WEIGHT_MAX;
use control_store::records::data_node::DataNodeRecord;
use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use topology::model::{
    DataNode, Placement, SNAPSHOT_FORM, Schema, Shard, ShardMode, Snapshot, Table,
};

/// What the document says that it is.
pub const FORMAT: &str = "ddm-schema-metadata";

/// The version of the form; a newer one is refused.
pub const VERSION: u32 = 1;

/// A document is never longer, so that a few bytes of gzip cannot fill the memory.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Its compressed text is never longer: the longest value of the store, with room for the rest.
pub const COMPRESSED_BYTES_MAX: usize = 15 * 1024 * 1024;

/// Schemas in one document.
pub const SCHEMAS_MAX: usize = 256;

/// Tables in one schema.
pub const TABLES_MAX: usize = 8_000;

/// Physical tables of all tables in one document.
pub const PHYSICAL_TABLES_MAX: u64 = 500_000;

/// The field that brings a document.
const FIELD: &str = "compressed_databases_info";

/// Metadata of an instance's schemas at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The instance.
    pub instance_id: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// When it was so, UNIX milliseconds.
    pub taken_ms: i64,
    /// The data nodes that hold the shards, in the order in which an import replaces them.
    pub data_nodes: Vec<DocumentDataNode>,
    /// The schemas, by name.
    pub schemas: Vec<DocumentSchema>,
}

/// A data node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentDataNode {
    /// Its id.
    pub id: DataNodeId,
    /// Its name.
    pub name: String,
    /// Its server's version.
    pub engine_version: String,
    /// The primary's share of reads; missing in older documents.
    #[serde(default)]
    pub read_weight: Option<u32>,
    /// The shares of its replicas, by their ids, in order.
    #[serde(default)]
    pub replica_weights: Vec<(DataNodeId, u32)>,
}

/// A schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentSchema {
    /// Its name.
    pub name: String,
    /// Cluster or single.
    pub mode: ShardMode,
    /// The default character set of its tables.
    pub character_set: String,
    /// The default collation of its tables.
    pub collation: String,
    /// When it was made, UNIX milliseconds.
    pub created_ms: i64,
    /// Its shards in order.
    pub shards: Vec<Shard>,
    /// Its tables, by name.
    pub tables: Vec<DocumentTable>,
    /// Its sequences, by name; missing in older documents.
    #[serde(default)]
    pub sequences: Vec<super::sequences::DocumentSequence>,
    /// The accounts that see it, by name; only in backups.
    #[serde(default)]
    pub accounts: BTreeSet<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentTable {
    /// Its definition and rule.
    pub table: Table,
    /// The CREATE statement of one of its physical tables; missing when no data node could tell.
    #[serde(default)]
    pub create: Option<String>,
    /// The next value of its sequence, where it has one.
    #[serde(default)]
    pub next_value: Option<u64>,
}

impl Document {
    /// The document as it is exported and kept: gzip without a time, in base64.
    pub fn compress(&self) -> Result<String, std::io::Error> {
        let json = serde_json::to_vec(self)?;
        let too_long = || std::io::Error::other("the metadata are longer than a document may be");
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(too_long());
        }
        let mut gzip =
            GzBuilder::new().mtime(0).operating_system(0).write(Vec::new(), Compression::default());
        gzip.write_all(&json)?;
        let text = STANDARD.encode(gzip.finish()?);
        if text.len() > COMPRESSED_BYTES_MAX { Err(too_long()) } else { Ok(text) }
    }

    /// The document that a text holds, checked.
    pub fn parse(compressed: &str) -> Result<Self, ApiError> {
        let json = decompress(compressed)?;
        let document: Self = serde_json::from_slice(&json).map_err(|_| {
            ApiError::new(JSON_CONVERT_FAILED)
                .field(FIELD)
                .because("is no document of metadata", "不是逻辑库元数据文档")
        })?;
        document.check()?;
        Ok(document)
    }

    fn check(&self) -> Result<(), ApiError> {
        require(self.format == FORMAT, "is no document of metadata")?;
        require(self.version == VERSION, "has another version than this system knows")?;
        require(self.schemas.len() <= SCHEMAS_MAX, "has too many schemas")?;
        let ids: BTreeSet<&DataNodeId> = self.data_nodes.iter().map(|node| &node.id).collect();
        require(ids.len() == self.data_nodes.len(), "names a data node twice")?;
        require(
            self.data_nodes.iter().all(DocumentDataNode::has_fit_weights),
            "has a wrong read weight",
        )?;
        let used: BTreeSet<&DataNodeId> = self.shards().map(|shard| &shard.data_node).collect();
        require(ids == used, "has shards and data nodes that do not fit together")?;
        let mut names = BTreeSet::new();
        let mut physical: u64 = 0;
        for schema in &self.schemas {
            control_api::schema::check_name(FIELD, &schema.name)?;
            require(names.insert(&schema.name), "names a schema twice")?;
            physical = physical.saturating_add(schema.check()?);
        }
        require(physical <= PHYSICAL_TABLES_MAX, "has too many physical tables")?;
        self.as_snapshot().validate().map_err(|error| wrong(&error.to_string()))
    }

    /// All shards.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.schemas.iter().flat_map(|schema| &schema.shards)
    }

    /// The document as a node would have to serve it, for the checks that nodes make.
    fn as_snapshot(&self) -> Snapshot {
        let data_nodes = self.data_nodes.iter().map(|node| {
            let stands_for = DataNode {
                id: node.id.clone(),
                name: node.name.clone(),
                host: "none".to_owned(),
                port: 1,
                server_version: node.engine_version.clone(),
                user: String::new(),
                password: Secret::new(""),
                read_weight: 0,
                replicas: Vec::new(),
            };
            (node.id.clone(), stands_for)
        });
        Snapshot {
            form: SNAPSHOT_FORM,
            version: 0,
            instance_id: self.instance_id.clone(),
            instance_name: self.instance_name.clone(),
            data_nodes: data_nodes.collect(),
            schemas: self.schemas.iter().map(|one| (one.name.clone(), one.as_schema())).collect(),
            accounts: BTreeMap::new(),
            parameters: topology::parameters::Parameters::default(),
            node_numbers: Default::default(),
            read_only_nodes: BTreeSet::new(),
            client_access: None,
            access_lists: Default::default(),
            time_zone: None,
            node_count: 1,
        }
    }
}

impl DocumentDataNode {
    /// A data node as it is.
    pub fn of(node: &DataNodeRecord) -> Self {
        let weights = node.replicas.iter().map(|one| (one.id.clone(), one.read_weight));
        Self {
            id: node.id.clone(),
            name: node.name.clone(),
            engine_version: node.server_version.clone(),
            read_weight: Some(node.read_weight),
            replica_weights: weights.collect(),
        }
    }

    fn has_fit_weights(&self) -> bool {
        let weights = self.replica_weights.iter().map(|(_, weight)| *weight);
        self.replica_weights.len() <= REPLICAS_MAX
            && weights.chain(self.read_weight).all(|weight| i64::from(weight) <= WEIGHT_MAX)
    }

    /// Gives these weights to the data node that takes the place: to its replicas of the same ids,
    /// else in order.
    pub fn put_weights(&self, node: &mut DataNodeRecord) {
        let Some(primary) = self.read_weight else { return };
        node.read_weight = primary;
        for (at, replica) in node.replicas.iter_mut().enumerate() {
            let own = self.replica_weights.iter().find(|(id, _)| *id == replica.id);
            if let Some((_, weight)) = own.or_else(|| self.replica_weights.get(at)) {
                replica.read_weight = *weight;
            }
        }
        mend_weights(node);
    }
}

impl DocumentSchema {
    fn as_schema(&self) -> Schema {
        let by_name = |one: &DocumentTable| (one.table.name.to_lowercase(), one.table.clone());
        Schema {
            name: self.name.clone(),
            mode: self.mode,
            ready: true,
            character_set: self.character_set.clone(),
            collation: self.collation.clone(),
            shards: self.shards.clone(),
            tables: self.tables.iter().map(by_name).collect(),
            recycled: BTreeMap::new(),
        }
    }

    /// How many physical tables it has, if nothing is wrong with it.
    fn check(&self) -> Result<u64, ApiError> {
        let most = control_api::schema::DATA_NODES_MAX
            * usize::try_from(control_api::schema::SHARDS_PER_DATA_NODE_MAX).unwrap_or(1);
        require(self.shards.len() <= most, "has a schema with too many shards")?;
        require(self.tables.len() <= TABLES_MAX, "has a schema with too many tables")?;
        let word = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)
        };
        require(
            word(&self.character_set) && word(&self.collation),
            "has a schema whose character set or collation is no name",
        )?;
        super::sequences::check(&self.sequences).map_err(wrong)?;
        let schema = self.as_schema();
        require(schema.tables.len() == self.tables.len(), "names a table twice")?;
        let mut physical: u64 = 0;
        for one in &self.tables {
            require(!one.table.name.is_empty(), "has a table without a name")?;
            topology::rule::check_table(&schema, &one.table)
                .map_err(|error| wrong(&error.to_string()))?;
            if let Some(create) = &one.create {
                create_text::definition(create).map_err(|problem| wrong(&problem))?;
            }
            physical = physical.saturating_add(physical_tables(&one.table, self.shards.len()));
        }
        Ok(physical)
    }
}

/// How many physical tables a table has in a schema of so many shards.
fn physical_tables(table: &Table, shards: usize) -> u64 {
    let shards = u64::try_from(shards).unwrap_or(u64::MAX);
    match &table.placement {
        Placement::Single => 1,
        Placement::Broadcast => shards,
        Placement::Sharded(rule) => shards.saturating_mul(u64::from(rule.tables_per_shard.max(1))),
    }
}

fn decompress(text: &str) -> Result<Vec<u8>, ApiError> {
    require(text.len() <= COMPRESSED_BYTES_MAX, "is too long")?;
    let bytes = STANDARD.decode(text.trim()).map_err(|_| wrong("is not base64"))?;
    let mut decoder = GzDecoder::new(bytes.as_slice());
    let mut json = Vec::new();
    let most = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
    (&mut decoder).take(most + 1).read_to_end(&mut json).map_err(|_| wrong("is not gzip"))?;
    require(json.len() <= DOCUMENT_BYTES_MAX, "is too long when it is unpacked")?;
    require(decoder.into_inner().is_empty(), "has something after its end")?;
    Ok(json)
}

fn require(holds: bool, english: &str) -> Result<(), ApiError> {
    if holds { Ok(()) } else { Err(wrong(english)) }
}

fn wrong(problem: &str) -> ApiError {
    ApiError::new(PARAMETER_ERROR).field(FIELD).because(problem, format!("内容不合法（{problem}）"))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use topology::model::{Algorithm, Column, KeyRule, ShardingRule, physical_database};

    /// A schema `shop` of 4 shards on two data nodes, with a table of each placement.
    pub(crate) fn document() -> Document {
        let nodes = [1, 2].map(|number| DataNodeId::from_random([number; 16]));
        let shards = (0..4_u32).map(|index| Shard {
            index,
            database: physical_database("shop", index),
            data_node: nodes[(index / 2) as usize].clone(),
        });
        let table = |name: &str, placement| DocumentTable {
            table: Table {
                name: name.to_owned(),
                placement,
                columns: vec![Column::plain("id", "bigint(20)")],
                primary_key: vec!["id".to_owned()],
                unique_keys: vec![],
                sequence_column: None,
                definition_version: 1,
                view: None,
                physical_base: None,
                frozen: false,
                recycled: None,
            },
            create: Some(format!("CREATE TABLE `{name}` (`id` bigint(20) NOT NULL)")),
            next_value: None,
        };
        let key = KeyRule { column: "id".to_owned(), algorithm: Algorithm::ModHash };
        let rule = ShardingRule { database: key, table: None, tables_per_shard: 1 };
        let schema = DocumentSchema {
            name: "shop".to_owned(),
            mode: ShardMode::Cluster,
            character_set: "utf8mb4".to_owned(),
            collation: "utf8mb4_unicode_ci".to_owned(),
            created_ms: 5,
            shards: shards.collect(),
            tables: vec![
                table("b", Placement::Broadcast),
                table("S", Placement::Single),
                table("t", Placement::Sharded(rule)),
            ],
            sequences: Vec::new(),
            accounts: BTreeSet::from(["alice".to_owned()]),
        };
        let node = |id: &DataNodeId| DocumentDataNode {
            id: id.clone(),
            name: "dn".to_owned(),
            engine_version: "10.11.6".to_owned(),
            read_weight: Some(20),
            replica_weights: vec![(DataNodeId::from_random([8; 16]), 80)],
        };
        Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            instance_id: InstanceId::from_random([9; 16]),
            instance_name: "ddm-1".to_owned(),
            taken_ms: 7,
            data_nodes: nodes.iter().map(node).collect(),
            schemas: vec![schema],
        }
    }

    #[test]
    fn a_document_comes_back_as_it_went() {
        let text = document().compress().unwrap();
        assert!(text.starts_with("H4sIAAAAAAAA"), "{text}");
        let bytes = STANDARD.decode(&text).unwrap();
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Document::parse(&text).unwrap(), document());
        assert_eq!(document().compress().unwrap(), text, "the same state gives the same text");
    }

    fn gzip(bytes: &[u8]) -> String {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        STANDARD.encode(gzip.finish().unwrap())
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let mut trailing = STANDARD.decode(document().compress().unwrap()).unwrap();
        trailing.extend_from_slice(b"more");
        let mut broken = trailing.clone();
        broken[20] ^= 0xff;
        for (text, code) in [
            ("%%%".to_owned(), "DBS.280001"),
            (STANDARD.encode("plain"), "DBS.280001"),
            (STANDARD.encode(&trailing), "DBS.280001"),
            (STANDARD.encode(&broken), "DBS.280001"),
            (gzip(&vec![b' '; DOCUMENT_BYTES_MAX + 1]), "DBS.280001"),
            (gzip(b"{"), "DBS.300330"),
            (gzip(b"[1]"), "DBS.300330"),
            (gzip(b"{\"format\": 1}"), "DBS.300330"),
        ] {
            let error = Document::parse(&text).unwrap_err();
            assert_eq!((error.code.code, error.status), (code, 400));
            assert_eq!(error.field.as_deref(), Some(FIELD));
        }
    }

    #[test]
    fn contradictions_are_refused() {
        type Break = fn(&mut Document);
        let breaks: [(Break, &str); 22] = [
            (|d| d.format = "other".to_owned(), "DBS.280001"),
            (|d| d.version = VERSION + 1, "DBS.280001"),
            (|d| d.data_nodes.truncate(1), "DBS.280001"),
            (|d| d.data_nodes[1].id = d.data_nodes[0].id.clone(), "DBS.280001"),
            (|d| d.schemas.clear(), "DBS.280001"),
            (|d| d.schemas.push(d.schemas[0].clone()), "DBS.280001"),
            (|d| d.schemas[0].name = "Shop".to_owned(), "DBS.300407"),
            (|d| d.schemas[0].name = "s".to_owned(), "DBS.300405"),
            (|d| d.schemas[0].name = "mysql_1".to_owned(), "DBS.300406"),
            (|d| d.schemas[0].name = "a`b".to_owned(), "DBS.300109"),
            (|d| d.schemas[0].shards[2].index = 7, "DBS.280001"),
            (|d| d.schemas[0].shards[2].database = "mysql".to_owned(), "DBS.280001"),
            (|d| d.schemas[0].mode = ShardMode::Single, "DBS.280001"),
            (|d| d.schemas[0].collation = "x; DROP".to_owned(), "DBS.280001"),
            (|d| d.schemas[0].tables[0].table.name = "T".to_owned(), "DBS.280001"),
            (|d| d.schemas[0].tables[0].table.name = "_ddm_sequence".to_owned(), "DBS.280001"),
            (|d| d.schemas[0].tables[0].table.name = String::new(), "DBS.280001"),
            (|d| d.schemas[0].tables[2].table.columns.clear(), "DBS.280001"),
            (
                |d| d.schemas[0].tables[2].table.columns[0] = Column::plain("id", "double"),
                "DBS.280001",
            ),
            (|d| d.schemas[0].tables[1].table.primary_key = vec!["x".to_owned()], "DBS.280001"),
            (|d| d.schemas[0].tables[1].create = Some("DROP TABLE x".to_owned()), "DBS.280001"),
            (
                |d| {
                    if let Placement::Sharded(rule) = &mut d.schemas[0].tables[2].table.placement {
                        rule.tables_per_shard = u32::MAX;
                    }
                },
                "DBS.280001",
            ),
        ];
        for (index, (break_it, code)) in breaks.iter().enumerate() {
            let mut broken = document();
            break_it(&mut broken);
            let error = Document::parse(&broken.compress().unwrap()).unwrap_err();
            assert_eq!((error.code.code, error.status), (*code, 400), "{index}");
        }
    }

    #[test]
    fn bounds_hold() {
        let mut many = document();
        many.schemas[0].tables = (0..=TABLES_MAX)
            .map(|number| DocumentTable {
                table: Table {
                    name: format!("t{number}"),
                    ..document().schemas[0].tables[1].table.clone()
                },
                create: None,
                next_value: None,
            })
            .collect();
        assert!(Document::parse(&many.compress().unwrap()).is_err());
        many.schemas[0].tables.pop();
        assert!(Document::parse(&many.compress().unwrap()).is_ok());
    }
}

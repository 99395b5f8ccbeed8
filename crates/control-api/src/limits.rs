//! The limits of the fields of requests, as data: lengths, patterns, ranges and values that the
//! OpenAPI document states. The checks themselves are beside the types, since each answers with its
//! own code; `tests/api` asks the running system that both say the same.

use crate::access_list::{ENTRIES_MAX, LIST_NAME_CHARS_MAX};
use crate::account::{ACCOUNTS_MAX, AUTHORITIES, DESCRIPTION_LENGTH_MAX};
use crate::configuration::APPLY_INSTANCES_MAX;
use crate::data_node::{CONNECTIONS_MAX, HOST_BYTES_MAX, REPLICAS_MAX, TEXT_BYTES_MAX};
use crate::group::GROUP_NAME_CHARS_MAX;
use crate::instance::{NODES_MAX, TIME_ZONES};
use crate::read_weight::WEIGHT_MAX;
use crate::schema::{DATA_NODES_MAX, SHARDS_PER_DATA_NODE_MAX};
use crate::security_group::DESCRIPTION_CHARS_MAX;
use serde_json::{Map, Value, json};

/// What a field may hold beyond its type.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// A text: shortest, longest (characters), pattern.
    Text(usize, Option<usize>, Option<&'static str>),
    /// An integer of this range.
    Range(i64, i64),
    /// So many entries: fewest, most.
    Entries(usize, Option<usize>),
    /// A map, or a list of maps, at least one, of integers of this range.
    Ranges(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// At least one entry, each one of these texts.
    SomeOf(&'static [&'static str]),
}

use Limit::{Entries, OneOf, Range, Ranges, SomeOf, Text};

/// A type and what limits its fields.
type TypeLimits = (&'static str, &'static [(&'static str, Limit)]);

const GIVEN: Limit = Text(1, None, None);
const FLAG: Limit = OneOf(&["true", "false"]);
const INSTANCE_NAME: Limit = Text(4, Some(64), Some("^[A-Za-z][A-Za-z0-9-]*$"));
const INSTANCE_NAME_V3: Limit = Text(4, Some(64), Some("^[A-Za-z][A-Za-z0-9_-]*$"));
const SCHEMA_NAME: Limit = Text(2, Some(48), Some("^[a-z][a-z0-9_]*$"));
const ACCOUNT_NAME: Limit = Text(1, Some(32), Some("^[A-Za-z][A-Za-z0-9_]*$"));
const PASSWORD: Limit = Text(8, Some(32), Some("^[A-Za-z0-9~!@#%^*_+?-]+$"));
const DESCRIPTION: Limit = Text(0, Some(DESCRIPTION_LENGTH_MAX), None);
const NODE_COUNT: Limit = Range(1, NODES_MAX);
const SHARD_COUNT: Limit = Range(1, SHARDS_PER_DATA_NODE_MAX * DATA_NODES_MAX as i64);
const DATA_NODES: Limit = Entries(1, Some(DATA_NODES_MAX));
const DATA_NODE_ID: Limit = Text(36, Some(36), Some("^[0-9a-f]{32}in01$"));
const SHARD_MODE: Limit = OneOf(&["cluster", "single"]);
const TEXT: Limit = Text(1, Some(TEXT_BYTES_MAX), None);
const HOST: Limit = Text(1, Some(HOST_BYTES_MAX), Some("^[A-Za-z0-9._:-]+$"));
const PORT: Limit = Range(1, 65_535);
const TEMPLATE_NAME: Limit = Text(1, Some(64), Some("^[A-Za-z0-9._-]+$"));
const TEMPLATE_TEXT: Limit = Text(0, Some(256), Some("^[^>!<\"&'=\\r\\n]*$"));
const GROUP_NAME: Limit = Text(1, Some(GROUP_NAME_CHARS_MAX), Some("^[A-Za-z][A-Za-z0-9_-]*$"));
const NODES: Limit = Entries(1, Some(NODES_MAX as usize));
const PERIOD_NUMBER: Limit = Range(1, 9);
const PERIOD_TYPE: Limit = OneOf(&["month", "year"]);
const CHARGE_MODE: Limit = OneOf(&["prePaid", "postPaid"]);

/// Every limit, by the type's name and the field's.
pub const LIMITS: &[TypeLimits] = &[
    (
        "CreateInstanceDetail",
        &[
            ("name", INSTANCE_NAME),
            ("flavor_id", GIVEN),
            ("node_num", NODE_COUNT),
            ("engine_id", GIVEN),
            ("available_zones", Entries(1, None)),
            ("vpc_id", GIVEN),
            ("security_group_id", GIVEN),
            ("subnet_id", GIVEN),
            ("time_zone", OneOf(&TIME_ZONES)),
            ("admin_username", ACCOUNT_NAME),
            ("admin_password", PASSWORD),
            ("admin_user_name", ACCOUNT_NAME),
            ("admin_user_password", PASSWORD),
        ],
    ),
    (
        "CreateInstanceExtendParam",
        &[
            ("charge_mode", CHARGE_MODE),
            ("period_type", PERIOD_TYPE),
            ("period_num", PERIOD_NUMBER),
            ("is_auto_renew", FLAG),
            ("is_auto_pay", FLAG),
        ],
    ),
    (
        "CreateInstanceV3Request",
        &[
            ("name", INSTANCE_NAME_V3),
            ("available_zones", Entries(1, None)),
            ("node_num", NODE_COUNT),
            ("flavor_ref", GIVEN),
            ("vpc_id", GIVEN),
            ("subnet_id", GIVEN),
            ("time_zone", OneOf(&TIME_ZONES)),
            ("admin_user_name", ACCOUNT_NAME),
            ("admin_user_password", PASSWORD),
        ],
    ),
    (
        "ChargeInfo",
        &[
            ("charge_mode", CHARGE_MODE),
            ("period_type", PERIOD_TYPE),
            ("period_num", PERIOD_NUMBER),
        ],
    ),
    ("RenameInstanceRequest", &[("name", INSTANCE_NAME)]),
    ("RestartInstanceInfo", &[("type", OneOf(&["soft", "hard"]))]),
    ("CreateDatabasesRequest", &[("databases", Entries(1, None))]),
    (
        "CreateDatabase",
        &[
            ("name", SCHEMA_NAME),
            ("shard_mode", SHARD_MODE),
            ("shard_number", SHARD_COUNT),
            ("shard_unit", Range(1, SHARDS_PER_DATA_NODE_MAX)),
            ("used_rds", DATA_NODES),
        ],
    ),
    ("UsedDataNode", &[("id", DATA_NODE_ID)]),
    (
        "CreateDatabaseV3Request",
        &[
            ("name", SCHEMA_NAME),
            ("shard_mode", SHARD_MODE),
            ("shard_number", SHARD_COUNT),
            ("dn_instances", DATA_NODES),
        ],
    ),
    ("DnInstance", &[("id", DATA_NODE_ID)]),
    ("CreateUsersRequest", &[("users", Entries(1, Some(ACCOUNTS_MAX)))]),
    (
        "CreateUser",
        &[
            ("name", ACCOUNT_NAME),
            ("password", PASSWORD),
            ("base_authority", SomeOf(&AUTHORITIES)),
            ("description", DESCRIPTION),
        ],
    ),
    ("UserDatabase", &[("name", GIVEN)]),
    ("UpdateUser", &[("base_authority", SomeOf(&AUTHORITIES)), ("description", DESCRIPTION)]),
    ("ResetPasswordRequest", &[("password", PASSWORD)]),
    (
        "CreateDataNodeRequest",
        &[
            ("name", TEXT),
            ("host", HOST),
            ("port", PORT),
            ("admin_user", TEXT),
            ("admin_password", TEXT),
            ("replicas", Entries(0, Some(REPLICAS_MAX))),
        ],
    ),
    ("ReplicaRequest", &[("host", HOST), ("port", PORT)]),
    (
        "UpdateDataNodeRequest",
        &[
            ("host", HOST),
            ("port", PORT),
            ("admin_user", TEXT),
            ("admin_password", TEXT),
            ("replicas", Entries(0, Some(REPLICAS_MAX))),
        ],
    ),
    ("UpdateReplicaRequest", &[("id", DATA_NODE_ID), ("host", HOST), ("port", PORT)]),
    ("CheckConnectionsRequest", &[("infos", Entries(1, Some(CONNECTIONS_MAX)))]),
    (
        "CheckConnection",
        &[("endpoint", GIVEN), ("username", TEXT), ("password", TEXT), ("rds_instance_id", GIVEN)],
    ),
    ("ReadWriteStrategyRequest", &[("read_weight", Ranges(0, WEIGHT_MAX))]),
    ("BatchReadWriteStrategyRequest", &[("read_weight_list", Ranges(0, WEIGHT_MAX))]),
    ("CreateConfigurationRequest", &[("name", TEMPLATE_NAME), ("description", TEMPLATE_TEXT)]),
    ("UpdateConfigurationRequest", &[("name", TEMPLATE_NAME), ("description", TEMPLATE_TEXT)]),
    ("CopyConfigurationRequest", &[("new_name", TEMPLATE_NAME), ("description", TEMPLATE_TEXT)]),
    ("DiffConfigurationsRequest", &[("source_id", GIVEN), ("target_id", GIVEN)]),
    ("ApplyConfigurationRequest", &[("instance_ids", Entries(1, Some(APPLY_INSTANCES_MAX)))]),
    ("ImportMetadataRequest", &[("compressed_databases_info", GIVEN), ("dn_instance", DATA_NODES)]),
    ("ImportDataNode", &[("dn_instance_id", DATA_NODE_ID)]),
    ("RestoreTarget", &[("data_nodes", DATA_NODES)]),
    ("AdministratorRequest", &[("name", ACCOUNT_NAME), ("password", PASSWORD)]),
    ("EnlargeRequest", &[("flavor_id", GIVEN), ("node_number", NODE_COUNT)]),
    ("AddNodesRequest", &[("nodes", NODES)]),
    ("EnlargeNodeInfo", &[("available_zone", GIVEN)]),
    ("ReduceRequest", &[("node_number", Range(1, NODES_MAX - 1))]),
    ("RemoveNodesRequest", &[("node_ids", Entries(1, None))]),
    ("ChangeFlavorRequest", &[("spec_code", GIVEN)]),
    (
        "CreateGroupRequest",
        &[("name", GROUP_NAME), ("type", OneOf(&["rw", "r"])), ("nodes", NODES)],
    ),
    ("GroupNodeRequest", &[("available_zone", GIVEN)]),
    (
        "SetAccessListRequest",
        &[
            ("name", Text(0, Some(LIST_NAME_CHARS_MAX), None)),
            ("type", OneOf(&["white", "black"])),
            ("ip_list", Entries(0, Some(ENTRIES_MAX))),
        ],
    ),
    ("AccessEntry", &[("ip", GIVEN), ("description", Text(0, Some(DESCRIPTION_CHARS_MAX), None))]),
];

/// Writes the limits into the schemas of the document.
pub fn apply(schemas: &mut Map<String, Value>) {
    for (name, fields) in LIMITS {
        let schema = schemas.get_mut(*name).expect("the table names types of the document");
        for (field, limit) in *fields {
            let field = schema["properties"].get_mut(*field);
            limit.write(field.expect("the table names fields of the type"));
        }
    }
}

impl Limit {
    fn write(self, field: &mut Value) {
        let nullable = field["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                field[name] = value;
            }
        };
        match self {
            Text(least, most, pattern) => {
                set("minLength", (least > 0).then(|| json!(least)));
                set("maxLength", most.map(|most| json!(most)));
                set("pattern", pattern.map(|pattern| json!(pattern)));
            }
            Range(least, most) => {
                set("minimum", Some(json!(least)));
                set("maximum", Some(json!(most)));
            }
            Entries(least, most) => {
                set("minItems", (least > 0).then(|| json!(least)));
                set("maxItems", most.map(|most| json!(most)));
            }
            Ranges(least, most) => {
                let weights = match field.get_mut("items") {
                    Some(items) => items,
                    None => &mut *field,
                };
                weights["additionalProperties"]["minimum"] = json!(least);
                weights["additionalProperties"]["maximum"] = json!(most);
                if field.get("items").is_some() {
                    field["minItems"] = json!(1);
                }
            }
            OneOf(values) => {
                let values = values.iter().map(|value| json!(value));
                set("enum", Some(values.chain(nullable.then_some(Value::Null)).collect()));
            }
            SomeOf(values) => {
                set("minItems", Some(json!(1)));
                set("items", Some(json!({ "type": "string", "enum": values })));
            }
        }
    }
}

//! Metadata of an instance's schemas: export, import onto other data nodes, restore from a backup.
//! The exported document itself is the application's; here it is only text.

use crate::decode::required;
use crate::schema::{DataNodeLogin, check_data_nodes, spelled};
use base::api_error::{ApiError, DATA_NODE_COUNT_INVALID, DATA_NODES_DUPLICATED};
use base::id::DataNodeId;
use base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Answer of the export call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExportMetadataResponse {
    /// The schemas: base64 of gzip of a document.
    pub compressed_databases_info: String,
    /// The data nodes that hold their shards, in the document's order.
    pub data_nodes: Vec<ExportedDataNode>,
}

/// A data node of the exported schemas.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExportedDataNode {
    /// Its id.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// Where it listens.
    pub access_host: String,
    /// Its port.
    pub access_port: u16,
    /// `mysql`.
    pub engine: String,
    /// The server's version.
    pub engine_version: String,
}

/// Body of the import call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ImportMetadataRequest {
    /// What the export call gave.
    pub compressed_databases_info: String,
    /// The data nodes, in the order of the exported ones.
    pub dn_instance: Vec<ImportDataNode>,
}

/// A data node to import on, with its administrator.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ImportDataNode {
    /// Its id.
    pub dn_instance_id: String,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    #[schema(value_type = String)]
    pub admin_password: Secret,
}

/// An import, well-formed.
#[derive(Clone, Debug)]
pub struct Import {
    /// The document as text.
    pub compressed: String,
    /// The data nodes in order.
    pub data_nodes: Vec<DataNodeLogin>,
}

impl ImportMetadataRequest {
    /// The import, if nothing is wrong with what the request alone decides.
    pub fn check(self) -> Result<Import, ApiError> {
        if self.compressed_databases_info.is_empty() {
            return Err(required("compressed_databases_info"));
        }
        let logins = self
            .dn_instance
            .into_iter()
            .map(|node| (node.dn_instance_id, node.admin_user, node.admin_password));
        let data_nodes = check_data_nodes("dn_instance", logins.collect())
            .map_err(|error| spelled(error, "].id", "].dn_instance_id"))?;
        Ok(Import { compressed: self.compressed_databases_info, data_nodes })
    }
}

/// Answer of the import call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImportMetadataResponse {
    /// The instance.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// The job that imports.
    pub job_id: String,
}

/// Body of the restore call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RestoreMetadataRequest {
    /// From what.
    pub source: RestoreSource,
    /// To where.
    pub target: RestoreTarget,
}

/// From what to restore: exactly one of the two.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RestoreSource {
    /// A UNIX time in milliseconds; some clients send a float.
    pub restore_time: Option<f64>,
    /// A backup.
    pub backup_id: Option<String>,
}

/// To where to restore.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RestoreTarget {
    /// The instance.
    pub instance_id: String,
    /// Data nodes that have the databases.
    pub data_nodes: Vec<String>,
}

/// What is restored.
#[derive(Clone, Debug, PartialEq)]
pub enum RestorePoint {
    /// This backup.
    Backup(String),
    /// The state at this time, UNIX milliseconds.
    Time(i64),
}

/// A restore, well-formed.
#[derive(Clone, Debug)]
pub struct Restore {
    /// What.
    pub point: RestorePoint,
    /// The target instance.
    pub instance_id: String,
    /// The data nodes.
    pub data_nodes: Vec<DataNodeId>,
}

/// Times beyond this are no times.
const TIME_MS_MAX: f64 = 1e15;

impl RestoreMetadataRequest {
    /// The restore, if nothing is wrong with what the request alone decides.
    pub fn check(self) -> Result<Restore, ApiError> {
        let backup = self.source.backup_id.filter(|id| !id.is_empty());
        let point = match (backup, self.source.restore_time) {
            (Some(backup), None) => RestorePoint::Backup(backup),
            (None, Some(time)) if (0.0..TIME_MS_MAX).contains(&time) => {
                RestorePoint::Time(time as i64)
            }
            (None, Some(_)) => {
                return Err(ApiError::parameter(
                    "source.restore_time",
                    "must be a UNIX time in milliseconds",
                    "必须为毫秒时间戳",
                ));
            }
            _ => {
                return Err(ApiError::parameter(
                    "source",
                    "needs exactly one of restore_time and backup_id",
                    "restore_time和backup_id必须且只能指定一个",
                ));
            }
        };
        let count = self.target.data_nodes.len();
        if count == 0 || count > crate::schema::DATA_NODES_MAX {
            return Err(ApiError::new(DATA_NODE_COUNT_INVALID)
                .field("target.data_nodes")
                .because("must name 1 to 256 data nodes", "数据节点个数必须为1~256"));
        }
        let mut seen = BTreeSet::new();
        let mut data_nodes = Vec::with_capacity(count);
        for (index, id) in self.target.data_nodes.into_iter().enumerate() {
            let field = format!("target.data_nodes[{index}]");
            if !seen.insert(id.clone()) {
                return Err(ApiError::new(DATA_NODES_DUPLICATED).field(field));
            }
            let unknown = || ApiError::new(base::api_error::DATA_NODE_MISSING).field(field);
            data_nodes.push(DataNodeId::parse(&id).ok_or_else(unknown)?);
        }
        Ok(Restore { point, instance_id: self.target.instance_id, data_nodes })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::decode::decode;
    use serde_json::{Value, json};

    fn restore(body: Value) -> Result<Restore, ApiError> {
        decode::<RestoreMetadataRequest>(body.to_string().as_bytes())?.check()
    }

    #[test]
    fn a_restore_has_one_source_and_real_data_nodes() {
        let node = format!("{}in01", "a".repeat(32));
        let good = json!({"source": {"restore_time": 1.5e12}, "target": {"instance_id": "i", "data_nodes": [node]}});
        let checked = restore(good.clone()).unwrap();
        assert_eq!(checked.point, RestorePoint::Time(1_500_000_000_000));
        let with = |pointer: &str, value: Value| {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            restore(body)
        };
        let backup = with("/source", json!({"backup_id": "b"})).unwrap();
        assert_eq!(backup.point, RestorePoint::Backup("b".to_owned()));
        for (pointer, value, code, field) in [
            ("/source", json!({}), "DBS.280001", "source"),
            ("/source", json!({"backup_id": "b", "restore_time": 1}), "DBS.280001", "source"),
            ("/source/restore_time", json!(-1), "DBS.280001", "source.restore_time"),
            ("/source/restore_time", json!(1e300), "DBS.280001", "source.restore_time"),
            ("/source/restore_time", json!("x"), "DBS.280001", "source.restore_time"),
            ("/target/instance_id", json!(null), "DBS.280001", "target.instance_id"),
            ("/target/data_nodes", json!([]), "DBS.300102", "target.data_nodes"),
            ("/target/data_nodes", json!([node, node]), "DBS.300108", "target.data_nodes[1]"),
            ("/target/data_nodes", json!(["x"]), "DBS.300103", "target.data_nodes[0]"),
        ] {
            let error = with(pointer, value).unwrap_err();
            assert_eq!((error.code.code, error.field.as_deref()), (code, Some(field)), "{pointer}");
        }
    }

    #[test]
    fn an_import_names_its_own_fields() {
        let import = |nodes: Value| {
            let body = json!({"compressed_databases_info": "H4sI", "dn_instance": nodes});
            decode::<ImportMetadataRequest>(body.to_string().as_bytes()).unwrap().check()
        };
        let node =
            |id: &str| json!({"dn_instance_id": id, "admin_user": "a", "admin_password": "b"});
        let id = format!("{}in01", "a".repeat(32));
        assert_eq!(import(json!([node(&id)])).unwrap().data_nodes.len(), 1);
        for (nodes, code, field) in [
            (json!([]), "DBS.300102", "dn_instance"),
            (json!([node("x")]), "DBS.300103", "dn_instance[0].dn_instance_id"),
            (json!([node(&id), node(&id)]), "DBS.300108", "dn_instance[1].dn_instance_id"),
        ] {
            let error = import(nodes).unwrap_err();
            assert_eq!((error.code.code, error.field.as_deref()), (code, Some(field)));
        }
    }
}

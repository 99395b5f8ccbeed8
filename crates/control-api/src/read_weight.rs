//! Read weights: which share of the reads each server of a data node gets. A request maps ids (of a
//! data node for its primary, of a replica) to weights.

use base::api_error::{ApiError, DATA_NODES_DUPLICATED, READ_WEIGHT_INVALID};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// The greatest weight.
pub const WEIGHT_MAX: i64 = 100;

/// Weights in one request: every data node of an instance with all its replicas.
pub const WEIGHTS_MAX: usize = crate::schema::DATA_NODES_MAX * (1 + crate::data_node::REPLICAS_MAX);

/// Body of the v2 call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ReadWriteStrategyRequest {
    /// Weights from 0 to 100 by the ids of data nodes and replicas.
    #[schema(value_type = BTreeMap<String, i32>)]
    pub read_weight: Weights,
}

/// Answer of the v2 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadWriteStrategyResponse {
    /// Always `true`.
    pub success: bool,
    /// The instance.
    pub instance_id: String,
}

/// Body of the v3 call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct BatchReadWriteStrategyRequest {
    /// Weights from 0 to 100 by ids; each entry is about the servers of one data node.
    #[schema(value_type = Vec<BTreeMap<String, i32>>)]
    pub read_weight_list: Vec<Weights>,
}

/// Answer of the v3 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchReadWriteStrategyResponse {
    /// Always `true`.
    pub success: bool,
    /// The request's id, as in the header `X-Request-Id`.
    pub request_id: String,
    /// What was changed.
    pub data: ReadWriteStrategyData,
}

/// What a change of read weights came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadWriteStrategyData {
    /// The instance.
    pub instance_id: String,
}

/// Ids and weights in the order of the request, also those that are there twice.
#[derive(Clone, Debug, Default)]
pub struct Weights(Vec<(String, i64)>);

impl<'de> Deserialize<'de> for Weights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Weights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of ids to weights")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weights, A::Error> {
                let mut weights = Vec::new();
                while let Some(entry) = map.next_entry::<String, i64>()? {
                    weights.push(entry);
                }
                Ok(Weights(weights))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// Weights to set, well-formed: each id is there once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWeights {
    /// The field that brought them.
    pub field: &'static str,
    /// For each entry of the request the weights by id.
    pub entries: Vec<BTreeMap<String, u32>>,
    /// Each entry is about one data node.
    pub one_data_node_each: bool,
}

impl ReadWriteStrategyRequest {
    /// The weights, if nothing is wrong.
    pub fn check(self) -> Result<NewWeights, ApiError> {
        let field = "read_weight";
        let entries = checked(vec![(field.to_owned(), self.read_weight)])?;
        Ok(NewWeights { field, entries, one_data_node_each: false })
    }
}

impl BatchReadWriteStrategyRequest {
    /// The weights, if nothing is wrong.
    pub fn check(self) -> Result<NewWeights, ApiError> {
        let field = "read_weight_list";
        if self.read_weight_list.is_empty() {
            return Err(empty(field));
        }
        let entries = self.read_weight_list.into_iter().enumerate();
        let entries = entries.map(|(at, weights)| (format!("{field}[{at}]"), weights)).collect();
        Ok(NewWeights { field, entries: checked(entries)?, one_data_node_each: true })
    }
}

fn checked(entries: Vec<(String, Weights)>) -> Result<Vec<BTreeMap<String, u32>>, ApiError> {
    let mut all: Vec<BTreeMap<String, u32>> = Vec::with_capacity(entries.len());
    let mut count = 0;
    for (field, Weights(weights)) in entries {
        if weights.is_empty() {
            return Err(empty(&field));
        }
        count += weights.len();
        if count > WEIGHTS_MAX {
            return Err(ApiError::parameter(field, "has too many entries", "条目过多"));
        }
        let mut entry = BTreeMap::new();
        for (id, weight) in weights {
            let number =
                u32::try_from(weight).ok().filter(|weight| i64::from(*weight) <= WEIGHT_MAX);
            let number = number.ok_or_else(|| {
                ApiError::new(READ_WEIGHT_INVALID)
                    .field(field.as_str())
                    .because("each weight must be from 0 to 100", "权重的取值范围为0~100")
            })?;
            let known = all.iter().any(|other| other.contains_key(&id));
            if known || entry.insert(id, number).is_some() {
                return Err(ApiError::new(DATA_NODES_DUPLICATED).field(field));
            }
        }
        all.push(entry);
    }
    Ok(all)
}

fn empty(field: &str) -> ApiError {
    ApiError::parameter(field, "must name at least one data node", "至少指定一个数据节点")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::decode::decode;
    use serde_json::{Value, json};

    fn v2(body: &str) -> Result<NewWeights, ApiError> {
        decode::<ReadWriteStrategyRequest>(body.as_bytes())?.check()
    }

    fn v3(list: Value) -> Result<NewWeights, ApiError> {
        let body = json!({ "read_weight_list": list }).to_string();
        decode::<BatchReadWriteStrategyRequest>(body.as_bytes())?.check()
    }

    #[test]
    fn weights_are_read_and_what_is_wrong_has_its_code() {
        let weights = v2(r#"{"read_weight": {"b": 0, "a": 100}}"#).unwrap();
        assert_eq!(weights.entries, [BTreeMap::from([("a".to_owned(), 100), ("b".to_owned(), 0)])]);
        let two = v3(json!([{ "a": 1, "b": 2 }, { "c": 3 }])).unwrap();
        assert_eq!(two.entries.len(), 2);
        let wrong = |result: Result<NewWeights, ApiError>| {
            let error = result.unwrap_err();
            (error.code.code, error.field.unwrap_or_default())
        };
        let told = |code, field: &str| (code, field.to_owned());
        for weight in ["-1", "101", "9999999999"] {
            let body = format!(r#"{{"read_weight": {{"a": {weight}}}}}"#);
            assert_eq!(wrong(v2(&body)), told("DBS.300315", "read_weight"));
        }
        assert_eq!(
            wrong(v2(r#"{"read_weight": {"a": 1, "a": 2}}"#)),
            told("DBS.300108", "read_weight")
        );
        assert_eq!(wrong(v2(r#"{"read_weight": {}}"#)), told("DBS.280001", "read_weight"));
        assert_eq!(wrong(v2("{}")), told("DBS.280001", "read_weight"));
        assert_eq!(
            wrong(v2(r#"{"read_weight": {"a": "1"}}"#)),
            told("DBS.280001", "read_weight.a")
        );
        assert_eq!(
            wrong(v3(json!([{ "a": 1 }, { "a": 1 }]))),
            told("DBS.300108", "read_weight_list[1]")
        );
        assert_eq!(wrong(v3(json!([{}]))), told("DBS.280001", "read_weight_list[0]"));
        assert_eq!(wrong(v3(json!([]))), told("DBS.280001", "read_weight_list"));
        assert_eq!(wrong(v3(json!([{ "a": 101 }]))), told("DBS.300315", "read_weight_list[0]"));
    }
}

//! The documented limits of parameter and template requests, each with the answer's code and field.

#![allow(clippy::unwrap_used)]

use base::api_error::ApiError;
use control_api::configuration::{
    ApplyConfigurationRequest, CopyConfigurationRequest, CreateConfigurationRequest,
    DiffConfigurationsRequest, UpdateConfigurationRequest, UpdateParametersRequest,
};
use control_api::decode::decode;
use serde_json::{Value, json};

/// The field that is named, or nothing when the body is taken.
fn field<T, C>(body: &Value, check: impl Fn(T) -> Result<C, ApiError>) -> Option<String>
where
    T: serde::de::DeserializeOwned,
{
    let error = decode::<T>(body.to_string().as_bytes()).and_then(check).err()?;
    assert_eq!((error.code.code, error.status), ("DBS.280001", 400), "{body}");
    Some(error.field.unwrap_or_default())
}

#[test]
fn names_and_descriptions_have_limits() {
    let create = |body: Value| field(&body, CreateConfigurationRequest::check);
    for name in ["a", "A.b_c-9", &"x".repeat(64)] {
        assert_eq!(create(json!({ "name": name })), None, "{name}");
    }
    for name in ["", " ", "a b", "ä", "a/b", &"x".repeat(65)] {
        assert_eq!(create(json!({ "name": name })).as_deref(), Some("name"), "{name}");
    }
    for text in ["", "描述", &"描".repeat(256)] {
        assert_eq!(create(json!({"name": "a", "description": text})), None, "{text}");
    }
    for text in ["a>", "a!", "<", "\"", "&", "'", "=", "a\rb", "a\nb", &"x".repeat(257)] {
        let wrong = create(json!({"name": "a", "description": text}));
        assert_eq!(wrong.as_deref(), Some("description"), "{text}");
    }
    let copy = |body: Value| field(&body, CopyConfigurationRequest::check);
    assert_eq!(copy(json!({"new_name": "a"})), None);
    assert_eq!(copy(json!({"new_name": "a b"})).as_deref(), Some("new_name"));
    assert!(copy(json!({"name": "a"})).is_some());
}

#[test]
fn a_change_changes_something() {
    let set = |body: Value| field(&body, |one: UpdateParametersRequest| one.check(false));
    assert_eq!(set(json!({"values": {"a": "1", "": "2"}})), None);
    for values in [json!({}), json!({"": "1"})] {
        assert_eq!(set(json!({ "values": values })).as_deref(), Some("values"));
    }
    assert!(set(json!({"values": {"a": 1}})).is_some(), "values are strings");
    assert!(set(json!({})).is_some());
    assert!(set(json!({"values": null})).is_some());
    let many: serde_json::Map<String, Value> =
        (0..101).map(|n| (format!("p{n}"), json!("1"))).collect();
    assert_eq!(set(json!({ "values": many })).as_deref(), Some("values"));
    let group = |body: Value| field(&body, |one: UpdateParametersRequest| one.check(true));
    assert_eq!(group(json!({"values": {"a": "1"}, "name": "a b"})).as_deref(), Some("name"));
    let update = |body: Value| field(&body, UpdateConfigurationRequest::check);
    assert_eq!(update(json!({"values": {}})).as_deref(), Some("values"));
    assert_eq!(update(json!({"values": {}, "description": ""})), None);
    assert_eq!(update(json!({"values": {"a": "1"}})), None);
}

#[test]
fn what_is_compared_and_applied_is_named() {
    let diff = |body: Value| field(&body, DiffConfigurationsRequest::check);
    assert_eq!(diff(json!({"source_id": "a", "target_id": "b"})), None);
    assert_eq!(diff(json!({"source_id": "", "target_id": "b"})).as_deref(), Some("source_id"));
    assert_eq!(diff(json!({"source_id": "a"})).as_deref(), Some("target_id"));
    let apply =
        |ids: Value| field(&json!({ "instance_ids": ids }), ApplyConfigurationRequest::check);
    assert_eq!(apply(json!(["a", "b"])), None);
    let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
    for wrong in [json!([]), json!(["a", "a"]), json!(many)] {
        assert_eq!(apply(wrong).as_deref(), Some("instance_ids"));
    }
}

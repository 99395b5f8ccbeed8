//! The OpenAPI document, made from the route table and the types' own schemas.

use crate::query::MILLISECONDS_END;
use crate::routes::{Body, Parameter, Route, routes};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use utoipa::openapi::{RefOr, Schema};

/// The version of the document, and of the API as we serve it.
pub const API_VERSION: &str = "1";

/// The document.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    let mut schemas = Vec::new();
    for route in routes() {
        for body in [route.request, route.response].into_iter().flatten() {
            (body.collect)(&mut schemas);
        }
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.to_ascii_lowercase()] = operation(route);
    }
    let mut schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).expect("a schema is plain data")))
        .chain([
            ("ErrorV1".to_owned(), error_schema(crate::error_body::ErrorForm::Legacy)),
            ("ErrorV3".to_owned(), error_schema(crate::error_body::ErrorForm::V3)),
        ])
        .collect();
    crate::limits::apply(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Distributed Database Middleware",
            "version": API_VERSION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token" },
                "signature": { "type": "apiKey", "in": "header", "name": "Authorization" },
            },
        },
        "security": [{ "token": [] }, { "signature": [] }],
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route.path_parameters().map(path_parameter).collect();
    parameters.extend(route.query.iter().map(query_parameter));
    parameters.push(json!({
        "name": "X-Language", "in": "header", "required": false,
        "schema": { "type": "string", "enum": ["zh-cn", "en-us"], "default": "zh-cn" },
    }));
    let mut responses = Map::new();
    responses.insert(route.status.to_string(), success(route));
    let statuses: BTreeSet<u16> = route.failures().map(|(status, _)| status).collect();
    for status in statuses {
        responses.insert(status.to_string(), failure(route, status));
    }
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = route.request {
        operation["requestBody"] =
            json!({ "required": !route.request_optional, "content": content(body.name) });
    }
    operation
}

fn success(route: &Route) -> Value {
    match route.response {
        Some(body) => json!({ "description": "Done.", "content": content(body.name) }),
        None => json!({ "description": "Done." }),
    }
}

fn failure(route: &Route, status: u16) -> Value {
    let codes: BTreeSet<String> = route
        .failures()
        .filter(|(of, _)| *of == status)
        .map(|(_, code)| format!("{} {}", code.code, code.english))
        .collect();
    let text = codes.into_iter().collect::<Vec<String>>().join("\n");
    let form = if route.is_legacy() { "ErrorV1" } else { "ErrorV3" };
    json!({ "description": text, "content": content(form) })
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn query_parameter(parameter: &Parameter) -> Value {
    let schema = match *parameter {
        Parameter::Offset => json!({ "type": "integer", "minimum": 0, "default": 0 }),
        Parameter::Limit(default) => {
            json!({ "type": "integer", "minimum": 1, "maximum": 128, "default": default })
        }
        Parameter::Flag(_) => json!({ "type": "string", "enum": ["true", "false"] }),
        Parameter::Text { required: true, .. } => json!({ "type": "string", "minLength": 1 }),
        Parameter::Text { .. } => json!({ "type": "string" }),
        Parameter::Milliseconds(_) | Parameter::MillisecondsNeeded(_) => {
            json!({ "type": "number", "minimum": 0, "exclusiveMaximum": MILLISECONDS_END })
        }
        Parameter::Counted { max, .. } => {
            json!({ "type": "integer", "minimum": 1, "maximum": max })
        }
        Parameter::LimitUpTo { default, max } => {
            json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default })
        }
        Parameter::OneOf { values, .. } => json!({ "type": "string", "enum": values }),
    };
    json!({ "name": parameter.name(), "in": "query", "required": parameter.required(), "schema": schema })
}

fn error_schema(form: crate::error_body::ErrorForm) -> Value {
    let (code, message) = form.fields();
    json!({
        "type": "object",
        "required": [code, message],
        "properties": { code: { "type": "string" }, message: { "type": "string" } },
    })
}

/// The schema of `T` and of everything in it.
pub(crate) fn collect<T: utoipa::ToSchema>(into: &mut Vec<(String, RefOr<Schema>)>) {
    into.push((T::name().into_owned(), T::schema()));
    T::schemas(into);
}

/// A body of type `T` with the name `name` (which `collect` gives it).
#[macro_export]
#[doc(hidden)]
macro_rules! body {
    ($type:ty, $name:literal) => {
        Some($crate::routes::Body { name: $name, collect: $crate::openapi::collect::<$type> })
    };
}

/// That `body.name` is what its type is called; for the tests.
pub fn name_matches(body: Body) -> bool {
    let mut schemas = Vec::new();
    (body.collect)(&mut schemas);
    schemas.first().is_some_and(|(name, _)| name == body.name)
}

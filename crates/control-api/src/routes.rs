//! The routes as data: what the server mounts, what OpenAPI says and what the tests walk are this
//! one table.

mod account;
mod administrator;
mod backup;
mod catalogue;
mod configuration;
mod data_node;
mod group;
mod instance;
mod job;
mod metadata;
mod node;
mod order;
mod schema;
mod security_group;
mod slow_log;

use crate::paging::{INSTANCES_LIMIT_DEFAULT, LIMIT_DEFAULT};
use base::api_error::*;
use utoipa::openapi::{RefOr, Schema};

/// What collects the schemas of a type.
pub type Collect = fn(&mut Vec<(String, RefOr<Schema>)>);

/// The type of a request or response body.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Its name in the document.
    pub name: &'static str,
    /// Its schema and all that it uses.
    pub collect: Collect,
}

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub enum Parameter {
    /// Rows to leave out.
    Offset,
    /// The most rows, and how many when it is not given.
    Limit(u64),
    /// `true` or `false`.
    Flag(&'static str),
    /// Any text.
    Text {
        /// Its name.
        name: &'static str,
        /// It must be given.
        required: bool,
    },
    /// A UNIX time.
    Milliseconds(&'static str),
    /// A UNIX time that must be given.
    MillisecondsNeeded(&'static str),
    /// A whole number from 1 on that must be given.
    Counted {
        /// Its name.
        name: &'static str,
        /// The greatest value.
        max: u64,
    },
    /// The most rows where the bound is another than that of the other lists.
    LimitUpTo {
        /// How many when it is not given.
        default: u64,
        /// The greatest value.
        max: u64,
    },
    /// One of these.
    OneOf {
        /// Its name.
        name: &'static str,
        /// The values.
        values: &'static [&'static str],
    },
}

impl Parameter {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Parameter::Offset => "offset",
            Parameter::Limit(_) | Parameter::LimitUpTo { .. } => "limit",
            Parameter::Flag(name)
            | Parameter::Milliseconds(name)
            | Parameter::MillisecondsNeeded(name)
            | Parameter::Counted { name, .. }
            | Parameter::OneOf { name, .. }
            | Parameter::Text { name, .. } => name,
        }
    }

    /// Whether it must be given.
    pub fn required(&self) -> bool {
        matches!(
            self,
            Parameter::Text { required: true, .. }
                | Parameter::MillisecondsNeeded(_)
                | Parameter::Counted { .. }
        )
    }
}

/// One call of the API.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// GET, POST, PUT or DELETE.
    pub method: &'static str,
    /// With `{name}` for what varies.
    pub path: &'static str,
    /// Unique; the name of the function that serves it.
    pub operation: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// The noun.
    pub tag: &'static str,
    /// Query parameters.
    pub query: &'static [Parameter],
    /// The request's body.
    pub request: Option<Body>,
    /// The body may be left out.
    pub request_optional: bool,
    /// The answer's body.
    pub response: Option<Body>,
    /// The HTTP status of success.
    pub status: u16,
    /// Errors of this call beyond those of every call.
    pub errors: &'static [&'static ApiCode],
}

/// Errors that every call may answer.
pub const COMMON_ERRORS: &[&ApiCode] = &[
    PARAMETER_ERROR,
    UNAUTHORIZED,
    INSUFFICIENT_PERMISSIONS,
    TOO_MANY_REQUESTS,
    SERVER_FAILURE,
    UNAVAILABLE,
];

/// Objects that have a code of their own for not being there. Named by the path, they are answered
/// with 404; named by a body, with the code's own status.
const PATH_OBJECTS: &[(&[&str], &ApiCode)] = &[
    (&["ddm_dbname", "database_name", "db_name"], SCHEMA_MISSING),
    (&["username"], ACCOUNT_MISSING),
    (&["job_id"], TASK_MISSING),
    (&["config_id"], PARAMETER_TEMPLATE_INVALID),
];

impl Route {
    /// The names in braces, in order.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Whether errors have the v1 spelling.
    pub fn is_legacy(&self) -> bool {
        crate::error_body::ErrorForm::of_path(self.path) == crate::error_body::ErrorForm::Legacy
    }

    /// All errors that it may answer.
    pub fn error_codes(&self) -> impl Iterator<Item = &'static ApiCode> {
        COMMON_ERRORS.iter().chain(self.errors).copied()
    }

    /// The errors with the HTTP status that each has in this call.
    pub fn failures(&self) -> impl Iterator<Item = (u16, &'static ApiCode)> {
        let names_object = self.path_parameters().count() > 1;
        let takes_body = self.request.is_some();
        self.error_codes()
            .map(|code| (self.status_of(code), code))
            .chain(names_object.then_some((404, NOT_FOUND)))
            .chain(self.path_objects().map(|missing| (404, missing)))
            .chain(
                [(413, QUOTA_EXCEEDED), (415, UNSUPPORTED_MEDIA_TYPE)]
                    .into_iter()
                    .filter(move |_| takes_body),
            )
    }

    /// The codes for objects that the path names and that are not there.
    fn path_objects(&self) -> impl Iterator<Item = &'static ApiCode> {
        PATH_OBJECTS.iter().filter_map(|(names, missing)| {
            self.path_parameters().any(|name| names.contains(&name)).then_some(*missing)
        })
    }

    fn status_of(&self, code: &ApiCode) -> u16 {
        if self.path_objects().any(|missing| missing.code == code.code) { 404 } else { code.status }
    }
}

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const DELETE: &str = "DELETE";
const PAGE: &[Parameter] = &[Parameter::Offset, Parameter::Limit(LIMIT_DEFAULT)];
const INSTANCES_PAGE: &[Parameter] =
    &[Parameter::Offset, Parameter::Limit(INSTANCES_LIMIT_DEFAULT)];

/// A call without bodies and with status 200; the others say what differs.
const BASE: Route = Route {
    method: GET,
    path: "",
    operation: "",
    summary: "",
    tag: "",
    query: &[],
    request: None,
    request_optional: false,
    response: None,
    status: 200,
    errors: &[],
};

/// The calls that are served, a table for each noun.
const TABLES: &[&[Route]] = &[
    account::ROUTES,
    administrator::ROUTES,
    backup::ROUTES,
    catalogue::ROUTES,
    configuration::ROUTES,
    data_node::ROUTES,
    group::ROUTES,
    instance::ROUTES,
    job::ROUTES,
    metadata::ROUTES,
    node::ROUTES,
    order::ROUTES,
    schema::ROUTES,
    security_group::ROUTES,
    slow_log::ROUTES,
];

/// Every call that is served.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn operations_and_paths_are_unique_and_bodies_are_named_as_their_types() {
        let operations: BTreeSet<&str> = routes().map(|route| route.operation).collect();
        assert_eq!(operations.len(), routes().count());
        let paths: BTreeSet<(&str, &str)> =
            routes().map(|route| (route.method, route.path)).collect();
        assert_eq!(paths.len(), routes().count());
        for route in routes() {
            for body in [route.request, route.response].into_iter().flatten() {
                assert!(crate::openapi::name_matches(body), "{}", body.name);
            }
            assert!(route.path.contains("{project_id}"), "{}", route.path);
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_dangling_reference() {
        let document = crate::openapi();
        for route in routes() {
            let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.operation);
            assert!(operation["responses"][route.status.to_string()].is_object());
            assert!(operation["responses"]["401"].is_object());
        }
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap_or_default();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}

//! The REST API declared: routes, request and response types, what is checked about them and with
//! which code a wrong one is answered, and the OpenAPI document. It is pure: it must not know how a
//! call is carried out, kept or transported.

pub mod access_list;
pub mod account;
pub mod administrator;
pub mod backup;
pub mod configuration;
pub mod data_node;
pub mod decode;
pub mod engine;
pub mod error_body;
pub mod flavor;
pub mod group;
pub mod instance;
pub mod instance_v3;
pub mod job;
pub mod limits;
pub mod metadata;
pub mod node;
pub mod openapi;
pub mod order;
pub mod paging;
pub mod password;
pub mod query;
pub mod read_weight;
pub mod routes;
pub mod scaling;
pub mod schema;
pub mod schema_v3;
pub mod security_group;
pub mod slow_log;

pub use base::api_error::{ApiError, Language};
pub use openapi::openapi;

//! The control plane's process: the REST API over HTTPS with authentication and throttling, the
//! nodes' stream, the workers of jobs and reconcilers. What a call or a job does is in control-app;
//! this crate must not know.

pub mod authority;
mod closing_store;
pub mod handlers;
pub mod http;
pub mod node_stream;
pub mod options;
mod place;
mod plane;
mod seal_key;
mod workers;

pub use http::throttle::Throttle;
pub use http::{answer, principal, state};
pub use options::{
    ControlPlaneOptions, DataNodeRegistration, Endpoints, ReplicaRegistration, StartError,
};
pub use plane::ControlPlane;

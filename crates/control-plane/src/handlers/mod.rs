//! The handlers of the product's calls. Each decodes, calls one function of the application, and
//! encodes. What is mounted where, and with which status it answers, is the API's own route table.

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
mod scaling;
mod schema;
mod security_group;
mod slow_log;

use crate::state::AppState;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use control_api::routes::{Route, routes as routes_of_api};
use std::sync::Arc;

/// What axum runs for one call.
type Handler = MethodRouter<Arc<AppState>>;

/// All calls of the route table.
pub fn routes() -> Router<Arc<AppState>> {
    routes_of_api().fold(Router::new(), |router, route| {
        let handler = handler(route).expect("every route of the table has its handler");
        let status = StatusCode::from_u16(route.status).expect("the table has HTTP statuses");
        router.route(
            route.path,
            handler.layer(map_response(move |response| with_status(response, status))),
        )
    })
}

/// A good answer gets the status of the table.
async fn with_status(mut response: Response, status: StatusCode) -> Response {
    if response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    response
}

/// What serves a route.
fn handler(route: &Route) -> Option<Handler> {
    let method = match route.method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        _ => return None,
    };
    let nouns = [
        account::handler,
        administrator::handler,
        backup::handler,
        catalogue::handler,
        configuration::handler,
        data_node::handler,
        group::handler,
        instance::handler,
        job::handler,
        metadata::handler,
        node::handler,
        scaling::handler,
        schema::handler,
        security_group::handler,
        slow_log::handler,
    ];
    nouns.iter().find_map(|noun| noun(route.operation, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_handler_and_paths_do_not_collide() {
        for route in routes_of_api() {
            assert!(handler(route).is_some(), "{}", route.operation);
        }
        drop(routes());
    }
}

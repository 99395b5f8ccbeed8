//! The handlers of the product's calls. Each decodes, calls one function of the application, and
//! encodes. What is mounted where, and with which status it answers, is the API's own route table.

mod account;
mod administrator;
mod catalogue;
mod data_node;
mod instance;
mod job;
mod node;
mod schema;

use crate::state::AppState;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use control_api::routes::{ROUTES, Route};
use std::sync::Arc;

/// All calls of the route table.
pub fn routes() -> Router<Arc<AppState>> {
    ROUTES.iter().fold(Router::new(), |router, route| {
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
fn handler(route: &Route) -> Option<MethodRouter<Arc<AppState>>> {
    let method = match route.method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        _ => return None,
    };
    Some(match route.operation {
        "create_instance" => on(method, instance::create),
        "list_instances" => on(method, instance::list),
        "show_instance" => on(method, instance::show),
        "rename_instance" => on(method, instance::rename),
        "restart_instance" => on(method, instance::restart),
        "delete_instance" => on(method, instance::delete),
        "pay_order" => on(method, instance::pay_order),
        "create_instance_v3" => on(method, instance::create_v3),
        "list_instances_v3" => on(method, instance::list_v3),
        "show_instance_v3" => on(method, instance::show_v3),
        "restart_instance_v3" => on(method, instance::restart_v3),
        "delete_instance_v3" => on(method, instance::delete_v3),
        "list_nodes" => on(method, node::list),
        "show_node" => on(method, node::show),
        "show_node_v3" => on(method, node::show_v3),
        "list_engines" => on(method, catalogue::engines),
        "list_engines_v3" => on(method, catalogue::engines_v3),
        "list_flavors" => on(method, catalogue::flavors),
        "list_flavors_v3" => on(method, catalogue::flavors_v3),
        "list_available_data_nodes" => on(method, data_node::list_available),
        "list_available_data_nodes_v3" => on(method, data_node::list_available_v3),
        "create_schema" => on(method, schema::create),
        "list_schemas" => on(method, schema::list),
        "show_schema" => on(method, schema::show),
        "delete_schema" => on(method, schema::delete),
        "create_schema_v3" => on(method, schema::create_v3),
        "show_schema_v3" => on(method, schema::show_v3),
        "delete_schema_v3" => on(method, schema::delete_v3),
        "create_accounts" => on(method, account::create),
        "list_accounts" => on(method, account::list),
        "update_account" => on(method, account::update),
        "delete_account" => on(method, account::delete),
        "reset_password" => on(method, account::reset_password),
        "create_account_v3" => on(method, account::create_v3),
        "list_accounts_v3" => on(method, account::list_v3),
        "update_account_v3" => on(method, account::update_v3),
        "delete_account_v3" => on(method, account::delete_v3),
        "reset_password_v3" => on(method, account::reset_password_v3),
        "set_administrator" => on(method, administrator::set),
        "verify_password" => on(method, administrator::verify_password),
        "show_job" => on(method, job::show),
        "list_jobs" => on(method, job::list),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_handler_and_paths_do_not_collide() {
        for route in ROUTES {
            assert!(handler(route).is_some(), "{}", route.operation);
        }
        drop(routes());
    }
}

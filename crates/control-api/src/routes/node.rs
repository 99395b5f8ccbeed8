//! Routes of nodes.

use super::{BASE, PAGE, Route};
use crate::body;
use crate::node;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/nodes",
        operation: "list_nodes",
        summary: "List an instance's nodes",
        tag: "node",
        query: PAGE,
        response: body!(node::ListNodesResponse, "ListNodesResponse"),
        ..BASE
    },
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/nodes/{node_id}",
        operation: "show_node",
        summary: "Show a node",
        tag: "node",
        response: body!(node::ShowNodeResponse, "ShowNodeResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/nodes/{node_id}",
        operation: "show_node_v3",
        summary: "Show a node",
        tag: "node",
        response: body!(node::ShowNodeV3Response, "ShowNodeV3Response"),
        ..BASE
    },
];

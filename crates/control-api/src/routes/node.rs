//! Routes of nodes.

use super::{BASE, DELETE, PAGE, POST, Route};
use crate::body;
use crate::{instance_v3, node, scaling};
use base::api_error::*;

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
    Route {
        method: POST,
        path: "/v2/{project_id}/instances/{instance_id}/action/enlarge",
        operation: "enlarge_instance",
        summary: "Add nodes to an instance",
        tag: "node",
        request: body!(scaling::EnlargeRequest, "EnlargeRequest"),
        response: body!(scaling::ScaleResponse, "ScaleResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE, QUOTA_EXCEEDED, DATA_NODE_CONNECT_FAILED],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v2/{project_id}/instances/{instance_id}/action/reduce",
        operation: "reduce_instance",
        summary: "Take nodes from an instance",
        tag: "node",
        request: body!(scaling::ReduceRequest, "ReduceRequest"),
        response: body!(scaling::ScaleResponse, "ScaleResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE, DATA_NODE_CONNECT_FAILED],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/nodes",
        operation: "add_nodes_v3",
        summary: "Add nodes to an instance",
        tag: "node",
        request: body!(scaling::AddNodesRequest, "AddNodesRequest"),
        response: body!(scaling::JobOrOrder, "JobOrOrder"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE, QUOTA_EXCEEDED, DATA_NODE_CONNECT_FAILED],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/nodes/batch-delete",
        operation: "batch_delete_nodes_v3",
        summary: "Take certain nodes from an instance",
        tag: "node",
        request: body!(scaling::RemoveNodesRequest, "RemoveNodesRequest"),
        response: body!(scaling::JobOrOrder, "JobOrOrder"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE, DATA_NODE_CONNECT_FAILED],
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/instances/{instance_id}/nodes",
        operation: "delete_nodes_v3",
        summary: "Take certain nodes from an instance",
        tag: "node",
        request: body!(scaling::RemoveNodesRequest, "RemoveNodesRequest"),
        response: body!(scaling::JobOrOrder, "JobOrOrder"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE, DATA_NODE_CONNECT_FAILED],
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/nodes/{node_id}/restart",
        operation: "restart_node_v3",
        summary: "Restart a node",
        tag: "node",
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
];

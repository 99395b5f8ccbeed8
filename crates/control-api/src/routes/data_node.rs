//! Routes of data nodes.

use super::{BASE, DELETE, PAGE, POST, Route};
use crate::body;
use crate::data_node;
use base::api_error::*;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v1/{project_id}/instances/{instance_id}/rds",
        operation: "list_available_data_nodes",
        summary: "List data nodes on which a schema can be made",
        tag: "data_node",
        query: PAGE,
        response: body!(data_node::AvailableDataNodesResponse, "AvailableDataNodesResponse"),
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/available-data-nodes",
        operation: "list_available_data_nodes_v3",
        summary: "List data nodes on which a schema can be made",
        tag: "data_node",
        query: PAGE,
        response: body!(data_node::AvailableDataNodesV3Response, "AvailableDataNodesV3Response"),
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/data-nodes",
        operation: "create_data_node",
        summary: "Register a server as a data node (our own call)",
        tag: "data_node",
        request: body!(data_node::CreateDataNodeRequest, "CreateDataNodeRequest"),
        response: body!(data_node::DataNode, "DataNode"),
        status: 201,
        errors: &[
            CONFLICT,
            DATA_NODE_ADMIN_WRONG,
            PRECHECK_FAILED,
            LOWER_CASE_NAMES_WRONG,
            CONNECTIVITY_CHECK_FAILED,
        ],
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/data-nodes",
        operation: "list_data_nodes",
        summary: "List registered data nodes (our own call)",
        tag: "data_node",
        query: PAGE,
        response: body!(data_node::ListDataNodesResponse, "ListDataNodesResponse"),
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/data-nodes/{data_node_id}",
        operation: "delete_data_node",
        summary: "Take a data node off that no instance uses (our own call)",
        tag: "data_node",
        status: 204,
        errors: &[CONFLICT],
        ..BASE
    },
];

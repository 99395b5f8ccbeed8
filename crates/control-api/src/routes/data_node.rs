//! Routes of data nodes.

use super::{BASE, DELETE, PAGE, POST, PUT, Route};
use crate::body;
use crate::{data_node, read_weight};
use base::api_error::*;

const WEIGHT_ERRORS: &[&ApiCode] = &[
    INSTANCE_NOT_AVAILABLE,
    DATA_NODES_DUPLICATED,
    READ_POLICY_UPDATE_FAILED,
    READ_WEIGHT_INVALID,
];

const SYNC_ERRORS: &[&ApiCode] = &[
    INSTANCE_NOT_AVAILABLE,
    DATA_NODE_SYNC_FAILED,
    DATA_NODE_UNAVAILABLE,
    DATA_NODE_CONNECT_FAILED,
    DATA_NODE_ADMIN_WRONG,
    LOWER_CASE_NAMES_WRONG,
];

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
        path: "/v3/{project_id}/data-nodes/{data_node_id}",
        operation: "show_data_node",
        summary: "Show a registered data node (our own call)",
        tag: "data_node",
        response: body!(data_node::DataNode, "DataNode"),
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/data-nodes/{data_node_id}",
        operation: "update_data_node",
        summary: "Register what changed about a data node; its instance gets it when it is synchronised (our own call)",
        tag: "data_node",
        request: body!(data_node::UpdateDataNodeRequest, "UpdateDataNodeRequest"),
        response: body!(data_node::DataNode, "DataNode"),
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
        method: DELETE,
        path: "/v3/{project_id}/data-nodes/{data_node_id}",
        operation: "delete_data_node",
        summary: "Take a data node off that no instance uses (our own call)",
        tag: "data_node",
        status: 204,
        errors: &[CONFLICT],
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v2/{project_id}/instances/{instance_id}/action/read-write-strategy",
        operation: "set_read_weights",
        summary: "Set the read weights of data nodes and replicas",
        tag: "data_node",
        request: body!(read_weight::ReadWriteStrategyRequest, "ReadWriteStrategyRequest"),
        response: body!(read_weight::ReadWriteStrategyResponse, "ReadWriteStrategyResponse"),
        errors: WEIGHT_ERRORS,
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/action/batch-modify-read-write-strategy",
        operation: "set_read_weights_v3",
        summary: "Set the read weights of several data nodes",
        tag: "data_node",
        request: body!(read_weight::BatchReadWriteStrategyRequest, "BatchReadWriteStrategyRequest"),
        response: body!(
            read_weight::BatchReadWriteStrategyResponse,
            "BatchReadWriteStrategyResponse"
        ),
        errors: WEIGHT_ERRORS,
        ..BASE
    },
    Route {
        method: POST,
        path: "/v1/{project_id}/instances/{instance_id}/rds/sync",
        operation: "sync_data_nodes",
        summary: "Read addresses, replicas and versions of the data nodes again",
        tag: "data_node",
        response: body!(data_node::SyncDataNodesResponse, "SyncDataNodesResponse"),
        errors: SYNC_ERRORS,
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/data-nodes/sync",
        operation: "sync_data_nodes_v3",
        summary: "Read addresses, replicas and versions of the data nodes again",
        tag: "data_node",
        response: body!(data_node::SyncDataNodesV3Response, "SyncDataNodesV3Response"),
        errors: SYNC_ERRORS,
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/rds/connection",
        operation: "check_data_node_connections",
        summary: "Ask data nodes whether they can be used with an account",
        tag: "data_node",
        request: body!(data_node::CheckConnectionsRequest, "CheckConnectionsRequest"),
        response: body!(data_node::CheckConnectionsResponse, "CheckConnectionsResponse"),
        ..BASE
    },
];

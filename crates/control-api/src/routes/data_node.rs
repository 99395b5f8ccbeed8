//! Routes of data nodes.

use super::{BASE, PAGE, Route};
use crate::body;
use crate::data_node;

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
];

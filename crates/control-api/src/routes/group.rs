//! Routes of groups of nodes.

use super::{BASE, DELETE, PAGE, POST, Route};
use crate::body;
use crate::{access_list, group, instance_v3};
use base::api_error::*;

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/groups",
        operation: "list_groups",
        summary: "List an instance's groups of nodes",
        tag: "group",
        query: PAGE,
        response: body!(group::ListGroupsResponse, "ListGroupsResponse"),
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/groups",
        operation: "create_group",
        summary: "Make a group of nodes",
        tag: "group",
        request: body!(group::CreateGroupRequest, "CreateGroupRequest"),
        response: body!(group::CreateGroupResponse, "CreateGroupResponse"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE, QUOTA_EXCEEDED],
        ..BASE
    },
    Route {
        method: DELETE,
        path: "/v3/{project_id}/instances/{instance_id}/groups/{group_id}",
        operation: "delete_group",
        summary: "Delete a group of nodes",
        tag: "group",
        response: body!(instance_v3::JobStarted, "JobStarted"),
        status: 202,
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
    Route {
        path: "/v3/{project_id}/instances/{instance_id}/groups/{group_id}/acls",
        operation: "show_access_list",
        summary: "Show which clients a group takes",
        tag: "group",
        response: body!(access_list::ShowAccessListResponse, "ShowAccessListResponse"),
        ..BASE
    },
    Route {
        method: POST,
        path: "/v3/{project_id}/instances/{instance_id}/groups/{group_id}/acls",
        operation: "set_access_list",
        summary: "Set which clients a group takes",
        tag: "group",
        request: body!(access_list::SetAccessListRequest, "SetAccessListRequest"),
        response: body!(access_list::SetAccessListResponse, "SetAccessListResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE],
        ..BASE
    },
];

//! Routes of security groups and their rules (our own calls), and those that give an instance
//! another group.

use super::{BASE, DELETE, PAGE, POST, PUT, Route};
use crate::body;
use crate::security_group;
use base::api_error::*;

const GROUPS: &str = "/v3/{project_id}/security-groups";
const GROUP: &str = "/v3/{project_id}/security-groups/{security_group_id}";
const RULES: &str = "/v3/{project_id}/security-groups/{security_group_id}/rules";
const RULE: &str = "/v3/{project_id}/security-groups/{security_group_id}/rules/{rule_id}";

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: GROUPS,
        operation: "list_security_groups",
        summary: "List security groups",
        tag: "security_group",
        query: PAGE,
        response: body!(security_group::ListSecurityGroupsResponse, "ListSecurityGroupsResponse"),
        ..BASE
    },
    Route {
        method: POST,
        path: GROUPS,
        operation: "create_security_group",
        summary: "Make a security group",
        tag: "security_group",
        request: body!(security_group::CreateSecurityGroupRequest, "CreateSecurityGroupRequest"),
        response: body!(security_group::SecurityGroup, "SecurityGroup"),
        status: 201,
        errors: &[CONFLICT, QUOTA_EXCEEDED],
        ..BASE
    },
    Route {
        path: GROUP,
        operation: "show_security_group",
        summary: "Show a security group",
        tag: "security_group",
        response: body!(security_group::SecurityGroup, "SecurityGroup"),
        ..BASE
    },
    Route {
        method: DELETE,
        path: GROUP,
        operation: "delete_security_group",
        summary: "Delete a security group that no instance uses",
        tag: "security_group",
        status: 204,
        errors: &[CONFLICT],
        ..BASE
    },
    Route {
        path: RULES,
        operation: "list_security_group_rules",
        summary: "List a security group's rules",
        tag: "security_group",
        query: PAGE,
        response: body!(
            security_group::ListSecurityGroupRulesResponse,
            "ListSecurityGroupRulesResponse"
        ),
        ..BASE
    },
    Route {
        method: POST,
        path: RULES,
        operation: "create_security_group_rule",
        summary: "Let clients of a network in",
        tag: "security_group",
        request: body!(
            security_group::CreateSecurityGroupRuleRequest,
            "CreateSecurityGroupRuleRequest"
        ),
        response: body!(security_group::SecurityGroupRule, "SecurityGroupRule"),
        status: 201,
        errors: &[CONFLICT, QUOTA_EXCEEDED],
        ..BASE
    },
    Route {
        method: DELETE,
        path: RULE,
        operation: "delete_security_group_rule",
        summary: "Take a rule away",
        tag: "security_group",
        status: 204,
        errors: &[CONFLICT],
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v1/{project_id}/instances/{instance_id}/modify-security-group",
        operation: "modify_security_group",
        summary: "Give an instance another security group",
        tag: "security_group",
        request: body!(security_group::ModifySecurityGroupRequest, "ModifySecurityGroupRequest"),
        response: body!(security_group::ModifySecurityGroupResponse, "ModifySecurityGroupResponse"),
        errors: &[INSTANCE_NOT_AVAILABLE, SECURITY_GROUP_INVALID],
        ..BASE
    },
    Route {
        method: PUT,
        path: "/v3/{project_id}/instances/{instance_id}/security-group",
        operation: "modify_security_group_v3",
        summary: "Give an instance another security group",
        tag: "security_group",
        request: body!(security_group::ModifySecurityGroupRequest, "ModifySecurityGroupRequest"),
        errors: &[INSTANCE_NOT_AVAILABLE, SECURITY_GROUP_INVALID],
        ..BASE
    },
];

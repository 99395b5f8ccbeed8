//! Calls on security groups and their rules.

use super::Handler;
use crate::answer::Failure;
use crate::principal::Principal;
use crate::state::AppState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{MethodFilter, on};
use control_api::decode::decode;
use control_api::paging::LIMIT_DEFAULT;
use control_api::query::Query;
use control_api::security_group::{
    CreateSecurityGroupRequest, CreateSecurityGroupRuleRequest, ListSecurityGroupRulesResponse,
    ListSecurityGroupsResponse, ModifySecurityGroupRequest, ModifySecurityGroupResponse,
    SecurityGroup, SecurityGroupRule,
};
use std::sync::Arc;

type Shared = State<Arc<AppState>>;
/// Project and group, or project and instance.
type GroupPath = Path<(String, String)>;
/// Project, group and rule.
type RulePath = Path<(String, String, String)>;

/// What serves a call of this noun.
pub fn handler(operation: &str, method: MethodFilter) -> Option<Handler> {
    Some(match operation {
        "list_security_groups" => on(method, list),
        "create_security_group" => on(method, create),
        "show_security_group" => on(method, show),
        "delete_security_group" => on(method, delete),
        "list_security_group_rules" => on(method, list_rules),
        "create_security_group_rule" => on(method, create_rule),
        "delete_security_group_rule" => on(method, delete_rule),
        "modify_security_group" => on(method, modify),
        "modify_security_group_v3" => on(method, modify_v3),
        _ => return None,
    })
}

pub async fn list(
    State(state): Shared,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<ListSecurityGroupsResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_security_groups(&principal.project_id, page).await?))
}

pub async fn create(
    State(state): Shared,
    principal: Principal,
    body: Bytes,
) -> Result<Json<SecurityGroup>, Failure> {
    let new = decode::<CreateSecurityGroupRequest>(&body)?.check()?;
    Ok(Json(state.app.create_security_group(&principal.project_id, new).await?))
}

pub async fn show(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): GroupPath,
) -> Result<Json<SecurityGroup>, Failure> {
    Ok(Json(state.app.show_security_group(&principal.project_id, &id).await?))
}

pub async fn delete(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): GroupPath,
) -> Result<StatusCode, Failure> {
    state.app.delete_security_group(&principal.project_id, &id).await?;
    Ok(StatusCode::OK)
}

pub async fn list_rules(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): GroupPath,
    RawQuery(query): RawQuery,
) -> Result<Json<ListSecurityGroupRulesResponse>, Failure> {
    let page = Query::parse(query.as_deref()).page(LIMIT_DEFAULT)?;
    Ok(Json(state.app.list_security_group_rules(&principal.project_id, &id, page).await?))
}

pub async fn create_rule(
    State(state): Shared,
    principal: Principal,
    Path((_, id)): GroupPath,
    body: Bytes,
) -> Result<Json<SecurityGroupRule>, Failure> {
    let new = decode::<CreateSecurityGroupRuleRequest>(&body)?.check()?;
    Ok(Json(state.app.create_security_group_rule(&principal.project_id, &id, new).await?))
}

pub async fn delete_rule(
    State(state): Shared,
    principal: Principal,
    Path((_, id, rule_id)): RulePath,
) -> Result<StatusCode, Failure> {
    state.app.delete_security_group_rule(&principal.project_id, &id, &rule_id).await?;
    Ok(StatusCode::OK)
}

pub async fn modify(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): GroupPath,
    body: Bytes,
) -> Result<Json<ModifySecurityGroupResponse>, Failure> {
    let group = decode::<ModifySecurityGroupRequest>(&body)?.check()?;
    Ok(Json(state.app.modify_security_group(&principal.project_id, &instance_id, group).await?))
}

pub async fn modify_v3(
    State(state): Shared,
    principal: Principal,
    Path((_, instance_id)): GroupPath,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let group = decode::<ModifySecurityGroupRequest>(&body)?.check()?;
    state.app.modify_security_group(&principal.project_id, &instance_id, group).await?;
    Ok(StatusCode::OK)
}

//! Whether data nodes could be used with the accounts that a caller has for them: each server is
//! asked, and what is wrong is told for each with the code that making a schema would answer.

use crate::app::App;
use base::api_error::{
    ApiError, CONNECTIVITY_CHECK_FAILED, DATA_NODE_LOGIN_WRONG, DATA_NODE_MISSING, DATA_NODE_STATE,
    DATA_NODE_UNAVAILABLE, LOWER_CASE_NAMES_WRONG, Language,
};
use base::id::{InstanceId, ProjectId};
use control_api::data_node::{CheckConnectionsResponse, ConnectionResult, ConnectionToCheck};
use control_store::records::data_node::DataNodeRecord;
use futures::stream::{self, StreamExt};
use provision::{AdminError, AdminLogin};

/// Servers that are asked at the same time.
const AT_ONCE: usize = 64;

impl App {
    /// `POST /v3/{project_id}/instances/{instance_id}/rds/connection`
    pub async fn check_connections(
        &self,
        project: &ProjectId,
        instance_id: &str,
        connections: Vec<ConnectionToCheck>,
        language: Language,
    ) -> Result<CheckConnectionsResponse, ApiError> {
        let instance = self.instance(project, instance_id).await?.value;
        let known = self.all_data_nodes().await?;
        let known: Vec<DataNodeRecord> = known.into_iter().map(|node| node.value).collect();
        let results = stream::iter(connections)
            .map(|one| {
                let node = known.iter().find(|node| node.id.as_str() == one.id).cloned();
                let instance = instance.id.clone();
                async move {
                    let error = self.check_connection(&instance, node, &one).await.err();
                    ConnectionResult {
                        rds_instance_id: one.id,
                        success: error.is_none().to_string(),
                        error_code: error.as_ref().map(|error| error.code.code.to_owned()),
                        error_message: error.map(|error| error.message(language)),
                    }
                }
            })
            .buffered(AT_ONCE);
        Ok(CheckConnectionsResponse { rds_check_infos: results.collect().await })
    }

    async fn check_connection(
        &self,
        instance: &InstanceId,
        node: Option<DataNodeRecord>,
        one: &ConnectionToCheck,
    ) -> Result<(), ApiError> {
        let node = node.ok_or_else(|| ApiError::new(DATA_NODE_MISSING))?;
        if node.binding.as_ref().is_some_and(|binding| binding.instance_id != *instance) {
            return Err(ApiError::new(DATA_NODE_STATE));
        }
        let login = AdminLogin::new(&*one.host, one.port, &*one.user, one.password.clone());
        let facts = self.data_nodes.probe(&login).await.map_err(|error| {
            let code = match &error {
                AdminError::AuthFailed { .. } => DATA_NODE_LOGIN_WRONG,
                AdminError::Unreachable { .. } | AdminError::Timeout { .. } => {
                    CONNECTIVITY_CHECK_FAILED
                }
                _ => DATA_NODE_UNAVAILABLE,
            };
            ApiError::new(code)
        })?;
        if facts.lower_case_table_names != 1 {
            return Err(ApiError::new(LOWER_CASE_NAMES_WRONG));
        }
        match facts.problems().into_iter().next() {
            None => Ok(()),
            Some(problem) => {
                Err(ApiError::new(DATA_NODE_UNAVAILABLE).because(&*problem, &*problem))
            }
        }
    }
}

//! What can be restored, and to where: times, instances, data nodes. Each answer is what the restore
//! call itself would say.

use crate::app::App;
use crate::backup::{at_time, interval, is_usable};
use crate::data_node::version_number;
use crate::schema::state_name;
use crate::time::now_ms;
use base::api_error::{ApiError, DATA_NODE_MISSING, DESTINATION_INVALID};
use base::id::{DataNodeId, InstanceId, ProjectId};
use control_api::backup::{
    RelatedDataNodeDetail, RelatedDataNodesResponse, RestorableDataNode,
    RestorableDataNodesResponse, RestorableInstance, RestorableInstancesResponse, RestorableTime,
    RestorableTimesResponse,
};
use control_api::paging::{Page, total};
use control_store::record::Versioned;
use control_store::records::backup::BackupRecord;
use control_store::records::data_node::DataNodeRecord;
use control_store::records::instance::{InstanceRecord, InstanceStatus};
use std::collections::BTreeSet;

/// The name of the one VPC, as the other calls have it.
const VPC_NAME: &str = "default";

/// Bytes of a GB.
const GIGABYTE: f64 = 1_073_741_824.0;

/// What restorable data nodes are asked for.
#[derive(Clone, Debug, Default)]
pub struct DataNodeQuery {
    /// The instance to restore to.
    pub target_instance_id: Option<String>,
    /// The data node whose place is to be taken.
    pub source_data_node: Option<String>,
    /// The time to restore, UNIX milliseconds.
    pub restore_time_ms: Option<i64>,
}

impl App {
    /// `GET …/backups/restorable-time-interval`
    pub async fn restorable_times(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<RestorableTimesResponse, ApiError> {
        let (_, backups) = self.backups_of(project, instance_id).await?;
        let all: Vec<RestorableTime> = interval(&backups, now_ms())
            .into_iter()
            .map(|(start, end)| RestorableTime {
                start_time: start.to_string(),
                end_time: end.to_string(),
            })
            .collect();
        let total = total(&all);
        Ok(RestorableTimesResponse {
            restorable_time_intervals: page.cut(all),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// `GET …/backups/restorable-instances`
    pub async fn restorable_instances(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<RestorableInstancesResponse, ApiError> {
        let (source, _) = self.backups_of(project, instance_id).await?;
        let all = self.instances_of(project).await?;
        let total = total(&all);
        let mut instances = Vec::new();
        for instance in page.cut(all) {
            let reason = self.not_restorable(&source, &instance).await?;
            instances.push(RestorableInstance {
                status: instance.status.name().to_owned(),
                available: reason.is_none(),
                unavailable_reason: reason.unwrap_or_default().to_owned(),
                vpc_name: VPC_NAME.to_owned(),
                instance_id: instance.id.to_string(),
                instance_name: instance.name,
            });
        }
        let (offset, limit) = (page.offset, page.limit);
        Ok(RestorableInstancesResponse { instances, offset, limit, total })
    }

    async fn not_restorable(
        &self,
        source: &InstanceId,
        target: &InstanceRecord,
    ) -> Result<Option<&'static str>, ApiError> {
        if target.status != InstanceStatus::Running {
            return Ok(Some("the instance does not run, or another operation works on it"));
        }
        self.occupied(source, target).await
    }

    /// `GET …/backups/restorable-data-node`
    pub async fn restorable_data_nodes(
        &self,
        project: &ProjectId,
        instance_id: &str,
        query: &DataNodeQuery,
        page: Page,
    ) -> Result<RestorableDataNodesResponse, ApiError> {
        let (source, backups) = self.backups_of(project, instance_id).await?;
        let target = match &query.target_instance_id {
            None => source,
            Some(id) => {
                let unknown = |_| ApiError::new(DESTINATION_INVALID).field("target_instance_id");
                self.instance(project, id).await.map_err(unknown)?.value.id
            }
        };
        let wanted = self.wanted_databases(&backups, query).await?;
        let mut all = self.registered_data_nodes().await?;
        all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        let total = total(&all);
        let mut nodes = Vec::new();
        for node in page.cut(all) {
            let problem = self.problem_of(&node).await;
            let status = state_name(&problem).to_owned();
            let reason = match problem {
                Some(problem) => Some(problem),
                None => self.unfit_data_node(&node, &target, &wanted).await,
            };
            nodes.push(RestorableDataNode {
                instance_id: node.id.to_string(),
                instance_name: node.name,
                engine_name: "mysql".to_owned(),
                status,
                available: reason.is_none(),
                unavailable_reason: reason.unwrap_or_default(),
                vpc_name: VPC_NAME.to_owned(),
                private_ip: node.host,
            });
        }
        Ok(RestorableDataNodesResponse {
            target_data_nodes: nodes,
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// The databases that a data node must have to take the place of the one that is asked about.
    async fn wanted_databases(
        &self,
        backups: &[BackupRecord],
        query: &DataNodeQuery,
    ) -> Result<BTreeSet<String>, ApiError> {
        let Some(id) = &query.source_data_node else { return Ok(BTreeSet::new()) };
        let unknown = || ApiError::new(DATA_NODE_MISSING).field("source_dn_instance_id");
        let id = DataNodeId::parse(id).ok_or_else(unknown)?;
        let backup = chosen(backups, query.restore_time_ms).ok_or_else(unknown)?;
        let document = self.backup_document(backup).await?;
        let held = document.shards().filter(|shard| shard.data_node == id);
        let databases: BTreeSet<String> = held.map(|shard| shard.database.clone()).collect();
        if databases.is_empty() { Err(unknown()) } else { Ok(databases) }
    }

    async fn unfit_data_node(
        &self,
        node: &DataNodeRecord,
        target: &InstanceId,
        wanted: &BTreeSet<String>,
    ) -> Option<String> {
        if node.binding.as_ref().is_some_and(|binding| binding.instance_id != *target) {
            return Some("it belongs to another instance".to_owned());
        }
        if wanted.is_empty() {
            return None;
        }
        let login = match self.binding_admin(node) {
            Ok(login) => login,
            Err(error) => return Some(error.to_string()),
        };
        match self.data_nodes.list_databases(&login, "").await {
            Err(error) => Some(error.to_string()),
            Ok(held) => wanted
                .iter()
                .find(|database| !held.contains(*database))
                .map(|database| format!("it has no database {database}")),
        }
    }

    /// `GET …/backups/related-dn`
    pub async fn related_data_nodes(
        &self,
        project: &ProjectId,
        instance_id: &str,
        restore_time_ms: Option<i64>,
        page: Page,
    ) -> Result<RelatedDataNodesResponse, ApiError> {
        let (_, backups) = self.backups_of(project, instance_id).await?;
        let nodes = match chosen(&backups, restore_time_ms) {
            Some(backup) => backup.data_nodes.clone(),
            None => Vec::new(),
        };
        let total = total(&nodes);
        let mut related_data_nodes = Vec::new();
        for node in page.cut(nodes) {
            let found: Option<Versioned<DataNodeRecord>> =
                self.get(&DataNodeRecord::key_of(&node.id)).await?;
            let Some(found) = found.map(|found| found.value) else {
                related_data_nodes.push(RelatedDataNodeDetail {
                    instance_id: node.id.to_string(),
                    instance_name: node.name,
                    instance_status: "deleted".to_owned(),
                    data_volume_size: 0.0,
                    version: String::new(),
                    engine_name: "mysql".to_owned(),
                });
                continue;
            };
            related_data_nodes.push(RelatedDataNodeDetail {
                instance_id: node.id.to_string(),
                instance_status: state_name(&self.problem_of(&found).await).to_owned(),
                data_volume_size: self.data_gigabytes(&found).await,
                version: version_number(&found.server_version).to_owned(),
                engine_name: "mysql".to_owned(),
                instance_name: node.name,
            });
        }
        let latest = interval(&backups, now_ms()).map(|(_, end)| end.to_string());
        Ok(RelatedDataNodesResponse {
            related_data_nodes,
            latest_restorable_time: latest.unwrap_or_default(),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// How much a data node's databases fill; 0 when it does not answer.
    async fn data_gigabytes(&self, node: &DataNodeRecord) -> f64 {
        const SUM: &str =
            "SELECT SUM(DATA_LENGTH + INDEX_LENGTH) AS bytes FROM information_schema.TABLES";
        let Ok(login) = self.binding_admin(node) else { return 0.0 };
        let rows = self.data_nodes.query(&login, SUM).await.unwrap_or_default();
        let bytes: f64 = rows.get(0, "bytes").and_then(|sum| sum.parse().ok()).unwrap_or(0.0);
        bytes / GIGABYTE
    }
}

/// The backup for a time, or the newest.
fn chosen(backups: &[BackupRecord], time_ms: Option<i64>) -> Option<&BackupRecord> {
    match time_ms {
        Some(time_ms) => at_time(backups, time_ms, now_ms()),
        None => backups.iter().filter(|one| is_usable(one)).max_by_key(|one| one.taken_ms),
    }
}

//! What a data node is now, asked from its servers: whether the primary answers, is fit and is the
//! server that it was, and which replicas follow it. What somebody registered is believed only as
//! far as the servers say the same.

use crate::app::App;
use crate::data_node_weights::mend_weights;
use crate::error::AppError;
use base::api_error::{
    ApiError, DATA_NODE_ADMIN_WRONG, DATA_NODE_CONNECT_FAILED, DATA_NODE_SYNC_FAILED,
    DATA_NODE_UNAVAILABLE, LOWER_CASE_NAMES_WRONG,
};
use base::id::{DataNodeId, InstanceId};
use control_api::data_node::REPLICAS_MAX;
use control_store::records::data_node::{DataNodeRecord, REPLICA_WEIGHT, ReplicaRecord};
use control_store::records::schema::SchemaStatus;
use provision::replicas::{ConnectedReplica, connected_replicas, primary_of};
use provision::{AdminError, AdminLogin, Endpoint};
use std::collections::BTreeSet;

/// Addresses at which one replica is looked for.
const ENDPOINTS_MAX: usize = 8;

/// What a server is to a primary.
enum Replication {
    /// It follows it; its `server_id`.
    Follows(u64),
    /// It does not.
    Apart,
}

/// A primary while its replicas are examined.
struct Primary<'a> {
    name: &'a str,
    login: &'a AdminLogin,
    server_id: u64,
    /// The replicas that it says are connected, if the account may ask.
    connected: Option<Vec<ConnectedReplica>>,
}

impl App {
    /// The record of a data node as its servers and its registration say that it should be.
    pub(crate) async fn examine(
        &self,
        before: &DataNodeRecord,
        databases: &BTreeSet<String>,
    ) -> Result<DataNodeRecord, ApiError> {
        let mut node = before.as_registered();
        let login = self.admin_login(&node)?;
        let wrong = |error: AdminError| refusal(&node.name, &error);
        let facts = self.data_nodes.probe(&login).await.map_err(wrong)?;
        if facts.lower_case_table_names != 1 {
            return Err(ApiError::new(LOWER_CASE_NAMES_WRONG).because(&*node.name, &*node.name));
        }
        if let Some(problem) = facts.problems().into_iter().next() {
            let text = format!("{}: {problem}", node.name);
            return Err(ApiError::new(DATA_NODE_UNAVAILABLE).because(text.clone(), text));
        }
        let other = self.difference(before, &login, facts.server_uuid.as_deref(), databases);
        if let Some(difference) = other.await.map_err(wrong)? {
            let text = format!("{}: {difference}", node.name);
            return Err(ApiError::new(DATA_NODE_SYNC_FAILED).because(text.clone(), text));
        }
        let connected = connected_replicas(&*self.data_nodes, &login).await.map_err(wrong)?;
        let primary =
            Primary { name: &node.name, login: &login, server_id: facts.server_id, connected };
        let replicas = self.present_replicas(&node, &primary).await?;
        node.server_version = facts.version;
        node.server_uuid = facts.server_uuid;
        node.replicas = replicas;
        if before.pending.is_some() {
            self.take_administrator(&mut node, &login);
        }
        mend_weights(&mut node);
        Ok(node)
    }

    /// Why the server at `login` is not the one that `before` is about; `None` when it is. A server
    /// that has no id of its own is known by what the instance made on it.
    pub(crate) async fn difference(
        &self,
        before: &DataNodeRecord,
        login: &AdminLogin,
        uuid: Option<&str>,
        databases: &BTreeSet<String>,
    ) -> Result<Option<String>, AdminError> {
        if let (Some(old), Some(new)) = (before.server_uuid.as_deref(), uuid) {
            return Ok((old != new).then(|| "another server answers there".to_owned()));
        }
        let Some(binding) = &before.binding else { return Ok(None) };
        if *login.endpoint.host == before.host && login.endpoint.port == before.port {
            return Ok(None);
        }
        let present = self.data_nodes.list_databases(login, "").await?;
        if let Some(missing) = databases.iter().find(|name| !present.contains(name)) {
            return Ok(Some(format!("another server answers there: it has no {missing}")));
        }
        let users = self.data_nodes.query(login, "SELECT User FROM mysql.user").await?;
        let known = users.rows.iter().flatten().flatten().any(|user| *user == binding.user);
        Ok((!known).then(|| "another server answers there: it lacks our account".to_owned()))
    }

    /// The physical databases that an instance serves from a data node.
    pub(crate) async fn served_databases(
        &self,
        id: &InstanceId,
        node: &DataNodeId,
    ) -> Result<BTreeSet<String>, AppError> {
        let schemas = self.schemas(id).await?;
        let running = schemas.iter().filter(|schema| schema.value.status == SchemaStatus::Running);
        let shards = running.flat_map(|schema| &schema.value.shards);
        Ok(shards
            .filter(|shard| shard.data_node == *node)
            .map(|one| one.database.clone())
            .collect())
    }

    /// The replicas that follow the primary now: those that were registered, at their new address
    /// if they moved, and unless somebody named them all those that are new.
    async fn present_replicas(
        &self,
        node: &DataNodeRecord,
        primary: &Primary<'_>,
    ) -> Result<Vec<ReplicaRecord>, ApiError> {
        let mut present = Vec::new();
        for replica in &node.replicas {
            match self.present_replica(replica, primary).await? {
                Some(replica) => present.push(replica),
                None => tracing::info!(
                    data_node = %node.id, replica = %replica.id, host = replica.host,
                    port = replica.port, "the server is no replica of the data node any more"
                ),
            }
        }
        let connected = primary.connected.iter().flatten().filter(|_| !node.replicas_named);
        for connected in connected {
            let known = present.iter().any(|one| one.server_id == Some(connected.server_id));
            if known || present.len() >= REPLICAS_MAX {
                continue;
            }
            let Some(endpoint) = self.reach(connected, primary).await else {
                tracing::warn!(
                    data_node = %node.id, server_id = connected.server_id,
                    "a server replicates from the data node but cannot be used as its replica"
                );
                continue;
            };
            present.push(ReplicaRecord {
                id: DataNodeId::random(),
                host: endpoint.host,
                port: endpoint.port,
                server_id: Some(connected.server_id),
                read_weight: REPLICA_WEIGHT,
            });
        }
        Ok(present)
    }

    /// A registered replica as it is now; `None` when it is lost: it follows somebody else or
    /// nobody, or neither it nor the primary knows of it.
    async fn present_replica(
        &self,
        replica: &ReplicaRecord,
        primary: &Primary<'_>,
    ) -> Result<Option<ReplicaRecord>, ApiError> {
        let endpoint = Endpoint::new(&*replica.host, replica.port);
        let name = format!("{} ({endpoint})", primary.name);
        let failure = match self.replication(&endpoint, primary).await {
            Ok(Replication::Follows(server_id)) => {
                return Ok(Some(ReplicaRecord { server_id: Some(server_id), ..replica.clone() }));
            }
            Ok(Replication::Apart) => None,
            Err(error) => Some(error),
        };
        let same = |one: &&ConnectedReplica| match replica.server_id {
            Some(server_id) => one.server_id == server_id,
            None => one.endpoints.iter().any(|at| at.port == replica.port),
        };
        let listed = primary.connected.as_ref().map(|all| all.iter().find(same));
        if let Some(Some(connected)) = listed
            && let Some(at) = self.reach(connected, primary).await
        {
            let server_id = Some(connected.server_id);
            let (host, port) = (at.host, at.port);
            return Ok(Some(ReplicaRecord { host, port, server_id, ..replica.clone() }));
        }
        match failure {
            None => Ok(None),
            Some(AdminError::Unreachable { .. } | AdminError::Timeout { .. })
                if matches!(listed, Some(None)) =>
            {
                Ok(None)
            }
            Some(error) => Err(refusal(&name, &error)),
        }
    }

    /// Where a replica that is connected can be reached, if anywhere.
    async fn reach(&self, connected: &ConnectedReplica, primary: &Primary<'_>) -> Option<Endpoint> {
        for endpoint in connected.endpoints.iter().take(ENDPOINTS_MAX) {
            match self.replication(endpoint, primary).await {
                Ok(Replication::Follows(id)) if id == connected.server_id => {
                    return Some(endpoint.clone());
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%endpoint, %error, "no replica answers there"),
            }
        }
        None
    }

    /// Whether the server there follows the primary; the primary's administrator must be there too.
    async fn replication(
        &self,
        endpoint: &Endpoint,
        primary: &Primary<'_>,
    ) -> Result<Replication, AdminError> {
        let login = AdminLogin { endpoint: endpoint.clone(), ..primary.login.clone() };
        let facts = self.data_nodes.probe(&login).await?;
        // One that compares names in another way reads other tables.
        if facts.lower_case_table_names != 1 {
            return Ok(Replication::Apart);
        }
        let follows = primary_of(&*self.data_nodes, &login).await?;
        // A replica that has not reached its primary yet does not know whom it follows.
        let follows = follows.is_some_and(|id| id == primary.server_id || id == 0);
        Ok(if follows { Replication::Follows(facts.server_id) } else { Replication::Apart })
    }

    /// The instance works with the administrator that was registered.
    fn take_administrator(&self, node: &mut DataNodeRecord, login: &AdminLogin) {
        let password = self.seal_binding_admin(&node.id, &login.password);
        if let Some(binding) = &mut node.binding {
            binding.admin_user.clone_from(&login.user);
            binding.admin_password = password;
        }
    }
}

/// The documented error for what a data node answered to its registered administrator.
fn refusal(name: &str, error: &AdminError) -> ApiError {
    let code = match error {
        AdminError::AuthFailed { .. } => DATA_NODE_ADMIN_WRONG,
        AdminError::Unreachable { .. } | AdminError::Timeout { .. } => DATA_NODE_CONNECT_FAILED,
        _ => DATA_NODE_UNAVAILABLE,
    };
    ApiError::new(code).because(name, name)
}

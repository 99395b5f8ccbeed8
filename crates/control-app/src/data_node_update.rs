//! A changed registration: a data node's server moved, has another administrator or other replicas.
//! It is checked as a new one is, and must be the same server. An instance that uses the data node
//! gets it when its data nodes are synchronised.

use crate::app::App;
use crate::change::Tries;
use crate::data_node::{RegistrationError, admin_context};
use crate::data_node_register::{registration_error, server_error, taken};
use base::api_error::{ApiError, PRECHECK_FAILED};
use base::id::DataNodeId;
use control_api::data_node::DataNodeUpdate;
use control_api::decode::required;
use control_store::records::data_node::{
    DataNodeRecord, PendingRecord, REPLICA_WEIGHT, ReplicaRecord,
};
use control_store::typed;
use futures::future::join_all;
use provision::{AdminLogin, ServerFacts};
use std::collections::BTreeSet;

impl App {
    /// `GET /v3/{project_id}/data-nodes/{data_node_id}`
    pub async fn show_data_node(&self, id: &str) -> Result<DataNodeRecord, ApiError> {
        Ok(self.registered_data_node(id).await?.value)
    }

    /// `PUT /v3/{project_id}/data-nodes/{data_node_id}`
    pub async fn update_data_node(
        &self,
        id: &str,
        update: DataNodeUpdate,
    ) -> Result<DataNodeRecord, ApiError> {
        let mut tries = Tries::default();
        loop {
            let before = self.registered_data_node(id).await?;
            let after = self.updated(&before.value, &update).await?;
            let written = match &before.value.binding {
                None => {
                    let free = after.as_registered();
                    self.write(vec![before.unchanged()], vec![typed::put(&free)]).await?
                }
                Some(binding) => {
                    let mut change = self.change(&binding.instance_id).await?;
                    change.update(&before, &after);
                    change.commit().await?.is_some()
                }
            };
            if written {
                return Ok(self.registered_data_node(id).await?.value);
            }
            tries.again()?;
        }
    }

    /// The record with the changed registration in wait, checked.
    async fn updated(
        &self,
        before: &DataNodeRecord,
        update: &DataNodeUpdate,
    ) -> Result<DataNodeRecord, ApiError> {
        let now = before.as_registered();
        let login = self.updated_login(&now, update)?;
        let (host, port) = (login.endpoint.host.clone(), login.endpoint.port);
        for other in self.registered_data_nodes().await? {
            if other.id != before.id && other.listens_at(&host, port) {
                return Err(taken("host", "this server is registered already", "该服务器已注册"));
            }
        }
        let facts = self.fit_server(&login).await?;
        self.require_same(before, &login, &facts).await?;
        let replicas = match &update.replicas {
            None => now.replicas.clone(),
            Some(replicas) => self.updated_replicas(&now, replicas, &login).await?,
        };
        let pending = PendingRecord {
            host,
            port,
            server_version: facts.version,
            server_uuid: facts.server_uuid,
            admin_user: login.user.clone(),
            admin_password: self.seal(&admin_context(&before.id), login.password.expose()),
            replicas,
            replicas_named: now.replicas_named || update.replicas.is_some(),
        };
        Ok(DataNodeRecord { pending: Some(pending), ..before.clone() })
    }

    fn updated_login(
        &self,
        now: &DataNodeRecord,
        update: &DataNodeUpdate,
    ) -> Result<AdminLogin, ApiError> {
        let user = update.admin_user.clone().unwrap_or_else(|| now.admin_user.clone());
        let password = match &update.admin_password {
            Some(password) => password.clone(),
            // A password belongs to one account.
            None if user != now.admin_user => return Err(required("admin_password")),
            None => self.admin_login(now)?.password,
        };
        let host = update.host.clone().unwrap_or_else(|| now.host.clone());
        Ok(AdminLogin::new(host, update.port.unwrap_or(now.port), user, password))
    }

    async fn fit_server(&self, login: &AdminLogin) -> Result<ServerFacts, ApiError> {
        let failed = |error: RegistrationError| registration_error(error);
        let facts = self.data_nodes.probe(login).await.map_err(|error| failed(error.into()))?;
        let problems = facts.problems();
        if problems.is_empty() {
            return Ok(facts);
        }
        Err(failed(RegistrationError::NotFit(problems)))
    }

    async fn require_same(
        &self,
        before: &DataNodeRecord,
        login: &AdminLogin,
        facts: &ServerFacts,
    ) -> Result<(), ApiError> {
        let databases = match &before.binding {
            Some(binding) => self.served_databases(&binding.instance_id, &before.id).await?,
            None => BTreeSet::new(),
        };
        let difference = self.difference(before, login, facts.server_uuid.as_deref(), &databases);
        match difference.await.map_err(|error| server_error("host", &error))? {
            None => Ok(()),
            Some(text) => {
                Err(ApiError::new(PRECHECK_FAILED).field("host").because(text.clone(), text))
            }
        }
    }

    /// The replicas that the update names; those that are known keep their ids and weights.
    async fn updated_replicas(
        &self,
        now: &DataNodeRecord,
        named: &[(Option<DataNodeId>, String, u16)],
        login: &AdminLogin,
    ) -> Result<Vec<ReplicaRecord>, ApiError> {
        let probes = named.iter().map(async |(_, host, port)| {
            let there = AdminLogin::new(&**host, *port, &*login.user, login.password.clone());
            self.data_nodes.probe(&there).await
        });
        let probed = join_all(probes).await;
        let mut replicas: Vec<ReplicaRecord> = Vec::with_capacity(named.len());
        for (at, ((id, host, port), facts)) in named.iter().zip(probed).enumerate() {
            let field = format!("replicas[{at}]");
            let known = now.replicas.iter().find(|old| match id {
                Some(id) => old.id == *id,
                None => old.host == *host && old.port == *port,
            });
            if id.is_some() && known.is_none() {
                let field = format!("{field}.id");
                return Err(ApiError::parameter(field, "is no present replica", "只读节点不存在"));
            }
            let twice = replicas.iter().any(|other| {
                (other.host == *host && other.port == *port)
                    || known.is_some_and(|known| known.id == other.id)
            });
            if twice || (*host == login.endpoint.host && *port == login.endpoint.port) {
                return Err(ApiError::parameter(field, "is there twice", "重复"));
            }
            let facts = facts.map_err(|error| server_error(&field, &error))?;
            replicas.push(ReplicaRecord {
                id: known.map_or_else(DataNodeId::random, |known| known.id.clone()),
                host: host.clone(),
                port: *port,
                server_id: Some(facts.server_id),
                read_weight: known.map_or(REPLICA_WEIGHT, |known| known.read_weight),
            });
        }
        Ok(replicas)
    }
}

//! Data nodes: which there are, which an instance may use, and the account that an instance makes
//! for itself on each that it uses.

use crate::app::App;
use crate::change::Tries;
use crate::error::AppError;
use crate::time::now_ms;
use aws_lc_rs::digest::{SHA256, digest};
use base::api_error::ApiError;
use base::id::{DataNodeId, InstanceId, ProjectId, hex};
use base::secret::Secret;
use control_api::data_node::{
    AvailableDataNode, AvailableDataNodeV3, AvailableDataNodesResponse,
    AvailableDataNodesV3Response, REPLICAS_MAX,
};
use control_api::paging::{Page, total};
use control_api::schema::DataNodeLogin;
use control_store::record::{Record, Versioned};
use control_store::records::Sealed;
use control_store::records::data_node::{
    BindingRecord, DataNodeRecord, PRIMARY_WEIGHT, REPLICA_WEIGHT, ReplicaRecord,
};
use control_store::{TxnOutcome, typed};
use futures::future::join_all;
use provision::{AdminError, AdminLogin, DataNodeAccount, Grant, ServerFacts};

/// The database on each data node that nodes use for themselves (decisions of distributed
/// transactions, sequences).
pub const HELPER_DATABASE: &str = "_ddm";

/// What the names of accounts that instances make for themselves begin with.
pub const ACCOUNT_PREFIX: &str = "DDMRW";

/// Characters of such an account's password.
const PASSWORD_LENGTH: usize = 32;

/// A data node as `ddm up` or an operator registers it.
#[derive(Clone, Debug)]
pub struct DataNodeRegistration {
    /// Its id.
    pub id: DataNodeId,
    /// Its name.
    pub name: String,
    /// Where its primary listens.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// Its administrator.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Secret,
    /// Read replicas: id, host, port.
    pub replicas: Vec<(DataNodeId, String, u16)>,
    /// These are all: no others are looked for.
    pub replicas_named: bool,
    /// Its AZ.
    pub availability_zone: String,
}

/// Why a data node cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The server does not answer or refuses.
    #[error("the data node cannot be used: {0}")]
    Server(#[from] AdminError),
    /// The server is not set up as it must be.
    #[error("the data node is not fit: {}", .0.join("; "))]
    NotFit(Vec<String>),
    /// The store failed.
    #[error(transparent)]
    App(#[from] AppError),
}

pub(crate) fn admin_context(id: &DataNodeId) -> String {
    format!("data-node/{id}/admin")
}

fn binding_context(id: &DataNodeId, part: &str) -> String {
    format!("data-node/{id}/binding/{part}")
}

impl App {
    /// Registers a data node, or takes over what changed about a known one (address, administrator,
    /// replicas). An instance that uses it goes on using it.
    pub async fn register_data_node(
        &self,
        new: DataNodeRegistration,
    ) -> Result<(), RegistrationError> {
        let login =
            AdminLogin::new(&*new.host, new.port, &*new.admin_user, new.admin_password.clone());
        let facts = self.data_nodes.probe(&login).await?;
        let problems = facts.problems();
        if !problems.is_empty() {
            return Err(RegistrationError::NotFit(problems));
        }
        let mut tries = Tries::default();
        loop {
            let before: Option<Versioned<DataNodeRecord>> =
                self.get(&DataNodeRecord::key_of(&new.id)).await?;
            let record = self.registered(&new, &facts, before.as_ref().map(|before| &before.value));
            let done =
                match (&before, record.binding.as_ref().map(|binding| binding.instance_id.clone()))
                {
                    (Some(before), Some(instance_id)) => {
                        let mut change = self.change(&instance_id).await?;
                        change.update(before, &record);
                        change.commit().await?.is_some()
                    }
                    (before, _) => {
                        let condition = before
                            .as_ref()
                            .map_or_else(|| typed::absent(&record), Versioned::unchanged);
                        let outcome =
                            self.store.txn(vec![condition], vec![typed::put(&record)]).await;
                        matches!(outcome.map_err(AppError::from)?, TxnOutcome::Committed(_))
                    }
                };
            if done {
                return Ok(());
            }
            tries.again()?;
        }
    }

    fn registered(
        &self,
        new: &DataNodeRegistration,
        facts: &ServerFacts,
        before: Option<&DataNodeRecord>,
    ) -> DataNodeRecord {
        DataNodeRecord {
            id: new.id.clone(),
            name: new.name.clone(),
            host: new.host.clone(),
            port: new.port,
            server_version: facts.version.clone(),
            server_uuid: facts.server_uuid.clone(),
            admin_user: new.admin_user.clone(),
            admin_password: self.seal(&admin_context(&new.id), new.admin_password.expose()),
            replicas: registered_replicas(new, before),
            replicas_named: new.replicas_named
                || before.is_some_and(|before| before.as_registered().replicas_named),
            availability_zone: new.availability_zone.clone(),
            read_weight: before.map_or(PRIMARY_WEIGHT, |before| before.read_weight),
            created_ms: before.map_or_else(now_ms, |before| before.created_ms),
            binding: before.and_then(|before| before.binding.clone()),
            pending: None,
        }
    }

    /// `GET /v1/{project_id}/instances/{instance_id}/rds`
    pub async fn list_available_data_nodes(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<AvailableDataNodesResponse, ApiError> {
        let all = self.available_data_nodes(project, instance_id).await?;
        let total = total(&all);
        let instances = page.cut(all).into_iter().map(|(node, facts)| AvailableDataNode {
            id: node.id.to_string(),
            project_id: project.to_string(),
            status: "normal".to_owned(),
            engine_name: "mysql".to_owned(),
            engine_software_version: version_number(&facts.version).to_owned(),
            private_ip: node.host,
            mode: if node.replicas.is_empty() { "Single".to_owned() } else { "Ha".to_owned() },
            port: node.port,
            az_code: node.availability_zone,
            time_zone: facts.time_zone,
            name: node.name,
        });
        Ok(AvailableDataNodesResponse {
            instances: instances.collect(),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/available-data-nodes`
    pub async fn list_available_data_nodes_v3(
        &self,
        project: &ProjectId,
        instance_id: &str,
        page: Page,
    ) -> Result<AvailableDataNodesV3Response, ApiError> {
        let all = self.available_data_nodes(project, instance_id).await?;
        let total = total(&all);
        let data_nodes = page.cut(all).into_iter().map(|(node, facts)| AvailableDataNodeV3 {
            id: node.id.to_string(),
            status: "normal".to_owned(),
            engine_name: "mysql".to_owned(),
            engine_version: version_number(&facts.version).to_owned(),
            private_ip: node.host,
            port: node.port,
            time_zone: facts.time_zone,
            name: node.name,
        });
        Ok(AvailableDataNodesV3Response {
            data_nodes: data_nodes.collect(),
            offset: page.offset,
            limit: page.limit,
            total,
        })
    }

    /// Those that no other instance uses, that answer and that are fit, by name.
    async fn available_data_nodes(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Vec<(DataNodeRecord, ServerFacts)>, ApiError> {
        let instance = self.instance(project, id).await?.value;
        let free = |node: &DataNodeRecord| {
            node.binding.as_ref().is_none_or(|binding| binding.instance_id == instance.id)
        };
        let nodes: Vec<DataNodeRecord> =
            self.all_data_nodes().await?.into_iter().map(|node| node.value).filter(free).collect();
        let facts = join_all(nodes.iter().map(|node| self.fit_facts(node))).await;
        let fit =
            nodes.into_iter().zip(facts).filter_map(|(node, facts)| Some((node, facts.ok()?)));
        let mut fit: Vec<(DataNodeRecord, ServerFacts)> = fit.collect();
        fit.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        Ok(fit)
    }

    pub(crate) async fn all_data_nodes(&self) -> Result<Vec<Versioned<DataNodeRecord>>, AppError> {
        self.list(DataNodeRecord::PREFIX).await
    }

    /// What is wrong with a data node now.
    pub(crate) async fn problem_of(&self, node: &DataNodeRecord) -> Option<String> {
        self.fit_facts(node).await.err()
    }

    /// What a data node is now; an error says what is wrong with it.
    async fn fit_facts(&self, node: &DataNodeRecord) -> Result<ServerFacts, String> {
        let login = self.admin_login(node).map_err(|error| error.to_string())?;
        let facts = self.data_nodes.probe(&login).await.map_err(|error| error.to_string())?;
        match facts.problems().into_iter().next() {
            None => Ok(facts),
            Some(problem) => Err(problem),
        }
    }

    /// The administrator as registered.
    pub(crate) fn admin_login(&self, node: &DataNodeRecord) -> Result<AdminLogin, AppError> {
        let password = self.unseal(&admin_context(&node.id), &node.admin_password)?;
        Ok(AdminLogin::new(&*node.host, node.port, &*node.admin_user, password))
    }

    /// The administrator that the instance was given.
    pub(crate) fn binding_admin(&self, node: &DataNodeRecord) -> Result<AdminLogin, AppError> {
        let Some(binding) = &node.binding else { return self.admin_login(node) };
        let password = self.unseal(&binding_context(&node.id, "admin"), &binding.admin_password)?;
        Ok(AdminLogin::new(&*node.host, node.port, &*binding.admin_user, password))
    }

    /// The password of the instance's own account there.
    pub(crate) fn binding_password(
        &self,
        id: &DataNodeId,
        binding: &BindingRecord,
    ) -> Result<Secret, AppError> {
        self.unseal(&binding_context(id, "password"), &binding.password)
    }

    /// The password of the administrator that the instance is given.
    pub(crate) fn seal_binding_admin(&self, id: &DataNodeId, password: &Secret) -> Sealed {
        self.seal(&binding_context(id, "admin"), password.expose())
    }

    /// The account that the instance made for itself there.
    pub(crate) fn own_login(&self, node: &DataNodeRecord) -> Result<AdminLogin, AppError> {
        let Some(binding) = &node.binding else {
            return Err(AppError::Broken(format!("data node {} is not bound", node.id)));
        };
        let password = self.binding_password(&node.id, binding)?;
        Ok(AdminLogin::new(&*node.host, node.port, &*binding.user, password))
    }

    /// An instance's new use of a data node; an old one keeps its account and takes the new
    /// administrator.
    pub(crate) fn bind(
        &self,
        node: &DataNodeRecord,
        instance_id: &InstanceId,
        login: &DataNodeLogin,
    ) -> BindingRecord {
        let admin_password = self.seal_binding_admin(&node.id, &login.password);
        match &node.binding {
            Some(binding) => {
                BindingRecord { admin_user: login.user.clone(), admin_password, ..binding.clone() }
            }
            None => BindingRecord {
                instance_id: instance_id.clone(),
                user: account_name(&node.id),
                password: self.seal(
                    &binding_context(&node.id, "password"),
                    base::secret::random_password(PASSWORD_LENGTH).expose(),
                ),
                admin_user: login.user.clone(),
                admin_password,
            },
        }
    }

    /// Makes the helper database and the instance's account, with rights on `schema`'s databases.
    pub(crate) async fn ensure_data_node_account(
        &self,
        node: &DataNodeRecord,
        schema: &str,
    ) -> Result<(), DataNodeError> {
        let Some(binding) = &node.binding else {
            return Err(AppError::Broken(format!("data node {} is not bound", node.id)).into());
        };
        let login = self.binding_admin(node)?;
        let facts = self.data_nodes.probe(&login).await?;
        self.data_nodes.create_database(&login, HELPER_DATABASE, "utf8mb4", "utf8mb4_bin").await?;
        let account = DataNodeAccount {
            user: binding.user.clone(),
            host: "%".to_owned(),
            password: self.binding_password(&node.id, binding)?,
            grants: vec![
                Grant::everywhere(global_privileges(facts.is_mariadb)),
                Grant {
                    privileges: "ALL PRIVILEGES".to_owned(),
                    on: format!("`{}`.*", HELPER_DATABASE.replace('_', "\\_")),
                },
                Grant::on_databases_with_prefix(&shard_prefix(schema), "ALL PRIVILEGES"),
            ],
        };
        Ok(self.data_nodes.ensure_account(&login, &account).await?)
    }

    /// Takes the instance's account away, and the helper database too when its data are not wanted.
    pub(crate) async fn drop_data_node_account(
        &self,
        node: &DataNodeRecord,
        drop_helper: bool,
    ) -> Result<(), DataNodeError> {
        let Some(binding) = &node.binding else { return Ok(()) };
        let login = self.binding_admin(node)?;
        self.data_nodes.drop_account(&login, &binding.user, "%").await?;
        if drop_helper {
            self.data_nodes.drop_database(&login, HELPER_DATABASE).await?;
        }
        Ok(())
    }

    /// Takes the rights on a schema's databases from an account that stays.
    pub(crate) async fn revoke_schema(
        &self,
        node: &DataNodeRecord,
        schema: &str,
    ) -> Result<(), DataNodeError> {
        let Some(binding) = &node.binding else { return Ok(()) };
        let login = self.binding_admin(node)?;
        let on = Grant::on_databases_with_prefix(&shard_prefix(schema), "ALL PRIVILEGES").on;
        let sql = format!("REVOKE ALL PRIVILEGES ON {on} FROM '{}'@'%'", binding.user);
        match self.data_nodes.execute(&login, &sql).await {
            // There is no such grant (1141), or no such account (1133, 1269): nothing to revoke.
            Err(error) if matches!(error.number(), Some(1141 | 1133 | 1269)) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// The replicas of a registration: those that it names, with what is known of them, and those of a
/// known data node that were found or named since.
fn registered_replicas(
    new: &DataNodeRegistration,
    before: Option<&DataNodeRecord>,
) -> Vec<ReplicaRecord> {
    let before = before.map(DataNodeRecord::as_registered);
    let old = before.as_ref().map(|before| before.replicas.as_slice()).unwrap_or_default();
    let named = before.as_ref().is_some_and(|before| before.replicas_named);
    // One that was lost for a while and found again has another id until now.
    let known = |(id, host, port): &(DataNodeId, String, u16)| {
        let there = |old: &&ReplicaRecord| old.host == *host && old.port == *port;
        old.iter().find(|old| old.id == *id).or_else(|| old.iter().find(there))
    };
    let of_registration = new.replicas.iter().filter(|one| !named || known(one).is_some());
    let of_registration = of_registration.map(|one| ReplicaRecord {
        id: one.0.clone(),
        host: one.1.clone(),
        port: one.2,
        server_id: known(one).and_then(|old| old.server_id),
        read_weight: known(one).map_or(REPLICA_WEIGHT, |old| old.read_weight),
    });
    let mut all: Vec<ReplicaRecord> = of_registration.collect();
    for old in old {
        let there = |one: &ReplicaRecord| {
            one.id == old.id || (one.host == old.host && one.port == old.port)
        };
        if all.len() < REPLICAS_MAX && !all.iter().any(there) {
            all.push(old.clone());
        }
    }
    all
}

/// Why work on a data node failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataNodeError {
    /// The data node.
    #[error(transparent)]
    Server(#[from] AdminError),
    /// Our side.
    #[error(transparent)]
    App(#[from] AppError),
}

impl From<DataNodeError> for job_engine::StepError {
    fn from(error: DataNodeError) -> Self {
        match error {
            DataNodeError::Server(error) if error.is_transient() => Self::transient(error),
            DataNodeError::Server(error) => Self::permanent(error),
            DataNodeError::App(error) => error.into(),
        }
    }
}

/// What a node needs beyond its databases: to see and end connections, to read the position of the
/// binary log, and to find transactions that a crash left prepared.
fn global_privileges(is_mariadb: bool) -> &'static str {
    if is_mariadb {
        "PROCESS, RELOAD, BINLOG MONITOR, REPLICA MONITOR, REPLICATION SLAVE, CONNECTION ADMIN"
    } else {
        "PROCESS, RELOAD, REPLICATION CLIENT, REPLICATION SLAVE, CONNECTION_ADMIN, XA_RECOVER_ADMIN"
    }
}

/// What the names of a schema's physical databases begin with.
pub(crate) fn shard_prefix(schema: &str) -> String {
    format!("{schema}_")
}

/// The account that an instance makes for itself on a data node.
pub fn account_name(id: &DataNodeId) -> String {
    let hash = digest(&SHA256, id.as_str().as_bytes());
    format!("{ACCOUNT_PREFIX}{}", hex(&hash.as_ref()[..8]))
}

/// `10.11.6` of `10.11.6-MariaDB-log`.
pub(crate) fn version_number(version: &str) -> &str {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    &version[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_named_after_the_data_node() {
        let (one, two) = (DataNodeId::from_random([1; 16]), DataNodeId::from_random([2; 16]));
        assert!(account_name(&one).starts_with("DDMRW") && account_name(&one).len() <= 32);
        assert_eq!(account_name(&one), account_name(&one));
        assert_ne!(account_name(&one), account_name(&two));
        assert_eq!(version_number("10.11.6-MariaDB-log"), "10.11.6");
        assert_eq!(version_number("8.0.36"), "8.0.36");
    }
}

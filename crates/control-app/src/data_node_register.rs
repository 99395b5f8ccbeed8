//! The operator's side of data nodes: servers of one's own are registered, looked at and taken off
//! again. What is registered is checked first: reachable, fit, with an administrator that may do
//! what it must.

use crate::app::App;
use crate::data_node::{DataNodeRegistration, RegistrationError};
use crate::error::AppError;
use base::api_error::{
    ApiError, CONFLICT, CONNECTIVITY_CHECK_FAILED, DATA_NODE_ADMIN_WRONG, LOWER_CASE_NAMES_WRONG,
    NOT_FOUND, PRECHECK_FAILED,
};
use base::id::DataNodeId;
use control_api::data_node::NewDataNode;
use control_store::record::Versioned;
use control_store::records::data_node::DataNodeRecord;
use control_store::{TxnOutcome, typed};
use provision::{AdminError, AdminLogin};

impl App {
    /// All registered data nodes, by name.
    pub async fn registered_data_nodes(&self) -> Result<Vec<DataNodeRecord>, ApiError> {
        let mut nodes: Vec<DataNodeRecord> =
            self.all_data_nodes().await?.into_iter().map(|node| node.value).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        Ok(nodes)
    }

    /// Registers a server that is not registered yet.
    pub async fn add_data_node(&self, new: NewDataNode) -> Result<DataNodeRecord, ApiError> {
        let availability_zone = self.zone(new.availability_zone)?;
        for known in self.registered_data_nodes().await? {
            if known.name == new.name {
                return Err(taken(
                    "name",
                    "a data node of this name is registered",
                    "已存在同名数据节点",
                ));
            }
            if known.listens_at(&new.host, new.port) {
                return Err(taken("host", "this server is registered already", "该服务器已注册"));
            }
        }
        for (at, (host, port)) in new.replicas.iter().flatten().enumerate() {
            let login = AdminLogin::new(host, *port, &*new.admin_user, new.admin_password.clone());
            self.data_nodes
                .probe(&login)
                .await
                .map_err(|error| server_error(&format!("replicas[{at}]"), &error))?;
        }
        let id = DataNodeId::random();
        let registration = DataNodeRegistration {
            id: id.clone(),
            name: new.name,
            host: new.host,
            port: new.port,
            admin_user: new.admin_user,
            admin_password: new.admin_password,
            replicas_named: new.replicas.is_some(),
            replicas: new
                .replicas
                .into_iter()
                .flatten()
                .map(|(host, port)| (DataNodeId::random(), host, port))
                .collect(),
            availability_zone,
        };
        self.register_data_node(registration).await.map_err(registration_error)?;
        Ok(self.registered_data_node(id.as_str()).await?.value)
    }

    /// Takes a data node off that no instance uses; the server itself is not touched.
    pub async fn remove_data_node(&self, id: &str) -> Result<(), ApiError> {
        let node = self.registered_data_node(id).await?;
        let used = || {
            ApiError::new(CONFLICT)
                .because("An instance uses the data node.", "数据节点正被实例使用。")
        };
        if node.value.binding.is_some() {
            return Err(used());
        }
        let writes = vec![typed::delete::<DataNodeRecord>(&DataNodeRecord::key_of(&node.value.id))];
        let outcome =
            self.store.txn(vec![node.unchanged()], writes).await.map_err(AppError::from)?;
        // Somebody changed it just now: most likely an instance took it.
        if matches!(outcome, TxnOutcome::Committed(_)) { Ok(()) } else { Err(used()) }
    }

    /// One registered data node.
    pub(crate) async fn registered_data_node(
        &self,
        id: &str,
    ) -> Result<Versioned<DataNodeRecord>, ApiError> {
        let missing =
            || ApiError::not_found(NOT_FOUND, "The data node does not exist.", "数据节点不存在。");
        let id = DataNodeId::parse(id).ok_or_else(missing)?;
        self.get(&DataNodeRecord::key_of(&id)).await?.ok_or_else(missing)
    }

    fn zone(&self, asked: Option<String>) -> Result<String, ApiError> {
        let known = &self.settings.availability_zones;
        let zone = asked.or_else(|| known.first().cloned()).unwrap_or_default();
        if known.contains(&zone) {
            return Ok(zone);
        }
        Err(ApiError::parameter("availability_zone", "is no known AZ", "可用区不存在"))
    }
}

pub(crate) fn taken(field: &str, english: &str, chinese: &str) -> ApiError {
    ApiError::new(CONFLICT).field(field).because(english, chinese)
}

pub(crate) fn registration_error(error: RegistrationError) -> ApiError {
    match error {
        RegistrationError::Server(error) => server_error("host", &error),
        RegistrationError::NotFit(problems) => {
            let names = problems.iter().any(|problem| problem.contains("lower_case_table_names"));
            let text = problems.join("; ");
            let code = if names { LOWER_CASE_NAMES_WRONG } else { PRECHECK_FAILED };
            ApiError::new(code).because(text.clone(), text)
        }
        RegistrationError::App(error) => error.into(),
    }
}

pub(crate) fn server_error(field: &str, error: &AdminError) -> ApiError {
    let code = match error {
        AdminError::AuthFailed { .. } => DATA_NODE_ADMIN_WRONG,
        AdminError::Unreachable { .. } | AdminError::Timeout { .. } => CONNECTIVITY_CHECK_FAILED,
        _ => PRECHECK_FAILED,
    };
    let text = error.to_string();
    ApiError::new(code).field(field).because(text.clone(), text)
}

//! Instances: buy, list, detail, rename, restart, delete. Buying takes the addresses and writes the
//! nodes at once, in the transaction that makes the instance; the job then brings them up.

use crate::app::App;
use crate::change::{Change, Tries};
use crate::engine;
use crate::error::{AppError, instance_missing};
use crate::flavor;
use crate::jobs::{
    DeleteParams, INSTANCE_CREATE, INSTANCE_DELETE, INSTANCE_RENAME, INSTANCE_RESTART,
    RenameParams, RestartParams, instance_lock,
};
use crate::node;
use crate::password;
use crate::reconcile::mirror::WantedNode;
use crate::time::{now_ms, text};
use base::api_error::{ApiError, QUOTA_EXCEEDED, SERVER_FAILURE};
use base::id::{GroupId, InstanceId, NodeId, ProjectId, hex, random_bytes};
use control_api::instance::{
    Charge, CreateInstanceResponse, DeleteInstanceResponse, InstanceNode, InstanceRow,
    ListInstancesResponse, NewInstance, RenameInstanceResponse, RestartInstanceResponse,
    RestartKind, ShowInstanceResponse,
};
use control_api::paging::Page;
use control_store::by_project::{self, Listed, OfProject};
use control_store::jobs::{LOCK_PREFIX, creation};
use control_store::record::Versioned;
use control_store::records::address::AddressRecord;
use control_store::records::instance::{
    ChargeRecord, InstanceConfiguration, InstanceRecord, InstanceStatus,
};
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::records::order::{OrderRecord, Purchase};
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::{TxnOutcome, typed};
use job_engine::NewJob;
use std::net::Ipv4Addr;
use topology::parameters::Parameters;

impl App {
    /// `POST /v1/{project_id}/instances`
    pub async fn create_instance(
        &self,
        project: &ProjectId,
        new: NewInstance,
    ) -> Result<CreateInstanceResponse, ApiError> {
        self.check_new(&new)?;
        if let Some(administrator) = &new.administrator {
            let (name, password) = (&administrator.name, administrator.password.expose());
            password::refuse_weak("admin_password", name, password)?;
        }
        let template = new.parameter_template_id.as_deref();
        let parameters = self.bought_parameters(project, template).await?;
        let mut tries = Tries::default();
        loop {
            if let Some(made) = self.try_create_instance(project, &new, &parameters).await? {
                return Ok(made);
            }
            tries.again()?;
        }
    }

    /// What the request names must exist.
    fn check_new(&self, new: &NewInstance) -> Result<(), ApiError> {
        let settings = &self.settings;
        flavor::resolve(&new.flavor)?;
        engine::resolve(&new.engine)?;
        if let Some(zone) =
            new.availability_zones.iter().find(|zone| !settings.availability_zones.contains(zone))
        {
            return Err(ApiError::parameter(
                "available_zones",
                format!("{zone} is no known AZ"),
                format!("可用区{zone}不存在"),
            ));
        }
        if new.vpc_id != settings.vpc_id {
            return Err(ApiError::parameter("vpc_id", "is no known VPC", "VPC不存在"));
        }
        if new.subnet_id != settings.subnet_id {
            return Err(ApiError::parameter(
                "subnet_id",
                "is no known subnet of the VPC",
                "子网不存在",
            ));
        }
        Ok(())
    }

    /// One try; `None`: another call took an address first.
    async fn try_create_instance(
        &self,
        project: &ProjectId,
        new: &NewInstance,
        parameters: &Parameters,
    ) -> Result<Option<CreateInstanceResponse>, ApiError> {
        let group = new.security_group_id.as_ref().unwrap_or(&self.settings.security_group_id);
        let group = self.security_group_for_use(project, group, "security_group_id").await?;
        let present = by_project::count::<InstanceRecord>(&*self.store, project.as_str());
        if present.await.map_err(AppError::from)? >= total_of(self.settings.instances_max) {
            return Err(ApiError::new(QUOTA_EXCEEDED).because(
                format!("A project has at most {} instances.", self.settings.instances_max),
                format!("每个项目最多{}个实例。", self.settings.instances_max),
            ));
        }
        let count = usize::try_from(new.node_count).expect("at most 32 nodes") + 1;
        let addresses = self.unused_addresses(count).await?;
        let mut instance = self.new_record(project, new, addresses[0])?;
        instance.parameters = parameters.clone();
        let nodes = new_nodes(&instance, &addresses[1..]);

        let mut conditions = vec![typed::absent(&instance), group.unchanged()];
        let mut writes = vec![typed::put(&instance), instance.listed()];
        for ip in addresses {
            let address = AddressRecord { ip, instance_id: instance.id.clone() };
            conditions.push(typed::absent(&address));
            writes.push(typed::put(&address));
        }
        writes.extend(nodes.iter().map(typed::put));
        if let Some(administrator) = &new.administrator {
            writes.push(typed::put(&self.administrator_record(&instance.id, administrator)));
        }
        let paid_now = !matches!(new.charge, Charge::PrePaid { auto_pay: false, .. });
        if let Some(id) = &instance.order_id {
            writes.push(typed::put(&OrderRecord {
                id: id.clone(),
                project_id: project.clone(),
                instance_id: instance.id.clone(),
                purchase: Purchase::Instance,
                created_ms: instance.created_ms,
                paid_ms: paid_now.then_some(instance.created_ms),
            }));
        }
        let mut job_id = None;
        if paid_now {
            let row = self.creation_job(&instance)?;
            let (job_conditions, job_writes) = creation(&row);
            conditions.extend(job_conditions);
            writes.extend(job_writes);
            job_id = Some(row.id);
        }
        match self.store.txn(conditions, writes).await.map_err(AppError::from)? {
            TxnOutcome::Committed(_) => {}
            TxnOutcome::Conflict { key } if key.starts_with(LOCK_PREFIX) => {
                return Err(AppError::Busy.into());
            }
            TxnOutcome::Conflict { .. } => return Ok(None),
        }
        if let Some(id) = &job_id {
            self.jobs.launch(id);
        }
        // A job's id is answered for what is paid for its use; the others have their order's.
        let shown_job = if matches!(new.charge, Charge::PostPaid) { job_id } else { None };
        Ok(Some(CreateInstanceResponse {
            id: instance.id.to_string(),
            job_id: shown_job,
            order_id: instance.order_id,
        }))
    }

    fn creation_job(&self, instance: &InstanceRecord) -> Result<job_engine::JobRow, AppError> {
        let job = NewJob {
            project_id: instance.project_id.to_string(),
            instance_id: Some(instance.id.to_string()),
            instance_name: Some(instance.name.clone()),
            schema: None,
            locks: vec![instance_lock(&instance.id)],
            params: serde_json::json!({}),
        };
        self.jobs.new_row(INSTANCE_CREATE, job).map_err(|error| AppError::Broken(error.to_string()))
    }

    fn new_record(
        &self,
        project: &ProjectId,
        new: &NewInstance,
        access_ip: Ipv4Addr,
    ) -> Result<InstanceRecord, ApiError> {
        let now = now_ms();
        let (charge, order_id) = match new.charge {
            Charge::PostPaid => (ChargeRecord::PostPaid, None),
            Charge::PrePaid { months, auto_renew, .. } => {
                (ChargeRecord::PrePaid { months, auto_renew }, Some(hex(&random_bytes::<16>())))
            }
        };
        Ok(InstanceRecord {
            id: InstanceId::random(),
            project_id: project.clone(),
            name: new.name.clone(),
            status: InstanceStatus::Creating,
            error: None,
            condemned: false,
            created_ms: now,
            updated_ms: now,
            flavor_code: flavor::resolve(&new.flavor)?.code.to_owned(),
            engine_version: engine::resolve(&new.engine)?.to_owned(),
            enterprise_project_id: new.enterprise_project_id.clone(),
            availability_zones: new.availability_zones.clone(),
            vpc_id: new.vpc_id.clone(),
            subnet_id: new.subnet_id.clone(),
            security_group_id: new
                .security_group_id
                .clone()
                .unwrap_or_else(|| self.settings.security_group_id.clone()),
            time_zone: new.time_zone.clone(),
            group_id: GroupId::random(),
            access_ip,
            port: self.settings.mysql_port,
            parameters: Parameters::default(),
            configuration: InstanceConfiguration::default(),
            enable_ssl: true,
            charge,
            order_id,
        })
    }

    /// `GET /v1/{project_id}/instances`
    pub async fn list_instances(
        &self,
        project: &ProjectId,
        page: Page,
    ) -> Result<ListInstancesResponse, ApiError> {
        let Listed { rows, total } = self.instances_of(project, page).await?;
        let nodes = self.wanted_nodes_of(&rows).await?;
        let instances = rows
            .iter()
            .zip(&nodes)
            .map(|(instance, nodes)| self.row(&instance.value, nodes))
            .collect();
        Ok(ListInstancesResponse {
            instances,
            instance_num: total,
            page_no: page.number(),
            page_size: page.limit,
            total_record: total,
            total_page: page.count(total),
        })
    }

    /// `GET /v1/{project_id}/instances/{instance_id}`
    pub async fn show_instance(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<ShowInstanceResponse, ApiError> {
        let instance = self.instance(project, id).await?.value;
        let nodes = self.nodes_of(&instance.id).await?;
        let known: Vec<WantedNode> = nodes.iter().map(|node| (&node.value).into()).collect();
        let administrator = Self::administrator_name(&self.accounts(&instance.id).await?);
        Ok(ShowInstanceResponse {
            row: self.row(&instance, &known),
            nodes: nodes
                .iter()
                .map(|node| InstanceNode {
                    status: self.node_status(&instance, &node.value).in_instance_calls().to_owned(),
                    port: instance.port.to_string(),
                    ip: node.value.ip.to_string(),
                    group_id: node.value.group_id.to_string(),
                    node_id: node.value.id.to_string(),
                })
                .collect(),
            admin_username: administrator.clone(),
            admin_user_name: administrator,
        })
    }

    /// `PUT /v1/{project_id}/instances/{instance_id}/modify-name`: answers when it is so.
    pub async fn rename_instance(
        &self,
        project: &ProjectId,
        id: &str,
        name: String,
    ) -> Result<RenameInstanceResponse, ApiError> {
        let job_id = self.begin_rename(project, id, name.clone()).await?;
        self.require_done(&job_id, SERVER_FAILURE).await?;
        Ok(RenameInstanceResponse { name })
    }

    /// `PUT /v3/{project_id}/instances/{instance_id}/name`: the job that does it.
    pub async fn begin_rename(
        &self,
        project: &ProjectId,
        id: &str,
        name: String,
    ) -> Result<String, ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, id).await?;
            require_running(&change.instance)?;
            let params = RenameParams { before: change.instance.name.clone(), after: name.clone() };
            change.instance.status = InstanceStatus::ModifyName;
            change.start_job(
                INSTANCE_RENAME,
                instance_lock(&change.instance.id.clone()),
                None,
                serde_json::to_value(params).expect("parameters are plain data"),
            )?;
            if let Some(committed) = change.commit().await? {
                return Ok(committed.into_job_id());
            }
            tries.again()?;
        }
    }

    /// `POST /v1/{project_id}/instances/{instance_id}/action`
    pub async fn restart_instance(
        &self,
        project: &ProjectId,
        id: &str,
        kind: RestartKind,
    ) -> Result<RestartInstanceResponse, ApiError> {
        let params = serde_json::to_value(RestartParams { kind, node_id: None })
            .expect("parameters are plain data");
        let (instance, job_id) = self
            .start_instance_job(project, id, InstanceStatus::Restarting, INSTANCE_RESTART, params)
            .await?;
        Ok(RestartInstanceResponse {
            instance_id: instance.id.to_string(),
            instance_name: instance.name,
            job_id,
        })
    }

    /// `DELETE /v1/{project_id}/instances/{instance_id}`
    pub async fn delete_instance(
        &self,
        project: &ProjectId,
        id: &str,
        delete_data: bool,
    ) -> Result<DeleteInstanceResponse, ApiError> {
        let params =
            serde_json::to_value(DeleteParams { delete_data }).expect("parameters are plain data");
        let (instance, job_id) = self
            .start_instance_job(project, id, InstanceStatus::Deleting, INSTANCE_DELETE, params)
            .await?;
        Ok(DeleteInstanceResponse { id: instance.id.to_string(), job_id })
    }

    /// A job on a whole instance: its status allows it, and no schema is being worked on.
    pub(crate) async fn start_instance_job(
        &self,
        project: &ProjectId,
        id: &str,
        status: InstanceStatus,
        kind: &str,
        params: serde_json::Value,
    ) -> Result<(InstanceRecord, String), ApiError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.change_of(project, id).await?;
            let deletes = status == InstanceStatus::Deleting;
            if !change.instance.status.may_become(status) || (change.instance.condemned && !deletes)
            {
                return Err(not_allowed(change.instance.status));
            }
            self.require_idle_schemas(&change).await?;
            change.instance.status = status;
            change.instance.error = None;
            change.instance.condemned |= deletes;
            change.start_job(
                kind,
                instance_lock(&change.instance.id.clone()),
                None,
                params.clone(),
            )?;
            let instance = change.instance.clone();
            if let Some(committed) = change.commit().await? {
                return Ok((instance, committed.into_job_id()));
            }
            tries.again()?;
        }
    }

    pub(crate) async fn require_idle_schemas(&self, change: &Change<'_>) -> Result<(), ApiError> {
        let schemas: Vec<Versioned<SchemaRecord>> =
            self.list(&SchemaRecord::prefix_of(&change.instance.id)).await?;
        let busy = |schema: &SchemaRecord| {
            matches!(schema.status, SchemaStatus::Creating | SchemaStatus::Deleting)
        };
        match schemas.iter().find(|schema| busy(&schema.value)) {
            None => Ok(()),
            Some(schema) => {
                let (name, status) = (&schema.value.name, schema.value.status.name());
                Err(ApiError::state(
                    format!("Schema {name} is {status}."),
                    format!("逻辑库{name}的状态为{status}。"),
                ))
            }
        }
    }

    /// A page of the instances of a project, the newest first.
    pub(crate) async fn instances_of(
        &self,
        project: &ProjectId,
        page: Page,
    ) -> Result<Listed<InstanceRecord>, AppError> {
        let all = by_project::all::<InstanceRecord>(project.as_str());
        Ok(by_project::list(&*self.store, &all, page.offset, page.rows()).await?)
    }

    /// All instances of a project, as many as it may have.
    pub(crate) async fn all_instances_of(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<InstanceRecord>, AppError> {
        let all = by_project::all::<InstanceRecord>(project.as_str());
        let listed = by_project::list(&*self.store, &all, 0, self.settings.instances_max).await?;
        Ok(listed
            .rows
            .into_iter()
            .map(|instance: Versioned<InstanceRecord>| instance.value)
            .collect())
    }

    /// An instance of this project.
    pub(crate) async fn instance(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Versioned<InstanceRecord>, ApiError> {
        let id = InstanceId::parse(id).ok_or_else(instance_missing)?;
        let found: Option<Versioned<InstanceRecord>> =
            self.get(&InstanceRecord::key_of(&id)).await?;
        found.filter(|instance| instance.value.project_id == *project).ok_or_else(instance_missing)
    }

    pub(crate) fn row(&self, instance: &InstanceRecord, nodes: &[WantedNode]) -> InstanceRow {
        let class = flavor::by_code(&instance.flavor_code);
        let worst = nodes.iter().map(|node| self.status_of(instance, &node.id, node.stage)).max();
        let node_status = worst.unwrap_or(node::NodeStatus::Normal).in_instance_calls();
        InstanceRow {
            id: instance.id.to_string(),
            status: instance.status.name().to_owned(),
            name: instance.name.clone(),
            created: text(instance.created_ms),
            updated: text(instance.updated_ms),
            available_zone: instance.availability_zones.join(","),
            vpc_id: instance.vpc_id.clone(),
            subnet_id: instance.subnet_id.clone(),
            security_group_id: instance.security_group_id.clone(),
            node_count: u32::try_from(nodes.len()).expect("at most 32 nodes"),
            access_ip: instance.access_ip.to_string(),
            access_port: instance.port.to_string(),
            core_count: class.map_or(0, |class| class.vcpus).to_string(),
            ram_capacity: class.map_or(0, |class| class.memory_gb).to_string(),
            error_msg: instance.error.clone(),
            node_status: node_status.to_owned(),
            enterprise_project_id: instance.enterprise_project_id.clone(),
            project_id: instance.project_id.to_string(),
            engine_version: instance.engine_version.clone(),
            order_id: instance.order_id.clone(),
            enable_ssl: instance.enable_ssl,
            flavor_ref: instance.flavor_code.clone(),
        }
    }
}

fn total_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Nodes are spread over the AZs in turn.
fn new_nodes(instance: &InstanceRecord, addresses: &[Ipv4Addr]) -> Vec<NodeRecord> {
    let zones = instance.availability_zones.iter().cycle();
    let nodes = addresses.iter().zip(zones).enumerate().map(|(index, (ip, zone))| NodeRecord {
        id: NodeId::random(),
        instance_id: instance.id.clone(),
        name: format!("{}_node_{:02}", instance.name, index + 1),
        group_id: instance.group_id.clone(),
        availability_zone: zone.clone(),
        ip: *ip,
        stage: NodeStage::Creating,
        flavor_code: None,
        should_run: false,
        certificates: None,
    });
    nodes.collect()
}

/// Refuses what only a running instance allows.
pub(crate) fn require_running(instance: &InstanceRecord) -> Result<(), ApiError> {
    if instance.status == InstanceStatus::Running {
        Ok(())
    } else {
        Err(not_allowed(instance.status))
    }
}

fn not_allowed(status: InstanceStatus) -> ApiError {
    ApiError::state(
        format!("The instance is {}.", status.name()),
        format!("实例状态为{}。", status.name()),
    )
}

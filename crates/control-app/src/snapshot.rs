//! The snapshot of an instance, from its records. Schemas that nodes may not use yet are left out,
//! those that are going are marked as not ready. Its version is the greatest revision among its
//! inputs. That is the instance's own record's, for every change writes that too, or the security
//! group's, which many instances share: read after the instance, it is as new as the version says.

use crate::app::App;
use crate::error::AppError;
use base::id::{DataNodeId, InstanceId, NodeId};
use control_store::record::Versioned;
use control_store::records::account::AccountRecord;
use control_store::records::data_node::{BindingRecord, DataNodeRecord};
use control_store::records::instance::InstanceRecord;
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::records::schema::{SchemaRecord, SchemaStatus};
use control_store::records::security_group::SecurityGroupRecord;
use control_store::records::table::TableRecord;
use std::collections::{BTreeMap, BTreeSet};
use topology::access::{AccessList, AccessRule};
use topology::account::Account;
use topology::model::{DataNode, Replica, SNAPSHOT_FORM, Schema, Snapshot, Table};

/// Everything that a snapshot is made of.
#[derive(Debug)]
pub struct SnapshotInputs {
    /// The instance.
    pub instance: Versioned<InstanceRecord>,
    /// Its schemas.
    pub schemas: Vec<Versioned<SchemaRecord>>,
    /// Their tables.
    pub tables: Vec<Versioned<TableRecord>>,
    /// All data nodes.
    pub data_nodes: Vec<Versioned<DataNodeRecord>>,
    /// Its accounts.
    pub accounts: Vec<Versioned<AccountRecord>>,
    /// Its security group.
    pub security_group: Option<Versioned<SecurityGroupRecord>>,
    /// Its nodes.
    pub nodes: Vec<Versioned<NodeRecord>>,
    /// Its nodes that take reads alone.
    pub read_only_nodes: BTreeSet<NodeId>,
    /// The access lists of its nodes' groups.
    pub access_lists: BTreeMap<NodeId, AccessList>,
}

/// Reading the inputs is tried so often while they change.
const READ_TRIES_MAX: u32 = 32;

impl SnapshotInputs {
    /// The greatest revision of all that belongs to the instance.
    pub fn version(&self) -> u64 {
        let id = &self.instance.value.id;
        let schemas = self.schemas.iter().map(|schema| schema.mod_revision);
        let tables = self.tables.iter().map(|table| table.mod_revision);
        let accounts = self.accounts.iter().map(|account| account.mod_revision);
        let bound = self.data_nodes.iter().filter(|node| node.value.is_bound_to(id));
        let data_nodes = bound.map(|node| node.mod_revision);
        let group = self.security_group.iter().map(|group| group.mod_revision);
        schemas
            .chain(tables)
            .chain(group)
            .chain(accounts)
            .chain(data_nodes)
            .fold(self.instance.mod_revision, u64::max)
    }
}

impl App {
    /// The instance's snapshot; `None` when there is no such instance.
    pub async fn snapshot(&self, id: &InstanceId) -> Result<Option<Snapshot>, AppError> {
        for _ in 0..READ_TRIES_MAX {
            let Some(instance) = self.get::<InstanceRecord>(&InstanceRecord::key_of(id)).await?
            else {
                return Ok(None);
            };
            let inputs = SnapshotInputs {
                schemas: self.schemas(id).await?,
                tables: self.list(&TableRecord::prefix_of_instance(id)).await?,
                data_nodes: self.all_data_nodes().await?,
                accounts: self.accounts(id).await?,
                security_group: self
                    .get(&SecurityGroupRecord::key_of(&instance.value.security_group_id))
                    .await?,
                nodes: self.nodes_of(id).await?,
                read_only_nodes: self.read_only_nodes(id).await?,
                access_lists: self.access_lists(id).await?,
                instance,
            };
            // Whoever changes any of them writes the instance too: unchanged, it vouches for all.
            let after: Option<Versioned<InstanceRecord>> =
                self.get(&InstanceRecord::key_of(id)).await?;
            if after.is_some_and(|after| after.mod_revision == inputs.instance.mod_revision) {
                return self.build_snapshot(&inputs).map(Some);
            }
        }
        Err(AppError::Contended(READ_TRIES_MAX))
    }

    /// The snapshot of these inputs.
    pub fn build_snapshot(&self, inputs: &SnapshotInputs) -> Result<Snapshot, AppError> {
        let instance = &inputs.instance.value;
        let bound = inputs.data_nodes.iter().filter(|node| node.value.is_bound_to(&instance.id));
        let bound: BTreeSet<&DataNodeId> = bound.map(|node| &node.value.id).collect();
        // One that could not be made and is now deleted has let go of its data nodes already.
        let is_bound = |schema: &SchemaRecord| schema.data_nodes().is_subset(&bound);
        let shown: Vec<&SchemaRecord> = inputs
            .schemas
            .iter()
            .map(|schema| &schema.value)
            .filter(|schema| {
                schema.serving || (schema.status == SchemaStatus::Deleting && is_bound(schema))
            })
            .collect();
        let used: BTreeSet<_> = shown.iter().flat_map(|schema| schema.data_nodes()).collect();
        let mut data_nodes = BTreeMap::new();
        for node in
            inputs.data_nodes.iter().map(|node| &node.value).filter(|node| used.contains(&node.id))
        {
            let binding =
                node.binding.as_ref().filter(|binding| binding.instance_id == instance.id);
            let binding = binding.ok_or_else(|| {
                AppError::Broken(format!(
                    "data node {} has shards of an instance that does not use it",
                    node.id
                ))
            })?;
            data_nodes.insert(node.id.clone(), self.snapshot_data_node(node, binding)?);
        }
        let mut tables: BTreeMap<&str, BTreeMap<String, Table>> = BTreeMap::new();
        let mut recycled: BTreeMap<&str, BTreeMap<String, Table>> = BTreeMap::new();
        for record in inputs.tables.iter().map(|table| &table.value) {
            let name = record.table.name.to_lowercase();
            let place = if record.table.recycled.is_some() { &mut recycled } else { &mut tables };
            place.entry(&record.schema).or_default().insert(name, record.table.clone());
        }
        let schemas = shown.into_iter().map(|schema| {
            let tables = tables.remove(schema.name.as_str()).unwrap_or_default();
            let recycled = recycled.remove(schema.name.as_str()).unwrap_or_default();
            (schema.name.clone(), snapshot_schema(schema, tables, recycled))
        });
        let schemas = schemas.collect();
        let accounts = inputs.accounts.iter().map(|account| {
            let account = self.snapshot_account(&account.value)?;
            Ok((account.name.clone(), account))
        });
        Ok(Snapshot {
            form: SNAPSHOT_FORM,
            version: inputs.version(),
            instance_id: instance.id.clone(),
            instance_name: instance.name.clone(),
            data_nodes,
            schemas,
            accounts: accounts.collect::<Result<_, AppError>>()?,
            parameters: instance.parameters.clone(),
            node_count: node_count(&inputs.nodes),
            node_numbers: node_numbers(&inputs.nodes),
            read_only_nodes: inputs.read_only_nodes.clone(),
            client_access: Some(self.access_rules(inputs)),
            access_lists: inputs.access_lists.clone(),
            time_zone: Some(sql_offset(&instance.time_zone).to_owned()),
        })
    }

    /// Who may connect. Without its group nobody may: that is a fault of ours, and the safe side.
    fn access_rules(&self, inputs: &SnapshotInputs) -> Vec<AccessRule> {
        match &inputs.security_group {
            Some(group) => group.value.access_rules(),
            None => {
                let instance = &inputs.instance.value;
                tracing::error!(instance = %instance.id, group = instance.security_group_id, "the security group is not there");
                Vec::new()
            }
        }
    }

    fn snapshot_data_node(
        &self,
        node: &DataNodeRecord,
        binding: &BindingRecord,
    ) -> Result<DataNode, AppError> {
        Ok(DataNode {
            id: node.id.clone(),
            name: node.name.clone(),
            host: node.host.clone(),
            port: node.port,
            server_version: node.server_version.clone(),
            user: binding.user.clone(),
            password: self.binding_password(&node.id, binding)?,
            read_weight: node.read_weight,
            replicas: node
                .replicas
                .iter()
                .map(|replica| Replica {
                    id: replica.id.clone(),
                    host: replica.host.clone(),
                    port: replica.port,
                    read_weight: replica.read_weight,
                })
                .collect(),
        })
    }

    fn snapshot_account(&self, account: &AccountRecord) -> Result<Account, AppError> {
        Ok(Account {
            name: account.name.clone(),
            verifiers: self.open_verifiers(account)?,
            authorities: account.authorities.clone(),
            schemas: account.schemas.clone(),
            tables: account.tables.clone(),
            administrator: account.administrator,
            require_tls: false,
            password_expires_ms: account.password_expires_ms(),
        })
    }
}

/// A time zone of the API (`UTC`, `UTC+08:00`) as SQL has it.
fn sql_offset(zone: &str) -> &str {
    match zone.strip_prefix("UTC") {
        Some(offset) if !offset.is_empty() => offset,
        _ => "+00:00",
    }
}

/// The nodes that do or will serve.
fn node_count(nodes: &[Versioned<NodeRecord>]) -> u32 {
    let serving = nodes.iter().filter(|node| node.value.stage != NodeStage::CreateFailed).count();
    u32::try_from(serving).unwrap_or(u32::MAX)
}

/// The numbers of the nodes within their instance.
fn node_numbers(nodes: &[Versioned<NodeRecord>]) -> BTreeMap<NodeId, u32> {
    nodes.iter().filter_map(|node| Some((node.value.id.clone(), node.value.number()?))).collect()
}

fn snapshot_schema(
    schema: &SchemaRecord,
    tables: BTreeMap<String, Table>,
    recycled: BTreeMap<String, Table>,
) -> Schema {
    Schema {
        name: schema.name.clone(),
        mode: schema.mode,
        ready: schema.serving,
        character_set: schema.character_set.clone(),
        collation: schema.collation.clone(),
        shards: schema.shards.clone(),
        tables,
        recycled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_as_sql_has_them() {
        for (zone, offset) in [("UTC", "+00:00"), ("UTC+08:00", "+08:00"), ("UTC-12:00", "-12:00")]
        {
            assert_eq!(sql_offset(zone), offset);
        }
    }
}

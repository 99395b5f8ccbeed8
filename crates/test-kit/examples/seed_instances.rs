//! Writes many instances straight into the store of a stopped control plane, as `bench/api.py` needs
//! them: with nodes, addresses and certificates' worth of text, and listed like any other. None of
//! them runs; they have the status of instances that could not be made.
//!
//! `seed_instances DATA_DIR PROJECT COUNT`
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result};
use base::id::{GroupId, InstanceId, NodeId, ProjectId};
use control_store::by_project::OfProject;
use control_store::embedded::SqliteStore;
use control_store::records::Sealed;
use control_store::records::address::AddressRecord;
use control_store::records::instance::{
    ChargeRecord, InstanceConfiguration, InstanceRecord, InstanceStatus,
};
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::{Store, Write, typed};
use std::net::Ipv4Addr;
use std::path::Path;
use topology::parameters::Parameters;

const NODES: u32 = 2;

/// Sealed certificates and keys of a node, as text.
const CERTIFICATES_BYTES: usize = 4_000;

/// Instances that one transaction writes.
const BATCH: u32 = 500;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data_dir, project, count] = arguments.as_slice() else {
        anyhow::bail!("usage: seed_instances DATA_DIR PROJECT COUNT");
    };
    let project = ProjectId::parse(project).context("the project is no id")?;
    let count: u32 = count.parse()?;
    let path = Path::new(data_dir).join("meta").join("store.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(seed(&path, &project, count))?;
    println!("{count} instances");
    Ok(())
}

async fn seed(path: &Path, project: &ProjectId, count: u32) -> Result<()> {
    let store = SqliteStore::open(path)?;
    for first in (0..count).step_by(BATCH as usize) {
        let mut writes = Vec::new();
        for at in first..count.min(first + BATCH) {
            write_instance(&mut writes, project, at);
        }
        store.txn(Vec::new(), writes).await?;
    }
    Ok(())
}

/// The instance of this number with all that belongs to it. Its addresses are of no real subnet.
fn write_instance(writes: &mut Vec<Write>, project: &ProjectId, at: u32) {
    let address = |place: u32| Ipv4Addr::from(0x0a00_0000 + at * (NODES + 1) + place);
    let created_ms = 1_760_000_000_000 + i64::from(at) * 60_000;
    let instance = InstanceRecord {
        id: InstanceId::random(),
        project_id: project.clone(),
        name: format!("seeded-{at:05}"),
        status: InstanceStatus::CreateFailed,
        error: Some("seeded".to_owned()),
        condemned: false,
        created_ms,
        updated_ms: created_ms,
        flavor_code: "ddm.c6.large.2".to_owned(),
        engine_version: "2.4".to_owned(),
        enterprise_project_id: "0".to_owned(),
        availability_zones: vec!["az1".to_owned()],
        vpc_id: "vpc".to_owned(),
        subnet_id: "subnet".to_owned(),
        security_group_id: "group".to_owned(),
        time_zone: "UTC+00:00".to_owned(),
        group_id: GroupId::random(),
        access_ip: address(0),
        port: 5_066,
        parameters: Parameters::default(),
        configuration: InstanceConfiguration::default(),
        enable_ssl: true,
        charge: ChargeRecord::PostPaid,
        order_id: None,
    };
    for place in 1..=NODES {
        let id = NodeId::random();
        writes.push(typed::put(&NodeRecord {
            certificates: Some(Sealed(id.as_str().repeat(CERTIFICATES_BYTES / id.as_str().len()))),
            id,
            instance_id: instance.id.clone(),
            name: format!("{}_node_{place:02}", instance.name),
            group_id: instance.group_id.clone(),
            availability_zone: "az1".to_owned(),
            ip: address(place),
            stage: NodeStage::CreateFailed,
            flavor_code: None,
            should_run: false,
        }));
    }
    for place in 0..=NODES {
        let record = AddressRecord { ip: address(place), instance_id: instance.id.clone() };
        writes.push(typed::put(&record));
    }
    writes.extend([typed::put(&instance), instance.listed()]);
}

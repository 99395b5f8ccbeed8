//! DDM nodes as child processes of this machine, each with a directory `nodes/<node id>` that holds
//! its configuration, keys, snapshot, log and pid file. What is on disk is the truth: after a kill
//! of the control plane the next one finds its nodes there and adopts those that run.

mod node_files;
mod slot;

use crate::error::ProvisionError;
use crate::files;
use crate::hold::Held;
use crate::node::{NodeProvisioner, NodeSpec, NodeStarted, ObservedNode, Stop};
use crate::process::ProcessSpec;
use async_trait::async_trait;
use base::id::NodeId;
use node_files::NodeFiles;
use slot::Slot;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a node may take beyond its drain time to close its files.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// Runs nodes as child processes.
#[derive(Debug)]
pub struct ProcessProvisioner {
    ddm_binary: PathBuf,
    nodes_dir: PathBuf,
    slots: Mutex<HashMap<NodeId, Arc<tokio::sync::Mutex<Slot>>>>,
}

impl ProcessProvisioner {
    /// Nodes are run with this program and live under `root_dir/nodes`.
    pub fn new(ddm_binary: PathBuf, root_dir: PathBuf) -> Self {
        // Children have another working directory.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Self {
            ddm_binary: absolute(ddm_binary),
            nodes_dir: absolute(root_dir).join("nodes"),
            slots: Mutex::default(),
        }
    }

    /// Stops every node; for the end of the whole system. Goes on after a failure and returns the
    /// first.
    pub async fn stop_all(&self, stop: Stop) -> Result<(), ProvisionError> {
        let nodes = self.made_nodes()?;
        let stops = nodes.iter().map(|node_id| self.stop_node(node_id, stop));
        futures::future::join_all(stops).await.into_iter().collect()
    }

    fn slot(&self, node_id: &NodeId) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(node_id.clone()).or_default().clone()
    }

    fn directory(&self, node_id: &NodeId) -> PathBuf {
        self.nodes_dir.join(node_id.as_str())
    }

    fn process(&self, node_id: &NodeId) -> ProcessSpec {
        let directory = self.directory(node_id);
        ProcessSpec {
            name: format!("node {node_id}"),
            program: self.ddm_binary.clone(),
            arguments: vec![
                "node".into(),
                "--config".into(),
                NodeFiles::config_path(&directory).into_os_string(),
            ],
            directory,
            file_stem: "node",
        }
    }

    /// Ids of all nodes that have a directory.
    fn made_nodes(&self) -> Result<Vec<NodeId>, ProvisionError> {
        let entries = match std::fs::read_dir(&self.nodes_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ProvisionError::io("list", &self.nodes_dir)(error)),
        };
        let mut nodes: Vec<NodeId> = entries
            .flatten()
            .filter_map(|entry| NodeId::parse(entry.file_name().to_str()?))
            .collect();
        nodes.sort();
        Ok(nodes)
    }

    fn observe_one(&self, node_id: NodeId) -> Result<ObservedNode, ProvisionError> {
        let process = self.process(&node_id);
        let slot = self.slot(&node_id);
        let Ok(mut slot) = slot.try_lock() else {
            // Somebody starts or stops it this moment, which may take the whole drain time.
            let running = process.find_running()?;
            let pid = running.map(|identity| identity.pid.cast_unsigned());
            return Ok(ObservedNode {
                node_id,
                pid,
                running: pid.is_some(),
                exit: None,
                failures: 0,
                restart_in: Duration::ZERO,
            });
        };
        slot.refresh(&process)?;
        Ok(slot.observed(node_id))
    }
}

#[async_trait]
impl NodeProvisioner for ProcessProvisioner {
    async fn start_node(&self, spec: &NodeSpec) -> Result<NodeStarted, ProvisionError> {
        let process = self.process(&spec.node_id);
        let slot = self.slot(&spec.node_id);
        let mut slot = slot.lock().await;
        let node_files = NodeFiles::new(&process.directory, spec)?;
        node_files.write()?;
        slot.refresh(&process)?;
        if let Some(pid) = slot.running_pid() {
            let stale_config = !node_files.is_what_runs()?;
            return Ok(NodeStarted::AlreadyRunning { pid, stale_config });
        }
        node_files.note_started()?;
        let pid = slot.start(process)?;
        Ok(NodeStarted::New { pid })
    }

    async fn stop_node(&self, node_id: &NodeId, stop: Stop) -> Result<(), ProvisionError> {
        let process = self.process(node_id);
        if !exists(&process.directory) {
            return Ok(());
        }
        let slot = self.slot(node_id);
        let mut slot = slot.lock().await;
        slot.refresh(&process)?;
        match stop {
            Stop::Drain(time) => slot.stop(time + DRAIN_GRACE).await,
            Stop::Kill => slot.kill().await,
        }
    }

    async fn remove_node(&self, node_id: &NodeId) -> Result<(), ProvisionError> {
        self.stop_node(node_id, Stop::Kill).await?;
        files::remove_dir(&self.directory(node_id))?;
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(node_id);
        Ok(())
    }

    async fn observe(&self) -> Result<Vec<ObservedNode>, ProvisionError> {
        self.made_nodes()?.into_iter().map(|node_id| self.observe_one(node_id)).collect()
    }

    fn hold(&self, addresses: &[SocketAddr]) -> Result<Held, ProvisionError> {
        Held::at(addresses)
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

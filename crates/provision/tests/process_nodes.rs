//! The process provisioner with a script in the place of `ddm`: every call twice, crashes with
//! back-off, adoption by a second provisioner.
#![allow(clippy::unwrap_used)]

mod common;

use base::id::{InstanceId, NodeId};
use base::secret::Secret;
use common::TestDir;
use provision::process_nodes::ProcessProvisioner;
use provision::{NodeProvisioner, NodeSpec, NodeStarted, NodeTls, ObservedNode, Stop};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DRAIN: Stop = Stop::Drain(Duration::from_secs(5));

fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("ddm");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn spec() -> NodeSpec {
    NodeSpec {
        node_id: NodeId::random(),
        instance_id: InstanceId::random(),
        listen: vec!["127.77.0.2:5066".parse().unwrap()],
        shared_listen: vec!["127.77.0.3:5066".parse().unwrap()],
        control_plane: vec!["127.0.0.1:7000".parse().unwrap()],
        tls: NodeTls {
            ca_pem: "ca".to_owned(),
            cert_pem: "cert".to_owned(),
            key_pem: Secret::new("key"),
            mysql_cert_pem: "mysql cert".to_owned(),
            mysql_key_pem: Secret::new("mysql key"),
        },
        worker_threads: 2,
        memory_limit_mb: 512,
        admin_listen: None,
    }
}

async fn only(provisioner: &ProcessProvisioner) -> ObservedNode {
    let mut observed = provisioner.observe().await.unwrap();
    assert_eq!(observed.len(), 1);
    observed.remove(0)
}

const SERVES: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

#[tokio::test]
async fn every_call_may_be_repeated() {
    let dir = TestDir::new("nodes");
    let provisioner = ProcessProvisioner::new(program(dir.path(), SERVES), dir.path().to_owned());
    assert_eq!(provisioner.observe().await.unwrap(), []);
    let mut spec = spec();
    let NodeStarted::New { pid } = provisioner.start_node(&spec).await.unwrap() else {
        panic!("not new")
    };
    let again = provisioner.start_node(&spec).await.unwrap();
    assert_eq!(again, NodeStarted::AlreadyRunning { pid, stale_config: false });
    spec.worker_threads = 4;
    let again = provisioner.start_node(&spec).await.unwrap();
    assert_eq!(again, NodeStarted::AlreadyRunning { pid, stale_config: true });

    let node = only(&provisioner).await;
    assert_eq!((node.node_id, node.pid, node.running), (spec.node_id.clone(), Some(pid), true));
    for stop in [DRAIN, DRAIN, Stop::Kill] {
        provisioner.stop_node(&spec.node_id, stop).await.unwrap();
    }
    let node = only(&provisioner).await;
    assert_eq!((node.pid, node.running, node.failures), (None, false, 0));

    let NodeStarted::New { pid: second } = provisioner.start_node(&spec).await.unwrap() else {
        panic!("not new")
    };
    assert_ne!(pid, second);
    for _ in 0..2 {
        provisioner.remove_node(&spec.node_id).await.unwrap();
    }
    assert_eq!(provisioner.observe().await.unwrap(), []);
    provisioner.stop_node(&NodeId::random(), DRAIN).await.unwrap();
}

#[tokio::test]
async fn files_are_complete_and_private() {
    let dir = TestDir::new("nodes");
    let provisioner = ProcessProvisioner::new(program(dir.path(), SERVES), dir.path().to_owned());
    let spec = spec();
    provisioner.start_node(&spec).await.unwrap();
    let node_dir = dir.path().join("nodes").join(spec.node_id.as_str());
    let seal_key = std::fs::read_to_string(node_dir.join("seal.key")).unwrap();
    assert_eq!(seal_key.len(), 64);
    for file in ["node.toml", "seal.key", "key.pem", "mysql-key.pem", "node.log"] {
        let mode = std::fs::metadata(node_dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let config: toml::Table =
        std::fs::read_to_string(node_dir.join("node.toml")).unwrap().parse().unwrap();
    assert_eq!(config["listen"][0].as_str(), Some("127.77.0.2:5066"));
    assert_eq!(std::fs::read_to_string(config["key_file"].as_str().unwrap()).unwrap(), "key");
    provisioner.stop_node(&spec.node_id, Stop::Kill).await.unwrap();
    provisioner.start_node(&spec).await.unwrap();
    assert_eq!(std::fs::read_to_string(node_dir.join("seal.key")).unwrap(), seal_key);
    provisioner.remove_node(&spec.node_id).await.unwrap();
}

#[tokio::test]
async fn the_next_provisioner_adopts() {
    let dir = TestDir::new("nodes");
    let program = program(dir.path(), SERVES);
    let spec = spec();
    let first = ProcessProvisioner::new(program.clone(), dir.path().to_owned());
    let NodeStarted::New { pid } = first.start_node(&spec).await.unwrap() else {
        panic!("not new")
    };
    drop(first);
    let second = ProcessProvisioner::new(program, dir.path().to_owned());
    assert_eq!(only(&second).await.pid, Some(pid));
    assert_eq!(
        second.start_node(&spec).await.unwrap(),
        NodeStarted::AlreadyRunning { pid, stale_config: false }
    );
    second.stop_all(DRAIN).await.unwrap();
    assert!(!only(&second).await.running);
}

#[tokio::test]
async fn one_that_keeps_ending_is_held_back() {
    let dir = TestDir::new("nodes");
    let provisioner = ProcessProvisioner::new(program(dir.path(), "exit 7"), dir.path().to_owned());
    let spec = spec();
    let mut waits = Vec::new();
    for failures in 1..=2 {
        provisioner.start_node(&spec).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let node = loop {
            let node = only(&provisioner).await;
            if !node.running && node.failures == failures {
                break node;
            }
            assert!(Instant::now() < deadline, "{node:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(node.exit, Some(provision::Exit::Code(7)));
        waits.push(node.restart_in);
    }
    assert!(waits[0] > Duration::ZERO && waits[1] > waits[0], "{waits:?}");
}

//! Waits until the nodes of instances that were there before serve again: a system that says it is
//! ready must take connections at every address that it ever gave out.

use super::progress::Progress;
use crate::rest::Client;
use anyhow::Result;
use control_app::greeting;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long all nodes together may take.
const TIMEOUT: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(200);

/// How old what we know of the instances may be.
const READ_AGAIN: Duration = Duration::from_secs(3);

/// Waits; instances whose nodes do not come are named and left to the reconcilers.
pub async fn wait(client: &Client, progress: &Progress) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut waiting = addresses(client).await?;
    let mut read = Instant::now();
    loop {
        let mut still = Vec::new();
        for (instance, address) in waiting {
            if !answers(&address).await {
                still.push((instance, address));
            }
        }
        waiting = still;
        // Jobs that were cut off go on, and instances change and go by them.
        if !waiting.is_empty() && read.elapsed() > READ_AGAIN {
            let present = addresses(client).await?;
            waiting.retain(|one| present.contains(one));
            read = Instant::now();
        }
        if waiting.is_empty() && (all_heard(client).await? || Instant::now() > deadline) {
            return Ok(());
        }
        if Instant::now() > deadline {
            for (instance, address) in &waiting {
                progress.note(&format!(
                    "the instance {instance} does not answer at {address} yet; see its nodes' logs"
                ));
            }
            return Ok(());
        }
        progress
            .step(&format!("waiting for {} addresses of instances to come back", waiting.len()));
        tokio::time::sleep(POLL).await;
    }
}

/// Addresses of instances that run, with the instances' names.
async fn addresses(client: &Client) -> Result<Vec<(String, String)>> {
    let mut addresses = Vec::new();
    for instance in client.list("/v1/{project_id}/instances", "instances").await? {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = text(&instance["status"]);
        // Instances that are being made, changed or deleted, or that failed, are their jobs' affair.
        if status != "RUNNING" {
            continue;
        }
        let name = text(&instance["name"]);
        addresses.push((
            name.clone(),
            format!("{}:{}", text(&instance["access_ip"]), text(&instance["access_port"])),
        ));
        for node in nodes(client, &instance).await? {
            addresses
                .push((name.clone(), format!("{}:{}", text(&node["ip"]), text(&node["port"]))));
        }
    }
    Ok(addresses)
}

/// An instance's nodes; none when it went meanwhile.
async fn nodes(client: &Client, instance: &Value) -> Result<Vec<Value>> {
    let id = instance["id"].as_str().unwrap_or_default();
    let path = format!("/v1/{{project_id}}/instances/{id}");
    match client.list(&format!("{path}/nodes"), "nodes").await {
        Err(error) if !is_there(client, id).await? => {
            tracing::debug!(%error, id, "an instance went while its nodes were listed");
            Ok(Vec::new())
        }
        answer => answer,
    }
}

async fn is_there(client: &Client, id: &str) -> Result<bool> {
    let instances = client.list("/v1/{project_id}/instances", "instances").await?;
    Ok(instances.iter().any(|instance| instance["id"] == id))
}

/// Whether every node of a running instance speaks with the control plane again: before that it
/// serves, but definitions cannot be changed through it.
async fn all_heard(client: &Client) -> Result<bool> {
    for instance in client.list("/v1/{project_id}/instances", "instances").await? {
        if instance["status"] != "RUNNING" {
            continue;
        }
        if nodes(client, &instance).await?.iter().any(|node| node["status"] != "normal") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a MySQL server answers there, be it that its security group does not let us in.
async fn answers(address: &str) -> bool {
    match address.parse() {
        Ok(address) => greeting::answers(address).await.is_ok(),
        Err(_) => false,
    }
}

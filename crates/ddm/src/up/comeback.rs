//! Waits until the nodes of instances that were there before serve again: a system that says it is
//! ready must take connections at every address that it ever gave out.

use super::progress::Progress;
use crate::rest::Client;
use anyhow::Result;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long all nodes together may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long one greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(200);

/// The first byte of a MySQL greeting's payload; a refusal begins with 0xFF.
const PROTOCOL_10: u8 = 10;

/// Where the payload begins in the first packet.
const PACKET_HEADER_BYTES: usize = 4;

/// Waits; instances whose nodes do not come are named and left to the reconcilers.
pub async fn wait(client: &Client, progress: &Progress) -> Result<()> {
    let mut waiting = addresses(client).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + TIMEOUT;
    loop {
        progress
            .step(&format!("waiting for {} addresses of instances to come back", waiting.len()));
        let mut still = Vec::new();
        for (instance, address) in waiting {
            if !greets(&address).await {
                still.push((instance, address));
            }
        }
        waiting = still;
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
        let path = format!("/v1/{{project_id}}/instances/{}/nodes", text(&instance["id"]));
        for node in client.list(&path, "nodes").await? {
            addresses
                .push((name.clone(), format!("{}:{}", text(&node["ip"]), text(&node["port"]))));
        }
    }
    Ok(addresses)
}

/// Whether every node of a running instance speaks with the control plane again: before that it
/// serves, but definitions cannot be changed through it.
async fn all_heard(client: &Client) -> Result<bool> {
    for instance in client.list("/v1/{project_id}/instances", "instances").await? {
        let id = instance["id"].as_str().unwrap_or_default();
        if instance["status"] != "RUNNING" {
            continue;
        }
        let path = format!("/v1/{{project_id}}/instances/{id}/nodes");
        let nodes = client.list(&path, "nodes").await?;
        if nodes.iter().any(|node| node["status"] != "normal") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a MySQL server greets there.
async fn greets(address: &str) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut start = [0; PACKET_HEADER_BYTES + 1];
        stream.read_exact(&mut start).await?;
        std::io::Result::Ok(start[PACKET_HEADER_BYTES] == PROTOCOL_10)
    };
    matches!(tokio::time::timeout(GREETING_TIMEOUT, greeting).await, Ok(Ok(true)))
}

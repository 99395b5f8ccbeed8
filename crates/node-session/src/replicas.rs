//! The one task of a node that asks every replica how it is, so that workers know which they may
//! read. A replica that does not answer in time, does not replicate, or lags by more than
//! `seconds_behind_master` takes no reads before it was asked again with a better answer.

use crate::shared::Shared;
use base::id::DataNodeId;
use futures::StreamExt;
use futures::stream;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::health::{MemberHealth, probe};
use node_backend::members::Standing;
use node_exec::members::Login;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use topology::model::{DataNode, Replica};
use topology::parameters::Settings;

/// How often replicas are asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A replica should answer within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A replica that did not answer in time so often in a row is not read: once may be a busy moment.
const MISSED_MAX: u32 = 2;

/// So many replicas are asked at once.
const ASKED_AT_ONCE: usize = 64;

/// A replica with the connection by which it is asked.
#[derive(Debug)]
struct Asked {
    data_node: String,
    login: Login,
    standing: Arc<Standing>,
    connection: Option<Connection>,
    /// How often it has not answered in time since it last did.
    missed: u32,
    /// Why it is not read, as it was logged last; none while it is read.
    unfit: Option<String>,
}

/// Asks replicas until the process ends.
pub async fn run(shared: Arc<Shared>) {
    let mut tick = interval(ASK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: BTreeMap<DataNodeId, Asked> = BTreeMap::new();
    loop {
        tick.tick().await;
        let Some(snapshot) = shared.snapshot() else { continue };
        let lag_max = Settings::of(&snapshot.parameters).replica_lag_max;
        let mut now = Vec::new();
        for node in snapshot.data_nodes.values() {
            for replica in &node.replicas {
                let login = Login::of_replica(node, replica);
                let before = known.remove(&replica.id).filter(|before| before.login == login);
                now.push(before.unwrap_or_else(|| Asked::new(node, replica, &shared)));
            }
        }
        // Those that are gone close their connections.
        known.clear();
        let asked = stream::iter(now)
            .map(|one| one.ask(&shared, lag_max))
            .buffer_unordered(ASKED_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        known.extend(asked.into_iter().map(|one| (one.login.id().clone(), one)));
        shared.standings.forget_unused();
    }
}

impl Asked {
    fn new(node: &DataNode, replica: &Replica, shared: &Shared) -> Self {
        Self {
            data_node: node.name.clone(),
            login: Login::of_replica(node, replica),
            standing: shared.standings.of(&replica.id, &replica.host, replica.port),
            connection: None,
            missed: 0,
            unfit: Some("it was not asked yet".to_owned()),
        }
    }

    async fn ask(mut self, shared: &Shared, lag_max: Duration) -> Self {
        let answer = timeout(ANSWER_TIMEOUT, self.answer()).await;
        self.missed = if answer.is_ok() { 0 } else { self.missed.saturating_add(1) };
        let unfit = match answer {
            Ok(Ok(health)) => {
                if let Some(most) = health.connections_max {
                    shared.quotas.learn(self.login.id(), most);
                }
                health.unfit(lag_max).map(str::to_owned)
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) if self.missed < MISSED_MAX => return self,
            Err(_) => Some("it does not answer".to_owned()),
        };
        self.standing.set(unfit.is_none());
        self.log(unfit.as_deref());
        self.unfit = unfit;
        self
    }

    /// Its state. The connection is kept only when all was answered.
    async fn answer(&mut self) -> Result<MemberHealth, BackendError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::connect(&self.login.options()).await?,
        };
        let health = probe(&mut connection).await?;
        self.connection = Some(connection);
        Ok(health)
    }

    /// What is new is logged.
    fn log(&self, unfit: Option<&str>) {
        let (data_node, server) = (&self.data_node, self.login.address());
        match (self.unfit.as_deref(), unfit) {
            (Some(_), None) => tracing::info!(data_node, server, "a replica can be read"),
            (before, Some(reason)) if before != Some(reason) => {
                tracing::warn!(data_node, server, reason, "a replica cannot be read");
            }
            _ => {}
        }
    }
}

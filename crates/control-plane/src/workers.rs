//! What goes on beside requests: nodes are kept running, definitions that a lost node left half
//! changed are settled, and what has become old is removed.

use crate::http::state::AppState;
use crate::node_stream::LiveNodes;
use control_app::App;
use control_app::time::now_ms;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use topology::stream::HEARTBEAT_TIMEOUT_MS;

/// How often nodes are looked at.
const NODES_EVERY: Duration = Duration::from_millis(500);

/// After a start, nodes get so long to say hello again before one counts as lost.
const HELLO_GRACE: Duration = Duration::from_millis(2 * HEARTBEAT_TIMEOUT_MS);

/// How often it is looked whether fenced nodes have caught up.
const FENCES_EVERY: Duration = Duration::from_secs(1);

/// How often changes of definitions are looked at.
const DDL_EVERY: Duration = Duration::from_secs(2);

/// How often it is looked whether backups are due, or too old.
const BACKUPS_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often old records are removed.
const PURGE_EVERY: Duration = Duration::from_secs(10 * 60);

/// How long jobs are kept after their end.
const JOBS_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The loops.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    loops: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts them.
    pub fn start(state: &Arc<AppState>, live: &Arc<LiveNodes>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let app = state.app.clone();
        let nodes =
            every(Duration::ZERO, NODES_EVERY, stopped.clone(), move || keep_nodes(app.clone()));
        let app = state.app.clone();
        let fences =
            every(Duration::ZERO, FENCES_EVERY, stopped.clone(), move || lift_fences(app.clone()));
        let (app, live) = (state.app.clone(), live.clone());
        let ddl = every(HELLO_GRACE, DDL_EVERY, stopped.clone(), move || {
            settle_ddl(app.clone(), live.clone())
        });
        let app = state.app.clone();
        let backups =
            every(HELLO_GRACE, BACKUPS_EVERY, stopped.clone(), move || keep_backups(app.clone()));
        let state = state.clone();
        let purge = every(Duration::ZERO, PURGE_EVERY, stopped, move || purge(state.clone()));
        Self { stop, loops: vec![nodes, fences, ddl, backups, purge] }
    }

    /// Stops them; a round that runs is let finish.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for one in self.loops {
            let _ = one.await;
        }
    }
}

/// Does `round` after `first` and then again and again, with this pause in between.
fn every<F>(
    first: Duration,
    pause: Duration,
    mut stopped: watch::Receiver<bool>,
    round: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        let _ = tokio::time::timeout(first, stopped.changed()).await;
        while !*stopped.borrow() {
            round().await;
            let _ = tokio::time::timeout(pause, stopped.changed()).await;
        }
    })
}

async fn keep_nodes(app: Arc<App>) {
    if let Err(error) = app.reconcile_nodes().await {
        tracing::warn!(%error, "nodes cannot be looked at");
    }
}

async fn keep_backups(app: Arc<App>) {
    if let Err(error) = app.reconcile_backups(now_ms()).await {
        tracing::warn!(%error, "backups cannot be looked at");
    }
}

async fn purge(state: Arc<AppState>) {
    state.limiter.forget_idle();
    let now = now_ms();
    match state.iam.purge_tokens(now).await {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "tokens removed"),
        Err(error) => tracing::warn!(%error, "old tokens cannot be removed"),
    }
    match state.app.purge_slow_log(now).await {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "old slow statements removed"),
        Err(error) => tracing::warn!(%error, "old slow statements cannot be removed"),
    }
    match state.app.empty_recycle_bins(now).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "dropped tables are no longer kept"),
        Err(error) => tracing::warn!(%error, "recycle bins cannot be looked at"),
    }
    let before = u64::try_from(now).unwrap_or(0).saturating_sub(JOBS_KEPT_MS);
    match control_store::jobs::purge(&**state.app.store(), before).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old jobs removed"),
        Err(error) => tracing::warn!(%error, "old jobs cannot be removed"),
    }
}

async fn lift_fences(app: Arc<App>) {
    if let Err(error) = app.lift_fences().await {
        tracing::warn!(%error, "fences of nodes cannot be looked at");
    }
}

async fn settle_ddl(app: Arc<App>, live: Arc<LiveNodes>) {
    match control_app::ddl::orphans::resolve(&app, &*live).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "changes of definitions of lost nodes were settled"),
        Err(error) => {
            tracing::warn!(%error, "changes of definitions of lost nodes cannot be settled; it is tried again")
        }
    }
}

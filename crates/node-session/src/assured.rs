//! The process's [`Assurance`], as its threads use it: statements compare one number with the moment at
//! which they begin, so that nothing is served too late even when whoever keeps the number is asleep,
//! as all threads of a stopped process are.

use crate::assurance::{
    Assurance, CUT_OFF, FENCED, FENCED_STATEMENTS, Look, Verdict, Why, nanoseconds,
};
use crate::shared::Shared;
use crate::watch::Question;
use base::id::DataNodeId;
use base::sql_error::{self, SqlError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::Notify;

/// What all threads know of it.
#[derive(Debug)]
pub struct Assured {
    /// A node that no control plane can change things behind needs no assurance.
    wanted: AtomicBool,
    /// Statements are served up to this moment, in nanoseconds since the start.
    until: AtomicU64,
    state: Mutex<State>,
    /// The node begins or ceases to serve.
    changes: Notify,
}

#[derive(Debug, Default)]
struct State {
    assurance: Assurance,
    cut_off: bool,
    why: Option<Why>,
}

impl Default for Assured {
    fn default() -> Self {
        Self {
            wanted: AtomicBool::new(false),
            until: AtomicU64::new(u64::MAX),
            state: Mutex::default(),
            changes: Notify::new(),
        }
    }
}

impl Assured {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shared {
    /// From now on nothing is served without assurance: a control plane can change definitions.
    pub fn want_assurance(&self) {
        self.assured.wanted.store(true, Ordering::Release);
        self.judge();
    }

    /// The control plane vouches for a heartbeat that was sent at this moment.
    /// Fences up to this number are void.
    pub fn vouched(&self, sent: Instant, fences: u64) {
        self.assured.state().assurance.vouch(sent, fences);
        self.judge();
    }

    /// A data node was looked at.
    pub fn looked(&self, data_node: &DataNodeId, look: Look) {
        self.assured.state().assurance.look(data_node.clone(), look);
        self.judge();
    }

    /// Refuses statements until the next snapshot: the control plane does not want this node.
    pub fn fence(&self, reason: String) {
        self.assured.state().assurance.refuse(Some(reason));
        self.judge();
    }

    /// There is another snapshot.
    pub(crate) fn assure_snapshot(&self) {
        let snapshot = self.snapshot();
        let is_one = |id: &DataNodeId| {
            snapshot.as_ref().is_some_and(|snapshot| snapshot.data_nodes.contains_key(id))
        };
        let mut state = self.assured.state();
        state.assurance.refuse(None);
        state.assurance.retain(is_one);
        drop(state);
        self.judge();
    }

    /// Whether data nodes are to be asked for fences.
    pub fn is_cut_off(&self) -> bool {
        self.assured.wanted.load(Ordering::Acquire)
            && self.assured.state().assurance.is_cut_off(Instant::now())
    }

    /// Returns when the node begins or ceases to serve.
    pub(crate) async fn serving_changes(&self) {
        self.assured.changes.notified().await;
    }

    /// What servers of data nodes are asked while the node is cut off.
    pub(crate) fn fence_question(&self) -> Option<Question> {
        if !self.is_cut_off() {
            return None;
        }
        let instance = self.snapshot()?.instance_id.clone();
        let fenced = matches!(self.assured.state().why, Some(Why::Changed { .. }));
        Some(Question { instance, node: self.node_id.clone(), fenced })
    }

    /// Draws the conclusion from what is known now; what is new is logged.
    pub fn judge(&self) {
        let now = Instant::now();
        let mut state = self.assured.state();
        let (verdict, cut_off) = self.verdict(&state.assurance, now);
        let (until, why) = match verdict {
            Verdict::Serve(until) => (nanoseconds(self.started, until), None),
            Verdict::Refuse(why) => (0, Some(why)),
        };
        let until = if cut_off.is_none() && why.is_none() { u64::MAX } else { until };
        self.assured.until.store(until, Ordering::Release);
        let cut_off = cut_off.unwrap_or(false);
        if state.cut_off != cut_off {
            state.cut_off = cut_off;
            CUT_OFF.set(cut_off.into());
            match cut_off {
                true => tracing::warn!(
                    "the control plane does not vouch for this node's definitions; data nodes are asked whether they were changed"
                ),
                false => {
                    tracing::info!("the control plane vouches for this node's definitions again")
                }
            }
        }
        let told = |why: &Option<Why>| why.as_ref().map(Why::to_string);
        if told(&state.why) != told(&why) {
            FENCED.set(why.is_some().into());
            match &why {
                Some(why) => tracing::warn!(%why, "statements are refused"),
                None => tracing::info!("statements are served"),
            }
            state.why = why;
            drop(state);
            self.assured.changes.notify_waiters();
            self.made_progress();
        }
    }

    /// What follows now, and whether the node is cut off; nothing of that where no control plane is.
    fn verdict(&self, assurance: &Assurance, now: Instant) -> (Verdict, Option<bool>) {
        if self.assured.wanted.load(Ordering::Acquire) {
            let data_nodes = self.snapshot().map_or(0, |snapshot| snapshot.data_nodes.len());
            return (assurance.decide(data_nodes, now), Some(assurance.is_cut_off(now)));
        }
        match assurance.refused() {
            Some(reason) => (Verdict::Refuse(Why::Refused(reason.to_owned())), None),
            None => (Verdict::Serve(now), None),
        }
    }

    /// Whether a statement that begins at this moment is served. Costs one comparison.
    pub fn is_assured(&self, now: Instant) -> bool {
        nanoseconds(self.started, now) < self.assured.until.load(Ordering::Acquire)
    }

    /// What whoever asks for something is told now, if it is refused.
    pub fn refusal(&self) -> Option<SqlError> {
        let reason = self.fenced_reason()?;
        FENCED_STATEMENTS.increment();
        let text = format!("this node does not serve now: {reason}");
        Some(SqlError::new(sql_error::NODE_FENCED, text))
    }

    /// Whether it is known why nothing is served, and waiting would not change it.
    pub(crate) fn is_shut(&self) -> bool {
        matches!(self.assured.state().why, Some(Why::Refused(_) | Why::Changed { .. }))
    }

    /// Why statements are refused now, if they are.
    pub fn fenced_reason(&self) -> Option<String> {
        let now = Instant::now();
        if self.is_assured(now) {
            return None;
        }
        match self.verdict(&self.assured.state().assurance, now).0 {
            // Nobody has drawn the conclusion yet: the statement was earlier.
            Verdict::Serve(_) => None,
            Verdict::Refuse(why) => Some(why.to_string()),
        }
    }
}

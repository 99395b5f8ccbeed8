//! Whether a node may use the definitions that it has. While it hears the control plane, that vouches
//! for them, heartbeat by heartbeat. Cut off from it the node looks for a fence on each data node
//! ([`topology::fence`]), and serves as long as it sees that there is none: without a control plane
//! nobody makes one. What is known is a value here, and what follows from it a function of the time;
//! statements compare one number.

use base::id::DataNodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
use telemetry::metrics::{Counter, Gauge, Metric};
use topology::fence::{ASSURED_FOR, Fence, LOOK_AFTER};

/// Whether the node is cut off from the control plane.
pub static CUT_OFF: Gauge = Gauge::new(
    "ddm_cut_off",
    "1 while the control plane does not vouch for this node's definitions and its data nodes are asked.",
);
/// Whether the node refuses statements.
pub static FENCED: Gauge = Gauge::new(
    "ddm_fenced",
    "1 while statements are refused because definitions may have changed without this node.",
);
/// Statements refused.
pub static FENCED_STATEMENTS: Counter = Counter::new(
    "ddm_fenced_statements_total",
    "Statements and logins refused because definitions may have changed without this node.",
);

/// All of them.
pub static ALL: [&dyn Metric; 3] = [&CUT_OFF, &FENCED, &FENCED_STATEMENTS];

/// What a data node told last when it was looked there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There was no fence at a moment after this one, when the question was sent.
    Free(Instant),
    /// There was one.
    Fenced(Instant, Fence),
    /// All its servers are given up: no statement reaches it, and every connection to it was ended.
    Away,
}

/// Why a node serves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The control plane does not know it.
    Refused(String),
    /// Something was changed without it.
    Changed {
        /// The data node that says so.
        data_node: DataNodeId,
        /// What says so.
        fence: Fence,
    },
    /// Neither the control plane nor the data nodes could be asked for so long.
    Unassured,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Refused(reason) => f.write_str(reason),
            Why::Changed { .. } => f.write_str(
                "it is cut off from the control plane, and definitions or permissions were changed \
                 meanwhile; use another node, or try again when it is connected again",
            ),
            Why::Unassured => write!(
                f,
                "it is cut off from the control plane, and for {} s it could not be seen on the data \
                 nodes whether definitions were changed",
                ASSURED_FOR.as_secs()
            ),
        }
    }
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Statements are served up to this moment.
    Serve(Instant),
    /// They are refused.
    Refuse(Why),
}

/// What a node knows.
#[derive(Debug, Default)]
pub struct Assurance {
    /// When the newest heartbeat was sent for which the control plane vouched.
    vouched: Option<Instant>,
    /// One for each data node, while the node is cut off.
    looks: BTreeMap<DataNodeId, Look>,
    /// Fences up to this number say nothing: the control plane has vouched since they were made.
    void: u64,
    refused: Option<String>,
}

impl Assurance {
    /// The control plane vouches for a heartbeat that was sent at this moment; fences up to this number
    /// are void.
    pub fn vouch(&mut self, sent: Instant, fences: u64) {
        self.void = self.void.max(fences);
        self.vouched = self.vouched.max(Some(sent));
        self.looks.retain(|_, look| match look {
            Look::Free(at) | Look::Fenced(at, _) => *at > sent,
            Look::Away => false,
        });
    }

    /// A data node was looked at.
    pub fn look(&mut self, data_node: DataNodeId, look: Look) {
        let look = match look {
            Look::Fenced(at, fence) if fence.number <= self.void => Look::Free(at),
            look => look,
        };
        self.looks.insert(data_node, look);
    }

    /// These are all data nodes.
    pub fn retain(&mut self, is_one: impl Fn(&DataNodeId) -> bool) {
        self.looks.retain(|id, _| is_one(id));
    }

    /// The control plane does not want this node, or has nothing against it any more.
    pub fn refuse(&mut self, reason: Option<String>) {
        self.refused = reason;
    }

    /// Why the control plane does not want this node.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Whether data nodes are to be asked.
    pub fn is_cut_off(&self, now: Instant) -> bool {
        self.vouched.is_none_or(|sent| now.saturating_duration_since(sent) >= LOOK_AFTER)
    }

    /// What follows for a node whose definitions name so many data nodes.
    pub fn decide(&self, data_nodes: usize, now: Instant) -> Verdict {
        if let Some(reason) = &self.refused {
            return Verdict::Refuse(Why::Refused(reason.clone()));
        }
        if let Some((data_node, fence)) = self.fence() {
            return Verdict::Refuse(Why::Changed { data_node: data_node.clone(), fence });
        }
        let until = self.vouched.max(self.seen(data_nodes, now)).map(|at| at + ASSURED_FOR);
        match until {
            Some(until) if now < until => Verdict::Serve(until),
            _ => Verdict::Refuse(Why::Unassured),
        }
    }

    /// A fence that was seen after the control plane last vouched.
    fn fence(&self) -> Option<(&DataNodeId, Fence)> {
        self.looks.iter().find_map(|(id, look)| match look {
            Look::Fenced(_, fence) => Some((id, *fence)),
            Look::Free(_) | Look::Away => None,
        })
    }

    /// Since when it was seen on all data nodes that can be used that there is no fence. Who knows of
    /// no data node has nothing to serve wrongly.
    fn seen(&self, data_nodes: usize, now: Instant) -> Option<Instant> {
        if data_nodes == 0 {
            return Some(now);
        }
        if self.looks.len() < data_nodes {
            return None;
        }
        let free = self.looks.values().filter_map(|look| match look {
            Look::Free(at) => Some(*at),
            Look::Fenced(..) | Look::Away => None,
        });
        free.min()
    }
}

/// Moments as a number that threads can compare without a lock: nanoseconds since the start.
pub(crate) fn nanoseconds(from: Instant, to: Instant) -> u64 {
    let since: Duration = to.saturating_duration_since(from);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "assurance_tests.rs"]
mod tests;

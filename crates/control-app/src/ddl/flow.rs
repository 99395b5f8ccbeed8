//! `ddl_flowcontrol_threshold`: how many DDL statements an instance runs within an hour, those that
//! fail included. Every node asks the control plane before it changes a definition, so this is where
//! they are counted, in memory: a control plane that starts anew begins a new hour.

use base::id::InstanceId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time that is looked at.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// Times kept for one instance: the parameter's highest value.
const TIMES_MAX: usize = 100_000;

/// When the DDL statements of each instance began.
#[derive(Debug, Default)]
pub struct DdlFlow(Mutex<HashMap<InstanceId, VecDeque<Instant>>>);

impl DdlFlow {
    /// Counts a statement, if there were fewer than `threshold` within the last hour.
    pub fn enter(&self, instance: &InstanceId, threshold: u64, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, times| {
            while times.front().is_some_and(|time| now.duration_since(*time) >= WINDOW) {
                times.pop_front();
            }
            !times.is_empty()
        });
        let times = all.entry(instance.clone()).or_default();
        let threshold = usize::try_from(threshold).unwrap_or(TIMES_MAX).min(TIMES_MAX);
        let enters = times.len() < threshold;
        if enters {
            times.push_back(now);
        }
        enters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_so_many_and_no_more() {
        let flow = DdlFlow::default();
        let (one, other) = (InstanceId::from_random([1; 16]), InstanceId::from_random([2; 16]));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..10 {
            assert!(flow.enter(&one, 10, at(second)));
        }
        assert!(!flow.enter(&one, 10, at(20)));
        assert!(flow.enter(&other, 10, at(20)), "each instance has its own");
        assert!(flow.enter(&one, 11, at(30)), "a higher threshold holds at once");
        assert!(!flow.enter(&one, 10, at(3_599)));
        // The first two are an hour old.
        assert!(flow.enter(&one, 10, at(3_601)));
        assert!(!flow.enter(&one, 10, at(3_601)));
    }
}

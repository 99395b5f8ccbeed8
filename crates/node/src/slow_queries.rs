//! Slow statements on one connection to the control plane: a batch goes out, and the next one when
//! that is kept. What was sent stays in the queue until then, so a connection or control plane that
//! dies loses nothing; the control plane knows by the numbers what it already has.

use node_session::slow_log::SlowLog;
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior};
use topology::stream::FromNode;

/// How often slow statements are sent, when there are any.
const EVERY: Duration = Duration::from_millis(250);

/// Slow statements in one message.
const BATCH_MAX: usize = 256;

/// Slow statements that were not kept within this are sent again.
const AGAIN: Duration = Duration::from_secs(10);

/// The sending side for one connection.
#[derive(Debug)]
pub struct SlowQueries {
    beat: Interval,
    sent: Option<Instant>,
}

impl Default for SlowQueries {
    fn default() -> Self {
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { beat, sent: None }
    }
}

impl SlowQueries {
    /// Waits until there is something to send. Nothing is lost when it is not waited for any longer.
    pub async fn next(&mut self, log: &SlowLog) -> FromNode {
        loop {
            self.beat.tick().await;
            if self.sent.is_some_and(|at| at.elapsed() < AGAIN) {
                continue;
            }
            let (queries, dropped) = log.oldest(BATCH_MAX);
            if !queries.is_empty() {
                self.sent = Some(Instant::now());
                return FromNode::SlowQueries { queries, dropped };
            }
        }
    }

    /// The control plane has kept these.
    pub fn kept(&mut self, log: &SlowLog, up_to: u64) {
        log.kept(up_to);
        self.sent = None;
    }
}

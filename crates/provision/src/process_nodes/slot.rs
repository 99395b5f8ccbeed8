//! What this process knows of one node's process: whether it runs, how it ended, and how long to
//! wait before the next start when it keeps ending.

use crate::error::ProvisionError;
use crate::node::ObservedNode;
use crate::process::{Exit, ManagedProcess, ProcessSpec};
use base::backoff::Backoff;
use base::id::NodeId;
use std::time::{Duration, Instant};

/// A process that ran for less has failed to start.
const QUICK_EXIT: Duration = Duration::from_secs(10);

/// Waits between starts of a node that keeps ending.
const RESTART_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), most: Duration::from_secs(30) };

/// One node's process.
#[derive(Debug, Default)]
pub struct Slot {
    process: Option<ManagedProcess>,
    started_at: Option<Instant>,
    ended: Option<(Exit, Instant)>,
    failures: u32,
}

impl Slot {
    /// Takes notice of the process: adopts one that runs, notes one that ended.
    pub fn refresh(&mut self, spec: &ProcessSpec) -> Result<(), ProvisionError> {
        if let Some(process) = &mut self.process {
            match process.exit() {
                Some(exit) => self.ended_unasked(spec, exit),
                None => return spec.log().rotate_if_long(),
            }
        }
        self.process = ManagedProcess::adopt(spec)?;
        if self.process.is_some() {
            self.started_at = Some(Instant::now());
        }
        Ok(())
    }

    fn ended_unasked(&mut self, spec: &ProcessSpec, exit: Exit) {
        let quick = self.started_at.is_some_and(|at| at.elapsed() < QUICK_EXIT);
        self.failures = if quick { self.failures.saturating_add(1) } else { 0 };
        self.ended = Some((exit, Instant::now()));
        self.process = None;
        tracing::warn!(name = %spec.name, failures = self.failures, "the process {exit}");
    }

    /// The process's number while it runs.
    pub fn running_pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid().cast_unsigned())
    }

    /// Starts the process; [`Self::refresh`] has said that none runs.
    pub fn start(&mut self, spec: ProcessSpec) -> Result<u32, ProvisionError> {
        let process = ManagedProcess::start(spec)?;
        let pid = process.pid().cast_unsigned();
        self.process = Some(process);
        self.started_at = Some(Instant::now());
        Ok(pid)
    }

    /// Ends the process in order.
    pub async fn stop(&mut self, grace: Duration) -> Result<(), ProvisionError> {
        if let Some(process) = &mut self.process {
            let exit = process.stop(grace).await?;
            self.ended_as_asked(exit);
        }
        Ok(())
    }

    /// Ends the process at once.
    pub async fn kill(&mut self) -> Result<(), ProvisionError> {
        if let Some(process) = &mut self.process {
            let exit = process.kill().await?;
            self.ended_as_asked(exit);
        }
        Ok(())
    }

    fn ended_as_asked(&mut self, exit: Exit) {
        self.process = None;
        self.failures = 0;
        self.ended = Some((exit, Instant::now()));
    }

    /// For those who decide.
    pub fn observed(&self, node_id: NodeId) -> ObservedNode {
        let pid = self.running_pid();
        let wait = RESTART_BACKOFF.delay(self.failures);
        let restart_in = match (pid, self.ended) {
            (None, Some((_, at))) => wait.saturating_sub(at.elapsed()),
            _ => Duration::ZERO,
        };
        ObservedNode {
            node_id,
            pid,
            running: pid.is_some(),
            exit: self.ended.map(|(exit, _)| exit),
            failures: self.failures,
            restart_in,
        }
    }
}

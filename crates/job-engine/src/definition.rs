//! What a job is made of.

use crate::row::JobRow;
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Why a step failed. The text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Trying again may help.
    #[error("{0}")]
    Transient(String),
    /// Trying again does not help: undo the job.
    #[error("{0}")]
    Permanent(String),
}

impl StepError {
    /// An error after which the step is tried again.
    pub fn transient(text: impl fmt::Display) -> Self {
        Self::Transient(text.to_string())
    }

    /// An error after which the job is undone.
    pub fn permanent(text: impl fmt::Display) -> Self {
        Self::Permanent(text.to_string())
    }
}

/// What a step sees.
#[derive(Debug)]
pub struct StepContext<'a, C> {
    /// The application.
    pub app: &'a C,
    /// The job, with the outputs of the steps before.
    pub job: &'a JobRow,
}

impl<C> StepContext<'_, C> {
    /// The job's parameters.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_value(self.job.params.clone())
            .map_err(|error| StepError::permanent(format!("the job's parameters: {error}")))
    }

    /// What the step of this name gave.
    pub fn output<T: DeserializeOwned>(&self, step: &str) -> Result<T, StepError> {
        let value = self.job.outputs.get(step).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value)
            .map_err(|error| StepError::permanent(format!("the output of step {step}: {error}")))
    }
}

/// One step. `run` and `undo` are idempotent: after a crash the last one is repeated.
#[async_trait]
pub trait Step<C>: Send + Sync {
    /// Its name, under which its output is stored.
    fn name(&self) -> &'static str;

    /// Does it, or finds it done, and returns what later steps need.
    async fn run(&self, cx: &StepContext<'_, C>) -> Result<Value, StepError>;

    /// Makes as if it had not run. It may have run in part or not at all.
    async fn undo(&self, _cx: &StepContext<'_, C>) -> Result<(), StepError> {
        Ok(())
    }
}

/// A kind of job: its steps in order.
pub struct JobDefinition<C> {
    /// Its name, as the API shows it.
    pub kind: &'static str,
    /// The steps.
    pub steps: Vec<Box<dyn Step<C>>>,
}

impl<C> JobDefinition<C> {
    /// The name of the step that comes or is being undone, for who looks at a job.
    pub fn step_name(&self, at: usize) -> Option<&'static str> {
        self.steps.get(at).map(|step| step.name())
    }

    /// Two steps of one name would overwrite each other's output.
    pub(crate) fn assert_names_differ(&self) {
        let names: HashSet<&str> = self.steps.iter().map(|step| step.name()).collect();
        assert_eq!(names.len(), self.steps.len(), "two steps of {} have one name", self.kind);
    }
}

impl<C> fmt::Debug for JobDefinition<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.steps.iter().map(|step| step.name()).collect();
        write!(f, "JobDefinition({}: {})", self.kind, names.join(" → "))
    }
}

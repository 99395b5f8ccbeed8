//! The visible record of a job. It is all that the engine needs to go on after a restart.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum JobState {
    /// Steps before `next` are done.
    Running {
        /// The step that comes.
        next: usize,
    },
    /// Steps from `next` on are undone.
    Undoing {
        /// Undo steps `0..next`, the last first.
        next: usize,
    },
    /// All steps are done.
    Completed,
    /// It failed and what it did is undone.
    Failed,
}

impl JobState {
    /// No more work.
    pub fn is_final(&self) -> bool {
        matches!(self, JobState::Completed | JobState::Failed)
    }

    /// The word of the API.
    pub fn status(&self) -> &'static str {
        match self {
            JobState::Running { .. } | JobState::Undoing { .. } => "Running",
            JobState::Completed => "Completed",
            JobState::Failed => "Failed",
        }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// A UUID.
    pub id: String,
    /// The definition's name.
    pub kind: String,
    /// The project that it belongs to.
    pub project_id: String,
    /// The instance that it works on.
    pub instance_id: Option<String>,
    /// That instance's name then.
    pub instance_name: Option<String>,
    /// The schema that it works on.
    pub schema: Option<String>,
    /// The objects on which no other job may work meanwhile.
    pub locks: Vec<String>,
    /// What its steps are to do. Never holds a secret in the clear.
    pub params: Value,
    /// What each finished step gave, by name.
    pub outputs: BTreeMap<String, Value>,
    /// Where it stands.
    #[serde(flatten)]
    pub state: JobState,
    /// How often the present step was tried.
    pub attempts: u32,
    /// Why it failed, safe to show.
    pub fail_reason: Option<String>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// How many steps it has.
    pub step_count: usize,
}

/// What its maker says of a new job.
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    /// The project that it belongs to.
    pub project_id: String,
    /// The instance that it works on.
    pub instance_id: Option<String>,
    /// That instance's name.
    pub instance_name: Option<String>,
    /// The schema that it works on.
    pub schema: Option<String>,
    /// The objects to lock.
    pub locks: Vec<String>,
    /// What its steps are to do.
    pub params: Value,
}

impl JobRow {
    /// A job of which nothing is done yet.
    pub(crate) fn new(kind: &str, new: NewJob, step_count: usize) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            kind: kind.to_owned(),
            project_id: new.project_id,
            instance_id: new.instance_id,
            instance_name: new.instance_name,
            schema: new.schema,
            locks: new.locks,
            params: new.params,
            outputs: BTreeMap::new(),
            state: JobState::Running { next: 0 },
            attempts: 0,
            fail_reason: None,
            created_ms: now_ms(),
            ended_ms: None,
            step_count,
        }
    }

    /// How much is done, in percent.
    pub fn progress(&self) -> u8 {
        let done = match self.state {
            JobState::Running { next } | JobState::Undoing { next } => next,
            JobState::Completed => return 100,
            JobState::Failed => return 0,
        };
        u8::try_from(done * 100 / self.step_count.max(1)).unwrap_or(100)
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

//! One move of a job: a step forward, or the undo of one. A step that fails transiently is tried
//! again, a bounded number of times; then, or after a permanent failure, what was done is undone in
//! reverse order. A panic in a step is a permanent failure of that step, never of the engine.

use crate::definition::{JobDefinition, Step, StepContext, StepError};
use crate::row::{JobRow, JobState, now_ms};
use serde_json::Value;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// A step is tried so often before its failure is permanent.
pub const STEP_ATTEMPTS_MAX: u32 = 8;

/// No step's output is longer as JSON; what is bigger belongs into records of its own.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// No longer reason is kept.
pub const REASON_CHARS_MAX: usize = 2_000;

/// Takes one step forward or back, and notes in the row what came of it.
pub async fn advance<C: Send + Sync>(app: &C, definition: &JobDefinition<C>, row: &mut JobRow) {
    let result = match row.state {
        JobState::Running { next } => match definition.steps.get(next) {
            Some(step) => forward(app, step.as_ref(), row, next).await,
            None => Ok(JobState::Completed),
        },
        JobState::Undoing { next: 0 } => Ok(JobState::Failed),
        JobState::Undoing { next } => backward(app, definition, row, next).await,
        JobState::Completed | JobState::Failed => return,
    };
    match result {
        Ok(state) => {
            row.attempts = 0;
            row.ended_ms = state.is_final().then(now_ms);
            row.state = state;
        }
        Err(error) => {
            tracing::info!(job = %row.id, kind = %row.kind, attempts = row.attempts, %error, "a step is tried again");
            row.attempts += 1;
        }
    }
}

async fn forward<C: Send + Sync>(
    app: &C,
    step: &dyn Step<C>,
    row: &mut JobRow,
    at: usize,
) -> Result<JobState, StepError> {
    let outcome = guarded(step.run(&StepContext { app, job: row })).await.and_then(bounded);
    match outcome {
        Ok(output) => {
            row.outputs.insert(step.name().to_owned(), output);
            Ok(JobState::Running { next: at + 1 })
        }
        Err(error) if may_try_again(&error, row) => Err(error),
        Err(error) => {
            tracing::info!(job = %row.id, kind = %row.kind, step = step.name(), %error, "the job is undone");
            row.fail_reason = Some(short(format!("{}: {error}", step.name())));
            // The failed step may have run in part, so its undo comes first.
            Ok(JobState::Undoing { next: at + 1 })
        }
    }
}

async fn backward<C: Send + Sync>(
    app: &C,
    definition: &JobDefinition<C>,
    row: &mut JobRow,
    next: usize,
) -> Result<JobState, StepError> {
    let undone = Ok(JobState::Undoing { next: next - 1 });
    let Some(step) = definition.steps.get(next - 1) else { return undone };
    match guarded(step.undo(&StepContext { app, job: row })).await {
        Ok(()) => undone,
        Err(error) if may_try_again(&error, row) => Err(error),
        Err(error) => {
            // The others are undone all the same: less is left behind, and the object is free.
            tracing::warn!(job = %row.id, kind = %row.kind, step = step.name(), %error, "a step could not be undone");
            let reason = row.fail_reason.take().unwrap_or_default();
            row.fail_reason =
                Some(short(format!("{reason}; left behind by {}: {error}", step.name())));
            undone
        }
    }
}

fn may_try_again(error: &StepError, row: &JobRow) -> bool {
    matches!(error, StepError::Transient(_)) && row.attempts + 1 < STEP_ATTEMPTS_MAX
}

fn bounded(output: Value) -> Result<Value, StepError> {
    let bytes = output.to_string().len();
    if bytes > OUTPUT_BYTES_MAX {
        return Err(StepError::permanent(format!("an internal error: {bytes} bytes of output")));
    }
    Ok(output)
}

fn short(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
        reason.truncate(end);
    }
    reason
}

/// The step's own outcome; a panic becomes a permanent failure. Nothing of the step is used after
/// it panicked but its undo, which copes with a step that ran in part.
async fn guarded<T>(
    mut step: Pin<Box<dyn Future<Output = Result<T, StepError>> + Send + '_>>,
) -> Result<T, StepError> {
    poll_fn(|task| match catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(task))) {
        Ok(poll) => poll,
        Err(_) => {
            tracing::error!("a step of a job panicked");
            Poll::Ready(Err(StepError::permanent("an internal error")))
        }
    })
    .await
}

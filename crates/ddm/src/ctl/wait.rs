//! Waiting for the job that a call started, with a progress bar on a terminal.

use super::Session;
use crate::rest::JobState;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::time::Duration;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);

impl Session {
    /// Finishes a change: waits for its job if it has one and waiting is wanted, then prints.
    /// The job is added to the answer.
    pub async fn finish(&self, sentence: &str, mut answer: Value) -> Result<()> {
        let job_id =
            ["job_id", "jobId"].iter().find_map(|key| answer[key].as_str()).map(str::to_owned);
        match (job_id, self.wait) {
            (Some(job_id), Some(timeout)) => {
                answer["job"] = self.wait_for_job(&job_id, timeout).await?;
                self.printer.done(sentence, &answer);
            }
            (Some(job_id), None) => {
                let started = format!("started; see `ddm ctl jobs show {job_id}`");
                self.printer.done(&started, &answer);
            }
            (None, _) => self.printer.done(sentence, &answer),
        }
        Ok(())
    }

    /// Waits for a job under a progress bar.
    pub async fn wait_for_job(&self, job_id: &str, timeout: Duration) -> Result<Value> {
        let bar = progress_bar();
        let outcome = self.client.wait_for_job(job_id, timeout, |state| show(&bar, state)).await;
        bar.finish_and_clear();
        outcome
    }
}

/// On standard error, and nothing at all where that is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {msg} {bar:30} {percent}% {elapsed}")
        .expect("the template is fixed");
    bar.set_style(style);
    bar.enable_steady_tick(TICK);
    bar
}

fn show(bar: &ProgressBar, state: &JobState) {
    bar.set_position(state.percent.min(100));
    bar.set_message(state.job["name"].as_str().unwrap_or("job").to_owned());
}

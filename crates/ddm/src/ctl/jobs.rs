//! `ddm ctl jobs`.

use super::Session;
use super::output::Column;
use anyhow::Result;
use clap::Subcommand;
use std::time::Duration;

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("STATUS", "status"),
    ("PROGRESS", "process"),
    ("INSTANCE", "instance_name"),
    ("CREATED", "created_time"),
    ("REASON", "fail_reason"),
];

/// `jobs wait` waits for so long when waiting is switched off otherwise.
const WAIT_DEFAULT: Duration = Duration::from_secs(1800);

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the jobs of the last seven days
    List,
    /// Show one job
    Show {
        /// The job's id
        job: String,
    },
    /// Wait until a job has ended
    Wait {
        /// The job's id
        job: String,
    },
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => {
            let rows = session.client.list("/v3/{project_id}/jobs", "jobs").await?;
            session.printer.list(&rows, COLUMNS);
        }
        Verb::Show { job } => session.printer.object(&session.client.job(&job).await?.job),
        Verb::Wait { job } => {
            let ended = session.wait_for_job(&job, session.wait.unwrap_or(WAIT_DEFAULT)).await?;
            session.printer.object(&ended);
        }
    }
    Ok(())
}

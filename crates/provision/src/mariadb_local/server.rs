//! One local server: started or adopted, watched by a task that starts it again when it ends, and
//! shut down in order. The task owns the process; the rest of the program talks to it by one
//! signal: stop.

use super::config_file;
use super::error::LocalMariaDbError;
use super::ports;
use super::programs::Programs;
use super::record::Record;
use super::{LocalMariaDbOptions, ProgressLine};
use crate::data_node_admin::DataNodeAdmin;
use crate::error::ProvisionError;
use crate::process::{Exit, ManagedProcess, ProcessSpec};
use crate::sql_admin::SqlDataNodeAdmin;
use base::backoff::Backoff;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a port may be held by a server that was killed.
const PORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a held port is tried.
const PORT_POLL: Duration = Duration::from_millis(50);

/// How long a server may take to be up; recovery after a crash reads its whole log.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// How often a starting server is asked.
const START_POLL: Duration = Duration::from_millis(100);

/// How long an orderly shutdown may take before the server is killed (it recovers at the next start).
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How many ports the first start tries.
const FIRST_START_TRIES: u32 = 8;

/// How often the log's length is looked at.
const LOG_CHECK: Duration = Duration::from_secs(30);

/// Waits between starts of a server that keeps ending.
const RESTART_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), most: Duration::from_secs(30) };

/// A server that ran for so long ended for a new reason.
const STEADY: Duration = Duration::from_secs(10);

/// A running local server.
#[derive(Debug)]
pub struct LocalServer {
    record: Record,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), ProvisionError>>,
}

impl LocalServer {
    /// Starts or adopts the server and waits until its administrator can log in.
    pub async fn start(
        programs: &Programs,
        options: &LocalMariaDbOptions,
        mut record: Record,
        progress: &ProgressLine,
    ) -> Result<Self, LocalMariaDbError> {
        let mut tries = 1;
        let process = loop {
            match start_once(programs, options, &record, progress).await {
                // Somebody took the port since it was chosen, and nobody knows ours yet.
                Err(LocalMariaDbError::PortInUse { port, .. })
                    if !record.was_up && tries < FIRST_START_TRIES =>
                {
                    record.port = ports::choose(next_port(options, port), &[port])?;
                    record.save(&options.root_dir)?;
                    tries += 1;
                }
                other => break other?,
            }
        };
        if !record.was_up {
            record.was_up = true;
            record.save(&options.root_dir)?;
        }
        let (stop, stopped) = watch::channel(false);
        let spec = process_spec(programs, options, &record);
        let task = tokio::spawn(watch_over(process, spec, stopped));
        Ok(Self { record, stop, task })
    }

    /// What it is.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Shuts it down and waits.
    pub async fn stop(self) -> Result<(), LocalMariaDbError> {
        self.stop.send_replace(true);
        match self.task.await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => {
                Err(ProvisionError::Start { name: self.record.name, reason: error.to_string() }
                    .into())
            }
        }
    }
}

/// After a lost race for `port`; servers that start together do not race for the same next one.
fn next_port(options: &LocalMariaDbOptions, port: u16) -> u16 {
    if options.first_port == 0 {
        return 0;
    }
    let [step] = base::id::random_bytes::<1>();
    port.saturating_add(1 + u16::from(step))
}

fn process_spec(
    programs: &Programs,
    options: &LocalMariaDbOptions,
    record: &Record,
) -> ProcessSpec {
    let directory = record.directory(&options.root_dir);
    let mut defaults = std::ffi::OsString::from("--defaults-file=");
    defaults.push(config_file::path(&directory));
    ProcessSpec {
        name: format!("data node {}", record.name),
        program: programs.server.clone(),
        arguments: vec![defaults],
        directory,
        file_stem: "mariadbd",
    }
}

async fn start_once(
    programs: &Programs,
    options: &LocalMariaDbOptions,
    record: &Record,
    progress: &ProgressLine,
) -> Result<ManagedProcess, LocalMariaDbError> {
    let spec = process_spec(programs, options, record);
    let log = spec.log();
    let log_start = log.len();
    let adopted = ManagedProcess::adopt(&spec)?;
    let mut was_adopted = adopted.is_some();
    let mut process = match adopted {
        Some(process) => {
            progress(&format!("the data node {} runs already", record.name));
            process
        }
        None => launch(options, record, progress, &spec).await?,
    };
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let answer = SqlDataNodeAdmin.probe(&record.login()).await;
        let reason = match (answer, process.exit()) {
            (Ok(_), None) => return Ok(process),
            // It had been killed before, and was still dying when it was found.
            (_, Some(_)) if was_adopted => {
                was_adopted = false;
                process = launch(options, record, progress, &spec).await?;
                continue;
            }
            (_, Some(exit)) => {
                if log.tail_since(log_start).contains("Address already in use") {
                    return Err(port_in_use(options, record));
                }
                format!("it {exit}")
            }
            (Err(error), None) if Instant::now() > deadline => error.to_string(),
            (Err(_), None) => {
                tokio::time::sleep(START_POLL).await;
                continue;
            }
        };
        process.kill().await?;
        return Err(LocalMariaDbError::NotStarted {
            name: record.name.clone(),
            reason,
            log: log.path().to_owned(),
            output: log.tail_since(log_start),
        });
    }
}

/// Starts the server's process.
async fn launch(
    options: &LocalMariaDbOptions,
    record: &Record,
    progress: &ProgressLine,
    spec: &ProcessSpec,
) -> Result<ManagedProcess, LocalMariaDbError> {
    if !becomes_free(record.port).await {
        return Err(port_in_use(options, record));
    }
    progress(&format!("starting the data node {}", record.name));
    config_file::write(options, record)?;
    Ok(ManagedProcess::start(spec.clone())?)
}

/// A server that was killed holds its port until its last thread is gone, a little after it is
/// seen to be dead.
async fn becomes_free(port: u16) -> bool {
    let deadline = Instant::now() + PORT_TIMEOUT;
    while !ports::is_free(port) {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(PORT_POLL).await;
    }
    true
}

fn port_in_use(options: &LocalMariaDbOptions, record: &Record) -> LocalMariaDbError {
    LocalMariaDbError::PortInUse {
        name: record.name.clone(),
        port: record.port,
        record: record.path(&options.root_dir),
    }
}

/// Starts the server again whenever it ends, until told to stop. When the sender is gone without
/// a word, the server is left running.
async fn watch_over(
    mut process: ManagedProcess,
    spec: ProcessSpec,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ProvisionError> {
    let mut failures = 0;
    loop {
        let started = Instant::now();
        let exit = loop {
            tokio::select! {
                exit = process.wait() => break exit,
                told = stop.changed() => return match told {
                    Ok(()) => process.stop(STOP_TIMEOUT).await.map(drop),
                    Err(_) => Ok(()),
                },
                () = tokio::time::sleep(LOG_CHECK) => {
                    if let Err(error) = spec.log().rotate_if_long() {
                        tracing::warn!(name = %spec.name, %error, "cannot rotate the log");
                    }
                }
            }
        };
        failures = if started.elapsed() > STEADY { 1 } else { failures + 1 };
        let Some(again) = start_again(&spec, exit, &mut failures, &mut stop).await else {
            return Ok(());
        };
        process = again;
    }
}

/// Waits and starts; `None` when told to stop meanwhile.
async fn start_again(
    spec: &ProcessSpec,
    exit: Exit,
    failures: &mut u32,
    stop: &mut watch::Receiver<bool>,
) -> Option<ManagedProcess> {
    tracing::warn!(name = %spec.name, failures, "the server {exit}; it is started again");
    loop {
        tokio::select! {
            () = tokio::time::sleep(RESTART_BACKOFF.delay(*failures)) => {}
            _ = stop.changed() => return None,
        }
        match ManagedProcess::start(spec.clone()) {
            Ok(process) => return Some(process),
            Err(error) => {
                *failures = failures.saturating_add(1);
                tracing::error!(name = %spec.name, %error, "the server cannot be started");
            }
        }
    }
}

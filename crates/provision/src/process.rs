//! Child processes that outlive their parent. A child runs in a process group of its own (Ctrl-C on
//! the terminal does not reach it), logs to a file, and is named on disk by [`ProcessIdentity`]: a
//! parent that comes back after a kill adopts what still runs instead of starting a second one.

mod identity;
mod log_file;

pub use identity::ProcessIdentity;
pub use log_file::{LOG_BYTES_MAX, LogFile, OLD_LOGS_KEPT};

use crate::error::ProvisionError;
use crate::files;
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How often the end of an adopted process is looked for (the kernel tells only a parent).
const ADOPTED_POLL: Duration = Duration::from_millis(50);

/// SIGTERM is sent again so often: a server that is still starting may lose one.
const TERMINATE_EVERY: Duration = Duration::from_secs(2);

/// How long a process may take to go after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// What to run, and where its pid file and log are.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// For messages: "data node 1".
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments. They must be its own alone (hold a path of its own): by them it is found again.
    pub arguments: Vec<OsString>,
    /// Its directory: working directory, pid file and log.
    pub directory: PathBuf,
    /// The name before `.pid` and `.log`.
    pub file_stem: &'static str,
}

impl ProcessSpec {
    /// The log.
    pub fn log(&self) -> LogFile {
        LogFile::new(self.directory.join(format!("{}.log", self.file_stem)))
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join(format!("{}.pid", self.file_stem))
    }

    /// The living process of this description, whoever started it.
    pub fn find_running(&self) -> Result<Option<ProcessIdentity>, ProvisionError> {
        let noted = files::read_optional(&self.pid_file())?
            .and_then(|text| serde_json::from_str::<ProcessIdentity>(&text).ok())
            .filter(ProcessIdentity::is_alive);
        Ok(noted.or_else(|| ProcessIdentity::find(&self.program, &self.arguments)))
    }

    fn note(&self, identity: &ProcessIdentity) -> Result<(), ProvisionError> {
        let text = serde_json::to_vec(identity).expect("an identity is plain data");
        files::write_private(&self.pid_file(), &text)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was adopted: only its parent could have known.
    Unknown,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "ended with code {code}"),
            Exit::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Exit::Unknown => f.write_str("ended"),
        }
    }
}

/// A process that we started or adopted. Dropping it leaves the process running.
#[derive(Debug)]
pub struct ManagedProcess {
    spec: ProcessSpec,
    identity: ProcessIdentity,
    /// Our own child; `None` for an adopted process.
    child: Option<Child>,
    exit: Option<Exit>,
}

impl ManagedProcess {
    /// Adopts the process if it runs, else starts it.
    pub fn start(spec: ProcessSpec) -> Result<Self, ProvisionError> {
        match Self::adopt(&spec)? {
            Some(running) => Ok(running),
            None => Self::spawn(spec),
        }
    }

    /// The process if it runs already.
    pub fn adopt(spec: &ProcessSpec) -> Result<Option<Self>, ProvisionError> {
        let Some(identity) = spec.find_running()? else { return Ok(None) };
        spec.note(&identity)?;
        tracing::info!(name = %spec.name, pid = identity.pid, "adopted a running process");
        Ok(Some(Self { spec: spec.clone(), identity, child: None, exit: None }))
    }

    fn spawn(spec: ProcessSpec) -> Result<Self, ProvisionError> {
        files::make_private_dir(&spec.directory)?;
        let log = spec.log().open()?;
        let second = log.try_clone().map_err(ProvisionError::io("open", spec.log().path()))?;
        let spawned = Command::new(&spec.program)
            .args(&spec.arguments)
            .current_dir(&spec.directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(second)
            .process_group(0)
            .kill_on_drop(false)
            .spawn();
        let child = spawned.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                ProvisionError::ProgramMissing { program: spec.program.clone() }
            }
            _ => ProvisionError::Start { name: spec.name.clone(), reason: error.to_string() },
        })?;
        let pid = child.id().expect("a child that was not waited for has its pid").cast_signed();
        // Its remains keep the pid until they are reaped, so a child that ended at once is only dead.
        let identity = ProcessIdentity::of(pid).unwrap_or_else(|| ProcessIdentity {
            pid,
            start_ticks: 0,
            boot_id: String::new(),
        });
        spec.note(&identity)?;
        Ok(Self { spec, identity, child: Some(child), exit: None })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.identity.pid
    }

    /// Whether an earlier parent started it.
    pub fn is_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// How it ended, if it did; does not wait.
    pub fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            let exit = match &mut self.child {
                Some(child) => child.try_wait().ok().flatten().map(Exit::from),
                None => (!self.identity.is_alive()).then_some(Exit::Unknown),
            };
            self.ended(exit);
        }
        self.exit
    }

    /// Waits for its end. May be dropped while it waits.
    pub async fn wait(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.exit() {
                return exit;
            }
            match &mut self.child {
                Some(child) => {
                    let exit = child.wait().await.map_or(Exit::Unknown, Exit::from);
                    self.ended(Some(exit));
                }
                None => tokio::time::sleep(ADOPTED_POLL).await,
            }
        }
    }

    fn ended(&mut self, exit: Option<Exit>) {
        if exit.is_some() {
            self.exit = exit;
            if let Err(error) = files::remove_file(&self.spec.pid_file()) {
                tracing::warn!(name = %self.spec.name, %error, "cannot remove the pid file");
            }
        }
    }

    /// SIGTERM, again and again, at most `grace` of waiting, SIGKILL.
    pub async fn stop(&mut self, grace: Duration) -> Result<Exit, ProvisionError> {
        if let Some(exit) = self.exit() {
            return Ok(exit);
        }
        let deadline = Instant::now() + grace;
        loop {
            self.signal(Signal::TERM)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if let Ok(exit) = tokio::time::timeout(left.min(TERMINATE_EVERY), self.wait()).await {
                return Ok(exit);
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        tracing::warn!(name = %self.spec.name, pid = self.pid(), ?grace, "not ended in time; killed");
        self.kill().await
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) -> Result<Exit, ProvisionError> {
        if let Some(exit) = self.exit() {
            return Ok(exit);
        }
        self.signal(Signal::KILL)?;
        let not_stopped =
            ProvisionError::NotStopped { name: self.spec.name.clone(), pid: self.identity.pid };
        tokio::time::timeout(KILL_TIMEOUT, self.wait()).await.map_err(|_| not_stopped)
    }

    fn signal(&self, signal: Signal) -> Result<(), ProvisionError> {
        match self.identity.signal(signal) {
            Ok(_) => Ok(()),
            Err(source) => Err(ProvisionError::Io {
                doing: "signal the process of",
                path: self.spec.directory.clone(),
                source,
            }),
        }
    }
}

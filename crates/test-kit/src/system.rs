//! A whole DDM system of a test's own: `ddm up` as a child process in a directory, on ports and
//! loopback addresses of its own.

use crate::scratch_dir::ScratchDir;
use anyhow::{Context, Result, bail};
use base::secret::Secret;
use node_backend::ConnectOptions;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long `ddm up --demo` may take on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an orderly stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A running system.
#[derive(Debug)]
pub struct System {
    process: Child,
    arguments: Vec<String>,
    endpoints: Value,
    dir: ScratchDir,
}

impl System {
    /// Starts `ddm up` with these further options and waits until it is ready.
    pub async fn start(options: &[&str]) -> Result<Self> {
        let dir = ScratchDir::new("system")?;
        let [a, b] = base::id::random_bytes::<2>();
        let subnet = format!("127.{}.{}.0/24", 64 + a % 190, b);
        let mut arguments: Vec<String> =
            ["up", "--api-listen", "127.0.0.1:0", "--node-subnet", &subnet]
                .map(String::from)
                .to_vec();
        arguments.extend(["--data-dir".to_owned(), dir.path().join("data").display().to_string()]);
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let process = spawn(&arguments, dir.path())?;
        let mut system = Self { process, arguments, endpoints: Value::Null, dir };
        system.wait_until_ready().await?;
        Ok(system)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let file = self.data_dir().join("endpoints.json");
        let started = std::time::SystemTime::now();
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("ddm up ended ({status}):\n{}", self.log());
            }
            let fresh = std::fs::metadata(&file)
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|written| written + Duration::from_secs(2) > started);
            if fresh && self.log().contains("endpoints.json") {
                self.endpoints = serde_json::from_slice(&std::fs::read(&file)?)?;
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("ddm up is not ready after {START_TIMEOUT:?}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Where the system keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// `endpoints.json`.
    pub fn endpoints(&self) -> &Value {
        &self.endpoints
    }

    /// What `ddm up` printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("up.log")).unwrap_or_default()
    }

    /// How to log in to the demo instance as its administrator, with this schema.
    pub fn administrator(&self, schema: &str) -> Result<ConnectOptions> {
        let demo = &self.endpoints["demo"];
        let text = |key: &str| {
            demo[key].as_str().with_context(|| format!("no demo.{key} in endpoints.json"))
        };
        let port = u16::try_from(demo["port"].as_u64().context("no demo.port")?)?;
        let password = Secret::new(text("admin_password")?);
        let mut options = ConnectOptions::new(text("host")?, port, text("admin_user")?, password);
        options.database = Some(schema.to_owned());
        Ok(options)
    }

    /// Runs `ddm ctl` against the system and returns its JSON.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(ddm_binary()?)
            .args(["ctl", "--output", "json", "--data-dir"])
            .arg(self.data_dir())
            .args(arguments)
            .output()?;
        if !output.status.success() {
            bail!("ddm ctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Stops it in order (SIGTERM) and waits.
    pub async fn stop(&mut self) -> Result<()> {
        let pid = i32::try_from(self.process.id())?;
        let pid = rustix::process::Pid::from_raw(pid).context("pid 0")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("ddm up does not stop:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Starts it again on the same directory.
    pub async fn start_again(&mut self) -> Result<()> {
        std::fs::write(self.dir.path().join("up.log"), "")?;
        self.process = spawn(&self.arguments, self.dir.path())?;
        self.wait_until_ready().await
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let Ok(None) = self.process.try_wait() else { return };
        // A runtime of its own on a thread of its own: the test may be inside of one.
        let stopped = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(self.stop())
                })
                .join()
        });
        if !matches!(stopped, Ok(Ok(()))) {
            let _ = self.process.kill();
        }
    }
}

fn spawn(arguments: &[String], dir: &Path) -> Result<Child> {
    let log = std::fs::File::create(dir.join("up.log"))?;
    Command::new(ddm_binary()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start ddm")
}

/// The built program: beside the tests' own directory.
pub fn ddm_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DDM_BINARY") {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe()?;
    let profile =
        test.parent().and_then(Path::parent).context("a test runs from target/<profile>/deps")?;
    let binary = profile.join("ddm");
    if !binary.is_file() {
        bail!("no {}; build it first: cargo build --bin ddm", binary.display());
    }
    Ok(binary)
}

//! The oracle's plain server: one MariaDB with default settings but for those that a data node has
//! too (lower_case_table_names, local_infile), so that a difference is ours.

use crate::scratch_dir::{ScratchDir, free_port};
use anyhow::{Context, Result, bail};
use base::secret::Secret;
use node_backend::ConnectOptions;
use node_backend::Connection;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take to come up on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The account that tests use; it has no password and the server listens on loopback alone.
pub const USER: &str = "tester";

/// A running MariaDB server of a test's own.
#[derive(Debug)]
pub struct PlainServer {
    process: Mutex<Child>,
    port: u16,
    dir: ScratchDir,
}

impl PlainServer {
    /// Makes a data directory and starts a server on a free port.
    pub async fn start() -> Result<Self> {
        let dir = ScratchDir::new("plain")?;
        let data = dir.path().join("data");
        let made = Command::new(program("mariadb-install-db")?)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            // Without --user (which would change the owner of the machine's own plugin files), and in
            // a temporary directory of its own (a starting server deletes others' files there).
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !made.success() {
            bail!("mariadb-install-db failed ({made})");
        }
        let init = dir.path().join("init.sql");
        std::fs::write(
            &init,
            format!(
                "CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1';\nGRANT ALL ON *.* TO '{USER}'@'127.0.0.1';\n"
            ),
        )?;
        let port = free_port()?;
        let process = Mutex::new(spawn(&dir, port)?);
        let server = Self { process, port, dir };
        server.wait_until_up().await?;
        Ok(server)
    }

    /// Starts it again if it has ended: some statements bring a server down. Whether it had. One that
    /// is going down takes a while to end.
    pub async fn revive(&self) -> Result<bool> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.has_ended()? {
            match self.connect(None).await {
                Ok(_) => return Ok(false),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context("the plain server neither answers nor ends"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = spawn(&self.dir, self.port)?;
        self.wait_until_up().await?;
        Ok(true)
    }

    fn has_ended(&self) -> Result<bool> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(process.try_wait()?.is_some())
    }

    async fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.connect(None).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context("the plain server did not come up"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// How to reach it, with this database if one is given.
    pub fn options(&self, database: Option<&str>) -> ConnectOptions {
        let mut options = ConnectOptions::new("127.0.0.1", self.port, USER, Secret::new(""));
        options.database = database.map(str::to_owned);
        options
    }

    /// A connection, with this database if one is given.
    pub async fn connect(&self, database: Option<&str>) -> Result<Connection> {
        Ok(Connection::connect(&self.options(database)).await?)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn spawn(dir: &ScratchDir, port: u16) -> Result<Child> {
    let dir = dir.path();
    let user: &[&str] = if rustix::process::geteuid().is_root() { &["--user=root"] } else { &[] };
    let log = std::fs::File::options().create(true).append(true).open(dir.join("server.log"))?;
    let process = Command::new(program("mariadbd")?)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", dir.join("data").display()))
        .arg(format!("--socket={}", dir.join("s").display()))
        .arg(format!("--port={port}"))
        .arg(format!("--tmpdir={}", dir.display()))
        .arg(format!("--init-file={}", dir.join("init.sql").display()))
        .args(["--bind-address=127.0.0.1", "--lower-case-table-names=1", "--local-infile=ON"])
        .args(["--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0"])
        .args(["--skip-name-resolve", "--max-connections=500"])
        .args(user)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(process)
}

/// Where a server program is: on the path, or where distributions put servers.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"])
        .map(|dir| PathBuf::from(dir).join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no {name} on this machine; `make test` installs it"))
}

//! A real MariaDB server of a test's own: its own directory and port, stopped at the end. Tests
//! fail, and are not skipped, on a machine without the server.
#![allow(clippy::unwrap_used, dead_code)]

use base::secret::Secret;
use node_backend::{ConnectOptions, Connection, QueryResult};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The account of the tests.
pub const USER: &str = "tester";
/// Its password.
pub const PASSWORD: &str = "p'ä\\ss";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    child: Option<Child>,
    dir: PathBuf,
    pub port: u16,
}

impl Server {
    /// Makes a data directory and starts a server on it.
    pub async fn start() -> Self {
        let dir = scratch_dir();
        let status = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--datadir={}", dir.join("data").display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(user_option())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db is installed");
        assert!(status.success());
        let init = format!(
            "CREATE DATABASE IF NOT EXISTS t;\n\
             CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY 'p''ä\\\\ss';\n\
             GRANT ALL ON *.* TO '{USER}'@'%';\n"
        );
        std::fs::write(dir.join("init.sql"), init).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut server = Self { child: None, dir, port };
        server.run().await;
        server
    }

    /// Starts the server again after [`Server::stop`].
    pub async fn run(&mut self) {
        let dir = self.dir.display();
        let log = std::fs::File::create(self.dir.join("log")).unwrap();
        let child = Command::new("mariadbd")
            .args([
                "--no-defaults".to_owned(),
                format!("--datadir={dir}/data"),
                format!("--socket={dir}/s"),
                format!("--pid-file={dir}/pid"),
                format!("--init-file={dir}/init.sql"),
                format!("--port={}", self.port),
            ])
            .args(["--bind-address=127.0.0.1", "--local-infile=1", "--skip-name-resolve"])
            .args(["--innodb-buffer-pool-size=64M", "--max-allowed-packet=64M", "--skip-log-bin"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--character-set-server=latin1"])
            .args(user_option())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mariadbd is installed");
        self.child = Some(child);
        let started = Instant::now();
        while let Err(error) = Connection::connect(&self.options()).await {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(started.elapsed() < START_TIMEOUT, "{error:?}\n{log}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Kills the server at once.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal to the server's process.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.as_ref().unwrap().id();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new("127.0.0.1", self.port, USER, Secret::new(PASSWORD));
        options.database = Some("t".to_owned());
        options
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(&self.options()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn user_option() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

fn scratch_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("backend-test-{}-{number}", std::process::id()));
    std::fs::create_dir_all(Path::new(&dir)).unwrap();
    dir
}

/// The first field of the first row.
pub async fn one(connection: &mut Connection, sql: &str) -> String {
    match connection.query(sql.as_bytes()).await.unwrap() {
        QueryResult::Rows(set) => set.rows[0].text(0).unwrap_or_else(|| "NULL".to_owned()),
        QueryResult::Ok(ok) => panic!("{sql}: {ok:?}"),
    }
}

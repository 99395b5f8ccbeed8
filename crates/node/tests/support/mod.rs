//! A node in this process over real MariaDB servers, with a control plane that is just the
//! snapshot: definitions change at once, nothing is kept. Servers have their own directories, ports
//! and temporary directories, and go with the test.
#![allow(clippy::unwrap_used, dead_code)]

use base::id::{DataNodeId, InstanceId, NodeId};
use base::secret::Secret;
use futures::future::BoxFuture;
use mysql_wire::auth::Verifiers as Hashes;
use node::{NodeConfig, RunningNode};
use node_backend::{ConnectOptions, Connection};
use node_exec::ask::{AskError, ControlPlane};
use node_session::shared::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};
use topology::account::{Account, Authority, Verifiers};
use topology::model::{
    DataNode, SNAPSHOT_FORM, Schema, Shard, ShardMode, Snapshot, physical_database,
};
use topology::stream::{Answer, Ask, TableChange};

pub const DN_USER: &str = "ddmrw";
pub const DN_PASSWORD: &str = "Backend_1";
pub const PASSWORD: &str = "Client_1";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A MariaDB server.
pub struct Server {
    child: Option<Child>,
    pub dir: PathBuf,
    pub port: u16,
    /// Arguments beyond the usual ones.
    extra: Vec<String>,
}

impl Server {
    pub fn make() -> Self {
        Self::make_with(&["--skip-log-bin"])
    }

    pub fn make_with(extra: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("node-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(dir.join("tmp")).unwrap();
        let root = rustix::process::geteuid().is_root();
        let status = Command::new("mariadb-install-db")
            .env("TMPDIR", dir.join("tmp"))
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", dir.join("data").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db is installed");
        assert!(status.success());
        let init = format!(
            "CREATE USER IF NOT EXISTS '{DN_USER}'@'%' IDENTIFIED BY '{DN_PASSWORD}';\n\
             GRANT ALL ON *.* TO '{DN_USER}'@'%';\n"
        );
        std::fs::write(dir.join("init.sql"), init).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let extra = extra.iter().map(|one| (*one).to_owned()).collect();
        let mut server = Self { child: None, dir, port, extra };
        server.run(root);
        server
    }

    pub fn run(&mut self, root: bool) {
        let dir = self.dir.display();
        let log = std::fs::File::create(self.dir.join("log")).unwrap();
        let mut command = Command::new("mariadbd");
        command.args([
            "--no-defaults".to_owned(),
            format!("--datadir={dir}/data"),
            format!("--socket={dir}/s"),
            format!("--pid-file={dir}/pid"),
            format!("--tmpdir={dir}/tmp"),
            format!("--init-file={dir}/init.sql"),
            format!("--port={}", self.port),
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--lower-case-table-names=1",
        ]);
        command.args(["--innodb-buffer-pool-size=64M", "--max-allowed-packet=64M"]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--character-set-server=utf8mb4"]);
        command.args(&self.extra);
        if root {
            command.arg("--user=root");
        }
        let child =
            command.stdout(Stdio::null()).stderr(log).spawn().expect("mariadbd is installed");
        self.child = Some(child);
    }

    /// Ends it at once, as a crash does.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Makes it hang, until it is let go on: it takes connections, and says nothing.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
        // Each of its threads stops when it comes to look at the signal.
        let pid = self.child.as_ref().expect("it runs").id();
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.unwrap().path().join("stat"))
                .map_or(true, |stat| stat.rsplit_once(')').unwrap().1.starts_with(" T"))
        };
        while !std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(is_stopped) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Starts it again after a crash.
    pub fn run_again(&mut self) {
        self.run(rustix::process::geteuid().is_root());
    }

    pub async fn ready(&self) -> Connection {
        let started = Instant::now();
        loop {
            let options =
                ConnectOptions::new("127.0.0.1", self.port, DN_USER, Secret::new(DN_PASSWORD));
            match Connection::connect(&options).await {
                Ok(connection) => return connection,
                Err(error) => {
                    let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                    assert!(started.elapsed() < START_TIMEOUT, "{error:?}\n{log}");
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Definitions change at once.
#[derive(Debug, Default)]
pub struct TestControl {
    shared: OnceLock<Weak<Shared>>,
    /// Another node of the instance.
    pub peer: OnceLock<Weak<Shared>>,
    pub asked: Mutex<Vec<Ask>>,
}

impl TestControl {
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) -> u64 {
        let shared = self.shared.get().unwrap().upgrade().unwrap();
        let mut snapshot = (*shared.snapshot().unwrap()).clone();
        change(&mut snapshot);
        snapshot.version += 1;
        let version = snapshot.version;
        shared.serve_snapshot(Arc::new(snapshot));
        version
    }

    fn answer(&self, ask: Ask) -> Answer {
        self.asked.lock().unwrap().push(ask.clone());
        let schema_of = |id: &str| id.split('/').next().unwrap().to_owned();
        match ask {
            Ask::DdlBegin { schema, .. } => Answer::DdlBegun { ddl_id: format!("{schema}/1") },
            Ask::DdlAbort { .. } | Ask::DdlAbandon { .. } | Ask::DdlEnd { .. } => Answer::Aborted,
            Ask::DdlFreeze { .. } => Answer::Published { version: self.change(|_| {}) },
            Ask::Account { .. } => Answer::Published { version: 0 },
            Ask::Peers { ask } => {
                let peer = self.peer.get().and_then(Weak::upgrade);
                let answers = peer.map(|peer| peer.answer_peer(&over_the_wire(&ask)));
                let answers = answers.iter().map(over_the_wire).collect();
                Answer::Peers { answers, silent: Vec::new() }
            }
            Ask::DdlCommit { ddl_id, changes } => {
                let version = self.change(|snapshot| {
                    let schema = snapshot.schemas.get_mut(&schema_of(&ddl_id)).unwrap();
                    for change in changes {
                        match change {
                            TableChange::Create { table }
                            | TableChange::Alter { table }
                            | TableChange::Move { table, .. } => {
                                schema.tables.insert(table.name.to_lowercase(), table);
                            }
                            TableChange::Rename { from, table, .. } => {
                                schema.tables.remove(&from.to_lowercase());
                                schema.tables.insert(table.name.to_lowercase(), table);
                            }
                            TableChange::Drop { name } => {
                                schema.tables.remove(&name.to_lowercase());
                            }
                        }
                    }
                });
                Answer::Published { version }
            }
        }
    }
}

/// As it comes out of a stream.
fn over_the_wire<T: serde::Serialize + serde::de::DeserializeOwned>(one: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(one).unwrap()).unwrap()
}

impl ControlPlane for TestControl {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, AskError>> {
        Box::pin(std::future::ready(Ok(self.answer(ask))))
    }
}

/// A node with its servers.
pub struct System {
    pub servers: Vec<Server>,
    pub control: Arc<TestControl>,
    pub node: Option<RunningNode>,
    pub port: u16,
    pub config: NodeConfig,
    dir: PathBuf,
}

fn account(name: &str, administrator: bool) -> (String, Account) {
    let hashes = Hashes::from_password(PASSWORD.as_bytes());
    let account = Account {
        name: name.to_owned(),
        verifiers: Verifiers { native: hashes.native, sha2: hashes.sha2 },
        authorities: Authority::ALL.into_iter().collect(),
        schemas: BTreeSet::from(["shop".to_owned()]),
        tables: Default::default(),
        administrator,
        require_tls: false,
        password_expires_ms: None,
    };
    (name.to_owned(), account)
}

impl System {
    /// `shards` shards of schema `shop` over `nodes` servers.
    pub async fn start(nodes: usize, shards: u32) -> Self {
        Self::start_with(nodes, shards, |_| {}).await
    }

    pub async fn start_with(
        nodes: usize,
        shards: u32,
        configure: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let servers = (0..nodes).map(|_| Server::make()).collect();
        Self::start_on(servers, shards, configure).await
    }

    /// The same over these servers.
    pub async fn start_on(
        servers: Vec<Server>,
        shards: u32,
        configure: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let nodes = servers.len();
        let ids: Vec<DataNodeId> =
            (0..nodes).map(|n| DataNodeId::from_random([n as u8 + 1; 16])).collect();
        let mut data_nodes = BTreeMap::new();
        let mut all_shards = Vec::new();
        let mut connections = Vec::new();
        for (server, id) in servers.iter().zip(&ids) {
            let connection = server.ready().await;
            data_nodes.insert(
                id.clone(),
                DataNode {
                    id: id.clone(),
                    name: format!("dn-{}", server.port),
                    host: "127.0.0.1".into(),
                    port: server.port,
                    server_version: connection.server_version().to_owned(),
                    user: DN_USER.into(),
                    password: Secret::new(DN_PASSWORD),
                    read_weight: 100,
                    replicas: Vec::new(),
                },
            );
            connections.push(connection);
        }
        for index in 0..shards {
            let node = (index as usize * nodes / shards as usize).min(nodes - 1);
            let database = physical_database("shop", index);
            connections[node]
                .execute_sql(format!("CREATE DATABASE `{database}`").as_bytes())
                .await
                .unwrap();
            all_shards.push(Shard { index, database, data_node: ids[node].clone() });
        }
        let schema = Schema {
            name: "shop".into(),
            mode: ShardMode::Cluster,
            ready: true,
            character_set: "utf8mb4".into(),
            collation: "utf8mb4_general_ci".into(),
            shards: all_shards,
            tables: BTreeMap::new(),
            recycled: BTreeMap::new(),
        };
        let instance_id = InstanceId::from_random([7; 16]);
        let snapshot = Snapshot {
            form: SNAPSHOT_FORM,
            version: 1,
            instance_id: instance_id.clone(),
            instance_name: "test".into(),
            data_nodes,
            schemas: BTreeMap::from([("shop".to_owned(), schema)]),
            accounts: BTreeMap::from([account("app", false), account("root", true)]),
            parameters: Default::default(),
            node_count: 1,
            node_numbers: Default::default(),
            read_only_nodes: Default::default(),
            client_access: None,
            access_lists: Default::default(),
            time_zone: Some("+05:00".into()),
        };
        let dir = servers[0].dir.join("node");
        std::fs::create_dir_all(&dir).unwrap();
        let mut config = NodeConfig {
            node_id: NodeId::from_random([9; 16]),
            instance_id,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            shared_listen: Vec::new(),
            control_plane: Vec::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            mysql_cert_file: None,
            mysql_key_file: None,
            data_dir: dir.clone(),
            seal_key_file: dir.join("key"),
            worker_threads: 2,
            memory_limit_mb: None,
            admin_listen: Some("127.0.0.1:0".parse().unwrap()),
        };
        configure(&mut config);
        let control = Arc::new(TestControl::default());
        let node = RunningNode::start(&config, control.clone(), Some(snapshot)).unwrap();
        control.shared.set(Arc::downgrade(&node.shared)).unwrap();
        let port = node.addresses[0].port();
        Self { servers, control, node: Some(node), port, config, dir }
    }

    pub fn options(&self, user: &str) -> ConnectOptions {
        let mut options = ConnectOptions::new("127.0.0.1", self.port, user, Secret::new(PASSWORD));
        options.database = Some("shop".into());
        options.connect_timeout = Duration::from_secs(20);
        options
    }

    /// A client as `app` in schema `shop`.
    pub async fn client(&self) -> Client {
        self.client_of("app").await
    }

    pub async fn client_of(&self, user: &str) -> Client {
        Client(Connection::connect(&self.options(user)).await.unwrap())
    }

    /// A connection straight to a data node.
    pub async fn direct(&self, node: usize) -> Client {
        Client(self.servers[node].ready().await)
    }

    /// The `mariadb` client, with these statements on its input.
    pub fn cli(&self, extra: &[&str], input: &str) -> (String, String) {
        use std::io::Write;
        let mut child = Command::new("mariadb")
            .args(["--no-defaults", "--host=127.0.0.1", "--batch", "--user=app"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--password={PASSWORD}"))
            .args(extra)
            .arg("shop")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the mariadb client is installed");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(output.stdout), text(output.stderr))
    }
}

/// Parameters, as a snapshot brings them.
impl System {
    /// Sets one, also beyond its range: tests cannot wait for the least that users may set.
    pub fn set(&self, name: &str, value: &str) {
        self.control.change(|snapshot| {
            let kept = serde_json::to_value(&snapshot.parameters).unwrap();
            let mut values: BTreeMap<String, String> = serde_json::from_value(kept).unwrap();
            values.insert(name.to_owned(), value.to_owned());
            let kept = serde_json::to_value(values).unwrap();
            snapshot.parameters = serde_json::from_value(kept).unwrap();
        });
    }

    /// Puts one back to its default.
    pub fn reset(&self, name: &str) {
        self.control.change(|snapshot| snapshot.parameters.reset(name));
    }
}

/// Waits until something holds.
pub async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A number from a data node: the last field of the first row.
pub async fn number(direct: &mut Client, sql: &str) -> u64 {
    direct.ok(sql).await[0].rsplit('|').next().unwrap().parse().unwrap()
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().unwrap();
        }
        let _ = &self.dir;
    }
}

/// A client with short words.
pub struct Client(pub Connection);

impl Client {
    /// Runs a statement; rows as `a|b` lines, or `ok AFFECTED INSERT_ID`.
    pub async fn run(&mut self, sql: &str) -> Result<Vec<String>, (u16, String)> {
        use node_backend::{BackendError, QueryResult};
        match self.0.query(sql.as_bytes()).await {
            Ok(QueryResult::Ok(ok)) => {
                Ok(vec![format!("ok {} {}", ok.affected_rows, ok.last_insert_id)])
            }
            Ok(QueryResult::Rows(set)) => Ok(set
                .rows
                .iter()
                .map(|row| {
                    let fields: Vec<String> = (0..set.columns.len())
                        .map(|at| row.text(at).unwrap_or_else(|| "NULL".into()))
                        .collect();
                    fields.join("|")
                })
                .collect()),
            Err(BackendError::Server(error)) => {
                Err((error.number, error.message_text().into_owned()))
            }
            Err(other) => panic!("{sql}: {other:?}"),
        }
    }

    /// Makes its server a replica of the one at this port.
    pub async fn replicate(&mut self, from: u16) {
        self.ok(&format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {from}, \
             MASTER_USER = '{DN_USER}', MASTER_PASSWORD = '{DN_PASSWORD}', \
             MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos"
        ))
        .await;
        self.ok("START SLAVE").await;
    }

    /// A statement that goes well.
    pub async fn ok(&mut self, sql: &str) -> Vec<String> {
        self.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// A statement that fails with this number.
    pub async fn fails(&mut self, sql: &str, number: u16) -> String {
        match self.run(sql).await {
            Err((got, message)) => {
                assert_eq!(got, number, "{sql}: {message}");
                message
            }
            Ok(rows) => panic!("{sql}: {rows:?}"),
        }
    }
}

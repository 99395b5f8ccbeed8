//! Real MariaDB servers: made, replicated, administered, killed, adopted, restarted.
#![allow(clippy::unwrap_used)]

mod common;

use base::secret::Secret;
use common::TestDir;
use provision::mariadb_local::{LocalDataNodes, LocalMariaDbError, LocalMariaDbOptions};
use provision::process::ProcessIdentity;
use provision::{AdminError, AdminLogin, DataNodeAccount, DataNodeAdmin, Grant, SqlDataNodeAdmin};
use rustix::process::Signal;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn options(dir: &Path, count: u32, replicas: u32) -> LocalMariaDbOptions {
    LocalMariaDbOptions {
        first_port: 0,
        buffer_pool_mb: 16,
        max_connections: 50,
        ..LocalMariaDbOptions::new(dir.join("data-nodes"), count, replicas)
    }
}

async fn start(dir: &Path, count: u32, replicas: u32) -> LocalDataNodes {
    LocalDataNodes::start(options(dir, count, replicas), Arc::new(|_| {})).await.unwrap()
}

fn server_process(dir: &Path, server: &str) -> Option<ProcessIdentity> {
    let text = std::fs::read(dir.join("data-nodes").join(server).join("mariadbd.pid")).ok()?;
    serde_json::from_slice::<ProcessIdentity>(&text).ok().filter(ProcessIdentity::is_alive)
}

/// Asks until the answer is this one.
async fn until_answer(login: &AdminLogin, sql: &str, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = SqlDataNodeAdmin.query(login, sql).await;
        let seen = answer.as_ref().ok().and_then(|rows| rows.rows.first()?.first()?.clone());
        if seen.as_deref() == Some(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{sql}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn two_data_nodes_with_replicas_live_through_it_all() {
    let dir = TestDir::new("mariadb");
    let nodes = start(dir.path(), 2, 1).await;
    let data_nodes = nodes.data_nodes();
    assert_eq!(
        data_nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["local-1", "local-2"]
    );
    let admin = SqlDataNodeAdmin;
    for node in &data_nodes {
        let facts = admin.probe(&node.login()).await.unwrap();
        assert_eq!(facts.problems(), Vec::<String>::new());
        assert!(facts.is_mariadb && facts.gtid_strict, "{facts:?}");
        assert_eq!(node.replicas.len(), 1);
    }
    let first = data_nodes[0].login();
    let replica = AdminLogin {
        endpoint: provision::Endpoint::new("127.0.0.1", data_nodes[0].replicas[0].port),
        ..first.clone()
    };
    assert!(admin.probe(&replica).await.unwrap().read_only);

    // A replica gets what its primary gets.
    admin.create_database(&first, "shop_0000", "utf8mb4", "utf8mb4_bin").await.unwrap();
    admin.execute(&first, "CREATE TABLE shop_0000.t (id INT PRIMARY KEY)").await.unwrap();
    assert_eq!(admin.execute(&first, "INSERT INTO shop_0000.t VALUES (1), (2)").await.unwrap(), 2);
    until_answer(&replica, "SELECT COUNT(*) FROM shop_0000.t", "2").await;

    // Dropped without a stop, as by a kill: the servers run on and are adopted.
    let before = server_process(dir.path(), "1").unwrap();
    drop(nodes);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let nodes = start(dir.path(), 2, 1).await;
    assert_eq!(server_process(dir.path(), "1").unwrap(), before);

    // A killed server is started again and has lost nothing.
    assert!(before.signal(Signal::KILL).unwrap());
    until_answer(&first, "SELECT COUNT(*) FROM shop_0000.t", "2").await;
    assert_ne!(server_process(dir.path(), "1").unwrap(), before);
    admin.execute(&first, "INSERT INTO shop_0000.t VALUES (3)").await.unwrap();
    until_answer(&replica, "SELECT COUNT(*) FROM shop_0000.t", "3").await;

    nodes.stop().await.unwrap();
    for server in ["1", "2", "1-replica-1", "2-replica-1"] {
        assert_eq!(server_process(dir.path(), server), None, "{server}");
    }
    // Fewer are asked for than there are: all come back, the same as before.
    let nodes = start(dir.path(), 1, 0).await;
    let again = nodes.data_nodes();
    assert_eq!(again.len(), 2);
    for (before, after) in data_nodes.iter().zip(&again) {
        assert_eq!(
            (&before.id, before.port, &before.admin_password),
            (&after.id, after.port, &after.admin_password)
        );
    }
    until_answer(&first, "SELECT COUNT(*) FROM shop_0000.t", "3").await;
    nodes.stop().await.unwrap();
}

#[tokio::test]
async fn administration() {
    let dir = TestDir::new("mariadb");
    let nodes = start(dir.path(), 1, 0).await;
    let login = nodes.data_nodes()[0].login();
    let admin = SqlDataNodeAdmin;
    for _ in 0..2 {
        for name in ["shop_0000", "shop_0001", "shopx0000"] {
            admin.create_database(&login, name, "utf8mb4", "utf8mb4_general_ci").await.unwrap();
        }
    }
    assert_eq!(admin.list_databases(&login, "shop_").await.unwrap(), ["shop_0000", "shop_0001"]);
    assert_eq!(admin.list_databases(&login, "").await.unwrap().len(), 3);

    let account = DataNodeAccount {
        user: "DDMRW1".to_owned(),
        host: "%".to_owned(),
        password: Secret::new("it's a \\ pass"),
        grants: vec![Grant::on_databases_with_prefix("shop_", "ALL PRIVILEGES")],
    };
    for _ in 0..2 {
        admin.ensure_account(&login, &account).await.unwrap();
    }
    let user = AdminLogin {
        user: account.user.clone(),
        password: account.password.clone(),
        ..login.clone()
    };
    admin.execute(&user, "CREATE TABLE shop_0000.t (id INT)").await.unwrap();
    // The underscore of the prefix is no wildcard.
    let refused = admin.execute(&user, "CREATE TABLE shopx0000.t (id INT)").await.unwrap_err();
    assert!(matches!(refused, AdminError::Denied { number: 1142 | 1044, .. }), "{refused:?}");
    assert!(!admin.probe(&user).await.unwrap().missing_privileges.is_empty());

    for _ in 0..2 {
        admin.drop_account(&login, &account.user, "%").await.unwrap();
        admin.drop_database(&login, "shop_0000").await.unwrap();
    }
    let refused = admin.probe(&user).await.unwrap_err();
    assert!(matches!(refused, AdminError::AuthFailed { .. }), "{refused:?}");
    assert_eq!(admin.list_databases(&login, "shop_").await.unwrap(), ["shop_0001"]);
    let error = admin.query(&login, "SELECT nonsense").await.unwrap_err();
    assert_eq!(error.number(), Some(1054));
    nodes.stop().await.unwrap();
    let gone = admin.probe(&login).await.unwrap_err();
    assert!(gone.is_transient(), "{gone:?}");
}

#[tokio::test]
async fn an_interrupted_making_is_begun_again_and_a_taken_port_is_said() {
    let dir = TestDir::new("mariadb");
    // What a crash in the middle of the making leaves.
    let leftover = dir.path().join("data-nodes/1/data.new/mysql");
    std::fs::create_dir_all(&leftover).unwrap();
    std::fs::write(leftover.join("global_priv.MAI"), "half").unwrap();
    let nodes = start(dir.path(), 1, 0).await;
    let port = nodes.data_nodes()[0].port;
    nodes.stop().await.unwrap();
    let other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error =
        LocalDataNodes::start(options(dir.path(), 1, 0), Arc::new(|_| {})).await.unwrap_err();
    assert!(
        matches!(error, LocalMariaDbError::PortInUse { port: taken, .. } if taken == port),
        "{error}"
    );
    drop(other);
    let error =
        LocalDataNodes::start(options(dir.path(), 100, 0), Arc::new(|_| {})).await.unwrap_err();
    assert!(error.to_string().contains("at most 16"), "{error}");
}

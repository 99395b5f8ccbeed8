//! A whole node against real data nodes: what a client sees.
#![allow(clippy::unwrap_used)]

mod support;

use mysql_wire::value::Value;
use node::RunningNode;
use node_backend::{BackendError, Connection, StreamHead};
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use support::{System, TestControl};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_table_on_two_data_nodes() {
    let system = System::start(2, 4).await;
    let mut app = system.client().await;
    definitions(&mut app).await;
    rows(&mut app).await;
    merges(&mut app).await;
    prepared(&mut app).await;
    transactions(&system, &mut app).await;
    sessions(&mut app).await;
    shows(&mut app).await;
    permissions(&system).await;
    cli(&system);
}

async fn definitions(app: &mut support::Client) {
    app.ok("CREATE TABLE item (id BIGINT NOT NULL AUTO_INCREMENT, name VARCHAR(50), price DECIMAL(20,4), n INT, PRIMARY KEY (id)) \
            DBPARTITION BY HASH(id)").await;
    app.ok("CREATE TABLE part (id INT PRIMARY KEY, item_id BIGINT, v VARCHAR(20)) \
            DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 3")
        .await;
    app.ok("CREATE TABLE country (code CHAR(2) PRIMARY KEY, name VARCHAR(50)) BROADCAST").await;
    app.ok("CREATE TABLE note (id INT PRIMARY KEY AUTO_INCREMENT, t TEXT)").await;
    app.fails("CREATE TABLE item (id INT) DBPARTITION BY HASH(id)", 1050).await;
    assert_eq!(app.ok("SHOW TABLES").await, ["country", "item", "note", "part"]);
    let create = app.ok("SHOW CREATE TABLE item").await.remove(0);
    assert!(
        create.starts_with("item|CREATE TABLE `item` (")
            && create.ends_with("/*!99990 DBPARTITION BY HASH(`id`) */"),
        "{create}"
    );
    assert!(create.contains("AUTO_INCREMENT,"), "{create}");
}

async fn rows(app: &mut support::Client) {
    let inserted = app.ok("INSERT INTO item (name, price, n) VALUES ('a', 1.5, 1), ('b', 2.25, 2), ('c', NULL, 3)").await;
    assert_eq!(inserted, ["ok 3 1"]);
    assert_eq!(app.ok("SELECT LAST_INSERT_ID()").await, ["1"]);
    app.ok(
        "INSERT INTO item (id, name, price, n) VALUES (100, 'bob', 10, 4), (101, 'bob ', 20, 5)",
    )
    .await;
    assert_eq!(app.ok("SELECT name, price FROM item WHERE id = 2").await, ["b|2.2500"]);
    assert_eq!(
        app.ok("SELECT id FROM item WHERE id IN (3, 1, 100) ORDER BY id DESC").await,
        ["100", "3", "1"]
    );
    assert_eq!(app.ok("UPDATE item SET n = n + 10 WHERE id = 1").await, ["ok 1 0"]);
    assert_eq!(app.ok("UPDATE item SET n = n + 10 WHERE n < 10").await, ["ok 4 0"]);
    assert_eq!(app.ok("SELECT COUNT(*), SUM(n) FROM item").await, ["5|65"]);
    for id in 0..40 {
        app.ok(&format!("INSERT INTO part VALUES ({id}, {}, 'v{id}')", id % 5 + 1)).await;
    }
    assert_eq!(app.ok("SELECT v FROM part WHERE id = 17").await, ["v17"]);
    assert_eq!(
        app.ok("INSERT INTO country VALUES ('DE', 'Germany'), ('FR', 'France')").await,
        ["ok 2 0"]
    );
    assert_eq!(app.ok("SELECT name FROM country ORDER BY code").await, ["Germany", "France"]);
    assert_eq!(app.ok("UPDATE country SET name = 'x' WHERE code = 'DE'").await, ["ok 1 0"]);
    let message = app.fails("INSERT INTO part VALUES (17, 1, 'twice')", 1062).await;
    assert!(!message.contains("part_"), "{message}");
    app.fails("SELECT nothing FROM item WHERE id = 1", 1054).await;
    let message = app.fails("SELECT * FROM missing", 1146).await;
    assert_eq!(message, "Table 'shop.missing' doesn't exist");
    assert_eq!(app.ok("DELETE FROM part WHERE id = 39").await, ["ok 1 0"]);
    app.ok("INSERT INTO note (t) VALUES ('x')").await;
    assert_eq!(app.ok("SELECT id, t FROM note").await, ["1|x"]);
}

async fn merges(app: &mut support::Client) {
    assert_eq!(
        app.ok("SELECT id FROM part ORDER BY id LIMIT 3 OFFSET 10").await,
        ["10", "11", "12"]
    );
    assert_eq!(app.ok("SELECT id FROM part ORDER BY id DESC LIMIT 2").await, ["38", "37"]);
    assert_eq!(
        app.ok("SELECT item_id, COUNT(*), MIN(id), MAX(v), AVG(id) FROM part GROUP BY item_id ORDER BY item_id").await,
        ["1|8|0|v5|17.5000", "2|8|1|v6|18.5000", "3|8|2|v7|19.5000", "4|8|3|v8|20.5000", "5|7|4|v9|19.0000"]
    );
    assert_eq!(app.ok("SELECT COUNT(*) FROM item WHERE name = 'bob'").await, ["2"]);
    assert_eq!(
        app.ok("SELECT name, SUM(price) FROM item GROUP BY name ORDER BY name").await.len(),
        4
    );
    assert_eq!(
        app.ok("SELECT DISTINCT item_id FROM part ORDER BY item_id").await,
        ["1", "2", "3", "4", "5"]
    );
    assert_eq!(
        app.ok("SELECT p.v, c.name FROM part p JOIN country c ON c.code = 'FR' WHERE p.id = 4")
            .await,
        ["v4|France"]
    );
    assert_eq!(
        app.ok("SELECT i.name, COUNT(*) FROM item i JOIN part p ON p.item_id = i.id GROUP BY i.name ORDER BY i.name").await,
        ["a|8", "b|8", "c|8"]
    );
    assert_eq!(
        app.ok("SELECT COUNT(*) FROM (SELECT item_id FROM part GROUP BY item_id) x").await,
        ["5"]
    );
}

async fn prepared(app: &mut support::Client) {
    let statement = app.0.prepare(b"SELECT name, price, n FROM item WHERE id = ?").await.unwrap();
    assert_eq!((statement.params.len(), statement.columns.len()), (1, 3));
    for (id, name) in [(1, "a"), (2, "b"), (100, "bob"), (1, "a")] {
        let StreamHead::Rows(columns) = app.0.execute(&statement, &[Value::Int(id)]).await.unwrap()
        else {
            panic!("no rows")
        };
        assert_eq!(columns[0].schema, b"shop");
        assert_eq!(columns[0].org_table, b"item");
        let row = app.0.next_row().await.unwrap().unwrap();
        let values = mysql_wire::row::decode_binary_row(row.payload(), &columns).unwrap();
        assert_eq!(values[0], Value::Bytes(name.into()));
        assert!(app.0.next_row().await.unwrap().is_none());
    }
    let many =
        app.0.prepare(b"SELECT id, v FROM part WHERE id > ? ORDER BY id LIMIT 2").await.unwrap();
    let StreamHead::Rows(columns) = app.0.execute(&many, &[Value::Int(20)]).await.unwrap() else {
        panic!("no rows")
    };
    let row = app.0.next_row().await.unwrap().unwrap();
    let values = mysql_wire::row::decode_binary_row(row.payload(), &columns).unwrap();
    assert_eq!(values, [Value::Int(21), Value::Bytes(b"v21".into())]);
    app.0.next_row().await.unwrap().unwrap();
    assert!(app.0.next_row().await.unwrap().is_none());
    let insert = app.0.prepare(b"INSERT INTO part VALUES (?, ?, ?)").await.unwrap();
    for id in 200..210 {
        let values = [Value::Int(id), Value::Int(9), Value::Bytes(b"it's".into())];
        match app.0.execute(&insert, &values).await.unwrap() {
            StreamHead::Ok { ok, .. } => assert_eq!(ok.affected_rows, 1),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(app.ok("SELECT COUNT(*) FROM part WHERE v = 'it''s'").await, ["10"]);
    assert_eq!(app.ok("DELETE FROM part WHERE id >= 200").await, ["ok 10 0"]);
}

async fn transactions(system: &System, app: &mut support::Client) {
    let mut other = system.client().await;
    app.ok("BEGIN").await;
    assert!(app.0.in_transaction());
    app.ok("UPDATE item SET n = 0").await;
    assert_eq!(app.ok("SELECT SUM(n) FROM item").await, ["0"]);
    assert_eq!(other.ok("SELECT SUM(n) FROM item").await, ["65"]);
    app.ok("ROLLBACK").await;
    assert!(!app.0.in_transaction());
    assert_eq!(app.ok("SELECT SUM(n) FROM item").await, ["65"]);
    app.ok("START TRANSACTION").await;
    app.ok("UPDATE item SET n = n + 1 WHERE id = 1").await;
    app.ok("SAVEPOINT s1").await;
    app.ok("UPDATE item SET n = n + 100").await;
    app.ok("ROLLBACK TO s1").await;
    app.fails("ROLLBACK TO nowhere", 1305).await;
    app.ok("UPDATE item SET n = n + 1 WHERE id = 100").await;
    app.ok("COMMIT").await;
    assert_eq!(other.ok("SELECT SUM(n) FROM item").await, ["67"]);
    // A part that fails takes the statement back everywhere, and leaves the transaction.
    app.ok("BEGIN").await;
    app.ok("INSERT INTO part VALUES (500, 1, 'x')").await;
    app.fails(
        "INSERT INTO part VALUES (501, 1, 'x'), (502, 1, 'x'), (503, 1, 'x'), (17, 1, 'twice')",
        1062,
    )
    .await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM part WHERE id >= 500").await, ["1"]);
    app.ok("COMMIT").await;
    // Outside of one it is all or nothing too.
    app.fails(
        "INSERT INTO part VALUES (601, 1, 'x'), (602, 1, 'x'), (603, 1, 'x'), (17, 1, 'twice')",
        1062,
    )
    .await;
    assert_eq!(app.ok("SELECT COUNT(*) FROM part WHERE id >= 500").await, ["1"]);
    app.ok("DELETE FROM part WHERE id >= 500").await;
    app.ok("SET autocommit = 0").await;
    app.ok("UPDATE item SET n = n + 1 WHERE id = 1").await;
    assert_eq!(app.ok("SELECT @@autocommit").await, ["0"]);
    assert_eq!(other.ok("SELECT SUM(n) FROM item").await, ["67"]);
    app.ok("SET autocommit = 1").await;
    assert_eq!(other.ok("SELECT SUM(n) FROM item").await, ["68"]);
    for node in 0..2 {
        assert!(system.direct(node).await.ok("XA RECOVER").await.is_empty());
    }
}

async fn sessions(app: &mut support::Client) {
    // The instance's own time zone, whatever the data nodes have.
    let time_zone = "SELECT @@time_zone, NOW() = UTC_TIMESTAMP() + INTERVAL 5 HOUR";
    assert_eq!(app.ok(time_zone).await, ["+05:00|1"]);
    app.ok("SET NAMES latin1").await;
    assert_eq!(app.ok("SELECT @@character_set_client").await, ["latin1"]);
    app.ok("SET NAMES utf8mb4").await;
    app.ok("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES'), time_zone = '+03:00'").await;
    assert_eq!(app.ok("SELECT @@time_zone, \"n\" FROM item WHERE id = 2").await, ["+03:00|12"]);
    app.ok("SET sql_mode = DEFAULT, time_zone = DEFAULT").await;
    assert_eq!(app.ok(time_zone).await, ["+05:00|1"]);
    app.ok("SET @a = 'x y', @b = (SELECT MAX(id) FROM part)").await;
    assert_eq!(app.ok("SELECT @a, @b").await, ["x y|38"]);
    app.ok("SELECT name, n INTO @n, @m FROM item WHERE id = 2").await;
    assert_eq!(app.ok("SELECT @n, @m").await, ["b|12"]);
    app.fails("SET no_such_variable = 1", 1193).await;
    app.fails("SET GLOBAL max_connections = 1", 1227).await;
    app.fails("SELEC 1", 1064).await;
    assert_eq!(app.ok("SELECT DATABASE()").await, ["shop"]);
    app.fails("USE nowhere", 1049).await;
    app.ok("SET time_zone = '+01:00'").await;
    app.0.reset().await.unwrap();
    assert_eq!(app.ok("SELECT @a, DATABASE()").await, ["NULL|shop"]);
    assert_eq!(app.ok(time_zone).await, ["+05:00|1"]);
    app.0.ping().await.unwrap();
    // Several statements in one text, with an answer each.
    let StreamHead::Rows(_) =
        app.0.query_stream(b"SELECT 1; SELECT id FROM part WHERE id = 3; DO_NOT").await.unwrap()
    else {
        panic!()
    };
    assert_eq!(app.0.next_row().await.unwrap().unwrap().text(0).unwrap(), "1");
    assert!(app.0.next_row().await.unwrap().is_none());
    assert!(matches!(app.0.next_result().await.unwrap(), Some(StreamHead::Rows(_))));
    assert_eq!(app.0.next_row().await.unwrap().unwrap().text(0).unwrap(), "3");
    assert!(app.0.next_row().await.unwrap().is_none());
    assert!(
        matches!(app.0.next_result().await, Err(BackendError::Server(error)) if error.number == 1064)
    );
}

async fn shows(app: &mut support::Client) {
    assert_eq!(app.ok("SHOW DATABASES").await, ["information_schema", "shop"]);
    assert_eq!(app.ok("SHOW FULL TABLES LIKE 'it%'").await, ["item|BASE TABLE"]);
    let columns = app.ok("DESC item").await;
    assert_eq!(columns[0], "id|bigint(20)|NO|PRI|NULL|auto_increment");
    assert!(app.ok("SHOW INDEX FROM part").await[0].starts_with("part|0|PRIMARY"));
    assert_eq!(
        app.ok("SHOW RULE FROM part").await,
        ["1|part|0|id|mod_hash|4||||id|mod_hash|3|"].map(|row| row.replace("4||||id", "4|||id"))
    );
    assert_eq!(app.ok("SHOW TOPOLOGY FROM part").await.len(), 12);
    assert_eq!(app.ok("SHOW DATA NODE").await.len(), 4);
    assert!(!app.ok("EXPLAIN SELECT * FROM item WHERE id = 1").await.is_empty());
    assert!(!app.ok("SHOW PROCESSLIST").await.is_empty());
    assert_eq!(
        app.ok("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME").await,
        ["country", "item", "note", "part"]
    );
    app.ok("SELECT CAST('x' AS SIGNED)").await;
    assert_eq!(
        app.ok("SHOW WARNINGS").await,
        ["Warning|1292|Truncated incorrect INTEGER value: 'x'"]
    );
}

async fn permissions(system: &System) {
    let mut app = system.client().await;
    system.control.change(|snapshot| {
        let account = snapshot.accounts.get_mut("app").unwrap();
        account.authorities.remove(&topology::account::Authority::Delete);
    });
    let message = app.fails("DELETE FROM part WHERE id = 1", 1142).await;
    assert_eq!(message, "DELETE command denied to user 'app'@'127.0.0.1' for table 'part'");
    system.control.change(|snapshot| {
        let account = snapshot.accounts.get_mut("app").unwrap();
        account.authorities.insert(topology::account::Authority::Delete);
    });
    app.ok("DELETE FROM part WHERE id = 1").await;
    // A file would be one of the data node's machine.
    for query in ["SELECT 1", "SELECT 1 UNION SELECT 2", "SELECT 1 UNION (SELECT 2)"] {
        for into in ["OUTFILE", "DUMPFILE"] {
            app.fails(&format!("{query} INTO {into} '/tmp/never-written'"), 1045).await;
        }
    }
    let mut wrong = system.options("app");
    wrong.password = base::secret::Secret::new("wrong");
    let error = Connection::connect(&wrong).await.unwrap_err();
    assert!(format!("{error:?}").contains("1045"), "{error:?}");
    let mut wrong = system.options("app");
    wrong.database = Some("nowhere".into());
    assert!(format!("{:?}", Connection::connect(&wrong).await.unwrap_err()).contains("1049"));
}

fn cli(system: &System) {
    let (out, err) = system
        .cli(&[], "SELECT id, v FROM part WHERE id IN (2, 3) ORDER BY id;\nSELECT nonsense;\n");
    assert_eq!(out, "id\tv\n2\tv2\n3\tv3\n");
    assert!(err.contains("ERROR 1054 (42S22) at line 2"), "{err}");
    let (out, err) =
        system.cli(&["--default-auth=mysql_native_password"], "status;\nSHOW TABLES LIKE 'i%';\n");
    assert!(out.contains("item"), "{out} {err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_statements_sessions_and_the_node() {
    let mut system = System::start(1, 2).await;
    let mut app = system.client().await;
    app.ok("CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB) DBPARTITION BY MOD_HASH(id)").await;
    // KILL QUERY reaches the data node.
    let id = app.ok("SELECT CONNECTION_ID()").await.remove(0);
    let mut other = system.client().await;
    let killer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.ok(&format!("KILL QUERY {id}")).await;
        other
    });
    let started = std::time::Instant::now();
    let slept = app.run("SELECT SLEEP(20)").await;
    assert!(started.elapsed() < Duration::from_secs(10), "{slept:?}");
    let mut other = killer.await.unwrap();
    assert_eq!(app.ok("SELECT 1").await, ["1"]);
    // Long messages both ways.
    let long = "x".repeat(17 * 1024 * 1024);
    app.ok(&format!("INSERT INTO t VALUES (1, '{long}')")).await;
    assert_eq!(app.ok("SELECT b FROM t WHERE id = 1").await[0].len(), long.len());
    assert_eq!(app.ok("SELECT LENGTH(b) FROM t ORDER BY id").await, [long.len().to_string()]);
    // A client that goes away leaves no transaction behind.
    app.ok("BEGIN").await;
    app.ok("INSERT INTO t VALUES (2, 'a'), (3, 'b')").await;
    drop(app);
    let started = std::time::Instant::now();
    while other.run("INSERT INTO t VALUES (2, 'c')").await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    // The drain closes idle sessions and ends.
    let node = system.node.take().unwrap();
    let started = std::time::Instant::now();
    tokio::task::spawn_blocking(move || node.stop().unwrap()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8));
    assert!(other.0.query(b"SELECT 1").await.is_err());
}

/// Who replaces a node asks at its own address whether it serves, and then gives it the shared one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_greets_has_opened_its_shared_addresses() {
    let system = System::start(1, 2).await;
    let snapshot = system.node.as_ref().unwrap().shared.snapshot().unwrap();
    for _ in 0..10 {
        let mut config = system.config.clone();
        config.shared_listen = config.listen.clone();
        let control = Arc::new(TestControl::default());
        let node = RunningNode::start(&config, control, None).unwrap();
        let [own, shared] = node.addresses[..] else { panic!("two addresses") };
        let client = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(own).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            TcpStream::connect(shared).map(drop)
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        node.shared.serve_snapshot(snapshot.clone());
        client.await.unwrap().expect("the shared address is open");
        tokio::task::spawn_blocking(move || node.stop().unwrap()).await.unwrap();
    }
}

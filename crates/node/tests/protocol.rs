//! Bad input, logins in all their ways, and what is left of a transaction whose coordinator died.
#![allow(clippy::unwrap_used)]

mod support;

use base::id::{DataNodeId, NodeId};
use mysql_wire::auth::{native_scramble, sha2_scramble};
use mysql_wire::capability::Capabilities;
use mysql_wire::frame::put_packet;
use mysql_wire::handshake::{ChangeUser, HandshakeResponse, HandshakeV10};
use mysql_wire::packet::ErrPacket;
use std::time::{Duration, Instant};
use support::{PASSWORD, System};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_bad_input_and_recovery() {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let system = System::start_with(2, 4, |config| {
        let (cert_file, key_file) =
            (config.data_dir.join("cert.pem"), config.data_dir.join("key.pem"));
        std::fs::write(&cert_file, cert).unwrap();
        std::fs::write(&key_file, key).unwrap();
        config.mysql_cert_file = Some(cert_file);
        config.mysql_key_file = Some(key_file);
    })
    .await;
    tls(&system);
    sha2(&system).await;
    garbage(&system).await;
    commands(&system).await;
    change_user(&system).await;
    expired(&system);
    recovery(&system).await;
    admin(&system).await;
    let mut app = system.client().await;
    assert_eq!(app.ok("SELECT 1").await, ["1"]);
    assert_eq!(node_session::shared::SESSION_PANICS.get(), 0);
}

fn tls(system: &System) {
    let (out, err) = system.cli(&["--ssl"], "\\s\n");
    assert!(out.contains("Cipher in use is TLS"), "{out}\n{err}");
    system.control.change(|snapshot| snapshot.accounts.get_mut("app").unwrap().require_tls = true);
    let (_, err) = system.cli(&["--skip-ssl"], "SELECT 1;\n");
    assert!(err.contains("ERROR 1045"), "{err}");
    let (out, err) = system.cli(&["--ssl"], "SELECT 1;\n");
    assert_eq!(out, "1\n1\n", "{err}");
    system.control.change(|snapshot| snapshot.accounts.get_mut("app").unwrap().require_tls = false);
}

/// A password that is too old logs nobody in; one that is not too old yet does.
fn expired(system: &System) {
    let expires = |at: Option<i64>| {
        system.control.change(|snapshot| {
            snapshot.accounts.get_mut("app").unwrap().password_expires_ms = at;
        });
        system.cli(&[], "SELECT 1;\n")
    };
    let (out, err) = expires(Some(1));
    assert!(err.contains("ERROR 1862 (HY000)"), "{out}{err}");
    for good in [Some(i64::MAX), None] {
        let (out, err) = expires(good);
        assert_eq!(out, "1\n1\n", "{err}");
    }
}

/// Reads one packet.
async fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    (head[3], payload)
}

async fn greeted(system: &System) -> (TcpStream, HandshakeV10) {
    let mut stream = TcpStream::connect(("127.0.0.1", system.port)).await.unwrap();
    let (_, greeting) = packet(&mut stream).await;
    (stream, HandshakeV10::decode(&greeting).unwrap())
}

async fn send(stream: &mut TcpStream, mut sequence: u8, payload: &[u8]) {
    let mut out = Vec::new();
    put_packet(&mut out, &mut sequence, payload);
    stream.write_all(&out).await.unwrap();
}

async fn log_in(system: &System, password: &str) -> (TcpStream, Vec<u8>) {
    let (stream, answer, _) = log_in_with_nonce(system, password).await;
    (stream, answer)
}

/// The same with the greeting's nonce, by which a change of user is proved too.
async fn log_in_with_nonce(system: &System, password: &str) -> (TcpStream, Vec<u8>, [u8; 20]) {
    let (mut stream, greeting) = greeted(system).await;
    let response = HandshakeResponse {
        capabilities: Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH
            | Capabilities::LONG_PASSWORD,
        max_packet_size: 1 << 24,
        collation: 45,
        username: b"app".to_vec(),
        auth_response: sha2_scramble(password.as_bytes(), &greeting.nonce),
        auth_plugin: b"caching_sha2_password".to_vec(),
        ..HandshakeResponse::default()
    };
    let mut payload = Vec::new();
    response.encode(&mut payload);
    send(&mut stream, 1, &payload).await;
    let (_, answer) = packet(&mut stream).await;
    (stream, answer, greeting.nonce)
}

async fn sha2(system: &System) {
    let (mut stream, answer) = log_in(system, PASSWORD).await;
    assert_eq!(answer, [1, 3], "the short form is enough");
    let (sequence, ok) = packet(&mut stream).await;
    assert_eq!((sequence, ok[0]), (3, 0));
    let (_, answer) = log_in(system, "wrong").await;
    let error = ErrPacket::decode(&answer, Capabilities::PROTOCOL_41).unwrap();
    assert_eq!(error.number, 1045);
    assert_eq!(
        error.message_text(),
        "Access denied for user 'app'@'127.0.0.1' (using password: YES)"
    );
}

/// Whatever comes, the answer is an error or a closed connection.
async fn garbage(system: &System) {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xFF; 40],
        &[1, 0, 0, 1],
        &[0, 0, 0, 1],
        &[5, 0, 0, 1, 0, 0, 0, 0, 0],
    ] {
        let (mut stream, _) = greeted(system).await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest))
            .await
            .unwrap()
            .ok();
        assert!(rest.is_empty() || rest[4] == 0xFF, "{rest:?}");
    }
    // A numbering that is wrong after the login.
    let (mut stream, _) = log_in(system, PASSWORD).await;
    packet(&mut stream).await;
    send(&mut stream, 7, b"\x0e").await;
    let (_, answer) = packet(&mut stream).await;
    assert_eq!(ErrPacket::decode(&answer, Capabilities::PROTOCOL_41).unwrap().number, 1156);
    // A packet that is longer than allowed.
    system
        .control
        .change(|snapshot| snapshot.parameters.set("max_allowed_packet", "1048576").unwrap());
    let (mut stream, _) = log_in(system, PASSWORD).await;
    packet(&mut stream).await;
    send(&mut stream, 0, b"\x03SELECT 1").await;
    for _ in 0..5 {
        packet(&mut stream).await;
    }
    stream.write_all(&[0xFF, 0xFF, 0x7F, 0, 3]).await.unwrap();
    let (_, answer) = packet(&mut stream).await;
    assert_eq!(ErrPacket::decode(&answer, Capabilities::PROTOCOL_41).unwrap().number, 1153);
    system.control.change(|snapshot| snapshot.parameters.reset("max_allowed_packet"));
}

async fn commands(system: &System) {
    let (mut stream, _) = log_in(system, PASSWORD).await;
    packet(&mut stream).await;
    for (command, number) in [
        (&[0xEE, 1, 2][..], 1047),
        (&[0x08], 1047),
        (&[0x02, b'x'], 1049),
        (&[0x17, 9, 0, 0, 0, 0, 1, 0, 0, 0], 1243),
        (&[0x0c, 0xFF, 0xFF, 0xFF, 0x7F], 1094),
        (b"\x03", 1065),
        (b"\x03SELECT * FROM t", 1046),
        (b"\x03\xff\xfe\x00", 1064),
    ] {
        send(&mut stream, 0, command).await;
        let (sequence, answer) = packet(&mut stream).await;
        let error = ErrPacket::decode(&answer, Capabilities::PROTOCOL_41).unwrap();
        assert_eq!((sequence, error.number), (1, number), "{command:?}: {error}");
    }
    // A server takes a comment alone for a statement that does nothing.
    for fine in [&b"\x03 -- nothing"[..], b"\x02shop"] {
        send(&mut stream, 0, fine).await;
        assert_eq!(packet(&mut stream).await.1[0], 0);
    }
    send(&mut stream, 0, &[0x09]).await;
    assert!(packet(&mut stream).await.1.starts_with(b"Uptime"));
}

async fn change_user(system: &System) {
    for (password, first) in [(PASSWORD, 0), ("wrong", 0xFF)] {
        let (mut stream, _, nonce) = log_in_with_nonce(system, PASSWORD).await;
        packet(&mut stream).await;
        let mut change = Vec::new();
        ChangeUser {
            username: b"root".to_vec(),
            auth_response: native_scramble(password.as_bytes(), &nonce),
            database: b"shop".to_vec(),
            collation: 45,
            auth_plugin: b"mysql_native_password".to_vec(),
            ..ChangeUser::default()
        }
        .encode(Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH, &mut change);
        send(&mut stream, 0, &change).await;
        let (sequence, answer) = packet(&mut stream).await;
        assert_eq!((sequence, answer[0]), (1, first));
        if first == 0 {
            send(&mut stream, 0, b"\x03SELECT CURRENT_USER()").await;
            for _ in 0..3 {
                packet(&mut stream).await;
            }
            assert_eq!(packet(&mut stream).await.1, b"\x06root@%");
        }
    }
}

/// Branches that a dead coordinator left prepared end by its decision, and without one they go.
async fn recovery(system: &System) {
    let mut app = system.client().await;
    app.ok("CREATE TABLE r (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)").await;
    // The first write on several data nodes makes the decisions' table.
    app.ok("INSERT INTO r VALUES (100), (101), (102), (103)").await;
    let own = NodeId::from_random([9; 16]);
    let home = DataNodeId::from_random([1; 16]);
    for (number, row) in [(1, 0), (2, 4)] {
        let gtrid = node_exec::decision::gtrid(&own, 5, number);
        let xid = node_exec::decision::xid(&gtrid, &home, 0, 1);
        let mut direct = system.direct(0).await;
        direct.ok(&format!("XA START {xid}")).await;
        direct.ok(&format!("INSERT INTO shop_0000.r VALUES ({row})")).await;
        direct.ok(&format!("XA END {xid}")).await;
        direct.ok(&format!("XA PREPARE {xid}")).await;
        if number == 1 {
            let mut other = system.direct(0).await;
            other
                .ok(&format!(
                    "INSERT INTO _ddm.decisions (gtrid, verdict) VALUES ('{gtrid}', 'commit')"
                ))
                .await;
        }
    }
    let started = Instant::now();
    let mut direct = system.direct(0).await;
    while !direct.ok("XA RECOVER").await.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(app.ok("SELECT id FROM r WHERE id < 100").await, ["0"]);
}

async fn admin(system: &System) {
    let address = system.node.as_ref().unwrap().admin_address.unwrap();
    for (path, wanted) in [
        ("/healthz", "200 OK"),
        ("/metrics", "ddm_statements_total"),
        ("/x", "404"),
        ("/version-of-snapshot", "200 OK"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(wanted), "{path}: {answer}");
    }
}

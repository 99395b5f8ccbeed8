//! Logins that MariaDB does not offer, against a server's side made of our own codec.
#![allow(clippy::unwrap_used)]

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base::secret::Secret;
use base64::Engine;
use mysql_wire::auth::{SHA2_FAST_OK, SHA2_FULL, SHA2_REQUEST_KEY, Verifiers, xor_with_nonce};
use mysql_wire::frame::{Message, put_packet, read_message};
use mysql_wire::handshake::{
    AuthSwitchRequest, HandshakeResponse, HandshakeV10, put_auth_more_data,
};
use mysql_wire::packet::{ErrPacket, OkPacket};
use mysql_wire::{Capabilities, StatusFlags};
use node_backend::{BackendError, ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &str = "secret";

/// What the server does after the client's first answer.
#[derive(Clone, Copy, Debug)]
enum Script {
    Fast,
    Full,
    FullWithoutKey,
    SwitchToSha2,
    SwitchTo(&'static str),
    RefuseAtOnce,
    Garbage,
}

struct Peer {
    stream: TcpStream,
    sequence: u8,
}

impl Peer {
    async fn send(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        put_packet(&mut out, &mut self.sequence, payload);
        self.stream.write_all(&out).await.unwrap();
    }

    async fn receive(&mut self) -> Vec<u8> {
        let mut buf = Vec::new();
        loop {
            if let Message::Complete { payload, next_sequence, .. } =
                read_message(&buf, Some(self.sequence), 1 << 16).unwrap()
            {
                self.sequence = next_sequence;
                return payload.into_owned();
            }
            assert!(self.stream.read_buf(&mut buf).await.unwrap() > 0);
        }
    }
}

async fn serve(stream: TcpStream, script: Script) {
    let mut peer = Peer { stream, sequence: 0 };
    let capabilities =
        Capabilities(0xFFFF_FFFF).difference(Capabilities::SSL | Capabilities::COMPRESS);
    let mut nonce = [7; 20];
    let plugin = match script {
        Script::SwitchToSha2 => "mysql_native_password",
        _ => "caching_sha2_password",
    };
    let mut payload = Vec::new();
    if let Script::RefuseAtOnce = script {
        payload.extend_from_slice(b"\xff\x10\x04Too many connections");
        return peer.send(&payload).await;
    }
    HandshakeV10 {
        server_version: b"8.0.36".to_vec(),
        connection_id: 9,
        nonce,
        capabilities,
        collation: 45,
        status: StatusFlags::AUTOCOMMIT,
        auth_plugin: plugin.as_bytes().to_vec(),
    }
    .encode(&mut payload);
    peer.send(&payload).await;
    let hello = HandshakeResponse::decode(&peer.receive().await).unwrap();
    assert_eq!(hello.auth_plugin, plugin.as_bytes());
    assert_eq!(hello.username, b"me");
    payload.clear();
    let mut proof = hello.auth_response;
    match script {
        Script::Full => return full(peer, nonce, capabilities).await,
        Script::FullWithoutKey => {
            put_auth_more_data(&mut payload, &[SHA2_FULL]);
            peer.send(&payload).await;
            assert_eq!(peer.receive().await, [SHA2_REQUEST_KEY]);
            payload.clear();
            ErrPacket::new(1045, "28000", "no key").encode(capabilities, &mut payload);
            return peer.send(&payload).await;
        }
        Script::SwitchToSha2 => {
            nonce = [9; 20];
            let plugin = b"caching_sha2_password".to_vec();
            AuthSwitchRequest { plugin, nonce: nonce.to_vec() }.encode(&mut payload);
            peer.send(&payload).await;
            proof = peer.receive().await;
        }
        Script::SwitchTo(plugin) => {
            let plugin = plugin.as_bytes().to_vec();
            AuthSwitchRequest { plugin, nonce: nonce.to_vec() }.encode(&mut payload);
            return peer.send(&payload).await;
        }
        Script::Garbage => return peer.send(b"\x77\x77").await,
        Script::Fast | Script::RefuseAtOnce => {}
    }
    payload.clear();
    if !Verifiers::from_password(PASSWORD.as_bytes()).verify_sha2(&nonce, &proof) {
        ErrPacket::new(1045, "28000", "no").encode(capabilities, &mut payload);
        return peer.send(&payload).await;
    }
    put_auth_more_data(&mut payload, &[SHA2_FAST_OK]);
    peer.send(&payload).await;
    payload.clear();
    OkPacket { status: StatusFlags::AUTOCOMMIT, ..OkPacket::default() }
        .encode(capabilities, &mut payload);
    peer.send(&payload).await;
}

/// The exchange in which the server wants the password itself.
async fn full(mut peer: Peer, nonce: [u8; 20], capabilities: Capabilities) {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
    let mut payload = Vec::new();
    put_auth_more_data(&mut payload, &[SHA2_FULL]);
    peer.send(&payload).await;
    assert_eq!(peer.receive().await, [SHA2_REQUEST_KEY]);
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let key = lines.join("\n");
    payload.clear();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
    put_auth_more_data(&mut payload, pem.as_bytes());
    peer.send(&payload).await;
    let secret = peer.receive().await;
    let mut clear = vec![0; 512];
    let key = OaepPrivateDecryptingKey::new(private).unwrap();
    let masked = key.decrypt(&OAEP_SHA1_MGF1SHA1, &secret, &mut clear, None).unwrap();
    let password = xor_with_nonce(masked, &nonce);
    payload.clear();
    match password.strip_suffix(&[0]) == Some(PASSWORD.as_bytes()) {
        true => OkPacket { status: StatusFlags::AUTOCOMMIT, ..OkPacket::default() }
            .encode(capabilities, &mut payload),
        false => ErrPacket::new(1045, "28000", "no").encode(capabilities, &mut payload),
    }
    peer.send(&payload).await;
}

async fn log_in(script: Script, password: &str) -> Result<Connection, BackendError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server =
        tokio::spawn(async move { serve(listener.accept().await.unwrap().0, script).await });
    let result =
        Connection::connect(&ConnectOptions::new("127.0.0.1", port, "me", Secret::new(password)))
            .await;
    server.await.unwrap();
    result
}

#[tokio::test]
async fn caching_sha2_password() {
    for script in [Script::Fast, Script::SwitchToSha2, Script::Full] {
        let connection = log_in(script, PASSWORD).await.unwrap();
        assert_eq!((connection.thread_id(), connection.server_version()), (9, "8.0.36"));
        assert!(!connection.is_mariadb());
        assert!(matches!(log_in(script, "wrong").await, Err(BackendError::AuthFailed { .. })));
    }
}

#[tokio::test]
async fn what_is_not_supported_is_said() {
    for (script, word) in [
        (Script::SwitchTo("mysql_clear_password"), "clear text"),
        (Script::SwitchTo("auth_socket"), "auth_socket"),
    ] {
        match log_in(script, PASSWORD).await {
            Err(BackendError::AuthUnsupported { reason, .. }) => {
                assert!(reason.contains(word), "{reason}")
            }
            other => panic!("{other:?}"),
        }
    }
    let error = log_in(Script::FullWithoutKey, PASSWORD).await.unwrap_err();
    assert!(matches!(&error, BackendError::AuthFailed { .. }), "{error}");
    let error = log_in(Script::RefuseAtOnce, PASSWORD).await.unwrap_err();
    assert!(matches!(&error, BackendError::Server(error) if error.number == 1040), "{error}");
    assert!(matches!(log_in(Script::Garbage, PASSWORD).await, Err(BackendError::Protocol(_))));
}

//! The stream to the control plane, against a control plane that speaks just the stream.
#![allow(clippy::unwrap_used)]

use base::id::{InstanceId, NodeId};
use base::seal::SealKey;
use node::NodeConfig;
use node::snapshot_file::SnapshotFile;
use node::stream::{StreamTask, questions};
use node_exec::ask::{AskError, ControlPlane, NoControlPlane};
use node_session::shared::{Shared, SharedOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use topology::model::{SNAPSHOT_FORM, Snapshot};
use topology::slow_query::SlowQuery;
use topology::stream::{Answer, Ask, FromNode, ToNode};

fn snapshot(version: u64) -> Snapshot {
    Snapshot {
        form: SNAPSHOT_FORM,
        version,
        instance_id: InstanceId::from_random([7; 16]),
        instance_name: "one".into(),
        data_nodes: Default::default(),
        schemas: Default::default(),
        accounts: Default::default(),
        parameters: Default::default(),
        node_count: 1,
        node_numbers: Default::default(),
        read_only_nodes: Default::default(),
        client_access: None,
        access_lists: Default::default(),
        time_zone: None,
    }
}

/// Writes an authority, a node's certificate, and gives the control plane's set-up.
fn certificates(dir: &Path) -> Arc<rustls::ServerConfig> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        (certificate, key)
    };
    let (certificate, key) = issue("node");
    std::fs::write(dir.join("node.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("node.key"), key.serialize_pem()).unwrap();
    let (certificate, key) = issue("control-plane");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    )
    .build()
    .unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

struct Peer(TlsStream<TcpStream>);

impl Peer {
    async fn accept(listener: &TcpListener, tls: &Arc<rustls::ServerConfig>) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self(TlsAcceptor::from(tls.clone()).accept(stream).await.unwrap())
    }

    async fn receive(&mut self) -> FromNode {
        let length = self.0.read_u32().await.unwrap();
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The next message that is no heartbeat; vouches for all of those.
    async fn next(&mut self) -> FromNode {
        loop {
            match self.receive().await {
                FromNode::Heartbeat { beat, .. } => {
                    self.send(&ToNode::Heard { beat, vouched: true, fences: 0 }).await;
                }
                other => return other,
            }
        }
    }

    async fn send(&mut self, message: &ToNode) {
        let body = serde_json::to_vec(message).unwrap();
        self.0.write_u32(u32::try_from(body.len()).unwrap()).await.unwrap();
        self.0.write_all(&body).await.unwrap();
        self.0.flush().await.unwrap();
    }
}

#[tokio::test]
async fn snapshots_questions_and_reconnects() {
    let dir = std::env::temp_dir().join(format!("ddm-stream-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let tls = certificates(&dir);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node_id = NodeId::from_random([2; 16]);
    let text = format!(
        "node_id = \"{node_id}\"\ninstance_id = \"{}\"\nlisten = [\"127.0.0.1:0\"]\ncontrol_plane = [\"{}\"]\n\
         ca_file = \"ca\"\ncert_file = \"c\"\nkey_file = \"k\"\ndata_dir = \"{}\"\nseal_key_file = \"s\"\n",
        InstanceId::from_random([7; 16]),
        listener.local_addr().unwrap(),
        dir.display(),
    );
    std::fs::write(dir.join("node.toml"), text).unwrap();
    let config = NodeConfig::from_file(&dir.join("node.toml")).unwrap();
    let file = Arc::new(SnapshotFile::new(&dir, &node_id, SealKey::from_bytes([1; 32])).unwrap());
    let shared = Shared::new(SharedOptions {
        node_id: node_id.clone(),
        control: Arc::new(NoControlPlane),
        tls: None,
        shared_sockets: 0,
        dialler: None,
        clock: std::time::SystemTime::now(),
        machine: "m".into(),
    });
    let (control, receiver) = questions();
    let client =
        node::tls::stream_client(&dir.join("ca.pem"), &dir.join("node.pem"), &dir.join("node.key"));
    let task = StreamTask {
        config,
        tls: client.unwrap(),
        shared: shared.clone(),
        file: file.clone(),
        questions: receiver,
    };
    let running = tokio::spawn(task.run());
    let mut peer = Peer::accept(&listener, &tls).await;
    assert!(
        matches!(peer.next().await, FromNode::Hello { at_version: 0, node_id: from, .. } if from == node_id)
    );
    peer.send(&ToNode::Snapshot { snapshot: Arc::new(snapshot(3)) }).await;
    assert_eq!(peer.next().await, FromNode::AtVersion { version: 3 });
    assert_eq!(shared.version(), 3);
    assert_eq!(file.load().unwrap(), Some(snapshot(3)));
    // Another instance's snapshot is not served.
    let foreign = Snapshot { instance_id: InstanceId::from_random([8; 16]), ..snapshot(9) };
    peer.send(&ToNode::Snapshot { snapshot: Arc::new(foreign) }).await;
    peer.send(&ToNode::Refused { reason: "late".into() }).await;
    let ask = Ask::DdlAbort { ddl_id: "x".into() };
    let asking = tokio::spawn({
        let (control, ask) = (control.clone(), ask.clone());
        async move { control.ask(ask).await }
    });
    match peer.next().await {
        FromNode::Ask { request, ask: asked } => {
            assert_eq!(asked, ask);
            peer.send(&ToNode::Answer { request, answer: Answer::Aborted }).await;
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(asking.await.unwrap(), Ok(Answer::Aborted));
    assert_eq!(shared.version(), 3);
    assert_eq!(shared.not_serving_reason().as_deref(), Some("fenced: late"));
    // A question whose stream breaks has no known outcome; the node comes back and goes on.
    let lost = tokio::spawn({
        let (control, ask) = (control.clone(), ask.clone());
        async move { control.ask(ask).await }
    });
    assert!(matches!(peer.next().await, FromNode::Ask { .. }));
    drop(peer);
    assert_eq!(lost.await.unwrap(), Err(AskError::Lost));
    let mut peer = Peer::accept(&listener, &tls).await;
    assert!(matches!(peer.next().await, FromNode::Hello { at_version: 3, .. }));
    peer.send(&ToNode::Snapshot { snapshot: Arc::new(snapshot(4)) }).await;
    assert_eq!(peer.next().await, FromNode::AtVersion { version: 4 });
    // The new version is assured by the heartbeat that follows it at once.
    let heartbeat = tokio::time::timeout(Duration::from_secs(5), peer.receive()).await;
    let Ok(FromNode::Heartbeat { beat, .. }) = heartbeat else { panic!("{heartbeat:?}") };
    peer.send(&ToNode::Heard { beat, vouched: true, fences: 0 }).await;
    tokio::time::timeout(Duration::from_secs(5), async {
        while shared.not_serving_reason().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the node serves");
    slow_statements_are_sent_until_they_are_kept(&shared, &listener, &tls, peer).await;
    running.abort();
    std::fs::remove_dir_all(&dir).unwrap();
}

fn slow(text: &str) -> SlowQuery {
    SlowQuery {
        number: 0,
        user: "root".into(),
        schema: "shop".into(),
        text: text.into(),
        digest: "d".into(),
        started_ms: 1,
        milliseconds: 1_500,
        shards: Vec::new(),
        rows_examined: 0,
        rows_returned: 0,
        client: "127.0.0.1".into(),
    }
}

async fn slow_statements_are_sent_until_they_are_kept(
    shared: &Shared,
    listener: &TcpListener,
    tls: &Arc<rustls::ServerConfig>,
    mut peer: Peer,
) {
    for text in ["one", "two"] {
        shared.slow_log.push(slow(text));
    }
    let FromNode::SlowQueries { queries, dropped: 0 } = peer.next().await else { panic!() };
    assert_eq!(queries.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    // The control plane goes away before it has kept them: they come again, as they were.
    drop(peer);
    shared.slow_log.push(slow("three"));
    let mut peer = Peer::accept(listener, tls).await;
    assert!(matches!(peer.next().await, FromNode::Hello { .. }));
    let FromNode::SlowQueries { queries: again, .. } = peer.next().await else { panic!() };
    assert_eq!(again[..2], queries);
    assert_eq!(again.len(), 3);
    peer.send(&ToNode::SlowQueriesKept { up_to: again[1].number }).await;
    let FromNode::SlowQueries { queries: rest, .. } = peer.next().await else { panic!() };
    assert_eq!(rest, again[2..]);
    peer.send(&ToNode::SlowQueriesKept { up_to: rest[0].number }).await;
    while !shared.slow_log.oldest(1).0.is_empty() {
        assert!(matches!(peer.receive().await, FromNode::Heartbeat { .. }));
    }
}

//! From an accepted socket to a session that is logged in: greeting, TLS, authentication. Passwords
//! are checked against the snapshot's verifiers; both methods can always be checked in their short
//! form, because the verifier of caching_sha2_password is kept, so no password ever crosses the
//! wire and no key exchange is needed.

use crate::collations::not_for_clients;
use crate::compression::Method;
use crate::encryption::Encryption;
use crate::reader::{ClientReader, ReadError};
use crate::shared::Shared;
use base::sql_error::{self, SqlError};
use mysql_wire::auth::{AuthPlugin, NONCE_LEN, SHA2_FAST_OK, Verifiers};
use mysql_wire::capability::Capabilities;
use mysql_wire::frame::{FRAME_HEADER_LEN, FrameHeader};
use mysql_wire::handshake::{
    AuthSwitchRequest, ClientHello, HandshakeResponse, HandshakeV10, put_auth_more_data,
};
use mysql_wire::status::StatusFlags;
use node_exec::client::ClientWriter;
use node_exec::error::{ExecError, catalogue_packet};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use topology::account::Account;
use topology::model::Snapshot;

/// What the greeting says when no data node is known yet.
pub const FALLBACK_VERSION: &str = "8.0.32-DDM";

/// The login must be over within this.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// No packet of a login is longer.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// utf8mb4_general_ci, which every version has.
pub const DEFAULT_COLLATION: u8 = 45;

/// Why a login failed. What can be told to the client has been told.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The socket.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The socket, writing.
    #[error("{0}")]
    Write(ExecError),
    /// Refused, with the reason that the client got.
    #[error("{0}")]
    Refused(SqlError),
    /// TLS could not be agreed on.
    #[error("TLS: {0}")]
    Tls(io::Error),
}

/// A client that is logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Its reading side.
    pub reader: ClientReader,
    /// Its writing side.
    pub writer: ClientWriter,
    /// The account.
    pub user: String,
    /// The schema of the handshake, checked, lower case.
    pub schema: Option<String>,
    /// What both sides can do.
    pub capabilities: Capabilities,
    /// How both directions are compressed from the first command on.
    pub compression: Option<Method>,
    /// The collation that the client asked for.
    pub collation: u8,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// How it is.
    pub encryption: Option<Box<Encryption>>,
    /// What the client said of itself.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The greeting's nonce, where the client's proof was made with it: proofs of another account
    /// are, later.
    pub nonce: Option<[u8; NONCE_LEN]>,
}

/// What the node can do. What MariaDB has of its own is offered where the data nodes are such: it
/// is told by the absence of LONG_PASSWORD, which clients of MySQL expect.
fn capabilities(tls: bool, mariadb: bool) -> Capabilities {
    let mut all = Capabilities::LONG_PASSWORD
        | Capabilities::FOUND_ROWS
        | Capabilities::LONG_FLAG
        | Capabilities::CONNECT_WITH_DB
        | Capabilities::ODBC
        | Capabilities::LOCAL_FILES
        | Capabilities::IGNORE_SPACE
        | Capabilities::PROTOCOL_41
        | Capabilities::INTERACTIVE
        | Capabilities::IGNORE_SIGPIPE
        | Capabilities::TRANSACTIONS
        | Capabilities::RESERVED
        | Capabilities::SECURE_CONNECTION
        | Capabilities::MULTI_STATEMENTS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::PLUGIN_AUTH
        | Capabilities::CONNECT_ATTRS
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA
        | Capabilities::SESSION_TRACK
        | Capabilities::QUERY_ATTRIBUTES
        | Capabilities::DEPRECATE_EOF
        | Capabilities::COMPRESS
        | Capabilities::ZSTD_COMPRESSION;
    if tls {
        all = all | Capabilities::SSL;
    }
    if mariadb {
        all.remove(Capabilities::LONG_PASSWORD);
        all = all
            | Capabilities::MARIADB_STMT_BULK
            | Capabilities::MARIADB_EXTENDED_METADATA
            | Capabilities::MARIADB_CACHE_METADATA;
    }
    all
}

/// The data nodes' version, without the prefix that MariaDB puts before its own for old replicas.
pub fn data_node_version(snapshot: Option<&Snapshot>) -> &str {
    snapshot
        .and_then(|snapshot| snapshot.data_nodes.values().next())
        .map(|node| node.server_version.trim_start_matches("5.5.5-"))
        .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or(FALLBACK_VERSION)
}

/// The version in the greeting: the data nodes' own, so that drivers choose what these understand.
pub fn server_version(snapshot: Option<&Snapshot>) -> String {
    let version = data_node_version(snapshot);
    if version.contains("MariaDB") { format!("5.5.5-{version}") } else { version.to_owned() }
}

/// A nonce without the bytes that end or split strings in old clients.
pub fn new_nonce() -> [u8; NONCE_LEN] {
    let mut nonce: [u8; NONCE_LEN] = base::id::random_bytes();
    for byte in &mut nonce {
        *byte = 37 + *byte % 90;
    }
    nonce
}

/// Takes a fresh socket through its login.
pub async fn login(
    mut stream: TcpStream,
    shared: &Shared,
    connection_id: u32,
    host: &str,
    refuse: Option<SqlError>,
) -> Result<LoggedIn, LoginError> {
    shared.wait_until_open().await;
    if let Some(error) = refuse.or_else(|| shared.refusal()) {
        return Err(refuse_with(&mut ClientWriter::new(Box::new(stream)), error).await);
    }
    let nonce = new_nonce();
    let version = server_version(shared.snapshot().as_deref());
    let offered = capabilities(shared.tls.is_some(), version.contains("MariaDB"));
    let greeting = HandshakeV10 {
        server_version: version.into_bytes(),
        connection_id,
        nonce,
        capabilities: offered,
        collation: DEFAULT_COLLATION,
        status: StatusFlags::AUTOCOMMIT,
        auth_plugin: AuthPlugin::NativePassword.name().into(),
    };
    send_greeting(&mut stream, &greeting).await?;
    let (first, sequence) = read_exactly_one(&mut stream).await?;
    let (login, response, sequence) = match (ClientHello::decode(&first), &shared.tls) {
        (Ok(ClientHello::Response(response)), _) => {
            let (read, write) = stream.into_split();
            let (read, write) = (Box::new(read), Box::new(write));
            (Login::new(read, write, nonce, host, false, offered), Ok(response), sequence)
        }
        (Ok(ClientHello::Ssl(_)), Some(config)) => {
            let accepted = TlsAcceptor::from(config.clone()).accept(stream).await;
            let accepted = accepted.map_err(LoginError::Tls)?;
            let encryption = Encryption::of(accepted.get_ref().1);
            let (read, write) = tokio::io::split(accepted);
            let mut login = Login::new(Box::new(read), Box::new(write), nonce, host, true, offered);
            login.encryption = Some(Box::new(encryption));
            let mut payload = Vec::new();
            let sequence =
                login.reader.next(Some(sequence), || HANDSHAKE_BYTES_MAX, &mut payload).await?;
            (login, HandshakeResponse::decode(&payload), sequence)
        }
        (Ok(ClientHello::Ssl(_)), None) | (Err(_), _) => {
            let mut writer = ClientWriter::new(Box::new(stream));
            writer.begin_answer(sequence);
            return Err(refuse_with(&mut writer, bad_handshake()).await);
        }
    };
    match response {
        Ok(response) => login.authenticate(shared, response, sequence).await,
        Err(_) => {
            let mut writer = login.writer;
            writer.begin_answer(sequence);
            Err(refuse_with(&mut writer, bad_handshake()).await)
        }
    }
}

fn bad_handshake() -> SqlError {
    SqlError::new(sql_error::HANDSHAKE_ERROR, "Bad handshake")
}

async fn send_greeting(stream: &mut TcpStream, greeting: &HandshakeV10) -> Result<(), LoginError> {
    use tokio::io::AsyncWriteExt;
    let mut payload = Vec::new();
    greeting.encode(&mut payload);
    let mut out = Vec::new();
    mysql_wire::frame::put_packet(&mut out, &mut 0, &payload);
    stream.write_all(&out).await.map_err(|error| LoginError::Read(error.into()))
}

/// Reads the first packet and not a byte more: what follows may be the start of TLS.
async fn read_exactly_one(stream: &mut TcpStream) -> Result<(Vec<u8>, u8), LoginError> {
    let io = |error: io::Error| LoginError::Read(error.into());
    let mut head = [0; FRAME_HEADER_LEN];
    if stream.read(&mut head[..1]).await.map_err(io)? == 0 {
        return Err(LoginError::Read(ReadError::Closed));
    }
    stream.read_exact(&mut head[1..]).await.map_err(io)?;
    let header = FrameHeader::parse(head);
    if header.payload_len > HANDSHAKE_BYTES_MAX || header.sequence != 1 {
        let error = bad_handshake();
        let mut out = Vec::new();
        catalogue_packet(error.code, &error.message).encode(Capabilities::PROTOCOL_41, &mut out);
        let mut framed = Vec::new();
        mysql_wire::frame::put_packet(&mut framed, &mut 2, &out);
        tokio::io::AsyncWriteExt::write_all(stream, &framed).await.ok();
        return Err(LoginError::Refused(error));
    }
    let mut payload = vec![0; header.payload_len];
    stream.read_exact(&mut payload).await.map_err(io)?;
    Ok((payload, header.sequence.wrapping_add(1)))
}

/// Tells the client why it is refused.
pub(crate) async fn refuse_with(writer: &mut ClientWriter, error: SqlError) -> LoginError {
    writer.put_err(&catalogue_packet(error.code, &error.message));
    writer.flush().await.ok();
    writer.shutdown().await;
    LoginError::Refused(error)
}

struct Login<'a> {
    reader: ClientReader,
    writer: ClientWriter,
    nonce: [u8; NONCE_LEN],
    host: &'a str,
    tls: bool,
    encryption: Option<Box<Encryption>>,
    offered: Capabilities,
}

impl<'a> Login<'a> {
    fn new(
        read: Box<dyn tokio::io::AsyncRead + Unpin>,
        write: Box<dyn tokio::io::AsyncWrite + Unpin>,
        nonce: [u8; NONCE_LEN],
        host: &'a str,
        tls: bool,
        offered: Capabilities,
    ) -> Self {
        let (reader, writer) = (ClientReader::new(read), ClientWriter::new(write));
        Self { reader, writer, nonce, host, tls, encryption: None, offered }
    }

    async fn authenticate(
        mut self,
        shared: &Shared,
        response: HandshakeResponse,
        sequence: u8,
    ) -> Result<LoggedIn, LoginError> {
        let capabilities = response.capabilities & self.offered;
        self.writer.capabilities = capabilities;
        self.writer.begin_answer(sequence);
        let user = String::from_utf8_lossy(&response.username).into_owned();
        let nonce = is_own_plugin(&response.auth_plugin).then_some(self.nonce);
        let asked = Credentials {
            user: user.clone(),
            response: response.auth_response,
            plugin: response.auth_plugin,
            can_switch: capabilities.contains(Capabilities::PLUGIN_AUTH),
            other: AuthPlugin::NativePassword,
        };
        let checked = check(
            &mut self.reader,
            &mut self.writer,
            shared,
            &self.nonce,
            asked,
            self.tls,
            self.host,
        )
        .await?;
        let wanted = response.database.filter(|name| !name.is_empty());
        let outcome = checked.and_then(|account| {
            check_collation(response.collation.into())?;
            let snapshot = shared.snapshot();
            let schema = wanted.map(|name| {
                choose_schema(
                    snapshot.as_deref(),
                    &account,
                    self.host,
                    &String::from_utf8_lossy(&name),
                )
            });
            schema.transpose()
        });
        match outcome {
            Ok(schema) => Ok(LoggedIn {
                reader: self.reader,
                writer: self.writer,
                user,
                schema,
                capabilities,
                compression: Method::agreed(capabilities, response.zstd_level),
                collation: response.collation,
                tls: self.tls,
                encryption: self.encryption,
                attributes: response.connect_attrs,
                nonce,
            }),
            Err(error) => Err(refuse_with(&mut self.writer, error).await),
        }
    }
}

/// Whether a client that names this plugin has made its proof with the greeting's nonce.
fn is_own_plugin(plugin: &[u8]) -> bool {
    plugin.is_empty()
        || matches!(
            AuthPlugin::from_name(plugin),
            Some(AuthPlugin::NativePassword | AuthPlugin::CachingSha2Password)
        )
}

/// What a client offers to prove who it is.
#[derive(Debug)]
pub struct Credentials {
    /// The account's name.
    pub user: String,
    /// The answer to the nonce.
    pub response: Vec<u8>,
    /// The method of the answer; empty for clients that know only the oldest.
    pub plugin: Vec<u8>,
    /// Whether the client can be asked to use another method.
    pub can_switch: bool,
    /// The method that it is asked to use then.
    pub other: AuthPlugin,
}

/// Checks credentials, asking the client for another method where its own is not ours. The outer
/// error is the socket's, the inner one the client's.
pub async fn check(
    reader: &mut ClientReader,
    writer: &mut ClientWriter,
    shared: &Shared,
    nonce: &[u8; NONCE_LEN],
    asked: Credentials,
    tls: bool,
    host: &str,
) -> Result<Result<Account, SqlError>, LoginError> {
    let Some(snapshot) = shared.snapshot() else {
        return Ok(Err(SqlError::new(
            sql_error::CONTROL_PLANE_AWAY,
            "this node has no definitions yet; try again when the control plane is up",
        )));
    };
    let mut nonce = *nonce;
    let mut response = asked.response;
    let mut plugin = match asked.plugin.is_empty() {
        true => Some(AuthPlugin::NativePassword),
        false => AuthPlugin::from_name(&asked.plugin),
    };
    let usable =
        matches!(plugin, Some(AuthPlugin::NativePassword | AuthPlugin::CachingSha2Password));
    if !usable && asked.can_switch {
        nonce = new_nonce();
        let request =
            AuthSwitchRequest { plugin: asked.other.name().into(), nonce: nonce.to_vec() };
        writer.put_with(|out| request.encode(out));
        writer.flush().await.map_err(LoginError::Write)?;
        let sequence =
            reader.next(Some(writer.sequence()), || HANDSHAKE_BYTES_MAX, &mut response).await?;
        writer.begin_answer(sequence);
        plugin = Some(asked.other);
    }
    let denied = |response: &[u8]| {
        let using = if response.is_empty() { "NO" } else { "YES" };
        SqlError::new(
            sql_error::ACCESS_DENIED,
            format!("Access denied for user '{}'@'{host}' (using password: {using})", asked.user),
        )
    };
    let Some(account) = snapshot.accounts.get(&asked.user) else {
        return Ok(Err(denied(&response)));
    };
    let verifiers = Verifiers { native: account.verifiers.native, sha2: account.verifiers.sha2 };
    let right = match plugin {
        Some(AuthPlugin::NativePassword) => verifiers.verify_native(&nonce, &response),
        Some(AuthPlugin::CachingSha2Password) => verifiers.verify_sha2(&nonce, &response),
        _ => false,
    };
    if !right || (account.require_tls && !tls) {
        return Ok(Err(denied(&response)));
    }
    if account.password_expires_ms.is_some_and(|expires| now_ms() >= expires) {
        return Ok(Err(SqlError::new(
            sql_error::PASSWORD_EXPIRED,
            "Your password has expired. Ask for another one to be set through the API.",
        )));
    }
    if plugin == Some(AuthPlugin::CachingSha2Password) {
        writer.put_with(|out| put_auth_more_data(out, &[SHA2_FAST_OK]));
    }
    Ok(Ok(account.clone()))
}

/// Now, in UNIX milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Some character sets are none of clients: their bytes are not those of ASCII.
pub fn check_collation(collation: u16) -> Result<(), SqlError> {
    let Some(name) = not_for_clients(collation) else { return Ok(()) };
    let text = format!("Variable 'character_set_client' can't be set to the value of '{name}'");
    Err(SqlError::new(sql_error::WRONG_VALUE_FOR_VARIABLE, text))
}

/// The schema of this name, if the account may use it; lower case.
pub fn choose_schema(
    snapshot: Option<&Snapshot>,
    account: &Account,
    host: &str,
    name: &str,
) -> Result<String, SqlError> {
    let lower = name.to_lowercase();
    let own = ["information_schema"].contains(&lower.as_str());
    if own {
        return Ok(lower);
    }
    if crate::catalogue::CLOSED_SCHEMAS.contains(&lower.as_str()) {
        return Err(crate::permission::schema_denied(account, host, name));
    }
    let allowed = crate::permission::sees(account, &lower);
    match snapshot.and_then(|snapshot| snapshot.schemas.get(&lower)) {
        Some(schema) if allowed && !schema.ready => Err(SqlError::new(
            sql_error::SCHEMA_NOT_READY,
            format!("schema '{name}' is being created or deleted"),
        )),
        Some(_) if allowed => Ok(lower),
        Some(_) => Err(SqlError::new(
            sql_error::DB_ACCESS_DENIED,
            format!("Access denied for user '{}'@'{host}' to database '{name}'", account.name),
        )),
        None => Err(SqlError::new(sql_error::UNKNOWN_DB, format!("Unknown database '{name}'"))),
    }
}

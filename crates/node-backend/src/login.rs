//! The login on a data node: greeting, answer, and the exchange of the account's plugin.

use crate::error::BackendError;
use crate::link::Link;
use crate::options::ConnectOptions;
use crate::rsa_password::encrypted;
use mysql_wire::auth::{
    AuthPlugin, SHA2_FAST_OK, SHA2_FULL, SHA2_REQUEST_KEY, native_scramble, sha2_scramble,
};
use mysql_wire::frame::{Message, put_packet, read_message};
use mysql_wire::handshake::{AuthReply, HandshakeResponse, HandshakeV10};
use mysql_wire::packet::{ERR_HEADER, ErrPacket, OkPacket};
use mysql_wire::{Capabilities, DecodeError};

/// utf8mb4_general_ci, which every server has; sessions set their own.
const COLLATION: u8 = 45;
/// Packets of a login are small.
const LOGIN_PACKET_MAX: usize = 64 * 1024;
/// A plugin that needs more packets than this goes in circles.
const ROUNDS_MAX: usize = 8;
/// The largest packet that we say to take, which is the protocol's greatest.
const MAX_PACKET_SIZE: u32 = 1 << 30;
/// Errors by which a server refuses an account (and not, say, for lack of room).
const REFUSALS: [u16; 8] = [1044, 1045, 1130, 1251, 1698, 1862, 3118, 4151];
/// Server versions begin with this in MariaDB 10, for replicas of old.
const MARIADB_PREFIX: &str = "5.5.5-";

/// What a login tells of the connection.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) thread_id: u32,
    pub(crate) server_version: String,
    pub(crate) capabilities: Capabilities,
    pub(crate) ok: OkPacket,
}

/// Logs in on a fresh link.
pub(crate) async fn log_in(
    link: &mut Link,
    options: &ConnectOptions,
) -> Result<Welcome, BackendError> {
    let mut sequence = 0;
    let payload = receive(link, &mut sequence).await?;
    if payload.first() == Some(&ERR_HEADER) {
        return Err(refused(link, ErrPacket::decode(&payload, Capabilities::default())?));
    }
    let greeting = HandshakeV10::decode(&payload)?;
    let capabilities = wanted(options) & greeting.capabilities;
    let server_version = String::from_utf8_lossy(&greeting.server_version);
    let server_version =
        server_version.strip_prefix(MARIADB_PREFIX).unwrap_or(&server_version).to_owned();
    let mut exchange =
        Exchange { options, nonce: greeting.nonce, plugin: AuthPlugin::NativePassword };
    // A plugin that we do not know is answered with ours; the server then switches or refuses.
    if let Some(plugin) = AuthPlugin::from_name(&greeting.auth_plugin) {
        exchange.plugin = plugin;
    }
    let response = answer(options, capabilities, &exchange);
    send(link, &mut sequence, |out| response.encode(out)).await?;
    for _ in 0..ROUNDS_MAX {
        let payload = receive(link, &mut sequence).await?;
        match AuthReply::decode(&payload, capabilities)? {
            AuthReply::Ok(ok) => {
                return Ok(Welcome {
                    thread_id: greeting.connection_id,
                    server_version,
                    capabilities,
                    ok,
                });
            }
            AuthReply::Err(error) => return Err(refused(link, error)),
            AuthReply::Switch(switch) => {
                exchange.plugin = AuthPlugin::from_name(&switch.plugin)
                    .ok_or_else(|| unsupported(link, &unknown_plugin(&switch.plugin)))?;
                exchange.nonce =
                    switch.nonce.as_slice().try_into().map_err(|_| {
                        DecodeError::Malformed("the nonce of an authentication switch")
                    })?;
                let proof = exchange.proof().ok_or_else(|| unsupported(link, CLEAR))?;
                send(link, &mut sequence, |out| out.extend_from_slice(&proof)).await?;
            }
            AuthReply::MoreData([SHA2_FAST_OK]) => {}
            AuthReply::MoreData([SHA2_FULL]) => {
                send(link, &mut sequence, |out| out.push(SHA2_REQUEST_KEY)).await?;
                let payload = receive(link, &mut sequence).await?;
                let key = match AuthReply::decode(&payload, capabilities)? {
                    AuthReply::MoreData(key) => key,
                    AuthReply::Err(error) => return Err(refused(link, error)),
                    _ => return Err(unsupported(link, FULL_AUTH)),
                };
                let password = options.password.expose().as_bytes();
                let secret = encrypted(key, password, &exchange.nonce)
                    .map_err(|reason| unsupported(link, reason))?;
                send(link, &mut sequence, |out| out.extend_from_slice(&secret)).await?;
            }
            AuthReply::MoreData(_) => {
                return Err(DecodeError::Malformed("authentication data").into());
            }
        }
    }
    Err(DecodeError::Malformed("a login without end").into())
}

const CLEAR: &str = "it asks for the password in clear text, which is not sent without TLS; \
                     give the account mysql_native_password or caching_sha2_password";
const FULL_AUTH: &str = "caching_sha2_password has not cached this account and the server gives no RSA key; \
                         log in once by another client, or give the account mysql_native_password";

fn unknown_plugin(name: &[u8]) -> String {
    format!(
        "the account uses the plugin {}; give it mysql_native_password or caching_sha2_password",
        String::from_utf8_lossy(name)
    )
}

/// What is known in the middle of a login.
struct Exchange<'a> {
    options: &'a ConnectOptions,
    nonce: [u8; 20],
    plugin: AuthPlugin,
}

impl Exchange<'_> {
    /// The proof of the password; none for a plugin that would show it.
    fn proof(&self) -> Option<Vec<u8>> {
        let password = self.options.password.expose().as_bytes();
        match self.plugin {
            AuthPlugin::NativePassword => Some(native_scramble(password, &self.nonce)),
            AuthPlugin::CachingSha2Password => Some(sha2_scramble(password, &self.nonce)),
            AuthPlugin::ClearPassword => None,
        }
    }
}

/// The capabilities that we would like.
fn wanted(options: &ConnectOptions) -> Capabilities {
    let mut wanted = Capabilities::PROTOCOL_41
        | Capabilities::LONG_PASSWORD
        | Capabilities::LONG_FLAG
        | Capabilities::TRANSACTIONS
        | Capabilities::SECURE_CONNECTION
        | Capabilities::PLUGIN_AUTH
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA
        | Capabilities::CONNECT_ATTRS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::MARIADB_EXTENDED_METADATA;
    wanted.set(Capabilities::CONNECT_WITH_DB, options.database.is_some());
    wanted.set(Capabilities::FOUND_ROWS, options.found_rows);
    wanted.set(Capabilities::DEPRECATE_EOF, options.deprecate_eof);
    wanted.set(Capabilities::SESSION_TRACK, options.session_track);
    wanted.set(Capabilities::LOCAL_FILES, options.local_files);
    wanted.set(Capabilities::MULTI_STATEMENTS, options.multi_statements);
    wanted
}

fn answer(
    options: &ConnectOptions,
    capabilities: Capabilities,
    exchange: &Exchange<'_>,
) -> HandshakeResponse {
    let own = [("_client_name", "ddm"), ("_client_version", env!("CARGO_PKG_VERSION"))];
    let own = own.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let given = options.attributes.iter();
    let given = given.map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()));
    HandshakeResponse {
        capabilities,
        max_packet_size: MAX_PACKET_SIZE,
        collation: COLLATION,
        username: options.user.clone().into_bytes(),
        auth_response: exchange.proof().unwrap_or_default(),
        database: options.database.clone().map(String::into_bytes),
        auth_plugin: exchange.plugin.name().as_bytes().to_vec(),
        connect_attrs: own.chain(given).collect(),
        zstd_level: None,
    }
}

async fn send(
    link: &mut Link,
    sequence: &mut u8,
    encode: impl FnOnce(&mut Vec<u8>),
) -> Result<(), BackendError> {
    let mut payload = Vec::new();
    encode(&mut payload);
    put_packet(&mut link.outbox, sequence, &payload);
    link.flush().await
}

async fn receive(link: &mut Link, sequence: &mut u8) -> Result<Vec<u8>, BackendError> {
    loop {
        let need = match read_message(&link.inbox, None, LOGIN_PACKET_MAX)? {
            Message::Complete { payload, consumed, next_sequence } => {
                let payload = payload.into_owned();
                *sequence = next_sequence;
                let _ = link.inbox.split_to(consumed);
                return Ok(payload);
            }
            Message::Incomplete { need } => need,
        };
        link.fill(need).await?;
    }
}

fn refused(link: &Link, error: ErrPacket) -> BackendError {
    if REFUSALS.contains(&error.number) {
        BackendError::AuthFailed { address: link.address().to_owned(), source: error }
    } else {
        BackendError::Server(error)
    }
}

fn unsupported(link: &Link, reason: &str) -> BackendError {
    BackendError::AuthUnsupported { address: link.address().to_owned(), reason: reason.to_owned() }
}

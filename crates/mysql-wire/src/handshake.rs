//! Logging in: the server's greeting, the client's answer, the exchange of a plugin, and
//! COM_CHANGE_USER, which is the same again later.

use crate::auth::NONCE_LEN;
use crate::lenenc::{Reader, put_bytes, put_int, put_nul};
use crate::packet::{EOF_HEADER, ERR_HEADER, ErrPacket, OK_HEADER, OkPacket};
use crate::{Capabilities, DecodeError, StatusFlags};
use std::fmt;

/// First byte of the only greeting in use.
const PROTOCOL_VERSION: u8 = 10;
/// First byte of a plugin's further data.
const MORE_DATA_HEADER: u8 = 0x01;
/// The nonce's part before the capabilities.
const NONCE_HEAD: usize = 8;
/// Length of an SSLRequest, which is a response cut after its fixed fields.
const FIXED_LEN: usize = 32;

/// Names and values that describe a client.
pub type ConnectAttrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The server's greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeV10 {
    /// Such as `8.0.36` or `5.5.5-10.11.6-MariaDB`.
    pub server_version: Vec<u8>,
    /// The number for KILL.
    pub connection_id: u32,
    /// Random bytes without zero, fresh for each connection.
    pub nonce: [u8; NONCE_LEN],
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The server's collation, its low byte.
    pub collation: u8,
    /// The session's state.
    pub status: StatusFlags,
    /// The plugin for which the nonce is.
    pub auth_plugin: Vec<u8>,
}

impl HandshakeV10 {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let capabilities = self.capabilities;
        let [low_a, low_b, high_a, high_b] = capabilities.low().to_le_bytes();
        out.push(PROTOCOL_VERSION);
        put_nul(out, &self.server_version);
        out.extend_from_slice(&self.connection_id.to_le_bytes());
        out.extend_from_slice(&self.nonce[..NONCE_HEAD]);
        out.extend_from_slice(&[0, low_a, low_b, self.collation]);
        out.extend_from_slice(&self.status.0.to_le_bytes());
        out.extend_from_slice(&[high_a, high_b]);
        let with_plugin = capabilities.contains(Capabilities::PLUGIN_AUTH);
        out.push(if with_plugin { NONCE_LEN as u8 + 1 } else { 0 });
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&extended_half(capabilities).to_le_bytes());
        put_nul(out, &self.nonce[NONCE_HEAD..]);
        if with_plugin {
            put_nul(out, &self.auth_plugin);
        }
    }

    /// Reads the packet.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != PROTOCOL_VERSION {
            return Err(DecodeError::Malformed("the greeting's protocol version"));
        }
        let server_version = reader.nul_bytes()?.to_vec();
        let connection_id = reader.u32()?;
        let mut nonce = [0; NONCE_LEN];
        nonce[..NONCE_HEAD].copy_from_slice(reader.take(NONCE_HEAD)?);
        reader.skip(1)?;
        let low = reader.u16()?;
        let collation = reader.u8()?;
        let status = StatusFlags(reader.u16()?);
        let high = reader.u16()?;
        reader.skip(7)?;
        let extended = reader.u32()?;
        let mut capabilities = Capabilities::from_halves(u32::from(low) | u32::from(high) << 16, 0);
        if !capabilities.contains(Capabilities::LONG_PASSWORD) {
            capabilities.insert(Capabilities::from_halves(0, extended));
        }
        nonce[NONCE_HEAD..].copy_from_slice(reader.take(NONCE_LEN - NONCE_HEAD)?);
        reader.skip(1)?;
        let auth_plugin = if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            reader.nul_or_rest().to_vec()
        } else {
            Vec::new()
        };
        Ok(Self {
            server_version,
            connection_id,
            nonce,
            capabilities,
            collation,
            status,
            auth_plugin,
        })
    }
}

/// MariaDB's half, which exists only beside a clear `LONG_PASSWORD`.
fn extended_half(capabilities: Capabilities) -> u32 {
    if capabilities.contains(Capabilities::LONG_PASSWORD) { 0 } else { capabilities.high() }
}

/// The client asks for TLS; its true answer follows inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SslRequest {
    /// What the client can do.
    pub capabilities: Capabilities,
    /// The largest packet that the client takes.
    pub max_packet_size: u32,
    /// The client's collation, its low byte.
    pub collation: u8,
}

impl SslRequest {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.capabilities.low().to_le_bytes());
        out.extend_from_slice(&self.max_packet_size.to_le_bytes());
        out.push(self.collation);
        out.extend_from_slice(&[0; 19]);
        out.extend_from_slice(&extended_half(self.capabilities).to_le_bytes());
    }

    /// Reads the fixed fields of either packet.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut capabilities = Capabilities::from_halves(reader.u32()?, 0);
        if !capabilities.contains(Capabilities::PROTOCOL_41) {
            return Err(DecodeError::Malformed("a client of the protocol before 4.1"));
        }
        let max_packet_size = reader.u32()?;
        let collation = reader.u8()?;
        reader.skip(19)?;
        let extended = reader.u32()?;
        if !capabilities.contains(Capabilities::LONG_PASSWORD) {
            capabilities.insert(Capabilities::from_halves(0, extended));
        }
        Ok(Self { capabilities, max_packet_size, collation })
    }
}

/// The client's answer to the greeting.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HandshakeResponse {
    /// What the client can do and wants.
    pub capabilities: Capabilities,
    /// The largest packet that the client takes.
    pub max_packet_size: u32,
    /// The client's collation, its low byte.
    pub collation: u8,
    /// The account.
    pub username: Vec<u8>,
    /// The proof of the password.
    pub auth_response: Vec<u8>,
    /// The first current database.
    pub database: Option<Vec<u8>>,
    /// The plugin of the proof; empty when the client names none.
    pub auth_plugin: Vec<u8>,
    /// Names and values that describe the client.
    pub connect_attrs: ConnectAttrs,
    /// The zstd level, when that compression is wanted.
    pub zstd_level: Option<u8>,
}

impl fmt::Debug for HandshakeResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeResponse")
            .field("capabilities", &self.capabilities)
            .field("username", &String::from_utf8_lossy(&self.username))
            .field("auth_response", &"***")
            .field("database", &self.database.as_deref().map(String::from_utf8_lossy))
            .field("auth_plugin", &String::from_utf8_lossy(&self.auth_plugin))
            .finish_non_exhaustive()
    }
}

impl HandshakeResponse {
    /// Appends the packet. Which fields it has follows from `capabilities`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let capabilities = self.capabilities;
        SslRequest {
            capabilities,
            max_packet_size: self.max_packet_size,
            collation: self.collation,
        }
        .encode(out);
        put_nul(out, &self.username);
        if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            put_bytes(out, &self.auth_response);
        } else {
            put_short(out, &self.auth_response, capabilities);
        }
        if capabilities.contains(Capabilities::CONNECT_WITH_DB) {
            put_nul(out, self.database.as_deref().unwrap_or_default());
        }
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            put_nul(out, &self.auth_plugin);
        }
        if capabilities.contains(Capabilities::CONNECT_ATTRS) {
            put_attrs(out, &self.connect_attrs);
        }
        if capabilities.contains(Capabilities::ZSTD_COMPRESSION) {
            out.push(self.zstd_level.unwrap_or(3));
        }
    }

    /// Reads the packet.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let SslRequest { capabilities, max_packet_size, collation } =
            SslRequest::read(&mut reader)?;
        let username = reader.nul_or_rest().to_vec();
        let auth_response =
            if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
                reader.lenenc_bytes()?
            } else {
                read_short(&mut reader, capabilities)?
            }
            .to_vec();
        let mut database = None;
        if capabilities.contains(Capabilities::CONNECT_WITH_DB) && !reader.is_empty() {
            database = Some(reader.nul_or_rest().to_vec()).filter(|name| !name.is_empty());
        }
        let mut auth_plugin = Vec::new();
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            auth_plugin = reader.nul_or_rest().to_vec();
        }
        let mut connect_attrs = Vec::new();
        if capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty() {
            connect_attrs = read_attrs(&mut reader)?;
        }
        let mut zstd_level = None;
        if capabilities.contains(Capabilities::ZSTD_COMPRESSION) && !reader.is_empty() {
            zstd_level = Some(reader.u8()?);
        }
        Ok(Self {
            capabilities,
            max_packet_size,
            collation,
            username,
            auth_response,
            database,
            auth_plugin,
            connect_attrs,
            zstd_level,
        })
    }
}

/// A proof with a one-byte length, or closed by a zero byte from clients of old.
fn put_short(out: &mut Vec<u8>, proof: &[u8], capabilities: Capabilities) {
    if capabilities.contains(Capabilities::SECURE_CONNECTION) {
        let proof = &proof[..proof.len().min(255)];
        out.push(proof.len() as u8);
        out.extend_from_slice(proof);
    } else {
        put_nul(out, proof);
    }
}

fn read_short<'a>(
    reader: &mut Reader<'a>,
    capabilities: Capabilities,
) -> Result<&'a [u8], DecodeError> {
    if capabilities.contains(Capabilities::SECURE_CONNECTION) {
        reader.short_bytes()
    } else {
        Ok(reader.nul_or_rest())
    }
}

fn put_attrs(out: &mut Vec<u8>, attrs: &[(Vec<u8>, Vec<u8>)]) {
    let mut packed = Vec::new();
    for (name, value) in attrs {
        put_bytes(&mut packed, name);
        put_bytes(&mut packed, value);
    }
    put_int(out, packed.len() as u64);
    out.extend_from_slice(&packed);
}

fn read_attrs(reader: &mut Reader<'_>) -> Result<ConnectAttrs, DecodeError> {
    let mut packed = Reader::new(reader.lenenc_bytes()?);
    let mut attrs = Vec::new();
    while !packed.is_empty() {
        attrs.push((packed.lenenc_bytes()?.to_vec(), packed.lenenc_bytes()?.to_vec()));
    }
    Ok(attrs)
}

/// The first packet of a client, which may ask for TLS before it says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientHello {
    /// TLS first.
    Ssl(SslRequest),
    /// The answer itself.
    Response(HandshakeResponse),
}

impl ClientHello {
    /// Reads either packet. The client says `SSL` in both; the length tells them apart.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        if payload.len() == FIXED_LEN {
            let request = SslRequest::read(&mut Reader::new(payload))?;
            if request.capabilities.contains(Capabilities::SSL) {
                return Ok(ClientHello::Ssl(request));
            }
        }
        HandshakeResponse::decode(payload).map(ClientHello::Response)
    }
}

/// The server wants the proof of another plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSwitchRequest {
    /// The plugin's name.
    pub plugin: Vec<u8>,
    /// Its nonce, without the closing zero byte.
    pub nonce: Vec<u8>,
}

impl AuthSwitchRequest {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(EOF_HEADER);
        put_nul(out, &self.plugin);
        put_nul(out, &self.nonce);
    }

    /// Reads the packet.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != EOF_HEADER {
            return Err(DecodeError::Malformed("an authentication switch"));
        }
        if reader.is_empty() {
            return Err(DecodeError::Malformed("a switch to the authentication before 4.1"));
        }
        let plugin = reader.nul_or_rest().to_vec();
        let nonce = reader.rest();
        Ok(Self { plugin, nonce: nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec() })
    }
}

/// Appends further data of a plugin.
pub fn put_auth_more_data(out: &mut Vec<u8>, data: &[u8]) {
    out.push(MORE_DATA_HEADER);
    out.extend_from_slice(data);
}

/// The data in a packet of further data.
pub fn parse_auth_more_data(payload: &[u8]) -> Result<&[u8], DecodeError> {
    match payload.split_first() {
        Some((&MORE_DATA_HEADER, data)) => Ok(data),
        _ => Err(DecodeError::Malformed("a packet of authentication data")),
    }
}

/// What the server says during a login, seen by the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthReply<'a> {
    /// Logged in.
    Ok(OkPacket),
    /// Refused.
    Err(ErrPacket),
    /// Prove it by another plugin.
    Switch(AuthSwitchRequest),
    /// Data of the plugin.
    MoreData(&'a [u8]),
}

impl<'a> AuthReply<'a> {
    /// Reads a packet of the login exchange.
    pub fn decode(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, DecodeError> {
        match payload.first() {
            Some(&OK_HEADER) => OkPacket::decode(payload, capabilities).map(AuthReply::Ok),
            Some(&ERR_HEADER) => ErrPacket::decode(payload, capabilities).map(AuthReply::Err),
            Some(&EOF_HEADER) => AuthSwitchRequest::decode(payload).map(AuthReply::Switch),
            _ => parse_auth_more_data(payload).map(AuthReply::MoreData),
        }
    }
}

/// COM_CHANGE_USER: log in again on the same connection.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ChangeUser {
    /// The account.
    pub username: Vec<u8>,
    /// The proof of the password, made with the nonce of the greeting.
    pub auth_response: Vec<u8>,
    /// The new current database; empty for none.
    pub database: Vec<u8>,
    /// The client's collation.
    pub collation: u16,
    /// The plugin of the proof; empty when the client names none.
    pub auth_plugin: Vec<u8>,
    /// Names and values that describe the client.
    pub connect_attrs: ConnectAttrs,
}

impl fmt::Debug for ChangeUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeUser")
            .field("username", &String::from_utf8_lossy(&self.username))
            .field("auth_response", &"***")
            .field("database", &String::from_utf8_lossy(&self.database))
            .finish_non_exhaustive()
    }
}

impl ChangeUser {
    /// Appends the payload, the command byte included.
    pub fn encode(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        out.push(crate::command::CommandCode::ChangeUser as u8);
        put_nul(out, &self.username);
        put_short(out, &self.auth_response, capabilities);
        put_nul(out, &self.database);
        out.extend_from_slice(&self.collation.to_le_bytes());
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            put_nul(out, &self.auth_plugin);
        }
        if capabilities.contains(Capabilities::CONNECT_ATTRS) {
            put_attrs(out, &self.connect_attrs);
        }
    }

    /// Reads the body, without the command byte. Fields from the collation on may be missing.
    pub fn decode(body: &[u8], capabilities: Capabilities) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mut change = ChangeUser {
            username: reader.nul_bytes()?.to_vec(),
            auth_response: read_short(&mut reader, capabilities)?.to_vec(),
            database: reader.nul_or_rest().to_vec(),
            ..ChangeUser::default()
        };
        if !reader.is_empty() {
            change.collation = reader.u16()?;
        }
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            change.auth_plugin = reader.nul_or_rest().to_vec();
        }
        if capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty() {
            change.connect_attrs = read_attrs(&mut reader)?;
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        vec(1u8..=255, 0..30)
    }

    prop_compose! {
        fn response()(
            optional in any::<[bool; 5]>(), max_packet_size: u32, collation: u8, username in text(),
            auth_response in vec(1u8..=255, 0..40), database in vec(1u8..=255, 1..9), auth_plugin in text(),
            connect_attrs in vec((text(), text()), 0..5),
        ) -> HandshakeResponse {
            let mut capabilities = Capabilities::PROTOCOL_41;
            capabilities.set(Capabilities::CONNECT_WITH_DB, optional[0]);
            capabilities.set(Capabilities::PLUGIN_AUTH, optional[1]);
            capabilities.set(Capabilities::CONNECT_ATTRS, optional[2]);
            capabilities.set(Capabilities::SECURE_CONNECTION, optional[3]);
            capabilities.set(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA, optional[4]);
            capabilities.set(Capabilities::MARIADB_CACHE_METADATA, optional[0]);
            HandshakeResponse {
                capabilities, max_packet_size, collation, username, auth_response,
                database: optional[0].then_some(database),
                auth_plugin: if optional[1] { auth_plugin } else { Vec::new() },
                connect_attrs: if optional[2] { connect_attrs } else { Vec::new() },
                zstd_level: None,
            }
        }
    }

    #[test]
    fn a_greeting_of_mariadb_is_read() {
        let mut payload = b"\x0a5.5.5-10.11.6-MariaDB\0\x07\0\0\0".to_vec();
        payload.extend_from_slice(b"12345678\0");
        payload.extend_from_slice(b"\xfe\xf7\x2d\x02\x00\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0");
        payload.extend_from_slice(b"abcdefghijkl\0mysql_native_password\0");
        let greeting = HandshakeV10::decode(&payload).unwrap();
        assert_eq!(greeting.connection_id, 7);
        assert_eq!(&greeting.nonce, b"12345678abcdefghijkl");
        assert_eq!(greeting.auth_plugin, b"mysql_native_password");
        assert!(greeting.capabilities.contains(Capabilities::MARIADB_STMT_BULK));
        assert!(!greeting.capabilities.contains(Capabilities::LONG_PASSWORD));
        let mut again = Vec::new();
        greeting.encode(&mut again);
        assert_eq!(again, payload);
    }

    #[test]
    fn tls_requests_are_told_from_answers() {
        let request = SslRequest {
            capabilities: Capabilities::PROTOCOL_41 | Capabilities::SSL,
            max_packet_size: 1 << 24,
            collation: 45,
        };
        let mut out = Vec::new();
        request.encode(&mut out);
        assert_eq!(out.len(), FIXED_LEN);
        assert_eq!(ClientHello::decode(&out).unwrap(), ClientHello::Ssl(request));
        out.extend_from_slice(b"me\0\0");
        assert!(
            matches!(ClientHello::decode(&out).unwrap(), ClientHello::Response(r) if r.username == b"me")
        );
        assert!(ClientHello::decode(&[0; FIXED_LEN]).is_err());
    }

    #[test]
    fn login_replies() {
        let capabilities = Capabilities::PROTOCOL_41;
        let switch =
            AuthSwitchRequest { plugin: b"caching_sha2_password".to_vec(), nonce: vec![7; 20] };
        let mut out = Vec::new();
        switch.encode(&mut out);
        assert_eq!(AuthReply::decode(&out, capabilities).unwrap(), AuthReply::Switch(switch));
        out.clear();
        put_auth_more_data(&mut out, &[3]);
        assert_eq!(AuthReply::decode(&out, capabilities).unwrap(), AuthReply::MoreData(&[3]));
        assert!(AuthReply::decode(b"\xfe", capabilities).is_err());
        assert!(AuthReply::decode(b"", capabilities).is_err());
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let response = HandshakeResponse { auth_response: b"proof".to_vec(), ..Default::default() };
        assert!(!format!("{response:?}").contains(&format!("{:?}", b"proof")));
    }

    proptest! {
        #[test]
        fn response_round_trip(response in response()) {
            let mut out = Vec::new();
            response.encode(&mut out);
            prop_assert_eq!(HandshakeResponse::decode(&out).unwrap(), response);
        }

        #[test]
        fn change_user_round_trip(username in text(), auth_response in text(), database in text(), collation: u16,
                                  connect_attrs in vec((text(), text()), 0..4)) {
            let capabilities = Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS;
            let change = ChangeUser { username, auth_response, database, collation,
                                      auth_plugin: b"mysql_native_password".to_vec(), connect_attrs };
            let mut out = Vec::new();
            change.encode(capabilities, &mut out);
            prop_assert_eq!(out[0], 0x11);
            prop_assert_eq!(ChangeUser::decode(&out[1..], capabilities).unwrap(), change);
        }

        #[test]
        fn garbage_never_panics(payload in vec(any::<u8>(), 0..120), capabilities: u64) {
            let capabilities = Capabilities(capabilities);
            let _ = HandshakeV10::decode(&payload);
            let _ = ClientHello::decode(&payload);
            let _ = HandshakeResponse::decode(&payload);
            let _ = AuthReply::decode(&payload, capabilities);
            let _ = ChangeUser::decode(&payload, capabilities);
        }

        #[test]
        fn garbage_after_a_good_head_never_panics(low in 0u32.., tail in vec(any::<u8>(), 28..100)) {
            let head = (low | Capabilities::PROTOCOL_41.low()).to_le_bytes();
            let _ = ClientHello::decode(&[&head[..], &tail].concat());
        }
    }
}

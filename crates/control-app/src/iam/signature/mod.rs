//! Requests signed with an access key (`SDK-HMAC-SHA256`). The signer hashes a canonical form of the
//! request and signs the hash with the secret key; we build the same form from what arrived.
//! A signature is good for a quarter of an hour around its date, which bounds replays.

use super::password::unhex;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base::id::hex;
use base::secret::Secret;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::fmt::Write as _;

/// The name of the algorithm, with which the header begins.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// How far the request's date may be from now.
pub const DATE_WINDOW_MS: i64 = 15 * 60 * 1_000;

/// Headers that a signature may name; requests have far fewer.
const SIGNED_HEADERS_MAX: usize = 64;

/// The header with the request's date.
pub const DATE_HEADER: &str = "x-sdk-date";

const CONTENT_HEADER: &str = "x-sdk-content-sha256";

/// What signers send instead of the body's hash when the body is no JSON.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not of the documented form.
    #[error("the Authorization header is malformed")]
    Malformed,
    /// No date, or not of the documented form.
    #[error("the X-Sdk-Date header is missing or malformed")]
    Date,
    /// The date is too far from now.
    #[error("the X-Sdk-Date header is more than 15 minutes from the server's time")]
    Skew,
    /// A header that must be signed is not.
    #[error("the headers host and x-sdk-date must be signed")]
    Headers,
    /// It was made with another key, or for another request.
    #[error("the signature does not match")]
    Mismatch,
}

impl SignatureError {
    /// For the caller.
    pub fn english(self) -> String {
        format!("{self}.")
    }

    /// For the caller.
    pub fn chinese(self) -> &'static str {
        match self {
            SignatureError::Malformed => "Authorization头格式错误。",
            SignatureError::Date => "X-Sdk-Date头缺失或格式错误。",
            SignatureError::Skew => "X-Sdk-Date与服务器时间相差超过15分钟。",
            SignatureError::Headers => "host与x-sdk-date头必须参与签名。",
            SignatureError::Mismatch => "签名不匹配。",
        }
    }
}

/// What the `Authorization` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The access key.
    pub access_key: String,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
}

impl Authorization {
    /// Reads the header; `None` when it is of another algorithm.
    pub fn parse(header: &str) -> Option<Result<Self, SignatureError>> {
        let rest = header.trim().strip_prefix(ALGORITHM)?;
        rest.starts_with(' ').then(|| Self::fields(rest).ok_or(SignatureError::Malformed))
    }

    fn fields(text: &str) -> Option<Self> {
        let (mut access_key, mut headers, mut signature) = (None, None, None);
        for field in text.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            match name {
                "Access" => access_key = Some(value.to_owned()),
                "SignedHeaders" => {
                    headers =
                        Some(value.split(';').map(str::to_ascii_lowercase).collect::<Vec<_>>())
                }
                "Signature" => signature = unhex(value),
                _ => return None,
            }
        }
        let signed_headers = headers.filter(|headers| headers.len() <= SIGNED_HEADERS_MAX)?;
        Some(Self {
            access_key: access_key.filter(|key| !key.is_empty())?,
            signed_headers,
            signature: signature?,
        })
    }

    /// Refuses a date outside the window, and a signature that leaves out what it must cover.
    pub fn check_date(&self, date: Option<&str>, now_ms: i64) -> Result<(), SignatureError> {
        let date = date.and_then(|date| date_ms(date.trim())).ok_or(SignatureError::Date)?;
        if (now_ms - date).abs() > DATE_WINDOW_MS {
            return Err(SignatureError::Skew);
        }
        let is_signed = |name: &str| self.signed_headers.iter().any(|header| header == name);
        if is_signed(DATE_HEADER) && is_signed("host") {
            Ok(())
        } else {
            Err(SignatureError::Headers)
        }
    }
}

/// `20211214T074622Z` as UNIX milliseconds.
fn date_ms(text: &str) -> Option<i64> {
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// A signed request as it arrived.
#[derive(Debug)]
pub struct Signed<'a> {
    /// What the header says.
    pub authorization: &'a Authorization,
    /// GET, POST …
    pub method: &'a str,
    /// The path as it arrived, percent-encoded.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: &'a str,
    /// Headers: names in lower case, values as bytes. `host` must be among them.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// Fine when this key signed exactly this request. The comparison takes the same time wherever
    /// the first difference is.
    pub fn verify(&self, secret: &Secret) -> Result<(), SignatureError> {
        let mut to_sign = format!("{ALGORITHM}\n").into_bytes();
        to_sign.extend_from_slice(&trimmed(self.header(DATE_HEADER).ok_or(SignatureError::Date)?));
        let canonical = self.canonical().ok_or(SignatureError::Mismatch)?;
        write_hash(&mut to_sign, &canonical);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        hmac::verify(&key, &to_sign, &self.authorization.signature)
            .map_err(|_| SignatureError::Mismatch)
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self
            .headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.as_slice())
            .collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    }

    /// The canonical form; `None` when a signed header did not arrive.
    fn canonical(&self) -> Option<Vec<u8>> {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.method.to_ascii_uppercase(),
            canonical_path(self.path),
            canonical_query(self.query)
        )
        .into_bytes();
        for name in &self.authorization.signed_headers {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(&trimmed(self.header(name)?));
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.authorization.signed_headers.join(";").as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.body_hash()?.as_bytes());
        Some(text)
    }

    /// The hash that stands for the body; `None` when the one that the header gives is not the
    /// body's. A body may go unsigned only where no call would read it: when it is no JSON.
    fn body_hash(&self) -> Option<String> {
        let hash = hex(digest(&SHA256, self.body).as_ref());
        let given = self
            .header(CONTENT_HEADER)
            .map(|given| String::from_utf8_lossy(&given).trim().to_owned());
        match given {
            None => Some(hash),
            Some(_) if self.body.is_empty() => Some(hash),
            Some(given) if given == UNSIGNED && !self.is_json() => Some(given),
            Some(given) => (given == hash).then_some(hash),
        }
    }

    fn is_json(&self) -> bool {
        self.header("content-type")
            .is_none_or(|kind| kind.to_ascii_lowercase().starts_with(b"application/json"))
    }
}

/// A newline and the hash of `bytes`.
fn write_hash(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\n');
    out.extend_from_slice(hex(digest(&SHA256, bytes).as_ref()).as_bytes());
}

fn trimmed(value: Vec<u8>) -> Vec<u8> {
    value.trim_ascii().to_vec()
}

/// Each segment decoded and encoded again, and a slash at the end.
fn canonical_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 1);
    for (at, segment) in percent_decode(path).split(|byte| *byte == b'/').enumerate() {
        if at > 0 {
            out.push('/');
        }
        percent_encode(segment, &mut out);
    }
    if !out.ends_with('/') {
        out.push('/');
    }
    out
}

/// The parameters decoded, sorted by name and value, and encoded again.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (percent_decode(name), percent_decode(value)))
        .collect();
    pairs.sort();
    let mut out = String::with_capacity(query.len());
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        percent_encode(&name, &mut out);
        out.push('=');
        percent_encode(&value, &mut out);
    }
    out
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// Everything but unreserved characters as `%XX`.
fn percent_encode(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte))
            }
            other => write!(out, "%{other:02X}").expect("a string takes every write"),
        }
    }
}

#[cfg(test)]
mod tests;

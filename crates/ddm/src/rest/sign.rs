//! Request signatures with an access key (`SDK-HMAC-SHA256`): a canonical form of the request is
//! hashed, and the hash is signed with the secret key.

use aws_lc_rs::{digest, hmac};
use base::id::hex;
use base::secret::Secret;
use std::fmt::Write;

/// The header that carries the request's time.
pub const DATE_HEADER: &str = "X-Sdk-Date";

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The headers that we sign.
const SIGNED_HEADERS: &str = "host;x-sdk-date";

/// The parts of a request that are signed.
#[derive(Debug)]
pub struct Request<'a> {
    /// GET, POST, …
    pub method: &'a str,
    /// The path, percent-encoded.
    pub path: &'a str,
    /// From [`canonical_query`].
    pub query: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// The `Authorization` header.
    pub fn authorization(&self, access_key: &str, secret_key: &Secret, date: &str) -> String {
        let to_sign = format!("{ALGORITHM}\n{date}\n{}", sha256(self.canonical(date).as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.expose().as_bytes());
        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        format!(
            "{ALGORITHM} Access={access_key}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}"
        )
    }

    fn canonical(&self, date: &str) -> String {
        // The canonical path always ends in a slash.
        let slash = if self.path.ends_with('/') { "" } else { "/" };
        format!(
            "{}\n{}{slash}\n{}\nhost:{}\nx-sdk-date:{date}\n\n{SIGNED_HEADERS}\n{}",
            self.method,
            self.path,
            self.query,
            self.host,
            sha256(self.body)
        )
    }
}

/// The time of now as the header has it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A query string, sorted and encoded.
pub fn canonical_query(query: &[(&str, String)]) -> String {
    let mut pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

/// Everything but unreserved characters as `%XX`.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte))
            }
            other => write!(out, "%{other:02X}").expect("a string takes every write"),
        }
    }
    out
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form() {
        let query = canonical_query(&[("b", "2 3".to_owned()), ("a", "ü".to_owned())]);
        assert_eq!(query, "a=%C3%BC&b=2%203");
        let request = Request {
            method: "GET",
            path: "/v1/p/instances",
            query: &query,
            host: "h:1",
            body: b"",
        };
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            request.canonical("20260101T000000Z"),
            format!(
                "GET\n/v1/p/instances/\na=%C3%BC&b=2%203\nhost:h:1\nx-sdk-date:20260101T000000Z\n\n\
                 host;x-sdk-date\n{empty}"
            )
        );
    }

    #[test]
    fn the_signature_depends_on_every_part() {
        let request = Request { method: "GET", path: "/", query: "", host: "h", body: b"" };
        let sign =
            |request: &Request<'_>, key: &str| request.authorization("AK", &Secret::new(key), "D");
        let base = sign(&request, "SK");
        assert!(
            base.starts_with(
                "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature="
            )
        );
        assert_ne!(base, sign(&request, "other"));
        assert_ne!(base, sign(&Request { method: "PUT", ..request }, "SK"));
        assert_ne!(
            base,
            sign(&Request { method: "GET", path: "/", query: "", host: "h", body: b"x" }, "SK")
        );
    }

    #[test]
    fn the_date_has_its_form() {
        let date = now();
        assert_eq!(date.len(), "20260101T000000Z".len(), "{date}");
        assert_eq!((&date[8..9], &date[15..]), ("T", "Z"));
    }
}

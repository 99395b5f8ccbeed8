//! How a client's connection is encrypted, in the words that servers have for it: the names of TLS
//! versions and of cipher suites in SHOW STATUS are those of OpenSSL.

use tokio_rustls::rustls::{CommonState, ProtocolVersion};

/// What client and node agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// `Ssl_version`
    pub version: &'static str,
    /// `Ssl_cipher`
    pub cipher: String,
}

impl Encryption {
    /// That of a connection whose TLS handshake is over.
    pub fn of(connection: &CommonState) -> Self {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        };
        let suite = connection.negotiated_cipher_suite();
        let name = suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        Self { version, cipher: openssl_name(name) }
    }
}

/// OpenSSL's name of a cipher suite.
fn openssl_name(name: &str) -> String {
    if let Some(suite) = name.strip_prefix("TLS13_") {
        return format!("TLS_{suite}");
    }
    let name = name.strip_prefix("TLS_").unwrap_or(name).replace("_WITH", "");
    let name = name.replace("AES_", "AES").replace('_', "-");
    match name.strip_suffix("-SHA256").filter(|name| name.ends_with("POLY1305")) {
        Some(name) => name.to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_the_names_of_openssl() {
        for (name, wanted) in [
            ("TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
            ("TLS13_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(openssl_name(name), wanted);
        }
    }
}

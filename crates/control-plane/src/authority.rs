//! The system's own certificate authority: made at the first start, kept in `tls/`. It signs the
//! certificate of the HTTPS port, the one of the nodes' stream, and for each node one that proves
//! who it is (its DNS name is the node's id) and one that it shows to MySQL clients.

use base::id::NodeId;
use base::secret::Secret;
use control_app::ports::{CertificateError, IssuedCertificates, NodeCertificates};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name in the certificate of the nodes' stream.
pub const STREAM_NAME: &str = "control-plane";

/// The authority's name, as tools show it.
const AUTHORITY_NAME: &str = "DDM local authority";

/// Why the authority cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate could not be made or read.
    #[error("certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library does not take what was made.
    #[error("TLS: {0}")]
    Tls(String),
}

/// The authority.
pub struct Authority {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(***)")
    }
}

/// A certificate with its key.
struct Pair {
    cert_pem: String,
    key_pem: String,
}

impl Authority {
    /// Reads the authority of this directory, or makes it. The key file is for its owner alone.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        let (cert_file, key_file) = (dir.join("ca.pem"), dir.join("ca.key"));
        std::fs::create_dir_all(dir).map_err(|source| file_error(dir, source))?;
        if !cert_file.exists() || !key_file.exists() {
            make(&cert_file, &key_file)?;
        }
        let read =
            |path: &Path| std::fs::read_to_string(path).map_err(|source| file_error(path, source));
        let (ca_pem, key_pem) = (read(&cert_file)?, read(&key_file)?);
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, KeyPair::from_pem(&key_pem)?)?;
        Ok(Self { ca_pem, issuer })
    }

    /// The certificate that clients are to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The TLS of the HTTPS port, for loopback and these further names or addresses.
    pub fn server_config(&self, names: &[&str]) -> Result<Arc<ServerConfig>, AuthorityError> {
        let names: Vec<&str> =
            ["localhost", "127.0.0.1", "::1"].iter().chain(names).copied().collect();
        let pair = self.sign("DDM control plane", &names, ExtendedKeyUsagePurpose::ServerAuth)?;
        let mut config = finish(builder()?.with_no_client_auth(), &pair)?;
        // A client that comes back proves what it agreed on before, and nothing is kept for it here.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(tls_error)?;
        Ok(Arc::new(config))
    }

    /// The TLS of the nodes' stream: both sides show certificates of this authority.
    pub fn stream_config(&self) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(tls_error)?;
        roots.add(ca).map_err(tls_error)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(tls_error)?;
        let pair = self.sign(STREAM_NAME, &[STREAM_NAME], ExtendedKeyUsagePurpose::ServerAuth)?;
        finish(builder()?.with_client_cert_verifier(verifier), &pair).map(Arc::new)
    }

    fn sign(
        &self,
        name: &str,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Pair, AuthorityError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

impl NodeCertificates for Authority {
    fn issue(
        &self,
        node_id: &NodeId,
        addresses: &[IpAddr],
    ) -> Result<IssuedCertificates, CertificateError> {
        let id = node_id.as_str();
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let mut names: Vec<&str> = addresses.iter().map(String::as_str).collect();
        names.push("localhost");
        let issue = || -> Result<IssuedCertificates, AuthorityError> {
            let own = self.sign(id, &[id], ExtendedKeyUsagePurpose::ClientAuth)?;
            let mysql = self.sign("DDM node", &names, ExtendedKeyUsagePurpose::ServerAuth)?;
            Ok(IssuedCertificates {
                ca_pem: self.ca_pem.clone(),
                cert_pem: own.cert_pem,
                key_pem: Secret::new(own.key_pem),
                mysql_cert_pem: mysql.cert_pem,
                mysql_key_pem: Secret::new(mysql.key_pem),
            })
        };
        issue().map_err(|error| CertificateError { reason: error.to_string() })
    }
}

fn file_error(path: &Path, source: std::io::Error) -> AuthorityError {
    AuthorityError::File { path: path.to_owned(), source }
}

fn tls_error(error: impl fmt::Display) -> AuthorityError {
    AuthorityError::Tls(error.to_string())
}

/// Makes the authority's key and certificate. The key goes first, and each file is complete when it
/// has its name, so a stop in between leaves nothing that is half made.
fn make(cert_file: &Path, key_file: &Path) -> Result<(), AuthorityError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write_file(key_file, &key.serialize_pem(), 0o600)?;
    write_file(cert_file, &certificate.pem(), 0o644)
}

fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let temporary = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&temporary);
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| file_error(path, source))
}

type Builder<S> = rustls::ConfigBuilder<ServerConfig, S>;

fn builder() -> Result<Builder<rustls::WantsVerifier>, AuthorityError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_error)
}

fn finish(
    builder: Builder<rustls::server::WantsServerCert>,
    pair: &Pair,
) -> Result<ServerConfig, AuthorityError> {
    let certificate =
        CertificateDer::from_pem_slice(pair.cert_pem.as_bytes()).map_err(tls_error)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).map_err(tls_error)?;
    builder.with_single_cert(vec![certificate], key).map_err(tls_error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_authority_stays_the_same_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path()).unwrap();
        let again = Authority::open(dir.path()).unwrap();
        assert_eq!(first.ca_pem(), again.ca_pem());
        let mode = std::fs::metadata(dir.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        first.server_config(&["ddm.example"]).unwrap();
        first.stream_config().unwrap();
    }

    #[test]
    fn a_nodes_certificate_is_valid_for_its_id_alone() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let node = NodeId::from_random([1; 16]);
        let issued = authority.issue(&node, &["127.77.0.1".parse().unwrap()]).unwrap();
        let der = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
        let valid = |name: &str| crate::node_stream::is_certificate_of(&der, name);
        assert!(valid(node.as_str()));
        assert!(!valid(NodeId::from_random([2; 16]).as_str()));
        assert!(!format!("{issued:?}").contains("PRIVATE KEY"));
    }
}

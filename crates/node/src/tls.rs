//! TLS set-ups from PEM files: the one offered to MySQL clients, and the mutual one of the stream
//! to the control plane.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name in the control plane's certificate.
pub const CONTROL_PLANE_NAME: &str = "control-plane";

/// A file that cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

fn fail(path: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError { path: path.to_owned(), reason: reason.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| fail(path, error))?.collect();
    let certificates = certificates.map_err(|error| fail(path, error))?;
    if certificates.is_empty() {
        return Err(fail(path, "holds no certificate"));
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| fail(path, error))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The set-up offered to MySQL clients.
pub fn mysql_server(cert_file: &Path, key_file: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(cert_file, error))?
        .with_no_client_auth()
        .with_single_cert(certificates(cert_file)?, key(key_file)?)
        .map_err(|error| fail(cert_file, error))?;
    Ok(Arc::new(config))
}

/// The set-up of the stream: we know the control plane by our authority, and it us by our
/// certificate.
pub fn stream_client(
    ca_file: &Path,
    cert_file: &Path,
    key_file: &Path,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_file)? {
        roots.add(certificate).map_err(|error| fail(ca_file, error))?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(cert_file, error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(cert_file)?, key(key_file)?)
        .map_err(|error| fail(cert_file, error))?;
    Ok(Arc::new(config))
}

//! The files that a node is started with: `node.toml`, certificates, keys, and the key that seals
//! what the node keeps on disk, which is made once for each node directory.

use crate::error::ProvisionError;
use crate::files;
use crate::node::NodeSpec;
use base::id::{hex, random_bytes};
use base::seal::SEAL_KEY_BYTES;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// `node.toml`; the keys are those that `ddm node` reads.
#[derive(Serialize)]
struct NodeToml<'a> {
    node_id: &'a str,
    instance_id: &'a str,
    listen: &'a [SocketAddr],
    shared_listen: &'a [SocketAddr],
    control_plane: &'a [SocketAddr],
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
    mysql_cert_file: PathBuf,
    mysql_key_file: PathBuf,
    data_dir: PathBuf,
    seal_key_file: PathBuf,
    worker_threads: u32,
    memory_limit_mb: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_listen: Option<SocketAddr>,
}

/// The wanted files of one node.
#[derive(Debug)]
pub struct NodeFiles<'a> {
    directory: &'a Path,
    spec: &'a NodeSpec,
    config: String,
}

impl<'a> NodeFiles<'a> {
    /// The files for a node of this specification in this directory.
    pub fn new(directory: &'a Path, spec: &'a NodeSpec) -> Result<Self, ProvisionError> {
        let file = |name: &str| directory.join(name);
        let config = NodeToml {
            node_id: spec.node_id.as_str(),
            instance_id: spec.instance_id.as_str(),
            listen: &spec.listen,
            shared_listen: &spec.shared_listen,
            control_plane: &spec.control_plane,
            ca_file: file("ca.pem"),
            cert_file: file("cert.pem"),
            key_file: file("key.pem"),
            mysql_cert_file: file("mysql-cert.pem"),
            mysql_key_file: file("mysql-key.pem"),
            data_dir: file("data"),
            seal_key_file: file("seal.key"),
            worker_threads: spec.worker_threads,
            memory_limit_mb: spec.memory_limit_mb,
            admin_listen: spec.admin_listen,
        };
        let config = toml::to_string(&config).map_err(|error| ProvisionError::BadConfig {
            name: format!("node {}", spec.node_id),
            reason: error.to_string(),
        })?;
        Ok(Self { directory, spec, config })
    }

    /// Where the configuration of a node with this directory is.
    pub fn config_path(directory: &Path) -> PathBuf {
        directory.join("node.toml")
    }

    /// Writes them all; the configuration last.
    pub fn write(&self) -> Result<(), ProvisionError> {
        let file = |name: &str| self.directory.join(name);
        let tls = &self.spec.tls;
        files::make_private_dir(&file("data"))?;
        let seal_key = file("seal.key");
        if !seal_key.exists() {
            let key = hex(&random_bytes::<SEAL_KEY_BYTES>());
            files::write_private(&seal_key, key.as_bytes())?;
        }
        let contents = [
            ("ca.pem", tls.ca_pem.as_str()),
            ("cert.pem", &tls.cert_pem),
            ("key.pem", tls.key_pem.expose()),
            ("mysql-cert.pem", &tls.mysql_cert_pem),
            ("mysql-key.pem", tls.mysql_key_pem.expose()),
            ("node.toml", &self.config),
        ];
        for (name, content) in contents {
            let path = file(name);
            if files::read_optional(&path)?.as_deref() != Some(content) {
                files::write_private(&path, content.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Remembers that the process is now started with these files.
    pub fn note_started(&self) -> Result<(), ProvisionError> {
        files::write_private(&self.started_with_path(), self.started_with().as_bytes())
    }

    /// Whether the running process was started with these files.
    pub fn is_what_runs(&self) -> Result<bool, ProvisionError> {
        Ok(files::read_optional(&self.started_with_path())? == Some(self.started_with()))
    }

    fn started_with_path(&self) -> PathBuf {
        self.directory.join("started-with")
    }

    /// All that a change of needs a restart. A new key comes with a new certificate, so no secret
    /// needs to be in it.
    fn started_with(&self) -> String {
        let tls = &self.spec.tls;
        [&self.config, &tls.ca_pem, &tls.cert_pem, &tls.mysql_cert_pem]
            .map(String::as_str)
            .join("\n")
    }
}

//! A node's configuration file: TOML, one flat table, unknown keys refused. Whoever starts a node
//! (a provisioner, a person) writes it; nothing in it changes while the node runs. What can change
//! is in the snapshot.

use base::id::{InstanceId, NodeId};
use base::seal::{SEAL_KEY_BYTES, SealKey};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// More threads than this bring nothing that a second node would not bring better.
pub const WORKER_THREADS_MAX: usize = 256;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, a wrong type.
    #[error("the configuration {path} is wrong: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A value that cannot be used.
    #[error("{key} in the configuration is wrong: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// Why, and what to write instead.
        reason: String,
    },
}

/// A node's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The node's id (`…no09`).
    pub node_id: NodeId,
    /// The instance's id (`…in09`).
    pub instance_id: InstanceId,
    /// The node's own addresses for MySQL clients, `ip:port`. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Addresses that all nodes of the instance share on one machine.
    #[serde(default)]
    pub shared_listen: Vec<SocketAddr>,
    /// The control planes' stream addresses, tried in turn. None: the node serves the snapshot on
    /// its disk and nothing can be changed through it.
    #[serde(default)]
    pub control_plane: Vec<SocketAddr>,
    /// The authority that signed the control plane's certificate (PEM).
    pub ca_file: Option<PathBuf>,
    /// The node's certificate for the stream (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// The certificate offered to MySQL clients (PEM). Without it there is no TLS.
    pub mysql_cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub mysql_key_file: Option<PathBuf>,
    /// Where the node keeps its snapshot; made with mode 0700 when missing.
    pub data_dir: PathBuf,
    /// A file with the 64 hex digits of the key that seals the snapshot on disk.
    pub seal_key_file: PathBuf,
    /// Threads that serve clients; 0 or missing: one for each processor.
    #[serde(default)]
    pub worker_threads: usize,
    /// New connections are refused while the process uses more memory than this.
    pub memory_limit_mb: Option<u64>,
    /// Where `/healthz`, `/metrics` and `/version-of-snapshot` are served (HTTP).
    pub admin_listen: Option<SocketAddr>,
}

impl NodeConfig {
    /// Reads and checks a file.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types alone cannot hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        if self.listen.is_empty() && self.shared_listen.is_empty() {
            return wrong("listen", "give at least one \"ip:port\"");
        }
        if self.worker_threads > WORKER_THREADS_MAX {
            return wrong("worker_threads", "at most 256 threads");
        }
        if self.mysql_cert_file.is_some() != self.mysql_key_file.is_some() {
            return wrong("mysql_cert_file", "mysql_cert_file and mysql_key_file go together");
        }
        let stream_files = [&self.ca_file, &self.cert_file, &self.key_file];
        if !self.control_plane.is_empty() && stream_files.iter().any(|file| file.is_none()) {
            return wrong("control_plane", "needs ca_file, cert_file and key_file");
        }
        Ok(())
    }

    /// The key that seals the snapshot on disk.
    pub fn seal_key(&self) -> Result<SealKey, ConfigError> {
        let text = std::fs::read_to_string(&self.seal_key_file)
            .map_err(|source| ConfigError::Read { path: self.seal_key_file.clone(), source })?;
        let wrong = || ConfigError::Value {
            key: "seal_key_file",
            reason: format!(
                "{} must hold {} hex digits",
                self.seal_key_file.display(),
                SEAL_KEY_BYTES * 2
            ),
        };
        let digits = text.trim().as_bytes();
        if digits.len() != SEAL_KEY_BYTES * 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        let mut key = [0; SEAL_KEY_BYTES];
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(SealKey::from_bytes(key))
    }

    /// How many threads serve clients.
    pub fn threads(&self) -> usize {
        match self.worker_threads {
            0 => std::thread::available_parallelism()
                .map_or(1, std::num::NonZero::get)
                .min(WORKER_THREADS_MAX),
            given => given,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(extra: &str) -> String {
        format!(
            "node_id = \"{}no09\"\ninstance_id = \"{}in09\"\nlisten = [\"127.0.0.1:0\"]\n\
             data_dir = \"/tmp/x\"\nseal_key_file = \"/tmp/k\"\n{extra}",
            "ab".repeat(16),
            "cd".repeat(16)
        )
    }

    #[test]
    fn unknown_keys_are_named() {
        let error = toml::from_str::<NodeConfig>(&text("lisen = 3\n")).unwrap_err().to_string();
        assert!(error.contains("lisen"), "{error}");
    }

    #[test]
    fn control_plane_needs_its_files() {
        let config: NodeConfig =
            toml::from_str(&text("control_plane = [\"127.0.0.1:1\"]\n")).unwrap();
        assert!(matches!(config.check(), Err(ConfigError::Value { key: "control_plane", .. })));
        let config: NodeConfig = toml::from_str(&text("")).unwrap();
        assert!(config.check().is_ok());
        assert!(config.threads() >= 1);
    }
}

//! The snapshot on disk: sealed, because it holds the data nodes' passwords, and replaced
//! atomically, so that a node that starts while the control plane is down serves the last version
//! that it knew. A file that does not open is reported and treated as absent.

use base::id::{InstanceId, NodeId};
use base::seal::{SealError, SealKey};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use topology::model::{SNAPSHOT_FORM, Snapshot};

const FILE_NAME: &str = "snapshot.sealed";

/// Why a snapshot cannot be kept, read or served.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was sealed by another key or for another node.
    #[error("{path}: {source}")]
    Seal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// Not a snapshot.
    #[error("the snapshot cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It contradicts itself or is not ours.
    #[error("the snapshot is not valid: {0}")]
    Invalid(String),
}

/// Keeps the snapshot of one node.
#[derive(Debug)]
pub struct SnapshotFile {
    directory: PathBuf,
    context: String,
    key: SealKey,
}

impl SnapshotFile {
    /// Opens the directory, which is made when missing and kept to its owner.
    pub fn new(directory: &Path, node_id: &NodeId, key: SealKey) -> Result<Self, SnapshotError> {
        let io = |source| SnapshotError::Io { path: directory.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
        Ok(Self { directory: directory.to_owned(), context: format!("snapshot/{node_id}"), key })
    }

    /// The last snapshot kept, if there is one.
    pub fn load(&self) -> Result<Option<Snapshot>, SnapshotError> {
        let path = self.directory.join(FILE_NAME);
        let sealed = match std::fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SnapshotError::Io { path, source }),
        };
        let plain = self
            .key
            .open(&self.context, &sealed)
            .map_err(|source| SnapshotError::Seal { path, source })?;
        Ok(Some(serde_json::from_slice(&plain)?))
    }

    /// Replaces the snapshot kept.
    pub fn store(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let sealed = self.key.seal(&self.context, &serde_json::to_vec(snapshot)?);
        let path = self.directory.join(FILE_NAME);
        let fresh = self.directory.join(format!("{FILE_NAME}.new"));
        let io = |source| SnapshotError::Io { path: fresh.clone(), source };
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(io)?;
        file.write_all(&sealed).and_then(|()| file.sync_all()).map_err(io)?;
        std::fs::rename(&fresh, &path).map_err(io)?;
        std::fs::File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(io)
    }
}

/// Whether a node of `instance_id` can serve this snapshot.
pub fn check(snapshot: &Snapshot, instance_id: &InstanceId) -> Result<(), SnapshotError> {
    let invalid = |reason: String| Err(SnapshotError::Invalid(reason));
    if snapshot.form > SNAPSHOT_FORM {
        return invalid(format!(
            "its form {} is newer than this program's {SNAPSHOT_FORM}",
            snapshot.form
        ));
    }
    if snapshot.instance_id != *instance_id {
        return invalid(format!("it belongs to instance {}", snapshot.instance_id));
    }
    for (name, schema) in &snapshot.schemas {
        for (place, shard) in schema.shards.iter().enumerate() {
            if usize::try_from(shard.index).ok() != Some(place) {
                return invalid(format!(
                    "schema {name}: shard {} is at place {place}",
                    shard.index
                ));
            }
            if !snapshot.data_nodes.contains_key(&shard.data_node) {
                return invalid(format!("schema {name}: data node {} is unknown", shard.data_node));
            }
        }
        if schema.ready && schema.shards.is_empty() {
            return invalid(format!("schema {name} has no shards"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    fn snapshot() -> Snapshot {
        Snapshot {
            form: SNAPSHOT_FORM,
            version: 7,
            instance_id: InstanceId::from_random([1; 16]),
            instance_name: "one".into(),
            data_nodes: BTreeMap::new(),
            schemas: BTreeMap::new(),
            accounts: BTreeMap::new(),
            parameters: Default::default(),
            node_count: 1,
            node_numbers: Default::default(),
            read_only_nodes: Default::default(),
            client_access: None,
            access_lists: Default::default(),
            time_zone: None,
        }
    }

    #[test]
    fn kept_snapshots_come_back_only_with_their_key() {
        let directory = std::env::temp_dir().join(format!("ddm-snapshot-{}", std::process::id()));
        let node = NodeId::from_random([2; 16]);
        let file = SnapshotFile::new(&directory, &node, SealKey::from_bytes([3; 32])).unwrap();
        assert_eq!(file.load().unwrap(), None);
        file.store(&snapshot()).unwrap();
        assert_eq!(file.load().unwrap(), Some(snapshot()));
        let other = SnapshotFile::new(&directory, &node, SealKey::from_bytes([4; 32])).unwrap();
        assert!(matches!(other.load(), Err(SnapshotError::Seal { .. })));
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn foreign_and_newer_snapshots_are_refused() {
        let mine = snapshot();
        assert!(check(&mine, &mine.instance_id).is_ok());
        assert!(check(&mine, &InstanceId::from_random([9; 16])).is_err());
        let newer = Snapshot { form: SNAPSHOT_FORM + 1, ..snapshot() };
        assert!(check(&newer, &mine.instance_id).is_err());
    }
}

//! Files that only their owner may read, replaced whole: a reader, or a start after a crash, sees
//! the old content or the new one, never a part.

use crate::error::ProvisionError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory and its parents with mode 0700.
pub fn make_private_dir(path: &Path) -> Result<(), ProvisionError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(ProvisionError::io("make", path))
}

/// Replaces a file's content atomically; mode 0600.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), ProvisionError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let write = || -> std::io::Result<()> {
        // A leftover of a crash may have another mode: made anew, not reused.
        remove_file(temporary)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        sync_parent(path)
    };
    write().map_err(ProvisionError::io("write", path))
}

/// Makes the renames and creations in a file's directory durable.
pub fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file; one that is not there is fine.
pub fn remove_file(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory with all in it; one that is not there is fine.
pub fn remove_dir(path: &Path) -> Result<(), ProvisionError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(ProvisionError::io("remove", path)),
    }
}

/// A file's text; `None` when there is no such file.
pub fn read_optional(path: &Path) -> Result<Option<String>, ProvisionError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ProvisionError::io("read", path)(error)),
    }
}

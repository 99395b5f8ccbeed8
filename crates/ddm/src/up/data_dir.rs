//! The data directory of `ddm up`: used by one process at a time (a lock that the kernel drops with
//! the process, whatever ends it), and marked with the form of its content.

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The form that this version writes, and the newest that it reads.
const FORM: u32 = 1;

/// A data directory that is ours while this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, made with mode 0700 when missing.
    pub fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).context("cannot find the data directory")?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| {
            format!("cannot make the data directory {}; give another --data-dir", path.display())
        })?;
        let lock = lock(&path)?;
        check_form(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces a file in it, mode 0600.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        write_private(&self.path.join(name), content)
    }

    /// A file in it; `None` when there is no such file.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        read_optional(&self.path.join(name))
    }
}

fn lock(path: &Path) -> Result<File> {
    let file_path = path.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&file_path)
        .with_context(|| format!("cannot write to the data directory {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let owner = fs::read_to_string(&file_path).unwrap_or_default();
            bail!(
                "another ddm (process {}) uses the data directory {}; stop it, or give another --data-dir",
                owner.trim(),
                path.display()
            );
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot lock {}", file_path.display()));
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .context("cannot write the lock file")?;
    Ok(file)
}

fn check_form(path: &Path) -> Result<()> {
    let file = path.join("form");
    let Some(text) = read_optional(&file)? else {
        return write_private(&file, format!("{FORM}\n").as_bytes());
    };
    match text.trim().parse::<u32>() {
        Ok(form) if form <= FORM => Ok(()),
        Ok(form) => bail!(
            "the data directory {} is of a newer version of ddm (form {form}, this one reads up to {FORM}); run the \
             newer version, or give another --data-dir",
            path.display()
        ),
        Err(_) => bail!("{} is damaged: it must hold a number", file.display()),
    }
}

/// Replaces a file atomically; mode 0600.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let write = || -> std::io::Result<()> {
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_at_a_time_and_not_from_the_future() {
        let path = std::env::temp_dir().join(format!("ddm-dir-{}", base::id::NodeId::random()));
        let first = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
        first.write("secret", b"x").unwrap();
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("secret"), mode("form"), mode("lock"), mode("")),
            (0o600, 0o600, 0o600, 0o700)
        );
        drop(first);
        let again = DataDir::open(&path).unwrap();
        assert_eq!(again.read("secret").unwrap().as_deref(), Some("x"));
        drop(again);
        fs::write(path.join("form"), "2\n").unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        assert!(error.contains("newer version"), "{error}");
        fs::remove_dir_all(path).unwrap();
    }
}

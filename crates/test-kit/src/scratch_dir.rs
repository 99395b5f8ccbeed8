//! A directory that a test owns and that goes when the test ends.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// An own directory below the system's temporary one.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes one; `name` shows what it was for when a killed test leaves it.
    pub fn new(name: &str) -> Result<Self> {
        let random = base::id::hex(&base::id::random_bytes::<6>());
        let path = std::env::temp_dir().join(format!("ddm-test-{name}-{random}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        if std::env::var_os("DDM_TEST_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A TCP port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

//! A directory that goes with the test.

use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct TestDir(PathBuf);

impl TestDir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ddm-{name}-{}", base::id::NodeId::random()));
        std::fs::create_dir_all(&path).expect("the temporary directory takes a directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

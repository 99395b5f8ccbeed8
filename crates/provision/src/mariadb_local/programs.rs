//! Where MariaDB's programs are: on PATH, or where distributions put servers (`/usr/sbin` is often
//! not on an ordinary user's PATH).

use super::error::LocalMariaDbError;
use std::path::PathBuf;

/// Looked at after PATH.
const USUAL_PLACES: [&str; 6] = [
    "/usr/sbin",
    "/usr/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/local/mysql/bin",
    "/opt/homebrew/bin",
];

/// MariaDB's programs that we run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The server.
    pub server: PathBuf,
    /// Makes a data directory.
    pub install_db: PathBuf,
}

impl Programs {
    /// Finds them.
    pub fn find() -> Result<Self, LocalMariaDbError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<PathBuf> =
            std::env::split_paths(&path).chain(USUAL_PLACES.map(PathBuf::from)).collect();
        Self::find_in(&places)
    }

    fn find_in(places: &[PathBuf]) -> Result<Self, LocalMariaDbError> {
        let find = |program: &'static str| {
            places
                .iter()
                .filter(|place| place.is_absolute())
                .map(|place| place.join(program))
                .find(|candidate| candidate.is_file())
                .ok_or(LocalMariaDbError::NotInstalled { program })
        };
        Ok(Self { server: find("mariadbd")?, install_db: find("mariadb-install-db")? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn says_what_to_install() {
        let error = Programs::find_in(&[PathBuf::from("/nonexistent")]).unwrap_err().to_string();
        assert!(error.contains("apt-get install mariadb-server"), "{error}");
        assert!(error.contains("--data-nodes 0"), "{error}");
    }
}

//! The key that seals secrets in the store: from the environment, or from a file of the data
//! directory that the first start makes. Never in the store itself.

use crate::options::StartError;
use base::id::{hex, random_bytes};
use base::seal::SEAL_KEY_BYTES;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The environment variable that may hold the key, in hex.
pub const SEAL_KEY_VARIABLE: &str = "DDM_SEAL_KEY";

const FILE_NAME: &str = "seal.key";

/// The key's bytes.
pub type KeyBytes = Zeroizing<[u8; SEAL_KEY_BYTES]>;

/// The key of this directory (`secrets/`); makes it at the first start.
pub fn load(dir: &Path) -> Result<KeyBytes, StartError> {
    if let Ok(text) = std::env::var(SEAL_KEY_VARIABLE) {
        let wrong = || {
            StartError::Setting(format!(
                "{SEAL_KEY_VARIABLE} must hold {} hex digits",
                SEAL_KEY_BYTES * 2
            ))
        };
        return parse(&Zeroizing::new(text)).ok_or_else(wrong);
    }
    let path = dir.join(FILE_NAME);
    let file_error = |reason: String| StartError::File { path: path.clone(), reason };
    make_private_dir(dir)?;
    match fs::read_to_string(&path) {
        Ok(text) => {
            let wrong = || file_error(format!("it must hold {} hex digits", SEAL_KEY_BYTES * 2));
            parse(&Zeroizing::new(text)).ok_or_else(wrong)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = Zeroizing::new(random_bytes());
            write(&path, &Zeroizing::new(hex(&*key)))
                .map_err(|error| file_error(error.to_string()))?;
            Ok(key)
        }
        Err(error) => Err(file_error(error.to_string())),
    }
}

/// A directory that its owner alone can enter.
pub fn make_private_dir(dir: &Path) -> Result<(), StartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| StartError::File { path: dir.to_owned(), reason: error.to_string() })
}

fn parse(text: &str) -> Option<KeyBytes> {
    let digits = text.trim().as_bytes();
    if digits.len() != SEAL_KEY_BYTES * 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut key = Zeroizing::new([0; SEAL_KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// The file has its name only when it is complete, so a stop in between leaves no half key.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("secrets");
        let first = load(&secrets).unwrap();
        assert_eq!(*load(&secrets).unwrap(), *first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&secrets), mode(&secrets.join(FILE_NAME))), (0o700, 0o600));
        fs::write(secrets.join(FILE_NAME), "short").unwrap();
        let error = load(&secrets).unwrap_err().to_string();
        assert!(error.contains("seal.key") && error.contains("64 hex digits"), "{error}");
    }
}

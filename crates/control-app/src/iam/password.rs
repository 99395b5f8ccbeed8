//! Passwords of users: PBKDF2 with HMAC-SHA-256. The count of rounds is kept with each hash, so that
//! it can grow without anybody's password having to change.

use aws_lc_rs::pbkdf2;
use base::id::{hex, random_bytes};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// Rounds for new hashes: what OWASP asks for with this algorithm.
const ROUNDS: u32 = 600_000;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Longer passwords are refused before any work.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// What a password is checked with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    rounds: u32,
    salt: String,
    hash: String,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl PasswordHash {
    /// The hash of a new password. Takes a good part of a second: not for an async thread.
    pub fn of(password: &str) -> Self {
        Self::with_rounds(password, ROUNDS)
    }

    fn with_rounds(password: &str, rounds: u32) -> Self {
        let salt: [u8; SALT_BYTES] = random_bytes();
        let mut hash = [0; HASH_BYTES];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds_of(rounds),
            &salt,
            password.as_bytes(),
            &mut hash,
        );
        Self { rounds, salt: hex(&salt), hash: hex(&hash) }
    }

    /// Whether this is the password. Takes as long as making the hash.
    pub fn fits(&self, password: &str) -> bool {
        let (Some(salt), Some(hash)) = (unhex(&self.salt), unhex(&self.hash)) else { return false };
        pbkdf2::verify(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds_of(self.rounds),
            &salt,
            password.as_bytes(),
            &hash,
        )
        .is_ok()
    }
}

fn rounds_of(rounds: u32) -> NonZeroU32 {
    NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN)
}

/// Bytes of hex digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits() {
        let hash = PasswordHash::with_rounds("correct horse", 1_000);
        assert!(hash.fits("correct horse"));
        assert!(!hash.fits("correct horsf") && !hash.fits(""));
        assert_ne!(hash, PasswordHash::with_rounds("correct horse", 1_000));
        let broken = PasswordHash { hash: "zz".to_owned(), ..hash.clone() };
        assert!(!broken.fits("correct horse"));
        assert_eq!(format!("{hash:?}"), "PasswordHash(***)");
    }

    #[test]
    fn the_algorithm_is_the_standards() {
        // RFC 7914, section 11: PBKDF2-HMAC-SHA-256 ("passwd", "salt", 1), first 32 bytes.
        let known = PasswordHash {
            rounds: 1,
            salt: hex(b"salt"),
            hash: "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc".to_owned(),
        };
        assert!(known.fits("passwd"));
    }
}

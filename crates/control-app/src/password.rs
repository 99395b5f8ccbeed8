//! What becomes of a password: it is refused when it is easy to guess, and otherwise turned into
//! the two verifiers that the authentication methods need. The password itself is never kept.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base::api_error::{ACCOUNT_PASSWORD_INVALID, ApiError};
use topology::account::Verifiers;

/// A password is easy to guess when fewer tries find it. The shortest that are allowed, of eight
/// characters, need this many when nothing about them is known.
const GUESSES_MIN: u64 = 100_000_000;

/// More characters than this are not looked at; the check's time grows with the length.
const LOOKED_AT_CHARACTERS: usize = 64;

/// Whether `password` is easy to guess, for somebody who knows `hints`.
pub fn is_weak(password: &str, hints: &[&str]) -> bool {
    let looked_at: String = password.chars().take(LOOKED_AT_CHARACTERS).collect();
    zxcvbn::zxcvbn(&looked_at, hints).guesses() < GUESSES_MIN
}

/// Refuses a password that is easy to guess.
pub fn refuse_weak(field: &str, name: &str, password: &str) -> Result<(), ApiError> {
    if is_weak(password, &[name]) {
        return Err(ApiError::new(ACCOUNT_PASSWORD_INVALID).field(field).because(
            "is easy to guess; choose a stronger one",
            "属于弱密码，请更换为更复杂的密码",
        ));
    }
    Ok(())
}

/// What checks `password` at login.
pub fn verifiers(password: &str) -> Verifiers {
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let native = digest(&SHA1_FOR_LEGACY_USE_ONLY, sha1.as_ref());
    let sha256 = digest(&SHA256, password.as_bytes());
    let sha2 = digest(&SHA256, sha256.as_ref());
    Verifiers {
        native: native.as_ref().try_into().expect("SHA-1 gives 20 bytes"),
        sha2: sha2.as_ref().try_into().expect("SHA-256 gives 32 bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::id::hex;

    #[test]
    fn verifiers_are_the_servers_own() {
        // SELECT PASSWORD('secret') on a server gives the first.
        let verifiers = verifiers("secret");
        assert_eq!(
            hex(&verifiers.native).to_uppercase(),
            "14E65567ABDB5135D0CFD9A70B3032C179A49EE7"
        );
        assert_eq!(
            hex(&verifiers.sha2),
            "3881219d087dd9c634373fd33dfa33a2cb6bfc6c520b64b8bb60ef2ceb534ae7"
        );
    }

    #[test]
    fn well_known_passwords_are_weak() {
        for weak in ["Password1!", "Passw0rd", "Qwerty123!", "Abc12345", "root_1234"] {
            assert!(is_weak(weak, &["root"]), "{weak}");
        }
        for strong in ["vX7#qLp2", "xK9_vQ2r-Lm7", "Tr0ub4dor+Zebra", "mYc0ffee_Is2cold"] {
            assert!(!is_weak(strong, &["root"]), "{strong}");
        }
    }
}

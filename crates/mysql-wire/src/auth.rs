//! Password proofs: `mysql_native_password` and `caching_sha2_password`, both sides of each.
//!
//! The server's side keeps no password but the double hashes of it, which is all that either
//! plugin needs to check a proof. Encrypting with RSA or TLS is the caller's; here is only the
//! mask that goes with RSA. Comparisons take the same time wherever the first difference is.

use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::fmt;

/// Length of the random text that a server sends for each login.
pub const NONCE_LEN: usize = 20;
/// `caching_sha2_password`: the proof was right, an OK packet follows.
pub const SHA2_FAST_OK: u8 = 3;
/// `caching_sha2_password`: the server wants the password itself.
pub const SHA2_FULL: u8 = 4;
/// `caching_sha2_password`: the client asks for the server's RSA key.
pub const SHA2_REQUEST_KEY: u8 = 2;

/// The plugins that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthPlugin {
    /// SHA-1, MySQL 4.1 and later, MariaDB's default.
    NativePassword,
    /// SHA-256 with a cache in the server, MySQL 8's default.
    CachingSha2Password,
    /// The password as it is; only over TLS.
    ClearPassword,
}

impl AuthPlugin {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            AuthPlugin::NativePassword => "mysql_native_password",
            AuthPlugin::CachingSha2Password => "caching_sha2_password",
            AuthPlugin::ClearPassword => "mysql_clear_password",
        }
    }

    /// The plugin of a name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [AuthPlugin::NativePassword, AuthPlugin::CachingSha2Password, AuthPlugin::ClearPassword]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }
}

/// The double hashes of a password, against which logins are checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifiers {
    /// SHA1(SHA1(password)), as in `mysql.user`.
    pub native: [u8; 20],
    /// SHA256(SHA256(password)).
    pub sha2: [u8; 32],
}

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifiers(***)")
    }
}

impl Verifiers {
    /// The verifiers of a password.
    pub fn from_password(password: &[u8]) -> Self {
        Self { native: sha1(&[&sha1(&[password])]), sha2: sha256(&[&sha256(&[password])]) }
    }

    /// Checks a `mysql_native_password` proof.
    pub fn verify_native(&self, nonce: &[u8; NONCE_LEN], response: &[u8]) -> bool {
        let Ok(response) = <[u8; 20]>::try_from(response) else {
            return response.is_empty() && self.is_empty_password();
        };
        let once = xor(response, sha1(&[nonce, &self.native]));
        constant_time_eq(&sha1(&[&once]), &self.native)
    }

    /// Checks the fast proof of `caching_sha2_password`. Since the stored hash is all that the
    /// check needs, the slow road is needed only by clients that ask for it.
    pub fn verify_sha2(&self, nonce: &[u8; NONCE_LEN], response: &[u8]) -> bool {
        let Ok(response) = <[u8; 32]>::try_from(response) else {
            return response.is_empty() && self.is_empty_password();
        };
        let once = xor(response, sha256(&[&self.sha2, nonce]));
        constant_time_eq(&sha256(&[&once]), &self.sha2)
    }

    /// Checks a password that came as it is (over TLS or RSA), without its closing zero byte.
    pub fn verify_clear(&self, password: &[u8]) -> bool {
        constant_time_eq(&sha256(&[&sha256(&[password])]), &self.sha2)
    }

    /// Whether these are the verifiers of the empty password, whose proof is empty on the wire.
    fn is_empty_password(&self) -> bool {
        self.verify_clear(b"")
    }
}

/// A client's proof for `mysql_native_password`; empty for an empty password.
pub fn native_scramble(password: &[u8], nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = sha1(&[password]);
    let twice = sha1(&[&once]);
    xor(once, sha1(&[nonce, &twice])).to_vec()
}

/// A client's fast proof for `caching_sha2_password`; empty for an empty password.
pub fn sha2_scramble(password: &[u8], nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = sha256(&[password]);
    let twice = sha256(&[&once]);
    xor(once, sha256(&[&twice, nonce])).to_vec()
}

/// Masks a password with the nonce, over and over. The client does so before it encrypts with the
/// server's RSA key (with the closing zero byte); doing it again takes the mask off.
pub fn xor_with_nonce(password: &[u8], nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
    password.iter().zip(nonce.iter().cycle()).map(|(a, b)| a ^ b).collect()
}

/// Compares without telling by its time where the first difference is.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y));
    std::hint::black_box(difference) == 0
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn xor<const N: usize>(mut a: [u8; N], b: [u8; N]) -> [u8; N] {
    for (x, y) in a.iter_mut().zip(b) {
        *x ^= y;
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: [u8; 20] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    const PASSWORD: &[u8] = "secret-ä".as_bytes();

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Computed with Python's hashlib.
    #[test]
    fn golden_proofs() {
        let verifiers = Verifiers::from_password(PASSWORD);
        let cases = [
            (hex(&native_scramble(PASSWORD, &NONCE)), "54ff441c9c787c7577d450673d3a3e4de3c36387"),
            (hex(&verifiers.native), "3ff5cdaf59a5d2f155c9d0d6bb35689b56ed5690"),
            (
                hex(&sha2_scramble(PASSWORD, &NONCE)),
                "899b367c02d13a44e4c8877cca54a33e436ad3e89c28e1aa3dad41ae61da5194",
            ),
            (
                hex(&verifiers.sha2),
                "66fb6b02b5197149bdbbe0d4f6d142c8c7bfdb9da7348f1454ad930ad3a023f0",
            ),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn wrong_proofs_are_refused() {
        let verifiers = Verifiers::from_password(PASSWORD);
        let native = native_scramble(PASSWORD, &NONCE);
        let sha2 = sha2_scramble(PASSWORD, &NONCE);
        assert!(verifiers.verify_native(&NONCE, &native) && verifiers.verify_sha2(&NONCE, &sha2));
        assert!(verifiers.verify_clear(PASSWORD));
        let other = [7; 20];
        assert!(!verifiers.verify_native(&other, &native) && !verifiers.verify_sha2(&other, &sha2));
        for wrong in [&b""[..], &native[..19], &sha2[..31], &[0; 20], &[0; 32]] {
            assert!(
                !verifiers.verify_native(&NONCE, wrong) && !verifiers.verify_sha2(&NONCE, wrong)
            );
        }
        assert!(!verifiers.verify_clear(b"") && !verifiers.verify_clear(b"secret"));
        assert_eq!(format!("{verifiers:?}"), "Verifiers(***)");
    }

    #[test]
    fn the_empty_password_has_an_empty_proof() {
        let verifiers = Verifiers::from_password(b"");
        assert!(native_scramble(b"", &NONCE).is_empty() && sha2_scramble(b"", &NONCE).is_empty());
        assert!(verifiers.verify_native(&NONCE, b"") && verifiers.verify_sha2(&NONCE, b""));
        assert!(!verifiers.verify_native(&NONCE, &native_scramble(b"x", &NONCE)));
    }

    proptest! {
        #[test]
        fn proofs_are_accepted(password in proptest::collection::vec(any::<u8>(), 0..40), nonce in any::<[u8; 20]>()) {
            let verifiers = Verifiers::from_password(&password);
            prop_assert!(verifiers.verify_native(&nonce, &native_scramble(&password, &nonce)));
            prop_assert!(verifiers.verify_sha2(&nonce, &sha2_scramble(&password, &nonce)));
            prop_assert_eq!(xor_with_nonce(&xor_with_nonce(&password, &nonce), &nonce), password);
        }

        #[test]
        fn garbage_is_refused(response in proptest::collection::vec(any::<u8>(), 0..40)) {
            let verifiers = Verifiers::from_password(PASSWORD);
            prop_assert!(!verifiers.verify_native(&NONCE, &response));
            prop_assert!(!verifiers.verify_sha2(&NONCE, &response));
        }
    }
}

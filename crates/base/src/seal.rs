//! Secrets at rest: AES-256-GCM-SIV under one key that lives in a file or the environment, never
//! in the store. The context (what the secret belongs to) is authenticated, so that a sealed value
//! copied to another record does not open there. GCM-SIV because a repeated nonce then reveals no
//! more than that two texts are equal.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;
use zeroize::Zeroizing;

/// A key's length in bytes.
pub const SEAL_KEY_BYTES: usize = 32;

/// First byte of every sealed value, so that the form can change later.
const FORM: u8 = 1;

/// The key that seals secrets.
pub struct SealKey(LessSafeKey);

/// Why a sealed value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not something that `seal` made.
    #[error("the sealed value has an unknown form")]
    UnknownForm,
    /// Another key, another context, or changed bytes.
    #[error(
        "the sealed value does not open with this key; check that the key file belongs to this data directory"
    )]
    DoesNotOpen,
}

impl SealKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; SEAL_KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).expect("the length is the algorithm's");
        Self(LessSafeKey::new(key))
    }

    /// Seals `plain` for `context`, which must be given again to open it.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = crate::id::random_bytes();
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .expect("secrets are far below the algorithm's length limit");
        let mut out = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        out.push(FORM);
        out.extend_from_slice(&nonce);
        out.append(&mut sealed);
        out
    }

    /// Opens what `seal` made for the same context.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let Some((&FORM, rest)) = sealed.split_first() else {
            return Err(SealError::UnknownForm);
        };
        if rest.len() < NONCE_LEN {
            return Err(SealError::UnknownForm);
        }
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::UnknownForm)?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut buffer)
            .map_err(|_| SealError::DoesNotOpen)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_key_context_and_bytes() {
        let key = SealKey::from_bytes([7; 32]);
        let sealed = key.seal("data_node/a", b"secret");
        assert_eq!(key.open("data_node/a", &sealed).map(|s| s.to_vec()), Ok(b"secret".to_vec()));
        assert_eq!(key.open("data_node/b", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(
            SealKey::from_bytes([8; 32]).open("data_node/a", &sealed),
            Err(SealError::DoesNotOpen)
        );
        let mut changed = sealed.clone();
        changed[20] ^= 1;
        assert_eq!(key.open("data_node/a", &changed), Err(SealError::DoesNotOpen));
        for cut in 0..sealed.len() {
            assert!(key.open("data_node/a", &sealed[..cut]).is_err());
        }
        assert_ne!(sealed, key.seal("data_node/a", b"secret"));
    }
}

//! Text that must never show: its `Debug` prints stars and its memory is wiped when it goes.

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// A secret text. Reading it needs the word `expose`, so that each place can be found.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Characters of generated passwords: letters and digits, without those that look alike.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A random password of `length` characters that holds a lower-case letter, an upper-case letter,
/// a digit and an underscore, as the product's rules ask.
pub fn random_password(length: usize) -> Secret {
    let random: Vec<u8> = (0..length.max(8)).map(|_| one_of(ALPHABET)).collect();
    let mut text = random;
    let at = text.len() - 4;
    text[at] = one_of(b"abcdefghkmnpqrstuvwxyz");
    text[at + 1] = one_of(b"ABCDEFGHKLMNPQRSTUVWXYZ");
    text[at + 2] = one_of(b"23456789");
    text[at + 3] = b'_';
    Secret(String::from_utf8(text).expect("the alphabets are ASCII"))
}

/// One character of `alphabet`, all equally likely.
fn one_of(alphabet: &[u8]) -> u8 {
    let limit = 256 - 256 % alphabet.len();
    loop {
        let [byte] = crate::id::random_bytes::<1>();
        if usize::from(byte) < limit {
            return alphabet[usize::from(byte) % alphabet.len()];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn generated_passwords_have_all_classes() {
        for _ in 0..100 {
            let password = random_password(20);
            let text = password.expose();
            assert_eq!(text.len(), 20);
            assert!(text.bytes().any(|b| b.is_ascii_lowercase()));
            assert!(text.bytes().any(|b| b.is_ascii_uppercase()));
            assert!(text.bytes().any(|b| b.is_ascii_digit()));
            assert!(text.contains('_'));
        }
    }
}

//! The two string hashes of the product: CRC32 (zlib's polynomial) over the text, and Java's
//! `String.hashCode()` over UTF-16 units.

use super::HASH_SLOTS;

/// The slot of HASH for a value's text.
pub(super) fn slot(text: &[u8]) -> u32 {
    crc32fast::hash(text) % HASH_SLOTS
}

/// `String.hashCode()`. Bytes that are no UTF-8 count as the replacement character, as they do when
/// a Java string is made of them.
pub(super) fn java_hash(text: &[u8]) -> i32 {
    hash_units(&String::from_utf8_lossy(text))
}

/// `toUpperCase().hashCode()`.
pub(super) fn java_hash_upper(text: &[u8]) -> i32 {
    hash_units(&String::from_utf8_lossy(text).to_uppercase())
}

fn hash_units(text: &str) -> i32 {
    text.encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_hash_codes() {
        for (text, hash) in [
            ("", 0),
            ("a", 97),
            ("abc", 96354),
            ("ABC", 64578),
            ("Abc", 65602),
            ("8", 56),
            ("16", 1573),
            ("张三", 774_889),
            ("zhangsan", -1_432_604_556),
            ("user_1", -836_030_275),
            ("order-20240101", 1_263_130_721),
            ("polygenelubricants", -2_147_483_648),
        ] {
            assert_eq!(java_hash(text.as_bytes()), hash, "{text}");
        }
        assert_eq!(java_hash_upper(b"abc"), 64578);
    }

    #[test]
    fn crc_slots() {
        for (text, wanted) in [
            ("16", 49364),
            ("2019", 5404),
            ("0", 69409),
            ("1", 44983),
            ("2", 65037),
            ("3", 32411),
            ("7", 47746),
            ("8", 22291),
            ("10", 87521),
            ("100", 78058),
            ("1000", 58135),
            ("123456", 4961),
            ("-1", 30762),
            ("abc", 74178),
            ("41", 306),
        ] {
            assert_eq!(slot(text.as_bytes()), wanted, "{text}");
        }
    }
}

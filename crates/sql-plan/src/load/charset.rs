//! Character sets of files, as far as cutting them up and placing their records needs to know them.

/// A file's character set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset {
    /// Its name, lower case.
    pub name: String,
    /// What its bytes are.
    pub kind: CharsetKind,
}

/// What the bytes of a character set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharsetKind {
    /// UTF-8, or ASCII.
    Utf8,
    /// Windows-1252, which the servers call latin1.
    Latin1,
    /// Bytes of no character set: what the column's own says.
    Binary,
    /// Another one in which bytes below 0x80 are ASCII wherever they stand.
    AsciiBased,
    /// A second byte may look like ASCII, or characters are wider than a byte: cannot be cut.
    Wide,
}

/// The characters of 0x80 to 0x9f in latin1; bytes without one stay control characters.
const LATIN1_HIGH: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

impl Charset {
    /// The character set of this name.
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let kind = match name.as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => CharsetKind::Utf8,
            "latin1" => CharsetKind::Latin1,
            "binary" => CharsetKind::Binary,
            "big5" | "cp932" | "sjis" | "gbk" | "gb18030" | "ucs2" | "utf16" | "utf16le"
            | "utf32" => CharsetKind::Wide,
            _ => CharsetKind::AsciiBased,
        };
        Self { name, kind }
    }

    /// A field's text in UTF-8, as the column of this collation will hold it; `None` when that is not
    /// known here.
    pub fn to_utf8(&self, field: &[u8], column_collation: Option<&str>) -> Option<Vec<u8>> {
        if field.is_ascii() {
            return Some(field.to_vec());
        }
        match self.kind {
            CharsetKind::Utf8 => std::str::from_utf8(field).ok().map(|_| field.to_vec()),
            CharsetKind::Latin1 => Some(latin1_to_utf8(field)),
            CharsetKind::Binary => {
                let collation = column_collation.unwrap_or("utf8mb4_general_ci");
                match collation.split('_').next() {
                    Some("latin1") => Some(latin1_to_utf8(field)),
                    Some("utf8mb4" | "utf8mb3" | "utf8") => {
                        std::str::from_utf8(field).ok().map(|_| field.to_vec())
                    }
                    _ => None,
                }
            }
            CharsetKind::AsciiBased | CharsetKind::Wide => None,
        }
    }
}

/// A text in MySQL's latin1, which is Windows' code page, as UTF-8.
pub fn latin1_to_utf8(text: &[u8]) -> Vec<u8> {
    let decoded = text.iter().map(|byte| match byte {
        0x80..=0x9f => LATIN1_HIGH[usize::from(byte - 0x80)],
        other => char::from(*other),
    });
    decoded.collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_utf8() {
        let latin1 = Charset::of("Latin1");
        assert_eq!(latin1.to_utf8(b"caf\xe9 \x80", None), Some("café €".into()));
        assert_eq!(Charset::of("utf8").to_utf8("é".as_bytes(), None), Some("é".into()));
        assert_eq!(Charset::of("utf8").to_utf8(b"\xe9", None), None);
        let binary = Charset::of("binary");
        assert_eq!(binary.to_utf8(b"\xe9", Some("latin1_swedish_ci")), Some("é".into()));
        assert_eq!(binary.to_utf8("é".as_bytes(), Some("utf8mb4_bin")), Some("é".into()));
        assert_eq!(Charset::of("koi8r").to_utf8(b"a\xe9", None), None);
        assert_eq!(Charset::of("koi8r").to_utf8(b"17", None), Some(b"17".to_vec()));
    }
}

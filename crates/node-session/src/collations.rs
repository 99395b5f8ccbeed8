//! The collation numbers of a login: which character set and collation each stands for.

/// The collations that a client may ask for by number. A name begins with that of its character set.
#[rustfmt::skip]
const NAMES: [(u16, &str); 139] = [
    (1, "big5_chinese_ci"), (2, "latin2_czech_cs"), (3, "dec8_swedish_ci"), (4, "cp850_general_ci"),
    (5, "latin1_german1_ci"), (6, "hp8_english_ci"), (7, "koi8r_general_ci"), (8, "latin1_swedish_ci"),
    (9, "latin2_general_ci"), (10, "swe7_swedish_ci"), (11, "ascii_general_ci"), (12, "ujis_japanese_ci"),
    (13, "sjis_japanese_ci"), (14, "cp1251_bulgarian_ci"), (15, "latin1_danish_ci"), (16, "hebrew_general_ci"),
    (18, "tis620_thai_ci"), (19, "euckr_korean_ci"), (20, "latin7_estonian_cs"), (21, "latin2_hungarian_ci"),
    (22, "koi8u_general_ci"), (23, "cp1251_ukrainian_ci"), (24, "gb2312_chinese_ci"), (25, "greek_general_ci"),
    (26, "cp1250_general_ci"), (27, "latin2_croatian_ci"), (28, "gbk_chinese_ci"), (29, "cp1257_lithuanian_ci"),
    (30, "latin5_turkish_ci"), (31, "latin1_german2_ci"), (32, "armscii8_general_ci"), (33, "utf8_general_ci"),
    (34, "cp1250_czech_cs"), (36, "cp866_general_ci"), (37, "keybcs2_general_ci"), (38, "macce_general_ci"),
    (39, "macroman_general_ci"), (40, "cp852_general_ci"), (41, "latin7_general_ci"), (42, "latin7_general_cs"),
    (43, "macce_bin"), (44, "cp1250_croatian_ci"), (45, "utf8mb4_general_ci"), (46, "utf8mb4_bin"),
    (47, "latin1_bin"), (48, "latin1_general_ci"), (49, "latin1_general_cs"), (50, "cp1251_bin"),
    (51, "cp1251_general_ci"), (52, "cp1251_general_cs"), (53, "macroman_bin"), (57, "cp1256_general_ci"),
    (58, "cp1257_bin"), (59, "cp1257_general_ci"), (63, "binary"), (64, "armscii8_bin"), (65, "ascii_bin"),
    (66, "cp1250_bin"), (67, "cp1256_bin"), (68, "cp866_bin"), (69, "dec8_bin"), (70, "greek_bin"),
    (71, "hebrew_bin"), (72, "hp8_bin"), (73, "keybcs2_bin"), (74, "koi8r_bin"), (75, "koi8u_bin"),
    (77, "latin2_bin"), (78, "latin5_bin"), (79, "latin7_bin"), (80, "cp850_bin"), (81, "cp852_bin"),
    (82, "swe7_bin"), (83, "utf8_bin"), (84, "big5_bin"), (85, "euckr_bin"), (86, "gb2312_bin"), (87, "gbk_bin"),
    (88, "sjis_bin"), (89, "tis620_bin"), (91, "ujis_bin"), (92, "geostd8_general_ci"), (93, "geostd8_bin"),
    (94, "latin1_spanish_ci"), (95, "cp932_japanese_ci"), (96, "cp932_bin"), (97, "eucjpms_japanese_ci"),
    (98, "eucjpms_bin"), (99, "cp1250_polish_ci"), (192, "utf8_unicode_ci"), (193, "utf8_icelandic_ci"),
    (194, "utf8_latvian_ci"), (195, "utf8_romanian_ci"), (196, "utf8_slovenian_ci"), (197, "utf8_polish_ci"),
    (198, "utf8_estonian_ci"), (199, "utf8_spanish_ci"), (200, "utf8_swedish_ci"), (201, "utf8_turkish_ci"),
    (202, "utf8_czech_ci"), (203, "utf8_danish_ci"), (204, "utf8_lithuanian_ci"), (205, "utf8_slovak_ci"),
    (206, "utf8_spanish2_ci"), (207, "utf8_roman_ci"), (208, "utf8_persian_ci"), (209, "utf8_esperanto_ci"),
    (210, "utf8_hungarian_ci"), (211, "utf8_sinhala_ci"), (212, "utf8_german2_ci"), (214, "utf8_unicode_520_ci"),
    (215, "utf8_vietnamese_ci"), (223, "utf8_general_mysql500_ci"), (224, "utf8mb4_unicode_ci"),
    (225, "utf8mb4_icelandic_ci"), (226, "utf8mb4_latvian_ci"), (227, "utf8mb4_romanian_ci"),
    (228, "utf8mb4_slovenian_ci"), (229, "utf8mb4_polish_ci"), (230, "utf8mb4_estonian_ci"),
    (231, "utf8mb4_spanish_ci"), (232, "utf8mb4_swedish_ci"), (233, "utf8mb4_turkish_ci"), (234, "utf8mb4_czech_ci"),
    (235, "utf8mb4_danish_ci"), (236, "utf8mb4_lithuanian_ci"), (237, "utf8mb4_slovak_ci"),
    (238, "utf8mb4_spanish2_ci"), (239, "utf8mb4_roman_ci"), (240, "utf8mb4_persian_ci"),
    (241, "utf8mb4_esperanto_ci"), (242, "utf8mb4_hungarian_ci"), (243, "utf8mb4_sinhala_ci"),
    (244, "utf8mb4_german2_ci"), (246, "utf8mb4_unicode_520_ci"), (247, "utf8mb4_vietnamese_ci"),
    (248, "gb18030_chinese_ci"), (249, "gb18030_bin"), (250, "gb18030_unicode_520_ci"),
];

/// Those that are their character set's usual ones.
#[rustfmt::skip]
const USUAL: [u16; 37] = [
    1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 16, 18, 19, 22, 24, 25, 26, 28, 30, 32, 33, 36, 37, 38,
    39, 40, 41, 45, 51, 57, 59, 63, 92, 95, 97, 248,
];

/// Character sets that MySQL has and MariaDB has not.
const MYSQL_ALONE: &str = "gb18030";

/// A collation's character set.
fn charset_of(collation: &str) -> &str {
    collation.split('_').next().unwrap_or(collation)
}

/// What SET NAMES takes for a collation's number; nothing for the usual one of utf8mb4, and for those
/// that the server does not know or that cannot be a client's, as on a server.
pub fn names_of(number: u16, mariadb: bool) -> Option<String> {
    let (_, collation) = NAMES.iter().find(|(known, _)| *known == number)?;
    let charset = charset_of(collation);
    match USUAL.contains(&number) {
        _ if mariadb && charset == MYSQL_ALONE => None,
        true if charset == "utf8mb4" => None,
        true => Some(charset.to_owned()),
        false => Some(format!("{charset} COLLATE {collation}")),
    }
}

/// Character sets that cannot be a client's, with the numbers of their collations.
const WIDE: [(&str, &[std::ops::RangeInclusive<u16>]); 4] = [
    ("ucs2", &[35..=35, 90..=90, 128..=151, 159..=159]),
    ("utf16", &[54..=55, 101..=124]),
    ("utf16le", &[56..=56, 62..=62]),
    ("utf32", &[60..=61, 160..=183]),
];

/// The character set of a collation's number, if it cannot be a client's.
pub fn not_for_clients(number: u16) -> Option<&'static str> {
    let has = |ranges: &[std::ops::RangeInclusive<u16>]| {
        ranges.iter().any(|range| range.contains(&number))
    };
    WIDE.iter().find(|(_, ranges)| has(ranges)).map(|(name, _)| *name)
}

/// Whether a word is a character set's name.
pub fn is_charset(word: &[u8]) -> bool {
    let more: [&[u8]; 7] =
        [b"utf8mb3", b"ucs2", b"utf16", b"utf16le", b"utf32", b"utf8", b"binary"];
    NAMES.iter().any(|(_, name)| word.eq_ignore_ascii_case(charset_of(name).as_bytes()))
        || more.iter().any(|name| word.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_a_server_says() {
        let names = |number| names_of(number, true);
        assert_eq!(names(8).as_deref(), Some("latin1"));
        assert_eq!(names(48).as_deref(), Some("latin1 COLLATE latin1_general_ci"));
        assert_eq!(names(58).as_deref(), Some("cp1257 COLLATE cp1257_bin"));
        assert_eq!(names(246).as_deref(), Some("utf8mb4 COLLATE utf8mb4_unicode_520_ci"));
        assert_eq!(names(63).as_deref(), Some("binary"));
        assert_eq!(names(28).as_deref(), Some("gbk"));
        assert_eq!((names(248), names_of(248, false)), (None, Some("gb18030".to_owned())));
        assert_eq!((not_for_clients(35), not_for_clients(45)), (Some("ucs2"), None));
        for usual in [45, 255, 35, 54, 0] {
            assert_eq!(names(usual), None);
        }
        assert!(is_charset(b"Latin1") && is_charset(b"utf8mb4") && !is_charset(b"x"));
        assert!(USUAL.iter().all(|usual| NAMES.iter().any(|(number, _)| number == usual)));
    }
}

//! What records come out of many formats, the text cut at every byte.
#![allow(clippy::unwrap_used)]

use super::*;

fn format(field_end: &str, enclosed: &str, escaped: &str, start: &str, end: &str) -> Format {
    Format {
        field_end: field_end.into(),
        enclosed: enclosed.bytes().next(),
        escaped: escaped.bytes().next(),
        line_start: start.into(),
        line_end: end.into(),
    }
}

/// Records as text: fields parted by `|`, NULL as `~`, `+` behind a line that is too long.
fn read(format: &Format, width: usize, skip: u64, pieces: &[&[u8]]) -> Vec<String> {
    let mut records = Records::new(format.clone(), width, skip);
    let mut buffer: Vec<u8> = Vec::new();
    let mut found = Vec::new();
    let mut pieces = pieces.iter();
    let mut at_end = false;
    loop {
        match records.next(&buffer, at_end) {
            Step::Record { len } => {
                let fields: Vec<String> = records
                    .fields()
                    .map(|field| match field {
                        Field::Null => "~".to_owned(),
                        Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    })
                    .collect();
                let mut line = fields.join("|");
                if records.is_too_long() {
                    line.push('+');
                }
                found.push(line);
                buffer.drain(..len);
            }
            Step::Skipped { len } => {
                buffer.drain(..len);
            }
            Step::NeedMore => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => {
                    assert!(!at_end, "more is wanted behind the end");
                    at_end = true;
                }
            },
            Step::End => return found,
        }
    }
}

#[test]
fn formats_at_every_border() {
    let tab = format("\t", "", "\\", "", "\n");
    let csv = format(",", "\"", "\\", "", "\n");
    let crlf = format(",", "\"", "\\", "", "\r\n");
    let doubled = format(",", "\"", "\"", "", "\n");
    let bare = format(",", "\"", "", "", "\n");
    let long = format("<=>", "'", "\\", ">>", "<end>\n");
    let overlap = format("aab", "", "\\", "", "aac");
    let no_lines = format(";", "", "\\", "", "");
    let same = format(";", "", "\\", "", ";");
    let quote_only = format("", "\"", "\\", "", "\n");
    let cases: &[(&Format, usize, u64, &str, &[&str])] = &[
        (&tab, 2, 0, "", &[]),
        (&tab, 2, 0, "a\tb\nc\td\n", &["a|b", "c|d"]),
        (&tab, 2, 0, "a\tb\nc\td", &["a|b", "c|d"]),
        (&tab, 2, 0, "a\tb\tc\nd\te\tf", &["a|b+", "d|e"]),
        (&tab, 2, 0, "a\n\nb\t\n\tc\n", &["a", "", "b|", "|c"]),
        (&tab, 2, 0, "a\t", &["a"]),
        (&tab, 1, 0, "a\t", &["a"]),
        (&tab, 2, 0, "\\N\t\\\\N\n\\NN\tN\\N\n", &["~|\\N", "NN|NN"]),
        (&tab, 2, 0, "a\\\tb\tc\\\nd\n", &["a\tb|c\nd"]),
        (&tab, 1, 0, "\\n\\t\\r\\0\\Z\\b\\x\\\\\n", &["\n\t\r\0\u{1a}\u{8}x\\"]),
        (&tab, 1, 0, "a\\", &["a\\"]),
        (&tab, 1, 0, "a\tb\\\nc\nd\n", &["a+", "d"]),
        (&tab, 1, 0, "NULL\n", &["NULL"]),
        (&tab, 2, 2, "x\ny\\\n1\nz\na\tb\n", &["z", "a|b"]),
        (&tab, 2, 9, "x\ny\n", &[]),
        (&csv, 2, 0, "\"a,b\",c\n", &["a,b|c"]),
        (&csv, 2, 0, "\"a\"\"b\",\"c\nd\"\n", &["a\"b|c\nd"]),
        (&csv, 2, 0, "\"a\"b\",c\n", &["a\"b|c"]),
        (&csv, 2, 0, "NULL,\"NULL\"\n", &["~|NULL"]),
        (&csv, 2, 0, "a\"b,c\"\n", &["a\"b|c\""]),
        (&csv, 2, 0, "\"a\\\"b\",\"c\"", &["a\"b|c"]),
        (&csv, 2, 0, "\"abc", &["\"abc"]),
        (&csv, 1, 0, "a,\"b\nc\"\nd\n", &["a+", "c\"", "d"]),
        (&csv, 2, 0, "\"\",\"\"\n", &["|"]),
        (&csv, 2, 0, "\"\\N\",\\N\n", &["~|~"]),
        (&crlf, 2, 0, "a,b\r\nc\rd,\"e\r\n\"\r\n", &["a|b", "c\rd|e\r\n"]),
        (&crlf, 2, 0, "a,b\r", &["a|b\r"]),
        (&crlf, 2, 0, "a\r\r\nb", &["a\r", "b"]),
        (&doubled, 2, 0, "\"a\"\"b\",c\"\"d\n", &["a\"b|c\"d"]),
        (&doubled, 2, 0, "a\\n,\"x\"\nb\"", &["a\\n|x", "b\""]),
        (&doubled, 2, 0, "a,\"x\"", &["a|\"x\""]),
        (&bare, 2, 0, "a\\,\\N\n", &["a\\|\\N"]),
        (&long, 2, 0, "no>>'a<=>'<=>b<end>\n>x>>>c<=><end>\nrest", &["a<=>|b", ">c|"]),
        (&long, 2, 0, ">>a<=b<=>c<end<end>\n", &["a<=b|c<end"]),
        (&overlap, 2, 0, "xaaabyaaac", &["xa|ya"]),
        (&overlap, 2, 0, "aaaabaaaac", &["aa|aa"]),
        (&no_lines, 2, 0, "a;b;c;d\ne;f", &["a|b", "c|d\ne", "f"]),
        (&no_lines, 2, 1, "a;b;c;d", &["c|d"]),
        (&same, 2, 0, "a;b;c;", &["a|b", "c"]),
        (&quote_only, 2, 0, "\"a\"\nb\"\n", &["a", "b\""]),
    ];
    for (format, width, skip, text, wanted) in cases {
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let found = read(format, *width, *skip, &[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(&found, wanted, "{text:?} in {format:?}, cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(&read(format, *width, *skip, &single), wanted, "{text:?} byte by byte");
    }
}

/// Random text over few letters means the same whole and in pieces.
#[test]
fn random_text_at_random_borders() {
    let letters = b"ab,,\"\"\\\\\n\n\rN;";
    let mut seed = 0x1234_5678_9abc_def0_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for round in 0..3000 {
        let ends = ["\n", "\r\n", ",", "", "ab", "\"", "\\"];
        let format = format(
            [",", ";", "\",\"", "ab", "", ",,"][next(6)],
            ["", "\"", "a", "\\"][next(4)],
            ["\\", "", "\"", "N"][next(4)],
            ["", "", "a", ",\""][next(4)],
            ends[next(ends.len())],
        );
        let text: Vec<u8> = (0..next(60)).map(|_| letters[next(letters.len())]).collect();
        let (width, skip) = (1 + next(3), next(2) as u64);
        if format.field_end.is_empty() && format.enclosed.is_none() {
            continue;
        }
        let whole = read(&format, width, skip, &[&text]);
        let cut = next(text.len() + 1);
        assert_eq!(read(&format, width, skip, &[&text[..cut], &text[cut..]]), whole, "{round}");
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&format, width, skip, &single), whole, "{round}: {text:?} in {format:?}");
    }
}

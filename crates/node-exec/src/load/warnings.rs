//! The warnings of many small loads as those of one: rows are counted in the client's file, and the
//! first ones by row are kept.

use crate::exec::{WARNINGS_MAX, Warning};
use crate::names::Names;
use mysql_wire::packet::ErrPacket;
use node_backend::query::Row;
use std::collections::HashSet;

/// Warnings that were gathered are sorted out when there are so many.
const GATHERED_MAX: usize = 16 * WARNINGS_MAX;

/// Columns that a load gives no value and that have no default: told once for a statement.
const NO_DEFAULT: u16 = 1364;

/// Warnings with the rows that they are about.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    warnings: Vec<(u64, Warning)>,
    /// What is told once.
    once: HashSet<Vec<u8>>,
}

impl Gathered {
    /// A warning of our own.
    pub fn push(&mut self, row: u64, code: u16, message: String) {
        let level = "Warning".to_owned();
        self.warnings.push((row, Warning { level, code, message: message.into_bytes() }));
        self.bound();
    }

    /// A data node's warnings about a load of these rows; says how many of them were told before
    /// and do not count again.
    pub fn add(&mut self, shown: &[Row], rows: &[u64], names: Names<'_>) -> u64 {
        let mut again = 0;
        let mut last = rows.first().copied().unwrap_or(0);
        for shown in shown {
            let (row, message) = in_file(shown.get(2).unwrap_or_default(), rows);
            last = row.unwrap_or(last);
            let warning = Warning {
                level: shown.text(0).unwrap_or_default(),
                code: shown.text(1).and_then(|code| code.parse().ok()).unwrap_or(0),
                message: names.rewrite_message(&message),
            };
            if warning.code != NO_DEFAULT {
                self.warnings.push((last, warning));
            } else if self.once.insert(warning.message.clone()) {
                self.warnings.push((0, warning));
            } else {
                again += 1;
            }
        }
        self.bound();
        again
    }

    fn bound(&mut self) {
        if self.warnings.len() > GATHERED_MAX {
            self.warnings.sort_by_key(|(row, _)| *row);
            self.warnings.truncate(WARNINGS_MAX);
        }
    }

    /// The first ones.
    pub fn first(mut self) -> Vec<Warning> {
        self.warnings.sort_by_key(|(row, _)| *row);
        self.warnings.into_iter().take(WARNINGS_MAX).map(|(_, warning)| warning).collect()
    }
}

/// An error with its row counted in the file, and that row.
pub(super) fn error_in_file(mut error: ErrPacket, rows: &[u64]) -> (u64, ErrPacket) {
    let (row, message) = in_file(&error.message, rows);
    error.message = message;
    (row.or(rows.first().copied()).unwrap_or(0), error)
}

/// A message whose row number counts in the file, and that number.
fn in_file(message: &[u8], rows: &[u64]) -> (Option<u64>, Vec<u8>) {
    let text = String::from_utf8_lossy(message);
    let number = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let at = text[..digits].parse::<usize>().ok()?.checked_sub(1)?;
        rows.get(at).map(|row| (digits, *row))
    };
    let at = match text.rfind(" at row ") {
        Some(at) => at + " at row ".len(),
        None if text.starts_with("Row ") => "Row ".len(),
        None => return (None, message.to_vec()),
    };
    match number(&text[at..]) {
        Some((digits, row)) => {
            // The text before the number may not be UTF-8: it is kept by its bytes.
            let tail = text[at + digits..].len();
            let head = message.len() - tail - digits;
            let row_text = row.to_string();
            let new = [&message[..head], row_text.as_bytes(), &message[head + digits..]];
            (Some(row), new.concat())
        }
        None => (None, message.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_in_the_file() {
        let rows = [7, 1200];
        for (message, row, wanted) in [
            (
                "Data truncated for column 'a' at row 2",
                Some(1200),
                "Data truncated for column 'a' at row 1200",
            ),
            ("Row 1 was truncated; it contained", Some(7), "Row 7 was truncated; it contained"),
            (
                "Duplicate entry '2' for key 'PRIMARY'",
                None,
                "Duplicate entry '2' for key 'PRIMARY'",
            ),
            (
                "Incorrect value: ' at row 1' for column `a` at row 1",
                Some(7),
                "Incorrect value: ' at row 1' for column `a` at row 7",
            ),
            ("x at row 9", None, "x at row 9"),
        ] {
            assert_eq!(in_file(message.as_bytes(), &rows), (row, wanted.as_bytes().to_vec()));
        }
        let mut gathered = Gathered::default();
        for row in (0..2000).rev() {
            gathered.push(row, 1, row.to_string());
        }
        let first = gathered.first();
        assert_eq!((first.len(), first[63].message.as_slice()), (WARNINGS_MAX, &b"63"[..]));
    }
}

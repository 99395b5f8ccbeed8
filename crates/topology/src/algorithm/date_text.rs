//! Dates out of the forms that the servers take: `2024-01-31`, `24-1-31`, `2024/1/31 10:00:00.5`,
//! `20240131`, `240131100000`, and the same as numbers. Only the date matters to a rule.

use super::calendar::Date;

/// What a text or number says about a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A date.
    Date(Date),
    /// The zero date.
    Zero,
    /// No date: an impossible one, or another form.
    Wrong,
}

/// The date of a text. A zero month or day in an otherwise good date counts as the first, so that
/// such a row lies where the dates around it do.
pub(super) fn parse_text(text: &[u8]) -> Parsed {
    let text = text.trim_ascii();
    let leading = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &text[leading..];
    let is_compact = rest.is_empty() || (leading >= 6 && matches!(rest[0], b'.' | b'T' | b' '));
    if is_compact && leading >= 5 {
        return parse_compact(&text[..leading]);
    }
    parse_parts(text)
}

/// The date of a number such as 20240131 or 20240131100000.
pub(super) fn parse_number(number: i128) -> Parsed {
    let Ok(number) = u64::try_from(number) else { return Parsed::Wrong };
    if number == 0 {
        return Parsed::Zero;
    }
    let date = match number {
        0..=99_999_999 => number,
        _ => number / 1_000_000,
    };
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    // Without a century: YYMMDD below 70 is 20xx.
    let year = match year {
        0..=69 if date < 1_000_000 => year + 2000,
        70..=99 if date < 1_000_000 => year + 1900,
        _ => year,
    };
    make(year, month, day)
}

/// Digits alone: 6 or 12 have a year of two digits, 8 or 14 of four.
fn parse_compact(digits: &[u8]) -> Parsed {
    let number = |part: &[u8]| part.iter().fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    let year_digits = match digits.len() {
        5 | 6 | 7 | 9..=13 => 2,
        8 | 14.. => 4,
        _ => return Parsed::Wrong,
    };
    let year = number(&digits[..year_digits]);
    let month = number(&digits[year_digits..(year_digits + 2).min(digits.len())]);
    let day =
        number(&digits[(year_digits + 2).min(digits.len())..(year_digits + 4).min(digits.len())]);
    make(century(year, year_digits), month, day)
}

/// Parts with any punctuation between them.
fn parse_parts(text: &[u8]) -> Parsed {
    let mut parts = [0_u64; 3];
    let mut year_digits = 0;
    let mut at = 0;
    for (index, part) in parts.iter_mut().enumerate() {
        let start = at;
        while at < text.len() && text[at].is_ascii_digit() && at - start < 4 {
            *part = *part * 10 + u64::from(text[at] - b'0');
            at += 1;
        }
        if at == start {
            return Parsed::Wrong;
        }
        if index == 0 {
            year_digits = at - start;
        }
        if index < 2 {
            let gap = text[at..].iter().take_while(|byte| byte.is_ascii_punctuation()).count();
            if gap == 0 {
                return Parsed::Wrong;
            }
            at += gap;
        }
    }
    let ends_well = text.get(at).is_none_or(|byte| !byte.is_ascii_digit());
    if !ends_well {
        return Parsed::Wrong;
    }
    make(century(parts[0], year_digits), parts[1], parts[2])
}

fn century(year: u64, digits: usize) -> u64 {
    match (digits, year) {
        (1 | 2, 0..=69) => year + 2000,
        (1 | 2, 70..=99) => year + 1900,
        _ => year,
    }
}

fn make(year: u64, month: u64, day: u64) -> Parsed {
    // The text 00-00-00 is the zero date although its year reads as 2000.
    if month == 0 && day == 0 && (year == 0 || year == 2000) {
        return Parsed::Zero;
    }
    let narrow = |part: u64| u8::try_from(part.max(1)).ok();
    let (Ok(year), Some(month), Some(day)) = (u16::try_from(year), narrow(month), narrow(day))
    else {
        return Parsed::Wrong;
    };
    Date::new(year, month, day).map_or(Parsed::Wrong, Parsed::Date)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let date = Parsed::Date(Date::new(2024, 1, 31).unwrap());
        for text in [
            "2024-01-31",
            "24-01-31",
            "2024-1-31",
            "2024/01/31",
            "2024.01.31",
            "2024-01-31 10:11:12",
            "2024-01-31T10:11:12.5",
            " 2024-01-31 ",
            "20240131",
            "240131",
            "20240131101112",
            "240131101112",
            "20240131T101112",
            "2024-01-31 10:11:12.123456",
        ] {
            assert_eq!(parse_text(text.as_bytes()), date, "{text}");
        }
        for text in
            ["", "x", "2024", "2024-01", "2024-13-01", "2024-02-30", "31.x.2024", "2024-01-x"]
        {
            assert_eq!(parse_text(text.as_bytes()), Parsed::Wrong, "{text}");
        }
        assert_eq!(parse_text(b"0000-00-00"), Parsed::Zero);
        assert_eq!(parse_text(b"0000-00-00 00:00:00"), Parsed::Zero);
        assert_eq!(parse_text(b"70-01-01"), Parsed::Date(Date::new(1970, 1, 1).unwrap()));
        assert_eq!(parse_text(b"2024-01-00"), Parsed::Date(Date::new(2024, 1, 1).unwrap()));
    }

    #[test]
    fn numbers() {
        let date = Parsed::Date(Date::new(2024, 1, 31).unwrap());
        for number in [20_240_131, 240_131, 20_240_131_101_112, 240_131_101_112] {
            assert_eq!(parse_number(number), date, "{number}");
        }
        assert_eq!(parse_number(0), Parsed::Zero);
        assert_eq!(parse_number(-1), Parsed::Wrong);
    }
}

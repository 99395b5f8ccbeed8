//! Dates and durations, in text and in the binary form of prepared statements. They are the
//! protocol's values, not a calendar: zero dates and zero months are legal and kept.

use crate::DecodeError;
use crate::lenenc::Reader;
use std::io::Write;

/// Hours of a day, for durations beyond one.
const HOURS_PER_DAY: u32 = 24;
/// MySQL's TIME ends at 838:59:59, MariaDB's too; beyond a few more digits it is garbage.
const HOURS_MAX: u32 = 9_999_999;

/// A date, with a time of day or without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DateValue {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12.
    pub month: u8,
    /// 0 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// Microseconds.
    pub micros: u32,
    /// Whether the value is a DATETIME or TIMESTAMP rather than a DATE.
    pub has_time: bool,
}

/// A duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TimeValue {
    /// Below zero.
    pub negative: bool,
    /// Whole days.
    pub days: u32,
    /// 0 to 23.
    pub hours: u8,
    /// 0 to 59.
    pub minutes: u8,
    /// 0 to 59.
    pub seconds: u8,
    /// Microseconds.
    pub micros: u32,
}

impl DateValue {
    /// Appends the binary form: a length and only the fields up to the last that is not zero.
    pub fn put_binary(&self, out: &mut Vec<u8>) {
        let has_clock = self.hour | self.minute | self.second != 0;
        let has_date = u16::from(self.month | self.day) | self.year != 0;
        let length = match (self.has_time && self.micros != 0, self.has_time && has_clock, has_date)
        {
            (true, _, _) => 11,
            (_, true, _) => 7,
            (_, _, true) => 4,
            _ => 0,
        };
        let [year_low, year_high] = self.year.to_le_bytes();
        let head = [year_low, year_high, self.month, self.day, self.hour, self.minute, self.second];
        out.push(length);
        out.extend_from_slice(&head[..usize::from(length).min(7)]);
        if length == 11 {
            out.extend_from_slice(&self.micros.to_le_bytes());
        }
    }

    /// Reads the binary form.
    pub fn read_binary(reader: &mut Reader<'_>, has_time: bool) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(reader.short_bytes()?);
        let mut value = DateValue { has_time, ..DateValue::default() };
        let length = fields.remaining();
        if !matches!(length, 0 | 4 | 7 | 11) {
            return Err(DecodeError::Malformed("a date's length"));
        }
        if length >= 4 {
            value.year = fields.u16()?;
            value.month = fields.u8()?;
            value.day = fields.u8()?;
        }
        if length >= 7 && has_time {
            value.hour = fields.u8()?;
            value.minute = fields.u8()?;
            value.second = fields.u8()?;
        }
        if length == 11 && has_time {
            value.micros = fields.u32()?;
        }
        Ok(value)
    }

    /// Reads `YYYY-MM-DD` and, with `has_time`, ` hh:mm:ss[.ffffff]` if it is there.
    pub fn parse(text: &[u8], has_time: bool) -> Result<Self, DecodeError> {
        let mut digits = Digits(text);
        let mut value = DateValue { has_time, ..DateValue::default() };
        value.year = u16::try_from(digits.number()?).map_err(|_| BAD_DATE)?;
        digits.expect(b'-')?;
        value.month = digits.small()?;
        digits.expect(b'-')?;
        value.day = digits.small()?;
        if has_time && !digits.0.is_empty() {
            digits.expect(b' ')?;
            value.hour = digits.small()?;
            digits.expect(b':')?;
            value.minute = digits.small()?;
            digits.expect(b':')?;
            value.second = digits.small()?;
            value.micros = digits.fraction()?;
        }
        if digits.0.is_empty() { Ok(value) } else { Err(BAD_DATE) }
    }

    /// Appends the text, with microseconds only if there are some.
    pub fn put_text(&self, out: &mut Vec<u8>) {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day).expect(TO_MEMORY);
        if self.has_time {
            write!(out, " {:02}:{:02}:{:02}", self.hour, self.minute, self.second)
                .expect(TO_MEMORY);
            put_micros(out, self.micros);
        }
    }

    /// Whether the calendar has such a day and the day such a time.
    pub fn is_real(&self) -> bool {
        (1..=9999).contains(&self.year)
            && (1..=days_of_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.micros < 1_000_000
    }
}

impl TimeValue {
    /// Appends the binary form.
    pub fn put_binary(&self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(0);
            return;
        }
        out.push(if self.micros == 0 { 8 } else { 12 });
        out.push(u8::from(self.negative));
        out.extend_from_slice(&self.days.to_le_bytes());
        out.extend_from_slice(&[self.hours, self.minutes, self.seconds]);
        if self.micros != 0 {
            out.extend_from_slice(&self.micros.to_le_bytes());
        }
    }

    /// Reads the binary form.
    pub fn read_binary(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(reader.short_bytes()?);
        let length = fields.remaining();
        if !matches!(length, 0 | 8 | 12) {
            return Err(DecodeError::Malformed("a time's length"));
        }
        let mut value = TimeValue::default();
        if length >= 8 {
            value.negative = fields.u8()? != 0;
            value.days = fields.u32()?;
            value.hours = fields.u8()?;
            value.minutes = fields.u8()?;
            value.seconds = fields.u8()?;
        }
        if length == 12 {
            value.micros = fields.u32()?;
        }
        // There is no negative nothing.
        value.negative &= !value.is_zero();
        Ok(value)
    }

    fn is_zero(&self) -> bool {
        self.micros == 0 && self.days == 0 && self.hours | self.minutes | self.seconds == 0
    }

    /// Reads `[-]hh:mm:ss[.ffffff]`, where the hours may be more than 24.
    pub fn parse(text: &[u8]) -> Result<Self, DecodeError> {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let mut digits = Digits(text);
        let hours = digits.number()?;
        if hours > HOURS_MAX {
            return Err(BAD_TIME);
        }
        digits.expect(b':')?;
        let minutes = digits.small()?;
        digits.expect(b':')?;
        let seconds = digits.small()?;
        let micros = digits.fraction()?;
        if !digits.0.is_empty() {
            return Err(BAD_TIME);
        }
        Ok(Self {
            negative,
            days: hours / HOURS_PER_DAY,
            hours: (hours % HOURS_PER_DAY) as u8,
            minutes,
            seconds,
            micros,
        })
    }

    /// Appends the text, with microseconds only if there are some.
    pub fn put_text(&self, out: &mut Vec<u8>) {
        let sign = if self.negative { "-" } else { "" };
        let hours = u64::from(self.days) * u64::from(HOURS_PER_DAY) + u64::from(self.hours);
        write!(out, "{sign}{hours:02}:{:02}:{:02}", self.minutes, self.seconds).expect(TO_MEMORY);
        put_micros(out, self.micros);
    }
}

/// Days of a month; none for a month that does not exist.
fn days_of_month(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

const BAD_DATE: DecodeError = DecodeError::Malformed("a date's text");
const BAD_TIME: DecodeError = DecodeError::Malformed("a time's text");
const TO_MEMORY: &str = "writing to memory does not fail";

fn put_micros(out: &mut Vec<u8>, micros: u32) {
    if micros != 0 {
        write!(out, ".{micros:06}").expect(TO_MEMORY);
    }
}

/// A cursor over the digits of a date or time.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// A number of one to nine digits.
    fn number(&mut self) -> Result<u32, DecodeError> {
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 || length > 9 {
            return Err(DecodeError::Malformed("a number in a date or time"));
        }
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(digits.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
    }

    fn small(&mut self) -> Result<u8, DecodeError> {
        u8::try_from(self.number()?)
            .map_err(|_| DecodeError::Malformed("a number in a date or time"))
    }

    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(DecodeError::Malformed("a date's or time's separators")),
        }
    }

    /// The point and the fraction after it, if there is one, in microseconds.
    fn fraction(&mut self) -> Result<u32, DecodeError> {
        if self.0.is_empty() {
            return Ok(0);
        }
        self.expect(b'.')?;
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 {
            return Ok(0);
        }
        if length > 6 {
            return Err(DecodeError::Malformed("a fraction of more than six digits"));
        }
        Ok(self.number()? * 10u32.pow(6 - length as u32))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_in_text_and_binary() {
        let cases: [(&str, bool, &[u8]); 7] = [
            ("2024-02-29", false, b"\x04\xe8\x07\x02\x1d"),
            ("2024-02-29 00:00:00", true, b"\x04\xe8\x07\x02\x1d"),
            ("2024-02-29 23:59:58", true, b"\x07\xe8\x07\x02\x1d\x17\x3b\x3a"),
            (
                "2024-02-29 23:59:58.120000",
                true,
                b"\x0b\xe8\x07\x02\x1d\x17\x3b\x3a\xc0\xd4\x01\x00",
            ),
            ("0000-00-00", false, b"\x00"),
            ("0000-00-00 00:00:00", true, b"\x00"),
            ("2024-00-00", false, b"\x04\xe8\x07\x00\x00"),
        ];
        for (text, has_time, binary) in cases {
            let value = DateValue::parse(text.as_bytes(), has_time).unwrap();
            let mut out = Vec::new();
            value.put_binary(&mut out);
            assert_eq!(out, binary, "{text}");
            assert_eq!(DateValue::read_binary(&mut Reader::new(&out), has_time).unwrap(), value);
            out.clear();
            value.put_text(&mut out);
            assert_eq!(out, text.as_bytes());
        }
        let short = DateValue::parse(b"2024-02-29 01:02:03.5", true).unwrap();
        assert_eq!(short.micros, 500_000);
    }

    #[test]
    fn times_in_text_and_binary() {
        let cases: [(&str, &[u8]); 5] = [
            ("00:00:00", b"\x00"),
            ("-838:59:59", b"\x08\x01\x22\0\0\0\x16\x3b\x3b"),
            ("25:00:01", b"\x08\x00\x01\0\0\0\x01\0\x01"),
            ("-00:00:00.000001", b"\x0c\x01\0\0\0\0\0\0\0\x01\0\0\0"),
            ("01:02:03.120000", b"\x0c\x00\0\0\0\0\x01\x02\x03\xc0\xd4\x01\x00"),
        ];
        for (text, binary) in cases {
            let value = TimeValue::parse(text.as_bytes()).unwrap();
            let mut out = Vec::new();
            value.put_binary(&mut out);
            assert_eq!(out, binary, "{text}");
            assert_eq!(TimeValue::read_binary(&mut Reader::new(&out)).unwrap(), value);
            out.clear();
            value.put_text(&mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn the_calendar() {
        for (text, real) in [
            ("2024-02-29", true),
            ("2023-02-29", false),
            ("1900-02-29", false),
            ("2000-02-29", true),
            ("2024-04-31", false),
            ("2024-12-31", true),
            ("2024-13-01", false),
            ("2024-00-01", false),
            ("0000-01-01", false),
            ("2024-01-00", false),
        ] {
            assert_eq!(DateValue::parse(text.as_bytes(), false).unwrap().is_real(), real, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "2024",
            "2024-1",
            "2024-01-01x",
            "2024-01-01 1",
            "a-b-c",
            "99999999999-1-1",
            "2024-01-01 1:2:3.1234567",
        ] {
            assert!(DateValue::parse(text.as_bytes(), true).is_err(), "{text}");
        }
        for text in ["", "1", "1:2", "--1:2:3", "1:2:3x", "99999999:0:0", "1:999:0"] {
            assert!(TimeValue::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..24), text in "[-0-9:. ]{0,24}", has_time: bool) {
            let _ = DateValue::read_binary(&mut Reader::new(&bytes), has_time);
            let _ = TimeValue::read_binary(&mut Reader::new(&bytes));
            let _ = DateValue::parse(text.as_bytes(), has_time);
            let _ = TimeValue::parse(text.as_bytes());
        }
    }
}

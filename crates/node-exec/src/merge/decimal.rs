//! Exact decimal numbers of any length, as far as merging needs them: read and print the text that
//! a data node sends, compare, add, divide by a count. MySQL's DECIMAL has 65 digits, and sums of
//! partial sums more, so fixed-size types do not do.

use std::cmp::Ordering;

/// A decimal number: `digits` (most significant first) with the last `scale` behind the point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: usize,
}

impl Decimal {
    /// Zero.
    pub fn zero() -> Self {
        Self { negative: false, digits: vec![0], scale: 0 }
    }

    /// Reads `-12.50`, `7`, `1.5e3`; `None` for what is no number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (negative, rest) = match text.first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => {
                (&rest[..at], std::str::from_utf8(&rest[at + 1..]).ok()?.parse::<i32>().ok()?)
            }
            None => (rest, 0),
        };
        let mut digits = Vec::with_capacity(mantissa.len());
        let mut scale: i32 = 0;
        let mut behind_point = false;
        for byte in mantissa {
            match byte {
                b'0'..=b'9' => {
                    digits.push(byte - b'0');
                    scale += i32::from(behind_point);
                }
                b'.' if !behind_point => behind_point = true,
                _ => return None,
            }
        }
        if digits.is_empty() || exponent.unsigned_abs() > 400 {
            return None;
        }
        scale -= exponent;
        while scale < 0 {
            digits.push(0);
            scale += 1;
        }
        Some(Self { negative, digits, scale: usize::try_from(scale).ok()? }.trimmed())
    }

    /// The text, with exactly `scale` digits behind the point (rounded half away from zero).
    pub fn to_text(&self, scale: usize) -> Vec<u8> {
        let rounded = self.rescaled(scale);
        let mut digits = rounded.digits.clone();
        while digits.len() <= scale {
            digits.insert(0, 0);
        }
        let mut out = Vec::with_capacity(digits.len() + 2);
        if rounded.negative && digits.iter().any(|digit| *digit != 0) {
            out.push(b'-');
        }
        let point = digits.len() - scale;
        for (at, digit) in digits.iter().enumerate() {
            if at == point {
                out.push(b'.');
            }
            out.push(b'0' + digit);
        }
        out
    }

    /// Digits behind the point.
    pub fn scale(&self) -> usize {
        self.scale
    }

    fn trimmed(mut self) -> Self {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        let keep_one = zeros.min(self.digits.len().saturating_sub(1));
        self.digits.drain(..keep_one);
        self
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == 0)
    }

    fn rescaled(&self, scale: usize) -> Self {
        let mut same = self.clone();
        if scale >= self.scale {
            same.digits.extend(std::iter::repeat_n(0, scale - self.scale));
        } else {
            let cut = self.scale - scale;
            while same.digits.len() <= cut {
                same.digits.insert(0, 0);
            }
            let first_cut = same.digits[same.digits.len() - cut];
            same.digits.truncate(same.digits.len() - cut);
            if first_cut >= 5 {
                same.digits = add_digits(&same.digits, &[1]);
            }
        }
        same.scale = scale;
        same.trimmed()
    }

    /// The exact sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.rescaled(scale), other.rescaled(scale));
        let (negative, digits) = if a.negative == b.negative {
            (a.negative, add_digits(&a.digits, &b.digits))
        } else if cmp_digits(&a.digits, &b.digits) == Ordering::Less {
            (b.negative, sub_digits(&b.digits, &a.digits))
        } else {
            (a.negative, sub_digits(&a.digits, &b.digits))
        };
        Self { negative, digits, scale }.trimmed()
    }

    /// The quotient by a count, to `scale` digits behind the point, rounded half away from zero.
    #[must_use]
    pub fn divide(&self, count: u64, scale: usize) -> Self {
        let wide = self.rescaled(self.scale.max(scale + 1));
        let mut rest: u128 = 0;
        let digits = wide
            .digits
            .iter()
            .map(|digit| {
                rest = rest * 10 + u128::from(*digit);
                let quotient = rest / u128::from(count.max(1));
                rest %= u128::from(count.max(1));
                quotient as u8
            })
            .collect();
        Self { negative: self.negative, digits, scale: wide.scale }.trimmed().rescaled(scale)
    }

    /// As a whole number, when it is one that fits.
    pub fn to_u64(&self) -> Option<u64> {
        if self.negative && !self.is_zero() {
            return None;
        }
        std::str::from_utf8(&self.to_text(0)).ok()?.parse().ok()
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.rescaled(scale), other.rescaled(scale));
        if a.is_zero() && b.is_zero() {
            return Ordering::Equal;
        }
        match (a.negative && !a.is_zero(), b.negative && !b.is_zero()) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => cmp_digits(&a.digits, &b.digits),
            (true, true) => cmp_digits(&b.digits, &a.digits),
        }
    }
}

fn cmp_digits(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn add_digits(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    let (mut a, mut b) = (a.iter().rev(), b.iter().rev());
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() && carry == 0 {
            break;
        }
        let sum = x.copied().unwrap_or(0) + y.copied().unwrap_or(0) + carry;
        out.push(sum % 10);
        carry = sum / 10;
    }
    out.reverse();
    out
}

/// `a - b`, where `a` is not the smaller one.
fn sub_digits(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(a.len());
    let mut borrow = 0;
    let mut b = b.iter().rev();
    for x in a.iter().rev() {
        let y = b.next().copied().unwrap_or(0) + borrow;
        borrow = u8::from(*x < y);
        out.push(x + 10 * borrow - y);
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn text(decimal: &Decimal, scale: usize) -> String {
        String::from_utf8(decimal.to_text(scale)).unwrap()
    }

    #[test]
    fn sums_are_exact_at_any_length() {
        let nines = "9".repeat(65);
        assert_eq!(text(&decimal(&nines).add(&decimal("1")), 0), format!("1{}", "0".repeat(65)));
        for (a, b, sum, scale) in [
            ("1.25", "-0.5", "0.75", 2),
            ("-1", "1", "0", 0),
            ("0.001", "-12.5", "-12.499", 3),
            ("-99.9", "-0.1", "-100.0", 1),
        ] {
            assert_eq!(text(&decimal(a).add(&decimal(b)), scale), sum);
        }
    }

    #[test]
    fn quotients_round_half_away_from_zero() {
        for (a, count, scale, quotient) in [
            ("10", 4, 4, "2.5000"),
            ("1", 3, 4, "0.3333"),
            ("2", 3, 4, "0.6667"),
            ("-2", 3, 4, "-0.6667"),
            ("0.05", 2, 2, "0.03"),
            ("7", 18446744073709551615, 2, "0.00"),
        ] {
            assert_eq!(text(&decimal(a).divide(count, scale), scale), quotient);
        }
    }

    #[test]
    fn order_is_that_of_numbers() {
        let sorted = ["-100", "-2.50", "-0.1", "0", "0.09", "0.1", "9", "10", "1e3"];
        for (at, a) in sorted.iter().enumerate() {
            for (bt, b) in sorted.iter().enumerate() {
                assert_eq!(decimal(a).cmp(&decimal(b)), at.cmp(&bt), "{a} {b}");
            }
        }
        assert_eq!(decimal("-0.00").cmp(&decimal("0")), Ordering::Equal);
        assert_eq!(Decimal::parse(b"abc"), None);
        assert_eq!(Decimal::parse(b""), None);
    }
}

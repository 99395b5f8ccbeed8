//! Query strings: names and values, percent-decoded. A name given twice counts once, the first.

use crate::paging::Page;
use base::api_error::ApiError;
use std::collections::BTreeMap;

/// No time is as late, in UNIX milliseconds (the year 33658).
pub const MILLISECONDS_END: f64 = 1e15;

/// A request's query parameters.
#[derive(Clone, Debug, Default)]
pub struct Query {
    values: BTreeMap<String, String>,
}

impl Query {
    /// The parameters of a raw query string (without the question mark).
    pub fn parse(raw: Option<&str>) -> Self {
        let mut values = BTreeMap::new();
        for pair in raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.entry(percent_decode(name)).or_insert_with(|| percent_decode(value));
        }
        Self { values }
    }

    /// The parameter's value; an empty one counts as not given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An integer parameter.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let wrong = |_| ApiError::parameter(name, "must be an integer", "必须为整数");
        self.get(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// A time in milliseconds, which some clients send as a float.
    pub fn milliseconds(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: f64 = text.parse().unwrap_or(f64::NAN);
        if number.is_finite() && (0.0..MILLISECONDS_END).contains(&number) {
            Ok(Some(number as i64))
        } else {
            Err(ApiError::parameter(
                name,
                "must be a UNIX time in milliseconds",
                "必须为毫秒时间戳",
            ))
        }
    }

    /// A parameter that may be `true`, `false` or nothing (which counts as false).
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => {
                Err(ApiError::parameter(name, "must be true or false", "取值只能为true或false"))
            }
        }
    }

    /// `offset` and `limit`.
    pub fn page(&self, default_limit: u64) -> Result<Page, ApiError> {
        Page::new(self.integer("offset")?, self.integer("limit")?, default_limit)
    }
}

/// The text without its percent-escapes. What is no valid escape stays as it is; what is not UTF-8
/// is replaced.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_decoded_and_typed() {
        let query = Query::parse(Some("a=x%20y%2f&b=&start=1637373600000.0&flag=TRUE&n=-3&a=2&c%"));
        assert_eq!(query.get("a"), Some("x y/"));
        assert_eq!(query.get("b"), None);
        assert_eq!(query.milliseconds("start").unwrap(), Some(1_637_373_600_000));
        assert!(query.flag("flag").unwrap());
        assert!(!query.flag("other").unwrap());
        assert_eq!(query.integer("n").unwrap(), Some(-3));
        assert!(
            query.integer("a").is_err()
                && query.flag("a").is_err()
                && query.milliseconds("n").is_err()
        );
    }
}

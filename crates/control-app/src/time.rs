//! Times of the API: text with seconds and a zone (`2021-12-14T07:46:22+0000`), or UNIX
//! milliseconds.

use jiff::Timestamp;

/// Now, in UNIX milliseconds.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The time as the API writes it.
pub fn text(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        Err(_) => String::new(),
    }
}

/// The time without a zone, as the parameters of an instance have it: `2021-11-09 03:26:52`, UTC.
pub fn plain_text(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_has_the_documents_form() {
        assert_eq!(super::text(1_639_467_982_000), "2021-12-14T07:46:22+0000");
        assert_eq!(super::plain_text(1_639_467_982_000), "2021-12-14 07:46:22");
        assert_eq!(super::text(i64::MAX), "");
    }
}

//! Parameters that a driver calls text and that are none: bytes for a column of bytes. As a literal in
//! quotes a data node would refuse them for the character set of the connection.

use crate::session::Core;
use topology::algorithm::SqlValue;

/// Settings that say how a client's text is written.
const CHARSETS: [&str; 2] = ["names", "character_set_client"];

impl Core {
    /// Makes bytes of text that cannot be UTF-8, where that is how the client writes text.
    pub fn bytes_for_broken_text(&self, mut params: Vec<SqlValue>) -> Vec<SqlValue> {
        if !params.iter().any(is_broken) {
            return params;
        }
        let is_utf8 = |setting: &str| {
            let charset = self.exec.state.get(setting).map(|value| value.trim_start_matches('\''));
            charset.is_none_or(|charset| charset.starts_with("utf8"))
        };
        if CHARSETS.into_iter().all(is_utf8) {
            params.iter_mut().for_each(bytes_where_broken);
        }
        params
    }
}

fn is_broken(param: &SqlValue) -> bool {
    matches!(param, SqlValue::Text(text) if std::str::from_utf8(text).is_err())
}

fn bytes_where_broken(param: &mut SqlValue) {
    if is_broken(param)
        && let SqlValue::Text(text) = param
    {
        *param = SqlValue::Binary(std::mem::take(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_text_becomes_bytes() {
        let after = |bytes: &[u8]| {
            let mut param = SqlValue::Text(bytes.to_vec());
            bytes_where_broken(&mut param);
            param
        };
        assert_eq!(after("tä\0xt".as_bytes()), SqlValue::Text("tä\0xt".as_bytes().to_vec()));
        assert_eq!(after(b"\x00\xff'"), SqlValue::Binary(b"\x00\xff'".to_vec()));
    }
}

//! Statements and parameters of clients whose character set is not UTF-8. They become UTF-8 where they
//! come in, so that everything behind reads one form of text, and a value has one shard whatever the
//! client's character set is. Data nodes are told that texts are UTF-8, and all else of what the client
//! set: literals, columns' names and rows come to what they come to on one server.

use crate::collations::is_charset;
use crate::session::Core;
use base::sql_error;
use mysql_wire::bulk::BulkValue;
use mysql_wire::value::Value;
use node_backend::query::QueryResult;
use node_exec::error::{ExecError, sql};
use sql_plan::load::charset::latin1_to_utf8;
use sql_syntax::{CharsetClass, Edits, LexMode, LiteralValue, TokenBuf, TokenKind, lex};
use std::borrow::Cow;
use std::sync::Arc;

/// Strings that a data node is asked to convert at once.
const STRINGS_MAX: usize = 500;

/// Words of statements that may ask what the client's character set is.
const ASKING: [&[u8]; 2] = [b"character_set", b"variables"];

impl Core {
    /// A statement's text as UTF-8.
    pub async fn utf8_text<'t>(&mut self, text: &'t [u8]) -> Result<Cow<'t, [u8]>, ExecError> {
        if !self.exec.state.converts() {
            return Ok(Cow::Borrowed(text));
        }
        self.show_charset(text);
        match text.is_ascii() {
            true => Ok(Cow::Borrowed(text)),
            false => Box::pin(self.converted_text(text)).await,
        }
    }

    async fn converted_text<'t>(&mut self, text: &[u8]) -> Result<Cow<'t, [u8]>, ExecError> {
        let plain = self.with_introduced_in_hex(text);
        let converted = self.converted(&[&plain]).await?;
        converted.into_iter().next().map(Cow::Owned).ok_or_else(not_converted)
    }

    /// A statement that may ask for the client's character set finds it on the data node.
    pub fn show_charset(&mut self, text: &[u8]) {
        let mentions =
            |word: &&[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        let raw = text.is_ascii() && ASKING.iter().any(mentions);
        if self.exec.state.is_raw() != raw {
            self.exec.state = Arc::new((*self.exec.state).clone().with_raw_client(raw));
        }
    }

    /// The same with strings behind `_charset` in hexadecimal: their bytes are not the client's
    /// characters.
    fn with_introduced_in_hex<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let charset = self.exec.state.client_charset().unwrap_or_default();
        let class = CharsetClass::of_charset(charset.as_bytes());
        let mode = LexMode { charset: class, ..self.lex };
        let (mut tokens, mut edits) = (TokenBuf::new(), Edits::new());
        let mut from = Some(0);
        while let Some(start) = from {
            lex(text, start, &mode, &mut tokens);
            for (at, two) in tokens.tokens().windows(2).enumerate() {
                let [before, token] = two else { continue };
                let introduces = before.span().of(text).strip_prefix(b"_").is_some_and(is_charset);
                if token.kind != TokenKind::String
                    || !introduces
                    || token.span().of(text).is_ascii()
                {
                    continue;
                }
                let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
                if let LiteralValue::String(bytes) = tokens.value(text, number, &mode) {
                    edits
                        .replace(token.span(), format!(" X'{}'", base::id::hex(&bytes)).as_bytes());
                }
            }
            from = tokens.rest();
        }
        if edits.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::new();
        edits.apply(text, &mut out);
        Cow::Owned(out)
    }

    /// A prepared statement's parameters; true if some are others now.
    pub async fn utf8_values(&mut self, values: &mut [Value]) -> Result<bool, ExecError> {
        if !self.exec.state.converts() {
            return Ok(false);
        }
        let mut strings: Vec<&mut Vec<u8>> = values
            .iter_mut()
            .filter_map(|value| match value {
                Value::Bytes(bytes) if !bytes.is_ascii() => Some(bytes),
                _ => None,
            })
            .collect();
        self.convert_in_place(&mut strings).await?;
        Ok(!strings.is_empty())
    }

    /// One row of a bulk.
    pub async fn utf8_row(&mut self, row: &mut [BulkValue]) -> Result<(), ExecError> {
        if !self.exec.state.converts() {
            return Ok(());
        }
        let mut strings: Vec<&mut Vec<u8>> = row
            .iter_mut()
            .filter_map(|value| match value {
                BulkValue::Value(Value::Bytes(bytes)) if !bytes.is_ascii() => Some(bytes),
                _ => None,
            })
            .collect();
        self.convert_in_place(&mut strings).await
    }

    async fn convert_in_place(&mut self, strings: &mut [&mut Vec<u8>]) -> Result<(), ExecError> {
        for part in strings.chunks_mut(STRINGS_MAX) {
            let given: Vec<&[u8]> = part.iter().map(|one| one.as_slice()).collect();
            let converted = self.converted(&given).await?;
            if converted.len() != part.len() {
                return Err(not_converted());
            }
            for (string, new) in part.iter_mut().zip(converted) {
                **string = new;
            }
        }
        Ok(())
    }

    /// Strings of the client's character set as UTF-8. Servers know best what their character sets
    /// are, so a data node is asked, but for the one that is a table of a few lines.
    async fn converted(&mut self, strings: &[&[u8]]) -> Result<Vec<Vec<u8>>, ExecError> {
        let charset = self.exec.state.client_charset().unwrap_or_default().to_owned();
        if charset.eq_ignore_ascii_case("latin1") {
            return Ok(strings.iter().map(|string| latin1_to_utf8(string)).collect());
        }
        let parts: Vec<String> = strings
            .iter()
            .map(|string| {
                // What is no character of it becomes a question mark, as on a server.
                let hex = base::id::hex(string);
                format!("CONVERT(CONVERT(X'{hex}' USING {charset}) USING utf8mb4)")
            })
            .collect();
        let ask = format!("SELECT {}", parts.join(","));
        let mut lease = self.worker.backends.any()?.own_lease_to_read().await?;
        let QueryResult::Rows(set) = lease.query(ask.as_bytes()).await? else {
            return Err(not_converted());
        };
        let row = set.rows.first().ok_or_else(not_converted)?;
        let all = (0..strings.len()).map(|at| row.get(at).map(<[u8]>::to_vec));
        all.map(|one| one.ok_or_else(not_converted)).collect()
    }
}

fn not_converted() -> ExecError {
    sql(sql_error::UNKNOWN_ERROR, "a data node did not convert the client's character set")
}

//! SIGNAL, RESIGNAL and GET DIAGNOSTICS outside of routines. A data node raises what SIGNAL says;
//! GET DIAGNOSTICS reads what the session keeps of its last statement.

use crate::control::text;
use crate::query::Source;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::names::Names;
use node_exec::read_back::with_user_variable;
use node_exec::relay;
use sql_syntax::text::user_var_name;
use sql_syntax::{Token, TokenKind};
use std::sync::Arc;

/// ER_DA_INVALID_CONDITION_NUMBER
const INVALID_CONDITION: u16 = 1758;

/// What GET DIAGNOSTICS asks: variables with the names of items.
struct Asked<'a> {
    condition: Option<usize>,
    items: Vec<(String, &'a [u8])>,
}

impl Core {
    /// SIGNAL, RESIGNAL, GET DIAGNOSTICS.
    pub async fn run_diagnostics(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        let tokens = source.tokens.tokens();
        let first = tokens.first().map_or(&b""[..], |token| token.span().of(source.text));
        if first.eq_ignore_ascii_case(b"get") {
            return self.get_diagnostics(source);
        }
        let statement = crate::user_variables::inlined(source, source.tokens.text_span());
        let node = self.worker.backends.any()?;
        relay::pass_through(&mut self.exec(), &node, &statement, false, Names::of(&[])).await
    }

    fn get_diagnostics(&mut self, source: Source<'_>) -> Result<(), ExecError> {
        let asked = asked(source)?;
        let warnings = self.exec.last.warnings.clone();
        let mut state = (*self.exec.state).clone();
        let chosen = match asked.condition {
            None => None,
            Some(number) => match number.checked_sub(1).and_then(|at| warnings.get(at)) {
                Some(warning) => Some(warning),
                None => {
                    self.exec.last.warnings.push(Warning {
                        level: "Error".to_owned(),
                        code: INVALID_CONDITION,
                        message: b"Invalid condition number".to_vec(),
                    });
                    self.reply_ok_packet(OkPacket { warnings: 1, ..OkPacket::default() });
                    return Ok(());
                }
            },
        };
        for (variable, item) in asked.items {
            let item = text(item).to_ascii_uppercase();
            let value = match (item.as_str(), chosen) {
                ("NUMBER", None) => unsigned(warnings.len()),
                ("ROW_COUNT", None) => self.exec.last.row_count.to_string(),
                ("MYSQL_ERRNO", Some(warning)) => unsigned(usize::from(warning.code)),
                ("RETURNED_SQLSTATE", Some(warning)) => {
                    quoted(sqlstate(warning.code, &warning.level))
                }
                ("MESSAGE_TEXT", Some(warning)) => {
                    format!("_utf8mb4 X'{}'", base::id::hex(&warning.message))
                }
                ("CLASS_ORIGIN" | "SUBCLASS_ORIGIN", Some(_)) => quoted("ISO 9075"),
                (
                    "CONSTRAINT_CATALOG" | "CONSTRAINT_SCHEMA" | "CONSTRAINT_NAME" | "CATALOG_NAME"
                    | "SCHEMA_NAME" | "TABLE_NAME" | "COLUMN_NAME" | "CURSOR_NAME",
                    Some(_),
                ) => quoted(""),
                _ => {
                    return Err(sql(
                        sql_error::SYNTAX_ERROR,
                        "You have an error in your SQL syntax; GET DIAGNOSTICS has no such item",
                    ));
                }
            };
            state = with_user_variable(state, &variable, value)?;
        }
        self.exec.state = Arc::new(state);
        // What is looked at stays.
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }
}

fn unsigned(number: usize) -> String {
    format!("CAST({number} AS UNSIGNED)")
}

fn quoted(word: &str) -> String {
    format!("_utf8mb4 '{word}'")
}

/// The SQLSTATE of an error or warning, as far as its number tells.
fn sqlstate(code: u16, level: &str) -> &'static str {
    match (code, level) {
        (1022 | 1048 | 1052 | 1062 | 1169 | 1216 | 1217 | 1451 | 1452, _) => "23000",
        (1050, _) => "42S01",
        (1051 | 1109 | 1146, _) => "42S02",
        (1054 | 1247, _) => "42S22",
        (1064 | 1065 | 1055 | 1103 | 1305, _) => "42000",
        (1046, _) => "3D000",
        (1136 | 1222 | 1241 | 1242, _) => "21000",
        (1172, _) => "42000",
        (1213, _) => "40001",
        (1264 | 1690, _) => "22003",
        (1265, _) => "01000",
        (1365, _) => "22012",
        (1366, _) => "22007",
        (1406, _) => "22001",
        (1329, _) => "02000",
        (_, "Error") => "HY000",
        _ => "01000",
    }
}

/// Reads GET \[CURRENT | STACKED\] DIAGNOSTICS \[CONDITION n\] @a = item, …
fn asked<'a>(source: Source<'a>) -> Result<Asked<'a>, ExecError> {
    let wrong = || {
        sql(
            sql_error::SYNTAX_ERROR,
            "You have an error in your SQL syntax; GET DIAGNOSTICS takes @variable = item, …",
        )
    };
    let words: Vec<(&Token, &[u8])> = source
        .tokens
        .tokens()
        .iter()
        .filter(|token| !matches!(token.kind, TokenKind::Eof))
        .map(|token| (token, token.span().of(source.text)))
        .collect();
    let is = |at: usize, word: &str| {
        words.get(at).is_some_and(|(_, text)| text.eq_ignore_ascii_case(word.as_bytes()))
    };
    let mut at = 1 + usize::from(is(1, "CURRENT"));
    if is(1, "STACKED") {
        return Err(ExecError::Server(ErrPacket::new(
            1887,
            "0Z002",
            "GET STACKED DIAGNOSTICS when handler not active",
        )));
    }
    if !is(at, "DIAGNOSTICS") {
        return Err(wrong());
    }
    at += 1;
    let mut condition = None;
    if is(at, "CONDITION") {
        let number = words.get(at + 1).and_then(|(_, word)| text(word).parse().ok());
        condition = Some(number.ok_or_else(wrong)?);
        at += 2;
    }
    let mut items = Vec::new();
    loop {
        let [(variable, name), (_, equals), (_, item)] = words
            .get(at..at + 3)
            .and_then(|three| <&[_; 3]>::try_from(three).ok())
            .ok_or_else(wrong)?;
        if variable.kind != TokenKind::UserVar || *equals != b"=" {
            return Err(wrong());
        }
        items.push((text(&user_var_name(name)), *item));
        at += 3;
        match words.get(at) {
            None => return Ok(Asked { condition, items }),
            Some((_, b",")) => at += 1,
            Some(_) => return Err(wrong()),
        }
    }
}

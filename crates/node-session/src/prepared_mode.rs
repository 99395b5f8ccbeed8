//! A prepared statement is read as it was when it was prepared: the words of sql_mode that change what
//! a text says hold for it as they were then, whatever the session has set since. All other words are
//! those of the execution.

use crate::session::Core;
use node_backend::session_state::SessionState;
use node_exec::error::ExecError;
use sql_syntax::LexMode;
use std::sync::Arc;

/// The variable.
const NAME: &str = "sql_mode";

/// The words that change how a text is read, and those that stand for several words.
const OF_READING: [&str; 13] = [
    "PIPES_AS_CONCAT",
    "ANSI_QUOTES",
    "IGNORE_SPACE",
    "NO_BACKSLASH_ESCAPES",
    "HIGH_NOT_PRECEDENCE",
    "ANSI",
    "ORACLE",
    "MSSQL",
    "DB2",
    "MAXDB",
    "POSTGRESQL",
    "MYSQL323",
    "MYSQL40",
];

/// What [`Core::leave_mode`] puts back.
#[derive(Debug)]
pub struct ModeBefore {
    lex: LexMode,
    value: Option<String>,
    used: String,
}

/// The words that a way of reading has.
fn words_of(lex: &LexMode) -> impl Iterator<Item = &'static str> {
    let all = [
        lex.pipes_as_concat,
        lex.ansi_quotes,
        lex.ignore_space,
        lex.no_backslash_escapes,
        lex.high_not_precedence,
    ];
    OF_READING.into_iter().zip(all).filter(|(_, has)| *has).map(|(word, _)| word)
}

/// A session's sql_mode with the words of another way of reading.
fn read_as(session: &str, lex: &LexMode) -> String {
    let stays = |word: &&str| {
        !word.is_empty() && !OF_READING.iter().any(|other| other.eq_ignore_ascii_case(word))
    };
    let session = session.trim_matches('\'').split(',').map(str::trim);
    let mut words: Vec<String> = session.filter(stays).map(str::to_owned).collect();
    words.extend(words_of(lex).map(str::to_owned));
    format!("'{}'", words.join(","))
}

impl Core {
    /// Lets data nodes read as `mode` says; nothing when they do.
    pub async fn enter_mode(&mut self, mode: &LexMode) -> Result<Option<ModeBefore>, ExecError> {
        if words_of(mode).eq(words_of(&self.lex)) {
            return Ok(None);
        }
        let value = self.exec.state.get(NAME).map(str::to_owned);
        let session = match &value {
            Some(value) => value.clone(),
            None => self.default_mode().await?,
        };
        let used = read_as(&session, mode);
        let before = ModeBefore { lex: self.lex, value, used };
        self.exec.state = Arc::new((*self.exec.state).clone().with(NAME, before.used.clone()));
        self.lex = LexMode { charset: self.lex.charset, ..*mode };
        self.exec.no_backslash_escapes = self.lex.no_backslash_escapes;
        Ok(Some(before))
    }

    /// The end of [`Self::enter_mode`]. What the statement itself set stays.
    pub fn leave_mode(&mut self, before: Option<ModeBefore>) {
        let Some(before) = before else { return };
        if self.exec.state.get(NAME) != Some(before.used.as_str()) {
            return;
        }
        let state: SessionState = (*self.exec.state).clone();
        self.exec.state = Arc::new(match before.value {
            Some(value) => state.with(NAME, value),
            None => state.without(NAME),
        });
        self.lex = LexMode { charset: self.lex.charset, ..before.lex };
        self.exec.no_backslash_escapes = self.lex.no_backslash_escapes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_reading_are_exchanged() {
        let ansi = LexMode { ansi_quotes: true, pipes_as_concat: true, ..LexMode::default() };
        assert_eq!(
            read_as("'STRICT_ALL_TABLES'", &ansi),
            "'STRICT_ALL_TABLES,PIPES_AS_CONCAT,ANSI_QUOTES'"
        );
        let plain = LexMode::default();
        let set = "'REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI'";
        assert_eq!(read_as(set, &plain), "'REAL_AS_FLOAT'");
        assert_eq!(read_as("''", &plain), "''");
    }
}

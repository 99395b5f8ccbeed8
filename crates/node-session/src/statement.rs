//! A session's prepared statements: what is kept of each between PREPARE and CLOSE.

use crate::cursor::Cursor;
use crate::prepared_values::limit_params;
use mysql_wire::stmt::{LongData, ParamType};
use sql_plan::plan::{Home, Plan, Planned, RowKind};
use sql_syntax::{LexMode, Token, TokenBuf, TokenKind};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Prepared statements of one session, as `max_prepared_stmt_count` bounds a server's.
pub const STATEMENTS_MAX: usize = 16_382;

/// Long data of one statement.
const LONG_DATA_BYTES_MAX: usize = 1 << 30;

/// One prepared statement.
#[derive(Debug)]
pub struct Prepared {
    /// Its text.
    pub text: Rc<[u8]>,
    /// The text as the client wrote it, where the queries of views were put into it.
    pub written: Option<Rc<[u8]>>,
    /// Its tokens.
    pub tokens: TokenBuf,
    /// How it was lexed.
    pub mode: LexMode,
    /// The schema of its names.
    pub schema: Option<String>,
    /// Tokens that are `?`.
    pub param_tokens: Vec<u32>,
    /// The ordinals of those that are numbers of a LIMIT.
    pub limit_params: Vec<u32>,
    /// Its plan and the snapshot's version that it holds for; none for statements that the session
    /// runs itself.
    pub planned: Option<(u64, Rc<Planned>)>,
    /// Types of the last execution.
    pub types: Vec<ParamType>,
    /// Data sent ahead.
    pub long: LongData,
    /// Data sent ahead was more than we take; told at the next execution.
    pub long_failed: bool,
    /// Rows of the last execution that wait to be fetched.
    pub cursor: Option<Cursor>,
    /// The columns as the client was told them last, if it keeps them.
    pub metadata: Vec<u8>,
}

/// A session's prepared statements.
#[derive(Debug, Default)]
pub struct Statements {
    /// None where one is taken out.
    all: BTreeMap<u32, Option<Box<Prepared>>>,
    last_id: u32,
    /// The one that [`LAST_PREPARED`] names.
    last_prepared: Option<u32>,
}

/// The number by which MariaDB's drivers name the statement that was prepared last: they send its
/// execution without waiting for the answer that tells its own number.
const LAST_PREPARED: u32 = u32::MAX;

impl Prepared {
    /// A statement that was just prepared.
    pub fn new(
        text: &[u8],
        tokens: TokenBuf,
        mode: LexMode,
        schema: Option<String>,
        param_tokens: Vec<u32>,
        planned: Option<(u64, Rc<Planned>)>,
    ) -> Self {
        let limit_params = limit_params(text, &tokens, &param_tokens);
        Self {
            text: text.into(),
            limit_params,
            written: None,
            tokens,
            mode,
            schema,
            param_tokens,
            planned,
            types: Vec::new(),
            long: LongData::new(LONG_DATA_BYTES_MAX),
            long_failed: false,
            cursor: None,
            metadata: Vec::new(),
        }
    }
}

impl Prepared {
    /// Whether a data node was shown it when it was prepared.
    pub fn is_described(&self) -> bool {
        let Some((_, planned)) = &self.planned else { return false };
        let Plan::Routed(routed) = &planned.plan else { return false };
        routed.kind == RowKind::Read && routed.home != Home::Apart
    }

    /// Whether it is SELECT … INTO: no other query has that word.
    pub fn selects_into(&self) -> bool {
        let is = |token: &Token, word: &[u8]| {
            token.kind == TokenKind::Keyword
                && token.span().of(&self.text).eq_ignore_ascii_case(word)
        };
        let tokens = self.tokens.tokens();
        tokens.first().is_some_and(|first| is(first, b"SELECT"))
            && tokens.iter().any(|token| is(token, b"INTO"))
    }
}

impl Statements {
    /// Keeps a statement and names it; `None` when there are too many.
    pub fn add(&mut self, prepared: Prepared) -> Option<u32> {
        if self.all.len() >= STATEMENTS_MAX {
            return None;
        }
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !matches!(self.last_id, 0 | LAST_PREPARED) && !self.all.contains_key(&self.last_id) {
                break;
            }
        }
        self.all.insert(self.last_id, Some(Box::new(prepared)));
        self.last_prepared = Some(self.last_id);
        Some(self.last_id)
    }

    /// No statement is the last one any longer: another is being prepared.
    pub fn forget_last(&mut self) {
        self.last_prepared = None;
    }

    /// The number under which a statement is kept.
    fn own(&self, id: u32) -> u32 {
        match id {
            LAST_PREPARED => self.last_prepared.unwrap_or(id),
            _ => id,
        }
    }

    /// A statement, taken out for its execution.
    pub fn take(&mut self, id: u32) -> Option<Box<Prepared>> {
        self.all.get_mut(&self.own(id))?.take()
    }

    /// Puts it back.
    pub fn put_back(&mut self, id: u32, prepared: Box<Prepared>) {
        if let Some(place) = self.all.get_mut(&self.own(id)) {
            *place = Some(prepared);
        }
    }

    /// A statement.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Prepared> {
        self.all.get_mut(&self.own(id))?.as_deref_mut()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// How many have an open cursor.
    pub fn cursors(&self) -> usize {
        self.all.values().flatten().filter(|statement| statement.cursor.is_some()).count()
    }

    /// Forgets a statement.
    pub fn close(&mut self, id: u32) {
        let id = self.own(id);
        self.all.remove(&id);
        self.last_prepared = self.last_prepared.filter(|last| *last != id);
    }

    /// Data for a parameter, of which one may have `bytes_max`, as a message. There is no answer, so an
    /// error waits for the execution.
    pub fn append_long_data(&mut self, id: u32, param: u16, data: &[u8], bytes_max: usize) {
        let Some(statement) = self.get_mut(id) else { return };
        let bytes = statement.long.get(param).map_or(0, <[u8]>::len) + data.len();
        if bytes > bytes_max || statement.long.append(param, data).is_err() {
            statement.long_failed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_data_of_a_parameter_is_no_longer_than_a_message() {
        let mut statements = Statements::default();
        let prepared =
            Prepared::new(b"", TokenBuf::new(), LexMode::default(), None, Vec::new(), None);
        let id = statements.add(prepared).expect("there is room");
        for param in [0, 1] {
            statements.append_long_data(id, param, b"abcd", 6);
            statements.append_long_data(id, param, b"ef", 6);
        }
        assert!(!statements.get_mut(id).expect("it is there").long_failed);
        statements.append_long_data(id, 1, b"g", 6);
        assert!(statements.get_mut(id).expect("it is there").long_failed);
    }
}

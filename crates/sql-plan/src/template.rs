//! Text with holes. A template is a list of edits of the statement's own text, by token index, so
//! that everything it does not name stays byte for byte; a later statement of the same digest takes
//! the same edits. A template can also stand alone (no source text), for statements that the
//! planner makes up.

mod writer;

use crate::plan::PlanTable;
use crate::value::{ValueRef, Values};
use sql_syntax::TokenKind;
use topology::algorithm::Target;
use writer::Writer;

/// Text with holes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// Edits, by first token, none overlapping.
    pub edits: Vec<Edit>,
    /// The tokens of the source that are kept; `None`: only the edits' pieces are written.
    pub range: Option<TokenRange>,
}

/// Tokens `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenRange {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl TokenRange {
    /// The tokens of a span of the tree. The end marker, which stands where the last token ends, is
    /// not one of them.
    pub(crate) fn of(tokens: &sql_syntax::TokenBuf, span: sql_syntax::ast::Span) -> Option<Self> {
        let (first, last) = tokens.tok_range(span)?;
        let is_end = |token: u32| {
            tokens.tokens().get(token as usize).is_some_and(|token| token.kind == TokenKind::Eof)
        };
        Some(TokenRange { first, last: if is_end(last) && last > first { last - 1 } else { last } })
    }
}

/// One change of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The tokens that it is about.
    pub at: TokenRange,
    /// How.
    pub how: How,
    /// What is written.
    pub pieces: Vec<Piece>,
    /// Left out where the tokens are copied to another place ([`Piece::Tokens`]): what an edit adds
    /// to a clause belongs to the clause, not to its copy.
    pub once: bool,
}

/// How an edit changes its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// Writes before the first token.
    Before,
    /// Writes instead of the tokens.
    Replace,
    /// Writes after the last token.
    After,
}

/// What an edit writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// These bytes.
    Text(Vec<u8>),
    /// `` `database`.`table` `` of this table of the plan, at the target.
    Table(u32),
    /// `` `table` `` alone.
    TableName(u32),
    /// `` `database` `` alone.
    Database(u32),
    /// A name with the target's number behind it.
    Suffixed(String),
    /// The text of the target's shard.
    ByShard {
        /// By shard.
        texts: std::sync::Arc<[Vec<u8>]>,
        /// The same in logical names.
        shown: Vec<u8>,
    },
    /// The temporary table of this load.
    Temporary(u32),
    /// The condition of this reduction of a scratch plan, or TRUE; written by [`Fill::temporary`]
    /// under the number [`REDUCTIONS_FROM`] and this one.
    Reduction(u32),
    /// A copy of tokens of the source, with the edits inside them.
    Tokens(TokenRange),
    /// The sum of these values: a pushed-down LIMIT (offset + count).
    Sum(Vec<ValueRef>),
    /// A value as an SQL literal.
    Value(ValueRef),
    /// Something that the session knows.
    Session(SessionValue),
    /// The generated id of the row that is being written; where it has none, what was given.
    GeneratedId {
        /// The value as given.
        otherwise: Option<Box<Piece>>,
    },
}

/// Functions that a data node would answer for its own connection, and the session answers instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionValue {
    /// DATABASE(), SCHEMA()
    Database,
    /// USER(), SESSION_USER(), SYSTEM_USER()
    User,
    /// CURRENT_USER()
    CurrentUser,
    /// CONNECTION_ID()
    ConnectionId,
    /// LAST_INSERT_ID()
    LastInsertId,
    /// ROW_COUNT()
    RowCount,
    /// FOUND_ROWS()
    FoundRows,
    /// VERSION()
    Version,
    /// @@port
    Port,
    /// @@hostname
    Hostname,
    /// @@server_id
    ServerId,
    /// @@warning_count
    WarningCount,
    /// @@error_count
    ErrorCount,
    /// @@wait_timeout, @@interactive_timeout
    IdleTimeout {
        /// Whose.
        which: IdleTimeout,
        /// The instance's, in seconds.
        instance: u32,
    },
    /// @@ddm_consistent_reads
    ConsistentReads {
        /// Whether the instance has them in all sessions.
        instance: bool,
    },
}

/// How long a client may be idle before its session ends: two variables for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdleTimeout {
    /// wait_timeout, which is in force
    Wait,
    /// interactive_timeout, what wait_timeout would begin with
    Interactive,
}

/// Temporary tables have numbers below this; above it are reductions.
pub const REDUCTIONS_FROM: u32 = 1 << 20;

/// Where a template's holes are filled from.
#[derive(Clone, Copy)]
pub struct Fill<'a> {
    /// The statement and its values.
    pub values: &'a Values<'a>,
    /// The plan's tables.
    pub tables: &'a [PlanTable],
    /// Writes a session's value as an SQL expression.
    pub session: &'a dyn Fn(SessionValue, &mut Vec<u8>),
    /// Writes the quoted and qualified name of a scratch plan's temporary table.
    pub temporary: &'a dyn Fn(u32, &mut Vec<u8>),
    /// Parameters are written as literals; else they stay `?` and are listed in
    /// [`Rendered::params`].
    pub inline_params: bool,
}

impl std::fmt::Debug for Fill<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// Text for a data node. Reuse it: it keeps its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The statement.
    pub text: Vec<u8>,
    /// The ordinals of the parameters that are still `?` in it, in their order.
    pub params: Vec<u32>,
}

impl Edit {
    /// Replaces tokens.
    pub fn replace(at: TokenRange, pieces: Vec<Piece>) -> Edit {
        Edit { at, how: How::Replace, pieces, once: false }
    }

    /// Writes before a token.
    pub fn before(token: u32, pieces: Vec<Piece>) -> Edit {
        Edit { at: TokenRange { first: token, last: token }, how: How::Before, pieces, once: true }
    }

    /// Writes after a token.
    pub fn after(token: u32, pieces: Vec<Piece>) -> Edit {
        Edit { at: TokenRange { first: token, last: token }, how: How::After, pieces, once: true }
    }

    /// The same, also in copies of the tokens.
    #[must_use]
    pub fn always(self) -> Edit {
        Edit { once: false, ..self }
    }

    /// The same, but not in copies of the tokens.
    #[must_use]
    pub fn once(self) -> Edit {
        Edit { once: true, ..self }
    }

    /// Edits apply in this order: by place, insertions before replacements at the same place.
    fn order(&self) -> (u32, How) {
        match self.how {
            How::After => (self.at.last, How::After),
            how => (self.at.first, how),
        }
    }
}

impl Piece {
    /// Fixed text.
    pub fn text(text: impl Into<Vec<u8>>) -> Piece {
        Piece::Text(text.into())
    }
}

impl Template {
    /// The source's tokens `range` with these edits.
    pub fn edited(range: TokenRange, mut edits: Vec<Edit>) -> Template {
        edits.sort_by_key(Edit::order);
        Template { edits, range: Some(range) }
    }

    /// Made-up text; `edits` serve the copied tokens inside of it.
    pub fn made(pieces: Vec<Piece>, mut edits: Vec<Edit>) -> Template {
        edits.sort_by_key(Edit::order);
        let at = TokenRange { first: 0, last: 0 };
        edits.insert(0, Edit { at, how: How::Before, pieces, once: true });
        Template { edits, range: None }
    }

    /// Writes the text for a target.
    pub fn render(&self, fill: &Fill<'_>, target: Target, out: &mut Rendered) {
        out.text.clear();
        out.params.clear();
        self.append(fill, target, out);
    }

    /// Writes the text for a target after what is in `out` already.
    pub fn append(&self, fill: &Fill<'_>, target: Target, out: &mut Rendered) {
        match (self.range, self.edits.split_first()) {
            (Some(range), _) => {
                let mut writer = Writer {
                    fill,
                    target,
                    out,
                    edits: &self.edits,
                    row: None,
                    copying: false,
                    explain: false,
                };
                writer.tokens(range);
            }
            (None, Some((made, edits))) => {
                let mut writer =
                    Writer { fill, target, out, edits, row: None, copying: false, explain: false };
                writer.pieces(&made.pieces);
            }
            (None, None) => {}
        }
    }

    /// The text as EXPLAIN shows it: logical names, `?0` for the first literal or parameter.
    pub(crate) fn explained(&self, values: &Values<'_>, tables: &[PlanTable]) -> String {
        let temporary = |load: u32, out: &mut Vec<u8>| {
            out.extend_from_slice(format!("temp_{load}").as_bytes());
        };
        self.explained_with(values, tables, &temporary)
    }

    /// The same, where temporary tables and reductions are written by `temporary`.
    pub(crate) fn explained_with(
        &self,
        values: &Values<'_>,
        tables: &[PlanTable],
        temporary: &dyn Fn(u32, &mut Vec<u8>),
    ) -> String {
        let session = |value: SessionValue, out: &mut Vec<u8>| {
            let shown = match value {
                SessionValue::IdleTimeout { instance, .. } => {
                    format!("({instance}|0)")
                }
                SessionValue::ConsistentReads { instance } => {
                    format!("({}|0)", u8::from(instance))
                }
                other => format!("{other:?}()"),
            };
            out.extend_from_slice(shown.as_bytes());
        };
        let fill = Fill { values, tables, session: &session, temporary, inline_params: false };
        let mut out = Rendered::default();
        let target = Target { shard: 0, suffix: 0 };
        let (range, edits) = match (self.range, self.edits.split_first()) {
            (Some(range), _) => (Some(range), self.edits.as_slice()),
            (None, Some((_, edits))) => (None, edits),
            (None, None) => return String::new(),
        };
        let mut writer = Writer {
            fill: &fill,
            target,
            out: &mut out,
            edits,
            row: None,
            copying: false,
            explain: true,
        };
        match range {
            Some(range) => writer.tokens(range),
            None => writer.pieces(&self.edits[0].pieces),
        }
        let text = String::from_utf8_lossy(&out.text).into_owned();
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Writes part of the source with the edits, for rows of an INSERT.
    pub(crate) fn append_part(
        &self,
        range: TokenRange,
        row: Option<RowFill>,
        fill: &Fill<'_>,
        target: Target,
        out: &mut Rendered,
    ) {
        Writer { fill, target, out, edits: &self.edits, row, copying: false, explain: false }
            .tokens(range);
    }
}

/// The generated id of the row that is being written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowFill {
    /// The id, if the row takes one.
    pub id: Option<u64>,
}

/// Writes a name in backquotes.
pub fn push_quoted(name: &[u8], out: &mut Vec<u8>) {
    push_quoted_numbered(name, None, out);
}

/// Writes a name in backquotes; with a number, `_` and the number in so many digits at least behind
/// it. On the road of each statement: it allocates nothing of its own.
pub(crate) fn push_quoted_numbered(name: &[u8], number: Option<(u32, usize)>, out: &mut Vec<u8>) {
    out.push(b'`');
    match name.contains(&b'`') {
        false => out.extend_from_slice(name),
        true => name.iter().for_each(|byte| match byte {
            b'`' => out.extend_from_slice(b"``"),
            byte => out.push(*byte),
        }),
    }
    if let Some((number, width)) = number {
        let mut digits = [b'0'; 10];
        let mut at = digits.len();
        let mut left = number;
        while left > 0 {
            at -= 1;
            digits[at] = b'0' + u8::try_from(left % 10).expect("a digit");
            left /= 10;
        }
        out.push(b'_');
        out.extend_from_slice(&digits[at.min(digits.len() - width.clamp(1, digits.len()))..]);
    }
    out.push(b'`');
}

/// A name in backquotes.
pub fn quoted(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    push_quoted(name.as_bytes(), &mut out);
    out
}

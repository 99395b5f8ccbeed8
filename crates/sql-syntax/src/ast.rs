//! The tree of one statement. Every node carries the byte range it was read from, and every
//! identifier and literal also its token index: a plan is applied to later statements that differ
//! in literals and spacing only, where offsets move but token indices stay.
//!
//! The tree holds no text; names and values are read from the statement's bytes through spans,
//! because a statement may be in any character set.

pub mod admin;
pub mod ddl;
pub mod dml;
pub mod expr;
pub mod query;
pub mod recycle;

pub use admin::*;
pub use ddl::*;
pub use dml::*;
pub use expr::*;
pub use query::*;
pub use recycle::*;

use crate::text;
use std::borrow::Cow;

/// A half-open byte range of the statement's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    #[must_use]
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The bytes of this range; empty when the range lies outside of `src`.
    #[must_use]
    pub fn of(self, src: &[u8]) -> &[u8] {
        src.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One name as it was written, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    /// Where it stands, quotes included.
    pub span: Span,
    /// Index of its token.
    pub tok: u32,
}

impl Ident {
    /// The bytes as written, quotes included.
    #[must_use]
    pub fn raw(self, src: &[u8]) -> &[u8] {
        self.span.of(src)
    }

    /// The name itself: quotes taken off, doubled quotes undone. Case is kept.
    #[must_use]
    pub fn name(self, src: &[u8]) -> Cow<'_, [u8]> {
        text::unquote_ident(self.raw(src))
    }

    /// Whether the name equals `other` without regard to ASCII case.
    #[must_use]
    pub fn is(self, src: &[u8], other: &[u8]) -> bool {
        self.name(src).eq_ignore_ascii_case(other)
    }
}

/// A table's (or view's, sequence's, routine's) name with an optional schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The schema, when written.
    pub schema: Option<Ident>,
    /// The name.
    pub name: Ident,
    /// From the schema, if any, to the name.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE and set operations of them.
    Query(Box<Query>),
    /// INSERT and REPLACE.
    Insert(Box<Insert>),
    /// UPDATE of one or more tables.
    Update(Box<Update>),
    /// DELETE from one or more tables.
    Delete(Box<Delete>),
    /// LOAD DATA, LOAD XML.
    Load(Box<Load>),
    /// CREATE TABLE in all forms.
    CreateTable(Box<CreateTable>),
    /// ALTER TABLE.
    AlterTable(Box<AlterTable>),
    /// DROP TABLE.
    DropTable(DropTable),
    /// TRUNCATE \[TABLE\].
    Truncate(TableName),
    /// RENAME TABLE: pairs of old and new name.
    RenameTable(Vec<(TableName, TableName)>),
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// DROP INDEX.
    DropIndex(DropIndex),
    /// CREATE, ALTER or DROP DATABASE.
    Database(DatabaseStmt),
    /// CREATE or ALTER VIEW.
    CreateView(Box<CreateView>),
    /// DROP VIEW.
    DropView(DropTable),
    /// RESTORE TABLE, PURGE TABLE, PURGE RECYCLEBIN.
    Recycle(RecycleStmt),
    /// CREATE, ALTER or DROP SEQUENCE, and `FRESH ALL SEQUENCE START VALUE`.
    Sequence(SequenceStmt),
    /// SHOW in all forms.
    Show(Box<Show>),
    /// DESCRIBE of a table.
    Describe(Describe),
    /// EXPLAIN of a statement or connection.
    Explain(Box<Explain>),
    /// SET in all forms.
    Set(Box<SetStmt>),
    /// USE schema.
    Use(Ident),
    /// BEGIN, COMMIT, SAVEPOINT, … and XA.
    Transaction(TransactionStmt),
    /// LOCK TABLES.
    LockTables(Vec<LockTable>),
    /// UNLOCK TABLES.
    UnlockTables,
    /// PREPARE, EXECUTE, DEALLOCATE.
    Prepared(PreparedStmt),
    /// KILL.
    Kill(Kill),
    /// CALL of a routine.
    Call(Box<Call>),
    /// DO expressions.
    Do(Vec<Expr>),
    /// HANDLER.
    Handler(Handler),
    /// ANALYZE, CHECK, OPTIMIZE, REPAIR, CHECKSUM TABLE.
    Maintain(Maintain),
    /// FLUSH and RESET.
    Flush(Flush),
    /// CREATE USER, GRANT, … .
    Account(AccountStmt),
    /// Known by its leading words alone; the text stays as it is.
    Other(Other),
    /// Nothing but comments.
    Empty,
}

/// One parsed statement of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The statement.
    pub stmt: Statement,
    /// From its first to its last token (comments before and after, and `;`, are outside).
    pub span: Span,
    /// The statement's whole text, comments included, `;` excluded.
    pub text: Span,
    /// Token index of each `?`, in order: the ordinal of a parameter is its place here.
    pub params: Vec<u32>,
    /// For how many seconds it may wait for locks on tables: WAIT n, or NOWAIT as 0.
    pub lock_wait: Option<u64>,
    /// Offset after the closing `;` (or the end of the text) when another statement follows there.
    pub rest: Option<u32>,
}

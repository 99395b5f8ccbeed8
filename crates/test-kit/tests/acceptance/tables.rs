//! Whether the tree names every table that a statement opens: each name that the tree knows is
//! turned to a table that exists, in a server that has no other; then the server, which opens all
//! tables before it looks at columns, must not miss one.

use anyhow::Result;
use node_backend::{BackendError, Connection};
use sql_syntax::Edits;
use sql_syntax::ast::{Expr, ExprKind, Parsed, Statement};
use sql_syntax::visit::{TableUse, Visitor, for_each_table, walk_statement};

/// What makes the table that exists.
pub const SET_UP: [&str; 3] = [
    "CREATE DATABASE there",
    "CREATE TABLE there.one (there_is INT PRIMARY KEY)",
    "CREATE SEQUENCE there.numbers",
];

const THERE: &[u8] = b"there.one";

/// Schemas whose tables the server has.
const SERVERS_OWN: [&[u8]; 4] = [b"information_schema", b"mysql", b"performance_schema", b"sys"];

/// The server's words for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

/// What came of one statement.
pub enum Naming {
    /// Every table is named.
    Whole,
    /// The server missed this one.
    Missed(String),
    /// Not a statement that reads or writes rows, or its text cannot be turned.
    Unknown,
}

/// Checks a statement that both parsers accept.
pub async fn check(connection: &mut Connection, src: &[u8], parsed: &Parsed) -> Result<Naming> {
    let rows = matches!(
        parsed.stmt,
        Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)
    );
    if !rows {
        return Ok(Naming::Unknown);
    }
    let text = turned(src, parsed);
    match connection.prepare(&text).await {
        Ok(_) => {
            connection.forget_statement(&text).await?;
            Ok(Naming::Whole)
        }
        Err(BackendError::Server(packet)) => {
            let message = String::from_utf8_lossy(&packet.message).into_owned();
            Ok(match packet.number {
                NO_SUCH_TABLE if is_servers_own(&message) => Naming::Unknown,
                NO_SUCH_TABLE => {
                    Naming::Missed(format!("{message}: {}", String::from_utf8_lossy(&text)))
                }
                1064 | 1109 => Naming::Unknown,
                _ => Naming::Whole,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn is_servers_own(message: &str) -> bool {
    SERVERS_OWN
        .iter()
        .any(|schema| message.contains(&format!("'{}.", String::from_utf8_lossy(schema))))
}

/// A sequence is a table to the server and an expression in the tree.
struct Sequences<'a> {
    src: &'a [u8],
    edits: &'a mut Edits,
}

impl Visitor for Sequences<'_> {
    fn expr(&mut self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::SequenceValue { name, .. } => self.edits.replace(name.span, b"there.numbers"),
            ExprKind::Func(call) => {
                let function = call.name.name(self.src).to_ascii_lowercase();
                let sequence = matches!(function.as_slice(), b"nextval" | b"lastval" | b"setval");
                if let (true, Some(ExprKind::Column(name))) =
                    (sequence, call.args.first().map(|first| &first.kind))
                {
                    self.edits.replace(name.span(), b"there.numbers");
                }
            }
            _ => {}
        }
        true
    }
}

fn turned(src: &[u8], parsed: &Parsed) -> Vec<u8> {
    let mut edits = Edits::new();
    for_each_table(&parsed.stmt, src, |site| {
        let own = site.name.schema.is_some_and(|schema| {
            let schema = schema.name(src).to_ascii_lowercase();
            SERVERS_OWN.contains(&schema.as_slice())
        });
        if site.is_cte || own || site.usage == TableUse::DeleteTarget {
            return;
        }
        let mut text = THERE.to_vec();
        let takes_alias = matches!(site.usage, TableUse::Read | TableUse::Update) && site.depth > 0
            || site.usage == TableUse::Update;
        if takes_alias && site.alias.is_none() {
            text.extend_from_slice(b" AS ");
            text.extend_from_slice(site.name.name.raw(src));
        }
        edits.replace(site.name.span, &text);
    });
    walk_statement(&parsed.stmt, &mut Sequences { src, edits: &mut edits });
    let mut text = Vec::new();
    edits.apply(src, &mut text);
    let (start, end) =
        (parsed.text.start as usize, text.len() - (src.len() - parsed.text.end as usize));
    text.truncate(end);
    text.drain(..start);
    text
}

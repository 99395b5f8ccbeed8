//! What a statement changes of its session on the connection that it runs on: user variables that it
//! assigns, LAST_INSERT_ID(expr). Such a statement runs at one
//! place, and afterwards these are read back from there.

use crate::plan::Uses;
use sql_syntax::ast::{IntoKind, Parsed, Query, Statement};
use sql_syntax::text::user_var_name;
use sql_syntax::{TokenBuf, TokenKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is to be read back after the statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// User variables that it may assign, in lower case.
    pub variables: Vec<String>,
    /// LAST_INSERT_ID(): it calls the function with an argument.
    pub insert_id: bool,
    /// A routine runs, whose text is not looked at: whatever variables the connection has.
    pub of_routine: bool,
}

/// What a statement changes; `None` for nearly all.
pub(crate) fn of(
    parsed: &Parsed,
    src: &[u8],
    tokens: &TokenBuf,
    uses: Uses,
) -> Option<Arc<ReadBack>> {
    if !uses.user_variables && !uses.connection_state && !uses.stored_functions {
        return None;
    }
    let read_back = ReadBack {
        variables: assigned(&parsed.stmt, src, tokens),
        insert_id: uses.connection_state && sets_insert_id(src, tokens),
        of_routine: uses.stored_functions,
    };
    (read_back != ReadBack::default()).then(|| Arc::new(read_back))
}

/// INTO of a query, wherever it stands, names variables.
pub(crate) fn into_variables(query: &Query) -> bool {
    query.select_into().is_some_and(|into| matches!(into.kind, IntoKind::Vars(_)))
}

/// The user variables that a statement assigns.
fn assigned(statement: &Statement, src: &[u8], tokens: &TokenBuf) -> Vec<String> {
    let mut names = BTreeSet::new();
    let name = |token: u32| {
        String::from_utf8_lossy(&user_var_name(tokens.bytes(src, token))).to_lowercase()
    };
    let all = tokens.tokens();
    for (at, token) in all.iter().enumerate() {
        let assigns = all.get(at + 1).is_some_and(|next| next.kind == TokenKind::Assign);
        if token.kind == TokenKind::UserVar && assigns {
            names.insert(name(at as u32));
        }
    }
    if let Statement::Query(query) = statement
        && let Some(IntoKind::Vars(targets)) = query.select_into().map(|into| &into.kind)
    {
        names.extend(targets.iter().map(|token| name(*token)));
    }
    names.into_iter().collect()
}

/// Whether LAST_INSERT_ID is called with an argument.
fn sets_insert_id(src: &[u8], tokens: &TokenBuf) -> bool {
    let all = tokens.tokens();
    all.iter().enumerate().any(|(at, token)| {
        let kind = |ahead: usize| all.get(at + ahead).map(|token| token.kind);
        token.span().of(src).eq_ignore_ascii_case(b"last_insert_id")
            && kind(1) == Some(TokenKind::LParen)
            && kind(2) != Some(TokenKind::RParen)
    })
}

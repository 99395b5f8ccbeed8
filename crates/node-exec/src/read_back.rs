//! After a statement that assigns user variables or sets LAST_INSERT_ID(): what the connection has of
//! them now becomes the session's, with types and collations, so that any other connection gets the
//! same by the session's state. After one that runs a routine the data node is asked which there are:
//! what is not brought back would be the next session's.

use crate::error::ExecError;
use crate::exec::ExecSession;
use base::sql_error;
use mysql_wire::column::{ColumnDefinition, ColumnFlags, ColumnType};
use node_backend::BackendError;
use node_backend::connection::Connection;
use node_backend::query::{QueryResult, Row};
use node_backend::session_state::SessionState;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use sql_plan::read_back::ReadBack;

/// User variables of one session.
const USER_VARIABLES_MAX: usize = 1000;

/// One user variable's value, as SQL text.
const USER_VARIABLE_BYTES_MAX: usize = 1024 * 1024;

/// Fields that are asked of each variable: its value, its bytes, its collation.
const FIELDS: usize = 3;

/// A data node without the table [`variables_of`] asks.
const UNKNOWN_TABLE: u16 = 1109;

/// Reads back what the present statement changed, after it ran on this connection. Of a statement
/// that failed too: a server keeps what was assigned before the error.
pub async fn run(session: &mut ExecSession, connection: &mut Connection) -> Result<(), ExecError> {
    let Some(read_back) = session.read_back.clone() else { return Ok(()) };
    if connection.is_broken() {
        return Ok(());
    }
    let variables = match read_back.of_routine {
        true => variables_of(&session.state, &read_back, connection).await?,
        false => read_back.variables.clone(),
    };
    if variables.is_empty() && !read_back.insert_id {
        return Ok(());
    }
    let mut items = vec!["LAST_INSERT_ID()".to_owned()];
    for name in &variables {
        let name = quoted(name);
        items.push(format!("{name},HEX({name}),COLLATION({name})"));
    }
    let ask = format!("SELECT {} LIMIT 1", items.join(","));
    let QueryResult::Rows(set) = connection.query(ask.as_bytes()).await? else { return Ok(()) };
    let Some(row) = set.rows.first() else { return Ok(()) };
    if read_back.insert_id {
        session.last.insert_id = number(row, 0);
    }
    if variables.is_empty() {
        return Ok(());
    }
    let mut state = (*session.state).clone();
    for (at, name) in variables.iter().enumerate() {
        let first = 1 + FIELDS * at;
        let Some(column) = set.columns.get(first) else { break };
        let value = literal(row, first, column);
        session.assigned.push((name.clone(), value.clone()));
        state = with_user_variable(state, name, value)?;
    }
    let state = Arc::new(state);
    if connection.session_matches(&session.state) {
        connection.assume_session(state.clone());
    }
    session.state = state;
    Ok(())
}

/// Variables that a routine may have assigned: those that have a value now, and those that had one.
/// A connection also has those of sessions before, which were made NULL for this one.
async fn variables_of(
    state: &SessionState,
    read_back: &ReadBack,
    connection: &mut Connection,
) -> Result<Vec<String>, ExecError> {
    let ask = format!(
        "SELECT LOWER(VARIABLE_NAME) FROM information_schema.USER_VARIABLES \
         WHERE VARIABLE_VALUE IS NOT NULL LIMIT {}",
        USER_VARIABLES_MAX + 1
    );
    let had = state.settings().filter_map(|(name, _)| unquoted(name));
    let mut names: BTreeSet<String> = had.chain(read_back.variables.iter().cloned()).collect();
    match connection.query(ask.as_bytes()).await {
        Ok(answer) => names.extend(answer.into_rows().iter().filter_map(|row| row.text(0))),
        Err(BackendError::Server(error)) if error.number == UNKNOWN_TABLE => {
            tracing::warn!("a data node does not tell user variables: a routine's are not kept");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(names.into_iter().collect())
}

/// At the end of a statement: what it assigned is the session's, whatever settings it ran under.
pub fn keep(session: &mut ExecSession) -> Result<(), ExecError> {
    session.read_back = None;
    let mut state = (*session.state).clone();
    for (name, value) in std::mem::take(&mut session.assigned) {
        state = with_user_variable(state, &name, value)?;
    }
    if !state.same_settings(&session.state) {
        session.state = Arc::new(state);
    }
    Ok(())
}

fn number(row: &Row, at: usize) -> u64 {
    row.text(at).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn quoted(name: &str) -> String {
    format!("@`{}`", name.replace('`', "``"))
}

/// The variable's name, of a setting that is one.
fn unquoted(setting: &str) -> Option<String> {
    let inner = setting.strip_prefix("@`")?.strip_suffix('`')?;
    Some(inner.replace("``", "`"))
}

/// The session's state with a user variable.
pub fn with_user_variable(
    state: SessionState,
    name: &str,
    value: String,
) -> Result<SessionState, ExecError> {
    let count = state.settings().filter(|(name, _)| name.starts_with('@')).count();
    if count >= USER_VARIABLES_MAX || value.len() > USER_VARIABLE_BYTES_MAX {
        return Err(crate::error::sql(
            sql_error::NOT_SUPPORTED,
            format!(
                "more than {USER_VARIABLES_MAX} user variables, or one longer than \
                 {USER_VARIABLE_BYTES_MAX} bytes"
            ),
        ));
    }
    Ok(state.with(&quoted(name), value))
}

/// A variable's value as SQL that gives the same type, sign, scale and collation again.
fn literal(row: &Row, at: usize, column: &ColumnDefinition) -> String {
    use ColumnType as T;
    let Some(text) = row.text(at) else {
        return typed_null(column, &row.text(at + 2).unwrap_or_default());
    };
    match column.column_type {
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong
            if column.flags.contains(ColumnFlags::UNSIGNED) =>
        {
            format!("CAST({text} AS UNSIGNED)")
        }
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong => text,
        T::Decimal | T::NewDecimal if !text.contains('.') => format!("{text}."),
        T::Decimal | T::NewDecimal => text,
        T::Float | T::Double if !text.contains(['e', 'E']) => format!("{text}e0"),
        T::Float | T::Double => text,
        _ => {
            let hex = row.text(at + 1).unwrap_or_default();
            let collation = row.text(at + 2).unwrap_or_default();
            match collation.split('_').next() {
                None | Some("binary" | "") => format!("X'{hex}'"),
                Some(charset) => format!("_{charset} X'{hex}' COLLATE {collation}"),
            }
        }
    }
}

/// NULL of a variable's type: a plain one would leave the type that a connection's variable had.
fn typed_null(column: &ColumnDefinition, collation: &str) -> String {
    use ColumnType as T;
    let null = match column.column_type {
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong
            if column.flags.contains(ColumnFlags::UNSIGNED) =>
        {
            "CAST(NULL AS UNSIGNED)"
        }
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong => "CAST(NULL AS SIGNED)",
        T::Decimal | T::NewDecimal => "CAST(NULL AS DECIMAL(65,0))",
        T::Float | T::Double => "(NULL+0e0)",
        _ => match collation.split('_').next() {
            None | Some("binary" | "") => "NULLIF(X'',X'')",
            Some(charset) => {
                let empty = format!("_{charset} X'' COLLATE {collation}");
                return format!("NULLIF({empty},{empty})");
            }
        },
    };
    null.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mysql_wire::row::put_text_field;

    fn row(fields: [Option<&str>; 3]) -> Row {
        let mut payload = Vec::new();
        fields.iter().for_each(|field| put_text_field(&mut payload, field.map(str::as_bytes)));
        Row::new(Bytes::from(payload))
    }

    #[test]
    fn values_keep_type_sign_scale_and_collation() {
        let column = |kind| ColumnDefinition::expression("@a", kind, 63, 20);
        let mut unsigned = column(ColumnType::LongLong);
        unsigned.flags.insert(ColumnFlags::UNSIGNED);
        let text = column(ColumnType::LongBlob);
        for (fields, column, wanted) in [
            ([Some("-5"), None, None], &column(ColumnType::LongLong), "-5"),
            ([Some("5"), None, None], &unsigned, "CAST(5 AS UNSIGNED)"),
            ([Some("5"), None, None], &column(ColumnType::NewDecimal), "5."),
            ([Some("5.10"), None, None], &column(ColumnType::NewDecimal), "5.10"),
            ([Some("5"), None, None], &column(ColumnType::Double), "5e0"),
            ([Some("1e20"), None, None], &column(ColumnType::Double), "1e20"),
            ([Some("a"), Some("61"), Some("binary")], &text, "X'61'"),
            (
                [Some("a"), Some("61"), Some("latin1_german1_ci")],
                &text,
                "_latin1 X'61' COLLATE latin1_german1_ci",
            ),
            ([None, None, Some("binary")], &text, "NULLIF(X'',X'')"),
            (
                [None, None, Some("latin1_bin")],
                &text,
                "NULLIF(_latin1 X'' COLLATE latin1_bin,_latin1 X'' COLLATE latin1_bin)",
            ),
            ([None, None, None], &unsigned, "CAST(NULL AS UNSIGNED)"),
        ] {
            assert_eq!(literal(&row(fields), 0, column), wanted);
        }
    }
}

//! What a statement changed of its session, told in its OK packet to clients that asked for
//! SESSION_TRACK: the schema, the variables that `session_track_system_variables` names, and that
//! anything changed at all.

use crate::session::Core;
use crate::transaction_tracking::TransactionTracker;
use mysql_wire::capability::Capabilities;
use mysql_wire::session_track::{SessionChange, put_session_track};
use node_backend::connection::Connection;
use node_backend::query::QueryResult;
use node_exec::error::ExecError;

/// What is tracked where the session says nothing else.
const USUAL: [&str; 5] = [
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "time_zone",
];

/// Changes that wait to be told; a client hears of them with the next OK.
const CHANGES_MAX: usize = 64;

/// What the next OK packet tells.
#[derive(Debug, Default)]
pub struct Tracking {
    variables: Vec<(String, Vec<u8>)>,
    schema: bool,
    state: bool,
    /// What is told of transactions, where that is asked for.
    pub transaction: Option<Box<TransactionTracker>>,
    /// What of it had been told before the present statement.
    pub before: Option<([u8; 8], bool)>,
}

impl Core {
    pub(crate) fn tracks_session(&self) -> bool {
        self.capabilities.contains(Capabilities::SESSION_TRACK)
    }

    /// Whether the client is told of changes of a variable.
    pub fn tracks_variable(&self, name: &str) -> bool {
        if !self.tracks_session() {
            return false;
        }
        match self.exec.state.get("session_track_system_variables") {
            None => USUAL.contains(&name),
            Some(list) => {
                let mut names = list.trim_matches('\'').split(',').map(str::trim);
                names.any(|one| one == "*" || one.eq_ignore_ascii_case(name))
            }
        }
    }

    /// A variable was given a value, which is shown as text.
    pub fn track_variable(&mut self, name: &str, value: Vec<u8>) {
        if !self.tracks_variable(name) {
            return;
        }
        let variables = &mut self.tracking.variables;
        variables.retain(|(known, _)| known != name);
        if variables.len() < CHANGES_MAX {
            variables.push((name.to_owned(), value));
        }
    }

    /// A schema was chosen.
    pub fn track_schema(&mut self) {
        self.tracking.schema = true;
        self.tracking.state = true;
    }

    /// Something of the session changed.
    pub fn track_state(&mut self) {
        self.tracking.state = true;
    }

    /// What the next OK packet tells.
    pub fn take_tracked(&mut self) -> Vec<u8> {
        let mut packed = Vec::new();
        if !self.tracks_session() {
            return packed;
        }
        let variables = std::mem::take(&mut self.tracking.variables);
        let schema = std::mem::take(&mut self.tracking.schema);
        let state = std::mem::take(&mut self.tracking.state);
        self.track_implicit_end();
        let is_on = |name: &str, usual: bool| match self.exec.state.get(name) {
            None => usual,
            Some(value) => value.trim_matches('\'') == "1",
        };
        let mut changes: Vec<SessionChange> = variables
            .into_iter()
            .map(|(name, value)| SessionChange::Variable { name: name.into_bytes(), value })
            .collect();
        if schema && is_on("session_track_schema", true) {
            let name = self.exec.identity.schema.clone().unwrap_or_default();
            changes.push(SessionChange::Schema(name.into_bytes()));
        }
        if state && is_on("session_track_state_change", false) {
            changes.push(SessionChange::StateChanged(true));
        }
        if let Some(transaction) = &mut self.tracking.transaction {
            transaction.take(&mut changes);
        }
        put_session_track(&changes, &mut packed);
        packed
    }
}

/// A variable's value as SHOW VARIABLES has it on a connection; other than as a literal, booleans are
/// words there.
pub async fn shown_value(connection: &mut Connection, name: &str) -> Result<Vec<u8>, ExecError> {
    let ask = format!("SHOW SESSION VARIABLES LIKE '{}'", name.replace('_', "\\_"));
    let QueryResult::Rows(set) = connection.query(ask.as_bytes()).await? else {
        return Ok(Vec::new());
    };
    Ok(set.rows.first().and_then(|row| row.get(1)).unwrap_or_default().to_vec())
}

/// The text of a literal.
pub fn plain_value(literal: &str) -> Vec<u8> {
    match literal {
        "NULL" => Vec::new(),
        literal => literal.trim_matches('\'').replace("''", "'").into_bytes(),
    }
}

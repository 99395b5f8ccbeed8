//! Two statements that change the definition of one table at a time: on a server the second one waits
//! for a metadata lock, and then finds what the first one has left. Here the second one is refused before
//! it has changed anything; it is planned anew, by the definitions of then, until the first one is done.

use super::precheck::Patience;
use crate::error::ExecError;
use crate::exec::{Exec, Statement};
use base::sql_error::{self, SqlErrorCode};
use std::time::Duration;

/// No statement waits longer for another one: a change of a large table's definition or placement may
/// take hours.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Nor for a newer definition that is in force already: nodes that do not hear of it are fenced sooner.
const NEWS_MAX: Duration = Duration::from_secs(5);

/// Why the control plane lets no statement begin whose plan is older than the definitions: a table is
/// being changed, has come to be, or has gone.
const OUTRUN: [SqlErrorCode; 4] = [
    sql_error::DDL_CONFLICT,
    sql_error::TABLE_EXISTS,
    sql_error::UNKNOWN_TABLE,
    sql_error::NO_SUCH_TABLE,
];

/// How long a statement that could not begin waits for others; nothing if it does not.
pub fn patience(exec: &Exec<'_>, statement: &Statement<'_>, error: &ExecError) -> Option<Duration> {
    let ExecError::Sql(error) = error else { return None };
    // The other one may wait for a table that is locked here.
    if !OUTRUN.contains(&error.code) || exec.session.tables_locked {
        return None;
    }
    let asked = Patience::of(exec, statement).asked;
    let most = if error.code == sql_error::DDL_CONFLICT { WAIT_MAX } else { NEWS_MAX };
    Some(asked.map_or(most, |asked| asked.min(most)))
}

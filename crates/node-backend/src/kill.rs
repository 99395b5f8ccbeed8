//! KILL, over a connection of its own: the one that is to be killed is busy, and the pool may be
//! at its limit just when killing matters.

use crate::connection::Connection;
use crate::error::BackendError;
use crate::options::ConnectOptions;

/// "No such thread": it ended by itself.
const NO_SUCH_THREAD: u16 = 1094;

/// What to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillTarget {
    /// The running statement.
    Query,
    /// The connection.
    Connection,
}

/// Ends a statement or connection on a data node. That it ended by itself before is no error.
pub async fn kill(
    options: &ConnectOptions,
    thread_id: u32,
    target: KillTarget,
) -> Result<(), BackendError> {
    let mut connection = Connection::connect(options).await?;
    let what = match target {
        KillTarget::Query => "QUERY",
        KillTarget::Connection => "CONNECTION",
    };
    match connection.execute_sql(format!("KILL {what} {thread_id}").as_bytes()).await {
        Err(BackendError::Server(error)) if error.number == NO_SUCH_THREAD => Ok(()),
        result => result.map(|_| ()),
    }
}

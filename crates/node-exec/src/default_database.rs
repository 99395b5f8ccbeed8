//! A current database for statements that cannot do without: a DELETE that names its targets by
//! aliases is refused by a data node (1046) while its connection has none, though every table of it
//! is qualified. Which database it is makes no difference, so it is our own.

use crate::decision::OWN_DATABASE;
use crate::error::ExecError;
use base::sql_error;
use node_backend::Connection;

/// Gives the connection a current database unless it has one.
pub(crate) async fn give_database(connection: &mut Connection) -> Result<(), ExecError> {
    if connection.database().is_some() {
        return Ok(());
    }
    let Err(error) = connection.init_db(OWN_DATABASE).await else { return Ok(()) };
    if error.server().is_none_or(|server| server.number != sql_error::UNKNOWN_DB.number) {
        return Err(error.into());
    }
    let create = format!("CREATE DATABASE IF NOT EXISTS `{OWN_DATABASE}`");
    connection.execute_sql(create.as_bytes()).await?;
    Ok(connection.init_db(OWN_DATABASE).await?)
}

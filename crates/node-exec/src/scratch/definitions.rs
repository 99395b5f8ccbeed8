//! Definitions of results while the session has table locks: another connection would wait for them,
//! so the session's own makes each table once and tells how it is defined.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use crate::exec::Exec;
use base::sql_error;
use node_backend::Connection;
use std::rc::Rc;

/// What a server's words for a temporary table begin with.
const HEAD: &[u8] = b"CREATE TEMPORARY TABLE ";

/// The text that makes the table `name` as `create` does, without a look at other tables.
pub(super) async fn under_locks(
    exec: &mut Exec<'_>,
    node: &Rc<BackendNode>,
    name: &[u8],
    create: &[u8],
) -> Result<Vec<u8>, ExecError> {
    let mut own = exec.acquire(node, false).await?;
    let shown = definition(&mut own.lease, name, create).await;
    exec.release(own);
    let shown = shown?;
    let columns = shown.strip_prefix(HEAD).and_then(|rest| {
        let from = rest.iter().position(|byte| *byte == b'(')?;
        rest.get(from..)
    });
    let columns = columns.ok_or_else(|| {
        sql(sql_error::UNKNOWN_ERROR, "a data node does not tell how a temporary table is defined")
    })?;
    Ok([HEAD, name, b" ", columns].concat())
}

async fn definition(
    connection: &mut Connection,
    name: &[u8],
    create: &[u8],
) -> Result<Vec<u8>, ExecError> {
    connection.execute_sql(create).await?;
    let rows = connection.query(&[b"SHOW CREATE TABLE ".as_slice(), name].concat()).await;
    connection.execute_sql(&[b"DROP TEMPORARY TABLE ".as_slice(), name].concat()).await?;
    let rows = rows?.into_rows();
    Ok(rows.first().and_then(|row| row.get(1)).unwrap_or_default().to_vec())
}

//! Statements over parts of groups: their columns are those of the statement itself, which a server
//! tells over no rows, and the answer must be of just these types.

use super::HOME;
use super::load::Loader;
use crate::error::ExecError;
use crate::exec::Exec;
use crate::transaction::Held;
use mysql_wire::column::{ColumnDefinition, ColumnFlags};
use node_backend::query::StreamHead;

/// The columns of the statement itself.
pub(super) enum Own {
    /// It does not run over parts of groups.
    NotAsked,
    /// These, with physical names.
    Columns(Vec<ColumnDefinition>),
    /// A server does not take it.
    Failed,
}

/// Asks for the columns of a statement over parts of groups.
pub(super) async fn columns(
    exec: &Exec<'_>,
    held: &mut Held,
    loader: &Loader<'_>,
) -> Result<Own, ExecError> {
    let Some(groups) = &loader.scratch.groups else { return Ok(Own::NotAsked) };
    let text = exec.render(&groups.columns, loader.at_shards, HOME, loader.statement)?;
    let columns = match held.lease.query_stream(&text).await.map_err(ExecError::from) {
        Ok(StreamHead::Rows(columns)) => columns.to_vec(),
        Ok(_) | Err(ExecError::Server(_)) => return Ok(Own::Failed),
        Err(error) => return Err(error),
    };
    while held.lease.next_row().await?.is_some() {}
    Ok(Own::Columns(columns))
}

/// Whether values of these columns are the values of those.
pub(super) fn are_the_same(own: &[ColumnDefinition], seen: &[ColumnDefinition]) -> bool {
    let same = |(own, seen): (&ColumnDefinition, &ColumnDefinition)| {
        let alike = |flag| own.flags.contains(flag) == seen.flags.contains(flag);
        own.column_type == seen.column_type
            && own.decimals == seen.decimals
            && own.collation == seen.collation
            && alike(ColumnFlags::UNSIGNED)
            && alike(ColumnFlags::ZEROFILL)
    };
    own.len() == seen.len() && own.iter().zip(seen).all(same)
}

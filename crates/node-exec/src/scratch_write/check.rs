//! WITH CHECK OPTION of a view over sharded tables, looked at where the rows are all together: those
//! that a statement made, or those that it changed, must still be rows of the view.

use super::bench::Bench;
use crate::error::ExecError;
use mysql_wire::packet::ErrPacket;
use sql_plan::view::check::{CheckOption, ROW};

/// The number of a server's error about such a row.
const CHECK_FAILED: u16 = 1369;

/// How many rows of the temporary table are none of the view.
pub(crate) async fn outside(
    bench: &mut Bench,
    number: usize,
    check: Option<&CheckOption>,
) -> Result<u64, ExecError> {
    let Some(check) = check else { return Ok(0) };
    let head = format!("SELECT COUNT(*) FROM {} AS `{ROW}` WHERE (", bench.name(number));
    let ask = [head.as_bytes(), &check.condition, b") IS NOT TRUE"].concat();
    bench.count(&ask).await
}

/// An error when more rows than before are none of the view: what a statement changes was one.
pub(crate) async fn hold(
    bench: &mut Bench,
    number: usize,
    check: Option<&CheckOption>,
    before: u64,
) -> Result<(), ExecError> {
    let Some(of) = check else { return Ok(()) };
    if outside(bench, number, check).await? <= before {
        return Ok(());
    }
    let text = format!("CHECK OPTION failed `{}`.`{}`", of.schema, of.view);
    Err(ExecError::Server(ErrPacket::new(CHECK_FAILED, "44000", text)))
}

//! EXPLAIN ANALYZE (and MariaDB's ANALYZE): the statement runs, its answer is thrown away, and the plan
//! is shown with the rows and times of its parts and of each shard. What it writes is written.

use crate::permission;
use crate::query::{Source, values_of};
use crate::session::Core;
use base::sql_error;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Statement;
use node_exec::trace::{Trace, milliseconds};
use sql_plan::plan::{Plan, Planned, RowKind};
use std::time::Instant;

impl Core {
    /// The lines of EXPLAIN ANALYZE.
    pub(crate) async fn analyze(
        &mut self,
        planned: &Planned,
        source: Source<'_>,
    ) -> Result<Vec<String>, ExecError> {
        let reads = match &planned.plan {
            Plan::Routed(routed) => routed.kind == RowKind::Read,
            Plan::Insert(_) | Plan::InsertSelect(_) | Plan::ScratchInsert(_) => false,
            Plan::Load(_) | Plan::Ddl(_) | Plan::Placement(_) | Plan::Session => {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "EXPLAIN ANALYZE is for queries and changes of rows; EXPLAIN shows the plan of others",
                ));
            }
        };
        permission::check(self.account()?, &self.host, &planned.access)?;
        self.before_planned(planned, source).await?;
        let values = values_of(source);
        let mut lines = planned.explain(&values)?;
        let statement = Statement { planned, values, input: None };
        self.exec.trace = Some(Trace::default());
        let begun = Instant::now();
        let outcome = node_exec::collect::statement(&mut self.exec(), &statement).await;
        let time = milliseconds(begun.elapsed());
        let trace = self.exec.trace.take().unwrap_or_default();
        let returned = outcome?.records.len();
        let rows = match u64::try_from(self.exec.last.row_count) {
            Ok(affected) if !reads && returned == 0 => affected,
            _ => returned as u64,
        };
        lines.push(format!("Total (rows={rows}, time={time} ms)"));
        lines.extend(trace.into_lines().into_iter().map(|line| format!("  {line}")));
        Ok(lines)
    }
}

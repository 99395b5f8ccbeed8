//! EXPLAIN ANALYZE (and MariaDB's ANALYZE): the query runs, its rows are thrown away, and the plan is
//! shown with the rows and times of its parts and of each shard.

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
        let routed = match &planned.plan {
            Plan::Routed(routed) if routed.kind == RowKind::Read => routed,
            _ => {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "EXPLAIN ANALYZE is for queries on tables; EXPLAIN shows the plan of others",
                ));
            }
        };
        let values = values_of(source);
        let mut lines = planned.explain(&values)?;
        let statement = Statement { planned, values, input: None };
        self.exec.trace = Some(Trace::default());
        let begun = Instant::now();
        let outcome = node_exec::collect::query(&mut self.exec(), routed, &statement).await;
        let time = milliseconds(begun.elapsed());
        let trace = self.exec.trace.take().unwrap_or_default();
        let rows = outcome?.records.len();
        lines.push(format!("Total (rows={rows}, time={time} ms)"));
        lines.extend(trace.into_lines().into_iter().map(|line| format!("  {line}")));
        Ok(lines)
    }
}

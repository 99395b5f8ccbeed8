//! SHOW RECYCLEBIN: what was dropped and is still kept, the last dropped first.

use crate::control::text;
use crate::like;
use crate::permission;
use crate::query::{Source, fetch};
use crate::session::Core;
use crate::show::{Row, field};
use node_exec::error::ExecError;
use node_exec::rows::text_column;
use sql_syntax::ast::Show;
use topology::model::{Placement, Table};
use topology::recycle::Recycled;

const MILLISECONDS: i64 = 1_000;

impl Core {
    /// SHOW RECYCLEBIN \[FROM schema\] \[LIKE …\]
    pub async fn show_recycle_bin(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let pattern = self.pattern(show, source)?;
        let schema = self.schema_of(show.schema, source)?;
        let account = self.account()?;
        let mut kept: Vec<(Table, Recycled)> = schema
            .recycled
            .values()
            .filter_map(|table| Some((table.clone(), table.recycled.as_deref()?.clone())))
            .filter(|(_, kept)| permission::sees_table(account, &schema.name, &kept.name))
            .filter(|(_, kept)| {
                pattern.as_ref().is_none_or(|pattern| like::matches(pattern, &kept.name))
            })
            .collect();
        kept.sort_by_key(|(_, kept)| (-kept.dropped_ms, kept.name.clone()));
        let times = self.local_times(&kept).await?;
        let rows: Vec<Row> = kept
            .iter()
            .zip(times.chunks(2))
            .map(|((table, kept), times)| {
                let mut row = vec![field(&table.name), field(&kept.name), field(kind(table))];
                row.extend(times.iter().cloned());
                row
            })
            .collect();
        let columns = ["RECYCLED_NAME", "TABLE_NAME", "KIND", "DROPPED_AT", "KEPT_UNTIL"];
        self.reply(&columns.map(text_column), &rows).await
    }

    /// When each was dropped and until when it is kept, in the session's time zone.
    async fn local_times(&mut self, kept: &[(Table, Recycled)]) -> Result<Row, ExecError> {
        if kept.is_empty() {
            return Ok(Row::new());
        }
        let moments = kept.iter().flat_map(|(_, kept)| [kept.dropped_ms, kept.kept_until_ms()]);
        let moments: Vec<String> =
            moments.map(|moment| format!("FROM_UNIXTIME({})", moment / MILLISECONDS)).collect();
        let ask = format!("SELECT {}", moments.join(", "));
        let (_, records) = fetch(self, ask.as_bytes()).await?;
        let Some(record) = records.first() else { return Ok(Row::new()) };
        Ok((0..moments.len())
            .map(|at| record.get(at).and_then(|value| field(text(value))))
            .collect())
    }
}

fn kind(table: &Table) -> &'static str {
    match table.placement {
        Placement::Single => "SINGLE",
        Placement::Broadcast => "BROADCAST",
        Placement::Sharded(_) => "SHARDED",
    }
}

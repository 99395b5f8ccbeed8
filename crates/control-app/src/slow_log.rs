//! The slow log: nodes report, the store of slow statements keeps, the API asks. An instance can be
//! asked in every status.

use crate::app::App;
use crate::error::AppError;
use crate::time::text;
use base::api_error::ApiError;
use base::id::{InstanceId, NodeId, ProjectId};
use control_api::slow_log::{
    AnalyseSlowLogResponse, ListSlowLogsResponse, ShowSlowLogResponse, SlowLogRow, SlowLogV3Row,
    SlowLogWindow, SlowTemplate,
};
use control_store::slow_log::{Found, KEPT_MS, Logged, TemplateOrder, Window};
use topology::slow_query::SlowQuery;

impl App {
    /// Keeps what a node reports; the greatest number of it.
    pub async fn keep_slow_queries(
        &self,
        instance: &InstanceId,
        node: &NodeId,
        queries: Vec<SlowQuery>,
    ) -> Result<u64, AppError> {
        let up_to = queries.iter().map(|query| query.number).max().unwrap_or(0);
        let inserted = self.slow_log.insert(instance, node, queries).await?;
        if inserted.evicted > 0 {
            tracing::info!(%instance, evicted = inserted.evicted, "the slow log is full; the oldest statements went");
        }
        Ok(up_to)
    }

    /// Forgets what is too old; how many statements that were.
    pub async fn purge_slow_log(&self, now_ms: i64) -> Result<u64, AppError> {
        Ok(self.slow_log.purge(now_ms - KEPT_MS).await?)
    }

    /// `GET /v2/{project_id}/instances/{instance_id}/slowlog`
    pub async fn show_slow_log(
        &self,
        project: &ProjectId,
        id: &str,
        window: SlowLogWindow,
    ) -> Result<ShowSlowLogResponse, ApiError> {
        let found = self.slow_queries(project, id, window).await?;
        let rows = found.rows.into_iter().map(row_v3).map(|row| SlowLogRow {
            users: row.users,
            database: row.database,
            query_sample: row.query_sample,
            log_time: row.log_time,
            time: row.time,
            shards: row.shards,
            rows_examined: row.rows_examined,
            host: row.host,
        });
        Ok(ShowSlowLogResponse { total_record: found.total, slow_log_list: rows.collect() })
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/slow-logs`
    pub async fn list_slow_logs(
        &self,
        project: &ProjectId,
        id: &str,
        window: SlowLogWindow,
    ) -> Result<ListSlowLogsResponse, ApiError> {
        let found = self.slow_queries(project, id, window).await?;
        Ok(ListSlowLogsResponse {
            total_record: found.total,
            slow_log_list: found.rows.into_iter().map(row_v3).collect(),
        })
    }

    async fn slow_queries(
        &self,
        project: &ProjectId,
        id: &str,
        window: SlowLogWindow,
    ) -> Result<Found<Logged>, ApiError> {
        let instance = self.instance(project, id).await?.value.id;
        Ok(self.slow_log.list(window_of(instance, window)).await.map_err(AppError::from)?)
    }

    /// `GET /v3/{project_id}/instances/{instance_id}/slow-log-analysis`
    pub async fn analyse_slow_log(
        &self,
        project: &ProjectId,
        id: &str,
        window: SlowLogWindow,
        order: &str,
    ) -> Result<AnalyseSlowLogResponse, ApiError> {
        let instance = self.instance(project, id).await?.value.id;
        let ascending = order.starts_with("asc_");
        let order = template_order(order.trim_start_matches("asc_"))?;
        let found = self.slow_log.templates(window_of(instance, window), order, ascending).await;
        let found = found.map_err(AppError::from)?;
        let rows = found.rows.into_iter().map(|template| SlowTemplate {
            avg_time: average(template.time_sum, template.times),
            avg_rows_examined: average(template.rows_sum, template.times),
            query_sample: template.sample,
            database: template.schema,
            execute_times: template.times,
            max_time: template.time_max,
            cost_time_sum: template.time_sum,
            rows_examined_sum: template.rows_sum,
            max_rows_examined: template.rows_max,
        });
        Ok(AnalyseSlowLogResponse { total: found.total, slow_log_list: rows.collect() })
    }
}

fn window_of(instance: InstanceId, asked: SlowLogWindow) -> Window {
    let SlowLogWindow { from_ms, to_ms, offset, limit } = asked;
    Window { instance, from_ms, to_ms, offset, limit }
}

fn template_order(name: &str) -> Result<TemplateOrder, AppError> {
    Ok(match name {
        "execute_times" => TemplateOrder::Times,
        "cost_time_sum" => TemplateOrder::TimeSum,
        "avg_time" => TemplateOrder::TimeAverage,
        "max_time" => TemplateOrder::TimeMax,
        "rows_examined_sum" => TemplateOrder::RowsSum,
        "avg_rows_examined" => TemplateOrder::RowsAverage,
        "max_rows_examined" => TemplateOrder::RowsMax,
        other => return Err(AppError::Broken(format!("no templates are ordered by {other}"))),
    })
}

fn average(sum: u64, times: u64) -> f64 {
    sum as f64 / times.max(1) as f64
}

fn row_v3(logged: Logged) -> SlowLogV3Row {
    let query = logged.query;
    SlowLogV3Row {
        users: query.user,
        database: query.schema,
        query_sample: query.text,
        log_time: text(query.started_ms),
        time: query.milliseconds.to_string(),
        shards: query.shards.join(","),
        node_id: logged.node.to_string(),
        rows_examined: query.rows_examined.to_string(),
        host: query.client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_order_is_known() {
        for order in control_api::slow_log::ORDERS {
            assert!(template_order(order.trim_start_matches("asc_")).is_ok(), "{order}");
        }
    }
}

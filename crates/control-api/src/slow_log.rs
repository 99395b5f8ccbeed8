//! The slow log: statements that took long, one by one (v2, v3) and summed up by template (v3).

use crate::decode::required;
use crate::query::Query;
use base::api_error::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

/// The longest window of one request.
pub const WINDOW_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1_000;

/// The most rows of one page of statements.
pub const LIMIT_MAX: u64 = 100;

/// The most rows of one page of templates.
pub const TEMPLATES_LIMIT_MAX: u64 = 128;

/// Rows of a page when no limit is given.
pub const LIMIT_DEFAULT: u64 = 10;

/// The greatest page number of the v2 call.
pub const PAGE_NUMBER_MAX: u64 = 2_147_483_647;

/// The values of `order`: the answer's fields, the greatest first, or with `asc_` before it the
/// least first.
pub const ORDERS: &[&str] = &[
    "execute_times",
    "cost_time_sum",
    "avg_time",
    "max_time",
    "rows_examined_sum",
    "avg_rows_examined",
    "max_rows_examined",
    "asc_execute_times",
    "asc_cost_time_sum",
    "asc_avg_time",
    "asc_max_time",
    "asc_rows_examined_sum",
    "asc_avg_rows_examined",
    "asc_max_rows_examined",
];

/// Which statements are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowLogWindow {
    /// The first moment, UNIX milliseconds.
    pub from_ms: i64,
    /// The last moment.
    pub to_ms: i64,
    /// Rows to leave out.
    pub offset: u64,
    /// The most rows.
    pub limit: u64,
}

impl SlowLogWindow {
    /// What a v2 request asks for.
    pub fn of_v2(query: &Query) -> Result<Self, ApiError> {
        let page = counted(query, "curPage", PAGE_NUMBER_MAX)?;
        let limit = counted(query, "perPage", LIMIT_MAX)?;
        let (from_ms, to_ms) = times(query, "startDate", "endDate")?;
        Ok(Self { from_ms, to_ms, offset: (page - 1) * limit, limit })
    }

    /// What a v3 request asks for.
    pub fn of_v3(query: &Query, limit_max: u64) -> Result<Self, ApiError> {
        let (from_ms, to_ms) = times(query, "start_date", "end_date")?;
        let offset = u64::try_from(query.integer("offset")?.unwrap_or(0))
            .map_err(|_| ApiError::parameter("offset", "must not be negative", "不能为负数"))?;
        let limit = match query.get("limit") {
            None => LIMIT_DEFAULT,
            Some(_) => counted(query, "limit", limit_max)?,
        };
        Ok(Self { from_ms, to_ms, offset, limit })
    }
}

/// A number from 1 on that must be given.
fn counted(query: &Query, name: &str, max: u64) -> Result<u64, ApiError> {
    let given = query.integer(name)?.ok_or_else(|| required(name))?;
    u64::try_from(given).ok().filter(|number| (1..=max).contains(number)).ok_or_else(|| {
        ApiError::parameter(name, format!("must be from 1 to {max}"), format!("取值范围为1~{max}"))
    })
}

fn times(query: &Query, start: &str, end: &str) -> Result<(i64, i64), ApiError> {
    let time = |name: &str| query.milliseconds(name)?.ok_or_else(|| required(name));
    let (from_ms, to_ms) = (time(start)?, time(end)?);
    if from_ms > to_ms {
        return Err(ApiError::parameter(
            start,
            format!("must not be later than {end}"),
            format!("不能晚于{end}"),
        ));
    }
    if to_ms - from_ms > WINDOW_MS_MAX {
        return Err(ApiError::parameter(
            end,
            format!("must be within 7 days after {start}"),
            format!("与{start}的间隔不能超过7天"),
        ));
    }
    Ok((from_ms, to_ms))
}

/// The order that a request asks for: one of [`ORDERS`].
pub fn order_of(query: &Query) -> Result<&'static str, ApiError> {
    let Some(given) = query.get("order") else { return Ok("cost_time_sum") };
    ORDERS.iter().copied().find(|known| known.eq_ignore_ascii_case(given)).ok_or_else(|| {
        ApiError::parameter(
            "order",
            format!("must be one of {}", ORDERS.join(", ")),
            format!("取值只能为{}", ORDERS.join("、")),
        )
    })
}

/// Answer of the v2 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShowSlowLogResponse {
    /// Statements in all.
    pub total_record: u64,
    /// The page's statements, the newest first.
    pub slow_log_list: Vec<SlowLogRow>,
}

/// A slow statement in the v2 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlowLogRow {
    /// The account.
    pub users: String,
    /// The schema.
    pub database: String,
    /// The text; passwords are masked.
    pub query_sample: String,
    /// When it began.
    pub log_time: String,
    /// How long it took, in milliseconds.
    pub time: String,
    /// Its physical shards.
    pub shards: String,
    /// Rows that it read or changed.
    pub rows_examined: String,
    /// The client's address.
    pub host: String,
}

/// Answer of the v3 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListSlowLogsResponse {
    /// Statements in all.
    pub total_record: u64,
    /// The page's statements, the newest first.
    pub slow_log_list: Vec<SlowLogV3Row>,
}

/// A slow statement in the v3 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SlowLogV3Row {
    /// The account.
    pub users: String,
    /// The schema.
    pub database: String,
    /// The text; passwords are masked.
    pub query_sample: String,
    /// When it began.
    pub log_time: String,
    /// How long it took, in milliseconds.
    pub time: String,
    /// Its physical shards.
    pub shards: String,
    /// The node that ran it.
    pub node_id: String,
    /// Rows that it read or changed.
    pub rows_examined: String,
    /// The client's address.
    pub host: String,
}

/// Answer of the analysis call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnalyseSlowLogResponse {
    /// Templates in all.
    pub total: u64,
    /// The page's templates.
    pub slow_log_list: Vec<SlowTemplate>,
}

/// Statements that differ in their literals alone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SlowTemplate {
    /// The slowest of them; passwords are masked.
    pub query_sample: String,
    /// The schema.
    pub database: String,
    /// How many there were.
    pub execute_times: u64,
    /// Milliseconds on average.
    pub avg_time: f64,
    /// Milliseconds of the slowest.
    pub max_time: u64,
    /// Milliseconds of all.
    pub cost_time_sum: u64,
    /// Rows that all read or changed.
    pub rows_examined_sum: u64,
    /// The same on average.
    pub avg_rows_examined: f64,
    /// The same of the one with the most.
    pub max_rows_examined: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_v2_request_needs_all_four_and_pages_from_one() {
        let good = "curPage=3&perPage=20&startDate=1000&endDate=604801000";
        let expected = SlowLogWindow { from_ms: 1_000, to_ms: 604_801_000, offset: 40, limit: 20 };
        assert_eq!(SlowLogWindow::of_v2(&Query::parse(Some(good))), Ok(expected));
        for (from, to, field) in [
            ("curPage=3", "curPage=0", "curPage"),
            ("curPage=3", "curPage=-1", "curPage"),
            ("curPage=3", "curPage=x", "curPage"),
            ("curPage=3", "", "curPage"),
            ("perPage=20", "perPage=0", "perPage"),
            ("perPage=20", "perPage=101", "perPage"),
            ("&perPage=20", "", "perPage"),
            ("startDate=1000", "startDate=yesterday", "startDate"),
            ("&startDate=1000", "", "startDate"),
            ("startDate=1000", "startDate=604801001", "startDate"),
            ("endDate=604801000", "endDate=604801001", "endDate"),
            ("&endDate=604801000", "&endDate=", "endDate"),
        ] {
            let error =
                SlowLogWindow::of_v2(&Query::parse(Some(&good.replace(from, to)))).unwrap_err();
            assert_eq!(
                (error.code.code, error.field.as_deref()),
                ("DBS.280001", Some(field)),
                "{to}"
            );
        }
    }

    #[test]
    fn a_v3_request_has_defaults_and_an_order() {
        let window = |text: &str| SlowLogWindow::of_v3(&Query::parse(Some(text)), 100);
        let expected = SlowLogWindow { from_ms: 1, to_ms: 2, offset: 0, limit: 10 };
        assert_eq!(window("start_date=1&end_date=2.0"), Ok(expected));
        for (text, field) in [
            ("end_date=2", "start_date"),
            ("start_date=1", "end_date"),
            ("start_date=1&end_date=2&limit=101", "limit"),
            ("start_date=1&end_date=2&limit=0", "limit"),
            ("start_date=1&end_date=2&offset=-1", "offset"),
        ] {
            assert_eq!(window(text).unwrap_err().field.as_deref(), Some(field), "{text}");
        }
        let order = |text: &str| order_of(&Query::parse(Some(text)));
        assert_eq!(order(""), Ok("cost_time_sum"));
        assert_eq!(order("order=MAX_TIME"), Ok("max_time"));
        assert_eq!(order("order=asc_max_time"), Ok("asc_max_time"));
        assert_eq!(order("order=text").unwrap_err().field.as_deref(), Some("order"));
    }
}

//! INSERT and REPLACE of listed rows: evaluate what must be known first, take generated values,
//! split by shard, write all parts as one.

use crate::error::ExecError;
use crate::exec::{Exec, Statement};
use crate::insert_counts::{self, Counted};
use crate::streams::Job;
use crate::used_ids;
use crate::write::{self, Told};
use mysql_wire::column::ColumnDefinition;
use node_backend::query::{QueryResult, ResultSet, Row};
use node_backend::session_state::SessionState;
use sql_plan::insert::{InsertHome, InsertPlan};
use sql_plan::scratch_write::InsertVerb;
use sql_plan::template::{Fill, Rendered};
use sql_plan::value::{Values, write_typed_literal};
use topology::algorithm::{SqlValue, Target};

/// Runs an INSERT of listed rows.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &InsertPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let evaluated = evaluate(exec, plan, statement).await?;
    let values = Values { evaluated: &evaluated, ..statement.values };
    let statement = Statement { values, ..*statement };
    match attempt(exec, plan, &statement).await {
        Err(error) if exec.is_used_id(&error, plan.sequence.as_ref(), &plan.schema) => {
            attempt(exec, plan, &statement).await
        }
        done => done,
    }
}

async fn attempt(
    exec: &mut Exec<'_>,
    plan: &InsertPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let values = statement.values;
    let mut ids = take_ids(exec, plan, &values).await?;
    let mut by_row = plan.ids_by_row(&values, &ids);
    let mut whole = plan.split(&values, &by_row)?;
    let tells_of_duplicates = plan.verb == InsertVerb::Insert && !plan.updates_on_duplicate;
    if let (Some(sequence), false, false) = (&plan.sequence, ids.is_empty(), tells_of_duplicates)
        && used_ids::any(exec, plan, &whole, &by_row).await?
    {
        exec.sequences.forget(&plan.schema, &sequence.table);
        ids = take_ids(exec, plan, &values).await?;
        by_row = plan.ids_by_row(&values, &ids);
        whole = plan.split(&values, &by_row)?;
    }
    let (parts, ends) = if exec.settings.splits_inserts {
        plan.in_chunks(whole, &values)?
    } else {
        let end = whole.len();
        (whole, vec![end])
    };
    let lenient = is_lenient(&exec.session.state);
    let mut jobs = Vec::with_capacity(parts.len());
    for part in &parts {
        let mut rendered = Rendered::default();
        let fill = Fill {
            values: &statement.values,
            tables: &plan.tables,
            session: &|what, out| exec.session.write_value(what, out),
            temporary: &|_, _| {},
            inline_params: true,
        };
        plan.render(part, &by_row, lenient, &fill, &mut rendered);
        exec.session.touched.note(&plan.schema, part.target.shard);
        jobs.push(Job {
            data_node: exec.data_node(&plan.schema, part.target.shard)?,
            shard: part.target.shard,
            text: rendered.text,
        });
    }
    let rows: Vec<Vec<u32>> = parts.into_iter().map(|part| part.rows).collect();
    let everywhere = matches!(plan.home, InsertHome::Everywhere { .. });
    let told = Told { rows: Some(&rows), copies: everywhere, of_rows: plan.gives_defaults };
    let oks = write::apply_each(exec, &jobs, &ends, &plan.tables, &told).await?;
    let counted: Vec<Counted<'_>> = oks
        .iter()
        .zip(&rows)
        .take(if everywhere { 1 } else { oks.len() })
        .map(|(ok, rows)| Counted { ok, rows: rows.len() as u64 })
        .collect();
    let mut ok = insert_counts::total(&counted, plan.verb, plan.updates_on_duplicate);
    if plan.rows.len() == 1 {
        ok.info = Vec::new();
    }
    let said = oks.iter().map(|ok| ok.last_insert_id).find(|id| *id != 0).unwrap_or(0);
    // LAST_INSERT_ID(expr) of ON DUPLICATE KEY UPDATE counts for a row that was there already.
    let sets_id = statement.planned.read_back.as_ref().is_some_and(|back| back.insert_id);
    let told =
        said != 0 && (sets_id || statement.planned.uses.connection_state && plan.rows.len() == 1);
    ok.last_insert_id = match ids.first() {
        _ if told => said,
        Some(first) => *first,
        // As on one server: a given value is told to the client only as what the data node says.
        None if ok.affected_rows == 0 => 0,
        None if plan.sequence.is_some() => given_id(plan, &values).unwrap_or(said),
        None => said,
    };
    let kept = exec.session.last.insert_id;
    let own = if told { Some(said) } else { ids.first().copied() };
    exec.reply_ok(ok);
    // LAST_INSERT_ID() is of generated values only; the packet also tells a given one.
    exec.session.last.insert_id = own.unwrap_or(kept);
    Ok(())
}

/// The id that a server tells of when all were given: that of the last row which it took.
fn given_id(plan: &InsertPlan, values: &Values<'_>) -> Option<u64> {
    match plan.verb {
        InsertVerb::Ignore => plan.highest_given_id(values),
        InsertVerb::Insert | InsertVerb::Replace => plan.last_given_id(values),
    }
}

/// Whether a session that has said something about its sql_mode has said that it is not strict.
pub(crate) fn is_lenient(state: &SessionState) -> bool {
    state.get("sql_mode").is_some_and(|mode| {
        let mode = mode.to_ascii_uppercase();
        !mode.contains("STRICT_") && !mode.contains("TRADITIONAL")
    })
}

/// The row of expressions that must be known before rows can be placed.
async fn evaluate(
    exec: &mut Exec<'_>,
    plan: &InsertPlan,
    statement: &Statement<'_>,
) -> Result<Vec<SqlValue>, ExecError> {
    let Some(evaluation) = &plan.evaluation else { return Ok(Vec::new()) };
    let text = exec.render(evaluation, &plan.tables, Target { shard: 0, suffix: 0 }, statement)?;
    let node = exec.backends.node(&exec.data_node(&plan.schema, 0)?)?;
    let client = exec.session.state.clone();
    exec.session.state = crate::collect::in_utf8(&client);
    let held = exec.acquire(&node, false).await;
    exec.session.state = client;
    let mut held = held?;
    let result = match held.lease.query(&text).await {
        Ok(QueryResult::Rows(set)) => match times_for_dates(&set, &plan.evaluated_dates) {
            // What day a TIME becomes one of is the connection's to say.
            Some((places, again)) => match held.lease.query(&again).await {
                Ok(QueryResult::Rows(dates)) => Ok(with_dates(&set, &places, &dates)),
                Ok(QueryResult::Ok(_)) => Ok(Vec::new()),
                Err(error) => Err(error),
            },
            None => Ok(first_values(&set)),
        },
        Ok(QueryResult::Ok(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    exec.release(held);
    Ok(result?)
}

fn first_values(set: &ResultSet) -> Vec<SqlValue> {
    set.rows.first().map_or_else(Vec::new, |row| row_values(row, &set.columns))
}

/// The places of values that are a TIME where a date is stored, and the query that makes dates of
/// them.
fn times_for_dates(set: &ResultSet, dates: &[u32]) -> Option<(Vec<usize>, Vec<u8>)> {
    use mysql_wire::column::ColumnType as T;
    let values = first_values(set);
    let (mut places, mut text) = (Vec::new(), Vec::new());
    for place in dates.iter().map(|index| *index as usize) {
        let kind = set.columns.get(place).map(|column| column.column_type);
        let (Some(T::Time | T::Time2), Some(value @ SqlValue::Temporal(_))) =
            (kind, values.get(place))
        else {
            continue;
        };
        text.extend_from_slice(if text.is_empty() { b"SELECT CAST(" } else { b", CAST(" });
        write_typed_literal(value, &mut text);
        text.extend_from_slice(b" AS DATETIME(6))");
        places.push(place);
    }
    (!places.is_empty()).then_some((places, text))
}

fn with_dates(set: &ResultSet, places: &[usize], dates: &ResultSet) -> Vec<SqlValue> {
    let mut values = first_values(set);
    for (place, date) in places.iter().zip(first_values(dates)) {
        if let Some(value) = values.get_mut(*place) {
            *value = date;
        }
    }
    values
}

/// A text row as values.
pub fn row_values(row: &Row, columns: &[ColumnDefinition]) -> Vec<SqlValue> {
    let mut fields = row.fields();
    columns
        .iter()
        .map(|column| value_of(fields.next().and_then(Result::ok).flatten(), column))
        .collect()
}

/// A field of a text row as a value.
pub fn value_of(field: Option<&[u8]>, column: &ColumnDefinition) -> SqlValue {
    use mysql_wire::column::ColumnType as T;
    let Some(bytes) = field else { return SqlValue::Null };
    let text = || String::from_utf8_lossy(bytes).into_owned();
    match column.column_type {
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong | T::Year => {
            text().parse().map_or(SqlValue::Null, SqlValue::Integer)
        }
        T::Decimal | T::NewDecimal => match text().parse::<i128>() {
            Ok(number) => SqlValue::Integer(number),
            Err(_) => SqlValue::Decimal(text()),
        },
        T::Float | T::Double => text().parse().map_or(SqlValue::Null, SqlValue::Float),
        T::Date
        | T::NewDate
        | T::Datetime
        | T::Datetime2
        | T::Timestamp
        | T::Timestamp2
        | T::Time
        | T::Time2 => SqlValue::Temporal(bytes.to_vec()),
        _ if column.collation == mysql_wire::column::BINARY_COLLATION => {
            SqlValue::Binary(bytes.to_vec())
        }
        _ => SqlValue::Text(bytes.to_vec()),
    }
}

/// The generated values that the rows need; a value given by hand moves the sequence.
async fn take_ids(
    exec: &mut Exec<'_>,
    plan: &InsertPlan,
    values: &Values<'_>,
) -> Result<Vec<u64>, ExecError> {
    let Some(sequence) = &plan.sequence else { return Ok(Vec::new()) };
    let schema = exec.schema(&plan.schema)?;
    if let Some(given) = plan.highest_given_id(values) {
        exec.sequences.move_past(exec.backends, schema, &sequence.table, given).await?;
    }
    let needed = u64::try_from(plan.ids_needed(values)).unwrap_or(u64::MAX);
    if needed == 0 {
        return Ok(Vec::new());
    }
    exec.sequences.take(exec.backends, schema, &sequence.table, needed, sequence.max).await
}

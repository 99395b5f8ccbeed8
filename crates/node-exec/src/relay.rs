//! The one-shard road: the text goes to one data node and its answer comes back as bytes. Rows are
//! never looked at; of the packets around them only those are changed whose names or flags are the
//! data node's own.

use crate::error::ExecError;
use crate::exec::{Exec, PreparedInput, Statement, WARNINGS_MAX, Warning};
use crate::heads;
use crate::names::Names;
use crate::pipeline::Pieces;
use crate::transaction::Held;
use mysql_wire::capability::Capabilities;
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket};
use mysql_wire::response::{Event, OkHead};
use mysql_wire::status::StatusFlags;
use mysql_wire::stmt::encode_params;
use node_backend::connection::{Connection, Piece};
use node_backend::query::QueryResult;
use sql_plan::insert::Told;
use sql_plan::plan::{Place, PlanTable, RoutedPlan};
use sql_plan::template::{Fill, Rendered, Template};
use std::rc::Rc;
use tokio::time::Instant;
use topology::algorithm::Target;

/// Flags that are the session's own, not the data node's connection's.
const OWN_FLAGS: StatusFlags = StatusFlags(
    StatusFlags::IN_TRANS.0
        | StatusFlags::IN_TRANS_READONLY.0
        | StatusFlags::AUTOCOMMIT.0
        | StatusFlags::MORE_RESULTS.0,
);

/// Sends a statement to one place and passes the answer on.
pub async fn forward(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    place: Place<'_>,
    text: &Template,
    statement: &Statement<'_>,
    writes: bool,
) -> Result<(), ExecError> {
    let (node, target) = exec.resolve(place)?;
    if matches!(place, Place::Target(..)) {
        exec.claim_shards(std::iter::once((&node.definition.id, target.shard)))?;
    }
    let mut rendered = std::mem::take(&mut exec.session.rendered);
    let prepared = exec.form.binary && statement.input.is_some();
    let result = match render(exec, text, &plan.tables, target, statement, !prepared, &mut rendered)
    {
        Ok(()) => {
            send_and_relay(exec, &node, &rendered, statement, prepared, writes, &plan.tables).await
        }
        Err(error) => Err(error),
    };
    exec.session.rendered = rendered;
    result
}

fn render(
    exec: &Exec<'_>,
    text: &Template,
    tables: &[PlanTable],
    target: Target,
    statement: &Statement<'_>,
    inline_params: bool,
    rendered: &mut Rendered,
) -> Result<(), ExecError> {
    rendered.text.clear();
    rendered.params.clear();
    let fill = Fill {
        values: &statement.values,
        tables,
        session: &|what, out| exec.session.write_value(what, out),
        temporary: &|_, _| {},
        inline_params,
    };
    text.render(&fill, target, rendered);
    Ok(())
}

/// Sends text that is rendered already and passes the answer on. A read whose pooled connection
/// turns out dead before anything came is tried once more.
async fn send_and_relay(
    exec: &mut Exec<'_>,
    node: &Rc<crate::backends::BackendNode>,
    rendered: &Rendered,
    statement: &Statement<'_>,
    prepared: bool,
    writes: bool,
    tables: &[PlanTable],
) -> Result<(), ExecError> {
    let mut may_retry = !writes && exec.session.transaction.is_none();
    let mut alone = None;
    let short = statement.planned.short.as_ref();
    let counted = match short.and_then(|short| Some((short, short.rows(&statement.values)?))) {
        Some((short, rows)) if exec.settings.pipelining_from > 0 => {
            let member = exec.reader(node).await?;
            let (counted, shared) =
                crate::pipeline::run(exec, &member, rows, rendered, statement, prepared, tables)
                    .await;
            if let Some(result) = shared {
                return result;
            }
            let cost = &short.cost;
            if cost.microseconds() > 0 {
                // At once, not when it ends: of many sessions few go alone for what one has met.
                cost.fade();
                alone = Some(cost);
            }
            Some(counted)
        }
        _ => None,
    };
    loop {
        let mut held = match writes {
            true => exec.acquire(node, true).await?,
            false => exec.acquire_read(node).await?,
        };
        let fresh = held.lease.is_fresh();
        let began = alone.map(|_| Instant::now());
        let active = exec.enter(&held);
        let sent = if prepared {
            queue_prepared(&mut held.lease, rendered, statement).await
        } else {
            held.lease.queue_query(&rendered.text);
            Ok(())
        };
        let before = exec.out.sequence();
        let outcome = match sent {
            Ok(()) => relay_answer(exec, &mut *held.lease, Names::of(tables)).await,
            Err(error) => Err(error),
        };
        drop(active);
        if let (Some(cost), Some(began), Some(counted)) = (alone, began, &counted) {
            crate::pipeline::note_alone(cost, began.elapsed(), counted.under_way());
        }
        let lost = matches!(&outcome, Err(ExecError::Backend(_))) && held.lease.is_broken();
        if lost && may_retry && !fresh && exec.out.sequence() == before {
            may_retry = false;
            exec.release(held);
            continue;
        }
        let asked = Asked::of(statement, &outcome);
        return finish(exec, held, outcome, Names::of(tables), asked).await;
    }
}

/// Runs one made-up statement on a data node and passes its answer on.
pub async fn pass_through(
    exec: &mut Exec<'_>,
    node: &Rc<crate::backends::BackendNode>,
    text: &[u8],
    writes: bool,
    names: Names<'_>,
) -> Result<(), ExecError> {
    let mut held = exec.acquire(node, writes).await?;
    if let Err(error) = give_insert_id(exec, &mut held).await {
        return finish(exec, held, Err(error), names, Asked::NOTHING).await;
    }
    let active = exec.enter(&held);
    if exec.form.binary {
        let outcome = answer_binary(exec, &mut held, text, names).await;
        drop(active);
        return finish(exec, held, outcome, names, Asked::NOTHING).await;
    }
    held.lease.queue_query(text);
    let outcome = relay_answer(exec, &mut *held.lease, names).await;
    drop(active);
    finish(exec, held, outcome, names, Asked::NOTHING).await
}

/// Runs one made-up statement with a client's parameters as a prepared one, and passes its answer
/// on with all its results.
pub async fn pass_prepared(
    exec: &mut Exec<'_>,
    node: &Rc<crate::backends::BackendNode>,
    text: &[u8],
    input: PreparedInput<'_>,
    names: Names<'_>,
) -> Result<(), ExecError> {
    let mut held = exec.acquire(node, true).await?;
    if let Err(error) = give_insert_id(exec, &mut held).await {
        return finish(exec, held, Err(error), names, Asked::NOTHING).await;
    }
    let active = exec.enter(&held);
    let outcome = match held.lease.prepare(text).await {
        Ok(prepared) => {
            match input.raw {
                Some(raw) => held.lease.queue_execute(prepared.statement_id, 0, raw),
                None => {
                    let mut packed = Vec::new();
                    encode_params(&mut packed, input.values);
                    held.lease.queue_execute(prepared.statement_id, 0, &packed);
                }
            }
            relay_answer(exec, &mut *held.lease, names).await
        }
        Err(error) => Err(crate::rows::logical(error.into(), names)),
    };
    drop(active);
    finish(exec, held, outcome, names, Asked::NOTHING).await
}

/// A procedure may read the session's LAST_INSERT_ID(), and it is read back whether or not it was set.
async fn give_insert_id(exec: &Exec<'_>, held: &mut Held) -> Result<(), ExecError> {
    let session = &exec.session;
    if session.read_back.as_ref().is_some_and(|back| back.of_routine && back.insert_id) {
        let give = format!("SET last_insert_id={}", session.last.insert_id);
        held.lease.query(give.as_bytes()).await?;
    }
    Ok(())
}

/// What a data node is asked after a statement.
struct Asked {
    /// FOUND_ROWS().
    found: bool,
    /// Whether the id that it told is LAST_INSERT_ID().
    told: Told,
}

impl Asked {
    const NOTHING: Asked = Asked { found: false, told: Told::Generated };

    fn of(statement: &Statement<'_>, outcome: &Result<OkHead, ExecError>) -> Asked {
        let sql_plan::Plan::Routed(plan) = &statement.planned.plan else { return Self::NOTHING };
        let told = match outcome {
            Ok(head) if head.last_insert_id != 0 => plan.told_id.with(&statement.values),
            _ => Told::Generated,
        };
        Asked { found: plan.counts_found, told }
    }
}

/// Runs a text and answers with binary rows: its own answer has text rows.
async fn answer_binary(
    exec: &mut Exec<'_>,
    held: &mut Held,
    text: &[u8],
    names: Names<'_>,
) -> Result<OkHead, ExecError> {
    let result = held.lease.query(text).await;
    match result.map_err(|error| crate::rows::logical(error.into(), names))? {
        QueryResult::Ok(ok) => {
            let head = OkHead {
                affected_rows: ok.affected_rows,
                last_insert_id: ok.last_insert_id,
                warnings: ok.warnings,
                status: ok.status,
            };
            exec.reply_ok(OkPacket { session_track: Vec::new(), ..ok });
            Ok(head)
        }
        QueryResult::Rows(set) => {
            let mut columns = Vec::with_capacity(set.columns.len());
            for column in set.columns.iter() {
                columns.push(names.logical_column(column)?);
            }
            let width = columns.len();
            let rows: Vec<Vec<Option<Vec<u8>>>> = set
                .rows
                .iter()
                .map(|row| (0..width).map(|at| row.get(at).map(<[u8]>::to_vec)).collect())
                .collect();
            crate::rows::reply_rows(exec, &columns, &rows).await?;
            Ok(OkHead { warnings: set.warnings, ..OkHead::default() })
        }
    }
}

async fn queue_prepared(
    connection: &mut Connection,
    rendered: &Rendered,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let prepared = connection.prepare(&rendered.text).await?;
    connection.queue_execute(prepared.statement_id, 0, &packed_params(rendered, statement));
    Ok(())
}

/// A prepared statement's parameters in the order in which the rendered text has them.
pub(crate) fn packed_params<'a>(
    rendered: &Rendered,
    statement: &Statement<'a>,
) -> std::borrow::Cow<'a, [u8]> {
    let input = statement.input.expect("only a prepared statement comes here");
    let in_order = rendered.params.iter().enumerate().all(|(at, ordinal)| *ordinal as usize == at)
        && rendered.params.len() == input.values.len();
    match input.raw {
        Some(raw) if in_order => raw.into(),
        _ => {
            let values: Vec<_> = rendered
                .params
                .iter()
                .filter_map(|ordinal| input.values.get(*ordinal as usize).cloned())
                .collect();
            let mut packed = Vec::new();
            encode_params(&mut packed, &values);
            packed.into()
        }
    }
}

/// Warnings are fetched while the connection that has them is still ours.
async fn finish(
    exec: &mut Exec<'_>,
    mut held: Held,
    outcome: Result<OkHead, ExecError>,
    names: Names<'_>,
    asked: Asked,
) -> Result<(), ExecError> {
    match outcome {
        Ok(head) => {
            exec.session.last.warnings.clear();
            if asked.found {
                exec.session.last.found_rows = Box::pin(found_rows(&mut held.lease)).await?;
            }
            if head.warnings > 0 {
                exec.out.flush().await?;
                exec.session.last.warnings = Box::pin(warnings_of(&mut held.lease, names)).await;
            }
            exec.session.last.told_id = head.last_insert_id;
            if head.last_insert_id != 0 {
                Box::pin(note_id(exec, &mut held, head.last_insert_id, asked.told)).await?;
            }
            let read = read_back(exec, &mut held).await;
            exec.release(held);
            read
        }
        Err(error) => {
            if matches!(error, ExecError::Server(_)) {
                read_back(exec, &mut held).await.ok();
            }
            if held.lease.is_broken() {
                held.member.note_lost();
            }
            exec.release(held);
            Err(error)
        }
    }
}

/// Reads back what the statement changed of the session, after its answer was put: an error comes
/// too late to be told as one.
async fn read_back(exec: &mut Exec<'_>, held: &mut Held) -> Result<(), ExecError> {
    if exec.session.read_back.is_none() {
        return Ok(());
    }
    match Box::pin(crate::read_back::run(exec.session, &mut held.lease)).await {
        Err(ExecError::Backend(error)) => Err(ExecError::BrokenOff(error.to_string())),
        done => done,
    }
}

/// Keeps the id that a data node told, if it is one that it generated.
async fn note_id(
    exec: &mut Exec<'_>,
    held: &mut Held,
    id: u64,
    told: Told,
) -> Result<(), ExecError> {
    let generated = match told {
        Told::Generated => true,
        Told::Given => false,
        Told::Unknown => {
            exec.out.flush().await?;
            let asked = held.lease.query(b"SELECT LAST_INSERT_ID()").await;
            let rows = asked.map_err(|error| ExecError::BrokenOff(error.to_string()))?.into_rows();
            rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok()) == Some(id)
        }
    };
    if generated {
        exec.session.last.insert_id = id;
    }
    Ok(())
}

/// FOUND_ROWS() of a connection.
pub async fn found_rows(connection: &mut Connection) -> Result<u64, ExecError> {
    let rows = connection.query(b"SELECT FOUND_ROWS()").await?.into_rows();
    let found = rows.first().and_then(|row| row.text(0)).and_then(|text| text.parse().ok());
    Ok(found.unwrap_or_default())
}

/// Asks for the warnings of the statement before.
pub(crate) const SHOW_WARNINGS: &[u8] = b"SHOW WARNINGS";

/// SHOW WARNINGS of a connection, with logical names.
pub async fn warnings_of(connection: &mut Connection, names: Names<'_>) -> Vec<Warning> {
    connection.queue_query(SHOW_WARNINGS);
    match read_warnings(connection, names).await {
        Ok(warnings) => warnings,
        Err(error) => {
            tracing::debug!(%error, "the warnings of a statement cannot be read");
            Vec::new()
        }
    }
}

/// The answer to a SHOW WARNINGS that was queued before.
pub async fn read_warnings(
    connection: &mut Connection,
    names: Names<'_>,
) -> Result<Vec<Warning>, ExecError> {
    connection.open_stream().await?;
    let mut warnings = Vec::new();
    while let Some(row) = connection.next_row().await? {
        if warnings.len() < WARNINGS_MAX {
            warnings.push(Warning {
                level: row.text(0).unwrap_or_default(),
                code: row.text(1).and_then(|code| code.parse().ok()).unwrap_or(0),
                message: names.rewrite_message(row.get(2).unwrap_or_default()),
            });
        }
    }
    Ok(warnings)
}

/// Passes one answer on, all its results. An error of the data node is answered as one, with
/// logical names.
pub(crate) async fn relay_answer(
    exec: &mut Exec<'_>,
    answer: &mut impl Pieces,
    names: Names<'_>,
) -> Result<OkHead, ExecError> {
    let wanted = exec.session.status(exec.form.more);
    let deprecates_eof = exec.out.capabilities.contains(Capabilities::DEPRECATE_EOF);
    let mut found = 0;
    let mut learning = None;
    let mut rows_before = match names.plain_tables().filter(|_| exec.out.begins()) {
        Some(tables) => heads::repeat(exec.out, answer, tables, wanted, &mut learning).await?,
        None => false,
    };
    loop {
        let piece = match answer.next_piece().await {
            Ok(piece) => piece,
            Err(error) if rows_before => return Err(ExecError::BrokenOff(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let last = piece.last;
        if let Some(head) = &mut learning {
            match piece.event {
                Event::ColumnCount(_) | Event::Column => head.add(piece.frames, false, exec.out),
                Event::ColumnsEof(_) => head.add(piece.frames, true, exec.out),
                Event::Rows | Event::ResultEnd(_) => heads::keep(learning.take(), exec.out),
                _ => learning = None,
            }
        }
        match piece.event {
            Event::Rows => {
                found += match exec.out.inserts(piece.frames, piece.whole_frames) {
                    Some(frames) => exec.out.insert(answer.keep_given(), frames),
                    None => exec.out.relay_rows(piece.frames, piece.whole_frames),
                };
                exec.out.flush_if_long().await?;
                continue;
            }
            Event::ColumnCount(count) if exec.out.tells_metadata() => exec.out.begin_columns(count),
            Event::Column | Event::Param => {
                let extended = exec.out.tells_extended();
                exec.out.put_with(|out| names.rewrite_column(piece.payload(), extended, out))?
            }
            Event::Err { .. } => {
                let error = decode_error(&piece, names)?;
                // A session that counts by the statement looks at the error first.
                if !rows_before || exec.session.read_back.is_some() {
                    return Err(ExecError::Server(error));
                }
                // Rows were sent: the error ends the result, as a server's own would.
                exec.session.note_error(&error);
                exec.out.put_err(&error);
                return Ok(OkHead::default());
            }
            Event::Ok(head) => {
                relay_ok(exec, &piece, head, wanted)?;
                if last {
                    note_ok(exec, head);
                    return Ok(head);
                }
            }
            Event::ColumnsEof(head) => {
                rows_before = true;
                exec.out.columns_done();
                if !deprecates_eof {
                    relay_eof(exec, &piece, head, wanted);
                }
            }
            Event::ResultEnd(head) => {
                if deprecates_eof {
                    let status = flags(head.status, wanted);
                    exec.out.put_rows_end(&EofPacket { warnings: head.warnings, status });
                } else {
                    relay_eof(exec, &piece, head, wanted);
                }
                if last {
                    exec.session.last.row_count = -1;
                    exec.session.last.found_rows = found;
                    return Ok(head);
                }
            }
            Event::LocalInfile => {
                return Err(crate::error::sql(
                    base::sql_error::NOT_SUPPORTED,
                    "LOAD DATA LOCAL INFILE is not supported yet; use INSERT",
                ));
            }
            _ => exec.out.relay_message(piece.frames),
        }
    }
}

fn decode_error(piece: &Piece<'_>, names: Names<'_>) -> Result<ErrPacket, ExecError> {
    let mut error = ErrPacket::decode(piece.payload(), Capabilities::PROTOCOL_41)?;
    error.message = names.rewrite_message(&error.message);
    Ok(error)
}

/// The flags for the client: the session's own, and the data node's of this statement.
fn flags(from: StatusFlags, wanted: StatusFlags) -> StatusFlags {
    // A procedure's answer has several parts of its own.
    let more = from.0 & StatusFlags::MORE_RESULTS.0;
    StatusFlags((from.0 & !OWN_FLAGS.0) | (wanted.0 & OWN_FLAGS.0) | more)
}

fn relay_ok(
    exec: &mut Exec<'_>,
    piece: &Piece<'_>,
    head: OkHead,
    wanted: StatusFlags,
) -> Result<(), ExecError> {
    let status = flags(head.status, wanted);
    if status == head.status && !exec.out.has_to_tell() {
        exec.out.relay_message(piece.frames);
        return Ok(());
    }
    let mut ok = OkPacket::decode(piece.payload(), Capabilities::PROTOCOL_41)?;
    ok.status = status;
    exec.out.put_ok(&ok);
    Ok(())
}

fn relay_eof(exec: &mut Exec<'_>, piece: &Piece<'_>, head: OkHead, wanted: StatusFlags) {
    let status = flags(head.status, wanted);
    if status == head.status {
        exec.out.relay_message(piece.frames);
    } else {
        exec.out.put_rows_end(&EofPacket { warnings: head.warnings, status });
    }
}

fn note_ok(exec: &mut Exec<'_>, head: OkHead) {
    exec.session.last.row_count = i64::try_from(head.affected_rows).unwrap_or(i64::MAX);
}

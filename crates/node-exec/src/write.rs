//! Writes on several physical tables at once. The statement is atomic: outside a transaction it gets
//! one of its own over all data nodes it touches; inside one, a savepoint on each takes it back when
//! a part of it fails.

use crate::backends::BackendNode;
use crate::error::ExecError;
use crate::exec::{Exec, WARNINGS_MAX, Warning};
use crate::names::Names;
use crate::relay::{SHOW_WARNINGS, read_warnings, warnings_of};
use crate::rows::logical;
use crate::streams::Job;
use crate::transaction::{BRANCH_IS_GONE, Held, STAY_OPEN, ends_branch, run_all};
use base::id::DataNodeId;
use futures::future::join_all;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_backend::error::BackendError;
use node_backend::query::StreamHead;
use sql_plan::plan::PlanTable;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// The savepoint of one statement.
const SAVEPOINT: &str = "`_ddm_statement`";

/// `Field 'a' doesn't have a default value`
const NO_DEFAULT: u16 = 1364;

/// Statements sent ahead on one connection before their answers are read.
const AHEAD_MAX: usize = 64;

/// Text sent ahead on one connection, in bytes.
const AHEAD_BYTES_MAX: usize = 256 * 1024;

/// How the parts' counts become the statement's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// They are added up.
    Sum,
    /// All parts did the same: the first one's.
    First,
}

/// Runs the parts and answers the client.
pub async fn run(
    exec: &mut Exec<'_>,
    jobs: &[Job],
    count: Count,
    tables: &[PlanTable],
) -> Result<(), ExecError> {
    let ok = apply(exec, jobs, count, tables).await?;
    exec.reply_ok(ok);
    Ok(())
}

/// Runs the parts, all or none, and says what they came to.
pub async fn apply(
    exec: &mut Exec<'_>,
    jobs: &[Job],
    count: Count,
    tables: &[PlanTable],
) -> Result<OkPacket, ExecError> {
    apply_in_turn(exec, jobs, &[jobs.len()], count, tables).await
}

/// The same in chunks, one after the other: `ends` are the numbers of the jobs after each. All
/// chunks together are one statement.
pub async fn apply_in_turn(
    exec: &mut Exec<'_>,
    jobs: &[Job],
    ends: &[usize],
    count: Count,
    tables: &[PlanTable],
) -> Result<OkPacket, ExecError> {
    let copies = count == Count::First;
    let oks = apply_each(exec, jobs, ends, tables, &Told { copies, ..Told::default() }).await?;
    Ok(total(&oks, count))
}

/// How what data nodes say of parts is told of the statement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'t> {
    /// The numbers, in the statement, of each part's rows.
    pub rows: Option<&'t [Vec<u32>]>,
    /// The shards have copies: what the first one says is what is said.
    pub copies: bool,
    /// What is said of columns without a default is of single rows, not of the statement.
    pub of_rows: bool,
}

/// The same, with the answer of each part.
pub async fn apply_each(
    exec: &mut Exec<'_>,
    jobs: &[Job],
    ends: &[usize],
    tables: &[PlanTable],
    told: &Told<'_>,
) -> Result<Vec<OkPacket>, ExecError> {
    check_assigns(exec, jobs)?;
    let begun = exec.session.part_begins();
    let own = exec.session.transaction.is_none() && jobs.len() > 1;
    if own {
        let several_nodes =
            exec.is_distributed() && jobs.iter().any(|job| job.data_node != jobs[0].data_node);
        let options = exec.session.transaction_options.clone();
        let transaction = exec.session.new_transaction(several_nodes, options);
        exec.session.transaction = Some(transaction.of_statement());
    }
    let outcome = match exec.claim_shards(jobs.iter().map(|job| (&job.data_node, job.shard))) {
        Ok(()) => run_parts(exec, jobs, ends, !own, Names::of(tables), told).await,
        Err(error) => Err(error),
    };
    if own {
        let transaction =
            exec.session.transaction.take().expect("the statement's own transaction is there");
        return match outcome {
            Ok(parts) => {
                transaction.commit().await?;
                exec.session.part_ends(begun, "Write and commit", affected(&parts));
                Ok(parts)
            }
            Err(error) => {
                transaction.rollback().await;
                Err(error)
            }
        };
    }
    exec.session.part_ends(begun, "Write", outcome.as_deref().map_or(0, affected));
    outcome
}

fn affected(parts: &[OkPacket]) -> u64 {
    parts.iter().map(|ok| ok.affected_rows).sum()
}

/// One data node's parts.
struct NodeParts {
    held: Held,
    numbers: Vec<usize>,
    /// The statement's savepoint is set there.
    saved: bool,
    /// Autocommit is still to be turned off.
    stay_open: bool,
    done: Vec<(usize, OkPacket)>,
    /// When the parts began and were done, while the statement is analysed.
    begun: Option<Instant>,
    ended: Vec<Instant>,
    warned: Vec<(usize, Vec<Warning>)>,
    /// The parts that failed.
    failures: Vec<(usize, ErrPacket)>,
}

async fn run_parts(
    exec: &mut Exec<'_>,
    jobs: &[Job],
    ends: &[usize],
    savepoint: bool,
    names: Names<'_>,
    told: &Told<'_>,
) -> Result<Vec<OkPacket>, ExecError> {
    let mut by_node: BTreeMap<&DataNodeId, Vec<usize>> = BTreeMap::new();
    for (number, job) in jobs.iter().enumerate() {
        by_node.entry(&job.data_node).or_default().push(number);
    }
    let savepoint = savepoint && exec.session.transaction.is_some() && jobs.len() > 1;
    let data_nodes = by_node.keys().map(|id| exec.backends.node(id));
    let data_nodes: Vec<Rc<BackendNode>> = data_nodes.collect::<Result<_, _>>()?;
    exec.begin_parts(&data_nodes).await?;
    let mut nodes = Vec::with_capacity(by_node.len());
    for (node, numbers) in data_nodes.into_iter().zip(by_node.into_values()) {
        match exec.acquire(&node, true).await {
            Ok(held) => nodes.push(NodeParts {
                saved: false,
                stay_open: numbers.len() > 1
                    && (exec.session.transaction.as_mut())
                        .is_some_and(|transaction| transaction.stay_open(&held)),
                held,
                numbers,
                done: Vec::new(),
                begun: exec.session.part_begins(),
                ended: Vec::new(),
                warned: Vec::new(),
                failures: Vec::new(),
            }),
            Err(error) => {
                nodes.into_iter().for_each(|parts| exec.release(parts.held));
                return Err(error);
            }
        }
    }
    let guards: Vec<_> = nodes.iter().map(|parts| exec.enter(&parts.held)).collect();
    let mut failed = None;
    for end in ends {
        let runs = nodes.iter_mut().map(|parts| run_on_node(parts, jobs, *end, savepoint, names));
        let mut errors: Vec<_> = join_all(runs).await.into_iter().filter_map(Result::err).collect();
        // One that ends the transaction counts for more than any other.
        let worst = errors.iter().position(ends_branch).unwrap_or_default();
        failed = (!errors.is_empty()).then(|| errors.swap_remove(worst));
        if failed.is_some() {
            break;
        }
    }
    drop(guards);
    if failed.is_some() && savepoint {
        take_back(&mut nodes).await;
    }
    let failures = nodes.iter_mut().flat_map(|parts| std::mem::take(&mut parts.failures));
    let first =
        failures.min_by_key(|(number, error)| (error_row(told.rows, *number, error), *number));
    let failed_at = first.as_ref().map(|(number, _)| *number);
    if let (Some(ExecError::Server(error)), Some((_, first))) = (&mut failed, first)
        && !BRANCH_IS_GONE.contains(&error.number)
    {
        *error = first;
    }
    if exec.session.read_back.is_some() {
        read_back(exec, jobs, &mut nodes).await?;
    }
    let mut all: Vec<(usize, OkPacket)> = Vec::with_capacity(jobs.len());
    let mut warned: Vec<(usize, Vec<Warning>)> = Vec::new();
    for parts in nodes {
        exec.release(parts.held);
        for ((number, ok), ended) in parts.done.iter().zip(&parts.ended) {
            let shard = jobs[*number].shard;
            exec.session.shard_ends(parts.begun, Some(*ended), shard, ok.affected_rows);
        }
        all.extend(parts.done);
        warned.extend(parts.warned);
    }
    exec.session.last.warnings.clear();
    if let Some(error) = failed {
        let row = |row: u32| row_of(told.rows, failed_at?, row);
        return Err(with_statement_rows(logical(error, names), &row));
    }
    warned.retain(|(number, _)| !told.copies || jobs[*number].shard == jobs[0].shard);
    warned.sort_by_key(|(number, _)| *number);
    all.sort_by_key(|(number, _)| *number);
    if !told.of_rows {
        say_once(&mut warned, &mut all);
    }
    for (number, warnings) in warned {
        let room = WARNINGS_MAX.saturating_sub(exec.session.last.warnings.len());
        exec.session.last.warnings.extend(warnings.into_iter().take(room).map(|mut warning| {
            warning.message =
                statement_rows(&warning.message, &|row| row_of(told.rows, number, row));
            warning
        }));
    }
    Ok(all.into_iter().map(|(_, ok)| ok).collect())
}

/// Takes the statement back on each data node where it began.
async fn take_back(nodes: &mut [NodeParts]) {
    let back = format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}");
    join_all(nodes.iter_mut().filter(|parts| parts.saved).map(|parts| async {
        if !parts.held.lease.is_broken() {
            run_all(&mut parts.held.lease, std::slice::from_ref(&back)).await.ok();
        }
    }))
    .await;
}

/// A column without a default is told once for a statement, not for each of its parts.
fn say_once(warned: &mut [(usize, Vec<Warning>)], all: &mut [(usize, OkPacket)]) {
    let mut said: Vec<Vec<u8>> = Vec::new();
    for (number, warnings) in warned {
        let before = warnings.len();
        warnings.retain(|warning| {
            let first = warning.code != NO_DEFAULT || !said.contains(&warning.message);
            if first && warning.code == NO_DEFAULT {
                said.push(warning.message.clone());
            }
            first
        });
        let less = u16::try_from(before - warnings.len()).unwrap_or(u16::MAX);
        if let Ok(at) = all.binary_search_by_key(number, |(number, _)| *number) {
            all[at].1.warnings = all[at].1.warnings.saturating_sub(less);
        }
    }
}

/// What the statement changed of the session is known when it ran at one place.
async fn read_back(
    exec: &mut Exec<'_>,
    jobs: &[Job],
    nodes: &mut [NodeParts],
) -> Result<(), ExecError> {
    if let ([_], [only]) = (jobs, nodes) {
        crate::read_back::run(exec.session, &mut only.held.lease).await?;
    }
    Ok(())
}

/// Refuses a statement whose user variables are assigned at several places: they would count apart.
fn check_assigns(exec: &Exec<'_>, jobs: &[Job]) -> Result<(), ExecError> {
    let assigns =
        exec.session.read_back.as_ref().is_some_and(|read_back| !read_back.variables.is_empty());
    if assigns && jobs.len() > 1 {
        return Err(crate::error::sql(
            base::sql_error::NOT_SUPPORTED,
            "a statement that writes on several shards cannot assign user variables: each shard \
             would count by itself; give the sharding key, or compute the values by a SELECT first",
        ));
    }
    Ok(())
}

/// The row of the statement at which a part failed, as far as its error tells: one server would have
/// told of the first.
fn error_row(rows: Option<&[Vec<u32>]>, part: usize, error: &ErrPacket) -> u32 {
    let known = std::cell::Cell::new(None);
    statement_rows(&error.message, &|row| {
        let row = row_of(rows, part, row);
        known.set(row);
        row
    });
    let first = || rows.and_then(|rows| rows.get(part)?.first().map(|row| row + 1));
    known.get().or_else(first).unwrap_or(u32::MAX)
}

/// The statement's number of a part's row.
fn row_of(rows: Option<&[Vec<u32>]>, part: usize, row: u32) -> Option<u32> {
    let at = usize::try_from(row.checked_sub(1)?).ok()?;
    rows?.get(part)?.get(at).map(|number| number + 1)
}

/// A data node's text with `at row N` told of the statement.
pub(crate) fn statement_rows(message: &[u8], row: &dyn Fn(u32) -> Option<u32>) -> Vec<u8> {
    const WORDS: &[u8] = b" at row ";
    let at = message.windows(WORDS.len()).rposition(|window| window == WORDS);
    let renumbered = at.and_then(|at| {
        let (head, digits) = message.split_at(at + WORDS.len());
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some([head, row(number)?.to_string().as_bytes()].concat())
    });
    renumbered.unwrap_or_else(|| message.to_vec())
}

/// The same for an error.
pub(crate) fn with_statement_rows(error: ExecError, row: &dyn Fn(u32) -> Option<u32>) -> ExecError {
    match error {
        ExecError::Server(mut packet) => {
            packet.message = statement_rows(&packet.message, row);
            ExecError::Server(packet)
        }
        other => other,
    }
}

/// Runs one data node's parts below `end` in order; after an error the rest is not sent.
async fn run_on_node(
    parts: &mut NodeParts,
    jobs: &[Job],
    end: usize,
    savepoint: bool,
    names: Names<'_>,
) -> Result<(), ExecError> {
    let from = parts.done.len();
    let to = parts.numbers.partition_point(|number| *number < end);
    let numbers: Vec<usize> = parts.numbers[from..to].to_vec();
    let mut rest = numbers.as_slice();
    let mut first = Vec::new();
    if std::mem::take(&mut parts.stay_open) {
        first.push(STAY_OPEN.to_owned());
    }
    if savepoint && !parts.saved && !rest.is_empty() {
        first.push(format!("SAVEPOINT {SAVEPOINT}"));
    }
    if !first.is_empty() {
        run_all(&mut parts.held.lease, &first).await?;
        parts.saved |= savepoint;
    }
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest
            .iter()
            .take(AHEAD_MAX)
            .take_while(|number| {
                bytes += jobs[**number].text.len();
                bytes <= AHEAD_BYTES_MAX
            })
            .count()
            .max(1);
        let (now, later) = rest.split_at(fits);
        rest = later;
        run_burst(parts, jobs, now, names).await?;
    }
    Ok(())
}

/// Sends parts together and reads their answers. The next statement would make a data node forget a
/// part's warnings, so they are asked for in between; those of the last one only if there are some.
async fn run_burst(
    parts: &mut NodeParts,
    jobs: &[Job],
    now: &[usize],
    names: Names<'_>,
) -> Result<(), ExecError> {
    let connection = &mut parts.held.lease;
    for (at, number) in now.iter().enumerate() {
        connection.queue_query(&jobs[*number].text);
        if at + 1 < now.len() {
            connection.queue_query(SHOW_WARNINGS);
        }
    }
    connection.flush().await?;
    let mut failed = None;
    for (at, number) in now.iter().enumerate() {
        match connection.open_stream().await {
            Ok(StreamHead::Ok { ok, .. }) => {
                if at + 1 == now.len() && ok.warnings > 0 && failed.is_none() {
                    parts.warned.push((*number, warnings_of(connection, names).await));
                }
                parts.done.push((*number, ok));
                parts.ended.extend(parts.begun.map(|_| Instant::now()));
            }
            Ok(_) => {
                connection.drain().await?;
                return Err(ExecError::Backend(BackendError::Unexpected("rows for a write")));
            }
            Err(BackendError::Server(error)) => {
                parts.failures.push((*number, error.clone()));
                let error = ExecError::Server(error);
                // One that ends the branch counts for more than any before it.
                if failed.as_ref().is_none_or(|before| ends_branch(&error) && !ends_branch(before))
                {
                    failed = Some(error);
                }
            }
            Err(other) => return Err(other.into()),
        }
        if at + 1 < now.len() {
            let warnings = read_warnings(connection, names).await?;
            if failed.is_none() && !warnings.is_empty() {
                parts.warned.push((*number, warnings));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The parts' counts as one.
fn total(parts: &[OkPacket], count: Count) -> OkPacket {
    let Some(first) = parts.first() else { return OkPacket::default() };
    if count == Count::First {
        return OkPacket { session_track: Vec::new(), ..first.clone() };
    }
    OkPacket {
        affected_rows: parts.iter().map(|ok| ok.affected_rows).sum(),
        last_insert_id: parts.iter().map(|ok| ok.last_insert_id).find(|id| *id != 0).unwrap_or(0),
        status: first.status,
        warnings: parts.iter().fold(0, |sum: u16, ok| sum.saturating_add(ok.warnings)),
        info: add_infos(parts.iter().map(|ok| ok.info.as_slice())),
        session_track: Vec::new(),
    }
}

/// `Rows matched: 3  Changed: 2  Warnings: 0` of several parts: the numbers are added up.
fn add_infos<'a>(infos: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut words: Vec<String> = Vec::new();
    for info in infos {
        let text = String::from_utf8_lossy(info);
        let more: Vec<&str> = text.split(' ').collect();
        if words.len() != more.len() {
            words = more.iter().map(|word| (*word).to_owned()).collect();
            continue;
        }
        for (word, other) in words.iter_mut().zip(more) {
            if let (Ok(a), Ok(b)) = (word.parse::<u64>(), other.parse::<u64>()) {
                *word = (a + b).to_string();
            }
        }
    }
    words.join(" ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_of_the_statement() {
        let parts = [vec![0, 2], vec![1, 3]];
        let told = |part, text: &str| {
            let text = statement_rows(text.as_bytes(), &|row| row_of(Some(&parts), part, row));
            String::from_utf8_lossy(&text).into_owned()
        };
        assert_eq!(
            told(1, "Data truncated for column 'a' at row 2"),
            "Data truncated for column 'a' at row 4"
        );
        assert_eq!(
            told(0, "Data truncated for column ' at row 1"),
            "Data truncated for column ' at row 1"
        );
        assert_eq!(told(0, "x at row 3"), "x at row 3", "no such row");
        assert_eq!(
            told(0, "Duplicate entry '1' for key 'PRIMARY'"),
            "Duplicate entry '1' for key 'PRIMARY'"
        );
    }

    #[test]
    fn the_first_rows_error_is_told() {
        let parts = [vec![2], vec![0, 1], vec![3]];
        let error = |text: &str| ErrPacket::new(1264, "22003", text);
        let row = |part, text: &str| error_row(Some(&parts), part, &error(text));
        assert_eq!(row(0, "Incorrect integer value: 'x' for column 'a' at row 1"), 3);
        assert_eq!(row(1, "Out of range value for column 'q' at row 2"), 2);
        assert_eq!(row(2, "Duplicate entry '1' for key 'PRIMARY'"), 4);
        assert_eq!(error_row(None, 2, &error("x")), u32::MAX);
    }

    #[test]
    fn infos_add_up_by_place() {
        let infos: [&[u8]; 2] = [
            b"Rows matched: 3  Changed: 2  Warnings: 0",
            b"Rows matched: 10  Changed: 0  Warnings: 1",
        ];
        assert_eq!(add_infos(infos.into_iter()), b"Rows matched: 13  Changed: 2  Warnings: 1");
        assert_eq!(add_infos([&b""[..], b""].into_iter()), b"");
    }
}

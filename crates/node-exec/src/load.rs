//! LOAD DATA LOCAL: the client is asked for its file, which goes to one place as it comes, or is cut
//! into records that go to their shards. Whatever becomes of it, the client is heard out before it
//! gets its answer.

mod defaults;
mod evaluate;
mod place;
mod senders;
mod split;
mod staged;
mod warnings;

use crate::error::{ExecError, sql as sql_error};
use crate::exec::{Exec, Statement, Warning};
use crate::names::Names;
use crate::relay::warnings_of;
use crate::rows::logical;
use crate::transaction::Held;
use mysql_wire::capability::Capabilities;
use mysql_wire::packet::{ErrPacket, OkPacket, put_local_infile};
use node_backend::error::BackendError;
use sql_plan::load::charset::{Charset, CharsetKind};
use sql_plan::load::{LoadPlan, LoadVariable, LoadWay};
use sql_plan::template::Template;
use std::sync::Arc;
use topology::algorithm::Target;

/// Variables of one session; more are not kept.
const VARIABLES_MAX: usize = 1000;

/// The numbers of `Records: n  Deleted: n  Skipped: n  Warnings: n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    affected: u64,
    records: u64,
    deleted: u64,
    skipped: u64,
    warnings: u64,
}

impl Counts {
    /// What a data node answered.
    fn of(ok: &OkPacket) -> Self {
        let text = String::from_utf8_lossy(&ok.info);
        let mut numbers = text.split(' ').filter_map(|word| word.parse().ok());
        let mut next = || numbers.next().unwrap_or(0);
        let (records, deleted, skipped, warnings) = (next(), next(), next(), next());
        Self { affected: ok.affected_rows, records, deleted, skipped, warnings }
    }

    fn add(&mut self, other: Counts) {
        self.affected += other.affected;
        self.records += other.records;
        self.deleted += other.deleted;
        self.skipped += other.skipped;
        self.warnings += other.warnings;
    }
}

/// What a load came to.
#[derive(Debug, Default)]
struct Done {
    counts: Counts,
    warnings: Vec<Warning>,
    /// The first generated id.
    first_id: u64,
    /// What the plan's variables have at the end; none when there was no record.
    variables: Option<Vec<Option<Vec<u8>>>>,
}

/// Runs a LOAD DATA LOCAL.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &LoadPlan,
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    if !exec.out.capabilities.contains(Capabilities::LOCAL_FILES) {
        return Err(ExecError::Server(local_files_off(&exec.session.identity.version)));
    }
    let outcome = match &plan.way {
        LoadWay::Whole { shard, text, generates } => {
            whole(exec, plan, *shard, text, *generates, statement).await
        }
        LoadWay::Split(split) => split::run(exec, plan, split, statement).await,
        LoadWay::Staged(staged) => staged::run(exec, plan, staged, statement).await,
    };
    let upload = exec.session.upload.clone();
    if let Some(sequence) = upload.finish().await {
        exec.out.begin_answer(sequence);
    }
    let done = outcome?;
    reply(exec, plan, done);
    Ok(())
}

/// A server's words to a client that offers no files.
fn local_files_off(version: &str) -> ErrPacket {
    if version.contains("MariaDB") {
        let text = "The used command is not allowed because the MariaDB server or client has disabled \
                    the local infile capability";
        return ErrPacket::new(4166, "HY000", text);
    }
    let text =
        "Loading local data is disabled; this must be enabled on both the client and server sides";
    ErrPacket::new(3948, "42000", text)
}

/// Asks the client for its file.
async fn ask(exec: &mut Exec<'_>, file: &[u8]) -> Result<(), ExecError> {
    exec.out.put_with(|out| put_local_infile(out, file));
    exec.out.flush().await?;
    exec.session.upload.begin(exec.out.sequence());
    Ok(())
}

fn reply(exec: &mut Exec<'_>, plan: &LoadPlan, done: Done) {
    let Counts { affected, records, deleted, skipped, warnings } = done.counts;
    let info =
        format!("Records: {records}  Deleted: {deleted}  Skipped: {skipped}  Warnings: {warnings}");
    if let Some(values) = done.variables {
        keep_variables(exec, &plan.variables, &values, &plan.charset);
    }
    exec.session.last.warnings = done.warnings;
    exec.reply_ok(OkPacket {
        affected_rows: affected,
        warnings: u16::try_from(warnings).unwrap_or(u16::MAX),
        info: info.into_bytes(),
        ..OkPacket::default()
    });
    if done.first_id != 0 {
        exec.session.last.insert_id = done.first_id;
    }
}

/// The session's variables are what the last record made of them.
fn keep_variables(
    exec: &mut Exec<'_>,
    variables: &[LoadVariable],
    values: &[Option<Vec<u8>>],
    charset: &Charset,
) {
    let mut state = (*exec.session.state).clone();
    for (variable, value) in variables.iter().zip(values) {
        let name = format!("@`{}`", variable.name.replace('`', "``"));
        let known = state.settings().filter(|(name, _)| name.starts_with('@')).count();
        if known >= VARIABLES_MAX && state.get(&name).is_none() {
            continue;
        }
        let mut text = Vec::new();
        put_value(value.as_deref(), charset, &mut text);
        state = state.with(&name, String::from_utf8_lossy(&text));
    }
    exec.session.state = Arc::new(state);
}

/// Writes a field as an SQL literal of the file's character set.
fn put_value(value: Option<&[u8]>, charset: &Charset, out: &mut Vec<u8>) {
    let Some(bytes) = value else {
        out.extend_from_slice(b"NULL");
        return;
    };
    // Bytes that are no text of a wide character set would be refused as a literal of it.
    let (before, after) = match charset.kind {
        CharsetKind::Wide => ("CONVERT(x'".to_owned(), format!("' USING {})", charset.name)),
        _ => (format!("_{} x'", charset.name), "'".to_owned()),
    };
    out.extend_from_slice(before.as_bytes());
    for byte in bytes {
        out.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    out.extend_from_slice(after.as_bytes());
}

/// One place gets the file as it comes.
async fn whole(
    exec: &mut Exec<'_>,
    plan: &LoadPlan,
    shard: u32,
    text: &Template,
    generates: bool,
    statement: &Statement<'_>,
) -> Result<Done, ExecError> {
    let data_node = exec.data_node(&plan.schema, shard)?;
    exec.session.touched.note(&plan.schema, shard);
    exec.claim_shards(std::iter::once((&data_node, shard)))?;
    let sql = exec.render(text, &plan.tables, Target { shard, suffix: 0 }, statement)?;
    let node = exec.backends.node(&data_node)?;
    let mut held = exec.acquire(&node, true).await?;
    let active = exec.enter(&held);
    let names = Names::of(&plan.tables);
    let passing = Passing { plan, names, generates, bytes_max: None };
    let outcome = pass_on(exec, &mut held, &passing, &sql).await;
    drop(active);
    exec.release(held);
    outcome.map_err(|error| logical(error, names))
}

/// How a file is passed on as it comes.
struct Passing<'p> {
    plan: &'p LoadPlan,
    /// How what the data node says is told.
    names: Names<'p>,
    /// The data node makes ids.
    generates: bool,
    /// The file may be so long.
    bytes_max: Option<usize>,
}

async fn pass_on(
    exec: &mut Exec<'_>,
    held: &mut Held,
    passing: &Passing<'_>,
    sql: &[u8],
) -> Result<Done, ExecError> {
    let Passing { plan, names, generates, bytes_max } = *passing;
    let connection = &mut held.lease;
    if generates {
        // Another statement's id must not be taken for this one's.
        connection.execute_sql(b"SET last_insert_id=0").await?;
    }
    connection.begin_load(sql).await?;
    ask(exec, &plan.file).await?;
    let upload = exec.session.upload.clone();
    let mut left = bytes_max.unwrap_or(usize::MAX);
    let mut fits = true;
    while let Some(bytes) = upload.next().await {
        fits = fits && bytes.len() <= left;
        left = left.saturating_sub(bytes.len());
        if fits {
            connection.send_load(&bytes).await?;
        }
    }
    let ok = connection.finish_load().await?;
    if !fits {
        return Err(sql_error(
            base::sql_error::TEMP_TABLE_LIMIT,
            "Temp table limit exceeded: the file has to go through a temporary table and is too \
             long; cut it into several",
        ));
    }
    let counts = Counts::of(&ok);
    let warnings = match ok.warnings {
        0 => Vec::new(),
        _ => warnings_of(connection, names).await,
    };
    let mut asked = vec![b"LAST_INSERT_ID()".to_vec()];
    asked.extend(plan.variables.iter().map(|one| [b"HEX(", &one.own[..], b")"].concat()));
    if !generates && plan.variables.is_empty() {
        return Ok(Done { counts, warnings, ..Done::default() });
    }
    let query = [&b"SELECT "[..], &asked.join(&b","[..])].concat();
    let rows = connection.query(&query).await?.into_rows();
    let row = rows.first().ok_or(BackendError::Unexpected("no row from a SELECT"))?;
    let id = row.text(0).and_then(|id| id.parse().ok()).unwrap_or(0);
    let first_id = if generates { id } else { 0 };
    let variables = (1..asked.len()).map(|at| row.get(at).map(unhex)).collect();
    Ok(Done { counts, warnings, first_id, variables: Some(variables) })
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    text.chunks(2).map(|pair| digit(pair[0]) << 4 | pair.get(1).map_or(0, |b| digit(*b))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let info = b"Records: 3  Deleted: 1  Skipped: 2  Warnings: 70000".to_vec();
        let ok = OkPacket { affected_rows: 2, info, ..OkPacket::default() };
        let counts = Counts { affected: 2, records: 3, deleted: 1, skipped: 2, warnings: 70_000 };
        assert_eq!(Counts::of(&ok), counts);
        let mut twice = counts;
        twice.add(counts);
        assert_eq!((twice.records, twice.warnings), (6, 140_000));
        assert_eq!(unhex(b"00FF61"), [0, 255, b'a']);
    }
}

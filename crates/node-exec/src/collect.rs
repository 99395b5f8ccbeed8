//! A query's rows for the node's own use. The query runs as for a client, whatever its plan is, and
//! the answer is gathered in memory, up to a bound, instead of being sent.

use crate::client::ClientWriter;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, ReplyForm, Statement};
use crate::merge::Record;
use base::sql_error;
use bytes::Bytes;
use mysql_wire::capability::Capabilities;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::frame::{Message, read_message};
use mysql_wire::packet::{EOF_HEADER, ERR_HEADER, ErrPacket};
use node_backend::query::Row;
use node_backend::session_state::SessionState;
use sql_plan::plan::RoutedPlan;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// An answer that is gathered is not longer.
pub const COLLECT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The character set of what a data node answers.
const RESULTS: &str = "character_set_results";

/// An EOF packet is shorter than this.
const EOF_LENGTH_LIMIT: usize = 9;

/// A gathered answer.
#[derive(Debug, Default)]
pub struct Collected {
    /// Its columns.
    pub columns: Vec<ColumnDefinition>,
    /// Its rows.
    pub records: Vec<Record>,
}

/// Takes what is written into memory.
#[derive(Clone, Debug, Default)]
pub struct Memory(Rc<RefCell<Vec<u8>>>);

impl Memory {
    /// What was written so far.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut all = self.0.borrow_mut();
        if all.len() + bytes.len() > COLLECT_BYTES_MAX {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        all.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a query and gathers its rows.
pub async fn query(
    exec: &mut Exec<'_>,
    plan: &RoutedPlan,
    statement: &Statement<'_>,
) -> Result<Collected, ExecError> {
    gather(exec, Some(plan), statement).await
}

/// Runs a statement as one that a client sent, and gathers its rows.
pub async fn statement(
    exec: &mut Exec<'_>,
    statement: &Statement<'_>,
) -> Result<Collected, ExecError> {
    gather(exec, None, statement).await
}

/// The client's settings, but values come in UTF-8, as everything here reads them.
pub(crate) fn in_utf8(client: &Arc<SessionState>) -> Arc<SessionState> {
    match ["names", RESULTS].iter().any(|name| client.get(name).is_some()) {
        true => Arc::new((**client).clone().with(RESULTS, "utf8mb4")),
        false => client.clone(),
    }
}

/// The settings after a statement that ran under those of [`in_utf8`].
fn as_client(client: &SessionState, now: &Arc<SessionState>) -> Arc<SessionState> {
    match client.get(RESULTS) {
        value if value == now.get(RESULTS) => now.clone(),
        Some(value) => Arc::new((**now).clone().with(RESULTS, value)),
        None => Arc::new((**now).clone().without(RESULTS)),
    }
}

async fn gather(
    exec: &mut Exec<'_>,
    plan: Option<&RoutedPlan>,
    statement: &Statement<'_>,
) -> Result<Collected, ExecError> {
    let memory = Memory::default();
    let mut out = ClientWriter::new(Box::new(memory.clone()));
    out.capabilities = Capabilities::PROTOCOL_41;
    let client = exec.session.state.clone();
    exec.session.state = in_utf8(&client);
    let mut inner = Exec {
        backends: exec.backends,
        snapshot: exec.snapshot,
        settings: exec.settings,
        sequences: exec.sequences,
        control: exec.control,
        session: exec.session,
        out: &mut out,
        form: ReplyForm::default(),
    };
    let text_statement = Statement { input: None, ..*statement };
    // The executor may come back here for a query inside a query.
    let ran = match plan {
        Some(plan) => Box::pin(inner.run_routed(plan, &text_statement)).await,
        None => Box::pin(inner.run(&text_statement)).await,
    };
    exec.session.state = as_client(&client, &exec.session.state);
    let flushed = match ran {
        Ok(()) => out.flush().await,
        Err(error) => Err(error),
    };
    match flushed {
        Ok(()) => {}
        Err(ExecError::Client(_)) => {
            return Err(sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"));
        }
        Err(error) => return Err(error),
    }
    let bytes = Bytes::from(memory.take());
    parse(&bytes)
}

fn parse(bytes: &Bytes) -> Result<Collected, ExecError> {
    let mut collected = Collected::default();
    let mut at = 0;
    let mut first = true;
    let mut in_rows = false;
    while at < bytes.len() {
        let Message::Complete { payload, consumed, .. } =
            read_message(&bytes[at..], None, usize::MAX)?
        else {
            break;
        };
        at += consumed;
        if payload.first() == Some(&ERR_HEADER) {
            return Err(ExecError::Server(ErrPacket::decode(&payload, Capabilities::PROTOCOL_41)?));
        }
        let is_eof = payload.first() == Some(&EOF_HEADER) && payload.len() < EOF_LENGTH_LIMIT;
        if std::mem::take(&mut first) {
            continue;
        }
        match (is_eof, in_rows) {
            (true, true) => break,
            (true, false) => in_rows = true,
            (false, false) => collected.columns.push(ColumnDefinition::decode(&payload)?),
            (false, true) => {
                collected.records.push(Record::of(&Row::new(Bytes::copy_from_slice(&payload)))?);
            }
        }
    }
    Ok(collected)
}

//! A connection to a data node is a pipeline: commands are queued on it, each with what its answer
//! looks like, and the answers are read in the same order. Using it for one command at a time is
//! the special case of a queue of one.
//!
//! The raw road ([`Connection::queue`], [`Connection::flush`], [`Connection::next_piece`]) moves
//! bytes without decoding rows; `query.rs` and `statement.rs` build the convenient road of it.
//! `flush` and `next_piece` can be dropped at any await without harm: what is half done is kept
//! here, [`Connection::is_idle`] says so, and a pool does not take such a connection back.

use crate::answer::Seen;
use crate::error::BackendError;
use crate::link::Link;
use crate::login;
use crate::options::ConnectOptions;
use crate::query::StreamState;
use crate::session_state::{BASE_NAMES, SessionState};
use crate::statement::StatementCache;
use bytes::{Buf, Bytes};
use mysql_wire::command::CommandCode;
use mysql_wire::frame::{FRAME_HEADER_LEN, put_packet_parts};
use mysql_wire::packet::ErrPacket;
use mysql_wire::response::{Event, OkHead, ResponseKind, ResponseScanner, Scan};
use mysql_wire::{Capabilities, DecodeError, StatusFlags};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// So much of an unwanted answer is read before the connection is given up.
pub(crate) const DRAIN_BYTES_MAX: usize = 1 << 20;
/// So long an unwanted answer is awaited before the connection is given up.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// COM_QUIT as a whole frame.
const QUIT_FRAME: [u8; 5] = [1, 0, 0, 0, CommandCode::Quit as u8];

/// A logged-in connection to a data node.
#[derive(Debug)]
pub struct Connection {
    pub(crate) link: Link,
    pub(crate) capabilities: Capabilities,
    thread_id: u32,
    server_version: String,
    /// The answers that are due, the oldest first.
    pub(crate) expected: VecDeque<ResponseScanner>,
    /// Length of the piece that was given out last and is taken off before the next.
    pub(crate) given: usize,
    /// What was looked at of an answer that is awaited whole.
    pub(crate) seen: Seen,
    status: StatusFlags,
    session: Arc<SessionState>,
    database: Option<String>,
    dirty: bool,
    /// A client's session has something on it that must not be lost, see [`Connection::pin`].
    pinned: bool,
    pub(crate) statements: StatementCache,
    pub(crate) stream: StreamState,
    pub(crate) max_packet: usize,
    /// A LOAD DATA LOCAL was sent: the server may ask for its file.
    pub(crate) offers_file: bool,
}

/// Bytes of an answer, as they came.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// What they are.
    pub event: Event,
    /// The bytes, frame headers included: for [`Event::Rows`] any number of rows and parts of
    /// rows, else exactly one frame.
    pub frames: &'a [u8],
    /// Whether the answer to the oldest command is over with them.
    pub last: bool,
    /// Of rows: how many frames they are, if none is cut off.
    pub whole_frames: Option<u64>,
}

impl<'a> Piece<'a> {
    /// The payload of a piece that is not rows.
    pub fn payload(&self) -> &'a [u8] {
        self.frames.get(FRAME_HEADER_LEN..).unwrap_or_default()
    }

    /// The error, if the piece is one.
    pub fn error(&self) -> Option<ErrPacket> {
        match self.event {
            Event::Err { .. } => ErrPacket::decode(self.payload(), Capabilities::default()).ok(),
            _ => None,
        }
    }
}

impl Connection {
    /// Connects, logs in and sets the options' session state, all within `connect_timeout`.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, BackendError> {
        let after = options.connect_timeout;
        timeout(after, Self::connect_unbounded(options)).await.unwrap_or_else(|_| {
            Err(BackendError::Timeout { address: options.address(), doing: "log in", after })
        })
    }

    async fn connect_unbounded(options: &ConnectOptions) -> Result<Self, BackendError> {
        let mut link = Link::connect(options).await?;
        let welcome = login::log_in(&mut link, options).await?;
        link.set_read_idle(options.read_idle_timeout);
        let mut connection = Self {
            link,
            capabilities: welcome.capabilities,
            thread_id: welcome.thread_id,
            server_version: welcome.server_version,
            expected: VecDeque::new(),
            given: 0,
            seen: Seen::default(),
            status: welcome.ok.status,
            session: Arc::default(),
            database: options.database.clone(),
            dirty: false,
            pinned: false,
            statements: StatementCache::default(),
            stream: StreamState::default(),
            max_packet: options.max_packet,
            offers_file: false,
        };
        connection.apply_session(&options.session).await?;
        Ok(connection)
    }

    /// The number for KILL.
    pub fn thread_id(&self) -> u32 {
        self.thread_id
    }

    /// The server's version, for example `10.11.6-MariaDB`.
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// Whether the server is a MariaDB.
    pub fn is_mariadb(&self) -> bool {
        self.server_version.contains("MariaDB")
    }

    /// The capabilities that both sides agreed on.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// The session's state as the last answer told it.
    pub fn status(&self) -> StatusFlags {
        self.status
    }

    /// Whether a transaction is open, as the last answer told it.
    pub fn in_transaction(&self) -> bool {
        self.status.contains(StatusFlags::IN_TRANS)
    }

    /// Whether rows end with an OK packet and there are no EOF packets.
    pub fn deprecates_eof(&self) -> bool {
        self.capabilities.contains(Capabilities::DEPRECATE_EOF)
    }

    /// How many answers are still due.
    pub fn outstanding(&self) -> usize {
        self.expected.len()
    }

    /// Whether nothing is half done: no answer due, no byte unwritten, no failure.
    pub fn is_idle(&self) -> bool {
        self.expected.is_empty() && self.link.is_flushed() && !self.link.is_broken()
    }

    /// Whether the connection is lost.
    pub fn is_broken(&self) -> bool {
        self.link.is_broken()
    }

    /// Whether an idle connection's peer is still there, as far as one system call can tell.
    pub fn idle_socket_alive(&self) -> bool {
        self.is_idle() && self.link.inbox.len() == self.given && self.link.is_silent()
    }

    /// Queues a command; `parts` together are its payload, the command byte included. Nothing is
    /// written yet.
    pub fn queue(&mut self, kind: ResponseKind, parts: &[&[u8]]) {
        let mut sequence = 0;
        put_packet_parts(&mut self.link.outbox, &mut sequence, parts);
        let mut scanner = ResponseScanner::new(kind, self.deprecates_eof());
        scanner.expect_sequence(sequence);
        self.expected.push_back(scanner);
    }

    /// Queues a command that has no answer: COM_STMT_CLOSE and COM_STMT_SEND_LONG_DATA.
    pub fn queue_silent(&mut self, parts: &[&[u8]]) {
        put_packet_parts(&mut self.link.outbox, &mut 0, parts);
    }

    /// Queues a text statement.
    pub fn queue_query(&mut self, sql: &[u8]) {
        self.queue(ResponseKind::Query, &[&[CommandCode::Query as u8], sql]);
    }

    /// Writes all that is queued.
    pub async fn flush(&mut self) -> Result<(), BackendError> {
        self.link.flush().await
    }

    /// Queues a command and writes it.
    pub async fn send(&mut self, kind: ResponseKind, parts: &[&[u8]]) -> Result<(), BackendError> {
        self.queue(kind, parts);
        self.flush().await
    }

    /// The next bytes of the oldest answer that is due. Waits for them; queued commands are
    /// written first. The bytes are gone at the next call.
    pub async fn next_piece(&mut self) -> Result<Piece<'_>, BackendError> {
        if !self.link.is_flushed() {
            self.link.flush().await?;
        }
        let (event, last) = loop {
            match self.scan()? {
                Scan::Piece { event, last, .. } => break (event, last),
                Scan::NeedMore { need } => self.link.fill(need).await?,
            }
        };
        let whole_frames = self.expected.front().and_then(ResponseScanner::whole_frames);
        Ok(Piece { event, frames: &self.link.inbox[..self.given], last, whole_frames })
    }

    /// The bytes that were given out last.
    pub fn given(&self) -> &[u8] {
        &self.link.inbox[..self.given]
    }

    /// The bytes of the piece that was given out last, to be kept beyond the next call.
    pub fn keep_given(&mut self) -> Bytes {
        self.link.inbox.split_to(std::mem::take(&mut self.given)).freeze()
    }

    /// What has come of the oldest answer that is due and was not given out; waits until that is
    /// something.
    pub async fn front(&mut self) -> Result<&[u8], BackendError> {
        if !self.link.is_flushed() {
            self.link.flush().await?;
        }
        self.take_given();
        if self.link.inbox.is_empty() {
            self.link.fill(1).await?;
        }
        Ok(&self.link.inbox)
    }

    /// Takes a result's head of so many bytes and frames off [`Connection::front`], which is known to
    /// be one; false: it stays.
    pub fn skip_head(&mut self, bytes: usize, frames: u8) -> bool {
        let skipped = self.expected.front_mut().is_some_and(|scanner| scanner.skip_head(frames));
        if skipped {
            self.given = bytes;
        }
        skipped
    }

    /// Takes off the piece that was given out last.
    pub(crate) fn take_given(&mut self) {
        if self.seen.bytes > 0 {
            self.given = std::mem::take(&mut self.seen).bytes;
        }
        self.link.inbox.advance(self.given);
        self.given = 0;
    }

    fn scan(&mut self) -> Result<Scan, BackendError> {
        self.take_given();
        let scan = self.scan_behind(0)?;
        if let Scan::Piece { len, .. } = scan {
            self.given = len;
        }
        Ok(scan)
    }

    /// Looks at what is behind so many bytes.
    pub(crate) fn scan_behind(&mut self, bytes: usize) -> Result<Scan, BackendError> {
        let scanner =
            self.expected.front_mut().ok_or(BackendError::Unexpected("no answer is due"))?;
        if scanner.needs_file() {
            return Err(BackendError::Unexpected("the server waits for a file"));
        }
        let scan = match scanner.scan(&self.link.inbox[bytes..]) {
            Ok(scan) => scan,
            Err(error) => return Err(self.garbled(error)),
        };
        if let Scan::Piece { event, last, .. } = scan {
            if event == Event::LocalInfile && !self.offers_file {
                return Err(self.garbled(DecodeError::Malformed("a file was asked for unbidden")));
            }
            self.note(event, last);
        }
        Ok(scan)
    }

    /// Keeps the session's status and takes a finished answer off the queue.
    pub(crate) fn note(&mut self, event: Event, last: bool) {
        if let Event::Ok(head) | Event::ResultEnd(head) | Event::ColumnsEof(head) = event {
            self.status = head.status;
        }
        if last {
            self.expected.pop_front();
        }
    }

    /// After bytes that break the protocol nothing on the connection can be trusted.
    pub(crate) fn garbled(&mut self, error: DecodeError) -> BackendError {
        self.link.set_broken();
        BackendError::Protocol(error)
    }

    /// Reads all answers that are due and forgets them. What is longer than a bound, or does not
    /// come in time, is an error and the connection is lost.
    pub async fn drain(&mut self) -> Result<(), BackendError> {
        match timeout(DRAIN_TIMEOUT, self.drain_bytes(DRAIN_BYTES_MAX)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                self.link.set_broken();
                Err(BackendError::ResultTooLarge { limit: DRAIN_BYTES_MAX })
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.link.set_broken();
                let address = self.address().to_owned();
                Err(BackendError::Timeout {
                    address,
                    doing: "end its answer",
                    after: DRAIN_TIMEOUT,
                })
            }
        }
    }

    /// As [`Connection::drain`], of answers that are thrown away only if they are short: after so many
    /// bytes or so long the rest is left to come, and the answer is false.
    pub async fn drain_short(
        &mut self,
        limit: usize,
        within: Duration,
    ) -> Result<bool, BackendError> {
        timeout(within, self.drain_bytes(limit)).await.unwrap_or(Ok(false))
    }

    /// False when there are more bytes than these.
    async fn drain_bytes(&mut self, limit: usize) -> Result<bool, BackendError> {
        let mut bytes = 0;
        while let Some(oldest) = self.expected.front() {
            if bytes > limit {
                return Ok(false);
            }
            if oldest.needs_file() {
                self.queue_file_end();
            }
            bytes += self.next_piece().await?.frames.len();
        }
        Ok(true)
    }

    /// Whether the connection has this session state, so that applying it costs nothing.
    pub fn session_matches(&self, wanted: &Arc<SessionState>) -> bool {
        !self.dirty
            && (Arc::ptr_eq(&self.session, wanted) || self.session.same_settings(wanted))
            && self.has_database(wanted)
    }

    fn has_database(&self, wanted: &SessionState) -> bool {
        wanted.database().is_none_or(|database| self.database.as_deref() == Some(database))
    }

    /// The settings that were applied last. Its database is not kept up, see
    /// [`Connection::database`].
    pub fn applied_session(&self) -> &Arc<SessionState> {
        &self.session
    }

    /// The current database.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// What ends the connection from outside, whoever waits on it.
    pub(crate) fn cutter(&self) -> crate::link::Cutter {
        self.link.cutter()
    }

    /// Returns when the peer of an idle connection says something unasked, which is a goodbye.
    pub async fn ended(&self) {
        self.link.heard().await;
    }

    /// Whether something changed the session that its state does not tell.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Something changed the session that its state does not tell: before the next state is
    /// applied the session is reset.
    pub fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// A client's session has something on it (temporary tables, locks): it is never reset, and a
    /// lease of it that is dropped does not go back to its pool.
    pub fn pin(&mut self) {
        self.pinned = true;
    }

    /// Nothing of a client's session is left on it but what a reset takes away.
    pub fn unpin(&mut self) {
        self.pinned = false;
        self.dirty = true;
    }

    /// Whether it is pinned.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// A statement of the client itself brought the session to this state: nothing to replay.
    pub fn assume_session(&mut self, session: Arc<SessionState>) {
        if let Some(database) = session.database() {
            self.database = Some(database.to_owned());
        }
        self.session = session;
    }

    /// Gives the session this state: nothing is sent when it has it, else one SET of what differs.
    pub async fn apply_session(&mut self, wanted: &Arc<SessionState>) -> Result<(), BackendError> {
        if self.session_matches(wanted) {
            return Ok(());
        }
        if self.dirty {
            self.reset().await?;
        }
        if let Some(statement) = wanted.changes_from(&self.session) {
            // Part of it may take effect before an error.
            self.dirty = true;
            self.execute_sql(statement.as_bytes()).await?;
            self.dirty = false;
        }
        self.session = wanted.clone();
        match wanted.database() {
            Some(database) if !self.has_database(wanted) => self.init_db(database).await,
            _ => Ok(()),
        }
    }

    /// Gives the session a fresh start: transaction rolled back, temporary tables, variables,
    /// locks and prepared statements gone. The current database stays.
    pub async fn reset(&mut self) -> Result<(), BackendError> {
        if self.pinned {
            // Its state is not certain and it cannot be made anew: the session must be told.
            self.link.set_broken();
            return Err(BackendError::Closed { address: self.address().to_owned(), source: None });
        }
        self.dirty = true;
        self.queue(ResponseKind::Simple, &[&[CommandCode::ResetConnection as u8]]);
        // A reset may bring back the server's character set instead of the login's.
        self.queue_query(format!("SET NAMES {BASE_NAMES}").as_bytes());
        self.statements = StatementCache::default();
        let reset = self.read_simple().await;
        let names = self.read_simple().await;
        reset.and(names)?;
        self.session = Arc::default();
        self.dirty = false;
        Ok(())
    }

    /// Asks whether the server is there.
    pub async fn ping(&mut self) -> Result<(), BackendError> {
        self.queue(ResponseKind::Simple, &[&[CommandCode::Ping as u8]]);
        self.read_simple().await.map(|_| ())
    }

    /// Changes the current database.
    pub async fn init_db(&mut self, database: &str) -> Result<(), BackendError> {
        self.queue(ResponseKind::Simple, &[&[CommandCode::InitDb as u8], database.as_bytes()]);
        self.read_simple().await?;
        self.database = Some(database.to_owned());
        Ok(())
    }

    /// Reads an answer of one OK or ERR packet.
    pub(crate) async fn read_simple(&mut self) -> Result<OkHead, BackendError> {
        let piece = self.next_piece().await?;
        match (piece.event, piece.error()) {
            (Event::Ok(head), _) => Ok(head),
            (_, Some(error)) => Err(BackendError::Server(error)),
            _ => Err(self.garbled(DecodeError::Malformed("the answer to a simple command"))),
        }
    }

    /// Gives back large buffers before the connection is put aside.
    pub(crate) fn shrink(&mut self) {
        self.take_given();
        self.link.shrink();
        self.stream = StreamState::default();
    }
}

impl Drop for Connection {
    /// A server counts connections that end without a goodbye as aborted.
    fn drop(&mut self) {
        if self.is_idle() {
            self.link.write_now(&QUIT_FRAME);
        }
    }
}

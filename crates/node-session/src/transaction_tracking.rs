//! `session_track_transaction_info`: what a client that moves from server to server wants to know of
//! its transaction: what has been done in it, in eight letters, and with which statements it would be
//! begun again. Both are of the client's transaction, on however many data nodes it is.

use crate::query::Source;
use crate::session::Core;
use mysql_wire::session_track::SessionChange;
use node_exec::transaction::TransactionOptions;
use sql_plan::plan::{Plan, Planned};
use sql_syntax::{Keyword, TokenKind};
use topology::account::Authority;

/// The variable.
pub const VARIABLE: &str = "session_track_transaction_info";

/// Type bytes of the two entries.
const CHARACTERISTICS: u8 = 4;
const STATE: u8 = 5;

/// The letters, each at its place.
const EXPLICIT: u8 = b'T';
const IMPLICIT: u8 = b'I';
const READ: u8 = b'R';
const WRITTEN: u8 = b'W';
const UNSAFE: u8 = b's';
const ROWS_SENT: u8 = b'S';
const LOCKED: u8 = b'L';
const NOTHING: [u8; 8] = *b"________";

/// Functions that a server says cannot be repeated elsewhere.
const UNSAFE_FUNCTIONS: [&[u8]; 12] = [
    b"UUID",
    b"UUID_SHORT",
    b"RAND",
    b"SLEEP",
    b"USER",
    b"CURRENT_USER",
    b"SESSION_USER",
    b"SYSTEM_USER",
    b"VERSION",
    b"FOUND_ROWS",
    b"ROW_COUNT",
    b"LOAD_FILE",
];

/// Where a letter stands.
fn place(letter: u8) -> usize {
    match letter {
        READ => 2,
        WRITTEN => 4,
        UNSAFE => 5,
        ROWS_SENT => 6,
        LOCKED => 7,
        _ => 0,
    }
}

/// What a session that is asked to tells of its transactions.
#[derive(Debug)]
pub struct TransactionTracker {
    /// CHARACTERISTICS, not STATE alone.
    full: bool,
    state: [u8; 8],
    told: [u8; 8],
    /// A statement changed the state, or was of a kind that does.
    touched: bool,
    isolation: Option<&'static str>,
    /// READ ONLY or READ WRITE, where it was said.
    access: Option<bool>,
    begun: Option<bool>,
    changed: bool,
}

impl TransactionTracker {
    fn new(full: bool) -> Self {
        Self {
            full,
            state: NOTHING,
            told: *b"????????",
            touched: true,
            isolation: None,
            access: None,
            begun: None,
            changed: full,
        }
    }

    fn set(&mut self, letter: u8) {
        self.state[place(letter)] = letter;
        self.touched = true;
    }

    fn is_open(&self) -> bool {
        self.state[0] != b'_'
    }

    /// A transaction begins by a statement of its own.
    fn begin(&mut self, snapshot: bool, access: Option<bool>) {
        self.state = [NOTHING[0]; 8];
        self.set(EXPLICIT);
        if snapshot {
            self.set(READ);
        }
        self.begun = Some(snapshot);
        self.access = access.or(self.access);
        self.changed = true;
    }

    /// The transaction is over; what was said for the next one holds no longer.
    fn end(&mut self) {
        let locked = self.state[place(LOCKED)];
        self.state = NOTHING;
        self.state[place(LOCKED)] = locked;
        self.touched = true;
        self.forget();
    }

    fn forget(&mut self) {
        self.changed |= self.begun.is_some() || self.isolation.is_some() || self.access.is_some();
        (self.isolation, self.access, self.begun) = (None, None, None);
    }

    /// The statements that would begin such a transaction.
    fn statements(&self) -> String {
        let mut said = Vec::new();
        if let Some(level) = self.isolation {
            said.push(format!("SET TRANSACTION ISOLATION LEVEL {level};"));
        }
        let access =
            self.access.map(|read_only| if read_only { "READ ONLY" } else { "READ WRITE" });
        match (self.begun, access) {
            (None, None) => {}
            (None, Some(access)) => said.push(format!("SET TRANSACTION {access};")),
            (Some(snapshot), _) => {
                let snapshot = snapshot.then_some("WITH CONSISTENT SNAPSHOT");
                let words: Vec<&str> = snapshot.into_iter().chain(access).collect();
                let space = if words.is_empty() { "" } else { " " };
                said.push(format!("START TRANSACTION{space}{};", words.join(", ")));
            }
        }
        said.join(" ")
    }

    /// Whether there is something to tell.
    fn is_new(&self) -> bool {
        self.touched && self.state != self.told || self.full && self.changed
    }

    /// What is to be told, which is told then.
    pub fn take(&mut self, changes: &mut Vec<SessionChange>) {
        let entry = |kind, text: &[u8]| {
            let mut data = Vec::new();
            mysql_wire::lenenc::put_bytes(&mut data, text);
            SessionChange::Other { kind, data }
        };
        if std::mem::take(&mut self.touched) && self.state != self.told {
            changes.push(entry(STATE, &self.state));
            self.told = self.state;
        }
        if std::mem::take(&mut self.changed) && self.full {
            changes.push(entry(CHARACTERISTICS, self.statements().as_bytes()));
        }
    }
}

impl Core {
    fn tracker(&mut self) -> Option<&mut TransactionTracker> {
        self.tracking.transaction.as_deref_mut()
    }

    /// The variable may have another value now.
    pub fn follow_transaction_tracking(&mut self) {
        let value = self.exec.state.get(VARIABLE).map(|value| value.trim_matches('\''));
        let full = match value.filter(|_| self.tracks_session()) {
            Some("STATE") => false,
            Some("CHARACTERISTICS") => true,
            _ => {
                self.tracking.transaction = None;
                return;
            }
        };
        match self.tracker() {
            Some(known) => {
                known.changed = full && !known.full;
                known.full = full;
            }
            None => self.tracking.transaction = Some(Box::new(TransactionTracker::new(full))),
        }
    }

    /// BEGIN, START TRANSACTION.
    pub fn track_begin(&mut self, snapshot: bool, access: Option<bool>) {
        if let Some(tracker) = self.tracker() {
            tracker.begin(snapshot, access);
        }
    }

    /// COMMIT, ROLLBACK.
    pub fn track_end(&mut self, chain: bool) {
        let Some(tracker) = self.tracker() else { return };
        match (chain, tracker.begun) {
            (true, Some(snapshot)) => tracker.begin(snapshot, None),
            (true, None) => tracker.begin(false, None),
            (false, _) => tracker.end(),
        }
    }

    /// SET TRANSACTION for the next one; for the session, what was said for the next one goes.
    pub fn track_options(
        &mut self,
        isolation: Option<&'static str>,
        access: Option<bool>,
        once: bool,
    ) {
        let Some(tracker) = self.tracker() else { return };
        if !once {
            tracker.forget();
            return;
        }
        tracker.isolation = isolation.or(tracker.isolation);
        tracker.access = access.or(tracker.access);
        tracker.changed = true;
    }

    /// A statement may have ended the transaction by the way.
    pub fn track_implicit_end(&mut self) {
        let is_open = self.exec.transaction.is_some();
        let Some(tracker) = self.tracker() else { return };
        if tracker.is_open() && !is_open && tracker.state[place(LOCKED)] != LOCKED {
            tracker.end();
        }
    }

    /// LOCK TABLES, UNLOCK TABLES.
    pub fn track_locks(&mut self, locked: bool, writes: bool) {
        let autocommit = self.exec.autocommit;
        let Some(tracker) = self.tracker() else { return };
        tracker.state = NOTHING;
        tracker.touched = true;
        if locked && !autocommit {
            tracker.set(IMPLICIT);
            tracker.set(if writes { WRITTEN } else { READ });
        }
        if locked {
            tracker.set(LOCKED);
        }
    }

    /// A planned statement is about to run: what it will have done is told with its end.
    pub fn track_planned(
        &mut self,
        planned: &Planned,
        source: Source<'_>,
        once: Option<&TransactionOptions>,
    ) {
        if self.tracking.transaction.is_none() {
            return;
        }
        let implicit = self.exec.transaction.is_none() && !self.exec.autocommit;
        let inside = self.exec.transaction.is_some() || implicit;
        let Some(tracker) = self.tracker() else { return };
        if matches!(planned.plan, Plan::Ddl(_) | Plan::Placement(_)) {
            tracker.end();
            return self.tell_with_end(false);
        }
        let rows = sends_rows(source, planned.read_only || planned.locking);
        let tables = planned.access.iter().any(|access| access.table.is_some());
        if inside && (tables || tracker.is_open()) {
            if implicit || !tracker.is_open() {
                tracker.set(IMPLICIT);
            }
            let reads = |access: &sql_plan::plan::Access| access.authority == Authority::Select;
            if tables && !planned.locking && planned.access.iter().any(reads) {
                tracker.set(READ);
            }
            if tables && !planned.read_only {
                tracker.set(WRITTEN);
            }
            if is_unsafe(source) {
                tracker.set(UNSAFE);
            }
            if rows {
                tracker.set(ROWS_SENT);
            }
        } else if tables && once.is_some() {
            tracker.forget();
        }
        self.tell_with_end(rows);
    }

    /// A statement of the session's own sends rows.
    pub fn track_rows(&mut self) {
        let Some(tracker) = self.tracker() else { return };
        if tracker.is_open() {
            tracker.set(ROWS_SENT);
            self.tell_with_end(true);
        }
    }

    /// What is new is told with the end of the present answer. Where that is the end of rows, which
    /// cannot tell it to every client, it stays to be told.
    fn tell_with_end(&mut self, rows: bool) {
        let can_tell = !rows || self.out.ends_with_ok();
        let Some(tracker) = self.tracker() else { return };
        if !tracker.is_new() || !can_tell {
            tracker.touched = false;
            return;
        }
        let mut changes = Vec::new();
        let (told, changed) = (tracker.told, tracker.changed);
        tracker.take(&mut changes);
        let mut packed = Vec::new();
        mysql_wire::session_track::put_session_track(&changes, &mut packed);
        self.tracking.before = Some((told, changed));
        self.out.tell_with_end(packed);
    }

    /// The statement failed: its client was told nothing.
    pub fn track_failed(&mut self) {
        self.out.tell_with_end(Vec::new());
        let Some((told, changed)) = self.tracking.before.take() else { return };
        let Some(tracker) = self.tracker() else { return };
        (tracker.told, tracker.changed) = (told, changed);
        tracker.touched = false;
    }
}

/// LIMIT of some rows, and functions that give something else each time.
fn is_unsafe(source: Source<'_>) -> bool {
    let tokens = source.tokens.tokens();
    tokens.windows(2).any(|pair| {
        let next = pair[1].span().of(source.text);
        if pair[0].keyword == Keyword::Limit {
            return next != b"0";
        }
        let name = pair[0].span().of(source.text);
        pair[1].kind == TokenKind::LParen
            && UNSAFE_FUNCTIONS.iter().any(|one| one.eq_ignore_ascii_case(name))
    })
}

/// Whether the answer has rows: of a query without INTO, and of RETURNING.
fn sends_rows(source: Source<'_>, is_query: bool) -> bool {
    let tokens = source.tokens.tokens();
    let has = |word| tokens.iter().any(|token| token.keyword == word);
    if is_query { !has(Keyword::Into) } else { has(Keyword::Returning) }
}

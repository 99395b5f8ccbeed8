//! The node's sessions as others see them: SHOW PROCESSLIST, KILL, `max_connections`. Each session
//! has a small record that it updates itself; a killer sets a mark and wakes it.

use crate::pins::Pins;
use futures::task::AtomicWaker;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Instant;
use topology::peers::{CONNECTION_ID_BITS, SessionRow};

/// As much of a statement is shown.
const INFO_BYTES_MAX: usize = 1024;

/// All sessions of a node by their connection id.
#[derive(Debug, Default)]
pub struct Processes {
    sessions: Mutex<BTreeMap<u32, Arc<SessionHandle>>>,
    last_id: AtomicU32,
    /// As many there were at once.
    most: AtomicU32,
    /// The node's number within the instance: ids of all its nodes differ.
    number: AtomicU32,
}

/// What is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kill {
    /// Nothing.
    None = 0,
    /// The statement that runs.
    Query = 1,
    /// The statement that runs, for it ran longer than allowed.
    Timeout = 2,
    /// The statement that runs, and its transaction, which is in a deadlock.
    Deadlock = 3,
    /// The session.
    Connection = 4,
}

/// One session as others see it.
#[derive(Debug)]
pub struct SessionHandle {
    /// Its connection id.
    pub id: u32,
    /// Whether it has a transaction: such sessions get time when the node stops.
    pub in_transaction: AtomicBool,
    kill: AtomicU8,
    /// The session's task: it alone waits for the mark.
    wake: AtomicWaker,
    state: Mutex<SessionInfo>,
    /// What it holds between statements.
    pub pins: Pins,
    /// How many prepared statements it has.
    pub prepared: AtomicU64,
    /// How long it may be idle by its own wish, in seconds; 0 without one.
    pub idle_seconds: AtomicU64,
}

/// The columns of SHOW PROCESSLIST.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The account.
    pub user: String,
    /// `ip:port` of the client.
    pub host: String,
    /// The chosen schema.
    pub schema: Option<String>,
    /// Whether a statement runs.
    pub running: bool,
    /// The number of the statement that runs, or ran last, counted from the login.
    pub statement: u64,
    /// When that last changed.
    pub since: Instant,
    /// The statement, cut.
    pub info: Vec<u8>,
    /// What the client said of itself.
    pub attributes: Vec<(String, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Processes {
    /// Adds a session.
    pub fn enter(&self, host: String) -> Arc<SessionHandle> {
        let mut sessions = lock(&self.sessions);
        let first = self.number.load(Ordering::Relaxed) << CONNECTION_ID_BITS;
        let id = loop {
            let next = self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            let id = first | (next & ((1 << CONNECTION_ID_BITS) - 1));
            if id != first && !sessions.contains_key(&id) {
                break id;
            }
        };
        let handle = Arc::new(SessionHandle {
            id,
            in_transaction: AtomicBool::new(false),
            kill: AtomicU8::new(0),
            wake: AtomicWaker::new(),
            state: Mutex::new(SessionInfo {
                user: "unauthenticated user".to_owned(),
                host,
                schema: None,
                running: false,
                statement: 0,
                since: Instant::now(),
                info: Vec::new(),
                attributes: Vec::new(),
            }),
            pins: Pins::default(),
            prepared: AtomicU64::new(0),
            idle_seconds: AtomicU64::new(0),
        });
        sessions.insert(id, handle.clone());
        self.most.fetch_max(u32::try_from(sessions.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        handle
    }

    /// Ids of new sessions begin with this number of the node, counted from 1.
    pub fn set_number(&self, number: u32) {
        self.number.store(number.wrapping_sub(1), Ordering::Relaxed);
    }

    /// The node's number, counted from 1.
    pub fn number(&self) -> u32 {
        self.number.load(Ordering::Relaxed).wrapping_add(1)
    }

    /// How many have come since the start.
    pub fn entered(&self) -> u32 {
        self.last_id.load(Ordering::Relaxed)
    }

    /// How many there were at most at once.
    pub fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    /// How many there were at once is counted anew.
    pub fn flush_most(&self) {
        let now = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.most.store(now, Ordering::Relaxed);
    }

    /// Removes a session.
    pub fn leave(&self, id: u32) {
        lock(&self.sessions).remove(&id);
    }

    /// The session of this id.
    pub fn get(&self, id: u32) -> Option<Arc<SessionHandle>> {
        lock(&self.sessions).get(&id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<SessionHandle>> {
        lock(&self.sessions).values().cloned().collect()
    }

    /// Ends all sessions of an account but one; how many.
    pub fn kill_all_of(&self, user: &str, but: Option<u32>) -> u64 {
        let all = self.all();
        let chosen = all.iter().filter(|one| Some(one.id) != but && one.info().user == user);
        chosen.inspect(|one| one.kill(Kill::Connection)).count() as u64
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A statement without its passwords. One that was cut may have lost the end of one: nothing behind
/// such a word is shown then.
fn without_secrets(statement: &[u8]) -> Vec<u8> {
    let begins = |word: &[u8]| {
        statement.windows(word.len()).position(|part| part.eq_ignore_ascii_case(word))
    };
    let Some(at) = begins(b"identified").or_else(|| begins(b"password")) else {
        return statement.to_vec();
    };
    if statement.len() >= INFO_BYTES_MAX {
        return [&statement[..at], b"***"].concat();
    }
    let mut tokens = sql_syntax::TokenBuf::new();
    sql_syntax::lex(statement, 0, &sql_syntax::LexMode::default(), &mut tokens);
    let mut masked = Vec::new();
    sql_syntax::mask_secrets(statement, &tokens, &mut masked);
    masked
}

impl SessionHandle {
    /// What others see.
    pub fn info(&self) -> SessionInfo {
        let mut info = lock(&self.state).clone();
        info.info = without_secrets(&info.info);
        info
    }

    /// What others see, as a row of a list.
    pub fn row(&self) -> SessionRow {
        let info = self.info();
        let text = || String::from_utf8_lossy(&info.info).into_owned();
        SessionRow {
            id: self.id,
            statement: info.running.then(text),
            user: info.user,
            host: info.host,
            schema: info.schema,
            running: info.running,
            milliseconds: u64::try_from(info.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            attributes: info.attributes,
            pins: self.pins.rows(),
        }
    }

    /// The login went well.
    pub fn set_user(&self, user: &str) {
        lock(&self.state).user = user.to_owned();
    }

    /// The client has said this of itself.
    pub fn set_attributes(&self, sent: &[(Vec<u8>, Vec<u8>)]) {
        lock(&self.state).attributes = crate::connect_attributes::kept(sent);
    }

    /// The schema was chosen.
    pub fn set_schema(&self, schema: Option<&str>) {
        lock(&self.state).schema = schema.map(str::to_owned);
    }

    /// A statement begins; says when.
    pub fn begin(&self, statement: &[u8]) -> Instant {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.running = true;
        state.statement += 1;
        state.since = now;
        state.info.clear();
        state.info.extend_from_slice(&statement[..statement.len().min(INFO_BYTES_MAX)]);
        now
    }

    /// The statement is over.
    pub fn end(&self) {
        let mut state = lock(&self.state);
        state.running = false;
        state.since = Instant::now();
    }

    /// Whether a statement runs, and since when it does (or does not).
    pub fn running_since(&self) -> (bool, Instant) {
        let state = lock(&self.state);
        (state.running, state.since)
    }

    /// The number of the statement that runs, and since when it does.
    pub fn running_statement(&self) -> Option<(u64, Instant)> {
        let state = lock(&self.state);
        state.running.then_some((state.statement, state.since))
    }

    /// The same as [`Self::kill`] while the statement of this number runs; whether it does.
    pub fn kill_statement(&self, number: u64, what: Kill) -> bool {
        // Locked, so that it does not end meanwhile and the mark meets the next one.
        let state = lock(&self.state);
        let runs = state.running && state.statement == number;
        if runs {
            self.kill(what);
        }
        runs
    }

    /// Marks and wakes the session. A mark is never weakened.
    pub fn kill(&self, what: Kill) {
        self.kill.fetch_max(what as u8, Ordering::AcqRel);
        self.wake.wake();
    }

    /// What is to be ended.
    pub fn killed(&self) -> Kill {
        match self.kill.load(Ordering::Acquire) {
            0 => Kill::None,
            1 => Kill::Query,
            2 => Kill::Timeout,
            3 => Kill::Deadlock,
            _ => Kill::Connection,
        }
    }

    /// Takes the mark of a killed statement off; that of a killed session stays.
    pub fn clear_query_kill(&self) {
        for mark in [Kill::Query, Kill::Timeout, Kill::Deadlock] {
            self.kill.compare_exchange(mark as u8, 0, Ordering::AcqRel, Ordering::Relaxed).ok();
        }
    }

    /// Waits for the end of the session.
    pub async fn wait_for_session_kill(&self) {
        while self.wait_for_kill().await != Kill::Connection {
            // Nothing runs: a killed statement is over already.
            self.clear_query_kill();
        }
    }

    /// As [`Self::wait_for_session_kill`], while a killed statement still runs.
    pub async fn session_kill(&self) {
        self.wait_until(|kill| kill == Kill::Connection).await;
    }

    /// Waits for a mark.
    pub async fn wait_for_kill(&self) -> Kill {
        self.wait_until(|kill| kill != Kill::None).await
    }

    async fn wait_until(&self, is_wanted: impl Fn(Kill) -> bool) -> Kill {
        poll_fn(|context| {
            // Registered before looking, so that none is missed.
            self.wake.register(context.waker());
            match self.killed() {
                kill if is_wanted(kill) => Poll::Ready(kill),
                _ => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_session_kill_outlives_the_statement() {
        let processes = Processes::default();
        let one = processes.enter("127.0.0.1:1".into());
        one.kill(Kill::Query);
        assert_eq!(one.killed(), Kill::Query);
        one.clear_query_kill();
        assert_eq!(one.killed(), Kill::None);
        one.kill(Kill::Connection);
        one.kill(Kill::Query);
        one.clear_query_kill();
        assert_eq!(one.killed(), Kill::Connection);
        processes.leave(one.id);
        assert!(processes.get(one.id).is_none() && processes.is_empty());
    }

    #[test]
    fn a_statement_is_killed_by_its_number() {
        let processes = Processes::default();
        let one = processes.enter("h".into());
        one.begin(b"first");
        let (first, _) = one.running_statement().unwrap();
        assert!(one.kill_statement(first, Kill::Deadlock) && one.killed() == Kill::Deadlock);
        one.end();
        one.clear_query_kill();
        assert!(!one.kill_statement(first, Kill::Deadlock), "it is over");
        one.begin(b"second");
        assert!(!one.kill_statement(first, Kill::Deadlock), "another one runs");
        assert_eq!(one.killed(), Kill::None);
    }

    #[test]
    fn ids_of_two_nodes_differ() {
        let (first, second) = (Processes::default(), Processes::default());
        first.set_number(1);
        second.set_number(2);
        assert_eq!(first.enter("h".into()).id, 1);
        assert_eq!(second.enter("h".into()).id, (1 << CONNECTION_ID_BITS) + 1);
        // After the last one it goes on with the first that is free.
        second.last_id.store((1 << CONNECTION_ID_BITS) - 1, Ordering::Relaxed);
        assert_eq!(second.enter("h".into()).id, (1 << CONNECTION_ID_BITS) + 2);
    }

    #[test]
    fn passwords_are_not_shown() {
        let processes = Processes::default();
        let one = processes.enter("h".into());
        for statement in [
            "CREATE USER u IDENTIFIED BY 'Secr3t'".to_owned(),
            "SET PASSWORD FOR u = 'Secr3t'".to_owned(),
            format!("ALTER USER u IDENTIFIED BY 'Secr3t{}'", "x".repeat(2000)),
        ] {
            one.begin(statement.as_bytes());
            assert!(!String::from_utf8_lossy(&one.info().info).contains("Secr3t"), "{statement}");
        }
    }

    #[test]
    fn long_statements_are_cut() {
        let processes = Processes::default();
        let one = processes.enter("h".into());
        one.begin(&[b'x'; 5000]);
        assert_eq!(one.info().info.len(), INFO_BYTES_MAX);
        assert!(one.running_since().0);
        one.end();
        assert!(!one.running_since().0);
    }
}

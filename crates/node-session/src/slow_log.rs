//! The slow log of a node: statements at or over `long_query_time`, without the passwords in them,
//! in a bounded queue until a control plane has kept them. A statement that is fast pays one look at
//! the clock and one comparison; all else is done for slow ones only.

use crate::session::Core;
use sql_syntax::{Digest, TokenBuf, lex, mask_secrets, normalise};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use telemetry::metrics::Counter;
use topology::model::physical_database;
use topology::slow_query::SlowQuery;

/// As much of a statement's text is logged.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// As many physical databases of one statement are named.
pub const SHARDS_MAX: usize = 64;

/// Slow statements that wait for a control plane; when there are more the oldest are dropped.
pub const QUEUE_MAX: usize = 2_048;

/// Statements at or over `long_query_time`.
pub static SLOW_QUERIES: Counter =
    Counter::new("ddm_slow_queries_total", "Statements at or over long_query_time.");
/// Slow statements that were never logged.
pub static SLOW_QUERIES_DROPPED: Counter = Counter::new(
    "ddm_slow_queries_dropped_total",
    "Slow statements dropped because the control plane did not take them in time.",
);

/// A statement that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// When it began.
    pub started: Instant,
    /// Where it begins in its text.
    from: u32,
}

/// Slow statements on their way to the control plane.
#[derive(Debug)]
pub struct SlowLog {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<SlowQuery>,
    last_number: u64,
    dropped: u64,
}

impl Default for SlowLog {
    /// Numbers go on from the clock, so that they grow over restarts too.
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last_number = u64::try_from(since.as_micros()).unwrap_or(0);
        Self { state: Mutex::new(State { waiting: VecDeque::new(), last_number, dropped: 0 }) }
    }
}

impl SlowLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds a statement and numbers it; the oldest goes when there is no room.
    pub fn push(&self, mut query: SlowQuery) {
        SLOW_QUERIES.increment();
        let mut state = self.state();
        state.last_number += 1;
        query.number = state.last_number;
        if state.waiting.len() >= QUEUE_MAX {
            state.waiting.pop_front();
            state.dropped += 1;
            SLOW_QUERIES_DROPPED.increment();
        }
        state.waiting.push_back(query);
    }

    /// The oldest statements that wait, at most `count`, and how many were dropped up to now.
    pub fn oldest(&self, count: usize) -> (Vec<SlowQuery>, u64) {
        let state = self.state();
        (state.waiting.iter().take(count).cloned().collect(), state.dropped)
    }

    /// Forgets the statements up to this number: they are kept elsewhere.
    pub fn kept(&self, up_to: u64) {
        let mut state = self.state();
        while state.waiting.front().is_some_and(|query| query.number <= up_to) {
            state.waiting.pop_front();
        }
    }
}

impl Core {
    /// A statement of the client begins, at `from` in its text.
    pub fn statement_begins(&mut self, started: Instant, from: u32) {
        self.running = Some(Running { started, from });
        self.counts.begin();
        self.exec.touched.begin();
        self.exec.outrun = None;
    }

    /// The statement is over; says when.
    pub fn statement_ends(&mut self, text: &[u8], tokens: &TokenBuf, failed: bool) -> Instant {
        let now = Instant::now();
        if let Some(running) = self.running.take() {
            let took = now.duration_since(running.started);
            if took >= self.worker.settings().slow_after {
                self.log_slow(text, tokens, took, failed);
            }
        }
        now
    }

    /// The session ends in the middle of a statement (its client went away, or it was killed): that
    /// it was slow is worth knowing all the same.
    pub fn statement_cut_off(&mut self) {
        let Some(running) = self.running.take() else { return };
        let took = running.started.elapsed();
        if took < self.worker.settings().slow_after {
            return;
        }
        let text = self.handle.info().info;
        let from = usize::try_from(running.from).unwrap_or(usize::MAX);
        if from >= text.len() {
            return;
        }
        let mut tokens = TokenBuf::new();
        lex(&text, running.from, &self.lex, &mut tokens);
        self.log_slow(&text, &tokens, took, true);
    }

    #[cold]
    fn log_slow(&self, text: &[u8], tokens: &TokenBuf, took: Duration, failed: bool) {
        let mut digest = Digest::default();
        normalise(text, tokens, &mut digest);
        let touched = self.exec.touched.shards();
        let current = self.exec.identity.schema.clone();
        let schema = touched.first().map(|(schema, _)| schema.clone()).or(current);
        let last = &self.exec.last;
        let returned = match u64::try_from(last.row_count) {
            _ if failed => 0,
            Ok(changed) => changed,
            Err(_) => last.found_rows,
        };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let started = SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH);
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.worker.shared.slow_log.push(SlowQuery {
            number: 0,
            user: self.user.clone(),
            schema: schema.unwrap_or_default(),
            text: shown_text(text, tokens),
            digest: format!("{:032x}", digest.hash),
            started_ms: i64::try_from(started.as_millis()).unwrap_or(i64::MAX),
            milliseconds: took_ms,
            shards: self.names_of(&touched),
            rows_examined: self.exec.touched.rows().max(returned),
            rows_returned: returned,
            client: self.host.clone(),
        });
    }

    /// The names of physical databases.
    fn names_of(&self, shards: &[(String, u32)]) -> Vec<String> {
        let names: BTreeSet<String> = shards
            .iter()
            .take(SHARDS_MAX)
            .map(|(schema, shard)| {
                let known = self.snapshot.schema(schema);
                let known = known.and_then(|schema| schema.shards.get(*shard as usize));
                known.map_or_else(|| physical_database(schema, *shard), |one| one.database.clone())
            })
            .collect();
        names.into_iter().collect()
    }
}

/// The text as it is logged: without passwords, and cut at a character.
fn shown_text(text: &[u8], tokens: &TokenBuf) -> String {
    let mut masked = Vec::new();
    mask_secrets(text, tokens, &mut masked);
    let mut shown = String::from_utf8_lossy(&masked).trim().to_owned();
    if shown.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0);
        shown.truncate(end);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql_syntax::LexMode;

    fn query(text: &str) -> SlowQuery {
        SlowQuery {
            number: 0,
            user: "u".to_owned(),
            schema: "s".to_owned(),
            text: text.to_owned(),
            digest: String::new(),
            started_ms: 0,
            milliseconds: 1_000,
            shards: Vec::new(),
            rows_examined: 0,
            rows_returned: 0,
            client: "127.0.0.1".to_owned(),
        }
    }

    #[test]
    fn the_oldest_go_first_when_the_queue_is_full_and_are_counted() {
        let log = SlowLog::default();
        for number in 0..QUEUE_MAX + 3 {
            log.push(query(&number.to_string()));
        }
        let (oldest, dropped) = log.oldest(2);
        assert_eq!(dropped, 3);
        assert_eq!(oldest.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["3", "4"]);
        assert_eq!(log.oldest(usize::MAX).0.len(), QUEUE_MAX);
    }

    #[test]
    fn what_is_kept_elsewhere_goes_and_only_that() {
        let log = SlowLog::default();
        for text in ["a", "b", "c"] {
            log.push(query(text));
        }
        let (batch, _) = log.oldest(2);
        assert!(batch[0].number < batch[1].number);
        assert_eq!(log.oldest(2).0, batch, "it stays until it is kept");
        log.kept(batch[1].number);
        let (rest, _) = log.oldest(10);
        assert_eq!(rest.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["c"]);
        log.kept(batch[1].number);
        assert_eq!(log.oldest(10).0.len(), 1);
        let restarted = SlowLog::default();
        restarted.push(query("d"));
        assert!(restarted.oldest(1).0[0].number >= rest[0].number, "numbers go on");
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_after_masking() {
        let shown = |text: &str| {
            let mut tokens = TokenBuf::new();
            lex(text.as_bytes(), 0, &LexMode::default(), &mut tokens);
            shown_text(text.as_bytes(), &tokens)
        };
        assert_eq!(shown(" SELECT 1 "), "SELECT 1");
        let long = shown(&format!("SELECT 'x{}'", "é".repeat(TEXT_BYTES_MAX)));
        assert!(long.len() >= TEXT_BYTES_MAX - 1 && long.len() <= TEXT_BYTES_MAX);
        let secret = format!("SELECT PASSWORD('{}')", "s3cret".repeat(TEXT_BYTES_MAX));
        assert_eq!(shown(&secret), "SELECT PASSWORD('***')");
    }
}

//! SHOW DDM SESSIONS: which sessions hold a data node's connection between their statements, and why.
//! A session tells what it holds where others can see it, and only when that has changed.

use crate::connect_attributes;
use crate::like;
use crate::processes::SessionHandle;
use crate::query::{Source, run_shown};
use crate::session::Core;
use crate::show::{Row, field, literal_text};
use base::sql_error;
use node_exec::error::{ExecError, sql};
use node_exec::exec::ExecSession;
use node_exec::pins::Pin;
use node_exec::rows::{number_column, text_column};
use sql_syntax::ast::Show;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;
use topology::peers::{PinRow, SessionRow};

const NUMBER: &str = "SIGNED";
/// The columns of SHOW DDM SESSIONS with their types.
const COLUMNS: [(&str, &str); 11] = [
    ("Id", NUMBER),
    ("User", "CHAR(128)"),
    ("Host", "CHAR(128)"),
    ("db", "CHAR(128)"),
    ("State", "CHAR(16)"),
    ("Time", NUMBER),
    ("Data_node", "CHAR(128)"),
    ("Connection_id", NUMBER),
    ("Held_for", "CHAR(256)"),
    ("Held_seconds", NUMBER),
    ("Attributes", "CHAR(1024)"),
];

/// One connection that a session holds.
#[derive(Clone, Debug)]
struct Held {
    server: String,
    connection_id: Option<u32>,
    reasons: Vec<&'static str>,
    since: Instant,
}

impl Held {
    fn is(&self, pin: &Pin<'_>) -> bool {
        self.server == pin.server && self.connection_id == pin.connection_id
    }
}

/// What a session holds, as others see it.
#[derive(Debug, Default)]
pub struct Pins {
    any: AtomicBool,
    held: Mutex<Vec<Held>>,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether these are the ones that the session holds now.
    fn are_of(&self, session: &ExecSession) -> bool {
        let held = self.lock();
        let (mut told, mut same) = (0, true);
        session.each_pin(&mut |pin| {
            told += 1;
            let known = held.iter().find(|held| held.is(&pin));
            same &= known.is_some_and(|held| held.reasons.contains(&pin.reason.name()));
        });
        same && told == held.iter().map(|held| held.reasons.len()).sum::<usize>()
    }

    /// From now on the session holds these; those that it held already are as old as they were.
    fn set(&self, session: &ExecSession) {
        let mut now: Vec<Held> = Vec::new();
        let mut held = self.lock();
        session.each_pin(&mut |pin| {
            let reason = pin.reason.name();
            if let Some(known) = now.iter_mut().find(|held| held.is(&pin)) {
                known.reasons.push(reason);
                return;
            }
            let before = held.iter().find(|held| held.is(&pin));
            now.push(Held {
                server: pin.server.to_owned(),
                connection_id: pin.connection_id,
                reasons: vec![reason],
                since: before.map_or_else(Instant::now, |before| before.since),
            });
        });
        self.any.store(!now.is_empty(), Ordering::Relaxed);
        *held = now;
    }

    /// As rows of a list.
    pub fn rows(&self) -> Vec<PinRow> {
        let held = self.lock();
        let row = |held: &Held| PinRow {
            server: held.server.clone(),
            connection_id: held.connection_id,
            reasons: held.reasons.join(", "),
            milliseconds: u64::try_from(held.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        held.iter().map(row).collect()
    }
}

impl SessionHandle {
    /// The session ends a statement with these connections.
    fn follow_pins(&self, session: &ExecSession) {
        if (session.has_pins() || self.pins.any()) && !self.pins.are_of(session) {
            self.pins.set(session);
        }
    }
}

impl Core {
    /// Tells others what the session holds now.
    pub fn tell_pins(&self) {
        self.handle.follow_pins(&self.exec);
    }

    /// SHOW DDM SESSIONS: a row for each session, or for each connection that it holds. LIKE chooses
    /// by the account's name, WHERE by any column. Nodes that do not answer are told by a warning.
    pub async fn show_ddm_sessions(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        if show.limit.is_some() {
            return Err(sql(sql_error::NOT_SUPPORTED, "SHOW DDM SESSIONS takes no LIMIT"));
        }
        // The transaction that this very statement may have begun or ended is seen too.
        self.tell_pins();
        let (sessions, missing) = self.all_sessions().await?;
        let pattern = show.like_tok.map(|token| literal_text(source, token));
        let chosen = sessions.iter().filter(|session| {
            pattern.as_ref().is_none_or(|pattern| like::matches(pattern, &session.user))
        });
        let rows: Vec<Row> = chosen.flat_map(rows_of).collect();
        match &show.selection {
            Some(condition) => {
                let from = connect_attributes::derived(&COLUMNS, &rows);
                let condition = condition.span.of(source.text);
                let text = [b"SELECT * FROM ", from.as_slice(), b" AS sessions WHERE ", condition];
                run_shown(self, &text.concat(), source).await?;
            }
            None => {
                let columns = COLUMNS.map(|(name, kind)| match kind {
                    NUMBER => number_column(name),
                    _ => text_column(name),
                });
                self.reply(&columns, &rows).await?;
            }
        }
        self.warn_of_missing(missing);
        Ok(())
    }
}

/// The rows of a session; columns about a connection are NULL where it holds none.
fn rows_of(session: &SessionRow) -> Vec<Row> {
    let own = || {
        vec![
            field(session.id),
            field(&session.user),
            field(&session.host),
            session.schema.as_ref().and_then(field),
            field(if session.running { "executing" } else { "idle" }),
            field(session.milliseconds / 1000),
        ]
    };
    let said = || vec![field(connect_attributes::shown(&session.attributes))];
    if session.pins.is_empty() {
        return vec![[own(), vec![None; 4], said()].concat()];
    }
    let pinned = session.pins.iter().map(|pin| {
        let connection = vec![
            field(&pin.server),
            pin.connection_id.and_then(field),
            field(&pin.reasons),
            field(pin.milliseconds / 1000),
        ];
        [own(), connection, said()].concat()
    });
    pinned.collect()
}

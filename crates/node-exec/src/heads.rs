//! Heads of answers: the count of a result's columns and their definitions. They are the same each time a
//! statement runs on one shard, and what the client gets for them follows from them, from the plan's tables and
//! from what client and session are like. So a thread keeps what it came to, and an answer of one row is not
//! taken apart packet by packet. What is kept is compared whole before it is used: it cannot be out of date.

use crate::client::{self, ClientWriter, Mark};
use crate::error::ExecError;
use crate::pipeline::Pieces;
use mysql_wire::capability::Capabilities;
use mysql_wire::frame::FRAME_HEADER_LEN;
use mysql_wire::packet::EOF_LEN;
use mysql_wire::status::StatusFlags;
use sql_plan::plan::PlanTable;
use std::cell::RefCell;
use std::rc::Rc;

/// Heads that a thread keeps.
const SLOTS: usize = 256;

/// A longer head is made anew each time.
const HEAD_BYTES_MAX: usize = 2048;

/// So many bytes at an answer's front, where physical names stand, decide on its place.
const HASHED_BYTES: usize = 40;

/// Stands for a number of frames that are not kept.
const TOO_LONG: u8 = u8::MAX;

/// First bytes of a packet that counts columns: fewer than 251.
const COUNTS: std::ops::RangeInclusive<u8> = 1..=0xFA;

thread_local! {
    static HEADS: RefCell<Heads> = const { RefCell::new(Heads { slots: Vec::new() }) };
}

#[derive(Debug)]
struct Heads {
    /// None before the first head; then [`SLOTS`].
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// What came here last: a head is kept when it comes for the second time.
    seen: u64,
    head: Option<Rc<Head>>,
}

/// All that the frames for a client follow from, besides the data node's.
#[derive(Clone, Debug, PartialEq)]
struct For {
    tables: Vec<PlanTable>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Form {
    status: StatusFlags,
    deprecates_eof: bool,
    extended: bool,
    tells_metadata: bool,
}

#[derive(Debug)]
struct Head {
    to: For,
    /// The data node's frames.
    from: Vec<u8>,
    from_frames: u8,
    /// The client's.
    made: client::Head,
}

/// A head that is being looked at.
#[derive(Debug)]
pub struct Learning {
    slot: usize,
    to: For,
    mark: Mark,
    from: Vec<u8>,
    frames: u8,
    /// What was put of it when its columns were through.
    columns: Option<(Vec<u8>, u8)>,
}

impl Learning {
    /// The data node's next frame; `is_end` says that it is the one behind the columns.
    pub fn add(&mut self, frame: &[u8], is_end: bool, out: &ClientWriter) {
        self.frames = self.frames.saturating_add(1);
        match self.from.len() + frame.len() <= HEAD_BYTES_MAX {
            true => self.from.extend_from_slice(frame),
            false => self.frames = TOO_LONG,
        }
        if is_end {
            self.columns = out.put_after(self.mark).map(|(put, frames)| (put.to_vec(), frames));
        }
    }

    /// What the client's frames are, now that rows come.
    fn made(&self, out: &ClientWriter) -> Option<client::Head> {
        let (put, _) = out.put_after(self.mark)?;
        let (columns, frames) = self.columns.as_ref()?;
        let end = put.len().checked_sub(EOF_LEN).filter(|_| !self.to.form.deprecates_eof);
        Some(client::Head::new(columns, *frames, end.map(|end| put[end..].to_vec())))
    }
}

/// Puts a result's head again if it is known; else begins to learn it, from the second time on. True when it was
/// put: what comes next of the answer are its rows.
pub(crate) async fn repeat(
    out: &mut ClientWriter,
    answer: &mut impl Pieces,
    tables: &[PlanTable],
    status: StatusFlags,
    learning: &mut Option<Learning>,
) -> Result<bool, ExecError> {
    let front = answer.front().await?;
    if !front.get(FRAME_HEADER_LEN).is_some_and(|first| COUNTS.contains(first)) {
        return Ok(false);
    }
    let deprecates_eof = out.capabilities.contains(Capabilities::DEPRECATE_EOF);
    let (extended, tells_metadata) = (out.tells_extended(), out.tells_metadata());
    let form = Form { status, deprecates_eof, extended, tells_metadata };
    match HEADS.with_borrow_mut(|heads| heads.look(front, tables, form)) {
        Look::Known(head) if answer.skip_head(head.from.len(), head.from_frames) => {
            out.put_head(&head.made);
            return Ok(true);
        }
        Look::SecondTime(slot) => {
            let to = For { tables: tables.to_vec(), form };
            let (mark, from) = (out.mark(), Vec::new());
            *learning = Some(Learning { slot, to, mark, from, frames: 0, columns: None });
        }
        _ => {}
    }
    Ok(false)
}

/// Keeps a head that was put since it began to be learned: rows come now.
pub(crate) fn keep(learning: Option<Learning>, out: &ClientWriter) {
    let Some(learning) = learning else { return };
    let Some(made) = learning.made(out) else { return };
    if learning.frames < TOO_LONG && made.bytes() <= HEAD_BYTES_MAX {
        let Learning { slot, to, from, frames, .. } = learning;
        let head = Head { to, from, from_frames: frames, made };
        HEADS.with_borrow_mut(|heads| heads.slots[slot].head = Some(Rc::new(head)));
    }
}

enum Look {
    Known(Rc<Head>),
    SecondTime(usize),
    FirstTime,
}

impl Heads {
    fn look(&mut self, front: &[u8], tables: &[PlanTable], form: Form) -> Look {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
        }
        let hash = hash(front, tables, form);
        let place = hash as usize % SLOTS;
        let slot = &mut self.slots[place];
        if let Some(head) = &slot.head
            && front.starts_with(&head.from)
            && head.to.form == form
            && head.to.tables == tables
        {
            return Look::Known(head.clone());
        }
        match std::mem::replace(&mut slot.seen, hash) == hash {
            true => Look::SecondTime(place),
            false => Look::FirstTime,
        }
    }
}

/// Tells apart answers of different statements and shards. Where the plan's tables are in memory is no more than a
/// hint.
fn hash(front: &[u8], tables: &[PlanTable], form: Form) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let flags = u64::from(form.status.0) << 3
        | u64::from(form.tells_metadata) << 2
        | u64::from(form.deprecates_eof) << 1
        | u64::from(form.extended);
    let mut hash = (tables.as_ptr() as u64) ^ flags.wrapping_mul(FACTOR);
    for eight in front[..front.len().min(HASHED_BYTES)].as_chunks::<8>().0 {
        hash = (hash ^ u64::from_le_bytes(*eight)).wrapping_mul(FACTOR).rotate_left(29);
    }
    hash ^ (hash >> 32)
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;

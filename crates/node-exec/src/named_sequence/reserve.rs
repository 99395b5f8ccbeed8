//! Values for a statement of which nobody knows how many it will take: one for each row of a query. A
//! range of them is taken out of the row before the statement runs, durably, and what it left of the
//! range is put back afterwards. When the node dies in between, the range is a gap.
//!
//! A session can also set where a sequence goes on (SETVAL).

use super::{Block, Definition, NamedSequences, VALUES_MAX, find_with, place, quoted};
use crate::backends::Backends;
use crate::error::ExecError;
use mysql_wire::packet::ErrPacket;
use node_backend::pool::Lease;
use topology::model::Schema;

/// A range of values that nobody else takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The first value.
    pub start: i64,
    /// The last one.
    pub last: i64,
    /// The distance of values.
    pub increment: i64,
    /// What follows `last` of a sequence that begins anew.
    pub wraps_to: Option<i64>,
    /// `last` is the sequence's last value.
    pub to_the_end: bool,
    /// The row as the range left it.
    row: Definition,
    /// Where the row was before.
    before: (i64, bool),
}

impl Definition {
    /// Takes a range out of the row: from `first` (else from where the row is) on, at most `limit`.
    fn reserve(&mut self, first: Option<i64>, limit: u64) -> Option<Reserved> {
        let before = (self.next, self.run_out);
        let begin = if self.increment > 0 { self.min } else { self.max };
        let start = match (first, self.run_out) {
            (Some(first), _) => first,
            (None, false) => self.next,
            (None, true) if self.cycles => begin,
            (None, true) => return None,
        };
        let count = self.count_from(start).min(i128::from(limit));
        let last = self.after(start, count - 1)?;
        let after = self.after(last, 1);
        self.run_out = after.is_none();
        self.next = after.unwrap_or(last);
        Some(Reserved {
            start,
            last,
            increment: self.increment,
            wraps_to: (self.cycles && after.is_none()).then_some(begin),
            to_the_end: after.is_none(),
            row: self.clone(),
            before,
        })
    }
}

impl Reserved {
    /// A range that nobody takes: for a statement that is only looked at.
    pub fn shape(row: &Definition) -> Self {
        Self {
            start: row.start,
            last: row.max,
            increment: row.increment,
            wraps_to: None,
            to_the_end: false,
            row: row.clone(),
            before: (row.next, row.run_out),
        }
    }

    /// Where the sequence goes on, by the last value that was used; none when all were.
    fn goes_on(&self, used: Option<i64>) -> Option<i64> {
        match used {
            None => Some(self.start),
            Some(used) if used == self.last => None,
            Some(used) => self.row.after(used, 1),
        }
    }
}

impl NamedSequences {
    /// Takes a range of values; `None` when there is no such sequence.
    pub async fn reserve(
        &self,
        backends: &Backends,
        schema: &Schema,
        name: &str,
    ) -> Result<Option<Reserved>, ExecError> {
        let name = name.to_lowercase();
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        // A connection with an open transaction is not used again as it is.
        lease.mark_dirty();
        lease.execute_sql(b"START TRANSACTION").await?;
        let Some(mut row) = find_with(&mut lease, &place, &name, " FOR UPDATE").await? else {
            lease.execute_sql(b"ROLLBACK").await?;
            return Ok(None);
        };
        // This node's block is at the row's end or others have taken values behind it.
        let block = self.remove_last_block(schema, &row);
        let (first, left) = (block.map(|block| block.next), block.map_or(0, |block| block.left));
        let Some(reserved) = row.reserve(first, left.max(VALUES_MAX)) else {
            lease.execute_sql(b"ROLLBACK").await?;
            return Err(run_out(schema, &name));
        };
        write_position(&mut lease, &place, &name, (row.next, row.run_out)).await?;
        lease.execute_sql(b"COMMIT").await?;
        Ok(Some(reserved))
    }

    /// This node's block if the row goes on where it ends. It is nobody's from now on: what is left of
    /// it is given once, by whoever called.
    fn remove_last_block(&self, schema: &Schema, row: &Definition) -> Option<Block> {
        let key = (schema.name.clone(), row.name.clone());
        let mut blocks = self.lock();
        let fits =
            |block: &&Block| block.left > 0 && block.epoch == row.epoch && block.ends_at(row);
        blocks.get(&key).filter(fits)?;
        blocks.remove(&key)
    }

    /// Puts back what a statement did not use: `used` is the last value that it took.
    pub async fn settle(
        &self,
        backends: &Backends,
        schema: &Schema,
        reserved: &Reserved,
        used: Option<i64>,
    ) -> Result<(), ExecError> {
        let row = &reserved.row;
        let Some(next) = reserved.goes_on(used) else { return Ok(()) };
        let (old, old_run_out) = reserved.before;
        let ahead = |value: i64| match row.increment > 0 {
            true => value < old || old_run_out && value <= old,
            false => value > old || old_run_out && value >= old,
        };
        // Within what this node had before: that is its block again.
        let within = !row.cycles && ahead(next);
        let to = if within { (old, old_run_out) } else { (next, false) };
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        let update = format!(
            "UPDATE {place} SET next_value = {}, run_out = {} WHERE of_table = 0 AND name = {} AND epoch = {} \
             AND next_value = {} AND run_out = {}",
            to.0,
            u8::from(to.1),
            quoted(&row.name),
            row.epoch,
            row.next,
            u8::from(row.run_out)
        );
        let put_back = lease.execute_sql(update.as_bytes()).await?.affected_rows > 0;
        let end = match (put_back, within) {
            (true, false) => return Ok(()),
            (true, true) => reserved.before,
            (false, _) => (row.next, row.run_out),
        };
        let steps = (i128::from(end.0) - i128::from(next)) / i128::from(row.increment);
        let left = steps + i128::from(end.1);
        let block = Block {
            epoch: row.epoch,
            next,
            left: u64::try_from(left).unwrap_or(0),
            increment: row.increment,
        };
        let mut blocks = self.lock();
        let key = (schema.name.clone(), row.name.clone());
        let keeps = |old: &Block| old.epoch == row.epoch && old.left >= block.left;
        if !blocks.get(&key).is_some_and(keeps) {
            blocks.insert(key, block);
        }
        Ok(())
    }

    /// Lets a sequence go on with `next`; false when it is past that already, `None` when there is no
    /// such sequence.
    pub async fn move_to(
        &self,
        backends: &Backends,
        schema: &Schema,
        name: &str,
        value: i64,
        used: bool,
    ) -> Result<Option<bool>, ExecError> {
        let name = name.to_lowercase();
        let (node, place) = place(backends, schema)?;
        let mut lease = node.own_lease().await?;
        lease.mark_dirty();
        lease.execute_sql(b"START TRANSACTION").await?;
        let Some(row) = find_with(&mut lease, &place, &name, " FOR UPDATE").await? else {
            lease.execute_sql(b"ROLLBACK").await?;
            return Ok(None);
        };
        let block = self.remove_last_block(schema, &row);
        let at = block.map_or(row.next, |block| block.next);
        let spent = row.run_out && block.is_none();
        let to = match used {
            true => i128::from(value) + i128::from(row.increment),
            false => i128::from(value),
        };
        let behind = match row.increment > 0 {
            true => to < i128::from(at),
            false => to > i128::from(at),
        };
        if behind || spent {
            if let Some(block) = block {
                // Nothing changed: it goes on as it was.
                let key = (schema.name.clone(), row.name.clone());
                self.lock().entry(key).or_insert(block);
            }
            lease.execute_sql(b"ROLLBACK").await?;
            return Ok(Some(false));
        }
        let end = if row.increment > 0 { row.max } else { row.min };
        let inside = i64::try_from(to).ok().filter(|to| (row.min..=row.max).contains(to));
        let position = inside.map_or((end, true), |to| (to, false));
        write_position(&mut lease, &place, &name, position).await?;
        let epoch = format!(
            "UPDATE {place} SET epoch = UUID_SHORT() WHERE of_table = 0 AND name = {}",
            quoted(&name)
        );
        lease.execute_sql(epoch.as_bytes()).await?;
        lease.execute_sql(b"COMMIT").await?;
        self.forget(schema, &name);
        Ok(Some(true))
    }
}

impl Block {
    /// Whether the row goes on where the block ends: nobody took values in between.
    fn ends_at(&self, row: &Definition) -> bool {
        let left = i128::from(self.left) - i128::from(row.run_out);
        let end = i128::from(self.next) + left * i128::from(self.increment);
        self.increment == row.increment && end == i128::from(row.next)
    }
}

/// No value is left.
fn run_out(schema: &Schema, name: &str) -> ExecError {
    let message = format!("Sequence '{}.{name}' has run out", schema.name);
    ExecError::Server(ErrPacket::new(4084, "HY000", message))
}

async fn write_position(
    lease: &mut Lease,
    place: &str,
    name: &str,
    (next, run_out): (i64, bool),
) -> Result<(), ExecError> {
    let update = format!(
        "UPDATE {place} SET next_value = {next}, run_out = {} WHERE of_table = 0 AND name = {}",
        u8::from(run_out),
        quoted(name)
    );
    lease.execute_sql(update.as_bytes()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(next: i64, max: i64, cycles: bool) -> Definition {
        Definition {
            name: "s".into(),
            epoch: 7,
            next,
            start: 1,
            increment: 2,
            min: 1,
            max,
            cache: 10,
            cycles,
            run_out: false,
        }
    }

    #[test]
    fn a_range_ends_where_the_sequence_does() {
        let mut long = row(21, i64::MAX, false);
        let reserved = long.reserve(Some(5), VALUES_MAX).unwrap();
        assert_eq!((reserved.start, reserved.last), (5, 5 + 2 * 999_999));
        assert_eq!((long.next, long.run_out), (5 + 2_000_000, false));
        assert_eq!(reserved.goes_on(None), Some(5));
        assert_eq!(reserved.goes_on(Some(9)), Some(11));
        assert_eq!(reserved.goes_on(Some(reserved.last)), None);
        let mut short = row(7, 10, false);
        let reserved = short.reserve(None, VALUES_MAX).unwrap();
        assert_eq!((reserved.start, reserved.last, reserved.to_the_end), (7, 9, true));
        assert!(short.run_out && short.reserve(None, VALUES_MAX).is_none());
        let mut round = row(9, 10, true);
        assert_eq!(round.reserve(None, VALUES_MAX).unwrap().wraps_to, Some(1));
        assert_eq!(round.reserve(None, VALUES_MAX).unwrap().start, 1);
    }

    #[test]
    fn a_block_at_the_end_of_the_row_is_told() {
        let block = Block { epoch: 7, next: 5, left: 3, increment: 2 };
        assert!(block.ends_at(&row(11, 99, false)));
        assert!(!block.ends_at(&row(13, 99, false)));
        let ended = Definition { run_out: true, ..row(9, 10, false) };
        assert!(block.ends_at(&ended));
    }
}

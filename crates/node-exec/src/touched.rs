//! Which shards a statement was sent to and how many rows they gave: noted on the way, read only for
//! the slow log. Noting costs a comparison and a push into memory that is kept.

use std::cell::{Cell, RefCell};

/// As many targets of one statement are noted; of more nobody wants to read.
pub const TOUCHED_MAX: usize = 1_024;

/// Names of schemas are kept from statement to statement, so that noting allocates nothing; more
/// than this are forgotten.
const NAMES_MAX: usize = 16;

/// What one statement had to do with.
#[derive(Debug, Default)]
pub struct Touched {
    inner: RefCell<Inner>,
    rows: Cell<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    schemas: Vec<String>,
    /// Index into `schemas`, shard.
    shards: Vec<(u32, u32)>,
}

impl Touched {
    /// A statement begins.
    pub fn begin(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.shards.clear();
        if inner.schemas.len() > NAMES_MAX {
            inner.schemas.clear();
        }
        self.rows.set(0);
    }

    /// The statement goes to this shard.
    pub fn note(&self, schema: &str, shard: u32) {
        let mut inner = self.inner.borrow_mut();
        if inner.shards.len() >= TOUCHED_MAX {
            return;
        }
        let known = inner.schemas.iter().position(|name| name == schema);
        let at = known.unwrap_or_else(|| {
            inner.schemas.push(schema.to_owned());
            inner.schemas.len() - 1
        });
        let at = u32::try_from(at).expect("a statement names few schemas");
        inner.shards.push((at, shard));
    }

    /// Data nodes gave so many rows that were worked on here.
    pub fn add_rows(&self, rows: u64) {
        self.rows.set(self.rows.get() + rows);
    }

    /// The rows of [`Self::add_rows`].
    pub fn rows(&self) -> u64 {
        self.rows.get()
    }

    /// The shards, each once, in order.
    pub fn shards(&self) -> Vec<(String, u32)> {
        let inner = self.inner.borrow();
        let mut shards = inner.shards.clone();
        shards.sort_unstable();
        shards.dedup();
        shards
            .into_iter()
            .filter_map(|(at, shard)| Some((inner.schemas.get(at as usize)?.clone(), shard)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_is_listed_once_and_a_new_statement_begins_empty() {
        let touched = Touched::default();
        for (schema, shard) in [("shop", 3), ("shop", 1), ("other", 0), ("shop", 3)] {
            touched.note(schema, shard);
        }
        touched.add_rows(2);
        touched.add_rows(3);
        let expected = [("shop", 1), ("shop", 3), ("other", 0)];
        assert_eq!(touched.shards(), expected.map(|(name, shard)| (name.to_owned(), shard)));
        assert_eq!(touched.rows(), 5);
        touched.begin();
        assert!(touched.shards().is_empty() && touched.rows() == 0);
        for shard in 0..5_000 {
            touched.note("shop", shard);
        }
        assert_eq!(touched.shards().len(), TOUCHED_MAX);
    }
}

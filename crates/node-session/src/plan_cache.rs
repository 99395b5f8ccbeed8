//! Plans by digest. An entry holds for one snapshot version, one schema and one way of lexing; a new
//! version empties the cache. It is bounded and simply emptied when full: a workload of more shapes
//! than that gains nothing from a cleverer order.

use sql_plan::plan::Planned;
use sql_syntax::{Digest, LexMode};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Plans of one worker.
pub const PLANS_MAX: usize = 4096;

/// Statements with longer keys are planned each time: a bulk INSERT seldom comes twice.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

/// So are statements of more tokens; of them not even the key is made.
pub const TOKENS_MAX: usize = 4096;

/// Plans by digest.
#[derive(Debug, Default)]
pub struct PlanCache {
    version: u64,
    plans: HashMap<u128, Entry>,
}

#[derive(Debug)]
struct Entry {
    key: Vec<u8>,
    schema: Option<String>,
    mode: LexMode,
    planned: Rc<Planned>,
}

fn slot(digest: &Digest, schema: Option<&str>) -> u128 {
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    digest.hash ^ u128::from(hasher.finish())
}

impl PlanCache {
    /// The plan of a statement, if it is known.
    pub fn get(
        &self,
        version: u64,
        digest: &Digest,
        schema: Option<&str>,
        mode: &LexMode,
    ) -> Option<Rc<Planned>> {
        if self.version != version {
            return None;
        }
        let entry = self.plans.get(&slot(digest, schema))?;
        let same =
            entry.key == digest.key && entry.schema.as_deref() == schema && entry.mode == *mode;
        same.then(|| entry.planned.clone())
    }

    /// Keeps a plan.
    pub fn put(
        &mut self,
        version: u64,
        digest: &Digest,
        schema: Option<&str>,
        mode: &LexMode,
        planned: &Rc<Planned>,
    ) {
        if self.version != version || self.plans.len() >= PLANS_MAX {
            self.plans.clear();
            self.version = version;
        }
        if digest.key.len() > KEY_BYTES_MAX {
            return;
        }
        let entry = Entry {
            key: digest.key.clone(),
            schema: schema.map(str::to_owned),
            mode: *mode,
            planned: planned.clone(),
        };
        self.plans.insert(slot(digest, schema), entry);
    }
}

//! What was looked up a moment ago: tokens and access keys that callers show again and again. It is
//! bounded in number and in time. What is forgotten here is looked up anew at once, also by a caller
//! whose look-up began before; what another control plane changed counts within the time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// So many are remembered; then those that are too old go, and if there are none, all.
pub const RECENT_MAX: usize = 4_096;

/// So long one is remembered.
pub const RECENT_TIME: Duration = Duration::from_secs(1);

/// Values by their keys.
pub struct Recent<V>(Mutex<Inner<V>>);

struct Inner<V> {
    values: HashMap<String, (Instant, V)>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// What was forgotten before a look-up; see [`Recent::remember`].
#[derive(Clone, Copy, Debug)]
pub struct Since(u64);

impl<V> fmt::Debug for Recent<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent(***)")
    }
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self(Mutex::new(Inner { values: HashMap::new(), forgotten: 0 }))
    }
}

impl<V: Clone> Recent<V> {
    /// The value of this key, or the mark to remember it with once it was looked up.
    pub fn find(&self, key: &str) -> Result<V, Since> {
        let inner = self.lock();
        match inner.values.get(key) {
            Some((at, value)) if at.elapsed() < RECENT_TIME => Ok(value.clone()),
            _ => Err(Since(inner.forgotten)),
        }
    }

    /// Remembers a value that was looked up after `since`, unless something was forgotten meanwhile.
    pub fn remember(&self, since: Since, key: String, value: V) {
        let mut inner = self.lock();
        if inner.forgotten != since.0 {
            return;
        }
        if inner.values.len() >= RECENT_MAX {
            inner.values.retain(|_, (at, _)| at.elapsed() < RECENT_TIME);
        }
        if inner.values.len() >= RECENT_MAX {
            inner.values.clear();
        }
        inner.values.insert(key, (Instant::now(), value));
    }

    /// Forgets the value of this key.
    pub fn forget(&self, key: &str) {
        let mut inner = self.lock();
        inner.forgotten += 1;
        inner.values.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.0.lock().expect("nobody panics while holding what was looked up")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_forgotten_stays_forgotten() {
        let recent = Recent::default();
        let since = recent.find("a").unwrap_err();
        recent.remember(since, "a".to_owned(), 1);
        assert_eq!(recent.find("a").unwrap(), 1);
        let late = recent.find("b").unwrap_err();
        recent.forget("a");
        assert!(recent.find("a").is_err());
        recent.remember(late, "a".to_owned(), 1);
        assert!(recent.find("a").is_err(), "it was looked up before it was forgotten");
    }

    #[test]
    fn it_is_bounded() {
        let recent = Recent::default();
        for at in 0..3 * RECENT_MAX {
            let since = recent.find("none").unwrap_err();
            recent.remember(since, at.to_string(), at);
            assert!(recent.lock().values.len() <= RECENT_MAX);
        }
        std::thread::sleep(RECENT_TIME);
        assert!(recent.find(&(3 * RECENT_MAX - 1).to_string()).is_err(), "it is too old");
    }
}

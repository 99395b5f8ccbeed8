//! Who watches what. A watcher that does not keep up is cut off and told to list again, so a slow
//! one costs no memory beyond its queue.

use crate::error::StoreError;
use crate::store::{Change, Revision, WATCH_QUEUE_MAX, WATCHERS_MAX};
use tokio::sync::mpsc;

#[derive(Debug)]
struct Watcher {
    prefix: String,
    from: Revision,
    sender: mpsc::Sender<Change>,
}

impl Watcher {
    /// Whether it has taken all that it wants; otherwise it is gone or too slow.
    fn takes(&self, changes: &[Change]) -> bool {
        !self.sender.is_closed()
            && changes
                .iter()
                .filter(|change| change.revision >= self.from)
                .filter(|change| change.key.starts_with(&self.prefix))
                .all(|change| self.sender.try_send(change.clone()).is_ok())
    }
}

/// All watchers.
#[derive(Debug, Default)]
pub struct Hub {
    watchers: Vec<Watcher>,
}

impl Hub {
    /// A new watcher of keys below `prefix`, of changes at or after `from`.
    pub fn add(
        &mut self,
        prefix: String,
        from: Revision,
    ) -> Result<mpsc::Receiver<Change>, StoreError> {
        self.watchers.retain(|watcher| !watcher.sender.is_closed());
        if self.watchers.len() >= WATCHERS_MAX {
            return Err(StoreError::Unavailable(format!("there are {WATCHERS_MAX} watchers")));
        }
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE_MAX);
        self.watchers.push(Watcher { prefix, from, sender });
        Ok(receiver)
    }

    /// Tells the watchers; those that are gone or full are dropped.
    pub fn tell(&mut self, changes: &[Change]) {
        self.watchers.retain(|watcher| watcher.takes(changes));
    }
}

//! Who watches what. A watcher that does not keep up is cut off and told to list again, so a slow
//! one costs no memory beyond its queue.

use crate::store::{Change, WATCH_QUEUE_MAX};
use tokio::sync::mpsc;

/// All watchers.
#[derive(Debug, Default)]
pub struct Hub {
    watchers: Vec<(String, mpsc::Sender<Change>)>,
}

impl Hub {
    /// A new watcher of keys below `prefix`.
    pub fn add(&mut self, prefix: String) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE_MAX);
        self.watchers.push((prefix, sender));
        receiver
    }

    /// Tells the watchers; those that are gone or full are dropped.
    pub fn tell(&mut self, changes: &[Change]) {
        self.watchers.retain(|(prefix, sender)| {
            changes
                .iter()
                .filter(|change| change.key.starts_with(prefix.as_str()))
                .all(|change| sender.try_send(change.clone()).is_ok())
                && !sender.is_closed()
        });
    }
}

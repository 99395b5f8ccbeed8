//! The statements that a session has running on data nodes now, so that KILL QUERY, a time limit or
//! a client that goes away can end them there too.

use node_backend::pool::Pool;
use std::cell::RefCell;
use std::rc::Rc;

/// A session's running back-end statements; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Active(Rc<RefCell<Vec<Running>>>);

#[derive(Clone, Debug)]
struct Running {
    pool: Pool,
    thread_id: u32,
}

/// Takes the statement off the list when it goes.
#[derive(Debug)]
pub struct ActiveGuard {
    active: Active,
    thread_id: u32,
}

impl Active {
    /// Notes that the connection `thread_id` of `pool` runs something for this session.
    pub fn enter(&self, pool: &Pool, thread_id: u32) -> ActiveGuard {
        self.0.borrow_mut().push(Running { pool: pool.clone(), thread_id });
        ActiveGuard { active: self.clone(), thread_id }
    }

    /// Kills what runs now, on the data nodes. Errors are logged: the target may have just ended.
    pub async fn kill_all(&self) {
        let running: Vec<Running> = self.0.borrow().clone();
        let kills = running.iter().map(|one| async move {
            if let Err(error) = one.pool.kill_query(one.thread_id).await {
                tracing::debug!(%error, thread_id = one.thread_id, "a statement could not be killed");
            }
        });
        futures::future::join_all(kills).await;
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        let mut running = self.active.0.borrow_mut();
        if let Some(at) = running.iter().position(|one| one.thread_id == self.thread_id) {
            running.swap_remove(at);
        }
    }
}

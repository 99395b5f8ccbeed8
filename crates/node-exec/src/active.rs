//! The statements that a session has running on data nodes now, so that KILL QUERY, a time limit or
//! a client that goes away can end them there too.

use crate::pipeline::Group;
use crate::pipeline::ticket::Ticket;
use node_backend::pool::Pool;
use std::cell::RefCell;
use std::rc::Rc;

/// A session's running back-end statements; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Active(Rc<RefCell<Vec<Running>>>);

#[derive(Clone, Debug)]
enum Running {
    /// On a connection of the session's own.
    Alone { pool: Pool, thread_id: u32 },
    /// On one that it shares.
    Shared { group: Rc<Group>, ticket: Rc<Ticket> },
}

/// Takes the statement off the list when it goes.
#[derive(Debug)]
pub struct ActiveGuard {
    active: Active,
    /// `None`: it is shared, and there is no more than one.
    thread_id: Option<u32>,
}

impl Active {
    /// Notes that the connection `thread_id` of `pool` runs something for this session.
    pub fn enter(&self, pool: &Pool, thread_id: u32) -> ActiveGuard {
        self.0.borrow_mut().push(Running::Alone { pool: pool.clone(), thread_id });
        ActiveGuard { active: self.clone(), thread_id: Some(thread_id) }
    }

    /// Notes that a shared connection runs something for this session, or will.
    pub(crate) fn enter_shared(&self, group: &Rc<Group>, ticket: &Rc<Ticket>) -> ActiveGuard {
        let (group, ticket) = (group.clone(), ticket.clone());
        self.0.borrow_mut().push(Running::Shared { group, ticket });
        ActiveGuard { active: self.clone(), thread_id: None }
    }

    /// Kills what runs now, on the data nodes; whether all of them took it. Errors are logged: the
    /// target may have just ended.
    pub async fn kill_all(&self) -> bool {
        let running: Vec<Running> = self.0.borrow().clone();
        let kills = running.iter().map(|one| async move {
            let (pool, thread_id) = match one {
                Running::Shared { group, ticket } => {
                    group.kill(ticket);
                    return true;
                }
                Running::Alone { pool, thread_id } => (pool, *thread_id),
            };
            let killed = pool.kill_query(thread_id).await;
            if let Err(error) = &killed {
                tracing::debug!(%error, thread_id, "a statement could not be killed");
            }
            killed.is_ok()
        });
        futures::future::join_all(kills).await.into_iter().all(|taken| taken)
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        let mut running = self.active.0.borrow_mut();
        let is_it = |one: &Running| match one {
            Running::Alone { thread_id, .. } => Some(*thread_id) == self.thread_id,
            Running::Shared { .. } => self.thread_id.is_none(),
        };
        if let Some(at) = running.iter().position(is_it) {
            running.swap_remove(at);
        }
    }
}

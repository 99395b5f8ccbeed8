//! Decisions that nobody needs any longer go in groups, behind their transactions: each removal alone
//! would cost its data node as many syncs as a commit. Rows are removed by key, one statement each in
//! one transaction, so that no lock but theirs is taken. What is forgotten here (the process ends, the
//! data node does not answer) is swept hours later.

use crate::backends::BackendNode;
use crate::decision::{Prepared, is_missing};
use crate::error::ExecError;
use crate::transaction::run_all;
use node_backend::query::QueryResult;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

/// Done decisions wait so long for others.
const GATHER_FOR: Duration = Duration::from_secs(1);

/// Rows removed in one transaction.
const AT_ONCE: usize = 200;

/// Done decisions that wait; more are left to [`sweep`].
const WAITING_MAX: usize = 20_000;

/// Rows are swept at this age: sessions' clocks may be off by a time zone's change.
const KEEP_HOURS: u32 = 3;

/// Rows swept at once.
const SWEPT_MAX: usize = 1_000;

/// The decisions of one data node that are done with.
#[derive(Debug, Default)]
pub struct Done {
    gtrids: RefCell<Vec<String>>,
    is_running: Cell<bool>,
}

impl BackendNode {
    /// All branches are finished: the decision is removed soon.
    pub(crate) fn forget_decision(self: &Rc<Self>, gtrid: String) {
        let mut waiting = self.done_decisions.gtrids.borrow_mut();
        if waiting.len() < WAITING_MAX {
            waiting.push(gtrid);
        }
        drop(waiting);
        if !self.done_decisions.is_running.replace(true) {
            let node = self.clone();
            tokio::task::spawn_local(async move {
                node.forget_decisions().await;
                node.done_decisions.is_running.set(false);
            });
        }
    }

    async fn forget_decisions(&self) {
        loop {
            tokio::time::sleep(GATHER_FOR).await;
            let gtrids = std::mem::take(&mut *self.done_decisions.gtrids.borrow_mut());
            if gtrids.is_empty() {
                return;
            }
            if let Err(error) = remove(self, &gtrids).await {
                tracing::debug!(%error, "decisions that are done with stay until they are swept");
            }
        }
    }
}

async fn remove(node: &BackendNode, gtrids: &[String]) -> Result<(), ExecError> {
    let mut lease = node.own_lease().await?;
    for group in gtrids.chunks(AT_ONCE) {
        let mut statements = vec!["START TRANSACTION".to_owned()];
        statements.extend(
            group
                .iter()
                .map(|gtrid| format!("DELETE FROM `_ddm`.`decisions` WHERE gtrid = '{gtrid}'")),
        );
        statements.push("COMMIT".to_owned());
        run_all(&mut lease, &statements).await?;
    }
    Ok(())
}

/// Removes old decisions, except those of `prepared` transactions: of all data nodes, for a branch
/// that is left anywhere needs its decision, however old.
pub async fn sweep(node: &BackendNode, prepared: &[Prepared]) -> Result<(), ExecError> {
    let keep: HashSet<&str> = prepared.iter().map(|branch| branch.gtrid.as_str()).collect();
    // Read without locks: a locking read of many rows would stop commits that come meanwhile.
    let select = format!(
        "SELECT gtrid FROM `_ddm`.`decisions` WHERE made < NOW() - INTERVAL {KEEP_HOURS} HOUR LIMIT {SWEPT_MAX}"
    );
    crate::commit_marks::sweep(node, &keep).await?;
    let answer = node.own_lease().await?.query(select.as_bytes()).await;
    let old = match answer {
        Err(error) if is_missing(&error) => return Ok(()),
        answer => match answer? {
            QueryResult::Rows(set) => set.rows,
            QueryResult::Ok(_) => return Ok(()),
        },
    };
    let old: Vec<String> = old
        .iter()
        .filter_map(|row| row.text(0))
        .filter(|gtrid| !keep.contains(gtrid.as_str()))
        .collect();
    remove(node, &old).await
}

//! Whether a data node's primary may be used, and who it is when another server than the registered
//! one was promoted. Data nodes without replicas have nobody to give way to: they always may.

use crate::backends::{BackendNode, Backends};
use crate::error::{ExecError, sql};
use base::sql_error;
use node_backend::lead::{Gate, Lead};
use node_backend::members::Standings;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use topology::model::DataNode;

/// A node that has just started asks the servers first; statements wait so long for the answers.
const ASKED_WITHIN: Duration = Duration::from_secs(3);

/// What is known of the primary of a data node that has replicas.
#[derive(Debug, Default)]
pub(crate) struct Admission(Option<Known>);

#[derive(Debug)]
struct Known {
    lead: Arc<Lead>,
    /// After how many changes this was known.
    changes: u64,
    /// Where the primary is, when it is not the registered one.
    place: Option<(String, u16)>,
    news: watch::Receiver<()>,
}

impl PartialEq for Admission {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(two)) => {
                one.changes == two.changes && Arc::ptr_eq(&one.lead, &two.lead)
            }
            (one, two) => one.is_none() && two.is_none(),
        }
    }
}

impl Admission {
    /// What is known now; of a data node with replicas when there are standings.
    pub(crate) fn new(standings: Option<&Arc<Standings>>, node: &DataNode) -> Self {
        Self(standings.map(|standings| {
            let lead = standings.lead(&node.id);
            let (place, changes) = lead.place();
            Known { lead, changes, place, news: standings.subscribe() }
        }))
    }

    /// The data node with the primary that is followed; the registered one takes its place among the
    /// replicas.
    pub(crate) fn led(&self, registered: &DataNode) -> DataNode {
        let mut node = registered.clone();
        let Some(Known { place: Some((host, port)), .. }) = &self.0 else { return node };
        let promoted = |one: &&mut topology::model::Replica| one.host == *host && one.port == *port;
        if let Some(replica) = node.replicas.iter_mut().find(promoted) {
            std::mem::swap(&mut node.host, &mut replica.host);
            std::mem::swap(&mut node.port, &mut replica.port);
        }
        node
    }

    /// Whether another server is the primary now.
    pub(crate) fn has_moved(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.lead.now().0 != known.changes)
    }

    fn is_open(&self) -> bool {
        self.0.as_ref().is_none_or(|known| known.lead.is_open(known.changes))
    }
}

impl Backends {
    /// The data node as it is when its primary may be used: another server may be that by now.
    pub(crate) async fn admitted(
        &self,
        node: &Rc<BackendNode>,
        writes: bool,
    ) -> Result<Rc<BackendNode>, ExecError> {
        match node.admit(writes).await {
            Err(_) if node.admission.has_moved() => {
                self.obey();
                let node = self.node(&node.definition.id)?;
                node.admit(writes).await?;
                Ok(node)
            }
            admitted => admitted.map(|()| node.clone()),
        }
    }
}

impl BackendNode {
    /// Whether another server is the primary now than when this was looked up.
    pub(crate) fn has_moved(&self) -> bool {
        self.admission.has_moved()
    }

    /// Whether everything may be done with its primary.
    pub(crate) fn is_open(&self) -> bool {
        self.admission.is_open()
    }

    /// Whether a transaction's writes may be committed there.
    pub(crate) fn check_write(&self) -> Result<(), ExecError> {
        match (&self.admission.0, self.admission.is_open()) {
            (Some(known), false) => self.check(known, true).unwrap_or(Ok(())),
            _ => Ok(()),
        }
    }

    /// Whether it may be read.
    pub(crate) fn check_read(&self) -> Result<(), ExecError> {
        match (&self.admission.0, self.admission.is_open()) {
            (Some(known), false) => self.check(known, false).unwrap_or(Ok(())),
            _ => Ok(()),
        }
    }

    /// Waits, once, until it is known who the primary is, and says whether it takes writes.
    pub(crate) async fn admit_write(&self) -> Result<(), ExecError> {
        if self.admission.is_open() {
            return Ok(());
        }
        Box::pin(self.admit(true)).await
    }

    /// The same for a read, which needs no more than that it is certain who it is.
    pub(crate) async fn admit_read(&self) -> Result<(), ExecError> {
        if self.admission.is_open() {
            return Ok(());
        }
        Box::pin(self.admit(false)).await
    }

    async fn admit(&self, writes: bool) -> Result<(), ExecError> {
        let Some(known) = &self.admission.0 else { return Ok(()) };
        let mut news = known.news.clone();
        let asked = async {
            loop {
                if let Some(told) = self.check(known, writes) {
                    return told;
                }
                if news.changed().await.is_err() {
                    return Err(self.refused("nobody asks its servers"));
                }
            }
        };
        tokio::time::timeout(ASKED_WITHIN, asked)
            .await
            .unwrap_or_else(|_| Err(self.refused("its servers have not answered yet")))
    }

    /// What is told; none while its servers were not asked.
    fn check(&self, known: &Known, writes: bool) -> Option<Result<(), ExecError>> {
        let (changes, gate) = known.lead.now();
        if changes != known.changes {
            return Some(Err(self.refused("another server is its primary now; try again")));
        }
        match gate {
            Gate::Open => Some(Ok(())),
            Gate::Unasked => None,
            Gate::ReadOnly if !writes => Some(Ok(())),
            Gate::ReadOnly => Some(Err(sql(
                sql_error::NODE_IS_READ_ONLY,
                format!(
                    "data node {} takes no writes now: its primary is running with the \
                     --read-only option",
                    self.definition.name
                ),
            ))),
            Gate::Shut => Some(Err(self.refused(&known.lead.reason()))),
        }
    }

    fn refused(&self, why: &str) -> ExecError {
        sql(
            sql_error::DATA_NODE_UNREACHABLE,
            format!("data node {} has no primary: {why}", self.definition.name),
        )
    }
}

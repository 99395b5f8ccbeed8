//! Reads over several data nodes that never see half of a distributed commit. Such a read gets a
//! transaction of its own whose parts see one moment (see `transaction::view`). A snapshot that is
//! behind is taken again; while commits come so close that this does not end, a gate holds them for
//! a moment; and a commit whose coordinator is gone is finished here, since its decision is seen.

pub(crate) mod gate;

use crate::backends::BackendNode;
use crate::commit_marks::{self, Behind};
use crate::error::{ExecError, sql};
use crate::exec::{Exec, ExecSession, Statement};
use crate::recovery::prepared_on;
use crate::streams::Job;
use crate::transaction::Transaction;
use crate::transaction::view::{Ahead, Opening, REPEATS};
use base::id::DataNodeId;
use base::sql_error;
use sql_plan::plan::{Action, LoadSource, Place, RoutedPlan, ScratchPlan};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;
use telemetry::metrics::{Counter, Metric};
use tokio::time::Instant;
use topology::parameters::ConsistentReads;

/// Reads that took snapshots of several data nodes.
pub static VIEWS: Counter =
    Counter::new("ddm_consistent_reads_total", "Reads over data nodes that see one moment.");
/// Snapshots that were taken again.
pub static VIEWS_AGAIN: Counter = Counter::new(
    "ddm_consistent_reads_again_total",
    "Snapshots of data nodes that were behind others and were taken again.",
);
/// Moments at which commits were held.
pub static GATES: Counter = Counter::new(
    "ddm_consistent_reads_gates_total",
    "Moments at which commits were held for reads over data nodes.",
);
/// All of them.
pub static ALL: [&dyn Metric; 3] = [&VIEWS, &VIEWS_AGAIN, &GATES];

/// A read waits so long for its moment: longer than recovery takes to finish a commit whose
/// coordinator is gone.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Tries before commits are held.
const FREE_TRIES: u32 = 4;

/// Before a try, while the last statements of commits are under way.
const PAUSE: Duration = Duration::from_millis(1);

/// Pauses become longer up to so many.
const LONG_PAUSES: u32 = 4;

/// Tries while commits are held: those that were decided before end meanwhile.
const HELD_TRIES: u32 = 40;

/// Between two looks at a commit that does not end.
const STUCK_PAUSE: Duration = Duration::from_millis(20);

/// A decided branch that stays prepared so long is committed here: its coordinator is gone, or is
/// slow, and then finds it committed.
const HELP_AFTER: Duration = Duration::from_millis(300);

/// A branch that has ended so long ago is not behind: its mark is gone.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What one read knows of commits that do not end: since when they are behind, and since when it is
/// known that their branch has ended.
#[derive(Debug, Default)]
struct Stuck {
    since: HashMap<(usize, String), Instant>,
    ended: HashMap<(usize, String), Instant>,
}

impl ExecSession {
    /// Whether the next read can be given a moment: by a transaction of its own, or by one of the
    /// client's that has read nothing yet and keeps what it sees.
    fn may_have_view(&self) -> bool {
        self.transaction.as_ref().is_none_or(|transaction| {
            transaction.data_nodes().next().is_none() && self.repeats_reads(transaction)
        })
    }

    fn repeats_reads(&self, transaction: &Transaction) -> bool {
        let level = transaction.isolation().or_else(|| self.isolation());
        level.is_none_or(is_repeating)
    }

    /// Whether reads of this session over several data nodes see one moment.
    fn wants_view(&self, instance: ConsistentReads) -> Result<bool, ExecError> {
        match (instance, self.consistent_reads) {
            (ConsistentReads::Off, Some(true)) => Err(switched_off()),
            (ConsistentReads::Off, _) | (ConsistentReads::Session, None) => Ok(false),
            (ConsistentReads::Session | ConsistentReads::On, Some(wants)) => Ok(wants),
            (ConsistentReads::On, None) => Ok(true),
        }
    }
}

/// Whether a level, in SQL's words or as a variable's value, is the one that has snapshots.
fn is_repeating(level: &str) -> bool {
    level.trim_matches('\'').replace('-', " ").eq_ignore_ascii_case(REPEATS)
}

/// Why a session cannot have them.
pub fn switched_off() -> ExecError {
    sql(
        sql_error::NO_CONSISTENT_VIEW,
        "ddm_consistent_reads needs the instance's parameter consistent_reads, which is OFF: set it to \
         SESSION or ON, or SET ddm_consistent_reads = OFF",
    )
}

impl Exec<'_> {
    /// Whether this statement is a read that sees one moment of the data nodes it reads. One inside
    /// a transaction of the client's has the view that the transaction has already.
    fn reads_consistently(&self, statement: &Statement<'_>) -> bool {
        if self.settings.consistent_reads == ConsistentReads::Off
            && self.session.consistent_reads != Some(true)
        {
            return false;
        }
        self.session.may_have_view()
            && !self.session.tables_locked
            && !self.backends.is_read_only()
            && statement.planned.read_only
            && !statement.planned.locking
    }

    /// Gives a statement whose answers are merged its moment; false when it needs none.
    pub(crate) async fn begin_merge_view(
        &mut self,
        schema: &str,
        jobs: &[Job],
        statement: &Statement<'_>,
    ) -> Result<bool, ExecError> {
        if !self.reads_consistently(statement) {
            return Ok(false);
        }
        let mut ids: BTreeSet<_> = jobs.iter().map(|job| job.data_node.clone()).collect();
        if ids.len() > 1 && self.session.transaction.is_some() {
            // For its later reads too.
            ids.extend(self.schema(schema)?.shards.iter().map(|shard| shard.data_node.clone()));
        }
        Box::pin(self.begin_view(ids, jobs)).await
    }

    /// The same for a statement over temporary tables: all data nodes of the schemas that it reads.
    pub(crate) async fn begin_scratch_view(
        &mut self,
        scratch: &ScratchPlan,
        statement: &Statement<'_>,
    ) -> Result<bool, ExecError> {
        if !self.reads_consistently(statement) {
            return Ok(false);
        }
        let mut schemas = BTreeSet::new();
        add_schemas(scratch, statement, &mut schemas)?;
        let schemas = schemas.iter().filter_map(|name| self.snapshot.schemas.get(name));
        let shards = schemas.flat_map(|schema| &schema.shards);
        let ids = shards.map(|shard| shard.data_node.clone()).collect();
        Box::pin(self.begin_view(ids, &[])).await
    }

    /// With the jobs of the read where they are known: they are sent ahead.
    async fn begin_view(
        &mut self,
        ids: BTreeSet<DataNodeId>,
        jobs: &[Job],
    ) -> Result<bool, ExecError> {
        if ids.len() < 2 || !self.session.wants_view(self.settings.consistent_reads)? {
            return Ok(false);
        }
        let nodes = ids.iter().map(|id| self.backends.node(id));
        let nodes: Vec<Rc<BackendNode>> = nodes.collect::<Result<_, _>>()?;
        let repeats = self.repeat_reads(&nodes).await?;
        let own = self.session.transaction.is_none();
        if own {
            let transaction = Transaction::of_read(self.session.found_rows, repeats);
            self.session.transaction = Some(transaction);
        } else if !repeats && self.session.isolation().is_none() {
            // The level is the data nodes' own, and none at which a transaction keeps what it sees.
            return Ok(false);
        }
        // A transaction of the client's would go on after answers that were for nothing.
        let goes_ahead = own && !jobs.is_empty() && self.session.marks.will_agree();
        let ahead =
            goes_ahead.then_some(Ahead { jobs, asks_warnings: self.session.keeps_warnings });
        let opened = self.open_view(&nodes, ahead).await;
        if own && opened.is_err() {
            self.session.transaction = None;
        }
        opened.map(|()| own)
    }

    /// The statement has its answer.
    pub(crate) async fn end_view(&mut self, has_view: bool) {
        // After some errors it is rolled back already.
        if has_view && let Some(transaction) = self.session.transaction.take() {
            Box::pin(transaction.end_read()).await;
        }
    }

    /// START TRANSACTION WITH CONSISTENT SNAPSHOT: all data nodes get their parts now, and all reads
    /// of the transaction see this moment.
    pub async fn open_snapshot(&mut self) -> Result<(), ExecError> {
        let transaction = self.session.transaction.as_ref();
        let wants =
            transaction.is_some_and(|one| one.has_snapshot() && self.session.repeats_reads(one));
        if !wants
            || self.snapshot.data_nodes.len() < 2
            || self.session.tables_locked
            || self.backends.is_read_only()
            || !self.session.wants_view(self.settings.consistent_reads)?
        {
            return Ok(());
        }
        let nodes = self.backends.all();
        if !self.repeat_reads(&nodes).await? {
            // As on such a server, which says so and takes none.
            return Ok(());
        }
        let opened = self.open_view(&nodes, None).await;
        if opened.is_err() {
            self.session.transaction = None;
        }
        opened
    }

    /// Whether transactions of this session repeat reads on these data nodes, whose tables of marks are
    /// there then.
    async fn repeat_reads(&self, nodes: &[Rc<BackendNode>]) -> Result<bool, ExecError> {
        for node in nodes {
            commit_marks::ensure_table(node).await?;
        }
        let chosen = self.session.transaction.as_ref().and_then(Transaction::isolation);
        Ok(match chosen.or_else(|| self.session.isolation()) {
            Some(level) => is_repeating(level),
            None => nodes.iter().all(|node| node.repeats_reads.get()),
        })
    }

    /// Gives the present transaction, which has no parts yet, parts that see one moment.
    async fn open_view(
        &mut self,
        nodes: &[Rc<BackendNode>],
        ahead: Option<Ahead<'_>>,
    ) -> Result<(), ExecError> {
        VIEWS.increment();
        let own = &self.session.own;
        let wanted: Vec<_> =
            nodes.iter().map(|node| (node.clone(), own.seat(&node.definition.id))).collect();
        let Some(transaction) = &self.session.transaction else { return Ok(()) };
        let mut opening =
            transaction.prepare_view(&wanted, &self.session.state, ahead.as_ref()).await?;
        match (self.level(&mut opening).await, &mut self.session.transaction) {
            (Ok(()), Some(transaction)) => {
                transaction.adopt_view(opening);
                transaction.tell_spread(&self.session.spread, self.session.identity.connection_id);
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(error), _) => {
                opening.give_up().await;
                Err(error)
            }
        }
    }

    /// Takes snapshots until none is behind another.
    async fn level(&self, opening: &mut Opening) -> Result<(), ExecError> {
        let marks = self.session.marks.clone();
        let until = Instant::now() + WAIT_MAX;
        opening.take(|_| true).await?;
        let agreed = opening.behind(&marks).is_empty();
        marks.note_agreed(agreed);
        if agreed {
            return Ok(());
        }
        let mut stuck = Stuck::default();
        let gate = marks.gates().of(opening.nodes().map(|node| &node.definition.id));
        loop {
            if self.try_to_level(opening, FREE_TRIES).await? {
                return Ok(());
            }
            let passage = gate.pass(opening.nodes()).await;
            let level = self.try_to_level(opening, HELD_TRIES).await;
            passage.leave().await;
            if level? {
                return Ok(());
            }
            let behind = opening.behind(&marks);
            let Some(first) = behind.first() else { return Ok(()) };
            if Instant::now() >= until {
                return Err(waited(opening, first));
            }
            self.look_at_stuck(opening, &behind, &mut stuck).await;
        }
    }

    async fn try_to_level(&self, opening: &mut Opening, tries: u32) -> Result<bool, ExecError> {
        for number in 0..tries {
            let behind = opening.behind(&self.session.marks);
            if behind.is_empty() {
                return Ok(true);
            }
            tokio::time::sleep(PAUSE * number.clamp(1, LONG_PAUSES)).await;
            VIEWS_AGAIN.increment();
            opening.take(|at| behind.iter().any(|one| one.at == at)).await?;
        }
        Ok(opening.behind(&self.session.marks).is_empty())
    }

    /// Commits that do not end: the coordinator is gone, or its last statement is lost. A commit that
    /// one snapshot shows is decided, so whoever comes may finish it.
    async fn look_at_stuck(&self, opening: &Opening, behind: &[Behind], stuck: &mut Stuck) {
        tokio::time::sleep(STUCK_PAUSE).await;
        for one in behind {
            let key = (one.at, one.gtrid.clone());
            let looked = Instant::now();
            let since = *stuck.since.entry(key.clone()).or_insert(looked);
            let node = opening.node(one.at);
            let prepared = match prepared_on(node).await {
                Ok(prepared) => prepared,
                Err(error) => {
                    tracing::debug!(%error, data_node = %node.definition.name, "prepared branches cannot be asked for");
                    continue;
                }
            };
            match prepared.iter().find(|branch| branch.gtrid == one.gtrid) {
                Some(branch) if since.elapsed() >= HELP_AFTER => {
                    let commit = format!("XA COMMIT {}", branch.xid);
                    let done = match node.own_lease().await {
                        Ok(mut lease) => {
                            lease.execute_sql(commit.as_bytes()).await.map_err(ExecError::from)
                        }
                        Err(error) => Err(error),
                    };
                    match done {
                        Ok(_) => {
                            tracing::info!(xid = branch.xid, data_node = %node.definition.name, "finished a decided branch for a read")
                        }
                        Err(error) => {
                            tracing::debug!(%error, xid = branch.xid, "a decided branch cannot be finished yet")
                        }
                    }
                }
                Some(_) => {}
                None => {
                    let ended = *stuck.ended.entry(key).or_insert(looked);
                    if ended.elapsed() >= SETTLED_AFTER {
                        self.session.marks.settle(&one.slot, one.number, ended);
                    }
                }
            }
        }
    }
}

fn waited(opening: &Opening, behind: &Behind) -> ExecError {
    let name = &opening.node(behind.at).definition.name;
    sql(
        sql_error::NO_CONSISTENT_VIEW,
        format!(
            "the read waited {} seconds for a distributed commit that is not finished on data node \
             {name} (transaction {}); try again, or read without ddm_consistent_reads",
            WAIT_MAX.as_secs(),
            behind.gtrid
        ),
    )
}

/// The schemas whose rows a statement over temporary tables reads.
fn add_schemas(
    scratch: &ScratchPlan,
    statement: &Statement<'_>,
    schemas: &mut BTreeSet<String>,
) -> Result<(), ExecError> {
    schemas.insert(scratch.schema.clone());
    for load in &scratch.loads {
        schemas.insert(load.schema.clone());
        if let LoadSource::Query(plan) = &load.source {
            add_plan(plan, statement, schemas)?;
        }
    }
    Ok(())
}

fn add_plan(
    plan: &RoutedPlan,
    statement: &Statement<'_>,
    schemas: &mut BTreeSet<String>,
) -> Result<(), ExecError> {
    match plan.decide(&statement.values)? {
        Action::Forward { place: Place::Target(schema, _) | Place::AnyShard(schema), .. }
        | Action::Scatter { schema, .. }
        | Action::Everywhere { schema, .. } => {
            schemas.insert(schema.to_owned());
        }
        Action::Scratch { plan, .. } => add_schemas(plan, statement, schemas)?,
        // No rows of a schema; no part of a query.
        Action::Forward { place: Place::AnyNode, .. } | Action::ScratchWrite { .. } => {}
    }
    Ok(())
}

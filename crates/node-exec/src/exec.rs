//! One statement on its way: what the session lends the executor, and the choice by plan. Everything
//! that outlives a statement is in [`ExecSession`]; everything else goes with [`Exec`].

mod session;

pub use session::{ExecSession, Identity, IdleTimeouts, Last, WARNINGS_MAX, Warning};

use crate::active::ActiveGuard;
use crate::ask::ControlPlane;
use crate::backends::{BackendNode, Backends};
use crate::client::ClientWriter;
use crate::default_database::give_database;
use crate::error::{ExecError, sql};
use crate::own_connection::Need;
use crate::sequence::Sequences;
use crate::transaction::{Held, Transaction};
use crate::{
    ddl, insert, insert_select, load, placement, relay, rows, scratch, scratch_insert,
    scratch_write, write,
};
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::packet::{ErrPacket, OkPacket};
use mysql_wire::value::Value;
use sql_plan::plan::{Action, Place, Plan, PlanTable, Planned, RoutedPlan, RowKind};
use sql_plan::template::{Fill, Rendered, Template};
use sql_plan::value::Values;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use topology::algorithm::Target;
use topology::model::{Schema, Snapshot};
use topology::parameters::{Settings, TransactionPolicy};

/// How the client gets its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyForm {
    /// Binary rows (prepared statements).
    pub binary: bool,
    /// Another statement's answer follows.
    pub more: bool,
}

/// Parameters as the client packed them, for a prepared statement that is forwarded as one.
#[derive(Clone, Copy, Debug)]
pub struct PreparedInput<'a> {
    /// Null bitmap, types and values as they came; `None` when they are not complete.
    pub raw: Option<&'a [u8]>,
    /// The values.
    pub values: &'a [Value],
}

/// One statement with its values.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Its plan.
    pub planned: &'a Planned,
    /// Its values.
    pub values: Values<'a>,
    /// Its parameters, when it is a prepared one.
    pub input: Option<PreparedInput<'a>>,
}

/// What one statement may use.
#[derive(Debug)]
pub struct Exec<'a> {
    /// Connections to data nodes.
    pub backends: &'a Backends,
    /// The definitions now.
    pub snapshot: &'a Arc<Snapshot>,
    /// What the instance's parameters say.
    pub settings: Settings,
    /// Generated values.
    pub sequences: &'a Sequences,
    /// Who records changes of definitions.
    pub control: &'a Arc<dyn ControlPlane>,
    /// The session's lasting part.
    pub session: &'a mut ExecSession,
    /// The client.
    pub out: &'a mut ClientWriter,
    /// How it gets rows.
    pub form: ReplyForm,
}

thread_local! {
    /// Spreads reads that any shard can answer.
    static NEXT_SHARD: Cell<u32> = const { Cell::new(0) };
}

/// Counts plans that have no more than one way to run; [`Exec::run_routed`] counts the others.
fn count_kind(plan: &Plan) {
    match plan {
        Plan::Insert(_) => crate::kinds::INSERTS.increment(),
        Plan::InsertSelect(_) => crate::kinds::INSERT_SELECTS.increment(),
        Plan::Load(_) => crate::kinds::LOADS.increment(),
        Plan::ScratchInsert(_) => crate::kinds::SCRATCH_INSERTS.increment(),
        Plan::Ddl(_) => crate::kinds::DEFINITIONS.increment(),
        Plan::Placement(_) => crate::kinds::PLACEMENTS.increment(),
        Plan::Routed(_) | Plan::Session => {}
    }
}

impl Exec<'_> {
    /// Runs a planned statement and answers the client. Plans of all kinds but the one-shard road run in
    /// boxes: a session has room for the largest of what it may wait for, idle or not. After an error nothing of the answer but
    /// what was sent before is in the client's buffer.
    pub async fn run(&mut self, statement: &Statement<'_>) -> Result<(), ExecError> {
        self.check_may_write(statement)?;
        // What reads no tables, and calls nothing that might, begins no transaction.
        let has_tables = !statement.planned.access.is_empty()
            || statement.planned.uses.other_functions
            || statement.planned.uses.connection_state;
        if !self.session.autocommit && self.session.transaction.is_none() && has_tables {
            let options = self.session.transaction_options.clone();
            self.session.transaction =
                Some(self.session.new_transaction(self.is_distributed(), options));
        }
        let read_only_transaction =
            self.session.transaction.as_ref().is_some_and(Transaction::is_read_only);
        // What defines commits what is open first.
        let defines = matches!(statement.planned.plan, Plan::Ddl(_) | Plan::Placement(_));
        let writes = !statement.planned.read_only && !statement.planned.locking && !defines;
        if read_only_transaction && writes {
            return Err(ExecError::Server(ErrPacket::new(
                1792,
                "25006",
                "Cannot execute statement in a READ ONLY transaction",
            )));
        }
        if !statement.planned.read_only
            && let Some(transaction) = &mut self.session.transaction
        {
            transaction.note_write();
        }
        if self.settings.reads_own_writes && !statement.planned.read_only {
            self.session.own_writes.note();
        }
        self.session.read_back.clone_from(&statement.planned.read_back);
        self.begin_reads(statement.planned);
        let mark = self.out.mark();
        let mut result = self.dispatch(statement).await;
        if let Err(error) = &result
            && self.may_read_again(error)
            && self.out.take_back(mark)
        {
            self.read_again();
            result = self.dispatch(statement).await;
        }
        self.end_reads();
        if self.session.read_back.take().is_some() || !self.session.assigned.is_empty() {
            crate::read_back::keep(self.session)?;
        }
        if let Err(error) = &result {
            Box::pin(self.drop_dead_transaction(error)).await;
        }
        result
    }

    /// A node of a read-only group writes nothing and locks nothing.
    fn check_may_write(&self, statement: &Statement<'_>) -> Result<(), ExecError> {
        if !self.backends.is_read_only() || statement.planned.read_only {
            return Ok(());
        }
        Err(sql(
            sql_error::NODE_IS_READ_ONLY,
            "The DDM node is running in read-only mode so it cannot execute this statement",
        ))
    }

    async fn dispatch(&mut self, statement: &Statement<'_>) -> Result<(), ExecError> {
        count_kind(&statement.planned.plan);
        match &statement.planned.plan {
            Plan::Routed(plan) => self.run_routed(plan, statement).await,
            Plan::Insert(plan) => Box::pin(insert::run(self, plan, statement)).await,
            Plan::InsertSelect(plan) => Box::pin(insert_select::run(self, plan, statement)).await,
            Plan::Load(plan) => Box::pin(load::run(self, plan, statement)).await,
            Plan::ScratchInsert(plan) => Box::pin(scratch_insert::run(self, plan, statement)).await,
            Plan::Ddl(plan) => Box::pin(ddl::run(self, plan, statement)).await,
            Plan::Placement(plan) => Box::pin(placement::run(self, plan, statement)).await,
            Plan::Session => {
                Err(sql(sql_error::NOT_SUPPORTED, "this statement is not supported in this place"))
            }
        }
    }

    /// Runs SELECT, UPDATE, DELETE.
    pub async fn run_routed(
        &mut self,
        plan: &RoutedPlan,
        statement: &Statement<'_>,
    ) -> Result<(), ExecError> {
        let writes = plan.kind == RowKind::Write;
        self.session.wants_database = plan.wants_database;
        match plan.decide(&statement.values)? {
            Action::Forward { place, text } => {
                crate::kinds::FORWARDS.increment();
                let begun = self.session.part_begins();
                let writes = writes || !statement.planned.read_only;
                let outcome = relay::forward(self, plan, place, text, statement, writes).await;
                self.session.forward_ends(begun, place);
                outcome
            }
            Action::Scatter { schema, targets, text, merge } if merge.counts_only => {
                crate::kinds::SCATTERED_WRITES.increment();
                let jobs = self.jobs(schema, &targets, text, &plan.tables, statement)?;
                Box::pin(write::run(self, &jobs, write::Count::Sum, &plan.tables)).await
            }
            Action::Scatter { schema, targets, text, merge } => {
                crate::kinds::SCATTERS.increment();
                let jobs = self.jobs(schema, &targets, text, &plan.tables, statement)?;
                let view = self.begin_merge_view(schema, &jobs, statement).await?;
                let outcome = Box::pin(rows::merged(self, plan, &jobs, merge, statement)).await;
                self.end_view(view).await;
                outcome
            }
            Action::Everywhere { schema, shards, text } => {
                crate::kinds::EVERYWHERES.increment();
                let targets: Vec<Target> =
                    (0..shards).map(|shard| Target { shard, suffix: 0 }).collect();
                let jobs = self.jobs(schema, &targets, text, &plan.tables, statement)?;
                Box::pin(write::run(self, &jobs, write::Count::First, &plan.tables)).await
            }
            Action::Scratch { plan: scratch, sources } => {
                crate::kinds::SCRATCHES.increment();
                let view = self.begin_scratch_view(scratch, statement).await?;
                let outcome =
                    Box::pin(scratch::run(self, plan, scratch, &sources, statement)).await;
                self.end_view(view).await;
                outcome
            }
            Action::ScratchWrite { plan: scratch, sources } => {
                crate::kinds::SCRATCH_WRITES.increment();
                Box::pin(scratch_write::run(self, scratch, &sources, statement)).await
            }
        }
    }

    /// A transaction of which a data node has nothing left is over everywhere.
    pub async fn drop_dead_transaction(&mut self, error: &ExecError) {
        if self
            .session
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.is_gone_after(error))
            && let Some(transaction) = self.session.transaction.take()
        {
            transaction.rollback().await;
        }
    }

    /// Whether transactions can have branches on several data nodes.
    pub fn is_distributed(&self) -> bool {
        self.snapshot.data_nodes.len() > 1
            && self.settings.transaction_policy == TransactionPolicy::TwoPhases
    }

    /// The present transaction takes part in these shards. `transaction_policy=NO_DTX` allows one.
    pub fn claim_shards<'j>(
        &mut self,
        mut shards: impl Iterator<Item = (&'j DataNodeId, u32)>,
    ) -> Result<(), ExecError> {
        if self.settings.transaction_policy != TransactionPolicy::OneShard {
            return Ok(());
        }
        match &mut self.session.transaction {
            // One that the client has not begun, and that only reads.
            Some(transaction) if transaction.is_of_read() => Ok(()),
            Some(transaction) => {
                shards.try_for_each(|(data_node, shard)| transaction.claim(data_node, shard))
            }
            None => Ok(()),
        }
    }

    /// The schema of this name.
    pub fn schema(&self, name: &str) -> Result<&Schema, ExecError> {
        self.snapshot
            .schemas
            .get(name)
            .ok_or_else(|| sql(sql_error::UNKNOWN_DB, format!("Unknown database '{name}'")))
    }

    /// The data node of a shard.
    pub fn data_node(&self, schema: &str, shard: u32) -> Result<DataNodeId, ExecError> {
        self.data_node_ref(schema, shard).cloned()
    }

    fn data_node_ref(&self, schema: &str, shard: u32) -> Result<&DataNodeId, ExecError> {
        let shards = &self.schema(schema)?.shards;
        shards.get(shard as usize).map(|shard| &shard.data_node).ok_or_else(|| {
            sql(sql_error::UNKNOWN_ERROR, format!("schema '{schema}' has no shard {shard}"))
        })
    }

    /// Where a place is: the data node and the target to render for.
    pub fn resolve(&self, place: Place<'_>) -> Result<(Rc<BackendNode>, Target), ExecError> {
        match place {
            Place::Target(schema, target) => {
                self.session.touched.note(schema, target.shard);
                Ok((self.backends.node(self.data_node_ref(schema, target.shard)?)?, target))
            }
            Place::AnyShard(schema) => {
                let shards = &self.schema(schema)?.shards;
                let known: Vec<&DataNodeId> =
                    self.session.transaction.iter().flat_map(Transaction::data_nodes).collect();
                let near = shards.iter().find(|shard| known.contains(&&shard.data_node));
                let turn = NEXT_SHARD.get();
                NEXT_SHARD.set(turn.wrapping_add(1));
                let shard = near.or_else(|| shards.get(turn as usize % shards.len().max(1)));
                let shard = shard.ok_or_else(|| {
                    sql(sql_error::SCHEMA_NOT_READY, format!("schema '{schema}' has no shards"))
                })?;
                self.session.touched.note(schema, shard.index);
                Ok((
                    self.backends.node(&shard.data_node)?,
                    Target { shard: shard.index, suffix: 0 },
                ))
            }
            Place::AnyNode => {
                // Named locks are looked at and taken where the session has its own.
                if !self.session.own.is_empty()
                    && let Some(node) = self.session.own.nodes_of(Need::NamedLocks).first()
                {
                    return Ok((node.clone(), Target { shard: 0, suffix: 0 }));
                }
                let known = self
                    .session
                    .transaction
                    .as_ref()
                    .and_then(|one| one.data_nodes().next().cloned());
                let node = match known {
                    Some(id) => self.backends.node(&id)?,
                    None => self.backends.any()?,
                };
                Ok((node, Target { shard: 0, suffix: 0 }))
            }
        }
    }

    /// A connection for a statement: the transaction's, or one just for it.
    pub async fn acquire(
        &mut self,
        node: &Rc<BackendNode>,
        writes: bool,
    ) -> Result<Held, ExecError> {
        let admitted;
        let node = match node.is_open() {
            true => node,
            false => {
                admitted = Box::pin(self.backends.admitted(node, writes)).await?;
                &admitted
            }
        };
        let state = self.session.state.clone();
        let mut held = match &mut self.session.transaction {
            Some(transaction) => {
                let seat = self.session.own.seat(&node.definition.id);
                let held = Box::pin(transaction.take(node, &state, writes, seat)).await?;
                transaction.tell_spread(&self.session.spread, self.session.identity.connection_id);
                held
            }
            None => match self.take_own(node).await? {
                Some(held) => held,
                None => {
                    let lease = node.lease(self.session.found_rows, &state).await?;
                    Held::alone(node.primary().clone(), lease)
                }
            },
        };
        if writes && self.session.wants_database {
            let given = Box::pin(give_database(&mut held.lease)).await;
            if let Err(error) = given {
                self.release(held);
                return Err(error);
            }
        }
        Ok(held)
    }

    /// Gives several data nodes their parts in the transaction at once.
    pub async fn begin_parts(&mut self, nodes: &[Rc<BackendNode>]) -> Result<(), ExecError> {
        let state = self.session.state.clone();
        let Some(transaction) = &mut self.session.transaction else { return Ok(()) };
        let own = &self.session.own;
        let wanted: Vec<_> =
            nodes.iter().map(|node| (node.clone(), own.seat(&node.definition.id))).collect();
        transaction.open_all(&wanted, &state).await?;
        transaction.tell_spread(&self.session.spread, self.session.identity.connection_id);
        Ok(())
    }

    /// Gives a connection back.
    pub fn release(&mut self, held: Held) {
        match &mut self.session.transaction {
            _ if held.owner == crate::transaction::Owner::Session => {
                let id = held.member.login().id().clone();
                self.session.own.put_back(&id, held.lease);
            }
            Some(transaction) if held.is_of_transaction() => transaction.put_back(held),
            _ => held.let_go(),
        }
    }

    /// Notes that a connection runs something for this session.
    pub fn enter(&self, held: &Held) -> ActiveGuard {
        self.session.active.enter(held.member.pool(self.session.found_rows), held.lease.thread_id())
    }

    /// Renders a template; parameters become literals.
    pub fn render(
        &self,
        text: &Template,
        tables: &[PlanTable],
        target: Target,
        statement: &Statement<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        let mut rendered = Rendered::default();
        let fill = Fill {
            values: &statement.values,
            tables,
            session: &|what, out| self.session.write_value(what, out),
            temporary: &|_, _| {},
            inline_params: true,
        };
        text.render(&fill, target, &mut rendered);
        Ok(rendered.text)
    }

    /// A template for many targets, as jobs.
    pub fn jobs(
        &self,
        schema: &str,
        targets: &[Target],
        text: &Template,
        tables: &[PlanTable],
        statement: &Statement<'_>,
    ) -> Result<Vec<crate::streams::Job>, ExecError> {
        targets
            .iter()
            .map(|target| {
                self.session.touched.note(schema, target.shard);
                Ok(crate::streams::Job {
                    data_node: self.data_node(schema, target.shard)?,
                    shard: target.shard,
                    text: self.render(text, tables, *target, statement)?,
                })
            })
            .collect()
    }

    /// Answers OK.
    pub fn reply_ok(&mut self, mut ok: OkPacket) {
        ok.status = self.session.status(self.form.more);
        self.session.last.row_count = i64::try_from(ok.affected_rows).unwrap_or(i64::MAX);
        self.session.last.told_id = ok.last_insert_id;
        if ok.last_insert_id != 0 {
            self.session.last.insert_id = ok.last_insert_id;
        }
        self.out.put_ok(&ok);
    }
}

//! How a transaction ends. When several branches wrote, the others are prepared while the home gets
//! the decision as a row of its own transaction; then the home commits, in one phase, and that is the
//! moment: with it the decision is there, or neither is. Then the others commit. Whoever has to know
//! the outcome later writes `rollback` into the same row (see `decision`): the row's key lets only
//! one of the two be, and makes him wait while the home's commit may still come. For consistent reads
//! each branch writes a mark before that (see `commit_marks`).

use super::open::HOME_SAVEPOINT;
use super::{Branch, Transaction, lost, run_all, run_each};
use crate::backends::BackendNode;
use crate::commit_marks::{self, CommitMark};
use crate::decision::{self, Verdict};
use crate::error::{ExecError, sql};
use crate::in_flight::InFlightGuard;
use base::sql_error;
use futures::future::{join, join_all};
use node_backend::error::BackendError;
use std::rc::Rc;

/// A savepoint that the data node does not have.
const NO_SUCH_SAVEPOINT: u16 = 1305;

/// Writes the storage engine's log to its disk, see [`commit_branch`].
const WRITE_LOG: &str = "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS";

/// Asks for nothing but an answer.
const STILL_THERE: &str = "DO 0";

/// A row with this key is there.
const DUPLICATE: u16 = 1062;

impl Branch {
    /// Whether it is a transaction of XA; the home is a plain one.
    fn is_xa(&self) -> bool {
        !self.xid.is_empty()
    }
}

impl Transaction {
    /// Commits. After an error nothing of the transaction is in force, unless the error says that
    /// the outcome is not known.
    pub async fn commit(mut self) -> Result<(), ExecError> {
        self.readers.end();
        if let Some(lost_branch) = self.branches.iter().find(|branch| branch.lease.is_none()) {
            let error = lost(&lost_branch.node);
            self.rollback().await;
            return Err(error);
        }
        let writers = || self.branches.iter().filter(|branch| branch.wrote);
        if let Some(error) = writers().find_map(|branch| branch.node.check_write().err()) {
            self.rollback().await;
            return Err(error);
        }
        if self.gtrid.is_none() {
            return self.commit_plain().await;
        }
        let writers = self.branches.iter().filter(|branch| branch.wrote).count();
        if writers >= 2 {
            return self.commit_two_phases().await;
        }
        self.commit_one_phase().await
    }

    /// What ends a plain branch.
    fn plain_end(&self, word: &str, branch: &Branch) -> Vec<String> {
        let mut statements = vec![word.to_owned()];
        if let Some(autocommit) = self.under_locks.or(branch.stays_open.then_some(true)) {
            statements.push(format!("SET autocommit={}", u8::from(autocommit)));
        }
        statements
    }

    async fn commit_plain(mut self) -> Result<(), ExecError> {
        for mut branch in std::mem::take(&mut self.branches) {
            let statements = self.plain_end("COMMIT", &branch);
            if let Some(lease) = &mut branch.lease {
                let done = run_all(lease, &statements).await;
                end_alone(&mut branch, done)?;
            }
        }
        Ok(())
    }

    /// Where reads lock, whether the branches that only read still do. One that was lost let others
    /// change what was read, so nothing may be committed that came of it.
    async fn check_readers(&mut self) -> Result<(), ExecError> {
        let readers = self.branches.iter_mut().filter(|branch| !branch.wrote);
        let asked = readers.map(|branch| async {
            let Some(lease) = &mut branch.lease else { return Err(lost(&branch.node)) };
            let done = run_all(lease, &[STILL_THERE.to_owned()]).await;
            done.map_err(|_| lost(&branch.node))
        });
        join_all(asked).await.into_iter().collect()
    }

    /// At most one branch wrote, so its commit alone decides; what becomes of the others is no matter
    /// of the client's.
    async fn commit_one_phase(mut self) -> Result<(), ExecError> {
        if self.reads_lock
            && self.branches.len() > 1
            && let Err(error) = self.check_readers().await
        {
            self.rollback().await;
            return Err(error);
        }
        let branches = std::mem::take(&mut self.branches);
        let runs = branches.into_iter().map(|mut branch| {
            let plain = self.plain_end("COMMIT", &branch);
            async move {
                let done = match branch.is_xa() {
                    true => commit_branch(&mut branch).await,
                    false => {
                        let Some(lease) = &mut branch.lease else { return Ok(()) };
                        let done = run_all(lease, &plain).await;
                        end_alone(&mut branch, done)
                    }
                };
                match done {
                    Err(error) if !branch.wrote => {
                        tracing::debug!(%error, "a branch that only read did not end well");
                        Ok(())
                    }
                    done => done,
                }
            }
        });
        join_all(runs).await.into_iter().collect()
    }

    async fn commit_two_phases(mut self) -> Result<(), ExecError> {
        let gtrid = self.gtrid.clone().expect("two phases are XA's");
        let mark = match self.mark().await {
            Ok(mark) => mark,
            Err(error) => {
                self.rollback().await;
                return Err(error);
            }
        };
        let marking = mark.as_ref().map(|mark| mark.statement(&gtrid));
        let marking = marking.as_deref();
        let (first, others) = self.branches.split_first_mut().expect("two branches wrote");
        let home = first.node.clone();
        let decided = write_decision(first, &gtrid, marking);
        let others = others.iter_mut().map(|branch| prepare(branch, marking));
        let (decided, prepared) = join(decided, join_all(others)).await;
        if let Some(error) = std::iter::once(decided).chain(prepared).find_map(Result::err) {
            // Their table may be what is missing.
            self.branches.iter().for_each(|branch| branch.node.has_marks.set(false));
            self.rollback().await;
            return Err(error);
        }
        if let Err(error) = self.commit_home().await {
            let address = &home.definition.name;
            tracing::warn!(%error, gtrid, data_node = %address, "a commit's answer is not certain");
            match settle(&home, &gtrid).await? {
                Verdict::Commit => {}
                Verdict::Rollback => {
                    self.rollback().await;
                    return Err(error);
                }
            }
        }
        if self.commit_others(&home, gtrid).await
            && let Some(mark) = mark
        {
            mark.finished();
        }
        Ok(())
    }

    /// What the commit leaves on each data node that takes part, where reads ask for it.
    async fn mark(&self) -> Result<Option<CommitMark>, ExecError> {
        let marks = self.in_flight.as_ref().map(InFlightGuard::marks);
        let Some(marks) = marks.filter(|marks| marks.are_wanted()) else { return Ok(None) };
        // The home has the decision, whether it wrote or not.
        let (home, others) = self.branches.split_first().expect("two branches wrote");
        let parts = others.iter().filter(|branch| branch.wrote).chain([home]);
        let nodes: Vec<&Rc<BackendNode>> = parts.map(|branch| &branch.node).collect();
        for node in &nodes {
            commit_marks::ensure_table(node).await?;
        }
        Ok(Some(marks.mark(nodes.iter().map(|node| &node.definition.id))))
    }

    /// The moment of the decision. After an error it is not known what became of it, and the
    /// connection is closed: what it had not committed is rolled back by its data node.
    async fn commit_home(&mut self) -> Result<(), ExecError> {
        let statements = self.plain_end("COMMIT", &self.branches[0]);
        let home = &mut self.branches[0];
        let Some(lease) = &mut home.lease else { return Err(lost(&home.node)) };
        let done = run_all(lease, &statements).await;
        let is_lost = lease.is_broken();
        finish(home, done).map_err(|error| if is_lost { lost(&home.node) } else { error })
    }

    /// The second phase. A branch that cannot be told now is finished by recovery, which needs the
    /// decision then. Says whether all of them are done.
    async fn commit_others(mut self, home: &Rc<BackendNode>, gtrid: String) -> bool {
        let others = self.branches.iter_mut().skip(1).map(|branch| async move {
            let Some(lease) = &mut branch.lease else { return false };
            let verb = if branch.wrote { "COMMIT" } else { "ROLLBACK" };
            let outcome = run_all(lease, &[format!("XA {verb} {}", branch.xid)]).await;
            finish(branch, outcome).is_ok()
        });
        let all = join_all(others).await.into_iter().all(|done| done);
        if all {
            home.forget_decision(gtrid);
        }
        all
    }

    /// Rolls back everywhere. A branch that cannot be told is rolled back by its data node when the
    /// connection ends, or by recovery when it was prepared.
    pub async fn rollback(mut self) {
        self.readers.end();
        let branches = std::mem::take(&mut self.branches);
        let runs = branches.into_iter().map(|mut branch| {
            let plain = self.plain_end("ROLLBACK", &branch);
            async move {
                let Some(lease) = &mut branch.lease else { return };
                let done = match branch.xid.is_empty() {
                    // A read's, which failed before its answers were read.
                    _ if !lease.is_idle() => Err(BackendError::Unexpected("answers are left")),
                    true => run_all(lease, &plain).await,
                    false => {
                        // It may be active, idle or prepared; END fails harmlessly in the last two.
                        run_all(lease, &[format!("XA END {}", branch.xid)]).await.ok();
                        run_all(lease, &[format!("XA ROLLBACK {}", branch.xid)]).await
                    }
                };
                finish(&mut branch, done).ok();
            }
        });
        join_all(runs).await;
    }
}

/// Commits the only branch that wrote, or one that only read, in one phase. A MariaDB server with its
/// binary log on answers before that is in its storage engine's log, and after a crash finds such a
/// branch prepared, although it was committed; nobody would know what was decided. So it is told to
/// write that log too.
async fn commit_branch(branch: &mut Branch) -> Result<(), ExecError> {
    let Some(lease) = &mut branch.lease else { return Ok(()) };
    let commit = [format!("XA END {}", branch.xid), format!("XA COMMIT {} ONE PHASE", branch.xid)];
    let write_log = branch.wrote.then(|| WRITE_LOG.to_owned());
    let statements: Vec<String> = commit.into_iter().chain(write_log).collect();
    let (done, written) = match run_each(lease, &statements).await {
        Ok(answers) => {
            let mut answers = answers.into_iter().map(|one| one.map_err(BackendError::Server));
            let done = answers.by_ref().take(2).collect::<Result<(), _>>();
            (done, answers.next().unwrap_or(Ok(())))
        }
        Err(error) => (Err(error), Ok(())),
    };
    if done.is_err() && !lease.is_broken() {
        run_all(lease, &[format!("XA ROLLBACK {}", branch.xid)]).await.ok();
    }
    let name = branch.node.definition.name.clone();
    end_alone(branch, done)?;
    written.map_err(|error| {
        sql(
            sql_error::BACKEND_CONNECTION_LOST,
            format!(
                "the outcome of the commit is not known: data node {name} did not write its log: {error}"
            ),
        )
    })
}

/// The decision becomes a part of the home's transaction. Its savepoint is asked for first: without
/// it the work is not there, and the decision must not be alone.
async fn write_decision(
    home: &mut Branch,
    gtrid: &str,
    marking: Option<&str>,
) -> Result<(), ExecError> {
    let node = home.node.clone();
    let Some(lease) = &mut home.lease else { return Err(lost(&node)) };
    let whole = [format!("RELEASE SAVEPOINT {HOME_SAVEPOINT}")];
    let row: Vec<String> =
        marking.map(str::to_owned).into_iter().chain([decision::commit_row(gtrid)]).collect();
    let both = [&whole[..], &row[..]].concat();
    let outcome = match run_all(lease, &both).await {
        Err(error) if decision::is_missing(&error) => {
            decision::make_table(&node).await?;
            run_all(lease, &row).await
        }
        outcome => outcome,
    };
    outcome.map_err(|error| match error.server().map(|server| server.number) {
        Some(NO_SUCH_SAVEPOINT) => sql(
            sql_error::BACKEND_CONNECTION_LOST,
            format!("data node {} has ended the transaction by itself", node.definition.name),
        ),
        Some(DUPLICATE) => sql(
            sql_error::BACKEND_CONNECTION_LOST,
            "the transaction was rolled back: its commit took so long that it was given up",
        ),
        _ => error.into(),
    })
}

async fn settle(home: &BackendNode, gtrid: &str) -> Result<Verdict, ExecError> {
    // Neither outcome may be forced while the home cannot be asked; recovery asks it later.
    decision::settle(home, gtrid).await.map_err(|error| {
        sql(
            sql_error::BACKEND_CONNECTION_LOST,
            format!(
                "the outcome of the commit is not known yet, it will be the same on all data nodes: {error}"
            ),
        )
    })
}

/// END and PREPARE of a branch that wrote; one that only read just ends.
async fn prepare(branch: &mut Branch, marking: Option<&str>) -> Result<(), ExecError> {
    let Some(lease) = &mut branch.lease else { return Err(lost(&branch.node)) };
    let marking = marking.filter(|_| branch.wrote).map(str::to_owned);
    let mut statements: Vec<String> = marking.into_iter().collect();
    statements.push(format!("XA END {}", branch.xid));
    if branch.wrote {
        statements.push(format!("XA PREPARE {}", branch.xid));
    }
    Ok(run_all(lease, &statements).await?)
}

/// As [`finish`], of a branch whose commit alone decides: when its answer is lost, nobody knows.
fn end_alone(branch: &mut Branch, done: Result<(), BackendError>) -> Result<(), ExecError> {
    let is_lost = branch.lease.as_ref().is_some_and(|lease| lease.is_broken());
    let is_open = branch.wrote && is_lost;
    finish(branch, done).map_err(|error| match is_open {
        true => sql(
            sql_error::BACKEND_CONNECTION_LOST,
            format!("the outcome of the commit is not known: {error}"),
        ),
        false => error,
    })
}

/// Gives a connection back to its pool after the transaction's last word, or closes it when the
/// word failed: then its state is not certain.
fn finish(branch: &mut Branch, done: Result<(), BackendError>) -> Result<(), ExecError> {
    let Some(lease) = branch.lease.take() else { return Ok(done?) };
    match (done, branch.seat.take()) {
        (Ok(()), Some(seat)) => seat.put_back(lease),
        (Ok(()), None) => drop(lease),
        (Err(error), seat) => {
            lease.discard();
            if let Some(seat) = seat {
                seat.lose();
            }
            return Err(error.into());
        }
    }
    Ok(())
}

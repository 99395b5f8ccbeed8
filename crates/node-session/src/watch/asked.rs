//! One server of a data node with the connection by which it is asked, and what its answers, or their
//! absence, mean.

use super::looks::{self, Question};
use crate::assurance::Look;
use crate::shared::Shared;
use node_backend::connection::Connection;
use node_backend::error::BackendError;
use node_backend::health::{Mark, Told, leave_mark, mark, probe};
use node_backend::members::Standing;
use node_backend::primary::{Observed, Seen};
use node_exec::members::Login;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use topology::model::DataNode;

/// A server should answer within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A replica that did not answer in time so often in a row is not read: once may be a busy moment.
const MISSED_MAX: u32 = 2;

/// A server that did not answer in time so often in a row is given up.
const MISSED_DOWN: u32 = 3;

/// The mark of a server that can have no other is looked at again after so many rounds.
const MARK_EVERY_ROUNDS: u32 = 10;

/// A node that is fenced ends its transactions after so many rounds: what runs may come to its end.
const FENCED_ROUNDS: u32 = 1;

/// A promoted server takes its mark within this.
const MARK_TIMEOUT: Duration = Duration::from_secs(2);

/// A server.
#[derive(Debug)]
pub(super) struct Asked {
    data_node: String,
    pub(super) login: Login,
    pub(super) standing: Arc<Standing>,
    /// It is registered as a replica.
    is_replica: bool,
    connection: Option<Connection>,
    /// The last answer came over the connection of the answer before.
    is_same: bool,
    /// How often it has not answered in time since it last did.
    missed: u32,
    state: State,
    /// Its mark, and how many rounds ago it was looked at.
    mark: Option<Mark>,
    mark_age: u32,
    /// It was found to be the primary by its mark, and is the same process.
    pub(super) is_settled: bool,
    /// Why it is not read as a replica, as it was logged last; none while it is read.
    unfit: Option<String>,
    /// What was seen of the node's own fence, when it was looked for.
    look: Option<Look>,
    /// How many rounds the node has been fenced for.
    fenced_rounds: u32,
}

#[derive(Debug)]
enum State {
    Silent,
    Down,
    Answers(Option<Box<Told>>),
}

impl Asked {
    pub(super) fn new(
        data_node: &str,
        login: Login,
        is_replica: bool,
        node: &DataNode,
        shared: &Shared,
    ) -> Self {
        Self {
            data_node: data_node.to_owned(),
            standing: login.standing(&shared.standings, &node.id),
            login,
            is_replica,
            connection: None,
            is_same: false,
            missed: 0,
            state: State::Silent,
            mark: None,
            mark_age: 0,
            is_settled: false,
            unfit: Some("it was not asked yet".to_owned()),
            look: None,
            fenced_rounds: 0,
        }
    }

    /// Asks whether it answers, or for all that it is.
    pub(super) async fn ask(&mut self, shared: &Shared, in_whole: bool, lag_max: Duration) {
        self.look = None;
        let question = shared.fence_question();
        let cut_off = question.is_some();
        let answer = timeout(ANSWER_TIMEOUT, self.answer(in_whole, question)).await;
        let unfit = match answer {
            Ok(Ok(told)) => {
                self.missed = 0;
                let unfit = told.as_ref().map(|told| told.health.unfit(lag_max).map(str::to_owned));
                if let (Some(told), true) = (&told, self.is_replica)
                    && let Some(most) = told.health.connections_max
                {
                    shared.quotas.learn(self.login.id(), most);
                }
                self.state = State::Answers(told);
                unfit.flatten()
            }
            // It is there, and lets nobody in.
            Ok(Err(error)) if error.server().is_some() && !cut_off => {
                self.missed = 0;
                self.state = State::Silent;
                Some(error.to_string())
            }
            Ok(Err(error @ BackendError::Unreachable { .. })) => {
                self.missed = MISSED_DOWN;
                self.state = State::Down;
                Some(with_cause(&error))
            }
            Ok(Err(error)) => Some(self.miss(with_cause(&error))),
            Err(_) => Some(self.miss("it does not answer".to_owned())),
        };
        self.note(shared, unfit);
    }

    fn miss(&mut self, why: String) -> String {
        self.missed = self.missed.saturating_add(1);
        self.state = if self.missed >= MISSED_DOWN { State::Down } else { State::Silent };
        why
    }

    /// Lets all threads know.
    fn note(&mut self, shared: &Shared, unfit: Option<String>) {
        let fenced = shared.fenced_reason();
        self.fenced_rounds =
            if fenced.is_some() { self.fenced_rounds.saturating_add(1) } else { 0 };
        let down = match matches!(self.state, State::Down) {
            true => unfit.as_deref(),
            // Transactions of a node that serves nothing must not hold locks for ever.
            false => fenced.as_deref().filter(|_| self.fenced_rounds > FENCED_ROUNDS),
        };
        let (data_node, server) = (&self.data_node, self.login.address());
        if self.standing.set_down(down) {
            match down {
                Some(reason) => tracing::warn!(data_node, server, reason, "a server is given up"),
                None => tracing::info!(data_node, server, "a server answers again"),
            }
        }
        if !self.is_replica || (self.missed > 0 && self.missed < MISSED_MAX) {
            return;
        }
        self.standing.set(unfit.is_none());
        match (self.unfit.as_deref(), unfit.as_deref()) {
            (Some(_), None) => tracing::info!(data_node, server, "a replica can be read"),
            (before, Some(reason)) if before != Some(reason) => {
                tracing::warn!(data_node, server, reason, "a replica cannot be read");
            }
            _ => {}
        }
        self.unfit = unfit;
    }

    /// What it says. The connection is kept only when all was answered; one that has ended in between
    /// is replaced at once.
    async fn answer(
        &mut self,
        in_whole: bool,
        question: Option<Question>,
    ) -> Result<Option<Box<Told>>, BackendError> {
        self.is_same = false;
        if let Some(mut connection) = self.connection.take()
            && connection.idle_socket_alive()
            && let Ok(told) = self.tell(&mut connection, in_whole, false).await
            && self.look(&mut connection, question.as_ref()).await.is_ok()
        {
            self.connection = Some(connection);
            self.is_same = true;
            return Ok(told);
        }
        self.is_settled = false;
        let mut connection = Connection::connect(&self.login.options()).await?;
        let told = self.tell(&mut connection, in_whole, true).await?;
        self.look(&mut connection, question.as_ref()).await?;
        self.connection = Some(connection);
        Ok(told)
    }

    /// Looks for the node's fence, where that is asked for.
    async fn look(
        &mut self,
        connection: &mut Connection,
        question: Option<&Question>,
    ) -> Result<(), BackendError> {
        if let Some(question) = question {
            self.look = Some(looks::look(connection, question).await?);
        }
        Ok(())
    }

    /// What was seen of the node's fence; that nothing can be seen of it where the server is given up.
    pub(super) fn seen(&self) -> Option<Look> {
        match self.state {
            State::Down => Some(Look::Away),
            State::Silent | State::Answers(_) => self.look,
        }
    }

    /// All that it says. The mark of a server that follows another, or is the primary and was so
    /// before, does not change.
    async fn tell(
        &mut self,
        connection: &mut Connection,
        in_whole: bool,
        is_new: bool,
    ) -> Result<Option<Box<Told>>, BackendError> {
        if !in_whole {
            connection.ping().await?;
            return Ok(None);
        }
        let told = probe(connection).await?;
        let follows = told.health.read_only && told.health.is_replica && told.health.runs;
        self.mark_age += 1;
        if is_new || self.mark_age >= MARK_EVERY_ROUNDS || !(follows || self.is_settled) {
            self.mark = mark(connection).await?;
            self.mark_age = 0;
        }
        Ok(Some(Box::new(told)))
    }

    /// Whether the process that answered last is the one that answered before.
    pub(super) fn is_same_process(&self) -> bool {
        self.is_same
    }

    /// What is known of it; marks name servers by these.
    pub(super) fn observed(&self, places: &[String]) -> Observed {
        let told = match &self.state {
            State::Down => return Observed::Down,
            State::Silent | State::Answers(None) => return Observed::Silent,
            State::Answers(Some(told)) => told,
        };
        let health = &told.health;
        let mark = self.mark.as_ref();
        Observed::Answered(Seen {
            read_only: health.read_only,
            replicates: health.is_replica,
            follows: health.is_replica && health.runs,
            generation: mark.map_or(0, |mark| mark.0),
            chosen: mark.and_then(|mark| places.iter().position(|place| *place == mark.1)),
            gtids: told.gtids.clone(),
        })
    }

    /// Leaves a mark on it; whether it has it.
    pub(super) async fn leave_mark(&mut self, generation: u64, server: &str) -> bool {
        let Some(mut connection) = self.connection.take() else { return false };
        match timeout(MARK_TIMEOUT, leave_mark(&mut connection, generation, server)).await {
            Ok(Ok(has_it)) => {
                self.mark = has_it.then(|| (generation, server.to_owned()));
                self.connection = Some(connection);
                has_it
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, server, "no mark can be left");
                false
            }
            Err(_) => false,
        }
    }

    /// Returns when it closes the connection by which it is asked, if there is one.
    pub(super) fn connection_ends(&self) -> Option<impl Future<Output = ()>> {
        self.connection.as_ref().map(Connection::ended)
    }
}

fn with_cause(error: &BackendError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

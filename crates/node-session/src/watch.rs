//! What a node learns of its data nodes' servers, one task for each data node: whether they answer,
//! which replicas can be read, and, where there are replicas, which server is the primary. A server
//! that hangs or is gone is given up for the whole process, so that nobody waits for it; it is used
//! again after its first answer. A replica that does not answer in time, does not replicate, or lags
//! by more than `seconds_behind_master` takes no reads before it was asked again with a better answer.
//! Who is the primary is decided by `node_backend::primary`; here it is done.

mod asked;
mod looks;

use crate::shared::Shared;
use asked::Asked;
use base::id::DataNodeId;
use futures::future::{join_all, select_all};
pub(crate) use looks::Question;
use node_backend::lead::{Gate, Lead};
use node_backend::primary::{Memory, Nobody, Observed, Verdict, decide};
use node_exec::members::Login;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use topology::model::DataNode;
use topology::parameters::Settings;

/// How often servers are asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Between two rounds, also when connections end all the time.
const REST_MIN: Duration = Duration::from_millis(100);

/// How often it is looked whether there are other data nodes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks after all data nodes until the process ends.
pub async fn run(shared: Arc<Shared>) {
    let mut tasks: BTreeMap<DataNodeId, JoinHandle<()>> = BTreeMap::new();
    let mut version = 0;
    loop {
        if shared.version() != version
            && let Some(snapshot) = shared.snapshot()
        {
            version = snapshot.version;
            tasks.retain(|id, task| snapshot.data_nodes.contains_key(id) && !task.is_finished());
            for id in snapshot.data_nodes.keys() {
                if !tasks.contains_key(id) {
                    let task = watch(shared.clone(), id.clone());
                    tasks.insert(id.clone(), tokio::task::spawn_local(task));
                }
            }
            shared.standings.forget_unused();
        }
        shared.judge();
        sleep(LOOK_EVERY).await;
    }
}

/// Looks after one data node while it is there.
async fn watch(shared: Arc<Shared>, id: DataNodeId) {
    let mut watched = Watched::of(id.clone());
    while let Some(snapshot) = shared.snapshot() {
        let Some(node) = snapshot.data_nodes.get(&id) else { return };
        let begun = Instant::now();
        watched.follow(node, &shared);
        let lag_max = Settings::of(&snapshot.parameters).replica_lag_max;
        drop(snapshot);
        watched.round(&shared, lag_max).await;
        sleep(REST_MIN).await;
        tokio::select! {
            () = sleep_until(begun + ASK_EVERY) => {}
            () = watched.connection_ends() => {}
            // Whoever begins or ceases to serve does it on all data nodes at once.
            () = shared.serving_changes() => {}
        }
    }
}

/// One data node.
#[derive(Debug)]
struct Watched {
    id: DataNodeId,
    name: String,
    /// The primary that is registered first.
    members: Vec<Asked>,
    /// Where there are replicas.
    lead: Option<Arc<Lead>>,
    memory: Memory,
    told: String,
}

impl Watched {
    fn of(id: DataNodeId) -> Self {
        Self {
            id,
            name: String::new(),
            members: Vec::new(),
            lead: None,
            memory: Memory::default(),
            told: String::new(),
        }
    }

    /// Follows the data node's definition.
    fn follow(&mut self, node: &DataNode, shared: &Shared) {
        let mut logins = vec![Login::of_primary(node)];
        logins.extend(node.replicas.iter().map(|replica| Login::of_replica(node, replica)));
        let same = |(member, login): (&Asked, &Login)| member.login == *login;
        if self.members.len() == logins.len() && self.members.iter().zip(&logins).all(same) {
            return;
        }
        node.name.clone_into(&mut self.name);
        let place_of = |at: usize| self.members.get(at).map(|member| member.login.place());
        let (registered, current) = (place_of(0), place_of(self.memory.current));
        let mut before = std::mem::take(&mut self.members);
        for (at, login) in logins.into_iter().enumerate() {
            let known = before.iter().position(|one| one.login == login);
            self.members.push(match known {
                Some(known) => before.swap_remove(known),
                None => Asked::new(&self.name, login, at > 0, node, shared),
            });
        }
        let place = |login: &Login| Some(login.place());
        let still = self.members.iter().position(|member| place(&member.login) == current);
        self.memory = match still {
            Some(current) if place(&self.members[0].login) == registered => {
                Memory { current, ..std::mem::take(&mut self.memory) }
            }
            _ => Memory::default(),
        };
        self.lead = (self.members.len() > 1).then(|| shared.standings.lead(&node.id));
        if let (Some(lead), 0) = (&self.lead, self.memory.current) {
            lead.set(None, Gate::Unasked, "");
        }
    }

    /// Asks all, and acts on what they say.
    async fn round(&mut self, shared: &Shared, lag_max: Duration) {
        let in_whole = self.lead.is_some();
        join_all(self.members.iter_mut().map(|member| member.ask(shared, in_whole, lag_max))).await;
        if shared.is_cut_off()
            && let Some(look) = looks::of_all(self.members.iter().map(Asked::seen))
        {
            shared.looked(&self.id, look);
        }
        if self.lead.is_none() {
            return;
        }
        let places: Vec<String> = self.members.iter().map(|one| one.login.address()).collect();
        let observed: Vec<Observed> =
            self.members.iter().map(|member| member.observed(&places)).collect();
        let current = &self.members[self.memory.current];
        self.memory.confirmed &= current.is_same_process();
        let verdict = decide(&observed, &self.memory);
        self.act(verdict, &observed).await;
    }

    async fn act(&mut self, verdict: Verdict, observed: &[Observed]) {
        match verdict {
            Verdict::Wait => {}
            Verdict::Is(at, generation) => self.adopt(at, generation, observed),
            Verdict::Follow(at, generation) => {
                let server = self.members[at].login.address();
                if self.members[at].leave_mark(generation, &server).await {
                    self.adopt(at, generation, observed);
                } else {
                    tracing::warn!(
                        data_node = self.name,
                        server,
                        "a promoted server takes no mark yet"
                    );
                }
            }
            Verdict::ReadOnly(at) => self.tell(Some(at), Gate::ReadOnly, "it is read-only"),
            Verdict::Nobody(Nobody::Down) => {
                let reason = self.members[self.memory.current].standing.reason();
                self.tell(None, Gate::Shut, &format!("{}: {reason}", Nobody::Down));
            }
            Verdict::Nobody(nobody) => self.tell(None, Gate::Shut, &nobody.to_string()),
        }
    }

    /// This one is the primary.
    fn adopt(&mut self, at: usize, generation: u64, observed: &[Observed]) {
        let server = self.members[at].login.address();
        if at != self.memory.current {
            let before = self.members[self.memory.current].login.address();
            let data_node = &self.name;
            tracing::warn!(
                data_node,
                server,
                before,
                generation,
                "another server is the primary now"
            );
        }
        let gtids = match &observed[at] {
            Observed::Answered(seen) => seen.gtids.clone(),
            Observed::Silent | Observed::Down => return,
        };
        for (number, member) in self.members.iter_mut().enumerate() {
            member.is_settled = number == at;
        }
        self.memory = Memory { current: at, generation, confirmed: true, gtids };
        self.tell(Some(at), Gate::Open, "");
    }

    /// Lets all threads know; what is new is logged.
    fn tell(&mut self, primary: Option<usize>, gate: Gate, reason: &str) {
        let Some(lead) = &self.lead else { return };
        let place = match primary {
            Some(0) => None,
            Some(at) => Some(self.members[at].login.place()),
            None => lead.place().0,
        };
        lead.set(place, gate, reason);
        if self.told != reason {
            match gate {
                Gate::Open => tracing::info!(data_node = self.name, "the primary takes writes"),
                _ => tracing::warn!(data_node = self.name, reason, "the primary takes no writes"),
            }
            reason.clone_into(&mut self.told);
        }
    }

    /// Returns when a server closes the connection by which it is asked: then it is asked at once.
    async fn connection_ends(&self) {
        let ends: Vec<_> =
            self.members.iter().filter_map(Asked::connection_ends).map(Box::pin).collect();
        match ends.is_empty() {
            true => std::future::pending().await,
            false => select_all(ends).await.0,
        }
    }
}

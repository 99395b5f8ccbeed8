//! One run of a seed: a system of a form that follows from it, sessions at work, misfortunes, and then,
//! when everything runs again, what must hold.

use crate::chaos::{self, Roughness};
use crate::client::{Client, Told};
use crate::history::{History, Operation, Outcome};
use crate::system::{BALANCE, Form, System};
use crate::world::World;
use node_session::shared::SESSION_PANICS;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// All sessions are through with their work within this, by the run's clock.
const WORK_MAX: Duration = Duration::from_secs(600);
/// Nothing is left of any transaction within this after the last misfortune: a coordinator that does
/// not come back is given up after 10 seconds, and who looks after that looks every 3.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Decisions that nobody removed are swept at this age, which is more than the product's.
const DECISIONS_AGE: Duration = Duration::from_secs(4 * 3_600);
/// They are swept every 100 rounds of recovery.
const SWEPT_WITHIN: Duration = Duration::from_secs(700);
/// Idle connections are closed, statements ended and places given back within this.
const QUIET_WITHIN: Duration = Duration::from_secs(30);
/// How often things that must come true are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What sessions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A few sessions move money between shards.
    Money,
    /// Many sessions read single rows over few, shared connections, and write a little.
    Crowd,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What its sessions did.
    pub scenario: Scenario,
    /// What does not hold; nothing when all is well.
    pub wrong: Vec<String>,
    /// All that happened.
    pub trace: Vec<String>,
    /// Operations that were acknowledged, that failed, and of which the client does not know.
    pub operations: [usize; 3],
}

/// Runs a seed, in a set of local tasks under paused time.
pub async fn run(seed: u64) -> Report {
    let world = World::of(seed);
    let scenario = match world.numbers().below(3) {
        0 => Scenario::Crowd,
        _ => Scenario::Money,
    };
    let panics = SESSION_PANICS.get();
    let run = Run::begin(&world, scenario);
    run.work().await;
    run.settle().await;
    if SESSION_PANICS.get() != panics {
        world.wrong("a session ended by a programming error".to_owned());
    }
    Report {
        scenario,
        wrong: world.all_wrong(),
        trace: world.trace().lines(),
        operations: [Outcome::Done, Outcome::Failed, Outcome::Unknown]
            .map(|outcome| run.history.count(outcome)),
    }
}

/// A run at work. Clones are the same.
#[derive(Clone)]
struct Run {
    world: World,
    system: System,
    scenario: Scenario,
    roughness: Roughness,
    history: History,
    /// Reads of all accounts see one moment.
    consistent: bool,
    next_operation: Rc<Cell<u64>>,
}

fn form(world: &World, scenario: Scenario, consistent: bool) -> Form {
    let numbers = world.numbers();
    let data_nodes = numbers.between(2, 4);
    let mut parameters = Vec::new();
    if consistent {
        parameters.push(("consistent_reads", "ON".to_owned()));
    }
    if scenario == Scenario::Crowd {
        parameters.push(("pipelining_threshold", numbers.between(1, 5).to_string()));
        parameters.push(("max_backend_connections", numbers.between(3, 9).to_string()));
    } else if numbers.one_in(4) {
        parameters.push(("max_backend_connections", numbers.between(5, 9).to_string()));
    }
    Form {
        data_nodes,
        nodes: numbers.between(1, 3),
        shards: data_nodes * numbers.between(1, 3),
        accounts: numbers.between(4, 16),
        parameters,
    }
}

impl Run {
    fn begin(world: &World, scenario: Scenario) -> Self {
        let numbers = world.numbers();
        let consistent = scenario == Scenario::Money && numbers.one_in(3);
        let form = form(world, scenario, consistent);
        // Some runs are calm: then nothing may fail but what waits for a lock.
        let roughness = match numbers.below(4) {
            0 => Roughness { statements: 0, pause: None },
            1 => Roughness { statements: 60, pause: None },
            2 => Roughness { statements: 0, pause: Some(Duration::from_secs(2)) },
            _ => Roughness { statements: 150, pause: Some(Duration::from_secs(4)) },
        };
        world
            .trace()
            .note(&format!("seed {}, {scenario:?}, {roughness:?}, {form:?}", world.seed()));
        let system = System::start(world, form);
        Self {
            world: world.clone(),
            system,
            scenario,
            roughness,
            history: History::default(),
            consistent,
            next_operation: Rc::new(Cell::new(1)),
        }
    }

    fn is_calm(&self) -> bool {
        self.roughness == Roughness { statements: 0, pause: None }
    }

    async fn work(&self) {
        let numbers = self.world.numbers();
        let (sessions, operations) = match self.scenario {
            Scenario::Money => (numbers.between(2, 7), numbers.between(4, 16)),
            Scenario::Crowd => (numbers.between(8, 24), numbers.between(8, 24)),
        };
        let mut working = JoinSet::new();
        for name in 0..sessions {
            let run = self.clone();
            working.spawn_local(async move { run.session(name, operations).await });
        }
        let until = Instant::now() + numbers.millis(3_000, 12_000);
        let all = async { while working.join_next().await.is_some() {} };
        let both = futures::future::join(
            all,
            chaos::run(&self.world, &self.system, self.roughness, until),
        );
        if timeout(WORK_MAX, both).await.is_err() {
            self.world.wrong(format!("sessions were at work for {WORK_MAX:?} and not done"));
        }
    }

    async fn session(&self, name: u64, operations: u64) {
        let numbers = self.world.numbers();
        let mut client = Client::new(&self.world, &self.system, name);
        for _ in 0..operations {
            while !client.connect().await {
                tokio::time::sleep(numbers.millis(20, 400)).await;
            }
            match (self.scenario, numbers.below(10)) {
                (Scenario::Money, 0..6) => self.transfer(&mut client).await,
                (Scenario::Money, 6..8) => self.insert(&mut client, 2).await,
                (Scenario::Money, 8) if numbers.one_in(2) => self.touch(&mut client).await,
                (Scenario::Money, 8) => self.insert(&mut client, 1).await,
                (Scenario::Money, _) => self.total(&mut client).await,
                (Scenario::Crowd, 0) => self.insert(&mut client, 1).await,
                (Scenario::Crowd, 1) => self.touch(&mut client).await,
                (Scenario::Crowd, _) => self.read(&mut client).await,
            }
            if numbers.one_in(30) {
                client.leave();
            }
            tokio::time::sleep(numbers.millis(0, 40)).await;
        }
    }

    /// An operation's number, and ids of rows that are in the shards of these.
    fn new_operation(&self, like: &[u64]) -> (u64, Vec<u64>) {
        let number = self.next_operation.get();
        self.next_operation.set(number + 1);
        let shards = self.system.form.shards;
        let mut ids: Vec<u64> = like.iter().map(|id| number * shards + id % shards).collect();
        ids.sort_unstable();
        ids.dedup();
        (number, ids)
    }

    /// Another account of the same data node, or the next one where there is none.
    fn beside(&self, account: u64) -> u64 {
        let accounts = self.system.form.accounts;
        let others = (1..accounts).map(|step| (account + step) % accounts);
        let here = self.system.data_node_of(account);
        let beside = others.clone().find(|other| self.system.data_node_of(*other) == here);
        beside.or_else(|| others.clone().next()).unwrap_or(account)
    }

    fn is_one_phase(&self, ids: &[u64]) -> bool {
        ids.iter().all(|id| self.system.data_node_of(*id) == self.system.data_node_of(ids[0]))
    }

    fn insert_text(number: u64, ids: &[u64]) -> String {
        let rows: Vec<String> = ids.iter().map(|id| format!("({id}, {number})")).collect();
        format!("INSERT INTO moves (id, operation) VALUES {}", rows.join(", "))
    }

    /// Money goes from one account to another, with a row beside each.
    async fn transfer(&self, client: &mut Client) {
        let numbers = self.world.numbers();
        let accounts = self.system.form.accounts;
        let from = numbers.below(accounts);
        let mut to = (from + numbers.between(1, accounts)) % accounts;
        let mut statements = vec!["BEGIN".to_owned()];
        // Often a single data node decides, and it is not the one that the transaction begins on.
        if numbers.one_in(3) {
            to = self.beside(from);
            let looked_at = numbers.below(accounts);
            statements.push(format!("SELECT id, balance FROM accounts WHERE id = {looked_at}"));
        }
        let amount = numbers.between(1, 50) as i64;
        let (number, moves) = self.new_operation(&[from, to]);
        let amounts = vec![(from, -amount), (to, amount)];
        statements.extend(amounts.iter().map(|(account, amount)| {
            format!(
                "UPDATE accounts SET balance = balance + {amount}, operation = {number} WHERE id = {account}"
            )
        }));
        statements.push(Self::insert_text(number, &moves));
        let mut outcome = Outcome::Failed;
        let mut all = true;
        for statement in &statements {
            let told = client.say(statement).await;
            self.check_calm(statement, &told);
            all = told.is_done();
            if !all {
                break;
            }
            if numbers.one_in(8) {
                tokio::time::sleep(numbers.millis(1, 200)).await;
            }
        }
        if all && !numbers.one_in(12) {
            let told = client.say("COMMIT").await;
            self.check_calm("COMMIT", &told);
            outcome = Outcome::of(&told, self.is_one_phase(&moves));
        } else if !numbers.one_in(10) {
            client.say("ROLLBACK").await;
        } else {
            client.leave();
        }
        self.history.note(Operation { number, moves, amounts, outcome });
    }

    /// Rows on so many shards, at most, by one statement.
    async fn insert(&self, client: &mut Client, shards: u64) {
        let numbers = self.world.numbers();
        let like: Vec<u64> = (0..shards).map(|_| numbers.below(self.system.form.shards)).collect();
        let (number, moves) = self.new_operation(&like);
        let text = Self::insert_text(number, &moves);
        let told = client.say(&text).await;
        self.check_calm(&text, &told);
        let outcome = Outcome::of(&told, self.is_one_phase(&moves));
        self.history.note(Operation { number, moves, amounts: Vec::new(), outcome });
    }

    /// A write of one row that nobody may repeat; it leaves the money as it is.
    async fn touch(&self, client: &mut Client) {
        let id = self.world.numbers().below(self.system.form.accounts);
        let (number, _) = self.new_operation(&[]);
        let text = format!(
            "UPDATE accounts SET balance = balance + 0, operation = {number} WHERE id = {id}"
        );
        let told = client.say(&text).await;
        self.check_calm(&text, &told);
    }

    /// One row, by its key; some clients do not wait for it.
    async fn read(&self, client: &mut Client) {
        let numbers = self.world.numbers();
        let id = numbers.below(self.system.form.accounts);
        let text = format!("SELECT id, balance FROM accounts WHERE id = {id}");
        if numbers.one_in(20) {
            client.say_within(&text, numbers.millis(0, 15)).await;
            return;
        }
        let told = client.say(&text).await;
        self.check_calm(&text, &told);
        let wanted = vec![vec![id.to_string(), BALANCE.to_string()]];
        if matches!(&told, Told::Done(rows) if *rows != wanted) {
            self.world.wrong(format!("{text} gave {told:?}"));
        }
    }

    /// All accounts: where reads are consistent, the money is all there.
    async fn total(&self, client: &mut Client) {
        let text = "SELECT id, balance FROM accounts";
        let told = client.say(text).await;
        self.check_calm(text, &told);
        let Told::Done(rows) = told else { return };
        let balances = rows.iter().filter_map(|row| row.get(1)?.parse::<i64>().ok());
        let total: i64 = balances.sum();
        let accounts = self.system.form.accounts;
        let is_right = rows.len() as u64 == accounts && total == BALANCE * accounts as i64;
        if self.consistent && !is_right {
            self.world.wrong(format!("a read of all accounts saw {total} in {rows:?}"));
        }
    }

    /// Where nothing happens, nothing fails, but for who waits for another in a circle.
    fn check_calm(&self, text: &str, told: &Told) {
        const OF_LOCKS: [u16; 2] = [1205, 1213];
        let is_right = match told {
            Told::Done(_) => true,
            Told::Refused(number, _) => OF_LOCKS.contains(number),
            Told::Nothing => false,
        };
        if self.is_calm() && !is_right {
            self.world.wrong(format!("nothing was amiss, and {text} gave {told:?}"));
        }
    }

    /// Everything runs again; what must come true comes true.
    async fn settle(&self) {
        let all_run = || {
            self.system.nodes.iter().all(|node| node.is_running())
                && self.system.data_nodes.iter().all(|node| node.is_running())
        };
        self.wait("everything runs", SETTLED_WITHIN, || match all_run() {
            true => Vec::new(),
            false => vec!["something does not run".to_owned()],
        })
        .await;
        self.wait("nothing is left of transactions", SETTLED_WITHIN, || self.left()).await;
        for wrong in self.history.check(&self.system) {
            self.world.wrong(wrong);
        }
        for text in self.world.received_again() {
            self.world.wrong(format!("sent twice: {text}"));
        }
        self.wait("pools are quiet", QUIET_WITHIN, || self.busy()).await;
        // That takes minutes of the run's time, and so a good part of ours.
        if self.world.numbers().one_in(4) {
            self.system.data_nodes.iter().for_each(|node| node.advance_clock(DECISIONS_AGE));
            self.wait("decisions are removed", SWEPT_WITHIN, || self.decisions()).await;
        }
    }

    /// Looks until nothing is wrong any more.
    async fn wait(&self, what: &str, most: Duration, wrong: impl Fn() -> Vec<String>) {
        let until = Instant::now() + most;
        let mut found = wrong();
        while !found.is_empty() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            found = wrong();
        }
        match found.is_empty() {
            true => self.world.trace().note(what),
            false => self.world.wrong(format!("not so after {most:?}: {what}: {found:?}")),
        }
    }

    /// Transactions that are open or prepared.
    fn left(&self) -> Vec<String> {
        let nodes = self.system.data_nodes.iter();
        nodes
            .flat_map(|node| {
                let (prepared, open) =
                    node.with(|store| (store.prepared(), store.open_transactions()));
                let open = (open > 0).then(|| format!("{open} open on {}", node.port()));
                prepared.into_iter().chain(open)
            })
            .collect()
    }

    fn busy(&self) -> Vec<String> {
        let sessions = self.system.nodes.iter().filter(|node| node.sessions() > 0);
        let sessions = sessions.map(|node| format!("{} sessions", node.sessions()));
        let pools = self.system.nodes.iter().flat_map(|node| node.pools_in_use());
        sessions.chain(pools).collect()
    }

    fn decisions(&self) -> Vec<String> {
        let rows = self.system.data_nodes.iter();
        rows.flat_map(|node| node.with(|store| store.read(None, "_ddm.decisions")))
            .map(|row| row.join(" "))
            .collect()
    }
}

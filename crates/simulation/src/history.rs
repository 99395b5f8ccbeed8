//! What clients did and were told, and what must hold of it in the end: what was acknowledged is there,
//! whole; what was told as failed is not; anything else is there wholly or not at all.

use crate::client::Told;
use crate::system::{BALANCE, System};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What became of an operation, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force.
    Done,
    /// Nothing of it is.
    Failed,
    /// One of the two.
    Unknown,
}

impl Outcome {
    /// By what the client was told to its last word. `one_phase`: a single data node decides, so that
    /// its lost answer is a lost answer.
    pub fn of(told: &Told, one_phase: bool) -> Self {
        match told {
            Told::Done(_) => Outcome::Done,
            Told::Nothing => Outcome::Unknown,
            Told::Refused(_, text) if text.contains("outcome of the commit is not known") => {
                Outcome::Unknown
            }
            Told::Refused(_, text) if one_phase && is_lost_answer(text) => Outcome::Unknown,
            Told::Refused(..) => Outcome::Failed,
        }
    }
}

fn is_lost_answer(text: &str) -> bool {
    text.contains("was lost") || text.contains("took longer")
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its number.
    pub number: u64,
    /// Rows of `moves` that it makes.
    pub moves: Vec<u64>,
    /// What it adds to accounts.
    pub amounts: Vec<(u64, i64)>,
    /// What became of it.
    pub outcome: Outcome,
}

/// All operations of a run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct History(Rc<RefCell<Vec<Operation>>>);

impl History {
    /// Notes an operation that is over.
    pub fn note(&self, operation: Operation) {
        self.0.borrow_mut().push(operation);
    }

    /// How many operations ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.0.borrow().iter().filter(|operation| operation.outcome == outcome).count()
    }

    /// What does not hold.
    pub fn check(&self, system: &System) -> Vec<String> {
        let mut wrong = Vec::new();
        let moves = system.rows("moves");
        let mut balances: BTreeMap<u64, i64> =
            (0..system.form.accounts).map(|account| (account, BALANCE)).collect();
        for operation in self.0.borrow().iter() {
            let there = operation.moves.iter().filter(|id| moves.contains_key(id)).count();
            let whole = there == operation.moves.len();
            let fits = match operation.outcome {
                Outcome::Done => whole,
                Outcome::Failed => there == 0,
                Outcome::Unknown => whole || there == 0,
            };
            if !fits {
                let moves = operation.moves.len();
                wrong.push(format!("{there} of {moves} rows are there of {operation:?}"));
            }
            for (account, amount) in operation.amounts.iter().filter(|_| there > 0) {
                *balances.entry(*account).or_default() += amount;
            }
        }
        for (account, row) in system.rows("accounts") {
            let wanted = balances.get(&account).copied().unwrap_or_default();
            if row[1] != wanted.to_string() {
                wrong.push(format!("account {account} has {} and must have {wanted}", row[1]));
            }
        }
        wrong
    }
}

//! The servers of one data node: a primary and replicas. Reads are spread by weight over those
//! that are up and near enough to the primary; the choice is a smooth rotation, so that it is even
//! over short times too and needs no random numbers.

use crate::error::BackendError;
use crate::health::{MemberHealth, probe};
use crate::pool::Pool;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// One server of a data node.
#[derive(Debug)]
pub struct Member {
    /// Its id, for logs and texts.
    pub id: String,
    /// Its share of reads; 0 takes none.
    pub weight: u32,
    /// Connections to it.
    pub pool: Pool,
    health: Cell<Option<MemberHealth>>,
    current: Cell<i64>,
}

impl Member {
    /// A member whose state is not known yet.
    pub fn new(id: impl Into<String>, weight: u32, pool: Pool) -> Self {
        Self { id: id.into(), weight, pool, health: Cell::new(None), current: Cell::new(0) }
    }

    /// Its state when it was asked last.
    pub fn health(&self) -> Option<MemberHealth> {
        self.health.get()
    }

    /// Notes its state.
    pub fn set_health(&self, health: Option<MemberHealth>) {
        self.health.set(health);
    }

    /// Asks it for its state and notes it; a member that does not answer has none.
    pub async fn check(&self) -> Result<MemberHealth, BackendError> {
        self.health.set(None);
        let mut lease = self.pool.acquire().await?;
        let health = probe(&mut lease).await?;
        self.health.set(Some(health));
        Ok(health)
    }

    /// Whether a replica may be read from: it is up and, with a bound, known to be within it.
    fn is_fresh_enough(&self, lag_max: Option<Duration>) -> bool {
        if self.weight == 0 || self.pool.is_down() {
            return false;
        }
        match lag_max {
            None => true,
            Some(most) => {
                self.health.get().and_then(|health| health.lag).is_some_and(|lag| lag <= most)
            }
        }
    }
}

/// The servers of one data node.
#[derive(Debug)]
pub struct Members {
    primary: Rc<Member>,
    replicas: Vec<Rc<Member>>,
}

impl Members {
    /// A primary and its replicas.
    pub fn new(primary: Member, replicas: Vec<Member>) -> Self {
        Self { primary: Rc::new(primary), replicas: replicas.into_iter().map(Rc::new).collect() }
    }

    /// The server for writes and for reads that must see them.
    pub fn primary(&self) -> &Rc<Member> {
        &self.primary
    }

    /// The replicas.
    pub fn replicas(&self) -> &[Rc<Member>] {
        &self.replicas
    }

    /// All servers, the primary first.
    pub fn all(&self) -> impl Iterator<Item = &Rc<Member>> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }

    /// The server for the next read: by weight among the primary and the replicas that are up and
    /// lag at most `lag_max` (any lag without it). The primary when no other can be.
    pub fn choose_read(&self, lag_max: Option<Duration>) -> &Rc<Member> {
        let mut best: Option<&Rc<Member>> = None;
        let mut total = 0;
        let primary_counts = self.primary.weight > 0 && !self.primary.pool.is_down();
        let primary = Some(&self.primary).filter(|_| primary_counts);
        let replicas = self.replicas.iter().filter(|replica| replica.is_fresh_enough(lag_max));
        for member in primary.into_iter().chain(replicas) {
            let weight = i64::from(member.weight);
            member.current.set(member.current.get() + weight);
            total += weight;
            if best.is_none_or(|best| member.current.get() > best.current.get()) {
                best = Some(member);
            }
        }
        let Some(best) = best else { return &self.primary };
        best.current.set(best.current.get() - total);
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ConnectOptions;
    use crate::pool::PoolOptions;
    use base::secret::Secret;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn member(id: &str, weight: u32) -> Member {
        let options = ConnectOptions::new("127.0.0.1", 1, "u", Secret::new(""));
        Member::new(id, weight, Pool::new(Arc::new(options), PoolOptions::default()))
    }

    fn counts(members: &Members, lag_max: Option<Duration>) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..100 {
            *counts.entry(members.choose_read(lag_max).id.clone()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn reads_follow_the_weights() {
        let members =
            Members::new(member("p", 10), vec![member("a", 30), member("b", 60), member("c", 0)]);
        let want = [("p", 10), ("a", 30), ("b", 60)];
        assert_eq!(counts(&members, None), want.map(|(id, n)| (id.to_owned(), n)).into());
    }

    #[test]
    fn laggards_are_left_out() {
        let members = Members::new(member("p", 0), vec![member("a", 50), member("b", 50)]);
        let most = Some(Duration::from_secs(5));
        assert_eq!(counts(&members, most).keys().collect::<Vec<_>>(), ["p"]);
        let lag = |seconds| {
            let lag = Some(Duration::from_secs(seconds));
            Some(MemberHealth { read_only: true, is_replica: true, lag })
        };
        members.replicas()[0].set_health(lag(6));
        members.replicas()[1].set_health(lag(5));
        assert_eq!(counts(&members, most).keys().collect::<Vec<_>>(), ["b"]);
    }
}

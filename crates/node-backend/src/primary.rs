//! Which server of a data node is its primary, decided from what all of them say: a value of what was
//! seen and what is remembered, so that it can be tried without servers. Each node decides for itself;
//! the rules are such that two nodes come to the same server or one of them writes to none. Whoever
//! follows a promoted server first leaves a mark on it, a number higher than any before: a server
//! without the highest mark that is known is never written to again. docs/decisions/0010 has the
//! reasons.

use crate::gtid::Gtids;

/// What a server that answers says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Writes are refused there.
    pub read_only: bool,
    /// It is set up as a replica, whether that runs or not.
    pub replicates: bool,
    /// It follows another server now.
    pub follows: bool,
    /// The highest mark that it has; 0 for none. Replicas have their primaries'.
    pub generation: u64,
    /// The member that this mark names, if it is one of this data node's.
    pub chosen: Option<usize>,
    /// Its transactions.
    pub gtids: Gtids,
}

/// What is known of a server now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It has not answered, and not for long.
    Silent,
    /// It cannot be reached, or has been silent for long.
    Down,
    /// It answers.
    Answered(Seen),
}

/// What a node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The member that was the primary last; in the beginning the one that is registered.
    pub current: usize,
    /// By which mark it is; 0 for none.
    pub generation: u64,
    /// The same process of it that was found to be the primary is still there.
    pub confirmed: bool,
    /// The transactions that it was seen to have.
    pub gtids: Gtids,
}

/// Why there is no primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// It is down, and no server was promoted that has its transactions.
    Down,
    /// Several servers can be written to, and it cannot be told which is right.
    TwoWritable,
    /// The server that others follow lacks transactions that this node has seen acknowledged.
    Lacks,
    /// A later primary is known, and it is not among those that answer.
    LaterIsAway,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this member, by this mark.
    Is(usize, u64),
    /// It is this member if it takes this mark: a new primary.
    Follow(usize, u64),
    /// This one is still it, and takes no writes.
    ReadOnly(usize),
    /// As before: it has not answered, and not for long.
    Wait,
    /// None.
    Nobody(Nobody),
}

impl Observed {
    fn seen(&self) -> Option<&Seen> {
        match self {
            Observed::Answered(seen) => Some(seen),
            Observed::Silent | Observed::Down => None,
        }
    }
}

/// Decides.
pub fn decide(members: &[Observed], memory: &Memory) -> Verdict {
    let answered = || members.iter().enumerate().filter_map(|(at, one)| Some((at, one.seen()?)));
    let highest =
        answered().map(|(_, seen)| seen.generation).fold(memory.generation, |a, b| a.max(b));
    let mut base = (memory.generation == highest).then_some(memory.current);
    if highest > 0 {
        for (_, seen) in answered().filter(|(_, seen)| seen.generation == highest) {
            match (base, seen.chosen) {
                (Some(known), Some(named)) if known != named => {
                    return Verdict::Nobody(Nobody::TwoWritable);
                }
                (None, named) => base = named,
                _ => {}
            }
        }
    }
    // A mark that names no server of ours counts where it is on the registered one.
    let registered = members.get(memory.current).and_then(Observed::seen);
    let base = base.or_else(|| {
        registered.is_some_and(|seen| seen.generation == highest).then_some(memory.current)
    });
    let Some(base) = base else { return Verdict::Nobody(Nobody::LaterIsAway) };
    let known = Known { members, memory, base, highest };
    match members.get(base) {
        // It was made anew from an older copy.
        Some(Observed::Answered(seen)) if seen.generation < highest => {
            Verdict::Nobody(Nobody::LaterIsAway)
        }
        Some(Observed::Answered(seen)) if !seen.read_only => known.writable(seen),
        Some(Observed::Answered(seen)) => match known.successor(Some(&seen.gtids)) {
            Err(Nobody::Down) => Verdict::ReadOnly(base),
            Err(nobody) => Verdict::Nobody(nobody),
            Ok(next) => Verdict::Follow(next, highest + 1),
        },
        Some(Observed::Silent) if base == memory.current => Verdict::Wait,
        Some(Observed::Silent) | None => Verdict::Nobody(Nobody::LaterIsAway),
        Some(Observed::Down) => match known.successor(None) {
            Err(nobody) => Verdict::Nobody(nobody),
            Ok(next) => Verdict::Follow(next, highest + 1),
        },
    }
}

struct Known<'a> {
    members: &'a [Observed],
    memory: &'a Memory,
    /// Who is to be the primary by marks and memory.
    base: usize,
    highest: u64,
}

impl Known<'_> {
    /// Servers beside the base that could be written to and have the highest mark.
    fn promoted(&self) -> impl Iterator<Item = (usize, &Seen)> {
        let all = self.members.iter().enumerate().filter(|(at, _)| *at != self.base);
        all.filter_map(|(at, one)| Some((at, one.seen()?))).filter(|(_, seen)| {
            let writable = !seen.read_only && !seen.replicates;
            writable && seen.generation == self.highest && !seen.gtids.is_empty()
        })
    }

    /// The base can be written to.
    fn writable(&self, base: &Seen) -> Verdict {
        let is_known = self.base == self.memory.current;
        if !is_known && !base.gtids.contains(&self.memory.gtids) {
            return Verdict::Nobody(Nobody::Lacks);
        }
        let confirmed = is_known && self.memory.confirmed;
        let mut ahead = Vec::new();
        for (at, rival) in self.promoted().filter(|(_, one)| one.gtids.is_related(&base.gtids)) {
            match (base.gtids.contains(&rival.gtids), rival.gtids.contains(&base.gtids)) {
                (true, false) => {}
                (true, true) if confirmed || self.is_marked(base) => {}
                (false, true) if !confirmed && !self.is_marked(base) => ahead.push(at),
                _ => return Verdict::Nobody(Nobody::TwoWritable),
            }
        }
        match ahead[..] {
            [] => Verdict::Is(self.base, self.highest),
            // It was promoted while no node looked, and this one came back.
            [only] if self.has_all(only, &self.memory.gtids) => {
                Verdict::Follow(only, self.highest + 1)
            }
            _ => Verdict::Nobody(Nobody::TwoWritable),
        }
    }

    /// The highest mark names the base itself.
    fn is_marked(&self, base: &Seen) -> bool {
        self.highest > 0 && base.generation == self.highest && base.chosen == Some(self.base)
    }

    /// Who was promoted in the place of the base, which is down or takes no writes; `at_least` are
    /// its transactions now, where it tells.
    fn successor(&self, at_least: Option<&Gtids>) -> Result<usize, Nobody> {
        // Without any transactions of its own known, nothing tells who has all of them.
        let known = if self.base == self.memory.current { Some(&self.memory.gtids) } else { None };
        let wanted: Vec<&Gtids> =
            known.into_iter().chain(at_least).filter(|gtids| !gtids.is_empty()).collect();
        if wanted.is_empty() {
            return Err(Nobody::Down);
        }
        let mut next = self.promoted().map(|(at, _)| at).filter(|at| {
            wanted.iter().all(|gtids| self.has_all(*at, gtids))
                && self.has_all(*at, &self.memory.gtids)
        });
        match (next.next(), next.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Nobody::TwoWritable),
            (None, _) => Err(Nobody::Down),
        }
    }

    /// Whether a server has these transactions, and those of all others of the highest mark that
    /// follow nobody now.
    fn has_all(&self, at: usize, gtids: &Gtids) -> bool {
        let Some(seen) = self.members.get(at).and_then(Observed::seen) else { return false };
        let others = self.members.iter().filter_map(Observed::seen).filter(|other| {
            !other.follows
                && other.generation == self.highest
                && other.gtids.is_related(&seen.gtids)
        });
        seen.gtids.contains(gtids) && others.into_iter().all(|one| seen.gtids.contains(&one.gtids))
    }
}

impl std::fmt::Display for Nobody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Nobody::Down => {
                "the primary is down, and no replica was promoted that has all its transactions"
            }
            Nobody::TwoWritable => {
                "several of its servers can be written to and neither is certainly the primary; \
                 make all but one read-only"
            }
            Nobody::Lacks => {
                "the server that was promoted lacks transactions that were acknowledged; register \
                 the right one as the primary"
            }
            Nobody::LaterIsAway => {
                "the server that was promoted last does not answer, and the others are older"
            }
        })
    }
}

#[cfg(test)]
#[path = "primary_tests.rs"]
mod tests;

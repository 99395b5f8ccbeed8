//! Which transactions a server has, as far as its global transaction ids tell. MariaDB numbers them in
//! domains by the server that began them; what its own log does not have, because the server was made
//! from a copy of another, its position as a replica tells. MySQL tells intervals for each server.

use std::collections::BTreeMap;

/// Intervals kept of one server of MySQL: more are a history full of holes, which is not compared.
const INTERVALS_MAX: usize = 1_000;

/// A set of transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gtids {
    /// MariaDB: the highest number for each domain and server.
    logged: BTreeMap<(u32, u32), u64>,
    /// MariaDB: the highest number that came from a primary, for each domain.
    applied: BTreeMap<u32, u64>,
    /// MySQL: first and last numbers, in order, for each server.
    intervals: BTreeMap<String, Vec<(u64, u64)>>,
}

impl Gtids {
    /// Reads MariaDB's `gtid_binlog_state` and `gtid_slave_pos`; none when they are not understood.
    pub fn of_mariadb(binlog_state: &str, slave_pos: &str) -> Option<Self> {
        let mut all = Self::default();
        for one in parts(binlog_state) {
            let (domain, server, number) = mariadb_gtid(one)?;
            let known = all.logged.entry((domain, server)).or_default();
            *known = number.max(*known);
        }
        for one in parts(slave_pos) {
            let (domain, _, number) = mariadb_gtid(one)?;
            let known = all.applied.entry(domain).or_default();
            *known = number.max(*known);
        }
        Some(all)
    }

    /// Reads MySQL's `gtid_executed`; none when it is not understood.
    pub fn of_mysql(executed: &str) -> Option<Self> {
        let mut all = Self::default();
        for one in parts(executed) {
            let (server, rest) = one.split_once(':')?;
            let mut intervals = Vec::new();
            for interval in rest.split(':') {
                let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
                intervals.push((first.trim().parse().ok()?, last.trim().parse().ok()?));
            }
            if intervals.len() > INTERVALS_MAX {
                return None;
            }
            intervals.sort_unstable();
            all.intervals.insert(server.to_ascii_lowercase(), intervals);
        }
        Some(all)
    }

    /// Whether nothing is known to be in it.
    pub fn is_empty(&self) -> bool {
        self.logged.is_empty() && self.applied.is_empty() && self.intervals.is_empty()
    }

    /// Whether everything of `other` is in it.
    pub fn contains(&self, other: &Self) -> bool {
        let logged = other.logged.iter().all(|(key, number)| self.has(*key, *number));
        // What a server has applied is in its log too, if it keeps one for that.
        let applied = other.applied.iter().all(|(domain, number)| {
            let begun_by = self.logged.range((*domain, 0)..=(*domain, u32::MAX));
            let logged = begun_by.map(|(_, known)| *known).max();
            logged.max(self.applied.get(domain).copied()) >= Some(*number)
        });
        let intervals = other.intervals.iter().all(|(server, wanted)| {
            let own = self.intervals.get(server).map(Vec::as_slice).unwrap_or_default();
            wanted
                .iter()
                .all(|(first, last)| own.iter().any(|one| one.0 <= *first && *last <= one.1))
        });
        logged && applied && intervals
    }

    /// A server's transaction. Where the log has none of that server, the position as a replica tells.
    fn has(&self, key: (u32, u32), number: u64) -> bool {
        match self.logged.get(&key) {
            Some(known) => *known >= number,
            None => self.applied.get(&key.0).is_some_and(|known| *known >= number),
        }
    }

    /// Whether both have transactions of one server or domain: only then one can be the other's copy.
    pub fn is_related(&self, other: &Self) -> bool {
        self.logged
            .keys()
            .any(|key| other.logged.contains_key(key) || other.applied.contains_key(&key.0))
            || self.applied.keys().any(|domain| {
                other.applied.contains_key(domain)
                    || other.logged.keys().any(|key| key.0 == *domain)
            })
            || self.intervals.keys().any(|server| other.intervals.contains_key(server))
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

fn mariadb_gtid(text: &str) -> Option<(u32, u32, u64)> {
    let mut numbers = text.split('-');
    let gtid = (
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
    );
    numbers.next().is_none().then_some(gtid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn maria(state: &str, position: &str) -> Gtids {
        Gtids::of_mariadb(state, position).unwrap()
    }

    #[test]
    fn mariadb_compares_by_domain_and_server() {
        let primary = maria("0-1-100", "");
        for (replica, has_all) in [
            (maria("", "0-1-100"), true),
            (maria("0-1-100", "0-1-100"), true),
            (maria("", "0-1-99"), false),
            (maria("0-1-99", "0-1-99"), false),
            // Promoted, and written to since.
            (maria("0-2-130,0-1-100", "0-1-100"), true),
            // The same, but the last one of the primary never came.
            (maria("0-2-130,0-1-99", "0-1-99"), false),
            // Its log began after the copy that it was made from.
            (maria("0-2-130", "0-1-100"), true),
            (maria("0-2-130", "0-1-99"), false),
            (maria("1-1-500", ""), false),
            (Gtids::default(), false),
        ] {
            assert_eq!(replica.contains(&primary), has_all, "{replica:?}");
        }
        let promoted = maria("0-2-130,0-1-100", "0-1-100");
        assert!(!primary.contains(&promoted) && promoted.is_related(&primary));
        assert!(primary.contains(&maria("", "0-1-100")), "what a replica has applied is its");
        assert!(primary.contains(&primary) && primary.contains(&Gtids::default()));
        assert!(!primary.is_related(&maria("7-9-3", "")) && !primary.is_related(&Gtids::default()));
    }

    #[test]
    fn mysql_compares_intervals() {
        let of = |text: &str| Gtids::of_mysql(text).unwrap();
        let all = of("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-100:105,\n aa:1-5");
        for (other, has_all) in [
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-100", true),
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:7:105, aa:2-5", true),
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-101", false),
            ("aa:1-6", false),
            ("bb:1", false),
            ("", true),
        ] {
            assert_eq!(all.contains(&of(other)), has_all, "{other}");
        }
        assert!(all.is_related(&of("aa:9")) && !all.is_related(&of("bb:9")));
        assert_eq!(Gtids::of_mysql("aa"), None);
        assert_eq!(Gtids::of_mysql("aa:x"), None);
        assert_eq!(Gtids::of_mariadb("0-1", ""), None);
        assert_eq!(Gtids::of_mariadb("0-1-2-3", ""), None);
    }
}

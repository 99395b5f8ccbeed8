//! Who is the primary: the cases by name, and everything that two servers and two nodes can come to.
#![allow(clippy::unwrap_used)]

use super::*;

fn gtids(state: &str, position: &str) -> Gtids {
    Gtids::of_mariadb(state, position).unwrap()
}

/// A primary with transactions of its own.
fn primary(state: &str) -> Seen {
    Seen { gtids: gtids(state, ""), ..Seen::default() }
}

/// One that follows.
fn replica(position: &str) -> Seen {
    Seen {
        read_only: true,
        replicates: true,
        follows: true,
        gtids: gtids("", position),
        ..Seen::default()
    }
}

/// One that was promoted: it has these of the old primary, and these since.
fn promoted(position: &str, state: &str) -> Seen {
    Seen { gtids: gtids(state, position), ..Seen::default() }
}

fn marked(seen: Seen, generation: u64, chosen: usize) -> Seen {
    Seen { generation, chosen: Some(chosen), ..seen }
}

fn remembers(current: usize, generation: u64, confirmed: bool, state: &str) -> Memory {
    Memory { current, generation, confirmed, gtids: gtids(state, "") }
}

use Observed::{Answered, Down, Silent};

#[test]
fn the_cases() {
    let fresh = Memory::default();
    let known = remembers(0, 0, true, "0-1-100");
    let lost = remembers(0, 0, false, "0-1-100");
    let followed = remembers(1, 1, true, "0-2-120,0-1-100");
    let p = primary("0-1-100");
    let r = promoted("0-1-100", "0-2-120");
    let r_marked = marked(r.clone(), 1, 1);
    let stopped = Seen { follows: false, ..replica("0-1-100") };
    let nobody = |why| Verdict::Nobody(why);
    for (name, members, memory, wanted) in [
        (
            "as usual",
            vec![Answered(p.clone()), Answered(replica("0-1-100"))],
            &known,
            Verdict::Is(0, 0),
        ),
        (
            "the first look",
            vec![Answered(p.clone()), Answered(replica("0-1-90"))],
            &fresh,
            Verdict::Is(0, 0),
        ),
        ("a replica is down", vec![Answered(p.clone()), Down], &fresh, Verdict::Is(0, 0)),
        (
            "a replica stands still",
            vec![Answered(p.clone()), Answered(stopped.clone())],
            &known,
            Verdict::Is(0, 0),
        ),
        ("slow", vec![Silent, Answered(replica("0-1-100"))], &known, Verdict::Wait),
        ("dead", vec![Down, Answered(replica("0-1-100"))], &known, nobody(Nobody::Down)),
        (
            "slow, and a replica was let go",
            vec![Silent, Answered(r.clone())],
            &known,
            Verdict::Wait,
        ),
        ("promoted", vec![Down, Answered(promoted("0-1-100", ""))], &lost, Verdict::Follow(1, 1)),
        ("promoted and written to", vec![Down, Answered(r.clone())], &lost, Verdict::Follow(1, 1)),
        (
            "promoted too early",
            vec![Down, Answered(promoted("0-1-99", ""))],
            &lost,
            nobody(Nobody::Down),
        ),
        ("promoted, nothing known", vec![Down, Answered(r.clone())], &fresh, nobody(Nobody::Down)),
        (
            "two promoted",
            vec![Down, Answered(r.clone()), Answered(r.clone())],
            &lost,
            nobody(Nobody::TwoWritable),
        ),
        (
            "another replica has more",
            vec![
                Down,
                Answered(promoted("0-1-100", "")),
                Answered(Seen { follows: false, ..replica("0-1-101") }),
            ],
            &lost,
            nobody(Nobody::Down),
        ),
        ("followed before", vec![Down, Answered(r_marked.clone())], &followed, Verdict::Is(1, 1)),
        ("others followed", vec![Down, Answered(r_marked.clone())], &lost, Verdict::Is(1, 1)),
        (
            "others followed, a fresh node",
            vec![Down, Answered(r_marked.clone())],
            &fresh,
            Verdict::Is(1, 1),
        ),
        (
            "the old one is back",
            vec![Answered(p.clone()), Answered(r_marked.clone())],
            &followed,
            Verdict::Is(1, 1),
        ),
        (
            "the old one is back, a fresh node",
            vec![Answered(p.clone()), Answered(r_marked.clone())],
            &fresh,
            Verdict::Is(1, 1),
        ),
        (
            "the old one is back with more",
            vec![Answered(primary("0-1-105")), Answered(r_marked.clone())],
            &followed,
            Verdict::Is(1, 1),
        ),
        (
            "the old one has what was seen",
            vec![Answered(primary("0-1-105")), Answered(r_marked.clone())],
            &remembers(0, 0, false, "0-1-105"),
            nobody(Nobody::Lacks),
        ),
        ("the old one alone", vec![Answered(p.clone()), Down], &followed, nobody(Nobody::Down)),
        ("the new one slow", vec![Answered(p.clone()), Silent], &followed, Verdict::Wait),
        (
            "the new one down, its replica tells",
            vec![Answered(p.clone()), Down, Answered(marked(replica("0-2-120"), 1, 1))],
            &fresh,
            nobody(Nobody::Down),
        ),
        (
            "the new one read-only after a restart",
            vec![Answered(p.clone()), Answered(Seen { read_only: true, ..r_marked.clone() })],
            &fresh,
            Verdict::ReadOnly(1),
        ),
        (
            "promoted while nobody looked",
            vec![Answered(p.clone()), Answered(r.clone())],
            &fresh,
            Verdict::Follow(1, 1),
        ),
        (
            "another writes there",
            vec![Answered(p.clone()), Answered(r.clone())],
            &known,
            nobody(Nobody::TwoWritable),
        ),
        (
            "each has its own",
            vec![Answered(primary("0-1-101")), Answered(r.clone())],
            &fresh,
            nobody(Nobody::TwoWritable),
        ),
        (
            "let go, and behind",
            vec![Answered(primary("0-1-101")), Answered(promoted("0-1-100", ""))],
            &known,
            Verdict::Is(0, 0),
        ),
        (
            "let go, equal",
            vec![Answered(p.clone()), Answered(promoted("0-1-100", ""))],
            &known,
            Verdict::Is(0, 0),
        ),
        (
            "let go, equal, a fresh node",
            vec![Answered(p.clone()), Answered(promoted("0-1-100", ""))],
            &fresh,
            nobody(Nobody::TwoWritable),
        ),
        (
            "a stranger",
            vec![Answered(p.clone()), Answered(promoted("", "9-9-5"))],
            &known,
            Verdict::Is(0, 0),
        ),
        (
            "no ids at all",
            vec![Answered(primary("")), Answered(primary(""))],
            &fresh,
            Verdict::Is(0, 0),
        ),
        (
            "switched over, not yet promoted",
            vec![Answered(Seen { read_only: true, ..p.clone() }), Answered(replica("0-1-100"))],
            &known,
            Verdict::ReadOnly(0),
        ),
        (
            "switched over",
            vec![
                Answered(Seen { read_only: true, ..p.clone() }),
                Answered(promoted("0-1-100", "")),
            ],
            &known,
            Verdict::Follow(1, 1),
        ),
        (
            "switched over too early",
            vec![
                Answered(Seen { read_only: true, ..primary("0-1-101") }),
                Answered(promoted("0-1-100", "")),
            ],
            &known,
            Verdict::ReadOnly(0),
        ),
        (
            "both replicate from each other",
            vec![
                Answered(Seen { replicates: true, follows: true, ..p.clone() }),
                Answered(Seen { replicates: true, follows: true, ..r.clone() }),
            ],
            &known,
            Verdict::Is(0, 0),
        ),
        (
            "chosen twice",
            vec![Answered(marked(p.clone(), 1, 0)), Answered(r_marked.clone())],
            &fresh,
            nobody(Nobody::TwoWritable),
        ),
        (
            "back to the first",
            vec![
                Answered(marked(promoted("0-2-120", "0-1-130"), 2, 0)),
                Answered(r_marked.clone()),
            ],
            &followed,
            Verdict::Is(0, 2),
        ),
        (
            "registered anew under other names",
            vec![Answered(Seen { generation: 1, ..r.clone() }), Answered(p.clone())],
            &fresh,
            Verdict::Is(0, 1),
        ),
    ] {
        assert_eq!(decide(&members, memory), wanted, "{name}");
    }
}

/// Every state that a server can be in: of the first, which began as the primary, or of the second.
fn states(at: usize) -> Vec<Observed> {
    let own = if at == 0 { 1 } else { 2 };
    let mut states = vec![Silent, Down];
    for of_first in [99, 100, 101] {
        for of_second in [0, 120, 130] {
            let logged = match (own, of_second) {
                (_, 0) => format!("0-1-{of_first}"),
                (1, n) => format!("0-1-{of_first},0-2-{n}"),
                (_, n) => format!("0-2-{n},0-1-{of_first}"),
            };
            for flags in 0..4 {
                for (generation, chosen) in [(0, None), (1, Some(1)), (2, Some(0))] {
                    states.push(Answered(Seen {
                        read_only: flags & 1 > 0,
                        replicates: flags & 2 > 0,
                        follows: flags & 2 > 0,
                        generation,
                        chosen,
                        gtids: gtids(&logged, ""),
                    }));
                }
            }
        }
    }
    states
}

fn memories() -> Vec<Memory> {
    let mut all = vec![Memory::default()];
    for confirmed in [false, true] {
        all.push(remembers(0, 0, confirmed, "0-1-100"));
        all.push(remembers(1, 1, confirmed, "0-2-120,0-1-100"));
        all.push(remembers(0, 2, confirmed, "0-2-120,0-1-101"));
    }
    all
}

/// Whom a node writes to after a verdict.
fn written(verdict: &Verdict) -> Option<usize> {
    match verdict {
        Verdict::Is(at, _) | Verdict::Follow(at, _) => Some(*at),
        Verdict::ReadOnly(_) | Verdict::Wait | Verdict::Nobody(_) => None,
    }
}

#[test]
fn whatever_is_seen_no_two_nodes_write_to_two_servers() {
    let memories = memories();
    let mut decided = 0;
    for first in states(0) {
        for second in states(1) {
            let members = [first.clone(), second.clone()];
            let highest = members.iter().filter_map(|one| one.seen()).map(|one| one.generation);
            let highest = highest.max().unwrap_or(0);
            let mut targets = Vec::new();
            for memory in &memories {
                let verdict = decide(&members, memory);
                let Some(at) = written(&verdict) else { continue };
                let told = format!("{members:?}, {memory:?}: {verdict:?}");
                let Answered(seen) = &members[at] else { panic!("{told}") };
                assert!(!seen.read_only, "{told}");
                assert!(
                    seen.generation >= highest.max(memory.generation) || at == memory.current,
                    "{told}"
                );
                if at != memory.current {
                    assert!(seen.gtids.contains(&memory.gtids), "{told}");
                }
                if let Verdict::Follow(_, generation) = verdict {
                    assert!(
                        !seen.replicates && generation > highest.max(memory.generation),
                        "{told}"
                    );
                }
                targets.push((at, memory, told));
                decided += 1;
            }
            // Memories that can be at once: of one history.
            for (one, mine, told) in &targets {
                for (two, theirs, other) in &targets {
                    let same_history =
                        mine.generation != theirs.generation || mine.current == theirs.current;
                    let both_stand = mine.confirmed == theirs.confirmed;
                    assert!(one == two || !same_history || !both_stand, "{told}\n{other}");
                }
            }
        }
    }
    assert!(decided > 5_000, "{decided}");
}

//! What follows from what a node knows, over time.

use super::*;

const FENCE: Fence = Fence { number: 9, obeyed: false };

/// What happens to a node with two data nodes, at seconds since its start.
enum Event {
    /// The control plane vouches for the heartbeat of this second.
    Vouch(u64),
    /// The same, after the fence was made.
    VouchVoid(u64),
    /// Data node 1 or 2 has no fence.
    Free(u8),
    Fenced(u8),
    Away(u8),
}
use Event::{Away, Fenced, Free, Vouch, VouchVoid};

/// What happened, the second at which is decided, and what.
type Case = (Vec<(u64, Event)>, u64, &'static str);

fn id(number: u8) -> DataNodeId {
    DataNodeId::from_random([number; 16])
}

/// What is decided at a second after these events, in a letter and the second at which it ends.
fn decided(events: &[(u64, Event)], at: u64) -> String {
    let start = Instant::now();
    let moment = |second: u64| start + Duration::from_secs(second);
    let mut assurance = Assurance::default();
    for (second, event) in events {
        match event {
            Vouch(sent) => assurance.vouch(moment(*sent), FENCE.number - 1),
            VouchVoid(sent) => assurance.vouch(moment(*sent), FENCE.number),
            Free(node) => assurance.look(id(*node), Look::Free(moment(*second))),
            Fenced(node) => assurance.look(id(*node), Look::Fenced(moment(*second), FENCE)),
            Away(node) => assurance.look(id(*node), Look::Away),
        }
    }
    let cut_off = if assurance.is_cut_off(moment(at)) { "alone" } else { "connected" };
    match assurance.decide(2, moment(at)) {
        Verdict::Serve(until) => format!("{cut_off} until {}", (until - start).as_secs()),
        Verdict::Refuse(Why::Changed { .. }) => format!("{cut_off} changed"),
        Verdict::Refuse(Why::Unassured) => format!("{cut_off} unassured"),
        Verdict::Refuse(Why::Refused(_)) => format!("{cut_off} refused"),
    }
}

#[test]
fn each_history_has_its_verdict() {
    let cases: Vec<Case> = vec![
        // Nothing was ever heard.
        (vec![], 0, "alone unassured"),
        (vec![(10, Vouch(9))], 10, "connected until 15"),
        // The answer is late; what counts is when was asked.
        (vec![(14, Vouch(9))], 14, "alone until 15"),
        (vec![(10, Vouch(9))], 15, "alone unassured"),
        // An older answer changes nothing.
        (vec![(10, Vouch(9)), (11, Vouch(7))], 11, "alone until 15"),
        // Cut off, with data nodes that are looked at. The older look counts, and all must be there.
        (vec![(1, Vouch(1)), (5, Free(1))], 6, "alone until 7"),
        (vec![(1, Vouch(1)), (5, Free(1)), (6, Free(2))], 7, "alone until 11"),
        (vec![(1, Vouch(1)), (5, Free(1)), (6, Free(2))], 11, "alone unassured"),
        (vec![(5, Free(1)), (6, Free(2)), (7, Free(1))], 8, "alone until 12"),
        // One that no statement reaches need not be seen; without any nothing is.
        (vec![(5, Free(1)), (6, Away(2))], 7, "alone until 11"),
        (vec![(5, Away(1)), (6, Away(2))], 7, "alone unassured"),
        // One fence is enough.
        (vec![(5, Free(1)), (6, Fenced(2))], 7, "alone changed"),
        (vec![(6, Vouch(6)), (7, Fenced(2))], 7, "connected changed"),
        // It is lifted.
        (vec![(5, Free(1)), (6, Fenced(2)), (8, Free(2))], 8, "alone until 11"),
        // Its row is still there when the node is cut off again.
        (vec![(6, VouchVoid(6)), (9, Free(1)), (9, Fenced(2))], 10, "alone until 15"),
        (vec![(6, Vouch(6)), (9, Free(1)), (9, Fenced(2))], 10, "alone changed"),
        // The control plane has vouched since; or what it vouched for is older than the fence.
        (vec![(6, Fenced(2)), (8, Vouch(7))], 8, "connected until 13"),
        (vec![(6, Fenced(2)), (8, Vouch(5))], 8, "alone changed"),
    ];
    for (number, (events, at, wanted)) in cases.iter().enumerate() {
        assert_eq!(decided(events, *at), *wanted, "case {number}");
    }
}

#[test]
fn a_node_without_data_nodes_serves_what_it_has() {
    let now = Instant::now();
    assert_eq!(Assurance::default().decide(0, now), Verdict::Serve(now + ASSURED_FOR));
}

#[test]
fn who_is_refused_serves_nothing_until_it_is_taken_back() {
    let now = Instant::now();
    let mut assurance = Assurance::default();
    assurance.vouch(now, 0);
    assurance.refuse(Some("unknown".to_owned()));
    assert_eq!(assurance.decide(2, now), Verdict::Refuse(Why::Refused("unknown".to_owned())));
    assurance.refuse(None);
    assert!(matches!(assurance.decide(2, now), Verdict::Serve(_)));
}

#[test]
fn data_nodes_that_are_gone_do_not_count() {
    let now = Instant::now();
    let mut assurance = Assurance::default();
    assurance.look(id(1), Look::Free(now));
    assurance.look(id(2), Look::Fenced(now, FENCE));
    assert!(matches!(assurance.decide(2, now), Verdict::Refuse(_)));
    assurance.retain(|one| *one == id(1));
    assert!(matches!(assurance.decide(1, now), Verdict::Serve(_)));
}

//! Marks of commits: slots are used again only when a commit is known to be over, and snapshots agree
//! exactly when they show the same number in each slot.
#![allow(clippy::unwrap_used)]
use super::*;
use mysql_wire::row::put_text_field;

fn id(number: u8) -> DataNodeId {
    DataNodeId::from_random([number; 16])
}

fn view(slots: &[(&str, u64, &[u8])]) -> View {
    let row = |(slot, number, parts): &(&str, u64, &[u8])| {
        let parts: Vec<String> = parts.iter().map(|part| id(*part).to_string()).collect();
        let mut row = Vec::new();
        for field in [*slot, &number.to_string(), &format!("g{number}"), &parts.join(",")] {
            put_text_field(&mut row, Some(field.as_bytes()));
        }
        Row::new(row.into())
    };
    View(slots.iter().map(row).collect())
}

fn found(views: &[(u8, View)]) -> Vec<(usize, u64)> {
    let ids: Vec<DataNodeId> = views.iter().map(|(number, _)| id(*number)).collect();
    let views: Vec<_> = ids.iter().zip(views).map(|(id, (_, view))| (id, view)).collect();
    let mut found: Vec<_> = behind(&views).iter().map(|one| (one.at, one.number)).collect();
    found.sort_unstable();
    found
}

#[test]
fn a_commit_that_not_all_show_is_found() {
    let all = [
        // Seen by both, or by none.
        (vec![(1, view(&[("a", 4, &[1, 2])])), (2, view(&[("a", 4, &[1, 2])]))], vec![]),
        (vec![(1, view(&[])), (2, view(&[]))], vec![]),
        // The second is behind; with its first commit, and with a later one.
        (vec![(1, view(&[("a", 1, &[1, 2])])), (2, view(&[]))], vec![(1, 1)]),
        (vec![(1, view(&[("a", 5, &[1, 2])])), (2, view(&[("a", 4, &[1, 2])]))], vec![(1, 5)]),
        // Each is behind the other.
        (
            vec![
                (1, view(&[("a", 5, &[1, 2]), ("b", 1, &[1, 2])])),
                (2, view(&[("a", 4, &[1, 2]), ("b", 2, &[1, 2])])),
            ],
            vec![(0, 2), (1, 5)],
        ),
        // A data node that takes no part, and one that is not read.
        (vec![(1, view(&[("a", 1, &[1, 3])])), (2, view(&[]))], vec![]),
        // Neither of the two is the home.
        (vec![(1, view(&[])), (2, view(&[("a", 1, &[2, 3, 4])])), (3, view(&[]))], vec![(2, 1)]),
    ];
    for (views, wanted) in all {
        assert_eq!(found(&views), wanted, "{views:?}");
    }
}

#[test]
fn a_slot_is_used_again_only_by_a_commit_that_is_finished() {
    let marks = CommitMarks::default();
    let (first, second) = (id(1), id(2));
    let mark = |ids: [&DataNodeId; 2]| marks.mark(ids.into_iter());
    let one = mark([&first, &second]);
    let other = mark([&second, &first]);
    assert_ne!(one.slot.id, other.slot.id);
    let slot = one.slot.id;
    one.finished();
    // What became of it is not known.
    drop(other);
    let third = mark([&second, &first]);
    assert_eq!((third.slot.id, third.slot.number), (slot, 2));
    let fourth = mark([&first, &second]);
    assert!(fourth.slot.id > 1);
    third.finished();
    // Other data nodes have slots of their own.
    assert_ne!(marks.mark([&first, &id(3)].into_iter()).slot.id, slot);
}

#[test]
fn statements_name_the_process_and_fit() {
    let node = base::id::NodeId::from_random([0xee; 16]);
    let gtrid = crate::decision::gtrid(&node, 0xFFF_FFFF_FFFF, u64::from(u32::MAX));
    let marks = CommitMarks::default();
    let statement = marks.mark([&id(2), &id(1)].into_iter()).statement(&gtrid);
    let slot = format!("ddm-{node}-fffffffffff-0");
    assert!(
        slot.len() <= 64 && statement.contains(&format!("('{slot}', 1, '{gtrid}', ")),
        "{statement}"
    );
    assert!(statement.contains(&format!("'{},{}'", id(1), id(2))), "{statement}");
}

#[test]
fn what_is_settled_holds_for_later_snapshots_only() {
    let marks = CommitMarks::default();
    let before = Instant::now();
    let then = before + std::time::Duration::from_millis(5);
    marks.settle("a", 3, then);
    let later = then + std::time::Duration::from_millis(5);
    assert!(marks.is_settled("a", 3, later));
    assert!(!marks.is_settled("a", 3, before) && !marks.is_settled("a", 4, later));
}

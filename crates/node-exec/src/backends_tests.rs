//! Which servers of a data node are read, and what a new snapshot changes of them; no connection is
//! made.
#![allow(clippy::unwrap_used)]

use super::*;
use base::id::InstanceId;
use base::secret::Secret;
use node_backend::members::Standing;
use topology::model::{Replica, SNAPSHOT_FORM};

fn id(number: u8) -> DataNodeId {
    DataNodeId::from_random([number; 16])
}

fn data_node(weights: &[u32]) -> DataNode {
    let replica = |(at, weight): (usize, &u32)| Replica {
        id: id(at as u8 + 1),
        host: "h".into(),
        port: at as u16 + 1,
        read_weight: *weight,
    };
    DataNode {
        id: id(0),
        name: "dn".into(),
        host: "h".into(),
        port: 0,
        server_version: "10.11.6-MariaDB".into(),
        user: "u".into(),
        password: Secret::new("p"),
        read_weight: weights[0],
        replicas: weights[1..].iter().enumerate().map(replica).collect(),
    }
}

fn snapshot(version: u64, node: DataNode) -> Snapshot {
    Snapshot {
        form: SNAPSHOT_FORM,
        version,
        instance_id: InstanceId::from_random([9; 16]),
        instance_name: "i".into(),
        data_nodes: BTreeMap::from([(node.id.clone(), node)]),
        schemas: BTreeMap::new(),
        accounts: BTreeMap::new(),
        parameters: Default::default(),
        node_count: 1,
        node_numbers: Default::default(),
        read_only_nodes: Default::default(),
        client_access: None,
        access_lists: Default::default(),
        time_zone: None,
    }
}

struct World {
    backends: Backends,
    quotas: Arc<Quotas>,
    standings: Arc<Standings>,
}

impl World {
    fn new(weights: &[u32]) -> Self {
        let (quotas, standings) = (Arc::<Quotas>::default(), Arc::<Standings>::default());
        let world =
            Self { backends: Backends::with_quotas(&quotas, &standings), quotas, standings };
        world.follow(1, data_node(weights));
        world
    }

    fn follow(&self, version: u64, node: DataNode) {
        let snapshot = snapshot(version, node);
        self.quotas.follow(&snapshot, &Default::default());
        self.backends.follow(&snapshot);
    }

    fn node(&self) -> Rc<BackendNode> {
        self.backends.node(&id(0)).unwrap()
    }

    fn standing(&self, replica: u8) -> Arc<Standing> {
        self.standings.of(&id(0), "h", u16::from(replica))
    }

    /// How many of 100 reads each gets, by port.
    fn counts(&self) -> BTreeMap<String, u32> {
        let node = self.node();
        let mut counts = BTreeMap::new();
        for _ in 0..100 {
            *counts.entry(node.next_by_weight().login().address()).or_default() += 1;
        }
        counts
    }
}

fn counts<const N: usize>(of: [(u16, u32); N]) -> BTreeMap<String, u32> {
    of.into_iter().map(|(port, count)| (format!("h:{port}"), count)).collect()
}

#[test]
fn reads_follow_weights_among_those_that_can_be_read() {
    let world = World::new(&[20, 30, 50]);
    assert_eq!(world.counts(), counts([(0, 100)]), "nobody was asked yet");
    assert!(world.node().next_replica().is_none());
    world.standing(1).set(true);
    assert_eq!(world.counts(), counts([(0, 40), (1, 60)]));
    world.standing(2).set(true);
    assert_eq!(world.counts(), counts([(0, 20), (1, 30), (2, 50)]));
    world.standing(1).set(false);
    let shares = world.counts();
    assert!(!shares.contains_key("h:1") && (28..=29).contains(&shares["h:0"]), "{shares:?}");
    world.follow(2, data_node(&[0, 0, 0]));
    assert_eq!(world.counts(), counts([(0, 100)]), "without weights the primary reads");
    assert_eq!(world.node().next_replica().unwrap().login().address(), "h:2");
    world.standing(2).set(false);
    world.follow(3, data_node(&[0, 50, 50]));
    assert_eq!(world.counts(), counts([(0, 100)]), "no replica can be read");
}

#[test]
fn replicas_take_turns_when_they_alone_are_wanted() {
    let world = World::new(&[100, 30, 10]);
    let turns = |count: u32| {
        let node = world.node();
        let mut counts = BTreeMap::new();
        for _ in 0..count {
            let address = node.next_replica().unwrap().login().address();
            *counts.entry(address).or_default() += 1;
        }
        counts
    };
    world.standing(1).set(true);
    world.standing(2).set(true);
    assert_eq!(turns(40), counts([(1, 30), (2, 10)]));
    world.follow(2, data_node(&[100, 0, 0]));
    assert_eq!(turns(40), counts([(1, 20), (2, 20)]), "without weights they are alike");
    world.follow(3, data_node(&[100, 0, 7]));
    assert_eq!(turns(40), counts([(2, 40)]), "who has no weight takes no reads");
}

#[test]
fn a_snapshot_drops_only_what_it_changes() {
    let world = World::new(&[20, 30, 50]);
    let before = world.node();
    world.follow(2, data_node(&[20, 30, 50]));
    assert!(Rc::ptr_eq(&before, &world.node()), "nothing changed");
    world.follow(3, data_node(&[0, 1, 2]));
    let weighed = world.node();
    assert!(before.members().zip(weighed.members()).all(|(old, new)| Rc::ptr_eq(old, new)));
    // The first replica goes, the second stays, a third comes.
    let mut node = data_node(&[0, 1, 2, 3]);
    node.replicas.remove(0);
    world.follow(4, node.clone());
    let changed = world.node();
    assert!(Rc::ptr_eq(before.primary(), changed.primary()));
    assert!(Rc::ptr_eq(&before.replicas[1], &changed.replicas[0]));
    assert!(
        before.replicas[0].pool(false).is_closed() && before.replicas[0].pool(true).is_closed()
    );
    assert!(!changed.members().any(|member| member.pool(false).is_closed()));
    // One moves: it is another server, which nobody was asked about.
    world.standing(2).set(true);
    node.replicas[0].port = 99;
    world.follow(5, node.clone());
    let moved = world.node();
    assert!(changed.replicas[0].pool(false).is_closed());
    assert!(Rc::ptr_eq(&changed.replicas[1], &moved.replicas[1]));
    assert!(!moved.replicas[0].is_usable());
    // Another password is another login for all.
    node.password = Secret::new("q");
    world.follow(6, node);
    assert!(moved.members().all(|member| member.pool(false).is_closed()));
    world.follow(7, data_node(&[100]));
    assert!(!world.node().has_replicas());
}

#[test]
fn whoever_serves_no_clients_uses_primaries_alone() {
    let backends = Backends::new();
    backends.follow(&snapshot(1, data_node(&[0, 50])));
    let node = backends.node(&id(0)).unwrap();
    assert!(!node.has_replicas() && !node.next_by_weight().is_replica());
}

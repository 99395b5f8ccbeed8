//! Growing, shrinking, groups and node classes: calls, and their jobs under every fault.

#![allow(clippy::unwrap_used)]

mod common;

use base::id::{GroupId, InstanceId, NodeId};
use common::{Jobs, World, code, world};
use control_api::decode::decode;
use control_api::group::CreateGroupRequest;
use control_api::paging::Page;
use control_api::scaling::{
    AddNodesRequest, ChangeFlavorRequest, EnlargeRequest, ReduceRequest, RemoveNodesRequest,
};
use control_app::flavor::NODE_CLASSES;
use control_app::jobs::{flavor_change, instance_restart, nodes_add, nodes_remove};
use control_app::scaling::Scaling;
use control_store::jobs::StoreJobs;
use job_engine::JobDefinition;
use job_engine::kit::{self, Fault};
use provision::NodeProvisioner;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const PAGE: Page = Page { offset: 0, limit: 100 };

type Answer<T> = Result<T, base::api_error::ApiError>;

impl World {
    async fn enlarge(&self, id: &str, body: Value) -> Answer<Scaling> {
        let request: EnlargeRequest = decode(body.to_string().as_bytes())?;
        self.app.add_nodes(&self.project, id, request.check()?).await
    }

    async fn add(&self, id: &str, body: Value) -> Answer<Scaling> {
        let request: AddNodesRequest = decode(body.to_string().as_bytes())?;
        self.app.add_nodes(&self.project, id, request.check()?).await
    }

    async fn reduce(&self, id: &str, body: Value) -> Answer<Scaling> {
        let request: ReduceRequest = decode(body.to_string().as_bytes())?;
        self.app.remove_nodes(&self.project, id, request.check()?).await
    }

    async fn remove(&self, id: &str, nodes: &[&str]) -> Answer<Scaling> {
        let body = json!({ "node_ids": nodes });
        let request: RemoveNodesRequest = decode(body.to_string().as_bytes())?;
        self.app.remove_nodes(&self.project, id, request.check()?).await
    }

    async fn resize(&self, id: &str, body: Value) -> Answer<Scaling> {
        let request: ChangeFlavorRequest = decode(body.to_string().as_bytes())?;
        self.app.change_flavor(&self.project, id, request.check()?).await
    }

    async fn group(&self, id: &str, body: Value) -> Answer<(String, String)> {
        let request: CreateGroupRequest = decode(body.to_string().as_bytes())?;
        let made = self.app.create_group(&self.project, id, request.check()?).await?;
        Ok((made.group_id, made.job_id))
    }

    async fn done(&self, job: &str) {
        let row = self.app.jobs().wait(job).await.unwrap();
        assert_eq!(row.fail_reason, None, "{}", row.kind);
    }

    /// Names of nodes with their groups.
    async fn nodes(&self, id: &str) -> Vec<(String, String)> {
        let rows = self.app.list_nodes(&self.project, id, PAGE).await.unwrap().nodes;
        let mut nodes = Vec::new();
        for row in rows {
            let shown = self.app.show_node_v3(&self.project, id, &row.node_id).await.unwrap();
            nodes.push((shown.name, row.group_id));
        }
        nodes
    }

    async fn addresses(&self) -> usize {
        self.keys().await.iter().filter(|key| key.starts_with("addresses/")).count()
    }
}

fn read_group(name: &str, nodes: usize) -> Value {
    json!({"name": name, "type": "r", "flavor_ref": "ddm.c6.xlarge.2",
        "nodes": vec![json!({"available_zone": "az1", "subnet_id": "subnet"}); nodes]})
}

#[tokio::test]
async fn an_instance_grows_and_shrinks() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(1).await;
    let class = NODE_CLASSES[0].id;
    let grown = world.enlarge(&id, json!({"flavor_id": class, "node_number": 2})).await.unwrap();
    assert_eq!(world.status(&id).await, "GROWING");
    let again = world.enlarge(&id, json!({"flavor_id": class, "node_number": 1})).await;
    assert_eq!(code(again), ("DBS.200076", 409));
    let answer = serde_json::to_value(grown.scale_response()).unwrap();
    assert_eq!(answer["instanceId"], id.as_str());
    assert_eq!(answer["instanceName"], "ddm-test");
    world.done(answer["jobId"].as_str().unwrap()).await;
    let shown = world.app.show_instance(&world.project, &id).await.unwrap();
    assert_eq!(
        (shown.row.status.as_str(), shown.row.node_status.as_str(), shown.row.node_count),
        ("RUNNING", "RUNNING", 3)
    );
    // The first was in az1; each new one goes where the fewest are.
    let mut zones = Vec::new();
    for node in &shown.nodes {
        let node = world.app.show_node_v3(&world.project, &id, &node.node_id).await.unwrap();
        zones.push((node.name, node.az_code));
    }
    let expected = [("01", "az1"), ("02", "az2"), ("03", "az1")];
    let expected =
        expected.map(|(number, zone)| (format!("ddm-test_node_{number}"), zone.to_owned()));
    assert_eq!(zones, expected);
    let shared: BTreeSet<String> = shown
        .nodes
        .iter()
        .map(|node| {
            let spec = world.nodes.spec(&NodeId::parse(&node.node_id).unwrap()).unwrap();
            spec.shared_listen[0].to_string()
        })
        .collect();
    let access = format!("{}:{}", shown.row.access_ip, shown.row.access_port);
    assert_eq!(shared, BTreeSet::from([access]), "all share the instance's address");

    let shrunk = world.reduce(&id, json!({"node_number": 1})).await.unwrap();
    assert_eq!(world.status(&id).await, "REDUCING");
    world.done(&shrunk.job_id.unwrap()).await;
    let left: Vec<String> = world.nodes(&id).await.into_iter().map(|node| node.0).collect();
    assert_eq!(left, ["ddm-test_node_01", "ddm-test_node_02"], "the youngest went");
    assert_eq!((world.nodes.count(), world.addresses().await), (2, 3));

    let nodes = world.app.list_nodes(&world.project, &id, PAGE).await.unwrap().nodes;
    let first = world.remove(&id, &[&nodes[0].node_id]).await.unwrap();
    world.done(&first.job_id.unwrap()).await;
    let added = world.add(&id, json!({"nodes": [{"available_zone": "az3"}]})).await.unwrap();
    world.done(&added.job_id.unwrap()).await;
    let left: Vec<String> = world.nodes(&id).await.into_iter().map(|node| node.0).collect();
    assert_eq!(left, ["ddm-test_node_02", "ddm-test_node_03"], "no name is given twice at once");
}

#[tokio::test]
async fn wrong_calls_change_nothing() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(2).await;
    let before = world.keys().await;
    let class = NODE_CLASSES[0].id;
    let bad = ("DBS.280001", 400);
    for body in [
        json!({"flavor_id": "x", "node_number": 1}),
        json!({"flavor_id": NODE_CLASSES[1].id, "node_number": 1}),
        json!({"flavor_id": class, "node_number": 0}),
        json!({"flavor_id": class, "node_number": 31}),
        json!({"flavor_id": class}),
        json!({"node_number": 1}),
        json!({"flavor_id": class, "node_number": 1, "group_id": GroupId::random()}),
        json!({"flavor_id": class, "node_number": 1, "available_zones": ["az9"]}),
        json!({"flavor_id": class, "node_number": 1, "available_zones": ["az1", "az1"]}),
    ] {
        assert_eq!(code(world.enlarge(&id, body.clone()).await), bad, "{body}");
    }
    for body in [
        json!({"nodes": []}),
        json!({"nodes": vec![json!({"available_zone": "az1"}); 31]}),
        json!({"nodes": [{"available_zone": "az9"}]}),
        json!({"nodes": [{}]}),
        json!({"nodes": [{"available_zone": "az1"}], "subnet_id": "x"}),
    ] {
        assert_eq!(code(world.add(&id, body.clone()).await), bad, "{body}");
    }
    for number in [0, 2, 32, -1] {
        assert_eq!(code(world.reduce(&id, json!({"node_number": number})).await), bad, "{number}");
    }
    let nodes = world.app.list_nodes(&world.project, &id, PAGE).await.unwrap().nodes;
    let (one, two) = (nodes[0].node_id.as_str(), nodes[1].node_id.as_str());
    let stranger = NodeId::random();
    for ids in [&[][..], &[one, one], &[one, two], &[stranger.as_str()], &["x"]] {
        assert_eq!(code(world.remove(&id, ids).await), bad, "{ids:?}");
    }
    for (body, field) in [
        (json!({"spec_code": "ddm.c6.large.2"}), "spec_code"),
        (json!({"spec_code": "ddm.c9.large.2"}), "spec_code"),
        (json!({"spec_code": ""}), "spec_code"),
        (json!({"spec_code": "ddm.c6.xlarge.2", "group_id": "x"}), "group_id"),
    ] {
        let error = world.resize(&id, body).await.unwrap_err();
        assert_eq!((error.code.code, error.field.as_deref()), ("DBS.280001", Some(field)));
    }
    for (key, value) in [
        ("name", json!("1st")),
        ("name", json!("group-default")),
        ("type", json!("w")),
        ("flavor_ref", json!("x")),
        ("nodes", json!([])),
        ("nodes", json!([{"available_zone": "az9"}])),
        ("nodes", json!([{"available_zone": "az1", "subnet_id": "x"}])),
        ("nodes", json!(vec![json!({"available_zone": "az1"}); 31])),
    ] {
        let mut body = read_group("reports", 1);
        body[key] = value;
        assert_eq!(code(world.group(&id, body.clone()).await), bad, "{body}");
    }
    let restart = world.app.restart_node(&world.project, &id, stranger.as_str()).await;
    assert_eq!(code(restart).1, 404);
    let delete = world.app.delete_group(&world.project, &id, GroupId::random().as_str()).await;
    assert_eq!(code(delete).1, 404);
    assert_eq!(world.keys().await, before);
    assert_eq!(world.status(&id).await, "RUNNING");
}

#[tokio::test]
async fn the_class_changes_only_when_all_nodes_serve() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(2).await;
    let node = world.app.list_nodes(&world.project, &id, PAGE).await.unwrap().nodes.remove(0);
    let node = NodeId::parse(&node.node_id).unwrap();
    let spec = world.nodes.spec(&node).unwrap();
    world.nodes.stop_node(&node, provision::Stop::Kill).await.unwrap();
    let body = json!({"spec_code": "ddm.c6.xlarge.2"});
    assert_eq!(code(world.resize(&id, body.clone()).await), ("DBS.200076", 409));
    assert_eq!(world.status(&id).await, "RUNNING");
    world.nodes.start_node(&spec).await.unwrap();
    let resized = world.resize(&id, body).await.unwrap();
    world.done(&resized.job_id.unwrap()).await;
}

#[tokio::test]
async fn clients_of_an_only_node_wait_while_it_is_replaced() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(1).await;
    let shown = world.app.show_instance(&world.project, &id).await.unwrap().row;
    let address = format!("{}:{}", shown.access_ip, shown.access_port).parse().unwrap();
    let held = || std::mem::take(&mut *world.nodes.held.lock().unwrap());
    let resized = world.resize(&id, json!({"spec_code": "ddm.c6.xlarge.2"})).await.unwrap();
    world.done(&resized.job_id.unwrap()).await;
    assert_eq!(held(), [address]);
    let node = world.app.list_nodes(&world.project, &id, PAGE).await.unwrap().nodes.remove(0);
    let job = world.app.restart_node(&world.project, &id, &node.node_id).await.unwrap();
    world.done(&job).await;
    assert_eq!(held(), [address]);
    let grown = world.add(&id, json!({"nodes": [{"available_zone": "az1"}]})).await.unwrap().job_id;
    world.done(&grown.unwrap()).await;
    let job = world.app.restart_node(&world.project, &id, &node.node_id).await.unwrap();
    world.done(&job).await;
    assert_eq!(held(), [], "the other node serves them");
}

#[tokio::test]
async fn groups_have_their_own_address_class_and_role() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(1).await;
    let instance_id = InstanceId::parse(&id).unwrap();
    let (group, job) = world.group(&id, read_group("reports", 2)).await.unwrap();
    assert_eq!(world.status(&id).await, "GROWING");
    world.done(&job).await;
    let listed = world.app.list_groups(&world.project, &id, PAGE).await.unwrap();
    let rows: Vec<_> = listed
        .group_list
        .iter()
        .map(|row| {
            let name = row.name.as_str();
            (
                name,
                row.role.as_str(),
                row.is_default_group,
                row.cpu_num_per_node,
                row.node_list.len(),
            )
        })
        .collect();
    assert_eq!(listed.total_count, 2);
    assert_eq!(rows, [("group-default", "rw", true, 2, 1), ("reports", "r", false, 4, 2)]);
    assert_ne!(listed.group_list[0].endpoint, listed.group_list[1].endpoint);
    let read_only = world.app.snapshot(&instance_id).await.unwrap().unwrap().read_only_nodes;
    let own: BTreeSet<NodeId> = listed.group_list[1]
        .node_list
        .iter()
        .map(|node| NodeId::parse(&node.id).unwrap())
        .collect();
    assert_eq!(read_only, own);
    for node in &own {
        let spec = world.nodes.spec(node).unwrap();
        assert_eq!(spec.shared_listen[0].to_string(), listed.group_list[1].endpoint);
        assert_eq!((spec.worker_threads, spec.memory_limit_mb), (4, 8192));
    }
    let shown = world.app.show_instance_v3(&world.project, &id).await.unwrap();
    let detail = &shown.instances[0];
    assert!(!detail.only_default_group && detail.groups.len() == 2);
    assert_eq!((detail.groups[1].node_count, detail.groups[1].nodes.len()), (2, 2));

    // With two groups each call says which it means.
    let class = NODE_CLASSES[0].id;
    let bad = ("DBS.280001", 400);
    let unsaid = world.enlarge(&id, json!({"flavor_id": class, "node_number": 1})).await;
    assert_eq!(code(unsaid), bad);
    assert_eq!(code(world.reduce(&id, json!({"node_number": 1})).await), bad);
    assert_eq!(code(world.resize(&id, json!({"spec_code": "ddm.c6.2xlarge.2"})).await), bad);
    assert_eq!(code(world.group(&id, read_group("reports", 1)).await), bad, "the name is taken");
    let nodes = world.app.list_nodes(&world.project, &id, PAGE).await.unwrap().nodes;
    let default = &listed.group_list[0].id;
    let in_default = nodes.iter().find(|node| node.group_id == *default).unwrap();
    let other = nodes.iter().find(|node| node.group_id == group).unwrap();
    let both = world.remove(&id, &[&in_default.node_id, &other.node_id]).await;
    assert_eq!(code(both), bad);
    assert_eq!(code(world.remove(&id, &[&in_default.node_id]).await), bad, "each keeps one");
    assert_eq!(code(world.app.delete_group(&world.project, &id, default).await), bad);

    let body = json!({"spec_code": "ddm.kc1.2xlarge.2", "group_id": group});
    let resized = world.resize(&id, body).await.unwrap();
    assert_eq!(world.status(&id).await, "RESIZING");
    world.done(&resized.job_id.unwrap()).await;
    for node in &own {
        let spec = world.nodes.spec(node).unwrap();
        assert_eq!((spec.worker_threads, spec.memory_limit_mb), (8, 16384));
    }
    let kept = world.nodes.spec(&NodeId::parse(&in_default.node_id).unwrap()).unwrap();
    assert_eq!(kept.worker_threads, 2, "the other group keeps its class");

    let job = world.app.delete_group(&world.project, &id, &group).await.unwrap();
    world.done(&job).await;
    assert_eq!((world.nodes.count(), world.addresses().await), (1, 2));
    assert_eq!(world.app.list_groups(&world.project, &id, PAGE).await.unwrap().total_count, 1);
    assert!(world.app.snapshot(&instance_id).await.unwrap().unwrap().read_only_nodes.is_empty());
    let (_, job) = world.group(&id, read_group("reports", 1)).await.unwrap();
    world.done(&job).await;
    let delete = world.app.delete_instance(&world.project, &id, false).await.unwrap();
    world.app.jobs().wait(&delete.job_id).await.unwrap();
    assert_eq!(world.keys().await, Vec::<String>::new(), "nothing is left");
}

#[tokio::test]
async fn what_is_paid_for_a_time_waits_for_its_order() {
    let world = world(Jobs::Run).await;
    let app = &world.app;
    let made = world
        .try_buy(|body| {
            body["extend_param"] = json!({"charge_mode": "prePaid", "period_type": "month",
                "period_num": 1, "is_auto_pay": "true"});
        })
        .await
        .unwrap();
    app.jobs().settle().await;
    let id = made.id;
    let body = json!({"flavor_id": NODE_CLASSES[0].id, "node_number": 1});
    let waits = world.enlarge(&id, body.clone()).await.unwrap();
    let answer = serde_json::to_value(waits.scale_response()).unwrap();
    assert_eq!(answer.get("jobId"), None);
    assert_eq!(world.status(&id).await, "RUNNING", "nothing happens before it is paid");
    let resize = world.resize(&id, json!({"spec_code": "ddm.c6.xlarge.2"})).await.unwrap();
    let paid = app.pay_order(&world.project, answer["orderId"].as_str().unwrap()).await.unwrap();
    assert_eq!(world.status(&id).await, "GROWING");
    let resize_order = resize.order_id.unwrap();
    assert_eq!(code(app.pay_order(&world.project, &resize_order).await), ("DBS.200076", 409));
    world.done(&paid.job_id).await;
    assert_eq!(world.nodes(&id).await.len(), 2);
    let twice = app.pay_order(&world.project, answer["orderId"].as_str().unwrap()).await;
    assert_eq!(code(twice), ("DBS.280409", 409));
    let paid = app.pay_order(&world.project, &resize_order).await.unwrap();
    world.done(&paid.job_id).await;
    let shown = app.show_instance(&world.project, &id).await.unwrap().row;
    assert_eq!((shown.flavor_ref.as_str(), shown.core_count.as_str()), ("ddm.c6.xlarge.2", "4"));
    // What waited too long is checked again: the class is the same by now.
    let mut body = json!({"spec_code": "ddm.c6.large.2"});
    let late = world.resize(&id, body.clone()).await.unwrap();
    body["is_auto_pay"] = json!(true);
    let at_once = world.resize(&id, body).await.unwrap();
    assert_eq!(serde_json::to_value(at_once.job_or_order()).unwrap().get("job_id"), None);
    world.done(&at_once.job_id.unwrap()).await;
    let late = app.pay_order(&world.project, &late.order_id.unwrap()).await;
    assert_eq!(code(late), ("DBS.280001", 400));
    let delete = app.delete_instance(&world.project, &id, false).await.unwrap();
    app.jobs().wait(&delete.job_id).await.unwrap();
    assert_eq!(world.keys().await, Vec::<String>::new(), "the orders go with it");
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Add,
    Remove,
    Resize,
    MakeGroup,
    DeleteGroup,
    RestartNode,
}

impl Kind {
    fn definition(self) -> JobDefinition<Arc<control_app::App>> {
        match self {
            Kind::Add => nodes_add::definition(),
            Kind::Remove => nodes_remove::definition(),
            Kind::Resize => flavor_change::definition(),
            Kind::MakeGroup => nodes_add::group_definition(),
            Kind::DeleteGroup => nodes_remove::group_definition(),
            Kind::RestartNode => instance_restart::node_definition(),
        }
    }

    /// Calls; the job.
    async fn begin(self, world: &World, id: &str) -> String {
        let groups = world.app.list_groups(&world.project, id, PAGE).await.unwrap().group_list;
        let group = &groups[0].id;
        let started = match self {
            Kind::Add => {
                let choice = NODE_CLASSES.iter().find(|c| c.vcpus == groups[0].cpu_num_per_node);
                let class = choice.unwrap().id;
                let body = json!({"flavor_id": class, "node_number": 2, "group_id": group});
                world.enlarge(id, body).await.unwrap()
            }
            Kind::Remove => {
                world.reduce(id, json!({"node_number": 1, "group_id": group})).await.unwrap()
            }
            Kind::Resize => {
                let small = groups[0].cpu_num_per_node == 2;
                let code = if small { "ddm.c6.xlarge.2" } else { "ddm.c6.large.2" };
                world.resize(id, json!({"spec_code": code, "group_id": group})).await.unwrap()
            }
            Kind::MakeGroup => {
                let name = format!("g{}", GroupId::random());
                return world.group(id, read_group(&name, 2)).await.unwrap().1;
            }
            Kind::DeleteGroup => {
                let last = &groups.last().unwrap().id;
                return world.app.delete_group(&world.project, id, last).await.unwrap();
            }
            Kind::RestartNode => {
                let node = &groups[0].node_list[0].id;
                return world.app.restart_node(&world.project, id, node).await.unwrap();
            }
        };
        started.job_id.unwrap()
    }
}

/// What must be as before when a job fails: nodes with their groups, addresses, groups, processes.
async fn shape(world: &World, id: &str) -> (Vec<(String, String)>, usize, String, usize) {
    let groups = world.app.list_groups(&world.project, id, PAGE).await.unwrap().group_list;
    let groups = groups.iter().map(|group| (&group.id, group.cpu_num_per_node)).collect::<Vec<_>>();
    let groups = format!("{groups:?}");
    (world.nodes(id).await, world.addresses().await, groups, world.nodes.count())
}

/// Every node that is known runs, with the class of its group.
async fn assert_sound(world: &World, id: &str, fault: Fault) {
    let groups = world.app.list_groups(&world.project, id, PAGE).await.unwrap().group_list;
    for group in groups {
        for node in group.node_list {
            let node_id = NodeId::parse(&node.id).unwrap();
            assert!(world.nodes.is_running(&node_id), "{fault:?}");
            let spec = world.nodes.spec(&node_id).unwrap();
            assert_eq!(spec.worker_threads, group.cpu_num_per_node, "{fault:?}");
            let shown = world.app.show_node(&world.project, id, &node.id).await.unwrap();
            assert_eq!(shown.status, "normal", "{fault:?}");
        }
    }
}

async fn run(world: &World, kind: Kind, id: &str, fault: Fault) {
    let store = Arc::new(StoreJobs(world.store.clone()));
    let create = async |_| kind.begin(world, id).await;
    let row = kit::run(store, world.app.clone(), move || kind.definition(), fault, create).await;
    kit::assert_ended(&row, fault);
}

#[tokio::test]
async fn jobs_of_scaling_bear_every_fault() {
    let world = world(Jobs::LeaveToKit).await;
    let (id, _) = world.buy(2).await;
    let unfinished = world.store.list("jobs-unfinished/").await.unwrap().0;
    let job = unfinished[0].key.trim_start_matches("jobs-unfinished/").to_owned();
    let store = Arc::new(StoreJobs(world.store.clone()));
    let create = control_app::jobs::instance_create::definition;
    kit::run(store, world.app.clone(), create, Fault::None, async |_| job).await;
    // Each kind with what takes back what it did.
    for (kind, back) in [
        (Kind::Add, Some(Kind::Remove)),
        (Kind::Resize, None),
        (Kind::MakeGroup, Some(Kind::DeleteGroup)),
        (Kind::Remove, Some(Kind::Add)),
        (Kind::RestartNode, None),
    ] {
        for fault in kit::faults(kind.definition().steps.len()) {
            let before = shape(&world, &id).await;
            run(&world, kind, &id, fault).await;
            let after = shape(&world, &id).await;
            // The last step of a removal is the one without a way back.
            let gone = matches!(kind, Kind::Remove) && !kit::completes(fault) && after != before;
            if kit::completes(fault) {
                assert_eq!(
                    after == before,
                    matches!(kind, Kind::RestartNode),
                    "{kind:?} {fault:?}"
                );
            } else if !gone {
                assert_eq!(after, before, "{kind:?} {fault:?}");
            }
            let restart = matches!(kind, Kind::RestartNode) && !kit::completes(fault);
            let wanted = if restart { "ERROR" } else { "RUNNING" };
            assert_eq!(world.status(&id).await, wanted, "{kind:?} {fault:?}");
            assert_sound(&world, &id, fault).await;
            let Some(back) = back else { continue };
            if !kit::completes(fault) && !gone {
                continue;
            }
            for _ in 0..if matches!(kind, Kind::Add) { 2 } else { 1 } {
                run(&world, back, &id, Fault::None).await;
            }
            if matches!(kind, Kind::Remove) {
                run(&world, Kind::Remove, &id, Fault::None).await;
            }
        }
    }
}

#[tokio::test]
async fn deleting_a_group_bears_every_fault() {
    let world = world(Jobs::LeaveToKit).await;
    let (id, _) = world.buy(1).await;
    let unfinished = world.store.list("jobs-unfinished/").await.unwrap().0;
    let job = unfinished[0].key.trim_start_matches("jobs-unfinished/").to_owned();
    let store = Arc::new(StoreJobs(world.store.clone()));
    let create = control_app::jobs::instance_create::definition;
    kit::run(store, world.app.clone(), create, Fault::None, async |_| job).await;
    for fault in kit::faults(Kind::DeleteGroup.definition().steps.len()) {
        let groups = world.app.list_groups(&world.project, &id, PAGE).await.unwrap().total_count;
        if groups == 1 {
            run(&world, Kind::MakeGroup, &id, Fault::None).await;
        }
        run(&world, Kind::DeleteGroup, &id, fault).await;
        assert_eq!(world.status(&id).await, "RUNNING", "{fault:?}");
        assert_sound(&world, &id, fault).await;
        let left = world.app.list_groups(&world.project, &id, PAGE).await.unwrap().total_count;
        let nodes = world.nodes.count();
        let whole = [(1, 1, 2), (2, 3, 5)];
        let state = (left, nodes, world.addresses().await);
        assert!(whole.contains(&state), "wholly there or wholly gone: {state:?} {fault:?}");
        assert!(!kit::completes(fault) || left == 1, "{fault:?}");
    }
}

//! Access lists of groups: what they accept, whom they belong to, and that they go with their group.

#![allow(clippy::unwrap_used)]

mod common;

use base::api_error::ApiError;
use base::id::{GroupId, InstanceId, NodeId};
use common::{Jobs, World, code, world};
use control_api::access_list::SetAccessListRequest;
use control_api::decode::decode;
use control_api::group::CreateGroupRequest;
use control_api::paging::Page;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use topology::model::Snapshot;

const PAGE: Page = Page { offset: 0, limit: 100 };

impl World {
    async fn set(&self, id: &str, group: &str, body: Value) -> Result<bool, ApiError> {
        let request: SetAccessListRequest = decode(body.to_string().as_bytes())?;
        let set = self.app.set_access_list(&self.project, id, group, request.check()?).await?;
        Ok(set.enable_ipgroup)
    }

    async fn shown(&self, id: &str, group: &str) -> Value {
        let shown = self.app.show_access_list(&self.project, id, group).await.unwrap();
        serde_json::to_value(shown).unwrap()
    }

    async fn snapshot(&self, id: &str) -> Snapshot {
        self.app.snapshot(&InstanceId::parse(id).unwrap()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_list_belongs_to_the_nodes_of_its_group() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(2).await;
    let body = json!({"name": "reports", "type": "r", "flavor_ref": "ddm.c6.xlarge.2",
        "nodes": [{"available_zone": "az1"}]});
    let request: CreateGroupRequest = decode(body.to_string().as_bytes()).unwrap();
    let new = request.check().unwrap();
    let made = world.app.create_group(&world.project, &id, new).await.unwrap();
    world.app.jobs().wait(&made.job_id).await.unwrap();
    let groups = world.app.list_groups(&world.project, &id, PAGE).await.unwrap().group_list;
    let (default, reports) = (&groups[0].id, &groups[1].id);
    assert_eq!(
        world.shown(&id, default).await,
        json!({"instance_id": id, "group_id": default, "enable_ipgroup": false, "type": "white",
            "ipgroup": {"id": default, "name": "", "ip_list": []}})
    );
    assert!(world.snapshot(&id).await.access_lists.is_empty());

    let body = json!({"name": "staff", "type": "black", "enable_ip_group": true, "group_id": reports,
        "ip_list": [{"ip": "10.1.2.3/16", "description": "visitors"}, {"ip": "::1"}]});
    let before = world.snapshot(&id).await.version;
    assert!(world.set(&id, reports, body).await.unwrap());
    let snapshot = world.snapshot(&id).await;
    assert!(snapshot.version > before);
    let own = groups[1].node_list.iter().map(|node| NodeId::parse(&node.id).unwrap());
    let own: BTreeSet<NodeId> = own.collect();
    assert_eq!(snapshot.access_lists.keys().cloned().collect::<BTreeSet<_>>(), own);
    let list = &snapshot.access_lists[own.first().unwrap()];
    for (client, allowed) in [("10.1.9.9", false), ("::1", false), ("10.2.0.1", true)] {
        assert_eq!(list.allows(client.parse().unwrap(), 5066), allowed, "{client}");
    }
    let shown = world.shown(&id, reports).await;
    assert_eq!(shown["type"], "black");
    assert_eq!(
        shown["ipgroup"]["ip_list"],
        json!([{"ip": "10.1.2.3/16", "description": "visitors"}, {"ip": "::1", "description": ""}])
    );

    // What is left out stays; switched off it is kept.
    assert!(world.set(&id, reports, json!({"type": "white"})).await.unwrap());
    assert!(!world.set(&id, reports, json!({"enable_ip_group": false})).await.unwrap());
    assert!(world.snapshot(&id).await.access_lists.is_empty());
    let shown = world.shown(&id, reports).await;
    assert_eq!((&shown["type"], &shown["ipgroup"]["name"]), (&json!("white"), &json!("staff")));

    let job = world.app.delete_group(&world.project, &id, reports).await.unwrap();
    world.app.jobs().wait(&job).await.unwrap();
    let body = json!({"enable_ip_group": true, "ip_list": [{"ip": "10.0.0.1"}]});
    assert!(world.set(&id, default, body).await.unwrap());
    let lists = world.keys().await.into_iter().filter(|key| key.starts_with("access-lists/"));
    assert_eq!(lists.collect::<Vec<_>>(), [format!("access-lists/{id}/{default}")]);
    let delete = world.app.delete_instance(&world.project, &id, false).await.unwrap();
    world.app.jobs().wait(&delete.job_id).await.unwrap();
    assert_eq!(world.keys().await, Vec::<String>::new(), "nothing is left");
}

#[tokio::test]
async fn wrong_lists_are_refused() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(1).await;
    let groups = world.app.list_groups(&world.project, &id, PAGE).await.unwrap().group_list;
    let group = &groups[0].id;
    let before = world.keys().await;
    for (body, field) in [
        (json!({"type": "grey"}), "type"),
        (json!({"enable_ip_group": true}), "ip_list"),
        (json!({"enable_ip_group": true, "ip_list": []}), "ip_list"),
        (json!({"enable_ip_group": "maybe"}), "enable_ip_group"),
        (json!({"ip_list": [{"ip": "10.0.0.0/33"}]}), "ip_list[].ip"),
        (json!({"ip_list": [{"ip": "example.org"}]}), "ip_list[].ip"),
        (json!({"ip_list": [{"ip": "10.1.0.0/8"}, {"ip": "10.0.0.0/8"}]}), "ip_list[].ip"),
        (json!({"ip_list": [{"ip": "::", "description": "<b>"}]}), "ip_list[].description"),
        (json!({"ip_list": vec![json!({"ip": "::"}); 301]}), "ip_list"),
        (json!({"name": "x".repeat(65)}), "name"),
        (json!({"group_id": GroupId::random()}), "group_id"),
    ] {
        let error = world.set(&id, group, body.clone()).await.unwrap_err();
        assert_eq!(
            (error.code.code, error.field.as_deref()),
            ("DBS.280001", Some(field)),
            "{body}"
        );
    }
    let unknown = GroupId::random();
    assert_eq!(code(world.set(&id, unknown.as_str(), json!({})).await), ("DBS.280404", 404));
    let shown = world.app.show_access_list(&world.project, &id, unknown.as_str()).await;
    assert_eq!(code(shown), ("DBS.280404", 404));
    assert_eq!(world.keys().await, before);
}

//! Security groups and the slow log against a real store: a change of rules makes new versions of
//! the snapshots of all instances that have the group, and a group that is used stays.

#![allow(clippy::unwrap_used)]

mod common;

use base::id::{InstanceId, NodeId, ProjectId};
use common::{Jobs, World, code, world};
use control_api::paging::Page;
use control_api::security_group::{
    CreateSecurityGroupRequest, CreateSecurityGroupRuleRequest, NewSecurityGroupRule, SecurityGroup,
};
use control_api::slow_log::SlowLogWindow;
use control_store::slow_log::{SlowLogStore, Window};
use serde_json::json;
use topology::slow_query::SlowQuery;

async fn group(world: &World, name: &str) -> SecurityGroup {
    let request = CreateSecurityGroupRequest { name: name.to_owned(), description: None };
    let new = request.check().unwrap();
    world.app.create_security_group(&world.project, new).await.unwrap()
}

fn rule(cidr: &str) -> NewSecurityGroupRule {
    let body = json!({ "cidr": cidr }).to_string();
    let request: CreateSecurityGroupRuleRequest =
        control_api::decode::decode(body.as_bytes()).unwrap();
    request.check().unwrap()
}

async fn snapshot(world: &World, id: &str) -> (u64, Vec<String>) {
    let id = InstanceId::parse(id).unwrap();
    let snapshot = world.app.snapshot(&id).await.unwrap().unwrap();
    let rules = snapshot.client_access.unwrap();
    (
        snapshot.version,
        rules.iter().map(|rule| format!("{}/{}", rule.network, rule.prefix)).collect(),
    )
}

#[tokio::test]
async fn a_change_of_rules_reaches_every_instance_with_the_group() {
    let world = world(Jobs::Run).await;
    let (one, other) = (world.running_instance(1).await, world.running_instance(1).await);
    let aside = world.running_instance(1).await;
    let loopback = ["127.0.0.0/8", "::1/128"].map(str::to_owned);
    assert_eq!(snapshot(&world, &one).await.1, loopback);
    let web = group(&world, "web").await;
    for id in [&one, &other] {
        let given = world.app.modify_security_group(&world.project, id, web.id.clone()).await;
        assert_eq!(given.unwrap().security_group_id, web.id);
    }
    let (before, rules) = snapshot(&world, &one).await;
    assert!(rules.is_empty(), "a group without rules lets nobody in");
    let untouched = snapshot(&world, &aside).await;
    world.publisher.published.lock().unwrap().clear();
    let made = world.app.create_security_group_rule(&world.project, &web.id, rule("10.9.8.7/8"));
    let made = made.await.unwrap();
    assert_eq!(made.cidr, "10.0.0.0/8");
    for id in [&one, &other] {
        let (version, rules) = snapshot(&world, id).await;
        assert!(version > before, "nodes take only what is newer");
        assert_eq!(rules, ["10.0.0.0/8"]);
        let id = InstanceId::parse(id).unwrap();
        assert!(world.publisher.published.lock().unwrap().contains(&id));
    }
    assert_eq!(snapshot(&world, &aside).await, untouched);
    let (before, _) = snapshot(&world, &one).await;
    world.app.delete_security_group_rule(&world.project, &web.id, &made.id).await.unwrap();
    let (version, rules) = snapshot(&world, &one).await;
    assert!(version > before && rules.is_empty());
    // An older group after a newer one: versions still grow.
    world.app.modify_security_group(&world.project, &one, "group".to_owned()).await.unwrap();
    assert!(snapshot(&world, &one).await.0 > version);
}

#[tokio::test]
async fn a_group_that_is_used_stays_and_one_that_goes_is_not_given_any_more() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let web = group(&world, "web").await;
    let bought =
        world.try_buy(|body| body["instance"]["security_group_id"] = json!(web.id)).await.unwrap();
    app.jobs().wait(&bought.job_id.unwrap()).await.unwrap();
    assert_eq!(code(app.delete_security_group(project, &web.id).await), ("DBS.280409", 409));
    // The refusal left it as it was.
    app.create_security_group_rule(project, &web.id, rule("::/0")).await.unwrap();
    app.modify_security_group(project, &bought.id, "group".to_owned()).await.unwrap();
    app.delete_security_group(project, &web.id).await.unwrap();
    assert_eq!(code(app.show_security_group(project, &web.id).await), ("DBS.280404", 404));
    let again = app.modify_security_group(project, &bought.id, web.id.clone()).await;
    assert_eq!(code(again), ("DBS.280305", 400));
    let buy = world.try_buy(|body| body["instance"]["security_group_id"] = json!(web.id)).await;
    assert_eq!(code(buy), ("DBS.280305", 400));
    assert_eq!(code(app.delete_security_group(project, "group").await), ("DBS.280409", 409));

    let foreign = ProjectId::random();
    let own = group(&world, "own").await;
    assert_eq!(code(app.show_security_group(&foreign, &own.id).await), ("DBS.280404", 404));
    let page = Page::new(None, None, 10).unwrap();
    let seen = app.list_security_groups(&foreign, page).await.unwrap();
    assert_eq!(seen.security_groups.len(), 1, "the default group is everybody's");
    let twice = app.create_security_group_rule(project, "group", rule("127.1.1.1/8")).await;
    assert_eq!(code(twice), ("DBS.280409", 409));
    for number in 0..100 {
        let one = rule(&format!("10.0.0.{number}"));
        app.create_security_group_rule(project, &own.id, one).await.unwrap();
    }
    let more = app.create_security_group_rule(project, &own.id, rule("10.0.0.100")).await;
    assert_eq!(code(more), ("DBS.280413", 413));
}

#[tokio::test]
async fn of_deleting_a_group_and_giving_it_only_one_happens() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(1).await;
    for round in 0..10 {
        let web = group(&world, &format!("web-{round}")).await;
        let (deleted, given) = tokio::join!(
            world.app.delete_security_group(&world.project, &web.id),
            world.app.modify_security_group(&world.project, &id, web.id.clone()),
        );
        assert!(deleted.is_ok() != given.is_ok(), "{deleted:?} {given:?}");
        let instance = world.app.show_instance(&world.project, &id).await.unwrap();
        let group = world.app.show_security_group(&world.project, &instance.row.security_group_id);
        assert!(group.await.is_ok(), "an instance's group is there");
    }
}

fn slow(number: u64, started_ms: i64) -> SlowQuery {
    SlowQuery {
        number,
        user: "root".to_owned(),
        schema: "shop".to_owned(),
        text: "SELECT SLEEP(2)".to_owned(),
        digest: "d".to_owned(),
        started_ms,
        milliseconds: 2_000,
        shards: vec!["shop_0000".to_owned(), "shop_0003".to_owned()],
        rows_examined: 7,
        rows_returned: 1,
        client: "10.0.0.9".to_owned(),
    }
}

#[tokio::test]
async fn slow_statements_are_shown_as_documented_and_go_with_their_instance() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let id = world.running_instance(1).await;
    let (instance, node) = (InstanceId::parse(&id).unwrap(), NodeId::random());
    let queries = vec![slow(4, 1_639_467_982_000), slow(9, 1_639_467_983_500)];
    assert_eq!(app.keep_slow_queries(&instance, &node, queries).await.unwrap(), 9);
    let window = SlowLogWindow { from_ms: 0, to_ms: i64::MAX, offset: 1, limit: 1 };
    let shown = app.show_slow_log(project, &id, window).await.unwrap();
    assert_eq!(
        serde_json::to_value(shown).unwrap(),
        json!({"totalRecord": 2, "slowLogList": [{
            "users": "root", "database": "shop", "querySample": "SELECT SLEEP(2)",
            "logTime": "2021-12-14T07:46:22+0000", "time": "2000",
            "shards": "shop_0000,shop_0003", "rowsExamined": "7", "host": "10.0.0.9",
        }]})
    );
    let v3 = serde_json::to_value(app.list_slow_logs(project, &id, window).await.unwrap()).unwrap();
    assert_eq!(v3["slow_log_list"][0]["node_id"], node.as_str());
    let foreign = app.list_slow_logs(&ProjectId::random(), &id, window).await;
    assert_eq!(code(foreign), ("DBS.280404", 404));
    let deleted = app.delete_instance(project, &id, false).await.unwrap();
    app.jobs().wait(&deleted.job_id).await.unwrap();
    assert_eq!(code(app.list_slow_logs(project, &id, window).await), ("DBS.280404", 404));
    let all = Window { instance, from_ms: 0, to_ms: i64::MAX, offset: 0, limit: 9 };
    assert_eq!(world.slow_log.list(all).await.unwrap().total, 0);
}

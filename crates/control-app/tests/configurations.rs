//! Instance parameters and parameter templates: calls, and the job under every fault.

#![allow(clippy::unwrap_used)]

mod common;

use base::api_error::{ApiError, Language};
use base::id::InstanceId;
use common::{Jobs, World, code, world};
use control_api::configuration::{
    ApplyResult, ConfigurationCopy, InstanceParametersResponse, NewConfiguration, ParametersChange,
};
use control_api::paging::Page;
use control_app::jobs::{configuration_change, instance_create};
use control_store::jobs::StoreJobs;
use job_engine::kit::{self, Fault};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use topology::parameters::DEFINITIONS;

const PAGE: Page = Page { offset: 0, limit: 128 };
const EN: Language = Language::English;

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn change(pairs: &[(&str, &str)]) -> ParametersChange {
    ParametersChange { values: values(pairs), name: None, description: None }
}

fn new(name: &str, pairs: &[(&str, &str)]) -> NewConfiguration {
    NewConfiguration { name: name.to_owned(), description: "d".to_owned(), values: values(pairs) }
}

fn field(error: ApiError) -> (&'static str, Option<String>) {
    (error.code.code, error.field)
}

impl World {
    async fn parameters(&self, id: &str) -> InstanceParametersResponse {
        self.app.list_parameters(&self.project, id, EN, PAGE).await.unwrap()
    }

    async fn value(&self, id: &str, name: &str) -> String {
        let listed = self.parameters(id).await.configuration_parameter;
        listed.into_iter().find(|one| one.name == name).unwrap().value
    }

    async fn apply(&self, template: &str, instances: &[&str]) -> Vec<ApplyResult> {
        let instances = instances.iter().map(|id| (*id).to_owned()).collect();
        self.app
            .apply_configuration(&self.project, template, instances, EN)
            .await
            .unwrap()
            .apply_results
    }
}

#[tokio::test]
async fn an_instances_parameters_are_listed_and_changed() {
    let world = world(Jobs::Run).await;
    let id = world.running_instance(2).await;
    let listed = world.parameters(&id).await;
    assert_eq!(listed.id, id.replace("in09", "pr09"));
    assert_eq!(listed.name, format!("ddm_{}-{}", &id[..8], &id[8..11]));
    assert_eq!(usize::try_from(listed.total).unwrap(), DEFINITIONS.len());
    let slow = &listed.configuration_parameter[8];
    assert_eq!(
        (
            slow.name.as_str(),
            slow.value.as_str(),
            slow.value_range.as_str(),
            slow.data_type.as_str()
        ),
        ("long_query_time", "1", "0.01-10", "float")
    );
    assert_eq!((slow.need_restart.as_str(), slow.read_only.as_str()), ("0", "0"));
    assert!(slow.description.is_ascii());
    let chinese = world
        .app
        .list_parameters(&world.project, &id, Language::Chinese, Page { offset: 8, limit: 1 })
        .await
        .unwrap();
    assert_eq!((chinese.configuration_parameter.len(), chinese.total), (1, listed.total));
    assert!(!chinese.configuration_parameter[0].description.is_ascii());
    assert_eq!(listed.configuration_parameter.iter().filter(|one| one.read_only == "1").count(), 8);

    let app = &world.app;
    let begun = app
        .update_parameters(
            &world.project,
            &id,
            change(&[("long_query_time", "2"), ("bind_table", "")]),
        )
        .await
        .unwrap();
    assert_eq!((begun.need_restart, begun.node_list.split(',').count()), (false, 2));
    assert_eq!((begun.config_id, begun.config_name), (listed.id, listed.name));
    app.jobs().wait(&begun.job_id).await.unwrap();
    assert_eq!(world.status(&id).await, "RUNNING");
    assert_eq!(world.value(&id, "long_query_time").await, "2");
    let snapshot = app.snapshot(&InstanceId::parse(&id).unwrap()).await.unwrap().unwrap();
    assert!((snapshot.parameters.get_float("long_query_time") - 2.0).abs() < 1e-9);

    for (pairs, wrong) in [
        (&[("nothing", "1")][..], "nothing"),
        (&[("autocommit", "ON")], "autocommit"),
        (&[("max_connections", "9")], "max_connections"),
        (&[("max_connections", "")], "max_connections"),
        (&[("max_allowed_packet", "1025")], "max_allowed_packet"),
        (&[("character_set_server", "utf8")], "collation_server"),
        (&[("collation_server", "gbk_bin")], "collation_server"),
    ] {
        let error = app.update_parameters(&world.project, &id, change(pairs)).await.unwrap_err();
        let message = error.message(EN);
        assert!(message.starts_with(&format!("Invalid {wrong}. ")), "{message}");
        assert_eq!(field(error), ("DBS.300375", Some(wrong.to_owned())));
    }
    assert_eq!(world.status(&id).await, "RUNNING");
    let renamed = ParametersChange {
        name: Some("mine".to_owned()),
        description: Some("of mine".to_owned()),
        ..change(&[("character_set_server", "gbk"), ("collation_server", "gbk_bin")])
    };
    app.update_parameters_v3_1(&world.project, &id, renamed).await.unwrap();
    app.jobs().settle().await;
    let listed = world.parameters(&id).await;
    assert_eq!((listed.name.as_str(), listed.description.as_str()), ("mine", "of mine"));
    assert_eq!(world.value(&id, "long_query_time").await, "2", "what is not named stays");
    let stranger = base::id::ProjectId::random();
    assert_eq!(code(app.list_parameters(&stranger, &id, EN, PAGE).await).1, 404);
    assert_eq!(code(app.update_parameters(&stranger, &id, change(&[])).await).1, 404);
}

#[tokio::test]
async fn templates_are_made_changed_copied_compared_and_deleted() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let listed = app.list_configurations(project, PAGE).await.unwrap();
    let default = listed.configurations[0].clone();
    assert_eq!((listed.total, default.user_defined), (1, false));
    let made = app
        .create_configuration(project, new("one", &[("long_query_time", "0.50")]))
        .await
        .unwrap();
    assert_eq!(code(app.create_configuration(project, new("one", &[])).await), ("DBS.280409", 409));
    assert_eq!(
        code(app.create_configuration(project, new(&default.name, &[])).await),
        ("DBS.280409", 409)
    );
    let wrong = app.create_configuration(project, new("two", &[("autocommit", "ON")])).await;
    assert_eq!(code(wrong), ("DBS.300375", 400));

    let shown = app.show_configuration(project, &made.id, EN).await.unwrap();
    let slow = &shown.configuration_parameters[8];
    assert_eq!(
        (slow.name.as_str(), slow.value.as_str(), slow.kind.as_str()),
        ("long_query_time", "0.5", "float")
    );
    let diff = app.diff_configurations(project, &default.id, &made.id).await.unwrap();
    assert_eq!(
        (diff.source_name.as_str(), diff.target_name.as_str()),
        (default.name.as_str(), "one")
    );
    assert_eq!(diff.parameters.len(), 1);
    assert_eq!(
        (diff.parameters[0].source_value.as_str(), diff.parameters[0].target_value.as_str()),
        ("1", "0.5")
    );
    for (source, target, wrong) in
        [("x", default.id.as_str(), "source_id"), (&default.id, "x", "target_id")]
    {
        let error = app.diff_configurations(project, source, target).await.unwrap_err();
        assert_eq!((error.status, field(error)), (400, ("DBS.200057", Some(wrong.to_owned()))));
    }

    let copy = |name: &str| ConfigurationCopy { name: name.to_owned(), description: None };
    app.copy_configuration(project, &made.id, copy("copy")).await.unwrap();
    assert_eq!(code(app.copy_configuration(project, &made.id, copy("copy")).await).1, 409);
    let listed = app.list_configurations(project, PAGE).await.unwrap();
    let names: Vec<&str> = listed.configurations.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, [default.name.as_str(), "copy", "one"]);
    let copied = &listed.configurations[1];
    assert_eq!((copied.description.as_str(), copied.user_defined), ("d", true));
    assert!(
        app.diff_configurations(project, &made.id, &copied.id).await.unwrap().parameters.is_empty()
    );

    let rename = ParametersChange { name: Some("one".to_owned()), ..change(&[]) };
    assert_eq!(code(app.update_configuration(project, &copied.id, rename).await).1, 409);
    let edit = ParametersChange {
        name: Some("other".to_owned()),
        description: Some(String::new()),
        ..change(&[("max_connections", "10")])
    };
    app.update_configuration(project, &copied.id, edit).await.unwrap();
    let shown = app.show_configuration(project, &copied.id, EN).await.unwrap();
    assert_eq!((shown.name.as_str(), shown.description.as_str()), ("other", ""));
    app.copy_configuration(project, &made.id, copy("copy")).await.unwrap();

    for id in [default.id.as_str(), "x", &"0".repeat(36)] {
        let status = if id == default.id { 400 } else { 404 };
        for result in [
            app.copy_configuration(project, id, copy("c")).await,
            app.delete_configuration(project, id).await,
            app.update_configuration(project, id, change(&[])).await.map(drop),
        ] {
            assert_eq!(code(result), ("DBS.200057", status), "{id}");
        }
    }
    let stranger = base::id::ProjectId::random();
    assert_eq!(code(app.show_configuration(&stranger, &made.id, EN).await).1, 404);
    for one in app.list_configurations(project, PAGE).await.unwrap().configurations {
        if one.user_defined {
            app.delete_configuration(project, &one.id).await.unwrap();
        }
    }
    assert_eq!(world.keys().await, Vec::<String>::new(), "nothing is left");
}

#[tokio::test]
async fn a_project_has_a_hundred_templates_at_most() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let tries = (0..110).map(|n| app.create_configuration(project, new(&format!("t{n}"), &[])));
    let mut made = 0;
    for one in tries {
        match one.await {
            Ok(_) => made += 1,
            Err(error) => assert_eq!((error.code.code, error.status), ("DBS.280413", 413)),
        }
    }
    assert_eq!(made, 100);
    assert_eq!(app.list_configurations(project, PAGE).await.unwrap().total, 101);
    let other = base::id::ProjectId::random();
    let twins = futures::future::join_all(
        (0..4).map(|_| app.create_configuration(&other, new("twin", &[]))),
    )
    .await;
    assert_eq!(twins.iter().filter(|one| one.is_ok()).count(), 1, "one of them wins");
}

#[tokio::test]
async fn a_template_is_applied_and_bought_with() {
    let world = world(Jobs::Run).await;
    let (app, project) = (&world.app, &world.project);
    let pairs = [("max_connections", "77"), ("contains_shard_key", "ON")];
    let template = app.create_configuration(project, new("t", &pairs)).await.unwrap().id;
    let bought = world
        .try_buy(|body| body["instance"]["param_group_id"] = json!(template.clone()))
        .await
        .unwrap();
    app.jobs().wait(&bought.job_id.unwrap()).await.unwrap();
    assert_eq!(world.value(&bought.id, "max_connections").await, "77");

    let other = world.running_instance(1).await;
    let begun =
        app.update_parameters(project, &other, change(&[("long_query_time", "3")])).await.unwrap();
    app.jobs().wait(&begun.job_id).await.unwrap();
    let (unpaid, _) = (
        world
            .try_buy(|body| {
                body["extend_param"] =
                    json!({"charge_mode": "prePaid", "period_type": "month", "period_num": 1})
            })
            .await
            .unwrap(),
        (),
    );
    let applicable = app.list_applicable_instances(project, &template, PAGE).await.unwrap();
    assert_eq!((applicable.total, applicable.entities.len()), (2, 2));

    let results = world.apply(&template, &[&other, &unpaid.id, "x"]).await;
    app.jobs().settle().await;
    assert_eq!(results.iter().map(|one| one.success).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(results[1].error_code.as_deref(), Some("DBS.200076"));
    assert_eq!(results[2].error_code.as_deref(), Some("DBS.280404"));
    assert_eq!(world.value(&other, "max_connections").await, "77");
    assert_eq!(world.value(&other, "long_query_time").await, "1", "all values are the template's");

    let history = app.list_apply_histories(project, &template, PAGE).await.unwrap();
    let told: Vec<_> = history
        .histories
        .iter()
        .map(|one| {
            (one.target_id.as_str(), one.apply_result.as_str(), one.error_message.is_empty())
        })
        .collect();
    assert_eq!(told, [(unpaid.id.as_str(), "FAILED", false), (other.as_str(), "SUCCESS", true)]);

    let default =
        app.list_configurations(project, PAGE).await.unwrap().configurations[0].id.clone();
    world.apply(&default, &[&other]).await;
    app.jobs().settle().await;
    assert_eq!(world.value(&other, "max_connections").await, "20000");
    let own = id_of_parameters(&other);
    assert!(app.diff_configurations(project, &default, &own).await.unwrap().parameters.is_empty());
    assert_eq!(code(app.delete_configuration(project, &own).await), ("DBS.200057", 404));
}

fn id_of_parameters(instance: &str) -> String {
    instance.replace("in09", "pr09")
}

#[test]
fn the_page_of_parameters_is_true() {
    let page = include_str!("../../../docs/parameters.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| name"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), DEFINITIONS.len());
    for (row, definition) in rows.iter().zip(DEFINITIONS) {
        assert_eq!((row[0], row[2]), (definition.name, definition.default));
        let range = row[1].replace("\\|", "|");
        assert!(range.contains(&definition.kind.value_range()), "{}: {range}", row[0]);
        assert_eq!(
            (row[3] == "yes", row[4] == "yes"),
            (definition.editable, definition.need_restart)
        );
        assert_eq!(row[5], definition.description_en);
        let said = ["yes", "not yet", "no: "].iter().any(|word| row[6].starts_with(word));
        assert!(said, "{}", row[6]);
    }
}

async fn run_kit(world: &World, fault: Fault, template: &str, id: &str) -> job_engine::JobRow {
    let store = Arc::new(StoreJobs(world.store.clone()));
    let row =
        kit::run(store, world.app.clone(), configuration_change::definition, fault, async |_| {
            let job_id = world.apply(template, &[id]).await[0].job_id.clone().unwrap();
            assert_eq!(world.status(id).await, "SET_CONFIGURATION");
            let busy =
                world.app.update_parameters(&world.project, id, change(&[("autocommit", "1")]));
            assert_eq!(code(busy.await), ("DBS.200076", 409));
            let gone = world.app.delete_instance(&world.project, id, false);
            assert_eq!(code(gone.await), ("DBS.200076", 409));
            job_id
        })
        .await;
    kit::assert_ended(&row, fault);
    row
}

#[tokio::test]
async fn the_change_of_parameters_bears_every_fault() {
    let world = world(Jobs::LeaveToKit).await;
    let (id, _) = world.buy(2).await;
    let list = world.store.list("jobs-unfinished/").await.unwrap().0;
    let create = list[0].key.trim_start_matches("jobs-unfinished/").to_owned();
    let store = Arc::new(StoreJobs(world.store.clone()));
    kit::run(store, world.app.clone(), instance_create::definition, Fault::None, async |_| create)
        .await;
    let pairs = [("max_connections", "77")];
    let template =
        world.app.create_configuration(&world.project, new("t", &pairs)).await.unwrap().id;
    let default = world.app.list_configurations(&world.project, PAGE).await.unwrap().configurations
        [0]
    .id
    .clone();
    for fault in kit::faults(configuration_change::definition().steps.len()) {
        let row = run_kit(&world, fault, &template, &id).await;
        assert_eq!(world.status(&id).await, "RUNNING", "{fault:?}");
        let wanted = if kit::completes(fault) { "77" } else { "20000" };
        assert_eq!(world.value(&id, "max_connections").await, wanted, "{fault:?}");
        let snapshot = world.app.snapshot(&InstanceId::parse(&id).unwrap()).await.unwrap().unwrap();
        assert_eq!(snapshot.parameters.get("max_connections"), wanted, "{fault:?}");
        let history =
            world.app.list_apply_histories(&world.project, &template, PAGE).await.unwrap();
        let result = if kit::completes(fault) { "SUCCESS" } else { "FAILED" };
        assert_eq!(history.histories[0].apply_result, result, "{fault:?}");
        assert_eq!(history.histories[0].error_message, row.fail_reason.unwrap_or_default());
        run_kit(&world, Fault::None, &default, &id).await;
        let left: Vec<String> =
            world.keys().await.into_iter().filter(|key| key.starts_with("locks/")).collect();
        assert_eq!(left, Vec::<String>::new(), "{fault:?}");
    }
}

//! Two calls at the same moment on one object: exactly one of them wins, the other gets the code that
//! the documents have for it, and only the winner's work is in the store. No job runs a step
//! meanwhile, so the one that comes second always meets the first one's work.

#![allow(clippy::unwrap_used)]

mod common;

use base::api_error::ApiError;
use base::id::ProjectId;
use common::data_nodes::{on_servers, used};
use common::{Jobs, PASSWORD, World, world};
use control_api::account::CreateUsersRequest;
use control_api::configuration::{NewConfiguration, ParametersChange};
use control_api::decode::decode;
use control_api::group::CreateGroupRequest;
use control_api::instance::RestartKind;
use control_api::scaling::EnlargeRequest;
use control_api::schema::CreateDatabasesRequest;
use control_app::App;
use control_app::flavor::NODE_CLASSES;
use control_app::jobs::instance_create;
use control_store::jobs::StoreJobs;
use job_engine::kit::{self, Fault};
use provision::mariadb_local::LocalDataNode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Barrier;

/// Each pair meets so often.
const ROUNDS: usize = 8;

const BUSY: (&str, u16) = ("DBS.200076", 409);

/// A call that one of two callers makes.
#[derive(Clone, Debug)]
enum Call {
    Delete,
    Restart,
    RestartNode,
    Rename(&'static str),
    Enlarge,
    Reduce,
    CreateGroup(&'static str),
    Parameters(&'static str),
    Account,
    Administrator,
    Template,
    DeleteTemplate,
    Schema(Value),
    DeleteSchema,
}

impl Call {
    /// Makes it; the name of the job that it starts, if it starts one.
    async fn make(
        self,
        app: &App,
        project: &ProjectId,
        id: &str,
    ) -> Result<&'static str, ApiError> {
        match self {
            Call::Delete => {
                app.delete_instance(project, id, true).await?;
                Ok("DeleteInstance")
            }
            Call::Restart => {
                app.restart_instance(project, id, RestartKind::Soft).await?;
                Ok("RestartInstance")
            }
            Call::RestartNode => {
                let page = control_api::paging::Page { offset: 0, limit: 1 };
                let node = app.list_nodes(project, id, page).await?.nodes.remove(0).node_id;
                app.restart_node(project, id, &node).await?;
                Ok("RestartNode")
            }
            Call::Rename(name) => {
                app.begin_rename(project, id, name.to_owned()).await?;
                Ok("ModifyName")
            }
            Call::Enlarge => {
                let body = json!({"flavor_id": NODE_CLASSES[0].id, "node_number": 1});
                let request: EnlargeRequest = decode(body.to_string().as_bytes())?;
                app.add_nodes(project, id, request.check()?).await?;
                Ok("EnlargeNode")
            }
            Call::Reduce => {
                let request: control_api::scaling::ReduceRequest =
                    decode(json!({"node_number": 1}).to_string().as_bytes())?;
                app.remove_nodes(project, id, request.check()?).await?;
                Ok("ReduceNode")
            }
            Call::CreateGroup(name) => {
                let body = json!({"name": name, "type": "r", "flavor_ref": "ddm.c6.large.2",
                    "nodes": [{"available_zone": "az1"}]});
                let request: CreateGroupRequest = decode(body.to_string().as_bytes())?;
                app.create_group(project, id, request.check()?).await?;
                Ok("CreateGroup")
            }
            Call::Parameters(seconds) => {
                let values = BTreeMap::from([("long_query_time".to_owned(), seconds.to_owned())]);
                let change = ParametersChange { values, name: None, description: None };
                app.update_parameters(project, id, change).await?;
                Ok("SetConfiguration")
            }
            other => other.make_small(app, project, id).await,
        }
    }

    /// Those that are no job of an instance.
    async fn make_small(
        self,
        app: &App,
        project: &ProjectId,
        id: &str,
    ) -> Result<&'static str, ApiError> {
        match self {
            Call::Account => {
                let body = json!({"users": [{"name": "alice", "password": PASSWORD, "base_authority": ["SELECT"]}]});
                let request: CreateUsersRequest = decode(body.to_string().as_bytes())?;
                app.create_accounts(project, id, request.check()?).await?;
                Ok("")
            }
            Call::Administrator => {
                let new = control_api::administrator::NewAdministrator {
                    name: "root".to_owned(),
                    password: base::secret::Secret::new(PASSWORD),
                };
                app.begin_set_administrator(project, id, &new).await?;
                Ok("ResetPassword")
            }
            Call::Template => {
                let new = NewConfiguration {
                    name: "twice".to_owned(),
                    description: String::new(),
                    values: BTreeMap::new(),
                };
                app.create_configuration(project, new).await?;
                Ok("")
            }
            Call::DeleteTemplate => {
                let page = control_api::paging::Page { offset: 0, limit: 10 };
                let listed = app.list_configurations(project, page).await?.configurations;
                match listed.iter().find(|one| one.user_defined) {
                    Some(own) => app.delete_configuration(project, &own.id).await?,
                    None => app.delete_configuration(project, "gone").await?,
                }
                Ok("")
            }
            Call::Schema(body) => {
                let body = json!({ "databases": [body] });
                let request: CreateDatabasesRequest = decode(body.to_string().as_bytes())?;
                app.create_schemas(project, id, &request.check()?).await?;
                Ok("createLogicDb")
            }
            Call::DeleteSchema => {
                app.delete_schema(project, id, "shop", true).await?;
                Ok("deleteLogicDb")
            }
            other => panic!("{other:?} is made elsewhere"),
        }
    }
}

async fn unfinished(world: &World) -> Vec<String> {
    let list = world.store.list("jobs-unfinished/").await.unwrap().0;
    list.into_iter().map(|one| one.key.trim_start_matches("jobs-unfinished/").to_owned()).collect()
}

async fn kinds(world: &World) -> Vec<String> {
    let mut kinds = Vec::new();
    for id in unfinished(world).await {
        kinds.push(world.app.show_job(&world.project, &id).await.unwrap().job.name);
    }
    kinds
}

/// A world without an engine that runs anything, and an instance of two nodes in it.
async fn with_instance() -> (World, String) {
    let world = world(Jobs::LeaveToKit).await;
    let (id, _) = world.buy(2).await;
    finish(&world, instance_create::definition).await;
    assert_eq!(world.status(&id).await, "RUNNING");
    (world, id)
}

/// Runs the one job that is there.
async fn finish(world: &World, definition: fn() -> job_engine::JobDefinition<Arc<App>>) {
    let job = unfinished(world).await.remove(0);
    let store = Arc::new(StoreJobs(world.store.clone()));
    let row = kit::run(store, world.app.clone(), definition, Fault::None, async |_| job).await;
    kit::assert_ended(&row, Fault::None);
}

/// Both calls at once, each on a thread of its own; the winner's job and the loser's code.
async fn meet(world: &World, id: &str, calls: [Call; 2]) -> (&'static str, (&'static str, u16)) {
    let barrier = Arc::new(Barrier::new(calls.len()));
    let run = |call: Call| {
        let (app, project, id) = (world.app.clone(), world.project.clone(), id.to_owned());
        let barrier = barrier.clone();
        tokio::spawn(async move {
            barrier.wait().await;
            call.make(&app, &project, &id).await
        })
    };
    let text = format!("{calls:?}");
    let [one, other] = calls;
    let (one, other) = (run(one), run(other));
    match (one.await.unwrap(), other.await.unwrap()) {
        (Ok(job), Err(error)) | (Err(error), Ok(job)) => (job, (error.code.code, error.status)),
        both => panic!("{text}: {both:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_calls_on_one_instance_exactly_one_wins() {
    use Call::{
        Administrator, CreateGroup, Delete, Enlarge, Parameters, Reduce, Rename, Restart,
        RestartNode,
    };
    for [one, other] in [
        [Delete, Delete],
        [Enlarge, Enlarge],
        [Reduce, Reduce],
        [Delete, Enlarge],
        [Reduce, Enlarge],
        [Rename("first"), Rename("other")],
        [Restart, Delete],
        [RestartNode, Restart],
        [Parameters("2"), Restart],
        [Parameters("2"), Parameters("5")],
        [CreateGroup("first"), CreateGroup("other")],
        [CreateGroup("first"), Delete],
        [Administrator, Rename("other")],
    ] {
        for _ in 0..ROUNDS {
            let (world, id) = with_instance().await;
            let pair = format!("{one:?} and {other:?}");
            let (job, lost) = meet(&world, &id, [one.clone(), other.clone()]).await;
            assert_eq!(lost, BUSY, "{pair}");
            assert_eq!(kinds(&world).await, [job], "{pair}: only the winner's job is there");
            let keys = world.keys().await;
            let locks = keys.iter().filter(|key| key.starts_with("locks/"));
            assert_eq!(locks.count(), 1, "{pair}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_things_with_one_name_exactly_one_is_made() {
    for _ in 0..ROUNDS {
        let (world, id) = with_instance().await;
        let (_, lost) = meet(&world, &id, [Call::Account, Call::Account]).await;
        assert_eq!(lost, ("DBS.300311", 400));
        let (_, lost) = meet(&world, &id, [Call::Template, Call::Template]).await;
        assert_eq!(lost, ("DBS.280409", 409));
        let (_, lost) = meet(&world, &id, [Call::DeleteTemplate, Call::DeleteTemplate]).await;
        assert_eq!(lost, ("DBS.200057", 404));
        assert_eq!(kinds(&world).await, Vec::<String>::new());
    }
}

fn schema(node: &LocalDataNode) -> Call {
    Call::Schema(
        json!({"name": "shop", "shard_mode": "cluster", "shard_number": 2, "used_rds": [used(node)]}),
    )
}

async fn schemas_meet(node: &LocalDataNode) {
    use control_app::jobs::{schema_create, schema_delete};
    for _ in 0..ROUNDS {
        let (world, id) = with_instance().await;
        world.register(node).await;
        let (_, lost) = meet(&world, &id, [schema(node), schema(node)]).await;
        assert_eq!(lost, ("DBS.300112", 400));
        assert_eq!(kinds(&world).await, ["createLogicDb"]);
        finish(&world, schema_create::definition).await;
        let (_, lost) = meet(&world, &id, [Call::DeleteSchema, Call::DeleteSchema]).await;
        assert_eq!(lost, ("DBS.300130", 400));
        finish(&world, schema_delete::definition).await;
        // A schema that comes and an instance that goes, and the other way round.
        let (job, lost) = meet(&world, &id, [schema(node), Call::Delete]).await;
        assert_eq!(lost, BUSY);
        assert_eq!(kinds(&world).await, [job]);
        if job == "createLogicDb" {
            finish(&world, schema_create::definition).await;
            let (job, lost) = meet(&world, &id, [Call::DeleteSchema, Call::Delete]).await;
            assert_eq!(kinds(&world).await, [job]);
            assert_eq!(lost, BUSY);
            if job == "deleteLogicDb" {
                finish(&world, schema_delete::definition).await;
            }
        }
        if world.status(&id).await == "DELETING" {
            finish(&world, control_app::jobs::instance_delete::definition).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_calls_on_one_schema_exactly_one_wins() {
    on_servers(1, 0, |nodes| async move { schemas_meet(&nodes[0]).await }).await;
}

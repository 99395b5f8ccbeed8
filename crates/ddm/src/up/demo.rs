//! The demo of `ddm up --demo`: an instance, a schema of eight shards, an account and a filled table,
//! made through the REST API and the MySQL port like anybody would. Each step looks first, so a stop
//! at any point is made up for by the next start; the passwords are on disk before they are used.

mod table;

use super::data_dir::DataDir;
use super::progress::Progress;
use crate::rest::{Client, is_refused_with};
use anyhow::{Context, Result, bail};
use base::secret::{Secret, random_password};
use node_backend::error::BackendError;
use provision::mariadb_local::LocalDataNode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How many nodes the demo instance has.
const NODES: u32 = 2;

/// How many shards its schema has.
const SHARDS: u64 = 8;

/// How long one of the demo's jobs may take.
const JOB_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a new account may take to reach the nodes.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a login is tried.
const LOGIN_POLL: Duration = Duration::from_millis(300);

/// How often an object that is being made is looked at; the API takes a call a second.
const POLL: Duration = Duration::from_millis(1200);

const PASSWORD_LENGTH: usize = 20;

/// What is kept in the data directory.
const FILE_NAME: &str = "demo.json";

/// Names and passwords, the same after every restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    instance: String,
    schema: String,
    user: String,
    password: Secret,
    admin_user: String,
    admin_password: Secret,
}

/// A demo that can be used.
#[derive(Clone, Debug)]
pub struct Demo {
    plan: Plan,
    instance_id: String,
    host: String,
    port: u16,
}

impl Demo {
    /// For `endpoints.json`.
    pub fn document(&self) -> Value {
        json!({
            "instance_id": self.instance_id,
            "schema": self.plan.schema,
            "host": self.host,
            "port": self.port,
            "user": self.plan.user,
            "password": self.plan.password.expose(),
            "admin_user": self.plan.admin_user,
            "admin_password": self.plan.admin_password.expose(),
        })
    }

    /// The command by which a person gets in; it asks for the password, which a terminal's log must
    /// not keep.
    pub fn mysql_command(&self) -> String {
        format!(
            "mariadb -h {} -P {} -u {} -p {} (the password is demo.password in endpoints.json)",
            self.host, self.port, self.plan.user, self.plan.schema
        )
    }
}

/// Makes what is missing of the demo.
pub async fn ensure(
    dir: &DataDir,
    client: &Client,
    endpoints: &Value,
    data_nodes: &[LocalDataNode],
    progress: &Progress,
) -> Result<Demo> {
    let plan = load_or_make_plan(dir)?;
    let maker = Maker { plan: &plan, client, endpoints, progress };
    let instance = maker.instance().await?;
    let text = |key: &str| {
        instance[key].as_str().with_context(|| format!("the demo instance has no {key}"))
    };
    let demo = Demo {
        instance_id: text("id")?.to_owned(),
        host: text("access_ip")?.to_owned(),
        port: text("access_port")?.parse().context("the demo instance's port")?,
        plan: plan.clone(),
    };
    maker.schema(&demo, data_nodes).await?;
    maker.account(&demo).await?;
    maker.administrator(&demo).await?;
    progress.step("filling the sample table");
    let mut connection = log_in(&demo, &plan.user, &plan.password, Some(&plan.schema)).await?;
    table::fill(&mut connection).await.context("cannot fill the sample table of the demo")?;
    Ok(demo)
}

fn load_or_make_plan(dir: &DataDir) -> Result<Plan> {
    if let Some(text) = dir.read(FILE_NAME)? {
        return serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged", dir.path().join(FILE_NAME).display()));
    }
    let plan = Plan {
        instance: "demo".to_owned(),
        schema: "shop".to_owned(),
        user: "shop_user".to_owned(),
        password: random_password(PASSWORD_LENGTH),
        admin_user: "shop_admin".to_owned(),
        admin_password: random_password(PASSWORD_LENGTH),
    };
    dir.write(FILE_NAME, &serde_json::to_vec_pretty(&plan)?)?;
    Ok(plan)
}

/// Makes the parts over the REST API.
struct Maker<'a> {
    plan: &'a Plan,
    client: &'a Client,
    endpoints: &'a Value,
    progress: &'a Progress,
}

impl Maker<'_> {
    /// The running instance.
    async fn instance(&self) -> Result<Value> {
        let deadline = Instant::now() + JOB_TIMEOUT;
        loop {
            let instances = self.client.list("/v1/{project_id}/instances", "instances").await?;
            let found = instances
                .into_iter()
                .find(|instance| instance["name"] == self.plan.instance.as_str());
            let Some(instance) = found else {
                self.buy().await?;
                continue;
            };
            match instance["status"].as_str().unwrap_or_default() {
                "RUNNING" => return Ok(instance),
                status if status.contains("FAIL") => bail!(
                    "the demo instance is {status} ({}); delete it with `ddm ctl instances delete {}` while `ddm up` \
                     runs without --demo, then start again",
                    instance["error_msg"].as_str().unwrap_or("no reason given"),
                    self.plan.instance
                ),
                status if Instant::now() > deadline => bail!("the demo instance is still {status}"),
                // A job of before the last stop goes on.
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn buy(&self) -> Result<()> {
        let body = json!({
            "name": self.plan.instance,
            "node_num": NODES,
            "flavor_ref": self.client.smallest_flavor().await?,
            "available_zones": [self.endpoints["availability_zones"][0]],
            "vpc_id": self.endpoints["vpc_id"],
            "subnet_id": self.endpoints["subnet_id"],
            "security_group_id": self.endpoints["security_group_id"],
            "admin_user_name": self.plan.admin_user,
            "admin_user_password": self.plan.admin_password.expose(),
        });
        let answer = self.client.post("/v3/{project_id}/instances", body).await?;
        self.wait(&answer, "buying the demo instance").await
    }

    async fn schema(&self, demo: &Demo, data_nodes: &[LocalDataNode]) -> Result<()> {
        if data_nodes.is_empty() {
            bail!("--demo needs local data nodes; leave --data-nodes 0 out");
        }
        let path = format!("/v1/{{project_id}}/instances/{}/databases", demo.instance_id);
        let deadline = Instant::now() + JOB_TIMEOUT;
        loop {
            let schemas = self.client.list(&path, "databases").await?;
            let Some(schema) =
                schemas.iter().find(|schema| schema["name"] == self.plan.schema.as_str())
            else {
                self.make_schema(demo, data_nodes).await?;
                continue;
            };
            match schema["status"].as_str().unwrap_or_default() {
                "RUNNING" => return Ok(()),
                status if status.contains("FAIL") => bail!(
                    "the demo schema is {status}; delete it with `ddm ctl schemas delete {} {}` while `ddm up` runs \
                     without --demo, then start again",
                    self.plan.instance,
                    self.plan.schema
                ),
                status if Instant::now() > deadline => bail!("the demo schema is still {status}"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn make_schema(&self, demo: &Demo, data_nodes: &[LocalDataNode]) -> Result<()> {
        let logins: Vec<Value> = data_nodes
            .iter()
            .map(|node| {
                json!({
                    "id": node.id, "user_name": node.admin_user, "user_password": node.admin_password.expose(),
                })
            })
            .collect();
        let shards = SHARDS.max(logins.len() as u64);
        let body = json!({
            "name": self.plan.schema, "shard_mode": "cluster", "shard_number": shards, "dn_instances": logins,
        });
        let path = format!("/v3/{{project_id}}/instances/{}/databases", demo.instance_id);
        let answer = self.client.post(&path, body).await?;
        self.wait(&answer, "making the demo schema").await
    }

    async fn account(&self, demo: &Demo) -> Result<()> {
        let path = format!("/v1/{{project_id}}/instances/{}/users", demo.instance_id);
        let users = self.client.list(&path, "users").await?;
        if users.iter().any(|user| user["name"] == self.plan.user.as_str()) {
            return Ok(());
        }
        self.progress.step("making the demo account");
        let user = json!({
            "name": self.plan.user,
            "password": self.plan.password.expose(),
            "base_authority": ["CREATE", "DROP", "ALTER", "INDEX", "INSERT", "DELETE", "UPDATE", "SELECT"],
            "databases": [{ "name": self.plan.schema }],
        });
        match self.client.post(&path, json!({ "users": [user] })).await {
            Ok(answer) => self.wait(&answer, "making the demo account").await,
            Err(error) => Err(error).context("cannot make the demo account"),
        }
    }

    /// The administrator comes with the instance; its password is set again when it does not fit.
    async fn administrator(&self, demo: &Demo) -> Result<()> {
        let plan = self.plan;
        let first = connect(demo, &plan.admin_user, &plan.admin_password, None).await;
        if !matches!(first, Err(BackendError::AuthFailed { .. })) {
            return Ok(());
        }
        let path = format!("/v3/{{project_id}}/instances/{}/admin-user", demo.instance_id);
        let body = json!({ "name": plan.admin_user, "password": plan.admin_password.expose() });
        match self.client.put(&path, body).await {
            Ok(answer) => self.wait(&answer, "making the administrator").await,
            // Another name was given to the administrator by hand: theirs to keep.
            Err(error) if is_refused_with(&error, 400) || is_refused_with(&error, 409) => Ok(()),
            Err(error) => Err(error).context("cannot make the demo's administrator"),
        }
    }

    async fn wait(&self, answer: &Value, doing: &str) -> Result<()> {
        self.progress.step(doing);
        let Some(job_id) = answer["job_id"].as_str() else { return Ok(()) };
        let show = |state: &crate::rest::JobState| {
            self.progress.step(&format!("{doing}: {} %", state.percent))
        };
        let show = only_changes(show);
        self.client
            .wait_for_job(job_id, JOB_TIMEOUT, show)
            .await
            .map(drop)
            .with_context(|| doing.to_owned())
    }
}

/// Plain lines repeat themselves otherwise.
fn only_changes(
    mut show: impl FnMut(&crate::rest::JobState),
) -> impl FnMut(&crate::rest::JobState) {
    let mut last = None;
    move |state| {
        if last != Some(state.percent) {
            last = Some(state.percent);
            show(state);
        }
    }
}

async fn connect(
    demo: &Demo,
    user: &str,
    password: &Secret,
    schema: Option<&str>,
) -> Result<node_backend::connection::Connection, BackendError> {
    let mut options =
        node_backend::options::ConnectOptions::new(&demo.host, demo.port, user, password.clone());
    options.database = schema.map(str::to_owned);
    node_backend::connection::Connection::connect(&options).await
}

/// An account that was just made reaches the nodes a moment later.
async fn log_in(
    demo: &Demo,
    user: &str,
    password: &Secret,
    schema: Option<&str>,
) -> Result<node_backend::connection::Connection> {
    let deadline = Instant::now() + LOGIN_TIMEOUT;
    loop {
        match connect(demo, user, password, schema).await {
            Ok(connection) => return Ok(connection),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot log in to the demo at {}:{} as {user}; if its password was changed, set it back with \
                         `ddm ctl accounts reset-password`, or start without --demo",
                        demo.host, demo.port
                    )
                });
            }
            Err(_) => tokio::time::sleep(LOGIN_POLL).await,
        }
    }
}

//! `ddm ctl accounts`.

use super::Session;
use super::output::Column;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STATUS", "status"),
    ("SCHEMAS", "databases"),
    ("PERMISSIONS", "base_authority"),
    ("DESCRIPTION", "description"),
];

/// All basic permissions.
const ALL: &str = "CREATE,DROP,ALTER,INDEX,INSERT,DELETE,UPDATE,SELECT";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the accounts of an instance
    List {
        /// The instance's name or id
        instance: String,
    },
    /// Make an account
    Create(CreateOptions),
    /// Change what an account may do
    Update(UpdateOptions),
    /// Delete an account
    Delete {
        /// The instance's name or id
        instance: String,
        /// The account's name
        account: String,
    },
    /// Give an account another password
    ResetPassword {
        /// The instance's name or id
        instance: String,
        /// The account's name
        account: String,
        /// The new password
        #[arg(long, env = "DDM_ACCOUNT_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
        password: String,
    },
    /// Make the administrator, or change its password
    SetAdministrator {
        /// The instance's name or id
        instance: String,
        /// The administrator's name
        account: String,
        /// The password
        #[arg(long, env = "DDM_ACCOUNT_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
        password: String,
    },
}

#[derive(Debug, Args)]
pub struct CreateOptions {
    /// The instance's name or id
    instance: String,

    /// The account's name
    account: String,

    /// Its password
    #[arg(long, env = "DDM_ACCOUNT_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    password: String,

    /// Schemas that it may use
    #[arg(
        long = "schema",
        env = "DDM_ACCOUNT_SCHEMAS",
        value_delimiter = ',',
        value_name = "SCHEMA"
    )]
    schemas: Vec<String>,

    /// What it may do there
    #[arg(long = "permission", env = "DDM_ACCOUNT_PERMISSIONS", value_delimiter = ',', default_value = ALL, value_name = "PERMISSION")]
    permissions: Vec<String>,

    /// A note
    #[arg(long, env = "DDM_ACCOUNT_DESCRIPTION", value_name = "TEXT")]
    description: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct UpdateOptions {
    /// The instance's name or id
    instance: String,

    /// The account's name
    account: String,

    /// Schemas that it may use from now on
    #[arg(
        long = "schema",
        group = "change",
        env = "DDM_ACCOUNT_SCHEMAS",
        value_delimiter = ',',
        value_name = "SCHEMA"
    )]
    schemas: Option<Vec<String>>,

    /// What it may do from now on
    #[arg(
        long = "permission",
        group = "change",
        env = "DDM_ACCOUNT_PERMISSIONS",
        value_delimiter = ',',
        value_name = "PERMISSION"
    )]
    permissions: Option<Vec<String>>,

    /// A note
    #[arg(long, env = "DDM_ACCOUNT_DESCRIPTION", group = "change", value_name = "TEXT")]
    description: Option<String>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance } => {
            let path = session.instance_path("v1", &instance, &["users"]).await?;
            session.printer.list(&session.client.list(&path, "users").await?, COLUMNS);
            Ok(())
        }
        Verb::Create(options) => create(session, options).await,
        Verb::Update(options) => update(session, options).await,
        Verb::Delete { instance, account } => {
            let path = session.instance_path("v1", &instance, &["users", &account]).await?;
            let answer = session.client.delete(&path, &[]).await?;
            session.finish(&format!("account {account} is deleted"), answer).await
        }
        Verb::ResetPassword { instance, account, password } => {
            let path =
                session.instance_path("v2", &instance, &["users", &account, "password"]).await?;
            let answer = session.client.post(&path, json!({ "password": password })).await?;
            session.finish(&format!("account {account} has its new password"), answer).await
        }
        Verb::SetAdministrator { instance, account, password } => {
            let path = session.instance_path("v3", &instance, &["admin-user"]).await?;
            let body = json!({ "name": account, "password": password });
            let answer = session.client.put(&path, body).await?;
            session.finish(&format!("{account} is the administrator"), answer).await
        }
    }
}

async fn create(session: &Session, options: CreateOptions) -> Result<()> {
    let mut user = json!({
        "name": options.account,
        "password": options.password,
        "base_authority": upper(&options.permissions),
        "databases": named(&options.schemas),
    });
    if let Some(description) = options.description {
        user["description"] = Value::String(description);
    }
    let path = session.instance_path("v1", &options.instance, &["users"]).await?;
    let answer = session.client.post(&path, json!({ "users": [user] })).await?;
    session.finish(&format!("account {} is made", options.account), answer).await
}

async fn update(session: &Session, options: UpdateOptions) -> Result<()> {
    let mut user = serde_json::Map::new();
    if let Some(permissions) = &options.permissions {
        user.insert("base_authority".to_owned(), json!(upper(permissions)));
    }
    if let Some(schemas) = &options.schemas {
        user.insert("databases".to_owned(), named(schemas));
    }
    if let Some(description) = options.description {
        user.insert("description".to_owned(), Value::String(description));
    }
    let path = session.instance_path("v1", &options.instance, &["users", &options.account]).await?;
    let answer = session.client.put(&path, json!({ "user": user })).await?;
    session.finish(&format!("account {} is changed", options.account), answer).await
}

fn upper(permissions: &[String]) -> Vec<String> {
    permissions.iter().map(|permission| permission.to_uppercase()).collect()
}

fn named(schemas: &[String]) -> Value {
    schemas.iter().filter(|name| !name.is_empty()).map(|name| json!({ "name": name })).collect()
}

//! `ddm ctl parameters` and `ddm ctl templates`: what an instance is set to, and named sets of
//! values for several instances.

use super::Session;
use super::output::Column;
use crate::rest::encode;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

const PARAMETERS: &[Column] = &[
    ("NAME", "name"),
    ("VALUE", "value"),
    ("RANGE", "value_range"),
    ("TYPE", "data_type"),
    ("READ ONLY", "read_only"),
    ("RESTART", "need_restart"),
];

const TEMPLATE_PARAMETERS: &[Column] =
    &[("NAME", "name"), ("VALUE", "value"), ("RANGE", "value_range"), ("TYPE", "type")];

const TEMPLATES: &[Column] = &[
    ("NAME", "name"),
    ("DESCRIPTION", "description"),
    ("CUSTOM", "user_defined"),
    ("UPDATED", "updated"),
    ("ID", "id"),
];

const DIFFERENCES: &[Column] =
    &[("NAME", "name"), ("FIRST", "source_value"), ("SECOND", "target_value")];

const PATH: &str = "/v3/{project_id}/configurations";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the parameters of an instance with their values
    List {
        /// The instance's name or id
        instance: String,
    },
    /// Change parameters of an instance
    Set {
        /// The instance's name or id
        instance: String,
        /// The new values
        #[arg(required = true, value_parser = parse_assignment, value_name = "NAME=VALUE")]
        values: Vec<(String, String)>,
    },
}

#[derive(Debug, Subcommand)]
pub enum TemplateVerb {
    /// List the parameter templates
    List,
    /// Show the values of a template
    Show {
        /// Its name or id
        template: String,
    },
    /// Make a template
    Create(CreateOptions),
    /// Change values of a template; instances keep theirs
    Set {
        /// Its name or id
        template: String,
        /// The new values
        #[arg(required = true, value_parser = parse_assignment, value_name = "NAME=VALUE")]
        values: Vec<(String, String)>,
    },
    /// Make a template with the values of another
    Copy {
        /// The name or id of the one to copy
        template: String,
        /// The new one's name
        new_name: String,
    },
    /// List the parameters in which two templates differ
    Compare {
        /// The first one's name or id
        first: String,
        /// The second one's name or id
        second: String,
    },
    /// Give instances the values of a template
    Apply {
        /// Its name or id
        template: String,
        /// The instances' names or ids
        #[arg(required = true)]
        instances: Vec<String>,
    },
    /// Delete a template
    Delete {
        /// Its name or id
        template: String,
    },
}

#[derive(Debug, Args)]
pub struct CreateOptions {
    /// Its name
    name: String,

    /// What it is for
    #[arg(long, env = "DDM_DESCRIPTION", value_name = "TEXT")]
    description: Option<String>,

    /// Values that differ from the defaults
    #[arg(value_parser = parse_assignment, value_name = "NAME=VALUE")]
    values: Vec<(String, String)>,
}

pub async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { instance } => {
            let path = session.instance_path("v3", &instance, &["configurations"]).await?;
            let rows = session.client.list(&path, "configuration_parameter").await?;
            session.printer.list(&rows, PARAMETERS);
            Ok(())
        }
        Verb::Set { instance, values } => {
            let path = session.instance_path("v3", &instance, &["configurations"]).await?;
            let answer = session.client.put(&path, json!({ "values": object(values) })).await?;
            session.finish(&format!("parameters of {instance} are changed"), answer).await
        }
    }
}

pub async fn run_template(session: &Session, verb: TemplateVerb) -> Result<()> {
    match verb {
        TemplateVerb::List => {
            session.printer.list(&session.templates().await?, TEMPLATES);
            Ok(())
        }
        TemplateVerb::Show { template } => {
            let path = session.template_path(&template).await?;
            let mut answer = session.client.get(&path, &[]).await?;
            let Value::Array(rows) = answer["configuration_parameters"].take() else {
                bail!("the API's answer has no parameters")
            };
            session.printer.list(&rows, TEMPLATE_PARAMETERS);
            Ok(())
        }
        TemplateVerb::Create(options) => {
            let body = json!({
                "name": options.name,
                "description": options.description.unwrap_or_default(),
                "values": object(options.values),
            });
            let answer = session.client.post(PATH, body).await?;
            session.finish(&format!("template {} is made", options.name), answer).await
        }
        TemplateVerb::Set { template, values } => {
            let path = session.template_path(&template).await?;
            let answer = session.client.put(&path, json!({ "values": object(values) })).await?;
            session.finish(&format!("template {template} is changed"), answer).await
        }
        TemplateVerb::Copy { template, new_name } => {
            let path = format!("{}/copy", session.template_path(&template).await?);
            let answer = session.client.post(&path, json!({ "new_name": new_name })).await?;
            session.finish(&format!("template {new_name} is made"), answer).await
        }
        TemplateVerb::Compare { first, second } => compare(session, &first, &second).await,
        TemplateVerb::Apply { template, instances } => {
            let mut ids = Vec::new();
            for instance in &instances {
                ids.push(session.instance_id(instance).await?);
            }
            let path = format!("{}/apply", session.template_path(&template).await?);
            let answer = session.client.put(&path, json!({ "instance_ids": ids })).await?;
            session.printer.object(&answer);
            Ok(())
        }
        TemplateVerb::Delete { template } => {
            let path = session.template_path(&template).await?;
            let answer = session.client.delete(&path, &[]).await?;
            session.finish(&format!("template {template} is deleted"), answer).await
        }
    }
}

async fn compare(session: &Session, first: &str, second: &str) -> Result<()> {
    let body = json!({
        "source_id": session.template_id(first).await?,
        "target_id": session.template_id(second).await?,
    });
    let mut answer = session.client.put(&format!("{PATH}/diff"), body).await?;
    let Value::Array(rows) = answer["parameters"].take() else {
        bail!("the API's answer has no differences")
    };
    session.printer.list(&rows, DIFFERENCES);
    Ok(())
}

impl Session {
    async fn templates(&self) -> Result<Vec<Value>> {
        self.client.list(PATH, "configurations").await
    }

    async fn template_id(&self, name_or_id: &str) -> Result<String> {
        let templates = self.templates().await?;
        let is_meant = |one: &&Value| one["id"] == name_or_id || one["name"] == name_or_id;
        match templates.iter().find(is_meant).and_then(|one| one["id"].as_str()) {
            Some(id) => Ok(id.to_owned()),
            None => bail!("no template {name_or_id:?}; see `ddm ctl templates list`"),
        }
    }

    async fn template_path(&self, name_or_id: &str) -> Result<String> {
        Ok(format!("{PATH}/{}", encode(&self.template_id(name_or_id).await?)))
    }
}

fn object(values: Vec<(String, String)>) -> Value {
    Value::Object(values.into_iter().map(|(k, v)| (k, Value::String(v))).collect::<Map<_, _>>())
}

fn parse_assignment(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

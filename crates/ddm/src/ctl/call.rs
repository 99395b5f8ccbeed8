//! `ddm ctl call`: any call of the API, signed as the others are.

use super::Session;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Get,
    Post,
    Put,
    Delete,
}

#[derive(Debug, Args)]
pub struct Options {
    /// The HTTP method
    #[arg(value_enum, ignore_case = true)]
    method: Method,

    /// The path; {project_id} stands for the project
    path: String,

    /// The JSON body of a POST or PUT
    #[arg(long, env = "DDM_BODY", default_value = "{}", value_name = "JSON")]
    body: String,

    /// A query parameter
    #[arg(long = "query", env = "DDM_QUERY", value_delimiter = '&', value_name = "NAME=VALUE")]
    query: Vec<String>,
}

pub async fn run(session: &Session, options: Options) -> Result<()> {
    let (client, path) = (&session.client, &options.path);
    let query: Vec<(&str, String)> = options
        .query
        .iter()
        .map(|pair| pair.split_once('=').map(|(name, value)| (name, value.to_owned())))
        .collect::<Option<_>>()
        .context("write --query NAME=VALUE")?;
    let body = || serde_json::from_str::<Value>(&options.body).context("--body is no JSON");
    let answer = match options.method {
        Method::Get => client.get(path, &query).await?,
        Method::Delete => client.delete(path, &query).await?,
        Method::Post => client.post(path, body()?).await?,
        Method::Put => client.put(path, body()?).await?,
    };
    crate::ctl::output::print_json(&answer);
    Ok(())
}

//! Where the API is and who asks: from `endpoints.json` of a `ddm up` on this machine, each part
//! overridden by an option.

use crate::rest::{Client, Credentials};
use anyhow::{Context, Result, bail};
use base::secret::Secret;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Where help pages list these options.
const HEADING: &str = "API access";

/// Options that every noun has.
#[derive(Debug, Args)]
pub struct AccessOptions {
    /// The data directory of the `ddm up` to talk to; its endpoints.json is read
    #[arg(long, env = "DDM_DATA_DIR", global = true, help_heading = HEADING, default_value = "./ddm-data", value_name = "DIR")]
    data_dir: PathBuf,

    /// The API, instead of the one in endpoints.json
    #[arg(long, env = "DDM_ENDPOINT", global = true, help_heading = HEADING, value_name = "URL")]
    endpoint: Option<String>,

    /// The authority that signed the API's certificate
    #[arg(long, env = "DDM_CA_FILE", global = true, help_heading = HEADING, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The project to work in
    #[arg(long, env = "DDM_PROJECT_ID", global = true, help_heading = HEADING, value_name = "ID")]
    project_id: Option<String>,

    /// Access key; requests are signed with its secret key
    #[arg(long, env = "DDM_ACCESS_KEY", global = true, help_heading = HEADING, requires = "secret_key", value_name = "KEY")]
    access_key: Option<String>,

    /// The access key's secret key
    #[arg(long, env = "DDM_SECRET_KEY", global = true, help_heading = HEADING, hide_env_values = true, value_name = "SECRET")]
    secret_key: Option<String>,

    /// A token from POST /v3/auth/tokens
    #[arg(long, env = "DDM_TOKEN", global = true, help_heading = HEADING, hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,

    /// User of the API, to fetch a token with
    #[arg(long, env = "DDM_IAM_USER", global = true, help_heading = HEADING, requires = "iam_password", value_name = "NAME")]
    iam_user: Option<String>,

    /// That user's password
    #[arg(long, env = "DDM_IAM_PASSWORD", global = true, help_heading = HEADING, hide_env_values = true, value_name = "PASSWORD")]
    iam_password: Option<String>,

    /// The user's domain
    #[arg(long, env = "DDM_IAM_DOMAIN", global = true, help_heading = HEADING, default_value = "default", value_name = "NAME")]
    iam_domain: String,

    /// The project's name, for the token
    #[arg(long, env = "DDM_PROJECT_NAME", global = true, help_heading = HEADING, value_name = "NAME")]
    project_name: Option<String>,
}

impl AccessOptions {
    /// `endpoints.json`, or null when the options say everything without it.
    pub fn endpoints(&self) -> Result<Value> {
        let path = self.data_dir.join("endpoints.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display())),
            Err(_) if self.endpoint.is_some() => Ok(Value::Null),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "no system found: cannot read {}; start one with `ddm up`, or give --data-dir, or --endpoint \
                     with --project-id and --access-key",
                    path.display()
                )
            }),
        }
    }

    /// A client for these options.
    pub fn client(&self, endpoints: &Value) -> Result<Client> {
        let text = |key: &str| endpoints[key].as_str().map(str::to_owned);
        // The file's keys are for the file's API alone.
        let known = self.endpoint.is_none() || self.endpoint == text("api");
        let from_file = |key: &str| if known { text(key) } else { None };
        let endpoint =
            self.endpoint.clone().or_else(|| text("api")).context("endpoints.json names no API")?;
        let project_id = self.project_id.clone().or_else(|| from_file("project_id"));
        let project_id = project_id.context("which project? give --project-id")?;
        let ca_file = self.ca_file.clone().or_else(|| from_file("ca_file").map(PathBuf::from));
        let ca_file = ca_file.filter(|_| endpoint.starts_with("https:"));
        let credentials = self.credentials(&from_file)?;
        Client::new(&endpoint, ca_file.as_deref(), &project_id, credentials)
    }

    fn credentials(&self, from_file: &dyn Fn(&str) -> Option<String>) -> Result<Credentials> {
        if let Some(token) = &self.token {
            return Ok(Credentials::Token(Secret::new(token)));
        }
        if let (Some(access_key), Some(secret_key)) = (&self.access_key, &self.secret_key) {
            return Ok(Credentials::AccessKey {
                access_key: access_key.clone(),
                secret_key: Secret::new(secret_key),
            });
        }
        if let (Some(user), Some(password)) = (&self.iam_user, &self.iam_password) {
            let project_name = self.project_name.clone().or_else(|| from_file("project_name"));
            return Ok(Credentials::Password {
                user: user.clone(),
                password: Secret::new(password),
                domain_name: self.iam_domain.clone(),
                project_name: project_name.context("which project? give --project-name")?,
            });
        }
        match (from_file("access_key"), from_file("secret_key")) {
            (Some(access_key), Some(secret_key)) => {
                Ok(Credentials::AccessKey { access_key, secret_key: Secret::new(secret_key) })
            }
            _ => bail!(
                "who asks? give --access-key and --secret-key, or --iam-user and --iam-password, or --token"
            ),
        }
    }
}

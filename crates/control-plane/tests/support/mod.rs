//! A control plane of the test's own, and requests to it.

#![allow(dead_code, clippy::unwrap_used)]

use control_plane::{ControlPlane, ControlPlaneOptions, StartError, Throttle};
use provision::SqlDataNodeAdmin;
use provision::process_nodes::ProcessProvisioner;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn options(dir: &Path) -> ControlPlaneOptions {
    ControlPlaneOptions {
        data_dir: dir.to_owned(),
        api_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        http: false,
        node_subnet: (Ipv4Addr::new(127, 77, 0, 0), 16),
        // No test here makes a node.
        provisioner: Arc::new(ProcessProvisioner::new(PathBuf::from("/bin/false"), dir.to_owned())),
        data_node_admin: Arc::new(SqlDataNodeAdmin::new()),
    }
}

pub async fn start(dir: &Path, throttle: Throttle) -> Result<ControlPlane, StartError> {
    ControlPlane::start_with(options(dir), throttle).await
}

/// A caller that trusts the control plane's authority.
#[derive(Debug)]
pub struct Caller {
    pub http: Client,
    pub api: String,
    pub project: String,
    pub token: Option<String>,
}

impl Caller {
    pub fn new(plane: &ControlPlane) -> Self {
        // Fine also when a test before in this process did it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let endpoints = plane.endpoints();
        let mut http = Client::builder().no_proxy();
        if let Some(file) = &endpoints.ca_file {
            let pem = std::fs::read(file).unwrap();
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).unwrap());
        }
        let (api, project) = (endpoints.api.clone(), endpoints.project_id.clone());
        Self { http: http.build().unwrap(), api, project, token: None }
    }

    pub async fn logged_in(plane: &ControlPlane) -> Self {
        let mut caller = Self::new(plane);
        let answer = caller.log_in(login(plane, json!({ "project": { "name": "local-1" } }))).await;
        assert_eq!(answer.status(), 201);
        caller.token = Some(answer.headers()["x-subject-token"].to_str().unwrap().to_owned());
        caller
    }

    pub async fn log_in(&self, body: Value) -> Response {
        self.send(
            Method::POST,
            "/v3/auth/tokens",
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<String>) -> Response {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.into()).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Response {
        let path = path.replace("{project_id}", &self.project);
        let mut request =
            self.http.request(method, format!("{}{path}", self.api)).header("x-language", "en-us");
        if let Some(token) = &self.token {
            request = request.header("x-auth-token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        request.send().await.unwrap()
    }
}

pub fn login(plane: &ControlPlane, scope: Value) -> Value {
    let endpoints = plane.endpoints();
    json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": {
            "name": endpoints.username, "password": endpoints.password.expose(),
            "domain": { "name": endpoints.domain_name } } } },
        "scope": scope,
    } })
}

/// Status and body.
pub async fn told(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

//! A client of the REST API for `ddm ctl` and for the demo of `ddm up`: signed with an access key,
//! or with a token that it fetches by password.

mod catalogue;
mod sign;

use anyhow::{Context, Result, bail};
use base::backoff::Backoff;
use base::secret::Secret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits between looks at a running job: soon at first, then below the API's limit of a call a second.
const JOB_POLL: Backoff =
    Backoff { first: Duration::from_millis(200), most: Duration::from_millis(1500) };

/// How often a call that the API's throttle refused is made again.
const THROTTLED_TRIES: u32 = 5;

/// How long to wait before that, unless the API says.
const THROTTLED_WAIT: Duration = Duration::from_secs(2);

/// The longest such wait.
const THROTTLED_WAIT_MAX: Duration = Duration::from_secs(15);

/// Who asks.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Requests are signed.
    AccessKey {
        /// The key's name.
        access_key: String,
        /// The key.
        secret_key: Secret,
    },
    /// A token is fetched first.
    Password {
        /// The user's name.
        user: String,
        /// The user's password.
        password: Secret,
        /// The domain of the user.
        domain_name: String,
        /// The project to work in.
        project_name: String,
    },
    /// A token that the caller has.
    Token(Secret),
}

/// What an API refused.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code}, HTTP {status})")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The API's code.
    pub code: String,
    /// The API's text.
    pub message: String,
    /// When a throttled call may come again.
    pub retry_after: Option<Duration>,
}

/// One call.
#[derive(Debug)]
struct Call {
    method: Method,
    path: String,
    query: String,
    body: Option<Vec<u8>>,
}

/// A running or ended job.
#[derive(Clone, Debug)]
pub struct JobState {
    /// Running, Completed, Failed.
    pub status: String,
    /// 0 to 100.
    pub percent: u64,
    /// The whole answer.
    pub job: Value,
}

/// The client.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: String,
    project_id: String,
    credentials: Credentials,
    token: OnceCell<Secret>,
}

impl Client {
    /// A client of the API at `endpoint` (`https://host:port`), whose certificate the authority in
    /// `ca_file` signed.
    pub fn new(
        endpoint: &str,
        ca_file: Option<&Path>,
        project_id: &str,
        credentials: Credentials,
    ) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // The API of a machine's own loopback is not behind a proxy.
            .no_proxy();
        if let Some(ca_file) = ca_file {
            let pem = std::fs::read(ca_file).with_context(|| {
                format!("cannot read the CA file {}; give --ca-file", ca_file.display())
            })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} holds no certificate", ca_file.display()))?;
            builder = builder.tls_certs_only(certificates);
        }
        Ok(Self {
            http: builder.build().context("cannot make an HTTP client")?,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            project_id: project_id.to_owned(),
            credentials,
            token: OnceCell::new(),
        })
    }

    /// GET; `{project_id}` in the path stands for the project.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        self.call(Method::GET, path, query, None).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// All rows of a list that is paged by `offset` and `limit`.
    pub async fn list(&self, path: &str, key: &str) -> Result<Vec<Value>> {
        /// The API's largest page, and a bound on how many of them are fetched.
        const PAGE: usize = 100;
        const PAGES_MAX: usize = 1000;
        let mut rows: Vec<Value> = Vec::new();
        for page in 0..PAGES_MAX {
            let query = [("offset", (page * PAGE).to_string()), ("limit", PAGE.to_string())];
            let mut answer = self.get(path, &query).await?;
            let Value::Array(mut more) = answer[key].take() else {
                bail!("the API's answer has no {key:?}")
            };
            let count = more.len();
            rows.append(&mut more);
            if count < PAGE {
                break;
            }
        }
        Ok(rows)
    }

    /// The job's present state.
    pub async fn job(&self, job_id: &str) -> Result<JobState> {
        let mut answer =
            self.get(&format!("/v3/{{project_id}}/jobs/{}", encode(job_id)), &[]).await?;
        let job = answer["job"].take();
        let percent =
            job["process"].as_str().and_then(|text| text.trim_end_matches('%').parse().ok());
        let status = job["status"].as_str().unwrap_or_default().to_owned();
        let percent = if status == "Completed" { 100 } else { percent.unwrap_or(0) };
        Ok(JobState { status, percent, job })
    }

    /// Waits until the job has ended; tells `progress` what it sees. A failed job is an error.
    pub async fn wait_for_job(
        &self,
        job_id: &str,
        timeout: Duration,
        mut progress: impl FnMut(&JobState),
    ) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut looks = 0;
        loop {
            let state = self.job(job_id).await?;
            progress(&state);
            match state.status.as_str() {
                "Completed" => return Ok(state.job),
                "Failed" => {
                    let name = state.job["name"].as_str().unwrap_or("job");
                    let reason = state.job["fail_reason"].as_str().unwrap_or("no reason given");
                    bail!("{name} failed: {reason} (job {job_id})");
                }
                _ if tokio::time::Instant::now() > deadline => {
                    bail!(
                        "the job {job_id} still runs after {timeout:?}; see `ddm ctl jobs show {job_id}`"
                    )
                }
                _ => {
                    looks += 1;
                    tokio::time::sleep(JOB_POLL.delay(looks)).await;
                }
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Value> {
        let call = Call {
            method,
            path: path.replace("{project_id}", &self.project_id),
            query: sign::canonical_query(query),
            body: body.map(|body| body.to_string().into_bytes()),
        };
        let mut tries = 1;
        loop {
            let error = match self.answer(self.request(&call).await?).await {
                Ok((_, value)) => return Ok(value),
                Err(error) => error,
            };
            // Nothing was done for a call that the throttle refused.
            match error.downcast_ref::<Refusal>() {
                Some(refusal) if refusal.status == 429 && tries < THROTTLED_TRIES => {
                    tries += 1;
                    let wait =
                        refusal.retry_after.unwrap_or(THROTTLED_WAIT).min(THROTTLED_WAIT_MAX);
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// The request with its proof of who asks.
    async fn request(&self, call: &Call) -> Result<reqwest::RequestBuilder> {
        let url = match call.query.as_str() {
            "" => format!("{}{}", self.endpoint, call.path),
            query => format!("{}{}?{query}", self.endpoint, call.path),
        };
        let mut request =
            self.http.request(call.method.clone(), &url).header("X-Language", "en-us");
        request = match &self.credentials {
            Credentials::AccessKey { access_key, secret_key } => {
                let url: reqwest::Url = url.parse().context("the endpoint is no URL")?;
                let signed = sign::Request {
                    method: call.method.as_str(),
                    path: &call.path,
                    query: &call.query,
                    host: &host_header(&url),
                    body: call.body.as_deref().unwrap_or_default(),
                };
                let date = sign::now();
                let authorization = signed.authorization(access_key, secret_key, &date);
                request.header(sign::DATE_HEADER, date).header("Authorization", authorization)
            }
            Credentials::Password { .. } => {
                request.header("X-Auth-Token", self.token().await?.expose())
            }
            Credentials::Token(token) => request.header("X-Auth-Token", token.expose()),
        };
        Ok(match &call.body {
            Some(body) => request.header("Content-Type", "application/json").body(body.clone()),
            None => request,
        })
    }

    async fn token(&self) -> Result<&Secret> {
        let Credentials::Password { user, password, domain_name, project_name } = &self.credentials
        else {
            bail!("no password to fetch a token with");
        };
        let fetch = async || {
            let body = json!({ "auth": {
                "identity": { "methods": ["password"], "password": { "user": {
                    "name": user, "password": password.expose(), "domain": { "name": domain_name } } } },
                "scope": { "project": { "name": project_name, "domain": { "name": domain_name } } },
            } });
            let url = format!("{}/v3/auth/tokens", self.endpoint);
            let request = self
                .http
                .post(url)
                .header("Content-Type", "application/json")
                .body(body.to_string());
            let (headers, _) = self.answer(request).await.context("cannot log in")?;
            let token = headers.get("X-Subject-Token").and_then(|value| value.to_str().ok());
            token.map(Secret::new).context("the API gave no token")
        };
        self.token.get_or_try_init(fetch).await
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(reqwest::header::HeaderMap, Value)> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let headers = response.headers().clone();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(error))?;
        let value = match bytes.is_empty() {
            true => Value::Object(serde_json::Map::new()),
            false => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        if status.is_success() {
            return Ok((headers, value));
        }
        let mut refusal = refusal(status, &value);
        let seconds =
            headers.get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
        refusal.retry_after = seconds.map(Duration::from_secs);
        Err(refusal.into())
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let advice = if error.is_connect() {
            "is it running? start it with `ddm up`, or give another --endpoint or --data-dir"
        } else {
            "look at its log"
        };
        anyhow::Error::new(error).context(format!("cannot talk to {} ({advice})", self.endpoint))
    }
}

/// What the `Host` header will say: the port is left out when it is the scheme's own.
fn host_header(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The error in either of the API's spellings, or IAM's.
fn refusal(status: StatusCode, value: &Value) -> Refusal {
    let first = |names: &[&str]| {
        names.iter().find_map(|name| value.pointer(name)?.as_str()).map(str::to_owned)
    };
    Refusal {
        status: status.as_u16(),
        code: first(&["/error_code", "/errCode", "/error/title"])
            .unwrap_or_else(|| "no code".to_owned()),
        message: first(&["/error_msg", "/externalMessage", "/error/message"])
            .unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned()),
        retry_after: None,
    }
}

/// Whether the error is the API's refusal with this HTTP status.
pub fn is_refused_with(error: &anyhow::Error, status: u16) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.status == status)
}

/// One segment of a path.
pub fn encode(segment: &str) -> String {
    sign::percent_encode(segment)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refusals_in_all_spellings() {
        let of = |value: Value| refusal(StatusCode::BAD_REQUEST, &value).to_string();
        assert_eq!(of(json!({"error_code": "DBS.1", "error_msg": "no"})), "no (DBS.1, HTTP 400)");
        assert_eq!(
            of(json!({"errCode": "DBS.1", "externalMessage": "no"})),
            "no (DBS.1, HTTP 400)"
        );
        assert_eq!(of(json!({"error": {"title": "Bad", "message": "no"}})), "no (Bad, HTTP 400)");
        assert_eq!(of(Value::Null), "Bad Request (no code, HTTP 400)");
    }

    #[test]
    fn the_host_header_is_what_http_sends() {
        let host = |url: &str| host_header(&url.parse().unwrap());
        assert_eq!(host("https://127.0.0.1:8635/x"), "127.0.0.1:8635");
        assert_eq!(host("https://api.example:443/x"), "api.example");
    }
}

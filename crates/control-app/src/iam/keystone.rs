//! The request of `POST /v3/auth/tokens` and what a token says, in the forms of Keystone v3.

use super::{Caller, IamError};
use crate::time;
use base::api_error::ApiError;
use base::secret::Secret;
use control_api::decode::required;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// The role that the user has in every project; there are no others.
const ROLE: &str = "te_admin";

/// Body of `POST /v3/auth/tokens`.
#[derive(Clone, Debug, Deserialize)]
pub struct AuthRequest {
    auth: Auth,
}

#[derive(Clone, Debug, Deserialize)]
struct Auth {
    identity: Identity,
    scope: Option<ScopeRequest>,
}

#[derive(Clone, Debug, Deserialize)]
struct Identity {
    methods: Vec<String>,
    password: Option<PasswordIdentity>,
}

#[derive(Clone, Debug, Deserialize)]
struct PasswordIdentity {
    user: UserIdentity,
}

#[derive(Clone, Debug, Deserialize)]
struct UserIdentity {
    id: Option<String>,
    name: Option<String>,
    password: Secret,
    domain: Option<Named>,
}

#[derive(Clone, Debug, Deserialize)]
struct ScopeRequest {
    project: Option<ProjectScope>,
    domain: Option<Named>,
}

#[derive(Clone, Debug, Deserialize)]
struct ProjectScope {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Named>,
}

/// Something that is named by id or by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Its id.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

impl Named {
    /// Whether what is given of id and name fits.
    pub fn fits(&self, id: &str, name: &str) -> bool {
        self.id.as_deref().is_none_or(|given| given == id)
            && self.name.as_deref().is_none_or(|given| given == name)
    }

    fn is_given(&self) -> bool {
        self.id.is_some() || self.name.is_some()
    }
}

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A project, and the domain that it should belong to.
    Project(Named, Option<Named>),
    /// A domain.
    Domain(Named),
    /// Not said: the user's own domain.
    Unsaid,
}

/// A well-formed request.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub user: Named,
    /// The user's domain.
    pub domain: Option<Named>,
    /// The password.
    pub password: Secret,
    /// What for.
    pub scope: Scope,
}

impl AuthRequest {
    /// The login, if nothing is wrong.
    pub fn check(self) -> Result<Login, ApiError> {
        let Identity { methods, password } = self.auth.identity;
        if methods.len() != 1 || methods.first().is_none_or(|method| method != "password") {
            return Err(ApiError::parameter(
                "auth.identity.methods",
                "only [\"password\"] is supported",
                "仅支持[\"password\"]",
            ));
        }
        let user = password.ok_or_else(|| required("auth.identity.password"))?.user;
        let named = Named { id: user.id, name: user.name };
        if !named.is_given() {
            return Err(required("auth.identity.password.user.name"));
        }
        if named.id.is_none() && !user.domain.as_ref().is_some_and(Named::is_given) {
            return Err(required("auth.identity.password.user.domain.name"));
        }
        Ok(Login {
            user: named,
            domain: user.domain,
            password: user.password,
            scope: scope(self.auth.scope)?,
        })
    }
}

fn scope(asked: Option<ScopeRequest>) -> Result<Scope, ApiError> {
    match asked {
        None | Some(ScopeRequest { project: None, domain: None }) => Ok(Scope::Unsaid),
        Some(ScopeRequest { project: Some(_), domain: Some(_) }) => Err(ApiError::parameter(
            "auth.scope",
            "is either a project or a domain",
            "只能指定project或domain之一",
        )),
        Some(ScopeRequest { project: Some(project), domain: None }) => {
            let named = Named { id: project.id, name: project.name };
            if named.is_given() {
                Ok(Scope::Project(named, project.domain))
            } else {
                Err(required("auth.scope.project.name"))
            }
        }
        Some(ScopeRequest { project: None, domain: Some(domain) }) => {
            if domain.is_given() {
                Ok(Scope::Domain(domain))
            } else {
                Err(required("auth.scope.domain.name"))
            }
        }
    }
}

/// A time as Keystone writes it: `2021-12-14T07:46:22.000000Z`.
fn instant(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) => format!("{}.{:03}000Z", at.strftime("%Y-%m-%dT%H:%M:%S"), ms.rem_euclid(1_000)),
        Err(_) => time::text(ms),
    }
}

/// What a token says about its owner.
pub(super) fn document(caller: &Caller, issued_ms: i64, expires_ms: i64) -> Value {
    let domain = json!({ "id": caller.domain.id, "name": caller.domain.name });
    let mut token = json!({
        "methods": ["password"],
        "issued_at": instant(issued_ms),
        "expires_at": instant(expires_ms),
        "user": {
            "id": caller.user.id,
            "name": caller.user.name,
            "domain": domain,
            "password_expires_at": "",
        },
        "roles": [{ "id": "0", "name": ROLE }],
        "catalog": [],
    });
    match &caller.project {
        Some(project) => {
            token["project"] = json!({ "id": project.id, "name": project.name, "domain": domain })
        }
        None => token["domain"] = domain,
    }
    json!({ "token": token })
}

/// A project in lists.
pub fn project_document(project: &super::ProjectRecord) -> Value {
    json!({
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "is_domain": false,
        "enabled": true,
        "description": "",
        "links": { "self": format!("/v3/projects/{}", project.id) },
    })
}

impl From<IamError> for ApiError {
    fn from(error: IamError) -> Self {
        use base::api_error::{
            INSUFFICIENT_PERMISSIONS, SERVER_FAILURE, TOO_MANY_REQUESTS, UNAUTHORIZED, UNAVAILABLE,
        };
        use control_store::StoreError;
        match &error {
            IamError::Unauthorized(reason) => {
                tracing::debug!(reason, "a caller is not let in");
                ApiError::new(UNAUTHORIZED)
            }
            IamError::Signature(reason) => {
                tracing::debug!(%reason, "a caller is not let in");
                ApiError::new(UNAUTHORIZED).because(reason.english(), reason.chinese())
            }
            IamError::Forbidden(_) => ApiError::new(INSUFFICIENT_PERMISSIONS),
            IamError::Busy => ApiError::new(TOO_MANY_REQUESTS),
            IamError::Store(StoreError::Unavailable(_)) => {
                tracing::warn!(%error, "a caller could not be looked up");
                ApiError::new(UNAVAILABLE)
            }
            _ => {
                tracing::error!(%error, "a caller could not be looked up");
                ApiError::new(SERVER_FAILURE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::api_error::Language;

    fn checked(body: Value) -> Result<Login, String> {
        let request = control_api::decode::decode::<AuthRequest>(body.to_string().as_bytes());
        request.and_then(AuthRequest::check).map_err(|error| error.message(Language::English))
    }

    fn user() -> Value {
        json!({ "user": { "name": "admin", "password": "x", "domain": { "name": "default" } } })
    }

    #[test]
    fn a_login_names_its_scope() {
        let with = |scope: Value| {
            checked(
                json!({"auth": {"identity": {"methods": ["password"], "password": user()}, "scope": scope}}),
            )
        };
        let named = |name: &str| Named { id: None, name: Some(name.to_owned()) };
        assert_eq!(
            with(json!({"project": {"name": "p"}})).unwrap().scope,
            Scope::Project(named("p"), None)
        );
        assert_eq!(
            with(json!({"domain": {"name": "d"}})).unwrap().scope,
            Scope::Domain(named("d"))
        );
        assert_eq!(with(Value::Null).unwrap().scope, Scope::Unsaid);
        assert_eq!(
            with(json!({"project": {}})).unwrap_err(),
            "Parameter error. auth.scope.project.name: is required"
        );
        assert!(with(json!({"project": {"name": "p"}, "domain": {"name": "d"}})).is_err());
        assert!(!format!("{:?}", with(Value::Null).unwrap()).contains("\"x\""));
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |identity: Value| checked(json!({"auth": {"identity": identity}})).unwrap_err();
        assert_eq!(of(json!({})), "Parameter error. auth.identity.methods: is required");
        assert!(of(json!({"methods": ["token"]})).contains("auth.identity.methods"));
        assert_eq!(
            of(json!({"methods": ["password"]})),
            "Parameter error. auth.identity.password: is required"
        );
        let nameless = json!({"methods": ["password"], "password": {"user": {"password": "x"}}});
        assert_eq!(of(nameless), "Parameter error. auth.identity.password.user.name: is required");
    }

    #[test]
    fn times_have_keystones_form() {
        assert_eq!(instant(1_639_467_982_045), "2021-12-14T07:46:22.045000Z");
    }
}

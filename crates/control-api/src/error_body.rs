//! Bodies of errors: two spellings, by the version in the path.

use base::api_error::{ApiError, Language};
use serde_json::{Value, json};

/// Which spelling a path's errors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{errCode, externalMessage}`: v1 and v2.
    Legacy,
    /// `{error_code, error_msg}`: v3 and everything else.
    V3,
}

impl ErrorForm {
    /// The form of a request's path.
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("/v1/") || path.starts_with("/v2/") {
            ErrorForm::Legacy
        } else {
            ErrorForm::V3
        }
    }

    /// The names of the code's and the message's fields.
    pub fn fields(self) -> (&'static str, &'static str) {
        match self {
            ErrorForm::Legacy => ("errCode", "externalMessage"),
            ErrorForm::V3 => ("error_code", "error_msg"),
        }
    }

    /// The body for `error`.
    pub fn body(self, error: &ApiError, language: Language) -> Value {
        let (code, message) = self.fields();
        json!({ code: error.code.code, message: error.message(language) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::api_error::PARAMETER_ERROR;

    #[test]
    fn the_path_decides_the_spelling() {
        let error = ApiError::new(PARAMETER_ERROR);
        for path in ["/v1/p/instances", "/v2/p/engines"] {
            assert_eq!(
                ErrorForm::of_path(path).body(&error, Language::English),
                json!({"errCode": "DBS.280001", "externalMessage": "Parameter error."})
            );
        }
        for path in ["/v3/p/jobs", "/", "/v10/x"] {
            assert_eq!(
                ErrorForm::of_path(path).body(&error, Language::Chinese),
                json!({"error_code": "DBS.280001", "error_msg": "参数错误。"})
            );
        }
    }
}

//! Bodies: JSON into a request type, and what is wrong with it as the documented error that names
//! the field. Values of the body are never repeated in the error: one of them may be a password.

use base::api_error::{ApiError, PARAMETER_ERROR};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The request type that `body` spells. Unknown fields are ignored.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        wrong(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| wrong(".", &error))?;
    Ok(value)
}

/// The same where the body may be missing; then it counts as `{}`.
pub fn decode_optional<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) { decode(b"{}") } else { decode(body) }
}

fn wrong(path: &str, error: &serde_json::Error) -> ApiError {
    if !error.is_data() {
        let place = format!("(line {}, column {})", error.line(), error.column());
        return ApiError::new(PARAMETER_ERROR).because(
            format!("The body is not valid JSON {place}."),
            format!("请求体不是合法的JSON {place}。"),
        );
    }
    let text = error.to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(field) if path == "." => required(field),
        Some(field) => required(&format!("{path}.{field}")),
        None if path == "." => ApiError::parameter(
            "body",
            "must be a JSON object of the documented form",
            "必须为符合文档格式的JSON对象",
        ),
        None => ApiError::parameter(path, "has the wrong type", "类型错误"),
    }
}

/// The error for a field that must be given and is not.
pub fn required(field: &str) -> ApiError {
    ApiError::parameter(field, "is required", "不能为空")
}

/// A flag that the documents give as the string `true` or `false`; a JSON boolean is taken too.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Boolean(bool),
        Text(String),
    }
    match Option::<Flag>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Flag::Boolean(value)) => Ok(Some(value)),
        Some(Flag::Text(text)) => match text.as_str() {
            "" => Ok(None),
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(serde::de::Error::custom("neither true nor false")),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::api_error::Language;

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[allow(dead_code)]
        count: i64,
        #[serde(default, deserialize_with = "flag")]
        pay: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        list: Vec<Inner>,
    }

    #[test]
    fn errors_name_the_field_and_never_the_value() {
        let cases = [
            (r#"{}"#, "Parameter error. list: is required"),
            (r#"{"list":[{"count":1},{}]}"#, "Parameter error. list[1].count: is required"),
            (
                r#"{"list":[{"count":"secret"}]}"#,
                "Parameter error. list[0].count: has the wrong type",
            ),
            (
                r#"{"list":[{"count":1,"pay":"no"}]}"#,
                "Parameter error. list[0].pay: has the wrong type",
            ),
            (r#"{"list":"#, "Parameter error. The body is not valid JSON (line 1, column 8)."),
            (
                r#"{"list":[]} x"#,
                "Parameter error. The body is not valid JSON (line 1, column 13).",
            ),
            (r#""x""#, "Parameter error. body: must be a JSON object of the documented form"),
        ];
        for (body, message) in cases {
            let error = decode::<Outer>(body.as_bytes()).unwrap_err();
            assert_eq!(error.message(Language::English), message, "{body}");
            assert_eq!((error.status, error.code.code), (400, "DBS.280001"));
        }
        let good: Outer =
            decode(br#"{"unknown":1,"list":[{"count":1,"pay":"true"},{"count":2,"pay":false}]}"#)
                .unwrap();
        assert_eq!(
            good.list.iter().map(|inner| inner.pay).collect::<Vec<_>>(),
            [Some(true), Some(false)]
        );
    }
}

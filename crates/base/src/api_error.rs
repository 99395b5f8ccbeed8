//! The catalogue of errors of the REST API: a stable code, whose fault it is, the HTTP status and
//! a text that is safe to show, in both languages of the API. Codes are those of the API documents;
//! where the documents give none (an HTTP condition such as 405), the code is `DBS.280` and the
//! status. The catalogue is data, so that tests and pages can walk it.

mod catalogue;

pub use catalogue::*;

use crate::error_kind::ErrorKind;
use std::fmt;

/// A language of the API (`X-Language`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `zh-cn`, the documents' default.
    #[default]
    Chinese,
    /// `en-us`.
    English,
}

impl Language {
    /// The language that an `X-Language` header names; anything else is the default.
    pub fn from_header(value: &str) -> Self {
        match value.trim().to_ascii_lowercase().as_str() {
            "en-us" | "en" => Language::English,
            _ => Language::Chinese,
        }
    }
}

/// Where an entry's text names the wrong field.
const FIELD_PLACE: &str = "{param}";

/// One error of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiCode {
    /// The stable code, for example `DBS.280001`.
    pub code: &'static str,
    /// The HTTP status that it is answered with, unless the place knows better.
    pub status: u16,
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// The text in English.
    pub english: &'static str,
    /// The text in Chinese.
    pub chinese: &'static str,
}

impl ApiCode {
    /// The text in `language`.
    pub fn text(&self, language: Language) -> &'static str {
        match language {
            Language::Chinese => self.chinese,
            Language::English => self.english,
        }
    }
}

/// The catalogue's entry with this code.
pub fn find(code: &str) -> Option<&'static ApiCode> {
    CATALOGUE.iter().copied().find(|entry| entry.code == code)
}

/// An error for one request: an entry of the catalogue and what about it is particular here.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The entry.
    pub code: &'static ApiCode,
    /// The HTTP status of this answer.
    pub status: u16,
    /// The request's field that is wrong, as a path (`instance.name`).
    pub field: Option<String>,
    /// More about it, safe to show: English and Chinese.
    pub reason: Option<(String, String)>,
}

impl ApiError {
    /// The entry as it is.
    pub fn new(code: &'static ApiCode) -> Self {
        Self { code, status: code.status, field: None, reason: None }
    }

    /// A wrong field of the request.
    pub fn parameter(
        field: impl Into<String>,
        english: impl Into<String>,
        chinese: impl Into<String>,
    ) -> Self {
        Self::new(PARAMETER_ERROR).field(field).because(english, chinese)
    }

    /// An object named by the path does not exist.
    pub fn not_found(
        code: &'static ApiCode,
        english: impl Into<String>,
        chinese: impl Into<String>,
    ) -> Self {
        Self::new(code).with_status(404).because(english, chinese)
    }

    /// The object's present state does not allow the request.
    pub fn state(english: impl Into<String>, chinese: impl Into<String>) -> Self {
        Self::new(INSTANCE_NOT_AVAILABLE).because(english, chinese)
    }

    /// The field that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// More about it.
    #[must_use]
    pub fn because(mut self, english: impl Into<String>, chinese: impl Into<String>) -> Self {
        self.reason = Some((english.into(), chinese.into()));
        self
    }

    /// Another HTTP status than the entry's.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The whole text in `language`.
    pub fn message(&self, language: Language) -> String {
        let mut text = self.code.text(language).to_owned();
        let (text_field, field) = match &self.field {
            // The entry's own text has a place for it.
            Some(field) if text.contains(FIELD_PLACE) => (Some(field), None),
            field => (None, field.as_ref()),
        };
        if let Some(field) = text_field {
            text = text.replace(FIELD_PLACE, field);
        }
        let reason = self.reason.as_ref().map(|(english, chinese)| match language {
            Language::Chinese => chinese,
            Language::English => english,
        });
        match (field, reason) {
            (Some(field), Some(reason)) => text.push_str(&format!(" {field}: {reason}")),
            (Some(field), None) => text.push_str(&format!(" {field}")),
            (None, Some(reason)) => text.push_str(&format!(" {reason}")),
            (None, None) => {}
        }
        text
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.code, self.message(Language::English))
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiError({} {})", self.status, self)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_catalogue_has_each_code_once_with_both_texts() {
        let codes: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.code).collect();
        assert_eq!(codes.len(), CATALOGUE.len());
        for entry in CATALOGUE {
            assert!(entry.code.starts_with("DBS.") && entry.code.len() == 10, "{}", entry.code);
            assert!((400..=503).contains(&entry.status), "{}", entry.code);
            assert!(entry.english.ends_with('.') && entry.english.is_ascii(), "{}", entry.code);
            assert!(!entry.chinese.is_ascii(), "{}", entry.code);
            assert_eq!(find(entry.code), Some(*entry));
        }
        assert_eq!(find("DBS.000000"), None);
    }

    #[test]
    fn a_message_names_the_field_in_the_language_asked_for() {
        let error = ApiError::parameter("instance.name", "at least 4 characters", "至少 4 个字符");
        assert_eq!(
            error.message(Language::English),
            "Parameter error. instance.name: at least 4 characters"
        );
        assert_eq!(
            error.message(Language::from_header("zh-cn")),
            "参数错误。 instance.name: 至少 4 个字符"
        );
        assert_eq!(error.status, 400);
        let named = ApiError::new(NAMED_PARAMETER_INVALID).field("autocommit").because("no", "不");
        assert_eq!(named.message(Language::English), "Invalid autocommit. no");
        assert_eq!(ApiError::not_found(ACCOUNT_MISSING, "a", "b").status, 404);
        assert_eq!(Language::from_header(" EN-us"), Language::English);
        assert_eq!(Language::from_header("fr"), Language::Chinese);
    }
}

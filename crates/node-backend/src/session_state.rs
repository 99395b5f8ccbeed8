//! What a client's session has set, as an immutable value that can be compared with what a
//! connection has, so that only the difference is replayed.
//!
//! Values are SQL text. They are put into one SET statement, whatever `sql_mode` the connection
//! has at that moment, so strings must be in single quotes with quotes doubled and no backslash.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The name under which `SET NAMES` is kept.
const NAMES: &str = "names";
/// The variable of the client's character set.
const CLIENT: &str = "character_set_client";
/// The character set of a fresh connection.
const BASE_CHARSET: &str = "utf8mb4";
/// Character sets whose texts are UTF-8, or no characters at all.
const UTF8: [&str; 5] = ["utf8mb4", "utf8mb3", "utf8", "ascii", "binary"];
/// The value of a user variable that was never set.
const UNDEFINED: &str = "NULLIF(X'',X'')";
/// The character set of a fresh connection, as the login asks for it.
pub(crate) const BASE_NAMES: &str = "utf8mb4 COLLATE utf8mb4_general_ci";

/// Settings of a session; what is not named has the data node's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionState {
    settings: BTreeMap<String, String>,
    database: Option<String>,
    fingerprint: u64,
    meaning: u64,
    /// The client's character set is another than UTF-8: texts are converted before they are sent.
    converts: bool,
    /// It is told to data nodes all the same.
    raw_client: bool,
}

impl Default for SessionState {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            database: None,
            fingerprint: 0,
            meaning: 0,
            converts: false,
            raw_client: false,
        }
        .sealed()
    }
}

impl SessionState {
    /// With a setting: a system variable (`sql_mode`), a user variable (`@x`), or `names`, whose
    /// value is what follows SET NAMES. `value_sql` is SQL text.
    pub fn with(mut self, name: &str, value_sql: impl Into<String>) -> Self {
        self.settings.insert(name.to_ascii_lowercase(), value_sql.into());
        self.sealed()
    }

    /// Without a setting.
    pub fn without(mut self, name: &str) -> Self {
        self.settings.remove(&name.to_ascii_lowercase());
        self.sealed()
    }

    /// With another current database; `None` says that it does not matter.
    pub fn with_database(mut self, database: Option<String>) -> Self {
        self.database = database;
        self
    }

    /// Whether texts of the client are converted to UTF-8 before they are sent.
    pub fn converts(&self) -> bool {
        self.converts
    }

    /// The client's character set, where it is another than UTF-8.
    pub fn client_charset(&self) -> Option<&str> {
        self.converts.then(|| client_charset(&self.settings))
    }

    /// Whether data nodes are told the client's character set although texts are UTF-8.
    pub fn is_raw(&self) -> bool {
        self.raw_client
    }

    /// Tells data nodes the client's character set itself, or that texts are UTF-8.
    pub fn with_raw_client(mut self, raw: bool) -> Self {
        self.raw_client = raw;
        self.sealed()
    }

    /// What a connection is to have.
    fn effective(&self) -> Cow<'_, BTreeMap<String, String>> {
        if !self.converts || self.raw_client {
            return Cow::Borrowed(&self.settings);
        }
        let mut settings = self.settings.clone();
        settings.insert(CLIENT.to_owned(), "'utf8mb4'".to_owned());
        Cow::Owned(settings)
    }

    /// A setting's SQL text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// All settings in order of their names.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The current database, if it matters.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// A number that is the same for the same settings, whatever the database.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// A number that is the same where a text means the same: a prepared statement keeps what was set when
    /// it was prepared (`sql_mode`, character sets), but for the user variables.
    pub fn meaning(&self) -> u64 {
        self.meaning
    }

    /// Whether both have the same settings, whatever the database; different fingerprints decide
    /// without looking further.
    pub fn same_settings(&self, other: &SessionState) -> bool {
        self.fingerprint == other.fingerprint
            && self.settings == other.settings
            && (!self.converts || self.raw_client == other.raw_client)
    }

    /// The SET statement that makes a connection with the settings of `applied` have these; `None`
    /// if there is nothing to do. The database is not part of it.
    pub fn changes_from(&self, applied: &SessionState) -> Option<String> {
        let mut parts = Vec::new();
        let (wanted, applied) = (self.effective(), applied.effective());
        let names = wanted.get(NAMES);
        // A character set that is not set any more is again what NAMES says.
        let is_dropped = |name: &String| is_character_set(name) && !wanted.contains_key(name);
        let names_change = names != applied.get(NAMES) || applied.keys().any(is_dropped);
        if names_change {
            parts.push(format!("NAMES {}", names.map_or(BASE_NAMES, String::as_str)));
        }
        for (name, value) in wanted.iter() {
            // NAMES overwrites these, so they are said again behind it.
            let overwritten = names_change && is_character_set(name);
            if name != NAMES && (overwritten || applied.get(name) != Some(value)) {
                parts.push(format!("{name}={value}"));
            }
        }
        for name in applied.keys() {
            if name != NAMES && !wanted.contains_key(name) && !is_of_names(name) {
                let default = if name.starts_with('@') && !name.starts_with("@@") {
                    // A plain NULL would leave the type that the variable had.
                    UNDEFINED
                } else {
                    "DEFAULT"
                };
                parts.push(format!("{name}={default}"));
            }
        }
        (!parts.is_empty()).then(|| format!("SET {}", parts.join(",")))
    }

    fn sealed(mut self) -> Self {
        let mut hasher = DefaultHasher::new();
        self.converts = !UTF8.contains(&client_charset(&self.settings));
        self.settings.hash(&mut hasher);
        (self.converts && self.raw_client).hash(&mut hasher);
        self.fingerprint = hasher.finish();
        let mut hasher = DefaultHasher::new();
        let is_read_later = |name: &str| name.starts_with('@') && !name.starts_with("@@");
        for (name, value) in self.settings.iter().filter(|(name, _)| !is_read_later(name)) {
            (name, value).hash(&mut hasher);
        }
        (self.converts && self.raw_client).hash(&mut hasher);
        self.meaning = hasher.finish();
        self
    }
}

/// The character set of the client's texts.
fn client_charset(settings: &BTreeMap<String, String>) -> &str {
    let said = settings.get(CLIENT).or_else(|| settings.get(NAMES));
    let word = said.and_then(|value| value.split_whitespace().next()).unwrap_or(BASE_CHARSET);
    word.trim_matches('\'')
}

/// What SET NAMES sets.
fn is_of_names(name: &str) -> bool {
    matches!(
        name,
        "character_set_client"
            | "character_set_connection"
            | "character_set_results"
            | "collation_connection"
    )
}

fn is_character_set(name: &str) -> bool {
    name.starts_with("character_set_") || name == "collation_connection"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_replayed() {
        let base = SessionState::default().with("sql_mode", "'ANSI'").with("@x", "5");
        let cases = [
            (base.clone(), None),
            (base.clone().with("SQL_MODE", "''"), Some("SET sql_mode=''")),
            (base.clone().without("sql_mode"), Some("SET sql_mode=DEFAULT")),
            (base.clone().without("@x"), Some("SET @x=NULLIF(X'',X'')")),
            (
                base.clone().with("names", "latin1"),
                Some("SET NAMES latin1,character_set_client='utf8mb4'"),
            ),
            (base.clone().with_database(Some("d".to_owned())), None),
            (
                base.clone().with("character_set_results", "NULL").with("names", "latin1"),
                Some("SET NAMES latin1,character_set_client='utf8mb4',character_set_results=NULL"),
            ),
        ];
        for (wanted, statement) in cases {
            assert_eq!(wanted.changes_from(&base).as_deref(), statement);
        }
        let shown = base.clone().with("names", "latin1").with("character_set_results", "utf8mb4");
        let dropped = base.clone().with("names", "latin1").changes_from(&shown);
        assert_eq!(dropped.as_deref(), Some("SET NAMES latin1,character_set_client='utf8mb4'"));
        let latin = base.clone().with("names", "latin1");
        let statement = base.changes_from(&latin);
        assert_eq!(statement.as_deref(), Some("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci"));
    }

    #[test]
    fn texts_are_utf8_whatever_the_client_sends() {
        let base = SessionState::default();
        assert!(!base.converts() && !base.clone().with("names", "utf8mb3").converts());
        let gbk = base.clone().with("names", "gbk COLLATE gbk_bin");
        assert_eq!(gbk.client_charset(), Some("gbk"));
        let set = "SET NAMES gbk COLLATE gbk_bin,character_set_client='utf8mb4'";
        assert_eq!(gbk.changes_from(&base).as_deref(), Some(set));
        let raw = gbk.clone().with_raw_client(true);
        assert!(!raw.same_settings(&gbk) && raw.fingerprint() != gbk.fingerprint());
        let set = "SET NAMES gbk COLLATE gbk_bin";
        assert_eq!(raw.changes_from(&gbk).as_deref(), Some(set));
        assert_eq!(gbk.get("character_set_client"), None);
        let back = "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci";
        assert_eq!(base.changes_from(&gbk).as_deref(), Some(back));
        let named = base.clone().with("character_set_client", "'latin1'");
        assert_eq!(named.client_charset(), Some("latin1"));
        assert_eq!(
            named.changes_from(&base).as_deref(),
            Some("SET character_set_client='utf8mb4'")
        );
    }

    #[test]
    fn fingerprints_follow_the_settings() {
        let one = SessionState::default().with("a", "1").with("b", "2");
        let two = SessionState::default().with("b", "2").with("a", "1");
        assert!(one.same_settings(&two) && one.fingerprint() == two.fingerprint());
        assert!(!one.same_settings(&two.clone().with("a", "2")));
        assert!(one.same_settings(&two.clone().with_database(Some("d".to_owned()))));
        let variable = one.clone().with("@a", "1");
        assert!(variable.meaning() == one.meaning() && !variable.same_settings(&one));
        assert_ne!(one.clone().with("sql_mode", "'ANSI'").meaning(), one.meaning());
        let nothing = two.without("a").without("b");
        assert!(nothing.same_settings(&SessionState::default()));
    }
}

//! What a client's session has set, as an immutable value that can be compared with what a
//! connection has, so that only the difference is replayed.
//!
//! Values are SQL text. They are put into one SET statement, whatever `sql_mode` the connection
//! has at that moment, so strings must be in single quotes with quotes doubled and no backslash.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The name under which `SET NAMES` is kept.
const NAMES: &str = "names";
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
}

impl Default for SessionState {
    fn default() -> Self {
        Self { settings: BTreeMap::new(), database: None, fingerprint: 0 }.sealed()
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

    /// Whether both have the same settings, whatever the database; different fingerprints decide
    /// without looking further.
    pub fn same_settings(&self, other: &SessionState) -> bool {
        self.fingerprint == other.fingerprint && self.settings == other.settings
    }

    /// The SET statement that makes a connection with the settings of `applied` have these; `None`
    /// if there is nothing to do. The database is not part of it.
    pub fn changes_from(&self, applied: &SessionState) -> Option<String> {
        let mut parts = Vec::new();
        let names = self.settings.get(NAMES);
        // A character set that is not set any more is again what NAMES says.
        let is_dropped =
            |name: &String| is_character_set(name) && !self.settings.contains_key(name);
        let names_change =
            names != applied.settings.get(NAMES) || applied.settings.keys().any(is_dropped);
        if names_change {
            parts.push(format!("NAMES {}", names.map_or(BASE_NAMES, String::as_str)));
        }
        for (name, value) in &self.settings {
            // NAMES overwrites these, so they are said again behind it.
            let overwritten = names_change && is_character_set(name);
            if name != NAMES && (overwritten || applied.settings.get(name) != Some(value)) {
                parts.push(format!("{name}={value}"));
            }
        }
        for name in applied.settings.keys() {
            if name != NAMES && !self.settings.contains_key(name) && !is_of_names(name) {
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
        self.settings.hash(&mut hasher);
        self.fingerprint = hasher.finish();
        self
    }
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
            (base.clone().with("names", "latin1"), Some("SET NAMES latin1")),
            (base.clone().with_database(Some("d".to_owned())), None),
            (
                base.clone().with("character_set_results", "NULL").with("names", "latin1"),
                Some("SET NAMES latin1,character_set_results=NULL"),
            ),
        ];
        for (wanted, statement) in cases {
            assert_eq!(wanted.changes_from(&base).as_deref(), statement);
        }
        let shown = base.clone().with("names", "latin1").with("character_set_results", "utf8mb4");
        let dropped = base.clone().with("names", "latin1").changes_from(&shown);
        assert_eq!(dropped.as_deref(), Some("SET NAMES latin1"));
        let latin = base.clone().with("names", "latin1");
        let statement = base.changes_from(&latin);
        assert_eq!(statement.as_deref(), Some("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci"));
    }

    #[test]
    fn fingerprints_follow_the_settings() {
        let one = SessionState::default().with("a", "1").with("b", "2");
        let two = SessionState::default().with("b", "2").with("a", "1");
        assert!(one.same_settings(&two) && one.fingerprint() == two.fingerprint());
        assert!(!one.same_settings(&two.clone().with("a", "2")));
        assert!(one.same_settings(&two.clone().with_database(Some("d".to_owned()))));
        let nothing = two.without("a").without("b");
        assert!(nothing.same_settings(&SessionState::default()));
    }
}

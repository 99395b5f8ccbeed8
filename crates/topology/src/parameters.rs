//! An instance's parameters, typed and with their defaults (the product's list). Values travel as
//! text, as the API has them; a node reads them through the typed form. Every parameter is one
//! entry of [`DEFINITIONS`]: names, ranges and defaults stand nowhere else.

mod definitions;
mod settings;

pub use definitions::DEFINITIONS;
pub use settings::{ConsistentReads, ExecutionLevel, Settings, TransactionPolicy};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// No longer text of `bind_table` is taken.
pub const BIND_TABLE_BYTES_MAX: usize = 16 * 1024;

/// An instance's parameters. Only those that differ from the default are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters {
    values: BTreeMap<String, String>,
}

/// One parameter of the product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterDef {
    /// Its name.
    pub name: &'static str,
    /// Its value when nobody set it.
    pub default: &'static str,
    /// Its type and range.
    pub kind: ParameterKind,
    /// Users may set it through the API.
    pub editable: bool,
    /// A change needs a restart of the instance.
    pub need_restart: bool,
    /// What it does, in English.
    pub description_en: &'static str,
    /// What it does, in Chinese.
    pub description_zh: &'static str,
}

/// A parameter's type and range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParameterKind {
    /// A whole number.
    Integer {
        /// The lowest value.
        min: i64,
        /// The highest value.
        max: i64,
        /// Values are multiples of this.
        multiple_of: i64,
    },
    /// A number.
    Float {
        /// The lowest value.
        min: f64,
        /// The highest value.
        max: f64,
    },
    /// OFF or ON.
    Boolean,
    /// One of a list.
    List(&'static [&'static str]),
    /// The text of `bind_table`: `[{t1.c1,t2.c2},…]` or nothing.
    BindTable,
}

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No such parameter.
    #[error("there is no parameter '{0}'")]
    Unknown(String),
    /// The value does not fit.
    #[error("'{value}' is not a value of {name}; it takes {range}")]
    WrongValue {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        range: String,
    },
    /// Users may not set it.
    #[error("{0} cannot be changed")]
    NotEditable(&'static str),
    /// The values of two parameters do not go together.
    #[error("{name} must fit {other}")]
    DoesNotFit {
        /// The parameter that has to change, too.
        name: &'static str,
        /// The other one.
        other: &'static str,
    },
}

impl ParameterError {
    /// The parameter that is wrong.
    pub fn name(&self) -> &str {
        match self {
            ParameterError::Unknown(name) => name,
            ParameterError::WrongValue { name, .. }
            | ParameterError::NotEditable(name)
            | ParameterError::DoesNotFit { name, .. } => name,
        }
    }
}

impl ParameterKind {
    /// The type's name in the API.
    pub fn data_type(&self) -> &'static str {
        match self {
            ParameterKind::Integer { .. } => "integer",
            ParameterKind::Float { .. } => "float",
            ParameterKind::Boolean => "boolean",
            ParameterKind::List(_) => "list",
            ParameterKind::BindTable => "string",
        }
    }

    /// The range as the API gives it: `500000-2000000000`, `ON|OFF`.
    pub fn value_range(&self) -> String {
        match self {
            ParameterKind::Integer { min, max, .. } => format!("{min}-{max}"),
            ParameterKind::Float { min, max } => format!("{min}-{max}"),
            ParameterKind::Boolean => "ON|OFF".to_owned(),
            ParameterKind::List(values) => values.join("|"),
            ParameterKind::BindTable => "[{tb.col1,tb2.col2},{tb.col2,tb3.col1},...]".to_owned(),
        }
    }

    /// The value in its one canonical spelling, if it fits.
    fn canonical(&self, value: &str) -> Option<String> {
        let value = value.trim();
        match self {
            ParameterKind::Integer { min, max, multiple_of } => value
                .parse::<i64>()
                .ok()
                .filter(|number| (min..=max).contains(&number) && number % multiple_of == 0)
                .map(|number| number.to_string()),
            ParameterKind::Float { min, max } => value
                .parse::<f64>()
                .ok()
                .filter(|number| (min..=max).contains(&number))
                .map(|number| number.to_string()),
            ParameterKind::Boolean => one_of(&["OFF", "ON"], value),
            ParameterKind::List(values) => one_of(values, value),
            ParameterKind::BindTable => match parse_bind_table(value) {
                Some(pairs) if pairs.is_empty() => Some(String::new()),
                pairs => pairs.map(|_| value.to_owned()),
            },
        }
    }
}

fn one_of(values: &[&str], value: &str) -> Option<String> {
    values
        .iter()
        .find(|listed| listed.eq_ignore_ascii_case(value))
        .map(|listed| (*listed).to_owned())
}

/// The parameter of this name.
pub fn definition(name: &str) -> Option<&'static ParameterDef> {
    DEFINITIONS.iter().find(|definition| definition.name == name)
}

/// Checks a value for a parameter and gives its canonical spelling.
pub fn validate(name: &str, value: &str) -> Result<String, ParameterError> {
    let definition = definition(name).ok_or_else(|| ParameterError::Unknown(name.to_owned()))?;
    definition.kind.canonical(value).ok_or_else(|| ParameterError::WrongValue {
        name: definition.name,
        value: value.to_owned(),
        range: definition.kind.value_range(),
    })
}

/// The character set that a collation belongs to.
pub fn character_set_of(collation: &str) -> &str {
    collation.split('_').next().unwrap_or_default()
}

/// A `table.column` of `bind_table`, lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// The pairs of a `bind_table` value; `None` if it is malformed.
fn parse_bind_table(value: &str) -> Option<Vec<[BoundColumn; 2]>> {
    if value.len() > BIND_TABLE_BYTES_MAX {
        return None;
    }
    let squeezed: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    if squeezed.is_empty() || squeezed == "[]" {
        return Some(Vec::new());
    }
    let inside = squeezed.strip_prefix("[{")?.strip_suffix("}]")?;
    inside.split("},{").map(parse_pair).collect()
}

fn parse_pair(pair: &str) -> Option<[BoundColumn; 2]> {
    let (left, right) = pair.split_once(',')?;
    let bound = |text: &str| {
        let (table, column) = text.split_once('.')?;
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
        };
        (is_name(table) && is_name(column))
            .then(|| BoundColumn { table: table.to_lowercase(), column: column.to_lowercase() })
    };
    Some([bound(left)?, bound(right)?])
}

impl Parameters {
    /// Sets a parameter after checking it; a default is not kept.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ParameterError> {
        let value = validate(name, value)?;
        if definition(name).is_some_and(|definition| definition.default == value) {
            self.values.remove(name);
        } else {
            self.values.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Sets what a user wants, all of it or nothing: only editable parameters, and only values that
    /// go together with one another and with those that stay.
    pub fn edit<'a>(
        &mut self,
        wanted: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), ParameterError> {
        let mut edited = self.clone();
        for (name, value) in wanted {
            let definition =
                definition(name).ok_or_else(|| ParameterError::Unknown(name.to_owned()))?;
            if !definition.editable {
                return Err(ParameterError::NotEditable(definition.name));
            }
            edited.set(name, value)?;
        }
        edited.check_together()?;
        *self = edited;
        Ok(())
    }

    /// Refuses values that contradict one another: a collation belongs to one character set.
    pub fn check_together(&self) -> Result<(), ParameterError> {
        if character_set_of(self.get("collation_server")) == self.get("character_set_server") {
            return Ok(());
        }
        Err(ParameterError::DoesNotFit { name: "collation_server", other: "character_set_server" })
    }

    /// Whether a change to `other` takes effect only after a restart.
    pub fn need_restart_for(&self, other: &Parameters) -> bool {
        DEFINITIONS.iter().any(|definition| {
            definition.need_restart && self.get(definition.name) != other.get(definition.name)
        })
    }

    /// Puts a parameter back to its default.
    pub fn reset(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// The values that differ from their defaults.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter's value, the default when it was not set; empty for an unknown name.
    pub fn get(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(value) => value,
            None => definition(name).map_or("", |definition| definition.default),
        }
    }

    /// An integer parameter; the default when the kept text is no number.
    pub fn get_integer(&self, name: &str) -> i64 {
        let default = || definition(name).and_then(|definition| definition.default.parse().ok());
        self.get(name).parse().ok().or_else(default).unwrap_or(0)
    }

    /// An integer parameter that is never negative.
    pub fn get_unsigned(&self, name: &str) -> u64 {
        u64::try_from(self.get_integer(name)).unwrap_or(0)
    }

    /// A float parameter.
    pub fn get_float(&self, name: &str) -> f64 {
        let default = || definition(name).and_then(|definition| definition.default.parse().ok());
        self.get(name).parse().ok().or_else(default).unwrap_or(0.0)
    }

    /// A boolean parameter.
    pub fn get_boolean(&self, name: &str) -> bool {
        self.get(name).eq_ignore_ascii_case("ON")
    }

    /// The pairs of `bind_table`.
    pub fn bind_table(&self) -> Vec<[BoundColumn; 2]> {
        parse_bind_table(self.get("bind_table")).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn defaults_fit_their_own_definitions() {
        for definition in DEFINITIONS {
            assert_eq!(
                validate(definition.name, definition.default).as_deref(),
                Ok(definition.default),
                "{}",
                definition.name
            );
            assert!(!definition.description_en.is_empty() && !definition.description_zh.is_empty());
        }
        let names: HashSet<_> = DEFINITIONS.iter().map(|definition| definition.name).collect();
        assert_eq!(names.len(), DEFINITIONS.len());
        assert_eq!(DEFINITIONS.iter().filter(|definition| definition.editable).count(), 24);
    }

    #[test]
    fn an_edit_is_whole_or_not_at_all() {
        let mut parameters = Parameters::default();
        let mut refused = |wanted: &[(&str, &str)]| {
            let error = parameters.edit(wanted.iter().copied()).unwrap_err();
            assert_eq!(parameters, Parameters::default(), "nothing of it was done");
            error
        };
        assert_eq!(refused(&[("autocommit", "ON")]), ParameterError::NotEditable("autocommit"));
        assert_eq!(refused(&[("x", "1")]).name(), "x");
        assert_eq!(
            refused(&[("long_query_time", "2"), ("max_connections", "9")]).name(),
            "max_connections"
        );
        for half in [("character_set_server", "gbk"), ("collation_server", "utf8_bin")] {
            assert_eq!(refused(&[half]).name(), "collation_server");
        }
        let long = format!("[{{{}.a,b.c}}]", "t".repeat(BIND_TABLE_BYTES_MAX));
        assert_eq!(refused(&[("bind_table", &long)]).name(), "bind_table");
        parameters
            .edit([
                ("character_set_server", "GBK"),
                ("collation_server", "gbk_bin"),
                ("bind_table", "[]"),
            ])
            .unwrap();
        assert_eq!(
            parameters.changed().collect::<Vec<_>>(),
            [("character_set_server", "gbk"), ("collation_server", "gbk_bin")]
        );
        assert!(!parameters.need_restart_for(&Parameters::default()));
    }

    #[test]
    fn values_are_checked() {
        let mut parameters = Parameters::default();
        for (name, value) in [
            ("connection_idle_timeout", "59"),
            ("connection_idle_timeout", "abc"),
            ("connection_idle_timeout", ""),
            ("max_allowed_packet", "1025"),
            ("long_query_time", "0.001"),
            ("long_query_time", "NaN"),
            ("contains_shard_key", "maybe"),
            ("concurrent_execution_level", "TABLE"),
            ("bind_table", "[{a,b}]"),
            ("no_such", "1"),
        ] {
            assert!(parameters.set(name, value).is_err(), "{name}={value}");
        }
        parameters.set("connection_idle_timeout", "60").unwrap();
        parameters.set("long_query_time", "0.5").unwrap();
        parameters.set("contains_shard_key", "on").unwrap();
        parameters.set("bind_table", "[{Orders.id, items.order_id},{a.x,b.y}]").unwrap();
        assert_eq!(parameters.get_integer("connection_idle_timeout"), 60);
        assert!((parameters.get_float("long_query_time") - 0.5).abs() < 1e-9);
        assert!(parameters.get_boolean("contains_shard_key"));
        assert_eq!(parameters.bind_table()[0][0].table, "orders");
        assert_eq!(parameters.bind_table().len(), 2);
        assert_eq!(parameters.get_unsigned("temp_table_size_limit"), 1_000_000);
        parameters.set("contains_shard_key", "OFF").unwrap();
        assert_eq!(parameters.changed().count(), 3);
        let text = serde_json::to_string(&parameters).unwrap();
        assert_eq!(serde_json::from_str::<Parameters>(&text).unwrap(), parameters);
    }
}

//! System variables whose values are the instance's, not a data node's: clients ask for them to know
//! what they may send and how long they may be idle.

use topology::parameters::Parameters;

/// The variables, with the parameters that they show.
const OWN: [(&str, &str); 7] = [
    ("character_set_server", "character_set_server"),
    ("collation_server", "collation_server"),
    ("interactive_timeout", "connection_idle_timeout"),
    ("long_query_time", "long_query_time"),
    ("max_allowed_packet", "max_allowed_packet"),
    ("max_connections", "max_connections"),
    ("wait_timeout", "connection_idle_timeout"),
];

/// The value of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnValue<'p>(pub &'p str);

impl OwnValue<'_> {
    /// As SQL: a number, or a string in quotes. Values are words and numbers only.
    pub fn as_sql(&self) -> Vec<u8> {
        match self.0.parse::<f64>() {
            Ok(_) => self.0.as_bytes().to_vec(),
            Err(_) => format!("'{}'", self.0).into_bytes(),
        }
    }
}

/// The value of the variable of this name (lower case), if it is the instance's.
pub fn own_value<'p>(parameters: &'p Parameters, name: &str) -> Option<OwnValue<'p>> {
    let (_, parameter) = OWN.iter().find(|(variable, _)| *variable == name)?;
    Some(OwnValue(parameters.get(parameter)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_parameters() {
        let mut parameters = Parameters::default();
        parameters.set("max_allowed_packet", "2048").unwrap();
        parameters.set("connection_idle_timeout", "61").unwrap();
        let sql = |name| own_value(&parameters, name).map(|value| value.as_sql());
        assert_eq!(sql("max_allowed_packet").unwrap(), b"2048");
        assert_eq!(sql("wait_timeout").unwrap(), b"61");
        assert_eq!(sql("long_query_time").unwrap(), b"1");
        assert_eq!(sql("collation_server").unwrap(), b"'utf8mb4_unicode_ci'");
        assert_eq!(sql("sql_mode"), None);
        for (_, parameter) in OWN {
            assert!(topology::parameters::definition(parameter).is_some());
        }
    }
}

//! System variables whose values are the instance's, not a data node's: clients ask for them to know
//! what they may send and how long they may be idle.

use topology::model::Snapshot;
use topology::parameters::Parameters;

/// The variables, with the parameters that they show.
const OWN: [(&str, &str, Kind); 7] = [
    ("character_set_server", "character_set_server", Kind::Word),
    ("collation_server", "collation_server", Kind::Word),
    ("interactive_timeout", "connection_idle_timeout", Kind::Whole),
    ("long_query_time", "long_query_time", Kind::Double),
    ("max_allowed_packet", "max_allowed_packet", Kind::Whole),
    ("max_connections", "max_connections", Kind::Whole),
    ("wait_timeout", "connection_idle_timeout", Kind::Whole),
];

/// The session's variable that data nodes do not have: whether its reads over several data nodes
/// see one moment of them.
pub const CONSISTENT_READS: &str = "ddm_consistent_reads";

/// The value of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnValue<'p>(pub &'p str, Kind);

/// What type a data node gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Whole,
    Double,
}

impl OwnValue<'_> {
    /// As SQL that has the variable's type: a number, or a string in quotes. Values are words and
    /// numbers only.
    pub fn as_sql(&self) -> Vec<u8> {
        match self.1 {
            Kind::Word => format!("'{}'", self.0).into_bytes(),
            Kind::Whole => format!("({}|0)", self.0).into_bytes(),
            Kind::Double => format!("{}e0", self.0).into_bytes(),
        }
    }
}

/// The value of the variable of this name (lower case), if it is the instance's.
pub fn own_value<'p>(parameters: &'p Parameters, name: &str) -> Option<OwnValue<'p>> {
    let (_, parameter, kind) = OWN.iter().find(|(variable, ..)| *variable == name)?;
    Some(OwnValue(parameters.get(parameter), *kind))
}

/// The value of a variable (lower case) that is the chosen schema's; without a schema, the
/// instance's.
pub fn of_schema<'s>(
    snapshot: &'s Snapshot,
    current_schema: Option<&str>,
    name: &str,
) -> Option<&'s str> {
    let server = match name {
        "character_set_database" => "character_set_server",
        "collation_database" => "collation_server",
        _ => return None,
    };
    let schema = current_schema.and_then(|schema| snapshot.schemas.get(schema));
    Some(match schema {
        None => snapshot.parameters.get(server),
        Some(schema) if name == "collation_database" => &schema.collation,
        Some(schema) => &schema.character_set,
    })
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
        assert_eq!(sql("max_allowed_packet").unwrap(), b"(2048|0)");
        assert_eq!(sql("wait_timeout").unwrap(), b"(61|0)");
        assert_eq!(sql("long_query_time").unwrap(), b"1e0");
        assert_eq!(sql("collation_server").unwrap(), b"'utf8mb4_unicode_ci'");
        assert_eq!(sql("sql_mode"), None);
        for (_, parameter, _) in OWN {
            assert!(topology::parameters::definition(parameter).is_some());
        }
    }
}

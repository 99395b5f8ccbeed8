//! What clients say of themselves when they log in (program, driver, version, process): shown by SHOW
//! DDM SESSIONS and, as on a server, by two tables of performance_schema, whose rows are put into the
//! query as a derived table.

use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use crate::views::run_expanded;
use node_exec::error::ExecError;
use sql_syntax::Edits;
use sql_syntax::ast::Parsed;
use sql_syntax::visit::for_each_table;
use topology::peers::SessionRow;

/// A session's names and values together, as servers keep them.
const BYTES_MAX: usize = 512;
/// One name.
const NAME_CHARS_MAX: usize = 32;

/// The schema of the tables.
const SCHEMA: &str = "performance_schema";
/// All sessions' attributes, and those of the account's own sessions.
const TABLES: [&str; 2] = ["session_connect_attrs", "session_account_connect_attrs"];

/// A name or value as it can be shown: without control characters.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// What is kept of a login's attributes: those that fit, in order.
pub fn kept(sent: &[(Vec<u8>, Vec<u8>)]) -> Vec<(String, String)> {
    let mut left = BYTES_MAX;
    let mut kept = Vec::new();
    for (name, value) in sent {
        let name: String = plain(name).chars().take(NAME_CHARS_MAX).collect();
        let value = plain(value);
        let Some(rest) = left.checked_sub(name.len() + value.len()) else { break };
        left = rest;
        kept.push((name, value));
    }
    kept
}

/// `name=value, …`
pub fn shown(attributes: &[(String, String)]) -> String {
    let pairs = attributes.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Rows as a derived table; `types` are the columns' names with the SQL types of their values.
pub fn derived(types: &[(&str, &str)], rows: &[Row]) -> Vec<u8> {
    let heads = types.iter().map(|(name, kind)| format!("CAST(NULL AS {kind}) AS `{name}`"));
    let head = format!("(SELECT {} FROM DUAL WHERE FALSE", heads.collect::<Vec<_>>().join(", "));
    let mut text = head.into_bytes();
    for row in rows {
        text.extend_from_slice(b" UNION ALL SELECT ");
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            let number = types.get(at).is_some_and(|(_, kind)| *kind == "SIGNED");
            match value {
                None => text.extend_from_slice(b"NULL"),
                Some(bytes) if number => text.extend_from_slice(bytes),
                // In every sql_mode and character set the same.
                Some(bytes) => text
                    .extend_from_slice(format!("_utf8mb4 X'{}'", base::id::hex(bytes)).as_bytes()),
            }
        }
    }
    text.push(b')');
    text
}

fn rows_of(session: &SessionRow) -> impl Iterator<Item = Row> {
    session
        .attributes
        .iter()
        .enumerate()
        .map(|(at, (name, value))| vec![field(session.id), field(name), field(value), field(at)])
}

impl Core {
    /// Runs a query that reads the attributes' tables; false for all others.
    pub async fn run_on_attributes(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        let mut sites = Vec::new();
        for_each_table(&parsed.stmt, source.text, |site| {
            let schema = site.name.schema.map(|schema| schema.is(source.text, SCHEMA.as_bytes()));
            let named = |name: &&str| site.name.name.is(source.text, name.as_bytes());
            if let Some(table) = TABLES.iter().find(|name| named(name))
                && schema == Some(true)
            {
                sites.push((site.name.span, *table, site.alias.is_some()));
            }
        });
        if sites.is_empty() {
            return Ok(false);
        }
        let (sessions, missing) = self.all_sessions().await?;
        let types = [
            ("PROCESSLIST_ID", "SIGNED"),
            ("ATTR_NAME", "CHAR(32)"),
            ("ATTR_VALUE", "CHAR(1024)"),
            ("ORDINAL_POSITION", "SIGNED"),
        ];
        let mut edits = Edits::new();
        for (span, table, has_alias) in sites {
            let own = table == TABLES[1];
            let chosen = sessions.iter().filter(|session| !own || session.user == self.user);
            let rows: Vec<Row> = chosen.flat_map(rows_of).collect();
            let mut text = derived(&types, &rows);
            if !has_alias {
                text.extend_from_slice(format!(" AS {table}").as_bytes());
            }
            edits.replace(span, &text);
        }
        let mut text = Vec::new();
        edits.apply_within(source.text, source.tokens.text_span(), &mut text);
        run_expanded(self, &text, None, source).await?;
        if missing.is_some() {
            self.warn_of_missing(missing);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_or_show_is_left_out() {
        let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let sent = [
            pair("_client_name", b"lib\n\x00\xff"),
            pair(&"n".repeat(100), b"v"),
            pair("long", &[b'x'; 600]),
            pair("after", b""),
        ];
        let kept = kept(&sent);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0], ("_client_name".to_owned(), "lib  \u{fffd}".to_owned()));
        assert_eq!(kept[1].0.len(), NAME_CHARS_MAX);
        assert!(shown(&kept).starts_with("_client_name=lib"));
    }

    #[test]
    fn rows_become_a_derived_table() {
        let rows = [vec![field(1), field("it's A")], vec![field(2), None]];
        let text = derived(&[("id", "SIGNED"), ("name", "CHAR(9)")], &rows);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "(SELECT CAST(NULL AS SIGNED) AS `id`, CAST(NULL AS CHAR(9)) AS `name` FROM DUAL WHERE FALSE \
             UNION ALL SELECT 1,_utf8mb4 X'697427732041' UNION ALL SELECT 2,NULL)"
        );
    }
}

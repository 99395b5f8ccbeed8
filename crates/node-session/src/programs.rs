//! What routines and triggers may name. They run whole on the data node of their schema's first shard,
//! where nobody looks at their statements: so a text is let in only when each of its words that is the
//! name of a table means the same there as here, and nor may it make text at run time, by which a data node's
//! account could be led into any database, or use what that account may do beyond its databases. In a schema of mode cluster the tables are those that are whole in
//! the first shard, and none may be made that no node knows of.
//!
//! A word counts as a table's name wherever it stands: too much is refused, never too little.

use crate::catalogue::CLOSED_SCHEMAS;
use crate::control::text;
use crate::session::Core;
use base::sql_error;
use node_exec::error::{ExecError, sql};
use sql_plan::plan::{DdlPlan, Plan, Planned};
use sql_syntax::text::unquote_ident;
use sql_syntax::{LexMode, Token, TokenBuf, TokenKind, lex};
use std::collections::BTreeMap;
use topology::model::{Placement, Schema, ShardMode, Table};
use topology::rule::RESERVED_TABLE_PREFIX;
use topology::stream::TableChange;

/// Words that make a statement's text while a program runs, and those of statements for which the data
/// node's account has rights that no account of an instance has.
const NEVER: [&str; 4] = ["EXECUTE", "FLUSH", "KILL", "PREPARE"];

/// Words that make tables.
const MAKING_TABLES: [&str; 4] = ["ALTER", "CREATE", "DROP", "RENAME"];

/// All schemas, by their names.
type Schemas = BTreeMap<String, Schema>;

/// What stands against a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// It names a database that is nobody's to name.
    Database(String),
    /// It names a table, or a table of another schema, that is not whole in the schema's first shard.
    Table(String),
    /// It has one of [`NEVER`] or [`MAKING_TABLES`].
    Making(String),
}

/// Whether this table, in the first shard, is the table.
fn is_whole(table: &Table) -> bool {
    table.placement == Placement::Single
        && table.physical_base.is_none()
        && table.view.as_ref().is_none_or(|view| view.native)
}

fn is_name(token: &Token) -> bool {
    matches!(token.kind, TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Keyword)
}

/// The words of a text that may be names, in lower case, with their places.
fn names<'a>(tokens: &'a [Token], src: &'a [u8]) -> impl Iterator<Item = (usize, String)> + 'a {
    tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| is_name(token))
        .map(move |(at, token)| (at, text(&unquote_ident(token.span().of(src))).to_lowercase()))
}

/// What stands against a statement that makes a program in this schema.
pub fn against(tokens: &[Token], src: &[u8], home: &Schema, all: &Schemas) -> Option<Against> {
    let dot_at = |at: Option<usize>| {
        at.and_then(|at| tokens.get(at)).is_some_and(|token| token.kind == TokenKind::Dot)
    };
    let cluster = home.mode == ShardMode::Cluster;
    let physical = |name: &str| {
        all.values().any(|schema| schema.shards.iter().any(|shard| shard.database == name))
    };
    names(tokens, src).find_map(|(at, name)| {
        let qualifies = dot_at(Some(at + 1)) && !dot_at(at.checked_sub(1));
        if qualifies && (CLOSED_SCHEMAS.contains(&name.as_str()) || physical(&name)) {
            return Some(Against::Database(name));
        }
        let is = |words: &[&str]| {
            at > 0
                && tokens[at].kind == TokenKind::Keyword
                && words.iter().any(|word| word.eq_ignore_ascii_case(&name))
        };
        if is(&NEVER) {
            return Some(Against::Making(name.to_uppercase()));
        }
        if !cluster {
            return None;
        }
        let is_other = qualifies && name != home.name && all.contains_key(&name);
        if is_other || home.tables.get(&name).is_some_and(|table| !is_whole(table)) {
            return Some(Against::Table(name));
        }
        let makes = is(&MAKING_TABLES) && !is_temporary(&tokens[at + 1..], src);
        makes.then(|| Against::Making(name.to_uppercase()))
    })
}

/// Behind CREATE or DROP: of a temporary table, which is the session's own.
fn is_temporary(after: &[Token], src: &[u8]) -> bool {
    let mut words = names(after, src).map(|(_, name)| name).take(3);
    let first = words.next();
    match first.as_deref() {
        Some("or") => words.nth(1).as_deref() == Some("temporary"),
        first => first == Some("temporary"),
    }
}

/// Tables that come to be and are not whole in the first shard, by the schemas in which they are.
fn spread_tables(plan: &Plan) -> Vec<(&str, &Table)> {
    let mut found = Vec::new();
    match plan {
        Plan::Placement(plan) => found.push((plan.schema.as_str(), &plan.to)),
        Plan::Ddl(plan) => spread_by(plan, &mut found),
        _ => {}
    }
    found.retain(|(_, table)| table.view.is_none() && !is_whole(table));
    found
}

fn spread_by<'a>(plan: &'a DdlPlan, found: &mut Vec<(&'a str, &'a Table)>) {
    for change in &plan.changes {
        match change {
            TableChange::Create { table } | TableChange::Move { table, .. } => {
                found.push((&plan.schema, table));
            }
            TableChange::Rename { table, to_schema, .. } => {
                found.push((to_schema.as_ref().unwrap_or(&plan.schema), table));
            }
            TableChange::Alter { .. } | TableChange::Drop { .. } => {}
        }
    }
    if let Some(then) = &plan.then {
        spread_by(then, found);
    }
}

/// The program that names one of these, of rows of name and text.
fn program_that_names(rows: &[crate::show::Row], wanted: &[String]) -> Option<(String, String)> {
    let mode = LexMode::default();
    let mut tokens = TokenBuf::new();
    rows.iter().find_map(|row| {
        let [Some(program), Some(body)] = row.as_slice() else { return None };
        let mut from = Some(0);
        while let Some(start) = from {
            lex(body, start, &mode, &mut tokens);
            let named = names(tokens.tokens(), body).find(|(_, name)| wanted.contains(name));
            if let Some((_, name)) = named {
                return Some((text(program), name));
            }
            from = tokens.rest();
        }
        None
    })
}

impl Core {
    /// A table that is not whole in the first shard must not take a name by which a routine or
    /// trigger would find a part of it there.
    pub async fn check_programs(&mut self, planned: &Planned) -> Result<(), ExecError> {
        let spread = spread_tables(&planned.plan);
        let Some((schema, _)) = spread.first() else { return Ok(()) };
        let Some(schema) = self.snapshot.schemas.get(&schema.to_lowercase()).cloned() else {
            return Ok(());
        };
        let wanted: Vec<String> =
            spread.iter().map(|(_, table)| table.name.to_lowercase()).collect();
        let database = schema.shards.first().map_or("", |first| first.database.as_str());
        let ask = format!(
            "SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES \
             WHERE ROUTINE_SCHEMA = '{database}' \
             UNION ALL SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS \
             WHERE TRIGGER_SCHEMA = '{database}' AND LEFT(TRIGGER_NAME, {}) <> '{RESERVED_TABLE_PREFIX}'",
            RESERVED_TABLE_PREFIX.len(),
        );
        let (_, rows) = self.ask_home(&schema, ask.as_bytes()).await?;
        match program_that_names(&rows, &wanted) {
            None => Ok(()),
            Some((program, table)) => Err(sql(
                sql_error::NOT_SUPPORTED,
                format!(
                    "the routine or trigger '{program}' names '{table}', and runs in the schema's first shard \
                     alone: drop it first, or leave the table whole"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(mode: ShardMode) -> Schema {
        let table = |name: &str, placement: Placement| {
            let table = Table {
                name: name.to_owned(),
                placement,
                columns: Vec::new(),
                primary_key: Vec::new(),
                unique_keys: Vec::new(),
                sequence_column: None,
                definition_version: 1,
                view: None,
                physical_base: None,
                frozen: false,
                recycled: None,
            };
            (name.to_owned(), table)
        };
        Schema {
            name: "shop".to_owned(),
            mode,
            ready: true,
            character_set: String::new(),
            collation: String::new(),
            shards: Vec::new(),
            tables: [table("whole", Placement::Single), table("copied", Placement::Broadcast)]
                .into(),
            recycled: BTreeMap::new(),
        }
    }

    fn against_in(mode: ShardMode, src: &str) -> Option<Against> {
        let mut tokens = TokenBuf::new();
        lex(src.as_bytes(), 0, &LexMode::default(), &mut tokens);
        against(tokens.tokens(), src.as_bytes(), &schema(mode), &BTreeMap::new())
    }

    #[test]
    fn a_program_uses_whole_tables() {
        let cluster = |src: &str| against_in(ShardMode::Cluster, src);
        assert_eq!(cluster("CREATE PROCEDURE p() SELECT * FROM whole, shop.Whole"), None);
        let table = Some(Against::Table("copied".to_owned()));
        assert_eq!(cluster("CREATE PROCEDURE p() SELECT * FROM `COPIED`"), table);
        assert_eq!(cluster("CREATE TRIGGER a AFTER INSERT ON copied FOR EACH ROW DO 1"), table);
        assert_eq!(
            against_in(ShardMode::Single, "CREATE PROCEDURE p() SELECT * FROM copied"),
            None
        );
    }

    #[test]
    fn a_program_makes_no_text_and_no_tables_and_uses_no_rights() {
        let cluster = |src: &str| against_in(ShardMode::Cluster, src);
        let making = |word: &str| Some(Against::Making(word.to_owned()));
        for mode in [ShardMode::Cluster, ShardMode::Single] {
            for (src, word) in [
                ("CREATE PROCEDURE p() PREPARE s FROM @text", "PREPARE"),
                ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO EXECUTE IMMEDIATE @text", "EXECUTE"),
                ("CREATE PROCEDURE p() FLUSH TABLES", "FLUSH"),
                ("CREATE PROCEDURE p(n INT) KILL n", "KILL"),
            ] {
                assert_eq!(against_in(mode, src), making(word), "{src}");
            }
        }
        assert_eq!(against_in(ShardMode::Single, "CREATE PROCEDURE p() DROP TABLE t"), None);
        assert_eq!(cluster("CREATE PROCEDURE p() CREATE TABLE t (a INT)"), making("CREATE"));
        assert_eq!(
            cluster("CREATE PROCEDURE p() CREATE OR REPLACE TEMPORARY TABLE t (a INT)"),
            None
        );
        assert_eq!(cluster("CREATE PROCEDURE p() DROP TEMPORARY TABLE t"), None);
        assert_eq!(cluster("CREATE PROCEDURE p() DROP TABLE temporary"), making("DROP"));
    }

    #[test]
    fn a_program_names_no_database_of_the_server() {
        for mode in [ShardMode::Cluster, ShardMode::Single] {
            let found = against_in(mode, "CREATE PROCEDURE p() SELECT * FROM mysql.user");
            assert_eq!(found, Some(Against::Database("mysql".to_owned())));
        }
    }
}

//! Sequences that CREATE SEQUENCE made. Each is a row in its schema's first shard, which nodes write;
//! a document carries what they say, so that an imported or restored schema has them too, and none of
//! them gives a value again that was given before the document was taken.

use super::document::DocumentSchema;
use crate::app::App;
use crate::data_node::DataNodeError;
use job_engine::StepError;
use provision::{AdminError, AdminLogin, Rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use topology::model::Shard;

/// The table in a schema's first shard, as nodes make it.
const DEFINITION_TABLE: &str = "_ddm_sequence_definition";

/// MariaDB's and MySQL's "no such table".
const NO_SUCH_TABLE: u16 = 1146;

/// The longest name of a sequence, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Sequences of one schema.
pub(crate) const SEQUENCES_MAX: usize = 100_000;

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentSequence {
    /// It only says how many values nodes take at once of a table's own sequence.
    pub of_table: bool,
    /// Its name, lower case.
    pub name: String,
    /// The first value that no node has taken; the last one when it has run out.
    pub next_value: i64,
    /// Where it started.
    pub start_value: i64,
    /// The distance of values.
    pub increment: i64,
    /// The least value.
    pub min_value: i64,
    /// The greatest value.
    pub max_value: i64,
    /// Values that a node takes at once.
    pub cache: i64,
    /// Whether it begins anew at its end.
    pub cycles: bool,
    /// All values are taken.
    pub run_out: bool,
}

impl DocumentSequence {
    fn read(rows: &Rows, row: usize) -> Option<Self> {
        let number = |column: &str| rows.get(row, column)?.parse::<i64>().ok();
        Some(Self {
            of_table: number("of_table")? != 0,
            name: rows.get(row, "name")?.to_owned(),
            next_value: number("next_value")?,
            start_value: number("start_value")?,
            increment: number("increment")?,
            min_value: number("min_value")?,
            max_value: number("max_value")?,
            cache: number("cache")?,
            cycles: number("cycles")? != 0,
            run_out: number("run_out")? != 0,
        })
    }

    /// The statement that makes it, or lets it go on where the document says: a position that is
    /// further already stays.
    fn statement(&self, place: &str) -> String {
        let further = match self.increment > 0 {
            true => "VALUES(next_value) > next_value",
            false => "VALUES(next_value) < next_value",
        };
        let ends = "run_out = IF(VALUES(next_value) = next_value, GREATEST(run_out, VALUES(run_out)), run_out)";
        format!(
            "INSERT INTO {place} (of_table, name, epoch, next_value, start_value, increment, min_value, max_value, \
             cache, cycles, run_out) VALUES ({}, '{}', UUID_SHORT(), {}, {}, {}, {}, {}, {}, {}, {}) \
             ON DUPLICATE KEY UPDATE epoch = UUID_SHORT(), {ends}, \
             run_out = IF(cycles = 0 AND {further}, VALUES(run_out), run_out), \
             next_value = IF(cycles = 0 AND {further}, VALUES(next_value), next_value)",
            u8::from(self.of_table),
            self.name,
            self.next_value,
            self.start_value,
            self.increment,
            self.min_value,
            self.max_value,
            self.cache,
            u8::from(self.cycles),
            u8::from(self.run_out),
        )
    }

    fn is_possible(&self) -> bool {
        let word = self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
        let table = self.of_table && !self.name.contains(['\'', '\\', '\0']);
        let named = (1..=NAME_CHARS_MAX).contains(&self.name.chars().count()) && (word || table);
        named && (self.of_table || self.increment != 0 && self.min_value < self.max_value)
    }
}

/// The sequences of a document's schema must be possible and have different names.
pub(crate) fn check(sequences: &[DocumentSequence]) -> Result<(), &'static str> {
    let names: BTreeSet<_> = sequences.iter().map(|one| (one.of_table, &one.name)).collect();
    if sequences.len() > SEQUENCES_MAX || names.len() < sequences.len() {
        return Err("has too many sequences, or one of them twice");
    }
    match sequences.iter().all(DocumentSequence::is_possible) {
        true => Ok(()),
        false => Err("has a sequence whose name or values cannot be"),
    }
}

impl App {
    /// The sequences of the schema with this first shard.
    pub(crate) async fn sequences_of(
        &self,
        login: &AdminLogin,
        shard: &Shard,
    ) -> Result<Vec<DocumentSequence>, AdminError> {
        let ask = format!(
            "SELECT * FROM `{}`.`{DEFINITION_TABLE}` ORDER BY of_table, name LIMIT {SEQUENCES_MAX}",
            shard.database
        );
        let answer = self.data_nodes.query_all(login, &[ask]).await?.into_iter().next();
        match answer {
            Some(Ok(rows)) => Ok((0..rows.rows.len())
                .filter_map(|row| DocumentSequence::read(&rows, row))
                .collect()),
            // Without a sequence so far there is no such table.
            Some(Err(AdminError::Server { number: NO_SUCH_TABLE, .. })) | None => Ok(Vec::new()),
            Some(Err(error)) => Err(error),
        }
    }
}

/// Makes the document's sequences where they are not, and lets those that are there go on behind it.
pub(crate) async fn put(
    app: &App,
    login: &AdminLogin,
    schema: &DocumentSchema,
) -> Result<(), StepError> {
    let (Some(first), false) = (schema.shards.first(), schema.sequences.is_empty()) else {
        return Ok(());
    };
    let place = format!("`{}`.`{DEFINITION_TABLE}`", first.database);
    // As nodes make it.
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {place} (of_table TINYINT NOT NULL, \
         name VARCHAR(64) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL, epoch BIGINT UNSIGNED NOT NULL, \
         next_value BIGINT NOT NULL, start_value BIGINT NOT NULL, increment BIGINT NOT NULL, \
         min_value BIGINT NOT NULL, max_value BIGINT NOT NULL, cache BIGINT NOT NULL, \
         cycles TINYINT NOT NULL, run_out TINYINT NOT NULL, PRIMARY KEY (of_table, name)) ENGINE=InnoDB"
    );
    let statements: Vec<String> = std::iter::once(create)
        .chain(schema.sequences.iter().map(|one| one.statement(&place)))
        .collect();
    let put = app.data_nodes.execute_all(login, &statements).await;
    Ok(put.map_err(DataNodeError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(name: &str) -> DocumentSequence {
        DocumentSequence {
            of_table: false,
            name: name.to_owned(),
            next_value: 1001,
            start_value: 1,
            increment: 1,
            min_value: 1,
            max_value: i64::MAX,
            cache: 1000,
            cycles: false,
            run_out: false,
        }
    }

    #[test]
    fn what_cannot_be_a_sequence_is_refused() {
        assert!(check(&[sequence("a"), sequence("b")]).is_ok());
        let still = DocumentSequence { increment: 0, ..sequence("a") };
        for wrong in [
            vec![sequence("a"), sequence("a")],
            vec![sequence("a'b")],
            vec![sequence("")],
            vec![still],
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_position_only_goes_on() {
        let up = sequence("a").statement("`d`.`t`");
        assert!(up.contains("VALUES(next_value) > next_value"), "{up}");
        let down = DocumentSequence { increment: -1, ..sequence("a") }.statement("`d`.`t`");
        assert!(down.contains("VALUES(next_value) < next_value"), "{down}");
    }
}

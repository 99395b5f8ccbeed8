//! Where a record goes, by what its key columns will hold, and the values that it takes along: a
//! generated id, what a data node computed.

use super::defaults::{Defaults, zero_of};
use super::warnings::Gathered;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use sql_plan::insert::{InsertHome, SequenceUse};
use sql_plan::load::records::Field;
use sql_plan::load::{LoadKey, LoadPlan, LoadValue, SplitLoad};
use std::collections::VecDeque;
use topology::algorithm::{KeyValue, SqlValue, Target};
use topology::model::{Column, ColumnClass};

/// Generated ids that are taken at once.
const IDS_AT_ONCE: u64 = 1000;

/// A record's place.
pub(super) struct Placed {
    pub target: Target,
    /// The values before its own fields.
    pub given: Vec<Option<Vec<u8>>>,
}

/// Places records.
pub(super) struct Placer<'p> {
    pub plan: &'p LoadPlan,
    pub split: &'p SplitLoad,
    pub defaults: Defaults,
    pub ids: Ids,
}

/// Generated ids.
#[derive(Debug, Default)]
pub(super) struct Ids {
    ready: VecDeque<u64>,
    /// The highest id that a record brought along, of which the sequence does not know yet.
    given: Option<u64>,
    /// The first that was generated.
    pub first: u64,
    /// Warnings that a data node would have given for values that were replaced.
    pub warnings: u64,
}

/// What a record says of its id.
enum GivenId {
    /// This text.
    Text(Vec<u8>, Option<u64>),
    /// Generate one; the server warns of what was there instead of a number.
    Generate(Option<(u16, String)>),
}

impl Ids {
    async fn next(
        &mut self,
        exec: &Exec<'_>,
        schema: &str,
        sequence: &SequenceUse,
    ) -> Result<u64, ExecError> {
        let schema = exec.schema(schema)?;
        if let Some(given) = self.given.take() {
            self.ready.clear();
            exec.sequences.move_past(exec.backends, schema, &sequence.table, given).await?;
        }
        if self.ready.is_empty() {
            let max = sequence.max;
            let count = IDS_AT_ONCE;
            let taken =
                match exec.sequences.take(exec.backends, schema, &sequence.table, count, max).await
                {
                    // The last ones of a small type come one by one.
                    Err(ExecError::Server(_)) => {
                        exec.sequences.take(exec.backends, schema, &sequence.table, 1, max).await?
                    }
                    taken => taken?,
                };
            self.ready.extend(taken);
        }
        let id = self.ready.pop_front().expect("ids were just taken");
        if self.first == 0 {
            self.first = id;
        }
        Ok(id)
    }

    /// The sequence goes on behind what records brought along.
    pub async fn close(
        &mut self,
        exec: &Exec<'_>,
        plan: &LoadPlan,
        split: &SplitLoad,
    ) -> Result<(), ExecError> {
        let (Some(given), Some(sequence)) = (self.given.take(), &split.sequence) else {
            return Ok(());
        };
        let schema = exec.schema(&plan.schema)?;
        exec.sequences.move_past(exec.backends, schema, &sequence.table, given).await
    }
}

impl Placer<'_> {
    /// Where a record goes.
    pub async fn place(
        &mut self,
        exec: &Exec<'_>,
        statement: &Statement<'_>,
        row: u64,
        fields: &[Field<'_>],
        evaluated: &[(SqlValue, Option<Vec<u8>>)],
        warnings: &mut Gathered,
    ) -> Result<Placed, ExecError> {
        let mut given = Vec::with_capacity(self.split.given.len());
        let mut id = SqlValue::Null;
        for (at, value) in self.split.given.iter().enumerate() {
            let is_id = at == 0 && self.split.sequence.is_some();
            let text = match value {
                LoadValue::Evaluated(index) if !is_id => evaluated[*index].1.clone(),
                LoadValue::Evaluated(index) => {
                    let text = evaluated[*index].1.clone();
                    Some(self.id(exec, statement, row, text.as_deref(), false, warnings).await?)
                }
                LoadValue::Id(None) => {
                    Some(self.id(exec, statement, row, None, false, warnings).await?)
                }
                LoadValue::Id(Some(field)) => {
                    let (text, missing) = match fields.get(*field) {
                        Some(Field::Text(text)) => (Some(*text), false),
                        Some(Field::Null) => (None, false),
                        None => (None, true),
                    };
                    Some(self.id(exec, statement, row, text, missing, warnings).await?)
                }
            };
            if is_id {
                id = SqlValue::Text(text.clone().unwrap_or_default());
            }
            given.push(text);
        }
        let InsertHome::Sharded(router) = &self.split.home else {
            return Ok(Placed { target: Target { shard: 0, suffix: 0 }, given });
        };
        let mut keys = Vec::with_capacity(self.split.keys.len());
        for (key, column) in self.split.keys.iter().zip(&router.columns) {
            keys.push(match key {
                LoadKey::Id => id.clone(),
                LoadKey::Value(value) => value.resolve(&statement.values),
                LoadKey::Evaluated(index) => evaluated[*index].0.clone(),
                LoadKey::Default => self.defaults.of(exec, self.plan, column).await?,
                LoadKey::Field(field) => match fields.get(*field) {
                    // A server takes no default here.
                    None => zero_of(column)?,
                    Some(Field::Text(text)) => self.stored(column, text)?,
                    Some(Field::Null) => SqlValue::Null,
                },
            });
            if keys.last() == Some(&SqlValue::Null) && !column.nullable {
                keys.pop();
                keys.push(zero_of(column)?);
            }
        }
        Ok(Placed { target: router.place(&keys)?, given })
    }

    /// The text for the column of generated ids.
    async fn id(
        &mut self,
        exec: &Exec<'_>,
        statement: &Statement<'_>,
        row: u64,
        text: Option<&[u8]>,
        missing: bool,
        warnings: &mut Gathered,
    ) -> Result<Vec<u8>, ExecError> {
        let sequence = self.split.sequence.as_ref().expect("an id is of a sequence");
        let place = format!("`{}`.`{}`.`{}`", self.plan.schema, sequence.table, sequence.column);
        let warning = match given_id(text, statement.values.zero_is_a_value, &place)? {
            GivenId::Text(text, number) => {
                self.ids.given = self.ids.given.max(number);
                return Ok(text);
            }
            GivenId::Generate(_) if missing => {
                Some((1261, format!("Row {row} doesn't contain data for all columns")))
            }
            GivenId::Generate(warning) => {
                warning.map(|(number, text)| (number, format!("{text} at row {row}")))
            }
        };
        if let Some((number, text)) = warning {
            self.ids.warnings += 1;
            warnings.push(row, number, text);
        }
        let id = self.ids.next(exec, &self.plan.schema, sequence).await?;
        Ok(id.to_string().into_bytes())
    }

    /// What a column will hold of a field.
    fn stored(&self, column: &Column, field: &[u8]) -> Result<SqlValue, ExecError> {
        let value = match column.class {
            ColumnClass::Text => {
                let text = self.plan.charset.to_utf8(field, column.collation.as_deref());
                let text = text.ok_or_else(|| {
                    sql(
                        sql_error::NOT_SUPPORTED,
                        format!(
                            "a field for sharding key '{}' has text that cannot be read as CHARACTER \
                             SET {}; convert the file to utf8mb4",
                            column.name, self.plan.charset.name
                        ),
                    )
                })?;
                SqlValue::Text(cut_characters(column, text))
            }
            ColumnClass::Binary => {
                let length = length_of(column).unwrap_or(field.len()).min(field.len());
                SqlValue::Binary(field[..length].to_vec())
            }
            _ => SqlValue::Text(field.to_vec()),
        };
        Ok(value)
    }
}

/// What a record says of its id.
fn given_id(text: Option<&[u8]>, zero_is_a_value: bool, place: &str) -> Result<GivenId, ExecError> {
    let Some(text) = text else { return Ok(GivenId::Generate(None)) };
    let any = Column::plain("id", "decimal(38)");
    let number = match KeyValue::assigned(&any, &SqlValue::Text(text.to_vec())) {
        Ok(KeyValue::Integer(number)) => number,
        _ => return Ok(GivenId::Text(text.to_vec(), None)),
    };
    if number != 0 || zero_is_a_value {
        let number = u64::try_from(number).ok().filter(|number| *number > 0);
        return Ok(GivenId::Text(text.to_vec(), number));
    }
    let trimmed = text.trim_ascii();
    let is_number = !trimmed.is_empty()
        && std::str::from_utf8(trimmed).is_ok_and(|text| text.parse::<f64>().is_ok());
    let shown = String::from_utf8_lossy(text);
    Ok(GivenId::Generate(
        (!is_number)
            .then(|| (1366, format!("Incorrect integer value: '{shown}' for column {place}"))),
    ))
}

/// The characters or bytes that a column can hold: `varchar(20)`.
fn length_of(column: &Column) -> Option<usize> {
    let (name, rest) = column.column_type.split_once('(')?;
    let is_sized = matches!(name.trim(), "char" | "varchar" | "binary" | "varbinary");
    is_sized.then(|| rest.split(')').next()?.trim().parse().ok()).flatten()
}

/// A text that is too long is cut when it is stored.
fn cut_characters(column: &Column, mut text: Vec<u8>) -> Vec<u8> {
    let Some(length) = length_of(column) else { return text };
    if text.len() <= length {
        return text;
    }
    if let Ok(characters) = std::str::from_utf8(&text)
        && let Some((at, _)) = characters.char_indices().nth(length)
    {
        text.truncate(at);
    }
    text
}

/// An error that a field of a load would be in strict mode.
pub(super) fn uncertain_default(column: &str) -> ExecError {
    ExecError::Server(ErrPacket::new(
        1364,
        "HY000",
        format!(
            "Field '{column}' decides where a row lies and its default is not a constant: give it a \
             value"
        ),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_given_or_generated() {
        let generated = |text: Option<&str>, zero| match given_id(
            text.map(str::as_bytes),
            zero,
            "`d`.`t`.`id`",
        )
        .unwrap()
        {
            GivenId::Generate(warning) => Some(warning.map(|(number, _)| number)),
            GivenId::Text(..) => None,
        };
        assert_eq!(generated(None, false), Some(None));
        assert_eq!(generated(Some("0"), false), Some(None));
        assert_eq!(generated(Some(" 0.2"), false), Some(None));
        assert_eq!(generated(Some(""), false), Some(Some(1366)));
        assert_eq!(generated(Some("x"), false), Some(Some(1366)));
        assert_eq!(generated(Some("0"), true), None);
        assert_eq!(generated(Some("7"), false), None);
        assert_eq!(generated(Some("-7"), false), None);
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        let column = Column::plain("k", "varchar(2)");
        assert_eq!(cut_characters(&column, "éàü".into()), "éà".as_bytes());
        assert_eq!(cut_characters(&column, "éà".into()), "éà".as_bytes());
        assert_eq!(cut_characters(&Column::plain("k", "text"), "abc".into()), b"abc");
    }
}

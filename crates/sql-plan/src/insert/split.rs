//! Rows → targets, with the values of one execution.

use super::{
    InsertHome, InsertPart, InsertPlan, InsertRowPlan, InsertValue, RowPlacer, SequenceUse,
};
use crate::scratch_write::InsertVerb;
use crate::template::{Fill, Rendered, RowFill, TokenRange};
use crate::value::Values;
use base::sql_error::{NOT_SUPPORTED, SqlError, VALUE_COUNT_MISMATCH};
use std::collections::BTreeMap;
use topology::algorithm::{SqlValue, Target};

/// Whether a value given to a sequence column asks for a generated one.
pub fn asks_for_id(value: &SqlValue, zero_is_a_value: bool, keeps_null: bool) -> bool {
    match value {
        SqlValue::Null => !keeps_null,
        SqlValue::Integer(0) => !zero_is_a_value,
        SqlValue::Text(text) => !zero_is_a_value && text.as_slice() == b"0",
        SqlValue::Decimal(digits) => {
            !zero_is_a_value && digits.bytes().all(|byte| matches!(byte, b'0' | b'.'))
        }
        SqlValue::Float(number) => !zero_is_a_value && *number == 0.0,
        _ => false,
    }
}

/// The id that a given value is.
pub fn as_id(value: &SqlValue) -> Option<u64> {
    match value {
        SqlValue::Integer(number) => u64::try_from(*number).ok(),
        SqlValue::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

impl InsertPlan {
    /// Which rows take a generated id.
    fn takes_id<'p>(&'p self, values: &'p Values<'_>) -> impl Iterator<Item = bool> + 'p {
        self.rows.iter().map(|row| match &row.sequence {
            Some(InsertValue::Generated) => true,
            Some(InsertValue::GeneratedIfEmpty(value) | InsertValue::Given(value)) => {
                let keeps_null = self.sequence.as_ref().is_some_and(|of| of.keeps_null);
                asks_for_id(&value.resolve(values), values.zero_is_a_value, keeps_null)
            }
            None => false,
        })
    }

    /// How many ids the rows take from the table's sequence.
    pub fn ids_needed(&self, values: &Values<'_>) -> usize {
        self.takes_id(values).filter(|takes| *takes).count()
    }

    /// The highest id that is given, not generated: the sequence goes on after it.
    pub fn highest_given_id(&self, values: &Values<'_>) -> Option<u64> {
        self.rows
            .iter()
            .filter_map(|row| match &row.sequence {
                Some(InsertValue::GeneratedIfEmpty(value) | InsertValue::Given(value)) => {
                    as_id(&value.resolve(values)).filter(|id| *id > 0)
                }
                _ => None,
            })
            .max()
    }

    /// The id that the last row gives by hand, when it is one.
    pub fn last_given_id(&self, values: &Values<'_>) -> Option<u64> {
        match &self.rows.last()?.sequence {
            Some(InsertValue::GeneratedIfEmpty(value) | InsertValue::Given(value)) => {
                as_id(&value.resolve(values)).filter(|id| *id > 0)
            }
            _ => None,
        }
    }

    /// Each row's id, by row. `ids` are as many as [`InsertPlan::ids_needed`] said, in row order.
    pub fn ids_by_row(&self, values: &Values<'_>, ids: &[u64]) -> Vec<Option<u64>> {
        if ids.is_empty() {
            return Vec::new();
        }
        let mut ids = ids.iter().copied();
        self.takes_id(values).map(|takes| if takes { ids.next() } else { None }).collect()
    }

    /// The rows by target. `ids` come from [`InsertPlan::ids_by_row`].
    pub fn split(
        &self,
        values: &Values<'_>,
        ids: &[Option<u64>],
    ) -> Result<Vec<InsertPart>, SqlError> {
        check_ids(self.sequence.as_ref(), ids)?;
        let all_rows = || (0..self.rows.len()).map(crate::names::number).collect::<Vec<u32>>();
        let router = match &self.home {
            InsertHome::Sharded(router) => router,
            InsertHome::Everywhere { shards } => {
                let part =
                    |shard| InsertPart { target: Target { shard, suffix: 0 }, rows: all_rows() };
                return Ok((0..*shards).map(part).collect());
            }
            InsertHome::Shard { shard } => {
                let target = Target { shard: *shard, suffix: 0 };
                return Ok(vec![InsertPart { target, rows: all_rows() }]);
            }
        };
        let mut parts: BTreeMap<Target, Vec<u32>> = BTreeMap::new();
        let mut keys: Vec<SqlValue> = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let id = ids.get(number).copied().flatten();
            keys.clear();
            keys.extend(row.keys.iter().map(|key| key_value(key, id, values)));
            parts.entry(router.place(&keys)?).or_default().push(crate::names::number(number));
        }
        Ok(parts.into_iter().map(|(target, rows)| InsertPart { target, rows }).collect())
    }

    /// Writes the text of a part, with the ids that its rows were placed by. `lenient` says that the
    /// session's sql_mode is not strict.
    pub fn render(
        &self,
        part: &InsertPart,
        ids: &[Option<u64>],
        lenient: bool,
        fill: &Fill<'_>,
        out: &mut Rendered,
    ) {
        out.text.clear();
        out.params.clear();
        let (Some(range), Some(first), Some(last)) =
            (self.text.range, self.rows.first(), self.rows.last())
        else {
            return;
        };
        let target = part.target;
        let as_query = lenient && self.is_alone(part, last, fill.values);
        // The last word of the head is VALUES, if the rows are not those of SET.
        let head_ends = first.tokens.first.saturating_sub(if as_query { 2 } else { 1 });
        if first.tokens.first > range.first {
            let head = TokenRange { first: range.first, last: head_ends };
            self.text.append_part(head, None, fill, target, out);
            out.text.extend_from_slice(if as_query { b" SELECT " } else { b" " });
        }
        for (place, row) in part.rows.iter().enumerate() {
            if place > 0 {
                out.text.extend_from_slice(b", ");
            }
            let id = ids.get(*row as usize).copied().flatten();
            let mut tokens = self.rows[*row as usize].tokens;
            if as_query {
                tokens = TokenRange { first: tokens.first + 1, last: tokens.last - 1 };
            }
            self.text.append_part(tokens, Some(RowFill { id }), fill, target, out);
        }
        if last.tokens.last < range.last {
            let tail = TokenRange { first: last.tokens.last + 1, last: range.last };
            out.text.push(b' ');
            self.text.append_part(tail, None, fill, target, out);
        }
    }

    /// Whether a part is one row out of several, in a form that a query can give: a server that is
    /// not strict refuses a NULL where it may not be in a statement of one row, and takes it in one
    /// of several and in one of a query's rows.
    fn is_alone(&self, part: &InsertPart, last: &InsertRowPlan, values: &Values<'_>) -> bool {
        let [row] = part.rows.as_slice() else { return false };
        let aliased =
            || values.tokens.bytes(values.text, last.tokens.last + 1).eq_ignore_ascii_case(b"AS");
        self.verb != InsertVerb::Ignore
            && self.rows.len() > 1
            && self.rows[*row as usize].free
            && !aliased()
    }
}

fn key_value(key: &InsertValue, id: Option<u64>, values: &Values<'_>) -> SqlValue {
    match (key, id) {
        (InsertValue::Given(value), _) => value.resolve(values),
        (InsertValue::Generated | InsertValue::GeneratedIfEmpty(_), Some(id)) => {
            SqlValue::Integer(id.into())
        }
        (InsertValue::GeneratedIfEmpty(value), None) => value.resolve(values),
        (InsertValue::Generated, None) => SqlValue::Null,
    }
}

fn check_ids(sequence: Option<&SequenceUse>, ids: &[Option<u64>]) -> Result<(), SqlError> {
    let (Some(sequence), Some(highest)) = (sequence, ids.iter().flatten().max()) else {
        return Ok(());
    };
    if *highest > sequence.max {
        return Err(SqlError::new(
            NOT_SUPPORTED,
            format!("The sequence of table '{}' is used up", sequence.table),
        ));
    }
    Ok(())
}

impl RowPlacer {
    /// Whether a row of the query takes a generated id.
    pub fn needs_id(&self, row: &[SqlValue], zero_is_a_value: bool) -> bool {
        match &self.sequence {
            None => false,
            Some(sequence) => match sequence.position {
                None => true,
                Some(position) => row.get(position as usize).is_none_or(|value| {
                    asks_for_id(value, zero_is_a_value, sequence.of.keeps_null)
                }),
            },
        }
    }

    /// The targets of a row: one, or all shards for a broadcast table. `id` is the generated id if
    /// the row takes one. A row of the wrong width is MySQL's error.
    pub fn place(&self, row: &[SqlValue], id: Option<u64>) -> Result<Vec<Target>, SqlError> {
        if row.len() != self.width as usize {
            return Err(SqlError::new(
                VALUE_COUNT_MISMATCH,
                "Column count doesn't match value count at row 1",
            ));
        }
        let router = match &self.home {
            InsertHome::Shard { shard } => return Ok(vec![Target { shard: *shard, suffix: 0 }]),
            InsertHome::Everywhere { shards } => {
                return Ok((0..*shards).map(|shard| Target { shard, suffix: 0 }).collect());
            }
            InsertHome::Sharded(router) => router,
        };
        let sequence_at = self.sequence.as_ref().and_then(|sequence| sequence.position);
        let generated = |position: &Option<u32>| {
            position.is_none() || (id.is_some() && *position == sequence_at)
        };
        let keys: Vec<SqlValue> = self
            .key_positions
            .iter()
            .map(|position| match (generated(position), position) {
                (true, _) => id.map_or(SqlValue::Null, |id| SqlValue::Integer(id.into())),
                (false, Some(position)) => row[*position as usize].clone(),
                (false, None) => SqlValue::Null,
            })
            .collect();
        Ok(vec![router.place(&keys)?])
    }
}

//! An INSERT of many rows in chunks (`batch_insert_policy=SPLIT`): each is written before the next.

use super::{InsertHome, InsertPart, InsertPlan};
use crate::value::Values;
use base::sql_error::{SqlError, WRONG_ARGUMENTS};
use sql_syntax::HintKind;
use std::collections::BTreeMap;
use topology::algorithm::Target;

/// Rows of a chunk.
const CHUNK_ROWS: u32 = 1_000;

/// The hint with another number: `/*+split_chunk_size=N*/`.
const HINT: &str = "split_chunk_size";

impl InsertPlan {
    /// The parts of each chunk in order, and for each chunk the number of the part after it. Only
    /// rows of sharded tables are split.
    pub fn in_chunks(
        &self,
        whole: Vec<InsertPart>,
        values: &Values<'_>,
    ) -> Result<(Vec<InsertPart>, Vec<usize>), SqlError> {
        let rows = chunk_rows(values)?;
        let fits = self.rows.len() <= usize::try_from(rows).unwrap_or(usize::MAX);
        if fits || !matches!(self.home, InsertHome::Sharded(_)) {
            let end = whole.len();
            return Ok((whole, vec![end]));
        }
        Ok(split(whole, rows))
    }
}

/// The hint's number, or the usual one.
fn chunk_rows(values: &Values<'_>) -> Result<u32, SqlError> {
    let mut rows = CHUNK_ROWS;
    for hint in values.tokens.hints().iter().filter(|hint| hint.kind == HintKind::Optimizer) {
        let body = String::from_utf8_lossy(hint.body(values.text));
        for (name, value) in body.split(',').filter_map(|part| part.split_once('=')) {
            if name.trim().eq_ignore_ascii_case(HINT) {
                rows = value.trim().parse().ok().filter(|rows| *rows > 0).ok_or_else(|| {
                    let text = format!("{HINT} takes a whole number of rows from 1");
                    SqlError::new(WRONG_ARGUMENTS, text)
                })?;
            }
        }
    }
    Ok(rows)
}

fn split(whole: Vec<InsertPart>, chunk_rows: u32) -> (Vec<InsertPart>, Vec<usize>) {
    let mut chunks: BTreeMap<(u32, Target), Vec<u32>> = BTreeMap::new();
    for part in whole {
        for row in part.rows {
            chunks.entry((row / chunk_rows, part.target)).or_default().push(row);
        }
    }
    let mut ends = Vec::new();
    let mut parts = Vec::with_capacity(chunks.len());
    let mut last = 0;
    for ((chunk, target), rows) in chunks {
        if chunk != last {
            ends.push(parts.len());
            last = chunk;
        }
        parts.push(InsertPart { target, rows });
    }
    ends.push(parts.len());
    (parts, ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_in_order_and_with_their_targets() {
        let target = |shard| Target { shard, suffix: 0 };
        let part = |shard, rows: &[u32]| InsertPart { target: target(shard), rows: rows.to_vec() };
        let whole = vec![part(0, &[0, 2, 4, 6]), part(1, &[1, 3, 5])];
        let (parts, ends) = split(whole, 3);
        assert_eq!(
            parts,
            [part(0, &[0, 2]), part(1, &[1]), part(0, &[4]), part(1, &[3, 5]), part(0, &[6])]
        );
        assert_eq!(ends, [2, 4, 5]);
    }
}

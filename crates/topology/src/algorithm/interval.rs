//! Conditions such as BETWEEN on a key: which targets can hold a value of an interval. A short
//! interval is counted through; RANGE is asked for its overlapping ranges; else every target can.

use super::{KeyValue, Target};
use crate::model::{Algorithm, ShardingRule};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// An interval with more keys than this is not counted through.
pub const INTERVAL_KEYS_MAX: u32 = 1_024;

/// A closed interval of integer keys or of days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInterval {
    /// The lowest key, if there is one.
    pub low: Option<KeyValue>,
    /// The highest key, if there is one.
    pub high: Option<KeyValue>,
}

impl KeyInterval {
    /// Calls `each` with its keys while that wants more, if they are few; `None` when they are not.
    fn each_key(&self, mut each: impl FnMut(&KeyValue) -> ControlFlow<()>) -> Option<()> {
        match (&self.low, &self.high) {
            (Some(KeyValue::Integer(low)), Some(KeyValue::Integer(high))) => {
                if *high >= *low && high - low >= i128::from(INTERVAL_KEYS_MAX) {
                    return None;
                }
                let _ = (*low..=*high).try_for_each(|key| each(&KeyValue::Integer(key)));
                Some(())
            }
            (Some(KeyValue::Date(low)), Some(KeyValue::Date(high))) => {
                if *high >= *low && high.day_number() - low.day_number() >= INTERVAL_KEYS_MAX {
                    return None;
                }
                let _ = std::iter::successors(Some(*low), |day| day.next())
                    .take_while(|day| day <= high)
                    .try_for_each(|day| each(&KeyValue::Date(day)));
                Some(())
            }
            _ => None,
        }
    }

    /// Its bounds as integers, open ends at the far ends.
    fn integer_bounds(&self) -> Option<(i128, i128)> {
        let bound = |key: &Option<KeyValue>, open: i128| match key {
            None => Some(open),
            Some(KeyValue::Integer(value)) => Some(*value),
            Some(_) => None,
        };
        Some((bound(&self.low, i128::MIN)?, bound(&self.high, i128::MAX)?))
    }
}

impl ShardingRule {
    /// Where rows may lie whose key `column` is in `interval`; `None` when every target may.
    pub fn locate_interval(
        &self,
        shards: u32,
        column: &str,
        interval: &KeyInterval,
    ) -> Option<BTreeSet<Target>> {
        let of_database = self.database.column.eq_ignore_ascii_case(column);
        if of_database
            && let Algorithm::Range { date_part: None, ranges, default } = &self.database.algorithm
        {
            let (low, high) = interval.integer_bounds()?;
            let overlapping = ranges
                .iter()
                .filter(|range| i128::from(range.from) <= high && i128::from(range.to) >= low)
                .map(|range| range.shard)
                .chain(*default);
            return Some(self.with_all_suffixes(overlapping.collect()));
        }
        let every = shards as usize * self.tables_per_shard.max(1) as usize;
        let mut targets = BTreeSet::new();
        interval.each_key(|key| {
            let located = if of_database {
                self.locate_database(shards, key)
            } else {
                self.locate_table(shards, key)
            };
            // A value that no range lists cannot be stored either.
            targets.extend(located.unwrap_or_default());
            match targets.len() < every {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Some(targets)
    }

    fn with_all_suffixes(&self, shards: BTreeSet<u32>) -> BTreeSet<Target> {
        let tables = self.tables_per_shard.max(1);
        shards
            .into_iter()
            .flat_map(|shard| (0..tables).map(move |suffix| Target { shard, suffix }))
            .collect()
    }
}

//! Which targets a statement's rows can be in. A [`Route`] is a condition on sharding keys with
//! holes for values; asked with the values of one execution it gives targets. It may give too many,
//! never too few: every part that says nothing about a key counts as "anywhere".

use crate::value::{ValueRef, Values};
use base::sql_error::{NOT_SUPPORTED, SqlError};
use std::collections::BTreeSet;
use topology::algorithm::{Comparable, KeyInterval, KeyValue, SqlValue, Target};
use topology::model::{Column, Schema, ShardingRule, Table};

/// A sharded table's rule with what it takes to ask it.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// The rule.
    pub rule: ShardingRule,
    /// Shards of the schema.
    pub shards: u32,
    /// The key columns: the database rule's, then the table rule's if that is another.
    pub columns: Vec<Column>,
}

/// A condition on a table's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The table's rule.
    pub router: Router,
    /// What is known about its keys.
    pub condition: Condition,
}

/// What is known about the keys. `key` counts in [`Router::columns`].
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// The key equals a value.
    Equal {
        /// Which key.
        key: usize,
        /// The value.
        value: ValueRef,
    },
    /// The key equals one of the values.
    In {
        /// Which key.
        key: usize,
        /// The values.
        values: Vec<ValueRef>,
    },
    /// The key is NULL.
    Null {
        /// Which key.
        key: usize,
    },
    /// The key is in a closed interval.
    Between {
        /// Which key.
        key: usize,
        /// The lower bound.
        low: Option<ValueRef>,
        /// The upper bound.
        high: Option<ValueRef>,
    },
    /// All hold.
    And(Vec<Condition>),
    /// At least one holds.
    Or(Vec<Condition>),
    /// Whatever the keys are: these shards, all tables in them (a hint).
    Shards(Vec<u32>),
}

impl Condition {
    /// All of these, as simply as it can be said.
    pub fn all(parts: impl IntoIterator<Item = Condition>) -> Condition {
        let mut kept: Vec<Condition> = Vec::new();
        for part in parts {
            if part != Condition::Any && !kept.contains(&part) {
                kept.push(part);
            }
        }
        match kept.len() {
            0 => Condition::Any,
            1 => kept.remove(0),
            _ => Condition::And(kept),
        }
    }

    /// One of these.
    pub fn any(parts: Vec<Condition>) -> Condition {
        if parts.contains(&Condition::Any) || parts.is_empty() {
            return Condition::Any;
        }
        Condition::Or(parts)
    }
}

/// Targets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TargetSet {
    All,
    Some(BTreeSet<Target>),
}

impl TargetSet {
    fn of(targets: impl IntoIterator<Item = Target>) -> Self {
        TargetSet::Some(targets.into_iter().collect())
    }

    fn intersect(self, other: TargetSet) -> TargetSet {
        match (self, other) {
            (TargetSet::All, set) | (set, TargetSet::All) => set,
            (TargetSet::Some(left), TargetSet::Some(right)) => {
                TargetSet::Some(left.intersection(&right).copied().collect())
            }
        }
    }
}

impl Router {
    /// The router of a sharded table.
    pub fn new(schema: &Schema, table: &Table, rule: &ShardingRule) -> Option<Router> {
        let columns = rule
            .key_columns()
            .into_iter()
            .map(|name| table.column(name).map(|(_, column)| column.clone()))
            .collect::<Option<Vec<_>>>()?;
        Some(Router { rule: rule.clone(), shards: schema.shard_count(), columns })
    }

    /// The key of this column name.
    pub fn key(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|key| key.name.eq_ignore_ascii_case(column))
    }

    /// Whether there is one physical table.
    fn has_one_place(&self) -> bool {
        self.shards * self.rule.tables_per_shard == 1
    }

    /// Whether tables of both routers keep equal keys in equal targets.
    pub fn is_alike(&self, other: &Router) -> bool {
        let alike = |left: &Column, right: &Column| {
            use topology::model::ColumnClass as C;
            let kind = |column: &Column| match column.class {
                C::Integer | C::UnsignedInteger | C::Decimal { scale: 0 } => 0,
                C::Text | C::Binary => 1,
                C::Date | C::DateTime => 2,
                _ => 3,
            };
            kind(left) == kind(right) && kind(left) != 3
        };
        let same_algorithms = self.rule.database.algorithm == other.rule.database.algorithm
            && self.rule.table.as_ref().map(|rule| &rule.algorithm)
                == other.rule.table.as_ref().map(|rule| &rule.algorithm)
            && self.rule.has_same_key() == other.rule.has_same_key();
        self.shards == other.shards
            && self.rule.tables_per_shard == other.rule.tables_per_shard
            && same_algorithms
            && self.columns.len() == other.columns.len()
            && self.columns.iter().zip(&other.columns).all(|(left, right)| alike(left, right))
    }

    /// The target of a row with these values of the key columns.
    pub fn place(&self, keys: &[SqlValue]) -> Result<Target, SqlError> {
        if let ([column], [value]) = (self.columns.as_slice(), keys) {
            let stored = KeyValue::assigned(column, value)?;
            return Ok(self.rule.locate(self.shards, &stored, &stored)?);
        }
        let stored = self
            .columns
            .iter()
            .zip(keys)
            .map(|(column, value)| KeyValue::assigned(column, value))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(database) = stored.first() else {
            return Err(SqlError::new(NOT_SUPPORTED, "a row without a sharding key"));
        };
        Ok(self.rule.locate(self.shards, database, stored.last().unwrap_or(database))?)
    }

    fn locate(&self, key: usize, value: &KeyValue) -> TargetSet {
        let located = if key == 0 {
            self.rule.locate_database(self.shards, value)
        } else {
            self.rule.locate_table(self.shards, value)
        };
        // A value that no range lists cannot be stored, so no row has it.
        TargetSet::of(located.unwrap_or_default())
    }

    fn compared(&self, key: usize, value: &ValueRef, values: &Values<'_>) -> Comparable {
        KeyValue::compared(&self.columns[key], &value.resolve(values))
    }

    fn equal(&self, key: usize, value: &ValueRef, values: &Values<'_>) -> TargetSet {
        match self.compared(key, value, values) {
            Comparable::Exactly(stored) => self.locate(key, &stored),
            Comparable::Nothing => TargetSet::of([]),
            Comparable::Unknown => TargetSet::All,
        }
    }

    fn between(
        &self,
        key: usize,
        low: Option<&ValueRef>,
        high: Option<&ValueRef>,
        values: &Values<'_>,
    ) -> TargetSet {
        let bound = |value: Option<&ValueRef>| match value {
            None => Some(None),
            Some(value) => match self.compared(key, value, values) {
                Comparable::Exactly(KeyValue::Invalid | KeyValue::Text(_)) => None,
                Comparable::Exactly(stored) => Some(Some(stored)),
                Comparable::Nothing | Comparable::Unknown => None,
            },
        };
        let (Some(low), Some(high)) = (bound(low), bound(high)) else { return TargetSet::All };
        let interval = KeyInterval { low, high };
        self.rule
            .locate_interval(self.shards, &self.columns[key].name, &interval)
            .map_or(TargetSet::All, TargetSet::Some)
    }

    fn set(&self, condition: &Condition, values: &Values<'_>) -> TargetSet {
        match condition {
            Condition::Any => TargetSet::All,
            Condition::Equal { key, value } => self.equal(*key, value, values),
            Condition::In { key, values: listed } => {
                self.union(listed.iter().map(|value| self.equal(*key, value, values)))
            }
            Condition::Null { key } => self.locate(*key, &KeyValue::Invalid),
            Condition::Between { key, low, high } => {
                self.between(*key, low.as_ref(), high.as_ref(), values)
            }
            Condition::And(parts) => parts
                .iter()
                .map(|part| self.set(part, values))
                .fold(TargetSet::All, TargetSet::intersect),
            Condition::Or(parts) => self.union(parts.iter().map(|part| self.set(part, values))),
            Condition::Shards(shards) => {
                let all = self.rule.all_targets(self.shards).into_iter();
                TargetSet::of(all.filter(|target| shards.contains(&target.shard)))
            }
        }
    }

    fn union(&self, sets: impl Iterator<Item = TargetSet>) -> TargetSet {
        let mut all = BTreeSet::new();
        for set in sets {
            match set {
                TargetSet::All => return TargetSet::All,
                TargetSet::Some(targets) => all.extend(targets),
            }
        }
        TargetSet::Some(all)
    }
}

impl Route {
    /// The targets, ordered; never empty: where no row can match, one target answers for all.
    pub fn targets(&self, values: &Values<'_>) -> Result<Vec<Target>, SqlError> {
        Ok(match self.router.set(&self.condition, values) {
            TargetSet::All => self.router.rule.all_targets(self.router.shards),
            TargetSet::Some(targets) if targets.is_empty() => vec![Target { shard: 0, suffix: 0 }],
            TargetSet::Some(targets) => targets.into_iter().collect(),
        })
    }

    /// The targets where one of its keys has one of these values too.
    pub fn targets_among(
        &self,
        key: u32,
        among: Vec<SqlValue>,
        values: &Values<'_>,
    ) -> Result<Vec<Target>, SqlError> {
        // A hint decides, not the key.
        if matches!(self.condition, Condition::Shards(_)) {
            return self.targets(values);
        }
        let among = among.into_iter().map(ValueRef::Const).collect();
        let given = Condition::In { key: key as usize, values: among };
        let condition = Condition::all([self.condition.clone(), given]);
        Route { router: self.router.clone(), condition }.targets(values)
    }

    /// For a statement that assigns key columns: whether its rows stay in the one target that they
    /// are in.
    pub(crate) fn stays(&self, target: Option<Target>, values: &Values<'_>) -> bool {
        match (target, self.router.set(&self.condition, values)) {
            (Some(target), TargetSet::Some(targets)) => targets.contains(&target),
            _ => self.router.shards * self.router.rule.tables_per_shard == 1,
        }
    }
}

impl Route {
    /// Whether all keys are compared for equality with one value each: whatever the values are,
    /// there is one target.
    pub(crate) fn is_pinned(&self) -> bool {
        let places = self.router.shards * self.router.rule.tables_per_shard;
        if let Condition::Shards(shards) = &self.condition {
            return shards.len() == 1 && self.router.rule.tables_per_shard == 1;
        }
        let pins = |part: &Condition, wanted: usize| match part {
            Condition::Equal { key, .. } | Condition::Null { key } => *key == wanted,
            _ => false,
        };
        places == 1
            || (0..self.router.columns.len()).all(|key| match &self.condition {
                Condition::And(parts) => parts.iter().any(|part| pins(part, key)),
                part => pins(part, key),
            })
    }

    /// The target of a single equality on the one key: the way of nearly all statements, without
    /// making a set.
    fn direct(&self, values: &Values<'_>) -> Option<Target> {
        let Condition::Equal { key: 0, value } = &self.condition else { return None };
        if self.router.columns.len() != 1 {
            return None;
        }
        match self.router.compared(0, value, values) {
            Comparable::Exactly(stored) => {
                self.router.rule.locate(self.router.shards, &stored, &stored).ok()
            }
            Comparable::Nothing | Comparable::Unknown => None,
        }
    }
}

/// The one target that all routes agree on. A route that no row can match agrees with every other.
pub(crate) fn common_target(
    routes: &[Route],
    values: &Values<'_>,
) -> Result<Option<Target>, SqlError> {
    if let [route] = routes
        && let Some(target) = route.direct(values)
    {
        return Ok(Some(target));
    }
    // Whatever the values are, there is one place to look.
    if routes.iter().all(|route| route.router.has_one_place()) {
        return Ok(Some(Target { shard: 0, suffix: 0 }));
    }
    let mut common = None;
    for route in routes {
        let targets = match route.router.set(&route.condition, values) {
            // One physical table: "anywhere" is there.
            TargetSet::All if route.router.has_one_place() => {
                BTreeSet::from([Target { shard: 0, suffix: 0 }])
            }
            TargetSet::All => return Ok(None),
            TargetSet::Some(targets) => targets,
        };
        match (targets.len(), targets.first(), common) {
            (0, _, _) => {}
            (1, Some(target), None) => common = Some(*target),
            (1, Some(target), Some(other)) if *target == other => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(common.unwrap_or(Target { shard: 0, suffix: 0 })))
}

/// The targets of the routes together.
pub(crate) fn all_targets(routes: &[Route], values: &Values<'_>) -> Result<Vec<Target>, SqlError> {
    let mut all = BTreeSet::new();
    for route in routes {
        all.extend(route.targets(values)?);
    }
    Ok(all.into_iter().collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sql_syntax::{LexMode, TokenBuf};
    use topology::model::{Algorithm, KeyRule};

    fn router(table_column: Option<&str>) -> Router {
        let key = |column: &str| KeyRule { column: column.into(), algorithm: Algorithm::ModHash };
        let rule = ShardingRule {
            database: key("a"),
            table: table_column.map(key),
            tables_per_shard: if table_column.is_some() { 3 } else { 1 },
        };
        let columns = rule.key_columns().iter().map(|name| Column::plain(name, "bigint")).collect();
        Router { rule, shards: 8, columns }
    }

    fn targets(router: &Router, condition: Condition) -> Vec<(u32, u32)> {
        let (tokens, mode) = (TokenBuf::new(), LexMode::default());
        let values = Values {
            text: b"",
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            evaluated: &[],
            zero_is_a_value: false,
        };
        let route = Route { router: router.clone(), condition };
        let targets = route.targets(&values).unwrap();
        targets.into_iter().map(|target| (target.shard, target.suffix)).collect()
    }

    fn int(number: i128) -> ValueRef {
        ValueRef::Const(SqlValue::Integer(number))
    }

    fn equal(key: usize, number: i128) -> Condition {
        Condition::Equal { key, value: int(number) }
    }

    #[test]
    fn conditions_meet_and_join() {
        let one = router(None);
        assert_eq!(targets(&one, equal(0, 13)), [(5, 0)]);
        assert_eq!(
            targets(&one, Condition::any(vec![equal(0, 1), equal(0, 10)])),
            [(1, 0), (2, 0)]
        );
        assert_eq!(targets(&one, Condition::all([equal(0, 1), equal(0, 2)])), [(0, 0)]);
        assert_eq!(targets(&one, Condition::any(vec![equal(0, 1), Condition::Any])).len(), 8);
        assert_eq!(targets(&one, Condition::all([equal(0, 1), Condition::Any])), [(1, 0)]);
        assert_eq!(targets(&one, Condition::Null { key: 0 }), [(0, 0)]);
        let between = Condition::Between { key: 0, low: Some(int(6)), high: Some(int(8)) };
        assert_eq!(targets(&one, between), [(0, 0), (6, 0), (7, 0)]);
        assert_eq!(targets(&one, Condition::Equal { key: 0, value: ValueRef::NULL }), [(0, 0)]);
    }

    #[test]
    fn two_keys_decide_together() {
        let two = router(Some("b"));
        assert_eq!(targets(&two, Condition::all([equal(0, 16), equal(1, 16)])), [(0, 1)]);
        assert_eq!(targets(&two, equal(0, 16)), [(0, 0), (0, 1), (0, 2)]);
        assert_eq!(targets(&two, equal(1, 16)).len(), 8);
        assert_eq!(targets(&two, Condition::Any).len(), 24);
        assert_eq!(targets(&router(Some("a")), equal(0, 16)), [(5, 1)]);
    }
}

//! The product's worked examples, one by one.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::{Column, ValueRange};

fn rule(algorithm: Algorithm, table: Option<(&str, u32)>) -> ShardingRule {
    ShardingRule {
        database: KeyRule { column: "k".into(), algorithm: algorithm.clone() },
        table: table.map(|(column, _)| KeyRule { column: column.into(), algorithm }),
        tables_per_shard: table.map_or(1, |(_, count)| count),
    }
}

fn int(value: i128) -> KeyValue {
    KeyValue::Integer(value)
}

fn text(value: &str) -> KeyValue {
    KeyValue::Text(value.as_bytes().to_vec())
}

fn date(value: &str) -> KeyValue {
    let column = Column::plain("d", "date");
    KeyValue::assigned(&column, &SqlValue::Text(value.as_bytes().to_vec())).unwrap()
}

/// Places one value under "different keys" and "same key" rules of 8 shards with 3 tables.
fn places(algorithm: Algorithm, key: &KeyValue) -> [(u32, u32); 2] {
    ["other", "k"].map(|column| {
        let target = rule(algorithm.clone(), Some((column, 3))).locate(8, key, key).unwrap();
        (target.shard, target.suffix)
    })
}

fn month_ranges() -> Vec<ValueRange> {
    (0..7_u32)
        .map(|shard| ValueRange {
            from: i64::from(shard) * 2 + 1,
            to: i64::from(shard) * 2 + 2,
            shard,
        })
        .collect()
}

#[test]
fn worked_examples() {
    assert_eq!(places(Algorithm::ModHash, &int(16)), [(0, 1), (5, 1)]);
    assert_eq!(places(Algorithm::ModHash, &text("abc")), [(2, 0), (6, 0)]);
    assert_eq!(places(Algorithm::ModHashCi, &text("abc")), [(2, 0), (6, 0)]);
    assert_eq!(places(Algorithm::RightShift { bits: 4 }, &int(123_456)), [(4, 0), (4, 1)]);
    assert_eq!(places(Algorithm::YyyyMm, &date("2012-11-20")), [(3, 2), (3, 2)]);
    assert_eq!(places(Algorithm::YyyyDd, &date("2012-12-31")), [(6, 0), (2, 0)]);
    assert_eq!(places(Algorithm::YyyyWeek, &date("2012-12-31")), [(7, 1), (2, 1)]);
    assert_eq!(places(Algorithm::RightShift { bits: 3 }, &int(1000))[1], (5, 0));
    assert_eq!(places(Algorithm::RightShift { bits: 4 }, &int(255))[1], (7, 1));
}

#[test]
fn database_only() {
    let shard = |algorithm: Algorithm, key: &KeyValue, shards| {
        rule(algorithm, None).locate(shards, key, key).unwrap().shard
    };
    let year = Algorithm::Hash { date_part: Some(DatePart::Year) };
    assert_eq!(shard(year, &date("2019-10-11"), 8), 0);
    let ranges =
        |date_part| Algorithm::Range { date_part, ranges: month_ranges(), default: Some(7) };
    assert_eq!(shard(ranges(None), &int(3), 8), 1);
    assert_eq!(shard(ranges(None), &int(999), 8), 7);
    assert_eq!(shard(ranges(Some(DatePart::Month)), &date("2019-10-11"), 8), 4);
    assert_eq!(shard(Algorithm::YyyyMm, &date("2019-10-11"), 8), 6);
    assert_eq!(shard(Algorithm::YyyyDd, &date("2019-10-11"), 8), 6);
    assert_eq!(shard(Algorithm::YyyyWeek, &date("2019-10-11"), 8), 3);
    let week = Algorithm::Hash { date_part: Some(DatePart::WeekOfYear) };
    assert_eq!(shard(week, &date("2019-10-11"), 8), 0);
}

#[test]
fn hash_slots() {
    let hash = Algorithm::Hash { date_part: None };
    for (key, at_8, at_4, at_16) in [
        (int(16), 3, 1, 7),
        (int(0), 5, 2, 10),
        (int(1), 3, 1, 7),
        (int(2), 5, 2, 10),
        (int(3), 2, 1, 5),
        (int(7), 3, 1, 7),
        (int(8), 1, 0, 3),
        (int(10), 6, 3, 13),
        (int(100), 6, 3, 12),
        (int(1000), 4, 2, 9),
        (int(123_456), 0, 0, 0),
        (int(-1), 2, 1, 4),
        (text("abc"), 5, 2, 11),
        (text("41"), 0, 0, 0),
    ] {
        for (shards, wanted) in [(8, at_8), (4, at_4), (16, at_16)] {
            let target = rule(hash.clone(), None).locate(shards, &key, &key).unwrap();
            assert_eq!(target.shard, wanted, "{key:?} of {shards}");
        }
    }
    // The same column on both sides: each side takes the same slot by its own ranges.
    let both = rule(hash, Some(("k", 4)));
    for value in 0..1000 {
        let target = both.locate(8, &int(value), &int(value)).unwrap();
        assert_eq!(target.suffix, target.shard / 2);
    }
}

#[test]
fn the_last_hash_slot_takes_the_remainder() {
    // 102400 / 3 = 34133; slot 102399 would be the fourth.
    assert_eq!(Number::Slot(34_132).among(3), 0);
    assert_eq!(Number::Slot(34_133).among(3), 1);
    assert_eq!(Number::Slot(102_399).among(3), 2);
    assert_eq!(Number::Slot(102_399).among(7), 6);
}

#[test]
fn table_only_dates() {
    let suffix = |algorithm: Algorithm, count| {
        let rule = ShardingRule {
            database: KeyRule { column: "id".into(), algorithm: Algorithm::ModHash },
            table: Some(KeyRule { column: "d".into(), algorithm }),
            tables_per_shard: count,
        };
        rule.locate(8, &int(3), &date("2019-01-15")).unwrap()
    };
    let at = |suffix| Target { shard: 3, suffix };
    assert_eq!(suffix(Algorithm::Mm, 12), at(1));
    assert_eq!(suffix(Algorithm::Dd, 31), at(15));
    assert_eq!(suffix(Algorithm::MmDd, 366), at(15));
    assert_eq!(suffix(Algorithm::Week, 7), at(3));
}

#[test]
fn signs_and_extremes() {
    let shard = |key: KeyValue| rule(Algorithm::ModHash, None).locate(8, &key, &key).unwrap().shard;
    assert_eq!(shard(text("user_1")), 3);
    assert_eq!(places(Algorithm::ModHash, &text("user_1"))[1], (19 / 3, 19 % 3));
    assert_eq!(shard(text("polygenelubricants")), 0);
    assert_eq!(shard(int(-9)), 1);
    assert_eq!(shard(int(i64::MIN.into())), 0);
    assert_eq!(shard(int(u64::MAX.into())), 7);
    let key = int(i64::MIN.into());
    for bits in [0, 1, 63, 64] {
        assert!(rule(Algorithm::RightShift { bits }, None).locate(8, &key, &key).is_ok());
    }
}

#[test]
fn values_without_a_place() {
    let ranges = Algorithm::Range { date_part: None, ranges: month_ranges(), default: None };
    let error = rule(ranges.clone(), None).locate(8, &int(15), &int(15)).unwrap_err();
    assert_eq!(SqlError::from(error).code.number, 1526);
    for algorithm in
        [ranges, Algorithm::ModHash, Algorithm::YyyyMm, Algorithm::Hash { date_part: None }]
    {
        let same = rule(algorithm, Some(("k", 3)));
        let target = same.locate(8, &KeyValue::Invalid, &KeyValue::Invalid).unwrap();
        assert_eq!(target, Target { shard: 0, suffix: 0 });
    }
}

#[test]
fn one_key_of_two() {
    let different = rule(Algorithm::ModHash, Some(("other", 3)));
    let targets = different.locate_database(8, &int(16)).unwrap();
    assert_eq!(targets, (0..3).map(|suffix| Target { shard: 0, suffix }).collect::<Vec<_>>());
    let targets = different.locate_table(8, &int(16)).unwrap();
    assert_eq!(targets, (0..8).map(|shard| Target { shard, suffix: 1 }).collect::<Vec<_>>());
    let same = rule(Algorithm::ModHash, Some(("k", 3)));
    assert_eq!(same.locate_database(8, &int(16)).unwrap(), [Target { shard: 5, suffix: 1 }]);
    assert_eq!(same.all_targets(8).len(), 24);
}

#[test]
fn intervals() {
    let interval = |low, high| KeyInterval { low: Some(low), high: Some(high) };
    let shards = |rule: &ShardingRule, interval: &KeyInterval| {
        rule.locate_interval(8, "k", interval)
            .map(|targets| targets.into_iter().map(|target| target.shard).collect::<Vec<_>>())
    };
    let modulo = rule(Algorithm::ModHash, None);
    assert_eq!(shards(&modulo, &interval(int(9), int(11))), Some(vec![1, 2, 3]));
    assert_eq!(shards(&modulo, &interval(int(9), int(8))), Some(vec![]));
    assert_eq!(shards(&modulo, &interval(int(0), int(1 << 40))), None);
    assert_eq!(shards(&modulo, &KeyInterval { low: Some(int(1)), high: None }), None);
    let ranges = Algorithm::Range { date_part: None, ranges: month_ranges(), default: None };
    let ranges = rule(ranges, None);
    assert_eq!(shards(&ranges, &interval(int(2), int(5))), Some(vec![0, 1, 2]));
    let open = KeyInterval { low: Some(int(12)), high: None };
    assert_eq!(shards(&ranges, &open), Some(vec![5, 6]));
    let months = rule(Algorithm::YyyyMm, None);
    let autumn = interval(date("2012-10-05"), date("2012-11-20"));
    assert_eq!(shards(&months, &autumn), Some(vec![2, 3]));
}

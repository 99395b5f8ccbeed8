//! One group: its first row, and what its rows add up to.

use crate::merge::compare::{Comparison, float};
use crate::merge::decimal::Decimal;
use crate::merge::{Key, Layout, Record, compare_by};
use mysql_wire::column::{ColumnDefinition, ColumnType};
use sql_plan::merge::{Aggregate, AggregateKind, ColumnAt, Group};
use std::cmp::Ordering;
use std::rc::Rc;

/// A sum as its column's type wants it.
#[derive(Clone, Debug)]
enum Total {
    Exact(Decimal),
    Double(f64),
}

impl Total {
    fn read(text: &[u8], double: bool) -> Self {
        match Decimal::parse(text) {
            Some(exact) if !double => Total::Exact(exact),
            _ => Total::Double(float(text)),
        }
    }

    fn add(&mut self, other: Total) {
        *self = match (&*self, other) {
            (Total::Exact(a), Total::Exact(b)) => Total::Exact(a.add(&b)),
            (a, b) => Total::Double(a.double() + b.double()),
        };
    }

    fn double(&self) -> f64 {
        match self {
            Total::Double(number) => *number,
            Total::Exact(exact) => float(&exact.to_text(exact.scale())),
        }
    }
}

/// What one aggregate has come to.
#[derive(Debug)]
enum State {
    Sum(Option<Total>),
    Extreme { max: bool, weight: Option<usize>, best: Option<(Vec<u8>, Vec<u8>)> },
    Average { sum: usize, count: usize, total: Option<Total>, rows: Decimal },
    Bits(AggregateKind, u64),
}

/// How groups are made, ready to compare.
#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub keys: Vec<Key>,
    aggregates: Vec<Aggregate>,
    distinct: Vec<Key>,
    /// The answer where there are no rows.
    pub empty: Option<Record>,
}

impl Grouping {
    pub(crate) fn new(layout: &Layout, group: &Group) -> Self {
        let fields = group.empty.iter().map(|field| field.map(str::as_bytes));
        Self {
            keys: layout.plain_keys(&group.keys),
            aggregates: group.aggregates.clone(),
            distinct: layout.plain_keys(&group.distinct),
            empty: (!group.empty.is_empty()).then(|| Record::from_fields(fields)),
        }
    }
}

/// A group that is being read.
pub(crate) struct GroupBuilder {
    layout: Rc<Layout>,
    first: Record,
    states: Vec<(usize, State)>,
    /// The states, by place, that values of the row before do not add to.
    once: Vec<bool>,
    distinct: Vec<Key>,
    last: Option<Record>,
}

fn is_double(column: Option<&ColumnDefinition>) -> bool {
    column
        .is_some_and(|column| matches!(column.column_type, ColumnType::Float | ColumnType::Double))
}

fn index(layout: &Layout, at: ColumnAt) -> usize {
    layout.index(at)
}

impl GroupBuilder {
    pub(crate) fn new(layout: Rc<Layout>, grouping: &Grouping, first: Record) -> Self {
        let states = grouping
            .aggregates
            .iter()
            .map(|aggregate| {
                (index(&layout, aggregate.column), State::new(&layout, &aggregate.kind))
            })
            .collect();
        let once = grouping.aggregates.iter().map(|aggregate| aggregate.distinct).collect();
        let distinct = grouping.distinct.clone();
        let mut builder = Self { layout, first: first.clone(), states, once, distinct, last: None };
        builder.add(&first);
        builder
    }

    pub(crate) fn first(&self) -> &Record {
        &self.first
    }

    pub(crate) fn add(&mut self, record: &Record) {
        let mut repeated = false;
        if !self.distinct.is_empty() {
            let last = self.last.as_ref();
            repeated = last.is_some_and(|last| compare_by(&self.distinct, last, record).is_eq());
            self.last = Some(record.clone());
        }
        for ((at, state), once) in self.states.iter_mut().zip(&self.once) {
            if !(repeated && *once) {
                state.add(&self.layout, *at, record);
            }
        }
    }

    pub(crate) fn finish(self) -> Record {
        let mut made: Vec<Option<Option<Vec<u8>>>> = vec![None; self.first.len()];
        for (at, state) in self.states {
            // What the extreme is sorted by is that of the row that it came from.
            if let State::Extreme { weight: Some(weight), best: Some((_, by)), .. } = &state
                && let Some(slot) = made.get_mut(*weight)
            {
                *slot = Some(Some(by.clone()));
            }
            if let Some(slot) = made.get_mut(at) {
                *slot = Some(state.finish(&self.layout, at));
            }
        }
        if made.iter().all(Option::is_none) {
            return self.first;
        }
        Record::from_fields(made.iter().enumerate().map(|(at, made)| match made {
            Some(value) => value.as_deref(),
            None => self.first.get(at),
        }))
    }
}

impl State {
    fn new(layout: &Layout, kind: &AggregateKind) -> Self {
        match kind {
            AggregateKind::Sum => State::Sum(None),
            AggregateKind::Extreme { max, weight } => {
                State::Extreme { max: *max, weight: weight.map(|at| index(layout, at)), best: None }
            }
            AggregateKind::Average { sum, count } => State::Average {
                sum: index(layout, *sum),
                count: index(layout, *count),
                total: None,
                rows: Decimal::zero(),
            },
            AggregateKind::BitAnd => State::Bits(kind.clone(), u64::MAX),
            AggregateKind::BitOr | AggregateKind::BitXor => State::Bits(kind.clone(), 0),
        }
    }

    fn add(&mut self, layout: &Layout, at: usize, record: &Record) {
        match self {
            State::Sum(total) => add_to(total, record.get(at), is_double(layout.columns.get(at))),
            State::Average { sum, count, total, rows } => {
                add_to(total, record.get(*sum), is_double(layout.columns.get(*sum)));
                if let Some(count) = record.get(*count).and_then(Decimal::parse) {
                    *rows = rows.add(&count);
                }
            }
            State::Extreme { max, weight, best } => {
                let Some(value) = record.get(at) else { return };
                let (how, by) = comparison(layout, at, *weight, record, value);
                let better = best.as_ref().is_none_or(|(_, best_by)| {
                    let order = how.compare(Some(&by), Some(best_by));
                    order == if *max { Ordering::Greater } else { Ordering::Less }
                });
                if better {
                    *best = Some((value.to_vec(), by));
                }
            }
            State::Bits(kind, bits) => {
                let Some(value) = record.get(at).and_then(Decimal::parse).and_then(|n| n.to_u64())
                else {
                    return;
                };
                match kind {
                    AggregateKind::BitAnd => *bits &= value,
                    AggregateKind::BitOr => *bits |= value,
                    _ => *bits ^= value,
                }
            }
        }
    }

    fn finish(self, layout: &Layout, at: usize) -> Option<Vec<u8>> {
        let scale = layout.columns.get(at).map_or(0, |column| usize::from(column.decimals));
        match self {
            State::Sum(total) => total.map(|total| match total {
                Total::Exact(exact) => {
                    let scale = exact.scale();
                    exact.to_text(scale)
                }
                Total::Double(number) => double_text(number),
            }),
            State::Average { total, rows, .. } => match (total?, rows.to_u64()) {
                (_, None | Some(0)) => None,
                (Total::Exact(exact), Some(rows)) => Some(exact.divide(rows, scale).to_text(scale)),
                (Total::Double(number), Some(rows)) => Some(double_text(number / rows as f64)),
            },
            State::Extreme { best, .. } => best.map(|(value, _)| value),
            State::Bits(_, bits) => Some(bits.to_string().into_bytes()),
        }
    }
}

fn add_to(total: &mut Option<Total>, text: Option<&[u8]>, double: bool) {
    let Some(text) = text else { return };
    let more = Total::read(text, double);
    match total {
        Some(total) => total.add(more),
        None => *total = Some(more),
    }
}

/// How an extreme's candidates are compared, and what of this one is.
fn comparison(
    layout: &Layout,
    at: usize,
    weight: Option<usize>,
    record: &Record,
    value: &[u8],
) -> (Comparison, Vec<u8>) {
    match (weight, layout.columns.get(at)) {
        (Some(weight), Some(column)) if Comparison::needs_weight(column) => {
            let how = layout.weights.get(at).cloned().unwrap_or(Comparison::Bytes);
            (how, record.get(weight).unwrap_or_default().to_vec())
        }
        (_, Some(column)) => (Comparison::of(column), value.to_vec()),
        (_, None) => (Comparison::Bytes, value.to_vec()),
    }
}

/// A double as a data node prints it: shortest digits, with an exponent from 1e15 on and below 1e-4.
pub(crate) fn double_text(number: f64) -> Vec<u8> {
    let size = number.abs();
    if number == 0.0 || (1e-4..1e15).contains(&size) {
        return format!("{number}").into_bytes();
    }
    format!("{number:e}").into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn layout(types: &[(ColumnType, u8)]) -> Rc<Layout> {
        let columns: Vec<_> = types
            .iter()
            .map(|(column_type, decimals)| {
                let mut column = ColumnDefinition::expression("c", *column_type, 63, 20);
                column.decimals = *decimals;
                column
            })
            .collect();
        let weights = vec![Comparison::Bytes; types.len()];
        Rc::new(Layout { columns: columns.into(), visible: types.len(), weights })
    }

    fn record(fields: &[Option<&str>]) -> Record {
        Record::from_fields(fields.iter().map(|field| field.map(str::as_bytes)))
    }

    #[test]
    fn aggregates_add_up_and_skip_null() {
        let layout = layout(&[
            (ColumnType::NewDecimal, 2),
            (ColumnType::LongLong, 0),
            (ColumnType::NewDecimal, 6),
            (ColumnType::Double, 31),
        ]);
        let (sum, count) = (ColumnAt::Visible(0), ColumnAt::Visible(1));
        let kinds = [
            AggregateKind::Sum,
            AggregateKind::Extreme { max: true, weight: None },
            AggregateKind::Average { sum, count },
            AggregateKind::Sum,
        ];
        let aggregates = kinds.into_iter().zip(0..).map(|(kind, column)| Aggregate {
            column: ColumnAt::Visible(column),
            kind,
            distinct: false,
        });
        let group = Group { aggregates: aggregates.collect(), ..Group::default() };
        let grouping = Grouping::new(&layout, &group);
        let mut group = GroupBuilder::new(
            layout,
            &grouping,
            record(&[Some("1.10"), Some("9"), None, Some("0.1")]),
        );
        group.add(&record(&[Some("2.25"), Some("10"), None, Some("0.2")]));
        group.add(&record(&[None, None, None, None]));
        let made = group.finish();
        assert_eq!(made.get(0), Some(&b"3.35"[..]));
        assert_eq!(made.get(1), Some(&b"10"[..]));
        assert_eq!(made.get(2), Some(&b"0.176316"[..]));
        assert_eq!(made.get(3), Some(&b"0.30000000000000004"[..]));
    }

    #[test]
    fn doubles_print_as_the_server_does() {
        for (number, text) in
            [(1e20, "1e20"), (0.5, "0.5"), (1e-5, "1e-5"), (123456.0, "123456"), (0.0, "0")]
        {
            assert_eq!(double_text(number), text.as_bytes());
        }
    }
}

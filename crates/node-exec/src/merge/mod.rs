//! Several shards' answers become one while they stream: ordered merge, grouping, HAVING, sorting of
//! finished groups, DISTINCT of neighbours, OFFSET and LIMIT. Rows stay text as they came; only what
//! is compared or added up is looked at. Memory: one row for each stream, and one for each group only
//! where groups must be sorted again.

pub mod compare;
pub mod decimal;
mod group;

use crate::error::{ExecError, sql};
use crate::streams::Streams;
use base::sql_error;
use bytes::Bytes;
use compare::Comparison;
use group::{GroupBuilder, Grouping};
use mysql_wire::column::ColumnDefinition;
use mysql_wire::row::{put_text_field, text_fields};
use node_backend::query::Row;
use sql_plan::merge::{ColumnAt, CompareOp, Having, Merge, OrderKey, SortKey};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// A row with its fields found.
#[derive(Clone, Debug)]
pub struct Record {
    payload: Bytes,
    fields: Vec<Option<(u32, u32)>>,
}

impl Record {
    /// Finds the fields of a text row.
    pub fn of(row: &Row) -> Result<Self, ExecError> {
        let payload = row.payload().clone();
        let base = payload.as_ptr() as usize;
        let fields = text_fields(&payload)
            .map(|field| {
                Ok(field?.map(|bytes| {
                    let start = bytes.as_ptr() as usize - base;
                    (start as u32, (start + bytes.len()) as u32)
                }))
            })
            .collect::<Result<_, ExecError>>()?;
        Ok(Self { payload, fields })
    }

    /// Moves it to memory of its own: it holds no read buffer any more.
    pub fn detach(&mut self) {
        self.payload = Bytes::copy_from_slice(&self.payload);
    }

    /// A row of these fields.
    pub fn from_fields<'f>(fields: impl Iterator<Item = Option<&'f [u8]>>) -> Self {
        let mut payload = Vec::new();
        let mut places = Vec::new();
        for field in fields {
            put_text_field(&mut payload, field);
            let end = payload.len() as u32;
            places.push(field.map(|bytes| (end - bytes.len() as u32, end)));
        }
        Self { payload: payload.into(), fields: places }
    }

    /// A field; NULL also where there is none.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let (start, end) = (*self.fields.get(at)?)?;
        self.payload.get(start as usize..end as usize)
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The packet of its first `visible` fields.
    pub fn packet(&self, visible: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len());
        for at in 0..visible {
            put_text_field(&mut out, self.get(at));
        }
        out
    }

    /// The packet as it is.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// A key that is ready to compare: which field, how, which way.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    field: usize,
    how: Comparison,
    desc: bool,
}

impl Key {
    fn compare(&self, a: &Record, b: &Record) -> Ordering {
        let order = self.how.compare(a.get(self.field), b.get(self.field));
        if self.desc { order.reverse() } else { order }
    }
}

pub(crate) fn compare_by(keys: &[Key], a: &Record, b: &Record) -> Ordering {
    keys.iter()
        .map(|key| key.compare(a, b))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// What is known of the answers' columns.
#[derive(Clone, Debug)]
pub struct Layout {
    /// All columns, hidden ones last.
    pub columns: Arc<[ColumnDefinition]>,
    /// How many are the client's.
    pub visible: usize,
    /// How each column's weights are compared.
    pub weights: Vec<Comparison>,
}

impl Layout {
    pub(crate) fn index(&self, at: ColumnAt) -> usize {
        match at {
            ColumnAt::Visible(number) => number as usize,
            ColumnAt::Hidden(number) => self.visible + number as usize,
        }
    }

    fn key(&self, key: SortKey, desc: bool) -> Key {
        let value = self.index(key.value);
        let column = self.columns.get(value);
        match (key.weight, column) {
            (Some(weight), Some(column)) if Comparison::needs_weight(column) => {
                let how = self.weights.get(value).cloned().unwrap_or(Comparison::Bytes);
                Key { field: self.index(weight), how, desc }
            }
            (_, Some(column)) => Key { field: value, how: Comparison::of(column), desc },
            (_, None) => Key { field: value, how: Comparison::Bytes, desc },
        }
    }

    fn keys(&self, keys: &[OrderKey]) -> Vec<Key> {
        keys.iter().map(|order| self.key(order.key, order.desc)).collect()
    }

    fn plain_keys(&self, keys: &[SortKey]) -> Vec<Key> {
        keys.iter().map(|key| self.key(*key, false)).collect()
    }
}

/// The merge of one statement, with its values.
#[derive(Debug)]
pub struct Merger {
    layout: Rc<Layout>,
    order: Vec<Key>,
    group: Option<Rc<Grouping>>,
    having: Option<HavingWithValues>,
    sort: Vec<Key>,
    distinct: Vec<Key>,
    skip: u64,
    left: u64,
    rows_max: u64,
    /// One row for each stream that is not over.
    heads: Vec<(Record, usize)>,
    started: bool,
    /// A group was made.
    any_group: bool,
    /// The first row of the next group.
    waiting: Option<Record>,
    counts_found: bool,
    /// Rows before OFFSET and LIMIT so far.
    produced: u64,
    sorted: Option<VecDeque<Record>>,
    last: Option<Record>,
}

/// Gives a value as a number's text; `None` is NULL.
pub type NumberOf<'a> =
    dyn FnMut(&sql_plan::value::ValueRef) -> Result<Option<Vec<u8>>, ExecError> + 'a;

/// A HAVING whose values are known.
#[derive(Clone, Debug)]
pub enum HavingWithValues {
    /// All.
    And(Vec<HavingWithValues>),
    /// Any.
    Or(Vec<HavingWithValues>),
    /// A number compared with a number; no number: NULL.
    Compare(ColumnAt, CompareOp, Option<Vec<u8>>),
    /// IS \[NOT\] NULL.
    IsNull(ColumnAt, bool),
}

impl HavingWithValues {
    /// Puts values in; `number` gives a value's text.
    pub fn new(having: &Having, number: &mut NumberOf<'_>) -> Result<Self, ExecError> {
        Ok(match having {
            Having::And(all) => {
                Self::And(all.iter().map(|one| Self::new(one, number)).collect::<Result<_, _>>()?)
            }
            Having::Or(any) => {
                Self::Or(any.iter().map(|one| Self::new(one, number)).collect::<Result<_, _>>()?)
            }
            Having::Compare { column, op, value } => Self::Compare(*column, *op, number(value)?),
            Having::IsNull { column, not } => Self::IsNull(*column, *not),
        })
    }

    /// SQL's three values.
    fn holds(&self, layout: &Layout, record: &Record) -> Option<bool> {
        match self {
            Self::And(all) => {
                let values: Vec<_> = all.iter().map(|one| one.holds(layout, record)).collect();
                if values.contains(&Some(false)) {
                    return Some(false);
                }
                if values.contains(&None) { None } else { Some(true) }
            }
            Self::Or(any) => {
                let values: Vec<_> = any.iter().map(|one| one.holds(layout, record)).collect();
                if values.contains(&Some(true)) {
                    return Some(true);
                }
                if values.contains(&None) { None } else { Some(false) }
            }
            Self::Compare(column, op, value) => {
                let at = layout.index(*column);
                let (have, want) = (record.get(at)?, value.as_deref()?);
                let how = layout.columns.get(at).map_or(Comparison::Number, Comparison::of);
                let how = if how == Comparison::Float { how } else { Comparison::Number };
                let order = how.compare(Some(have), Some(want));
                Some(match op {
                    CompareOp::Eq => order == Ordering::Equal,
                    CompareOp::Ne => order != Ordering::Equal,
                    CompareOp::Lt => order == Ordering::Less,
                    CompareOp::Le => order != Ordering::Greater,
                    CompareOp::Gt => order == Ordering::Greater,
                    CompareOp::Ge => order != Ordering::Less,
                })
            }
            Self::IsNull(column, not) => Some(record.get(layout.index(*column)).is_none() != *not),
        }
    }
}

/// LIMIT and OFFSET as numbers, and how many rows may be kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// OFFSET.
    pub offset: u64,
    /// LIMIT.
    pub limit: u64,
    /// Rows or groups kept for a sort.
    pub rows_max: u64,
}

impl Merger {
    /// A merge over streams with this layout.
    pub fn new(
        merge: &Merge,
        layout: Layout,
        having: Option<HavingWithValues>,
        bounds: Bounds,
    ) -> Self {
        Self {
            order: layout.keys(&merge.order),
            group: merge.group.as_ref().map(|group| Rc::new(Grouping::new(&layout, group))),
            having,
            sort: layout.keys(&merge.sort),
            distinct: layout.plain_keys(&merge.distinct),
            layout: Rc::new(layout),
            skip: bounds.offset,
            left: bounds.limit,
            rows_max: bounds.rows_max,
            heads: Vec::new(),
            started: false,
            any_group: false,
            waiting: None,
            counts_found: merge.counts_found,
            produced: 0,
            sorted: None,
            last: None,
        }
    }

    /// The next row of the answer.
    pub async fn next(&mut self, streams: &mut Streams) -> Result<Option<Record>, ExecError> {
        while self.left > 0 {
            let record = if self.sort.is_empty() {
                self.next_grouped(streams).await?
            } else {
                self.next_sorted(streams).await?
            };
            let Some(record) = record else { return Ok(None) };
            if !self.distinct.is_empty() {
                let repeated = self
                    .last
                    .as_ref()
                    .is_some_and(|last| compare_by(&self.distinct, last, &record).is_eq());
                if repeated {
                    continue;
                }
                self.last = Some(record.clone());
            }
            self.produced += 1;
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.left -= 1;
            return Ok(Some(record));
        }
        Ok(None)
    }

    /// How many rows there are without OFFSET and LIMIT, if the statement asks for it.
    pub async fn count_found(&mut self, streams: &mut Streams) -> Result<Option<u64>, ExecError> {
        if !self.counts_found {
            return Ok(None);
        }
        self.left = u64::MAX;
        while self.next(streams).await?.is_some() {}
        Ok(Some(self.produced))
    }

    async fn next_sorted(&mut self, streams: &mut Streams) -> Result<Option<Record>, ExecError> {
        if self.sorted.is_none() {
            let mut all = Vec::new();
            while let Some(record) = self.next_grouped(streams).await? {
                if all.len() as u64 >= self.rows_max {
                    return Err(sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"));
                }
                all.push(record);
            }
            all.sort_by(|a, b| compare_by(&self.sort, a, b));
            self.sorted = Some(all.into());
        }
        Ok(self.sorted.as_mut().and_then(VecDeque::pop_front))
    }

    async fn next_grouped(&mut self, streams: &mut Streams) -> Result<Option<Record>, ExecError> {
        let Some(grouping) = self.group.clone() else {
            return self.next_row(streams).await;
        };
        loop {
            let first = match self.waiting.take() {
                Some(first) => first,
                None => match self.next_row(streams).await? {
                    Some(first) => first,
                    None if self.any_group => return Ok(None),
                    None => {
                        self.any_group = true;
                        return Ok(grouping.empty.clone());
                    }
                },
            };
            self.any_group = true;
            let mut builder = GroupBuilder::new(self.layout.clone(), &grouping, first);
            while let Some(record) = self.next_row(streams).await? {
                if compare_by(&grouping.keys, builder.first(), &record).is_ne() {
                    self.waiting = Some(record);
                    break;
                }
                builder.add(&record);
            }
            let record = builder.finish();
            let stays = self
                .having
                .as_ref()
                .is_none_or(|having| having.holds(&self.layout, &record) == Some(true));
            if stays {
                return Ok(Some(record));
            }
        }
    }

    async fn next_row(&mut self, streams: &mut Streams) -> Result<Option<Record>, ExecError> {
        if self.order.is_empty() {
            return self.next_unordered(streams).await;
        }
        if !self.started {
            self.started = true;
            for stream in 0..streams.len() {
                if let Some(row) = streams.next(stream).await? {
                    self.heads.push((Record::of(&row)?, stream));
                }
            }
            self.heads.sort_by(|a, b| head_order(&self.order, b, a));
        }
        // The lowest head is last; its successor is put where it belongs.
        let Some((mut record, stream)) = self.heads.pop() else { return Ok(None) };
        // The read buffer is used again when no row holds it, else a fresh one is made.
        if !streams.has_next(stream) {
            record.detach();
        }
        if let Some(row) = streams.next(stream).await? {
            let fresh = (Record::of(&row)?, stream);
            let at =
                self.heads.partition_point(|head| head_order(&self.order, head, &fresh).is_gt());
            self.heads.insert(at, fresh);
        }
        Ok(Some(record))
    }

    async fn next_unordered(&mut self, streams: &mut Streams) -> Result<Option<Record>, ExecError> {
        while let Some(stream) = streams.first_open() {
            if let Some(row) = streams.next(stream).await? {
                return Ok(Some(Record::of(&row)?));
            }
        }
        Ok(None)
    }
}

/// Equal rows come in the order of their streams, so that an answer repeats itself.
fn head_order(keys: &[Key], a: &(Record, usize), b: &(Record, usize)) -> Ordering {
    compare_by(keys, &a.0, &b.0).then(a.1.cmp(&b.1))
}

//! What joins say about loads. A row without a partner is of no use, so where columns must be equal a
//! load takes only rows that have one: by a sub-query where the partner is at hand on the same shard
//! (sharded alike and tied by the key, or broadcast), else by the values of a load that came before,
//! when they are few.

use super::results::ResultPart;
use super::{AND_MARK, Result, covers, from_where};
use crate::bind::{Bound, ColumnOf, What};
use crate::colocate;
use crate::expr;
use crate::keys::Classes;
use crate::names::number;
use crate::plan::{Family, Reduction};
use crate::template::{Piece, quoted};
use sql_syntax::ast::{BinaryOp, Expr, ExprKind, Query, Select, SelectItem};
use topology::model::{Column, ColumnClass, Placement};

/// Partners of partners are followed so far.
const DEPTH_MAX: usize = 4;

/// A load's text has no more sub-queries on partners.
const AT_HAND_MAX: usize = 12;

/// Texts in keys of temporary tables are not longer.
const KEY_CHARACTERS_MAX: usize = 64;

/// The other side of an equality.
#[derive(Clone, Copy, PartialEq)]
enum Other {
    /// A column of a reference.
    Column(ColumnOf),
    /// A column of a result, by the result's number.
    Result(u32, usize),
}

/// A column must equal another for its row to be of use.
#[derive(Clone, Copy)]
struct Tie {
    column: ColumnOf,
    other: Other,
    /// Null-rejecting for the column's reference before all joins.
    counts: bool,
}

/// What joins say.
pub(super) struct Partners<'p, 's> {
    bound: &'p Bound<'s>,
    ties: Vec<Tie>,
    in_place: Vec<bool>,
    loaded: Vec<bool>,
    reduces: bool,
    /// Sub-queries on partners in the text that is being made.
    pub at_hand_count: usize,
    /// Those of them on sharded tables.
    pub sharded_count: usize,
    /// The conditions by values that the texts refer to.
    pub reductions: Vec<Reduction>,
}

impl<'p, 's> Partners<'p, 's> {
    /// Reads the conditions of all blocks.
    pub fn new(
        bound: &'p Bound<'s>,
        results: &[Result],
        parts: &[ResultPart],
        schema: &str,
        reduces: bool,
    ) -> Self {
        let is_covered = |token: u32| {
            parts.iter().any(|part| part.range.first <= token && token <= part.range.last)
        };
        let loaded: Vec<bool> =
            bound.refs.iter().map(|reference| !is_covered(reference.name.name.tok)).collect();
        let in_place = bound
            .refs
            .iter()
            .map(|reference| {
                let plain = reference
                    .table_ref
                    .is_none_or(|table| table.partitions.is_empty() && table.system_time.is_none());
                reduces && plain && !reference.is_sharded() && reference.schema.name == schema
            })
            .collect();
        let mut partners = Self {
            bound,
            ties: Vec::new(),
            in_place,
            loaded,
            reduces,
            at_hand_count: 0,
            sharded_count: 0,
            reductions: Vec::new(),
        };
        for block in 0..bound.blocks.len() {
            partners.read_block(block, results);
        }
        partners.follow();
        partners
    }

    /// What is equal to something that must be equal to a third is equal to that.
    fn follow(&mut self) {
        let mut more: Vec<Tie> = Vec::new();
        for first in self.ties.iter().filter(|tie| tie.counts) {
            let Other::Column(between) = first.other else { continue };
            for second in self.ties.iter().filter(|tie| tie.counts && tie.column == between) {
                let tie = Tie { other: second.other, ..*first };
                let is_same = |other: &Tie| other.column == tie.column && other.other == tie.other;
                let to_itself = tie.other == Other::Column(tie.column);
                if !to_itself && !self.ties.iter().chain(&more).any(is_same) {
                    more.push(tie);
                }
            }
        }
        self.ties.extend(more);
    }

    /// Whether a reference is brought by a load of its own.
    pub fn is_loaded(&self, index: usize) -> bool {
        self.loaded[index]
    }

    /// Whether the table is where the statement runs.
    pub fn is_in_place(&self, index: usize) -> bool {
        self.in_place[index]
    }

    fn read_block(&mut self, block: usize, results: &[Result]) {
        for conjunct in self.bound.conditions(block) {
            let counts = |column: ColumnOf| conjunct.before_joins.contains(&column.reference);
            match &conjunct.what {
                What::Equal(left, right) => self.tie(*left, *right, &counts),
                What::Expr(expr) => self.read_expr(block, expr, results, &counts),
            }
        }
    }

    fn read_expr(
        &mut self,
        block: usize,
        expr: &Expr,
        results: &[Result],
        counts: &dyn Fn(ColumnOf) -> bool,
    ) {
        match &expr.unparen().kind {
            ExprKind::Binary { op: BinaryOp::Eq, left, right } => {
                match (self.bound.column_of(block, left), self.bound.column_of(block, right)) {
                    (Some(left), Some(right)) => self.tie(left, right, counts),
                    (Some(column), None) => self.tie_result(column, block, right, results, counts),
                    (None, Some(column)) => self.tie_result(column, block, left, results, counts),
                    (None, None) => {}
                }
            }
            ExprKind::InQuery { expr, not: false, query } => {
                let Some(column) = self.bound.column_of(block, expr) else { return };
                let range = self.bound.range(query.span);
                let found =
                    results.iter().find(|result| result.token == 0 && covers(result.range, range));
                match found {
                    Some(result) => {
                        let other = Other::Result(result.number, 0);
                        self.ties.push(Tie { column, other, counts: counts(column) });
                    }
                    None => self.tie_selected(column, query, counts),
                }
            }
            ExprKind::Exists(query) => self.tie_existing(query, counts),
            ExprKind::Or(parts) => {
                for (left, right) in common_pairs(self.bound, block, parts) {
                    self.tie(left, right, counts);
                }
            }
            _ => {}
        }
    }

    /// `column IN (SELECT other FROM …)`: where that is a condition, rows on either side without a
    /// partner are of no use.
    fn tie_selected(&mut self, column: ColumnOf, query: &Query, counts: &dyn Fn(ColumnOf) -> bool) {
        let Some(select) = plain_select(query, self.bound.src) else { return };
        let inner = self.bound.block_by_token.get(&select.select_tok).copied();
        let (Some(inner), [SelectItem::Expr { expr, .. }]) = (inner, select.items.as_slice())
        else {
            return;
        };
        let Some(other) = self.bound.column_of(inner, expr) else { return };
        if self.bound.refs[other.reference].block != inner {
            return;
        }
        self.ties.push(Tie { column, other: Other::Column(other), counts: counts(column) });
        let counts_inside = counts(column) && !self.bound.refs[other.reference].null_side;
        let other_way = Tie { column: other, other: Other::Column(column), counts: counts_inside };
        self.ties.push(other_way);
    }

    /// `EXISTS (SELECT … WHERE inner = outer)`: the outer row is of no use without the inner one.
    fn tie_existing(&mut self, query: &Query, counts: &dyn Fn(ColumnOf) -> bool) {
        let Some(select) = plain_select(query, self.bound.src) else { return };
        let Some(inner) = self.bound.block_by_token.get(&select.select_tok).copied() else {
            return;
        };
        for conjunct in self.bound.conditions(inner).iter().filter(|conjunct| conjunct.global) {
            let What::Expr(expr) = &conjunct.what else { continue };
            let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &expr.unparen().kind else {
                continue;
            };
            let sides = (self.bound.column_of(inner, left), self.bound.column_of(inner, right));
            let (Some(left), Some(right)) = sides else { continue };
            let is_inner = |column: ColumnOf| self.bound.refs[column.reference].block == inner;
            for (column, other) in [(left, right), (right, left)] {
                if !is_inner(column) && is_inner(other) && counts(column) {
                    self.ties.push(Tie { column, other: Other::Column(other), counts: true });
                }
            }
        }
    }

    fn tie(&mut self, left: ColumnOf, right: ColumnOf, counts: &dyn Fn(ColumnOf) -> bool) {
        for (column, other) in [(left, right), (right, left)] {
            let other = Other::Column(other);
            self.ties.push(Tie { column, other, counts: counts(column) });
        }
    }

    fn tie_result(
        &mut self,
        column: ColumnOf,
        block: usize,
        other: &Expr,
        results: &[Result],
        counts: &dyn Fn(ColumnOf) -> bool,
    ) {
        let named = other.as_column().and_then(|name| self.bound.opaque_column(block, name));
        let Some((token, at)) = named else { return };
        if let Some(result) = results.iter().find(|result| result.token == token && token != 0) {
            let other = Other::Result(result.number, at);
            self.ties.push(Tie { column, other, counts: counts(column) });
        }
    }

    /// How values of two columns are equal, if they are so without a conversion.
    fn family(&self, left: ColumnOf, other: Other) -> Option<Family> {
        let own = self.bound.column(left);
        let family = family_of(own)?;
        match other {
            // What a result's column is, is known when it has come.
            Other::Result(..) => (family != Family::Text).then_some(family),
            Other::Column(right) => {
                let right = self.bound.column(right);
                let same_text = family != Family::Text
                    || (own.collation.is_some() && own.collation == right.collation);
                (family_of(right) == Some(family) && same_text).then_some(family)
            }
        }
    }

    /// Whether the rows of `other` that a row of `index` can meet through these columns are on the
    /// same shard.
    fn is_at_hand(&self, index: usize, tie: &Tie, other: ColumnOf) -> bool {
        let (own, partner) = (&self.bound.refs[index], &self.bound.refs[other.reference]);
        if own.schema.name != partner.schema.name || other.reference == index {
            return false;
        }
        match (&own.table.placement, &partner.table.placement) {
            (_, Placement::Broadcast) | (Placement::Single, Placement::Single) => true,
            (Placement::Sharded(_), Placement::Sharded(_)) => {
                let mut classes = Classes::default();
                classes.join(self.bound, tie.column, other);
                colocate::tied_by_keys(self.bound, &classes, index, other.reference)
            }
            _ => false,
        }
    }

    /// The conditions by partners for a load's text, each behind the mark for WHERE or AND.
    pub fn conditions(&mut self, index: usize) -> Vec<Piece> {
        // They name references by aliases, which tables under locks do not get.
        if !self.reduces || self.bound.plain_names {
            return Vec::new();
        }
        (self.at_hand_count, self.sharded_count) = (0, 0);
        self.conditions_of(index, number(index), &mut vec![index])
    }

    fn conditions_of(&mut self, index: usize, load: u32, path: &mut Vec<usize>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let ties: Vec<Tie> = self
            .ties
            .iter()
            .filter(|tie| tie.counts && tie.column.reference == index)
            .copied()
            .collect();
        for tie in ties {
            let Some(family) = self.family(tie.column, tie.other) else { continue };
            match tie.other {
                Other::Column(other) if path.contains(&other.reference) => {}
                Other::Column(other) if self.is_at_hand(index, &tie, other) => {
                    if path.len() < DEPTH_MAX && self.at_hand_count < AT_HAND_MAX {
                        pieces.extend(self.at_hand(&tie, other, load, path));
                    }
                }
                Other::Column(other) => {
                    if self.loaded[other.reference] && !self.in_place[other.reference] {
                        let source = number(other.reference);
                        pieces.extend(self.by_values(&tie, load, (source, other.column), family));
                    }
                }
                Other::Result(source, column) => {
                    pieces.extend(self.by_values(&tie, load, (source, column), family));
                }
            }
        }
        pieces
    }

    /// `column IN (SELECT column FROM partner WHERE …)`, where that leaves anything out.
    fn at_hand(
        &mut self,
        tie: &Tie,
        other: ColumnOf,
        load: u32,
        path: &mut Vec<usize>,
    ) -> Vec<Piece> {
        path.push(other.reference);
        let mut inner = from_where(self.bound, other.reference);
        inner.extend(self.conditions_of(other.reference, load, path));
        path.pop();
        let mut word = " WHERE ";
        for piece in &mut inner {
            if *piece == Piece::Text(AND_MARK.to_vec()) {
                *piece = Piece::text(std::mem::replace(&mut word, " AND "));
            }
        }
        if word == " WHERE " {
            return Vec::new(); // no condition: every row would be looked up for nothing
        }
        self.at_hand_count += 1;
        self.sharded_count += usize::from(self.bound.refs[other.reference].is_sharded());
        let mut pieces = vec![
            Piece::Text(AND_MARK.to_vec()),
            Piece::Text(self.named(tie.column)),
            Piece::text(" IN (SELECT "),
            Piece::Text(self.named(other)),
        ];
        pieces.extend(inner);
        pieces.push(Piece::text(")"));
        pieces
    }

    fn by_values(
        &mut self,
        tie: &Tie,
        load: u32,
        (source, column): (u32, usize),
        family: Family,
    ) -> Vec<Piece> {
        let key = self.bound.refs[tie.column.reference].router.as_ref().and_then(|router| {
            let own = number(tie.column.reference) == load;
            let name = &self.bound.column(tie.column).name;
            router.key(name).filter(|_| own).map(number)
        });
        self.reductions.push(Reduction {
            load,
            column: String::from_utf8_lossy(&self.named(tie.column)).into_owned(),
            source,
            source_column: number(column),
            key,
            family,
        });
        let number = number(self.reductions.len() - 1);
        vec![Piece::Text(AND_MARK.to_vec()), Piece::Reduction(number)]
    }

    fn named(&self, column: ColumnOf) -> Vec<u8> {
        let alias = quoted(&self.bound.refs[column.reference].alias);
        [alias.as_slice(), b".", &quoted(&self.bound.column(column).name)].concat()
    }

    /// The columns that the temporary table of a reference has keys on: those that are looked up.
    pub fn keys(&self, index: usize, columns: &[&Column]) -> Vec<String> {
        let is_tied = |column: &Column| {
            self.ties.iter().any(|tie| {
                tie.column.reference == index
                    && std::ptr::eq(self.bound.column(tie.column), column)
                    && self.is_of_one_type(column, tie.other)
            })
        };
        let keys = columns.iter().filter(|column| is_tied(column) && can_be_key(column));
        keys.map(|column| column.name.clone()).collect()
    }

    /// Looked up by a value of another type, a key would make a server warn of what it converts.
    fn is_of_one_type(&self, column: &Column, other: Other) -> bool {
        let Other::Column(other) = other else { return false };
        let other = self.bound.column(other);
        let is_integer = |column: &Column| {
            matches!(column.class, ColumnClass::Integer | ColumnClass::UnsignedInteger)
        };
        (is_integer(column) && is_integer(other))
            || (column.column_type == other.column_type && column.collation == other.collation)
    }

    /// The same for a result, of whose columns these are numbers.
    pub fn result_keys(&self, result: u32, columns: &[String], numbers: &[bool]) -> Vec<String> {
        let is_tied =
            |at: usize| self.ties.iter().any(|tie| tie.other == Other::Result(result, at));
        let keys = columns.iter().zip(numbers).enumerate();
        let keys = keys.filter(|(at, (_, is_number))| **is_number && is_tied(*at));
        keys.map(|(_, (name, _))| name.clone()).collect()
    }
}

/// A query that is one SELECT of rows as they are: without rows it gives none.
pub(super) fn plain_select<'q>(query: &'q Query, src: &[u8]) -> Option<&'q Select> {
    let select = query.as_select()?;
    let plain = query.limit.is_none() && select.group_by.is_empty() && select.having.is_none();
    let adds_up = select.items.iter().any(|item| match item {
        SelectItem::Expr { expr, .. } => expr::has_aggregate(expr, src),
        SelectItem::Star { .. } => false,
    });
    (plain && !adds_up).then_some(select)
}

/// The columns that every part of an OR makes equal.
fn common_pairs(bound: &Bound<'_>, block: usize, parts: &[Expr]) -> Vec<(ColumnOf, ColumnOf)> {
    let pairs_of = |part: &Expr| {
        let mut conditions = Vec::new();
        expr::conjuncts(part, &mut conditions);
        let mut pairs = Vec::new();
        for condition in conditions {
            if let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &condition.unparen().kind
                && let (Some(left), Some(right)) =
                    (bound.column_of(block, left), bound.column_of(block, right))
            {
                pairs.push((left.min(right), left.max(right)));
            }
        }
        pairs
    };
    let mut common: Option<Vec<(ColumnOf, ColumnOf)>> = None;
    for part in parts {
        let own = pairs_of(part);
        common = Some(match common {
            None => own,
            Some(mut common) => {
                common.retain(|pair| own.contains(pair));
                common
            }
        });
    }
    common.unwrap_or_default()
}

fn family_of(column: &Column) -> Option<Family> {
    match column.class {
        ColumnClass::Integer | ColumnClass::UnsignedInteger | ColumnClass::Decimal { scale: 0 } => {
            (column.type_name() != "year").then_some(Family::Integer)
        }
        ColumnClass::Date => Some(Family::Date),
        ColumnClass::Text => {
            let plain = matches!(column.type_name(), "char" | "varchar");
            (plain && column.collation.as_deref().is_some_and(|name| name.starts_with("utf8mb4")))
                .then_some(Family::Text)
        }
        _ => None,
    }
}

pub(super) fn can_be_key(column: &Column) -> bool {
    match column.class {
        ColumnClass::Integer
        | ColumnClass::UnsignedInteger
        | ColumnClass::Decimal { .. }
        | ColumnClass::Date
        | ColumnClass::DateTime => true,
        ColumnClass::Text if matches!(column.type_name(), "char" | "varchar") => {
            let digits: String = column.column_type.chars().filter(char::is_ascii_digit).collect();
            digits.parse().is_ok_and(|length: usize| length <= KEY_CHARACTERS_MAX)
        }
        _ => false,
    }
}

//! Changes of rows that no shard can make by itself: the rows that may take part are brought to
//! one data node, locked where they are, the statement runs there under the server's own rules, and
//! the difference goes back to the shards. INSERT and REPLACE use the same road where a row's place
//! is known only after a server has made the row.

use crate::bind::{Bound, Reference, What};
use crate::insert::{InsertHome, SequenceUse};
use crate::keys::route_of_reference;
use crate::names::{NameMode, keep_item_names, name_edits, number};
use crate::plan::{LoadSource, PlanTable, RoutedPlan, TablePlace};
use crate::query::places::plan_table;
use crate::route::{Condition, Route};
use crate::scratch::{definition, is_about, needed_columns, partition_tokens};
use crate::template::{Piece, Template, TokenRange, push_quoted, quoted};
use crate::view::check::CheckOption;
use sql_syntax::ast::SelectItem;
use std::sync::Arc;
use topology::algorithm::{SqlValue, Target};
use topology::model::{Column, Placement};

/// UPDATE or DELETE by way of temporary tables.
#[derive(Clone, Debug)]
pub struct ScratchWritePlan {
    /// One for each table reference, at targets of its own schema.
    pub tables: Arc<[PlanTable]>,
    /// One for each table reference.
    pub loads: Vec<WriteLoad>,
    /// The statement with [`Piece::Temporary`] in place of its tables.
    pub text: Template,
    /// Why it is of this kind, for EXPLAIN.
    pub reason: &'static str,
    /// A schema on whose data nodes it can run.
    pub schema: String,
    /// UPDATE IGNORE: a row that a foreign key does not let change stays.
    pub ignore: bool,
    /// What changed rows of the first reference must satisfy.
    pub check: Option<CheckOption>,
}

/// How one table reference is brought to the scratch node.
#[derive(Clone, Debug)]
pub struct WriteLoad {
    /// The logical schema.
    pub schema: String,
    /// Where the rows are.
    pub source: LoadSource,
    /// The query for each of the source's places; rows that may change are locked by it.
    pub text: Template,
    /// `(column definitions)` of the temporary table, when the table is only read.
    pub definition: String,
    /// The columns of a table that is only read, in order.
    pub columns: Vec<String>,
    /// What is known of a table that may change.
    pub written: Option<Written>,
    /// The reference (a written one of the same table) whose temporary table serves this one too,
    /// where the server can open a temporary table twice.
    pub shares: Option<u32>,
}

/// A table that may change.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its columns, in the order of the load.
    pub columns: Vec<Column>,
    /// The places of the primary key's columns; empty without a primary key.
    pub primary_key: Vec<usize>,
    /// For each unique key, the primary key first, the places of its columns.
    pub unique_keys: Vec<Vec<usize>>,
    /// Where its rows belong.
    pub home: InsertHome,
    /// The sequence of its ids, with the place of the column.
    pub sequence: Option<(String, usize)>,
}

/// INSERT or REPLACE by way of temporary tables: a server makes the rows, then they are placed.
#[derive(Clone, Debug)]
pub struct ScratchInsertPlan {
    /// One for each reference, the table that is written first; then that again, for the temporary
    /// table in which the rows are made.
    pub tables: Arc<[PlanTable]>,
    /// The tables of sub-queries.
    pub loads: Vec<WriteLoad>,
    /// The reference of each load.
    pub load_references: Vec<usize>,
    /// Columns behind the query's own, for `tail`: the values of the row at hand.
    pub extras: usize,
    /// The table that is written.
    pub written: Written,
    /// Where the rows come from.
    pub rows: ScratchRows,
    /// What the statement does with rows that are there already.
    pub verb: InsertVerb,
    /// ON DUPLICATE KEY UPDATE (and RETURNING) for the temporary table.
    pub tail: Template,
    /// The rows and those that they meet are brought together; else the rows go to their shards
    /// with `pushed_tail` behind them.
    pub meets_rows: bool,
    /// The rows that are met may meet any other: all of the table's are brought.
    pub meets_all: bool,
    /// ON DUPLICATE KEY UPDATE for the shards.
    pub pushed_tail: Template,
    /// There is an ON DUPLICATE KEY UPDATE.
    pub updates_on_duplicate: bool,
    /// The column that takes generated ids.
    pub sequence: Option<SequenceUse>,
    /// Where ids are made, when no sequence makes them.
    pub auto_increment: Option<usize>,
    /// The statement lists one row: its answer has no text.
    pub one_row: bool,
    /// Why it is of this kind, for EXPLAIN.
    pub reason: &'static str,
    /// The logical schema of the table that is written.
    pub schema: String,
    /// What the rows must satisfy.
    pub check: Option<CheckOption>,
}

/// Where inserted rows come from.
#[derive(Clone, Debug)]
pub enum ScratchRows {
    /// The statement up to its last row, into the temporary table.
    Listed(Template),
    /// A query's rows for these columns.
    Query {
        /// The query.
        source: Box<RoutedPlan>,
        /// The columns.
        columns: Vec<String>,
    },
}

/// What an INSERT does with rows that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertVerb {
    /// An error.
    Insert,
    /// It leaves them.
    Ignore,
    /// It takes their place.
    Replace,
}

impl InsertVerb {
    /// As SQL.
    pub fn sql(self) -> &'static [u8] {
        match self {
            InsertVerb::Insert => b"INSERT INTO ",
            InsertVerb::Ignore => b"INSERT IGNORE INTO ",
            InsertVerb::Replace => b"REPLACE INTO ",
        }
    }
}

impl Written {
    /// What is known of a reference's table.
    pub(crate) fn of(reference: &Reference<'_>) -> Written {
        let table = reference.table;
        let places = |names: &[String]| -> Vec<usize> {
            names.iter().filter_map(|name| table.column(name).map(|(at, _)| at)).collect()
        };
        let home = match (&reference.router, &table.placement) {
            (Some(router), _) => InsertHome::Sharded(router.clone()),
            (None, Placement::Broadcast) => {
                InsertHome::Everywhere { shards: reference.schema.shard_count() }
            }
            (None, _) => InsertHome::Shard { shard: 0 },
        };
        let column = table.sequence_column.as_deref().filter(|_| !reference.is_single());
        let sequence = column
            .and_then(|column| table.column(column))
            .map(|(place, _)| (table.name.clone(), place));
        let primary = std::iter::once(&table.primary_key).filter(|key| !key.is_empty());
        Written {
            columns: table.columns.clone(),
            primary_key: places(&table.primary_key),
            unique_keys: primary.chain(&table.unique_keys).map(|key| places(key)).collect(),
            home,
            sequence,
        }
    }

    /// How a column is read so that what is written back is the same value: a FLOAT's text has too
    /// few digits, a BIT has none.
    pub fn exchange(column: &Column) -> Vec<u8> {
        let mut out = quoted(&column.name);
        if column.column_type.starts_with("float") {
            out.extend_from_slice(b"+0E0");
        } else if column.column_type.starts_with("bit") {
            out.extend_from_slice(b"+0");
        }
        out
    }

    /// The select list of all columns.
    pub fn select_list(&self) -> Vec<u8> {
        self.columns.iter().map(Written::exchange).collect::<Vec<_>>().join(&b", "[..])
    }

    /// Whether a column belongs to a unique key.
    pub fn is_unique(&self, column: usize) -> bool {
        self.unique_keys.iter().any(|key| key.contains(&column))
    }

    /// Whether unique values of these columns are unique over all shards.
    pub fn holds_everywhere(&self, columns: &[&str]) -> bool {
        match &self.home {
            InsertHome::Sharded(router) => router
                .columns
                .iter()
                .all(|key| columns.iter().any(|name| name.eq_ignore_ascii_case(&key.name))),
            _ => true,
        }
    }

    /// The targets of a row with these values: one, or all copies.
    pub fn place(&self, row: &[SqlValue]) -> Result<Vec<Target>, base::sql_error::SqlError> {
        let router = match &self.home {
            InsertHome::Shard { shard } => return Ok(vec![Target { shard: *shard, suffix: 0 }]),
            InsertHome::Everywhere { shards } => {
                return Ok((0..*shards).map(|shard| Target { shard, suffix: 0 }).collect());
            }
            InsertHome::Sharded(router) => router,
        };
        let keys: Vec<SqlValue> = self
            .key_columns()
            .map(|at| at.and_then(|at| row.get(at)).cloned().unwrap_or(SqlValue::Null))
            .collect();
        Ok(vec![router.place(&keys)?])
    }

    /// All places of its rows; of copies the first.
    pub fn places(&self) -> Vec<Target> {
        match &self.home {
            InsertHome::Sharded(router) => router.rule.all_targets(router.shards),
            _ => vec![Target { shard: 0, suffix: 0 }],
        }
    }

    /// The places of the sharding keys' columns.
    pub fn key_columns(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let keys = match &self.home {
            InsertHome::Sharded(router) => router.columns.as_slice(),
            _ => &[],
        };
        keys.iter().map(|key| {
            self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(&key.name))
        })
    }
}

/// A table at targets of its own schema.
pub(crate) fn own_place(reference: &Reference<'_>) -> PlanTable {
    let place = match &reference.table.placement {
        Placement::Sharded(rule) => TablePlace::Sharded { suffixed: rule.table.is_some() },
        Placement::Broadcast => TablePlace::Broadcast,
        Placement::Single => TablePlace::Fixed { shard: 0 },
    };
    plan_table(reference, place)
}

/// What a change does, as far as loads depend on it.
pub(crate) struct Wish<'w> {
    /// References whose rows may change.
    pub written: &'w [usize],
    /// Rows that are not chosen by the conditions may matter too: IGNORE with changed keys.
    pub whole: bool,
    /// ORDER BY's items and LIMIT's number, where each shard needs to give only so many rows.
    pub cut: Vec<TokenRange>,
    /// Why the statement takes this road.
    pub reason: &'static str,
    /// How tables are named in the text.
    pub mode: NameMode,
    /// RETURNING.
    pub returning: &'w [SelectItem],
    /// UPDATE IGNORE.
    pub ignore: bool,
}

/// The plan of an UPDATE or DELETE.
pub(crate) fn scratch_write(
    subject: &crate::planner::Subject<'_>,
    bound: &Bound<'_>,
    wish: &Wish<'_>,
) -> ScratchWritePlan {
    let needed = needed_columns(bound, &subject.parsed.stmt);
    let first_of = |index: usize| {
        wish.written.iter().copied().find(|written| {
            let (one, other) = (&bound.refs[*written], &bound.refs[index]);
            one.schema.name == other.schema.name && one.table.name == other.table.name
        })
    };
    let loads = (0..bound.refs.len())
        .map(|index| {
            let first = first_of(index);
            let several = (0..bound.refs.len()).filter(|other| first_of(*other) == first).count();
            if wish.written.contains(&index) {
                let mut load = written_load(bound, index, wish.whole || several > 1, &wish.cut);
                load.shares = first.filter(|first| *first != index).map(number);
                load
            } else {
                let mut load = read_load(bound, index, &needed[index]);
                load.shares = first.map(number);
                load
            }
        })
        .collect();
    let schema = wish.written.first().map(|index| bound.refs[*index].schema.name.clone());
    let mut edits = name_edits(bound, wish.mode);
    keep_item_names(bound, wish.returning, &mut edits);
    ScratchWritePlan {
        tables: bound.refs.iter().map(own_place).collect(),
        loads,
        text: Template::edited(subject.whole(), edits),
        reason: wish.reason,
        schema: schema.unwrap_or_default(),
        ignore: wish.ignore,
        check: subject.context.check.cloned(),
    }
}

/// All columns of the rows that may change, locked.
fn written_load(bound: &Bound<'_>, index: usize, whole: bool, cut: &[TokenRange]) -> WriteLoad {
    let reference = &bound.refs[index];
    let written = Written::of(reference);
    let mut pieces = vec![
        Piece::Text([b"SELECT ", written.select_list().as_slice(), b" FROM "].concat()),
        Piece::Table(number(index)),
    ];
    push_conditions(bound, index, whole, &mut pieces);
    if let [order @ .., limit] = cut
        && !whole
    {
        for order in order {
            pieces.extend([Piece::text(" ORDER BY "), Piece::Tokens(*order)]);
        }
        pieces.extend([Piece::text(" LIMIT "), Piece::Tokens(*limit)]);
    }
    pieces.push(Piece::text(" FOR UPDATE"));
    WriteLoad {
        schema: reference.schema.name.clone(),
        source: source(bound, index, whole),
        text: Template::made(pieces, name_edits(bound, NameMode::TargetAliased)),
        definition: String::new(),
        columns: Vec::new(),
        written: Some(written),
        shares: None,
    }
}

/// The needed columns of a table that is only read.
pub(crate) fn read_load(bound: &Bound<'_>, index: usize, columns: &[usize]) -> WriteLoad {
    let reference = &bound.refs[index];
    let columns: Vec<&Column> =
        columns.iter().map(|column| &reference.table.columns[*column]).collect();
    let mut select = b"SELECT ".to_vec();
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            select.extend_from_slice(b", ");
        }
        push_quoted(column.name.as_bytes(), &mut select);
    }
    select.extend_from_slice(b" FROM ");
    let mut pieces = vec![Piece::Text(select), Piece::Table(number(index))];
    push_conditions(bound, index, false, &mut pieces);
    WriteLoad {
        schema: reference.schema.name.clone(),
        source: source(bound, index, false),
        text: Template::made(pieces, name_edits(bound, NameMode::TargetAliased)),
        definition: definition(&columns),
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        written: None,
        shares: None,
    }
}

fn source(bound: &Bound<'_>, index: usize, whole: bool) -> LoadSource {
    match (route_of_reference(bound, index), &bound.refs[index].router) {
        (Some(_), Some(router)) if whole => {
            let router = router.clone();
            LoadSource::Route(Box::new(Route { router, condition: Condition::Any }))
        }
        (Some(route), _) => LoadSource::Route(Box::new(route)),
        (None, _) => LoadSource::Shard(0),
    }
}

/// ` AS alias WHERE …`: the conditions that may be asked of the reference's rows early.
fn push_conditions(bound: &Bound<'_>, index: usize, whole: bool, pieces: &mut Vec<Piece>) {
    let reference = &bound.refs[index];
    if !whole && let Some(partitions) = partition_tokens(bound, reference) {
        pieces.push(Piece::text(" "));
        pieces.push(Piece::Tokens(partitions));
    }
    pieces.extend(crate::names::alias_piece(bound, reference));
    if whole {
        return;
    }
    let mut word = " WHERE ";
    for conjunct in bound.conditions(reference.block) {
        let What::Expr(condition) = &conjunct.what else { continue };
        if conjunct.before_joins.contains(&index) && is_about(bound, index, condition) {
            pieces.push(Piece::text(word));
            pieces.push(Piece::text("("));
            pieces.push(Piece::Tokens(bound.range(condition.span)));
            pieces.push(Piece::text(")"));
            word = " AND ";
        }
    }
}

//! What the planner makes of a statement: plain, printable data that depends on the statement's
//! shape and the snapshot, never on its values. One plan so serves every statement of the same
//! digest; [`RoutedPlan::decide`] and [`crate::insert::InsertPlan`] take the values of one
//! execution and say what to do.

use crate::ddl::placement::PlacementPlan;
use crate::insert::{InsertPlan, InsertSelectPlan};
use crate::load::LoadPlan;
use crate::merge::Merge;
use crate::read_back::ReadBack;
use crate::reads::Reads;
use crate::route::Route;
use crate::scratch_write::{ScratchInsertPlan, ScratchWritePlan};
use crate::short_reads::ShortRead;
use crate::template::Template;
use crate::value::{ValueRef, Values};
use base::sql_error::SqlError;
use sql_syntax::Counted;
use std::sync::Arc;

use topology::account::Authority;
use topology::algorithm::Target;
use topology::model::Table;
use topology::stream::TableChange;

/// A planned statement. Valid for one snapshot version, one current schema and one lexer mode: a
/// cache has these in its key next to the digest.
#[derive(Clone, Debug)]
pub struct Planned {
    /// How to run it.
    pub plan: Plan,
    /// The plan serves every statement of the same digest.
    pub cacheable: bool,
    /// What the account must be allowed to do.
    pub access: Vec<Access>,
    /// Changes nothing (SELECT without locks that matter, SHOW …).
    pub read_only: bool,
    /// Takes row locks although it reads (FOR UPDATE, FOR SHARE).
    pub locking: bool,
    /// For how many seconds a change of definitions may wait for locks, if the statement says it.
    pub lock_wait: Option<u64>,
    /// What binds the statement to its session.
    pub uses: Uses,
    /// Which servers of a data node it may read.
    pub reads: Reads,
    /// A table of it is frozen: the plan is for a transaction that goes on, and for this once.
    pub frozen: bool,
    /// What it changes of its session where it runs; such a statement runs at one place.
    pub read_back: Option<Arc<ReadBack>>,
    /// The warnings of the statement before stay where it has none: it has no tables.
    pub keeps_warnings: bool,
    /// What SHOW STATUS counts it as.
    pub counted: Option<Counted>,
    /// It reads one row by a unique key, or a few; what that has cost so far.
    pub short: Option<Arc<ShortRead>>,
}

/// A table that the statement touches, with what it does there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The logical schema.
    pub schema: String,
    /// The table; `None` for the schema as a whole.
    pub table: Option<String>,
    /// What is done.
    pub authority: Authority,
}

/// Things in a statement that live in a session, so that it cannot run on any connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Reads or sets `@variables`.
    pub user_variables: bool,
    /// Reads `@@variables`.
    pub system_variables: bool,
    /// `LAST_INSERT_ID(expr)`, GET_LOCK and its kin: the session needs a connection of its own.
    pub connection_state: bool,
    /// GET_LOCK and its kin: runs where the session has its named locks.
    pub named_locks: bool,
    /// Calls a function of which it is not known that it gives the same on every server of a data
    /// node and changes nothing.
    pub other_functions: bool,
    /// Of these, one that no server has of itself: a stored function.
    pub stored_functions: bool,
}

/// How to run a statement.
#[derive(Clone, Debug)]
pub enum Plan {
    /// SELECT, UPDATE, DELETE: see [`RoutedPlan::decide`].
    Routed(Box<RoutedPlan>),
    /// INSERT and REPLACE of listed rows.
    Insert(Box<InsertPlan>),
    /// INSERT and REPLACE of a query's rows.
    InsertSelect(Box<InsertSelectPlan>),
    /// LOAD DATA LOCAL.
    Load(Box<LoadPlan>),
    /// INSERT and REPLACE whose rows must be made by a server before they can be placed.
    ScratchInsert(Box<ScratchInsertPlan>),
    /// A change of definitions.
    Ddl(Box<DdlPlan>),
    /// A change of where a table's rows are.
    Placement(Box<PlacementPlan>),
    /// Not about tables' rows: the session runs it from the syntax tree (SHOW, SET, USE, BEGIN …,
    /// and queries on information_schema).
    Session,
}

/// Where a statement on tables runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Home {
    /// Anywhere: no table, or broadcast tables alone. With a schema: on any shard of it.
    Any {
        /// The schema whose shards hold the tables.
        schema: Option<String>,
    },
    /// On one shard, whatever the values (single tables).
    Shard {
        /// The schema.
        schema: String,
        /// The shard.
        shard: u32,
    },
    /// On all shards alike: a write to a broadcast table.
    Everywhere {
        /// The schema.
        schema: String,
        /// How many shards.
        shards: u32,
    },
    /// Where the values say.
    Sharded {
        /// The schema.
        schema: String,
        /// One per group of tables that share their targets. Forwarding needs all to agree on one
        /// target.
        routes: Vec<Route>,
        /// The shards at which the statement's other tables are too, where that is not all.
        forwardable: Option<Arc<[bool]>>,
    },
    /// Nowhere as a whole: its tables are on different data nodes.
    Apart,
}

/// A plan of SELECT, UPDATE, DELETE.
#[derive(Clone, Debug)]
pub struct RoutedPlan {
    /// The tables of the statement, one per reference; [`crate::template::Piece::Table`] counts in
    /// them.
    pub tables: Arc<[PlanTable]>,
    /// Where it runs.
    pub home: Home,
    /// What one place gets.
    pub forward: Template,
    /// What is done when several places take part.
    pub many: Many,
    /// New values for sharding keys (`UPDATE t SET k = …`): pushed down when the row stays in its
    /// place; else `many` moves it.
    pub key_guard: Option<Route>,
    /// A read goes whole to one place when this execution's values happen to lead there
    /// (`ultimate_optimize`); else only when the statement's form says that they do.
    pub by_values: bool,
    /// SQL_CALC_FOUND_ROWS: the server that runs it is asked for FOUND_ROWS().
    pub counts_found: bool,
    /// A DELETE that names its targets by aliases: a data node takes it only on a connection that
    /// has a current database, whichever.
    pub wants_database: bool,
    /// Whether the id that a server tells of it is generated.
    pub told_id: crate::insert::ToldId,
    /// What it is, for EXPLAIN.
    pub kind: RowKind,
}

/// What a routed statement does with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Returns them.
    Read,
    /// Changes them and returns counts.
    Write,
}

/// What is done when the values lead to several places.
#[derive(Clone, Debug)]
pub enum Many {
    /// The text goes to all and the answers are merged.
    Scatter(Box<Scatter>),
    /// The rows are brought together on one data node and the statement runs there.
    Scratch(Box<ScratchPlan>),
    /// The same for a change of rows, which then goes back to where the rows are.
    ScratchWrite(Box<ScratchWritePlan>),
    /// Refused, with the reason.
    Refused(SqlError),
}

/// One text for many places.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// What each place gets.
    pub text: Template,
    /// How the answers become one.
    pub merge: Merge,
}

/// One reference to a table, and where its physical tables are.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanTable {
    /// The logical schema.
    pub schema: String,
    /// The logical table, as created.
    pub name: String,
    /// What its physical tables are called, where that is not the table's name.
    pub physical_base: Option<String>,
    /// The name that the statement knows it by: its alias, or the table's name as written.
    pub alias: String,
    /// How a target becomes a physical table.
    pub place: TablePlace,
}

/// How a target becomes a physical table.
#[derive(Clone, Debug, PartialEq)]
pub enum TablePlace {
    /// Always on this shard of the table's schema.
    Fixed {
        /// The shard.
        shard: u32,
    },
    /// A copy on every shard of the target's schema.
    Broadcast,
    /// A copy on every shard of another schema than the target's: for each shard of the target's
    /// schema, a shard of the table's own on the same data node.
    BroadcastOf {
        /// By the target's shard.
        shards: Arc<[u32]>,
    },
    /// At the target.
    Sharded {
        /// The name ends in the target's number.
        suffixed: bool,
    },
}

impl Planned {
    /// Whether all of it runs at the first shard of this schema, where its stored functions are.
    pub fn is_at_first_shard(&self, schema: &str) -> bool {
        let tables = match &self.plan {
            Plan::Routed(plan) => match &plan.home {
                Home::Shard { schema: own, shard: 0 } if own == schema => &plan.tables,
                _ => return false,
            },
            Plan::Insert(plan) => &plan.tables,
            Plan::InsertSelect(plan) => match &plan.source.home {
                Home::Shard { schema: own, shard: 0 } if own == schema => &plan.tables,
                _ => return false,
            },
            _ => return false,
        };
        let first = TablePlace::Fixed { shard: 0 };
        tables.iter().all(|table| table.schema == schema && table.place == first)
    }
}

impl PlanTable {
    /// The shard in which it is read for a target.
    pub fn shard_at(&self, target: Target) -> u32 {
        match &self.place {
            TablePlace::Fixed { shard } => *shard,
            TablePlace::BroadcastOf { shards } => {
                shards.get(target.shard as usize).copied().unwrap_or_default()
            }
            TablePlace::Broadcast | TablePlace::Sharded { .. } => target.shard,
        }
    }

    /// The physical database at a target.
    pub fn physical_database(&self, target: Target) -> String {
        topology::model::physical_database(&self.schema, self.shard_at(target))
    }

    /// The physical table's name at a target.
    pub fn physical_name(&self, target: Target) -> String {
        let base = self.physical_base();
        match self.place {
            TablePlace::Sharded { suffixed: true } => format!("{base}_{}", target.suffix),
            _ => base.to_owned(),
        }
    }

    /// What its physical tables are called, before their numbers.
    pub fn physical_base(&self) -> &str {
        self.physical_base.as_deref().unwrap_or(&self.name)
    }
}

/// Everything that cannot be merged while it streams: each table reference is loaded into a
/// temporary table on one data node, and the statement runs there under the server's own rules.
#[derive(Clone, Debug)]
pub struct ScratchPlan {
    /// What is brought there.
    pub loads: Vec<Load>,
    /// Conditions on loads by the values of others.
    pub reductions: Vec<Reduction>,
    /// The statement with [`crate::template::Piece::Temporary`] in place of its tables.
    pub text: Template,
    /// Why it is of this kind, for EXPLAIN.
    pub reason: &'static str,
    /// A schema on whose data nodes it can run (that of the first table).
    pub schema: String,
    /// What is loaded are parts of groups.
    pub groups: Option<GroupParts>,
}

/// A statement that runs over the shards' parts of its groups instead of over its rows.
#[derive(Clone, Debug)]
pub struct GroupParts {
    /// The statement itself for a shard, without rows: it tells the columns of the answer.
    pub columns: Template,
    /// What is done where the columns show that it would not be the same.
    pub otherwise: Box<ScratchPlan>,
}

/// How a table reference, or the result of a part of the statement, is brought to the scratch node.
#[derive(Clone, Debug)]
pub struct Load {
    /// The number of its temporary table: that of the reference in [`RoutedPlan::tables`], or, for
    /// results, one behind them all.
    pub number: u32,
    /// The logical schema.
    pub schema: String,
    /// `(column definitions)` of the temporary table, brackets included; empty for results, whose
    /// columns a server decides.
    pub definition: String,
    /// The primary key of the temporary table, where it holds over all shards: rows are then read in
    /// the order in which one server has them.
    pub primary_key: Vec<String>,
    /// It takes only some of its rows by conditions of its own: it is probably small.
    pub selective: bool,
    /// Of several loads that may be small, the one of the lowest number is asked first: sub-queries on
    /// sharded tables cost much, and a key of several columns is one of details.
    pub effort: u32,
    /// Columns that the temporary table has a key on.
    pub keys: Vec<String>,
    /// The keys, by columns, of a temporary table without the primary key: of many rows, which are
    /// not kept in order.
    pub large_keys: Vec<Vec<String>>,
    /// The table is on the scratch node itself (at target 0) and can be read there, unless a
    /// transaction is open, whose connection is another.
    pub in_place: bool,
    /// The columns, in order.
    pub columns: Vec<String>,
    /// Where the rows are.
    pub source: LoadSource,
    /// `SELECT columns FROM table WHERE …`, to run at each of the source's places.
    pub text: Template,
}

/// Where a load's rows are.
#[derive(Clone, Debug)]
pub enum LoadSource {
    /// On one shard (single tables: 0; broadcast tables: any will do, this one is named).
    Shard(u32),
    /// Where the values say.
    Route(Box<Route>),
    /// The rows of a query that runs by a plan of its own.
    Query(Box<RoutedPlan>),
    /// The rows of the load of this number.
    Copy(u32),
    /// The parts of groups that the places of this route make.
    Groups(Box<Route>),
}

/// `column IN (values)`, for a load whose rows are of no use without a partner among the rows of
/// another load, once that one is loaded and its values are few. [`crate::template::Piece::Reduction`]
/// stands in the load's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    /// The number of the load that is made smaller.
    pub load: u32,
    /// The column that is compared, quoted, with its qualifier.
    pub column: String,
    /// The number of the load whose values it must have.
    pub source: u32,
    /// The place of the column there.
    pub source_column: u32,
    /// Which sharding key of the load it is, if it is one.
    pub key: Option<u32>,
    /// How the two compare.
    pub family: Family,
}

/// What values of two columns are, so that their equality is equality of texts or numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Whole numbers.
    Integer,
    /// Dates.
    Date,
    /// Texts of one collation.
    Text,
}

impl ScratchPlan {
    /// The targets of each load, in the order of its loads, in that load's schema.
    pub fn sources(&self, values: &Values<'_>) -> Result<Vec<Vec<Target>>, SqlError> {
        self.loads.iter().map(|load| load.source.targets(values)).collect()
    }
}

impl LoadSource {
    /// The targets, in the load's own schema.
    pub fn targets(&self, values: &Values<'_>) -> Result<Vec<Target>, SqlError> {
        match self {
            LoadSource::Shard(shard) => Ok(vec![Target { shard: *shard, suffix: 0 }]),
            LoadSource::Route(route) | LoadSource::Groups(route) => route.targets(values),
            LoadSource::Query(_) | LoadSource::Copy(_) => Ok(Vec::new()),
        }
    }
}

/// What to do now, with the values of this execution.
#[derive(Debug)]
pub enum Action<'p> {
    /// One place gets the text and its answer is passed on as it is.
    Forward {
        /// Where.
        place: Place<'p>,
        /// What.
        text: &'p Template,
    },
    /// All these places get the text; the answers are merged.
    Scatter {
        /// The schema of the targets.
        schema: &'p str,
        /// Where, ordered.
        targets: Vec<Target>,
        /// What.
        text: &'p Template,
        /// How the answers become one.
        merge: &'p Merge,
    },
    /// All shards get the same change of a broadcast table; the answer of one (the first) counts
    /// for all.
    Everywhere {
        /// The schema.
        schema: &'p str,
        /// How many shards: targets are `0..shards`.
        shards: u32,
        /// What.
        text: &'p Template,
    },
    /// Load, then run.
    Scratch {
        /// How.
        plan: &'p ScratchPlan,
        /// The targets of each load, in the order of its loads, in that load's schema.
        sources: Vec<Vec<Target>>,
    },
    /// Load, run, and write the difference back.
    ScratchWrite {
        /// How.
        plan: &'p ScratchWritePlan,
        /// As in [`Action::Scratch`].
        sources: Vec<Vec<Target>>,
    },
}

/// One place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'p> {
    /// Any data node.
    AnyNode,
    /// Any shard of the schema; render the text with the target that was picked.
    AnyShard(&'p str),
    /// This one.
    Target(&'p str, Target),
}

impl RoutedPlan {
    /// What to do with these values.
    pub fn decide(&self, values: &Values<'_>) -> Result<Action<'_>, SqlError> {
        match &self.home {
            Home::Any { schema: None } => {
                Ok(Action::Forward { place: Place::AnyNode, text: &self.forward })
            }
            Home::Any { schema: Some(schema) } => {
                Ok(Action::Forward { place: Place::AnyShard(schema), text: &self.forward })
            }
            Home::Shard { schema, shard } => Ok(Action::Forward {
                place: Place::Target(schema, Target { shard: *shard, suffix: 0 }),
                text: &self.forward,
            }),
            Home::Everywhere { schema, shards } => {
                Ok(Action::Everywhere { schema, shards: *shards, text: &self.forward })
            }
            Home::Sharded { schema, routes, forwardable } => {
                self.decide_sharded(schema, routes, forwardable.as_deref(), values)
            }
            Home::Apart => self.decide_many("", &[], values),
        }
    }

    fn decide_sharded<'p>(
        &'p self,
        schema: &'p str,
        routes: &'p [Route],
        forwardable: Option<&[bool]>,
        values: &Values<'_>,
    ) -> Result<Action<'p>, SqlError> {
        let one = crate::route::common_target(routes, values)?;
        if let Some(guard) = &self.key_guard
            && !guard.stays(one, values)
        {
            return self.decide_many(schema, routes, values);
        }
        let is_allowed = |target: &Target| {
            forwardable.is_none_or(|allowed| allowed.get(target.shard as usize) == Some(&true))
        };
        let whole = self.by_values
            || matches!(self.many, Many::Refused(_))
            || matches!(routes, [route] if route.is_pinned());
        if let Some(target) = one.filter(|target| whole && is_allowed(target)) {
            return Ok(Action::Forward {
                place: Place::Target(schema, target),
                text: &self.forward,
            });
        }
        self.decide_many(schema, routes, values)
    }

    fn decide_many<'p>(
        &'p self,
        schema: &'p str,
        routes: &'p [Route],
        values: &Values<'_>,
    ) -> Result<Action<'p>, SqlError> {
        match &self.many {
            Many::Scatter(scatter) => {
                let targets = crate::route::all_targets(routes, values)?;
                let Scatter { text, merge } = scatter.as_ref();
                Ok(Action::Scatter { schema, targets, text, merge })
            }
            Many::Scratch(plan) => Ok(Action::Scratch { plan, sources: plan.sources(values)? }),
            Many::ScratchWrite(plan) => {
                let sources = plan.loads.iter().map(|load| load.source.targets(values));
                Ok(Action::ScratchWrite { plan, sources: sources.collect::<Result<_, _>>()? })
            }
            Many::Refused(error) => Err(error.clone()),
        }
    }
}

/// A change of definitions. The executor asks the control plane to begin, runs the statements, reads
/// the new definitions from a physical table and commits with them.
#[derive(Clone, Debug)]
pub struct DdlPlan {
    /// The logical schema.
    pub schema: String,
    /// What changes. A table's columns here are those that the statement tells; where `refresh`
    /// says so they are to be replaced by what the data nodes report.
    pub changes: Vec<TableChange>,
    /// What the data nodes get; empty for `DROP TABLE IF EXISTS` of nothing.
    pub statements: Vec<DdlStatement>,
    /// Tables (new names) whose definition is to be read from a data node before the commit.
    pub refresh: Vec<String>,
    /// Warnings for the client: (error number, text).
    pub notes: Vec<(u16, String)>,
    /// A start value for the sequence of a table (`AUTO_INCREMENT = n`).
    pub sequence_start: Option<(String, ValueRef)>,
    /// Tables whose sequence is to be forgotten (dropped, truncated: it starts again).
    pub sequence_reset: Vec<String>,
    /// Physical tables that are changed already are no error (`allow_alter_rerun`).
    pub rerun: bool,
    /// A column that becomes AUTO_INCREMENT: rows without a value get one, each another, and the
    /// sequence begins above all.
    pub numbered: Option<String>,
    /// What is cleared away once the change is known everywhere; it matters to nobody.
    pub afterwards: Vec<DdlStatement>,
    /// What is done instead where a dropped table cannot be kept in the recycle bin.
    pub otherwise: Option<Box<DdlPlan>>,
    /// What is changed after this, as a change of its own.
    pub then: Option<Box<DdlPlan>>,
    /// The error with which the statement ends although it changed something.
    pub error_after: Option<SqlError>,
}

/// One statement of a DDL, for all physical tables of one logical table.
#[derive(Clone, Debug)]
pub struct DdlStatement {
    /// The table's names at its targets; `Piece::Table` counts in them.
    pub tables: Arc<[PlanTable]>,
    /// Where: every physical table.
    pub targets: Vec<Target>,
    /// What each target gets.
    pub text: Template,
    /// Undoes it at a target (`DROP TABLE` for a CREATE), where that is possible.
    pub undo: Option<Template>,
}

/// Every place of a table's rows: (shard, number) pairs.
pub fn table_targets(table: &Table, shards: u32) -> Vec<Target> {
    use topology::model::Placement;
    match &table.placement {
        Placement::Single => vec![Target { shard: 0, suffix: 0 }],
        Placement::Broadcast => (0..shards).map(|shard| Target { shard, suffix: 0 }).collect(),
        Placement::Sharded(rule) => rule.all_targets(shards),
    }
}

//! Names → tables. A walk over the tree finds every table reference with its query block, every
//! condition with the references that it restricts, and what a column's name means where it stands.
//! The planner's other parts ask this instead of the tree.

pub(crate) mod aggregates;
mod resolve;
pub(crate) mod walk;

use sql_syntax::TokenBuf;
use sql_syntax::ast::{ColumnRef, Cte, Expr, Query, Select, Span, TableName, TableRef};
use std::collections::HashMap;
use topology::model::{Placement, Schema, Snapshot, Table};

use crate::plan::Uses;
use crate::route::Router;
use crate::template::TokenRange;

pub(crate) use resolve::{ColumnOf, ident_text};

/// The statement as a whole, its names looked up.
#[derive(Debug)]
pub(crate) struct Bound<'s> {
    /// The statement's text.
    pub src: &'s [u8],
    /// Its tokens.
    pub tokens: &'s TokenBuf,
    /// What tables there are.
    pub snapshot: &'s Snapshot,
    /// The schema of unqualified names.
    pub current_schema: Option<&'s str>,
    /// Tables get no alias that the statement does not give them.
    pub plain_names: bool,
    /// Table references in the order of the text.
    pub refs: Vec<Reference<'s>>,
    /// Query blocks; 0 is the outermost.
    pub blocks: Vec<Block<'s>>,
    /// The reference whose name is this token.
    pub ref_by_token: HashMap<u32, usize>,
    /// The block of the SELECT at this token.
    pub block_by_token: HashMap<u32, usize>,
    /// Names of columns in expressions, with the block where they stand.
    pub columns: Vec<(ColumnRef, usize)>,
    /// Queries of WITH.
    pub named: Vec<Named<'s>>,
    /// Where they are used.
    pub named_uses: Vec<NamedUse<'s>>,
    /// Where table names qualify something.
    pub qualified: Vec<Qualified>,
    /// Calls that the session answers.
    pub session_calls: Vec<(crate::template::SessionValue, TokenRange)>,
    /// System variables that are the instance's own, with their values as SQL text.
    pub own_variables: Vec<(TokenRange, Vec<u8>)>,
    /// Items that are added behind the query's own.
    pub additions: Vec<crate::template::Edit>,
    /// What was met.
    pub facts: Facts,
}

/// What was met in the statement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// Session-bound things.
    pub uses: Uses,
    /// WITH.
    pub ctes: bool,
    /// UNION and the like.
    pub set_operations: bool,
    /// `@a := …`.
    pub assigns_variables: bool,
    /// A window function.
    pub windows: bool,
    /// RAND, UUID and the like.
    pub random: bool,
    /// ROWNUM(), which counts the rows of the whole statement.
    pub row_numbers: bool,
    /// DEFAULT(column), which a temporary table cannot tell.
    pub default_values: bool,
    /// A query on information_schema or another system schema.
    pub system_schema: bool,
}

/// A query of WITH.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'s> {
    /// The query with its name.
    pub cte: &'s Cte,
}

/// A use of a query of WITH in a FROM.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedUse<'s> {
    /// Which, in [`Bound::named`].
    pub named: usize,
    /// The name's token.
    pub token: u32,
    /// The reference; none for `TABLE name`.
    pub table_ref: Option<&'s TableRef>,
}

/// A table's name before a column, a star, or among the targets of a DELETE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Qualified {
    /// The schema's token, if there is one; a dot follows.
    pub schema_token: Option<u32>,
    /// The table's token.
    pub table_token: u32,
    /// The reference that is meant.
    pub reference: usize,
}

/// One reference to a table.
#[derive(Debug)]
pub(crate) struct Reference<'s> {
    /// The logical schema.
    pub schema: &'s Schema,
    /// The table.
    pub table: &'s Table,
    /// The name that the statement knows it by.
    pub alias: String,
    /// An alias is written.
    pub has_alias: bool,
    /// Its name in the tree.
    pub name: TableName,
    /// The whole reference, where it is one of FROM.
    pub table_ref: Option<&'s TableRef>,
    /// Its block.
    pub block: usize,
    /// An outer join may make its columns NULL.
    pub null_side: bool,
    /// For sharded tables.
    pub router: Option<Router>,
}

impl Reference<'_> {
    /// Whether it is sharded.
    pub fn is_sharded(&self) -> bool {
        matches!(self.table.placement, Placement::Sharded(_))
    }

    /// Whether it is single.
    pub fn is_single(&self) -> bool {
        matches!(self.table.placement, Placement::Single)
    }

    /// Whether its physical name differs from target to target.
    pub fn is_suffixed(&self) -> bool {
        matches!(&self.table.placement, Placement::Sharded(rule) if rule.table.is_some())
    }

    /// Whether its physical tables are called otherwise than it is.
    pub fn is_renamed(&self) -> bool {
        self.is_suffixed() || self.table.physical_base.is_some()
    }
}

/// One SELECT (or the one level of an UPDATE or DELETE).
#[derive(Debug, Default)]
pub(crate) struct Block<'s> {
    /// The block around it.
    pub parent: Option<usize>,
    /// What is in its FROM.
    pub sources: Vec<Source>,
    /// The conditions.
    pub conditions: Vec<Conjunct<'s>>,
    /// Columns of USING.
    pub using: Vec<String>,
    /// There is a NATURAL JOIN in its FROM.
    pub natural: bool,
    /// The SELECT, if it is one.
    pub select: Option<&'s Select>,
    /// It stands in a FROM (a derived table or named query).
    pub derived: bool,
    /// An operand of a set operation.
    pub set_operand: bool,
    /// Its query has a LIMIT of its own.
    pub limited: bool,
}

/// Something in a FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A table.
    Table(usize),
    /// A derived table or named query.
    Opaque {
        /// Its alias.
        alias: Vec<u8>,
        /// Its columns' names, where they are certain.
        columns: Option<Vec<Vec<u8>>>,
        /// The token of the named query's name, or the first of the derived table's query.
        token: u32,
    },
}

/// A condition that must hold.
#[derive(Clone, Debug)]
pub(crate) struct Conjunct<'s> {
    /// What must hold.
    pub what: What<'s>,
    /// References whose rows are of no use where it does not hold, given that it is not true for
    /// NULLs.
    pub restricts: Vec<usize>,
    /// Those of them that no outer join between can make NULL: the condition may be applied to
    /// their rows before the join.
    pub before_joins: Vec<usize>,
    /// Every row of the block's joined FROM that is used satisfies it.
    pub global: bool,
    /// The join that it belongs to, by the join's span; none for WHERE.
    pub join: Option<Span>,
}

/// What a conjunct says.
#[derive(Clone, Debug)]
pub(crate) enum What<'s> {
    /// An expression.
    Expr(&'s Expr),
    /// USING: two columns are equal.
    Equal(ColumnOf, ColumnOf),
}

impl<'s> Bound<'s> {
    /// The token range of a span of the tree.
    pub fn range(&self, span: Span) -> TokenRange {
        TokenRange::of(self.tokens, span).unwrap_or(TokenRange { first: 0, last: 0 })
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &'s [u8] {
        span.of(self.src)
    }

    /// The SELECT whose items name the columns of a query.
    pub fn first_select(query: &Query) -> Option<&Select> {
        use sql_syntax::ast::SetExpr;
        let mut body = &query.body;
        loop {
            match body {
                SetExpr::Select(select) => return Some(select),
                SetExpr::Paren(query, _) => body = &query.body,
                SetExpr::SetOp(chain) => body = &chain.first,
                SetExpr::Values(..) | SetExpr::Table(..) => return None,
            }
        }
    }

    /// All conjuncts of a block.
    pub fn conditions(&self, block: usize) -> &[Conjunct<'s>] {
        &self.blocks[block].conditions
    }

    /// The references of a block alone.
    pub fn refs_of(&self, block: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.refs.len()).filter(move |index| self.refs[*index].block == block)
    }
}

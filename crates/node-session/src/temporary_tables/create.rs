//! CREATE TEMPORARY TABLE: as defined, LIKE another table, or AS a query. A query's rows come by an
//! INSERT … SELECT of any plan; the columns' types are a data node's own, from the same query over
//! physical tables without rows.

use super::{Place, TEMPORARY_TABLES_MAX, Temporary, logical};
use crate::control::text;
use crate::query::{Source, plan_text, run_sql};
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::OkPacket;
use node_backend::query::QueryResult;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::own_connection::Need;
use sql_plan::plan::{Plan, PlanTable, TablePlace, table_targets};
use sql_plan::template::{Fill, Rendered, quoted};
use sql_syntax::ast::{CreateTable, Parsed, Query, Span};
use sql_syntax::{Edits, TokenBuf, lex};
use topology::algorithm::Target;

/// ER_TABLE_EXISTS_ERROR
const TABLE_EXISTS: u16 = 1050;

/// The name of a table that is not filled yet and whose own name its query reads.
const ASIDE: &str = "_ddm_new_temporary";

/// A query without rows, as the data node of a temporary table runs it.
struct Empty {
    text: Vec<u8>,
    /// Whether it reads a table that has the temporary table's name.
    reads_name: bool,
}

impl Core {
    /// CREATE TEMPORARY TABLE.
    pub(super) async fn create_temporary(
        &mut self,
        create: &CreateTable,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        if create.sharding.is_some() {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "a temporary table is neither sharded nor broadcast: it is its session's alone",
            ));
        }
        let place = self.temporary_place(create.name, source.text)?;
        self.check_name(&place)?;
        let (schema, name) = place.key();
        if create.if_not_exists && self.kept.temporary.contains(&schema, &name) {
            self.exec.last.warnings = vec![Warning {
                level: "Note".to_owned(),
                code: TABLE_EXISTS,
                message: format!("Table '{}' already exists", place.name).into_bytes(),
            }];
            self.reply_done(OkPacket { warnings: 1, ..OkPacket::default() });
            return Ok(());
        }
        let statement = match (&create.like, &create.query) {
            (Some(like), _) => self.like_statement(create, *like, &place, source).await?,
            (None, Some(query)) => {
                let Empty { text, reads_name } = self.empty_query(query, &place, source)?;
                if reads_name && !self.kept.temporary.contains(&schema, &name) {
                    return self.create_aside(create, query, place, source, &text).await;
                }
                [Self::head_of(create, query, &place, source), text].concat()
            }
            (None, None) => {
                let mut edits = Edits::new();
                edits.replace(create.name.span, &place.qualified());
                let mut statement = Vec::new();
                edits.apply_within(source.text, parsed.text, &mut statement);
                statement
            }
        };
        let ok = self.make_temporary(&place, &statement).await?;
        match &create.query {
            Some(query) => self.fill_temporary(create, query, &place, source).await,
            None => {
                self.reply_done(ok);
                Ok(())
            }
        }
    }

    /// A table from a query that reads a table of the same name: it would read the new one, so that
    /// has another name until it is filled.
    async fn create_aside(
        &mut self,
        create: &CreateTable,
        query: &Query,
        place: Place,
        source: Source<'_>,
        empty: &[u8],
    ) -> Result<(), ExecError> {
        let aside = Place { name: ASIDE.to_owned(), ..place.clone() };
        let mark = self.out.mark();
        let statement = [Self::head_of(create, query, &aside, source), empty.to_vec()].concat();
        self.make_temporary(&aside, &statement).await?;
        self.fill_temporary(create, query, &aside, source).await?;
        let renamed = self.name_aside(&aside, &place).await;
        if renamed.is_err() && !self.out.take_back(mark) {
            return Err(ExecError::BrokenOff("a temporary table has no name".to_owned()));
        }
        renamed
    }

    async fn name_aside(&mut self, aside: &Place, place: &Place) -> Result<(), ExecError> {
        let node = self.worker.backends.node(&place.data_node)?;
        let (from, to) = (aside.qualified(), place.qualified());
        let statement = [b"ALTER TABLE ".as_slice(), &from, b" RENAME TO ", &to].concat();
        let renamed = self.run_on_own(&node, &statement).await;
        if let Err(error) = renamed {
            let drop = [b"DROP TEMPORARY TABLE ".as_slice(), &from].concat();
            self.run_on_own(&node, &drop).await?;
            self.forget_temporary(aside);
            return Err(logical(error, place));
        }
        let table = self.read_temporary(&node, place).await?;
        let temporary = Temporary { data_node: place.data_node.clone(), table };
        // First the new one: without any the connection would be given back.
        self.kept.temporary.tables.insert(place.key(), temporary);
        self.forget_temporary(aside);
        Ok(())
    }

    /// The name must not be that of a physical table, which it would hide on its connection.
    fn check_name(&self, place: &Place) -> Result<(), ExecError> {
        if self.kept.temporary.tables.len() >= TEMPORARY_TABLES_MAX {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                format!("more than {TEMPORARY_TABLES_MAX} temporary tables in one session"),
            ));
        }
        let Some(schema) = self.base_snapshot().schema(&place.schema) else { return Ok(()) };
        let hides = schema.tables.values().any(|table| {
            let own = table.name.eq_ignore_ascii_case(&place.name);
            !own && table_targets(table, schema.shard_count()).iter().any(|target| {
                target.shard == 0
                    && table.physical_name(target.suffix).eq_ignore_ascii_case(&place.name)
            })
        });
        match hides {
            true => Err(sql(
                sql_error::NOT_SUPPORTED,
                format!(
                    "a temporary table cannot be called '{}': a part of a sharded table has this \
                     name on the data nodes; choose another",
                    place.name
                ),
            )),
            false => Ok(()),
        }
    }

    /// Runs the CREATE on the session's own connection and takes the definition.
    pub(super) async fn make_temporary(
        &mut self,
        place: &Place,
        statement: &[u8],
    ) -> Result<OkPacket, ExecError> {
        let node = self.worker.backends.node(&place.data_node)?;
        self.exec.keep_connection(&node, Need::TemporaryTables).await?;
        let made = self.run_on_own(&node, statement).await;
        if made.is_err() && self.kept.temporary.tables.is_empty() {
            self.exec.own.forget_on(&place.data_node, Need::TemporaryTables);
        }
        let ok = made.map_err(|error| logical(error, place))?;
        let table = self.read_temporary(&node, place).await?;
        let temporary = Temporary { data_node: place.data_node.clone(), table };
        self.kept.temporary.tables.insert(place.key(), temporary);
        self.temporary_changed();
        Ok(ok)
    }

    /// CREATE … LIKE: the other table's own definition under the new name.
    async fn like_statement(
        &mut self,
        create: &CreateTable,
        like: sql_syntax::ast::TableName,
        place: &Place,
        source: Source<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        let definition = self.own_definition_of(like, source).await?;
        let head = match (create.or_replace, create.if_not_exists) {
            (true, _) => "CREATE OR REPLACE TEMPORARY TABLE ",
            (false, true) => "CREATE TEMPORARY TABLE IF NOT EXISTS ",
            (false, false) => "CREATE TEMPORARY TABLE ",
        };
        Ok([head.as_bytes(), &place.qualified(), b" ", definition.as_bytes()].concat())
    }

    /// The query over physical tables of the place's data node, without rows.
    fn empty_query(
        &mut self,
        query: &Query,
        place: &Place,
        source: Source<'_>,
    ) -> Result<Empty, ExecError> {
        let inner = crate::user_variables::inlined(source, query.span);
        let mut tokens = TokenBuf::new();
        let mode = *source.mode;
        lex(&inner, 0, &mode, &mut tokens);
        let of_inner = Source {
            text: &inner,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        let planned = plan_text(self, of_inner)?;
        let Plan::Routed(routed) = &planned.plan else {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "CREATE TEMPORARY TABLE AS a query on information_schema is not supported; create \
                 the table with columns, then insert",
            ));
        };
        let tables: Vec<PlanTable> = routed
            .tables
            .iter()
            .map(|table| self.stand_in(table, place))
            .collect::<Result<_, _>>()?;
        let values = crate::query::values_of(of_inner);
        let mut rendered = Rendered::default();
        let fill = Fill {
            values: &values,
            tables: &tables,
            session: &|what, out| self.exec.write_value(what, out),
            temporary: &|_, _| {},
            inline_params: true,
        };
        routed.forward.render(&fill, Target { shard: 0, suffix: 0 }, &mut rendered);
        // WITH cannot stand in parentheses of its own.
        let (before, after): (&[u8], &[u8]) = match query.with {
            Some(_) => (b" SELECT * FROM (", b"\n) AS `q` LIMIT 0"),
            None => (b" (", b"\n) LIMIT 0"),
        };
        let reads_name = routed.tables.iter().any(|table| {
            table.schema.eq_ignore_ascii_case(&place.schema)
                && table.name.eq_ignore_ascii_case(&place.name)
        });
        Ok(Empty { text: [before, &rendered.text, after].concat(), reads_name })
    }

    /// The statement up to its query, with the physical name.
    fn head_of(create: &CreateTable, query: &Query, place: &Place, source: Source<'_>) -> Vec<u8> {
        let mut edits = Edits::new();
        edits.replace(create.name.span, &place.qualified());
        let mut head = Vec::new();
        let span = Span::new(create.span.start, query.span.start);
        edits.apply_within(source.text, span, &mut head);
        // The query may have brackets around it in the statement.
        while head.last().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'(') {
            head.pop();
        }
        head
    }

    /// A physical table of a logical one that is on the place's data node.
    fn stand_in(&self, table: &PlanTable, place: &Place) -> Result<PlanTable, ExecError> {
        let schema = self.snapshot.schema(&table.schema);
        let found = schema.and_then(|schema| {
            let logical = schema.table(&table.name)?;
            let near = |target: &&Target| {
                let shard = schema.shards.get(target.shard as usize);
                shard.is_some_and(|shard| shard.data_node == place.data_node)
            };
            let targets = table_targets(logical, schema.shard_count());
            targets.iter().find(near).map(|target| PlanTable {
                schema: table.schema.clone(),
                name: logical.physical_name(target.suffix),
                physical_base: None,
                alias: table.alias.clone(),
                place: TablePlace::Fixed { shard: target.shard },
            })
        });
        found.ok_or_else(|| {
            sql(
                sql_error::NOT_SUPPORTED,
                format!(
                    "table '{}' has no part on the data node of the temporary table; create the \
                     temporary table with columns, then insert into it",
                    table.name
                ),
            )
        })
    }

    /// The query's rows go into the new table; if they cannot, it is dropped again.
    async fn fill_temporary(
        &mut self,
        create: &CreateTable,
        query: &Query,
        place: &Place,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let filled = self.insert_query(create, query, place, source).await;
        if filled.is_err() {
            let node = self.worker.backends.node(&place.data_node)?;
            let statement = [b"DROP TEMPORARY TABLE ".as_slice(), &place.qualified()].concat();
            self.run_on_own(&node, &statement).await?;
            self.forget_temporary(place);
        }
        filled
    }

    async fn insert_query(
        &mut self,
        create: &CreateTable,
        query: &Query,
        place: &Place,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let between = match create.body_span {
            Some(body) => Span::new(body.end, query.span.start),
            None => Span::new(create.name.span.end, query.span.start),
        };
        let words = text(between.of(source.text)).to_ascii_uppercase();
        let has = |word: &str| words.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == word);
        let verb: &[u8] = match (has("REPLACE"), has("IGNORE")) {
            (true, _) => b"REPLACE INTO ",
            (_, true) => b"INSERT IGNORE INTO ",
            _ => b"INSERT INTO ",
        };
        let name = [quoted(&place.schema).as_slice(), b".", &quoted(&place.name)].concat();
        let columns = match create.body_span {
            Some(_) => self.query_columns(query, place, source).await?,
            None => Vec::new(),
        };
        let rows = crate::user_variables::inlined(source, query.span);
        let statement = [verb, &name, b" ", &columns, b" ", &rows].concat();
        Box::pin(run_sql(self, &statement)).await
    }

    /// The names of the query's columns, for a table that has others of its own.
    async fn query_columns(
        &mut self,
        query: &Query,
        place: &Place,
        source: Source<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        let Empty { text: empty, .. } = self.empty_query(query, place, source)?;
        let node = self.worker.backends.node(&place.data_node)?;
        let mut exec = self.exec();
        let mut held = exec.acquire(&node, false).await?;
        let answer = held.lease.query(&empty).await;
        exec.release(held);
        let QueryResult::Rows(set) = answer? else {
            return Err(sql(sql_error::UNKNOWN_ERROR, "a query answered without columns"));
        };
        let names: Vec<Vec<u8>> =
            set.columns.iter().map(|column| quoted(&text(&column.name))).collect();
        Ok([b"(".as_slice(), &names.join(&b","[..]), b")"].concat())
    }
}

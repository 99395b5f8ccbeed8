//! Statements in which something else stands among tables: tables of information_schema, which have
//! their rows elsewhere, and sequences, which are tables of one row. Each becomes a temporary table of
//! the session for as long as the statement runs, so that everything else about the statement is as
//! with any table.

use super::Place;
use crate::catalogue::{CLOSED_SCHEMAS, insert_text};
use crate::catalogue_rows::{Kind, Needed, kind_of};
use crate::control::text;
use crate::permission;
use crate::query::{Source, values_of};
use crate::sequence_tables::as_table;
use crate::sequence_values::lexed;
use crate::session::Core;
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use node_exec::error::{ExecError, sql};
use node_exec::named_sequence::Definition;
use node_exec::names::{CATALOGUE_STAND_IN, SEQUENCE_STAND_IN};
use sql_plan::catalogue::{CatalogueTable, INFORMATION_SCHEMA};
use sql_plan::plan::Access;
use sql_plan::template::quoted;
use sql_syntax::Edits;
use sql_syntax::ast::{Parsed, Statement, TableName};
use sql_syntax::visit::for_each_table;
use topology::account::Authority;

/// A place in a statement that a temporary table takes.
struct Site {
    name: TableName,
    has_alias: bool,
    /// As written.
    table: String,
    /// A sequence; else it is of information_schema.
    sequence: Option<Definition>,
}

/// The places of a statement, and the schema that has the temporary tables.
struct StandIns {
    schema: String,
    sites: Vec<Site>,
}

type Described = (Option<Vec<ColumnDefinition>>, Vec<ColumnDefinition>);

impl Core {
    /// The places that temporary tables take; none in nearly all statements, and in queries on
    /// information_schema alone, which have a way of their own.
    async fn stand_ins(
        &self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<Option<StandIns>, ExecError> {
        let of_rows = matches!(
            parsed.stmt,
            Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Update(_)
                | Statement::Delete(_)
        );
        if !of_rows {
            return Ok(None);
        }
        let current = self.exec.identity.schema.as_deref().unwrap_or_default();
        let mut all = Vec::new();
        for_each_table(&parsed.stmt, source.text, |site| {
            let schema = match site.name.schema {
                Some(schema) => text(&schema.name(source.text)).to_lowercase(),
                None => current.to_lowercase(),
            };
            if !site.is_cte {
                let table = text(&site.name.name.name(source.text));
                all.push((schema, table, *site.name, site.alias.is_some(), site.depth));
            }
        });
        if all.iter().any(|(schema, ..)| CLOSED_SCHEMAS.contains(&schema.as_str())) {
            return Ok(None);
        }
        let (mut place, mut sites) = (None, Vec::new());
        for (schema, table, name, has_alias, depth) in all {
            let sequence = match self.snapshot.schema(&schema) {
                _ if schema == INFORMATION_SCHEMA => None,
                // Only what is no table may be a sequence.
                Some(known) if depth > 0 && known.table(&table).is_none() => {
                    self.sequence_named(name, source).await?
                }
                _ => None,
            };
            if schema != INFORMATION_SCHEMA {
                place.get_or_insert_with(|| schema.clone());
            }
            if schema == INFORMATION_SCHEMA || sequence.is_some() {
                sites.push(Site { name, has_alias, table, sequence });
            }
        }
        Ok(place.filter(|_| !sites.is_empty()).map(|schema| StandIns { schema, sites }))
    }

    /// Runs a statement with temporary tables in such places; false for all others.
    pub(crate) async fn run_with_stand_ins(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        let Some(of) = self.stand_ins(parsed, source).await? else { return Ok(false) };
        let mut made = Vec::new();
        let ran = match self.make_stand_ins(&of, &mut made, source).await {
            Ok(statement) => {
                let tokens = lexed(&statement, source.mode);
                let param_tokens = crate::prepared::params_of(&tokens);
                let text = statement.as_slice();
                let made = Source { text, tokens: &tokens, param_tokens: &param_tokens, ..source };
                Box::pin(crate::query::run_one(self, made, 0)).await
            }
            Err(error) => Err(error),
        };
        let dropped = self.drop_stand_ins(&made).await;
        ran.and(dropped).map(|()| true)
    }

    /// What PREPARE tells of such a statement.
    pub(crate) async fn describe_with_stand_ins(
        &mut self,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<Option<Described>, ExecError> {
        let Some(of) = self.stand_ins(parsed, source).await? else { return Ok(None) };
        let mut made = Vec::new();
        let described = match self.make_stand_ins(&of, &mut made, source).await {
            Ok(statement) => self.describe_statement(&statement, source).await,
            Err(error) => Err(error),
        };
        let dropped = self.drop_stand_ins(&made).await;
        let described = described?;
        dropped.map(|()| Some(described))
    }

    async fn describe_statement(
        &mut self,
        statement: &[u8],
        source: Source<'_>,
    ) -> Result<Described, ExecError> {
        let tokens = lexed(statement, source.mode);
        let made = Source { text: statement, tokens: &tokens, ..source };
        let parsed = crate::query::parse_source(made, 0)?;
        let planned = crate::query::plan_parsed(self, &parsed, made)?;
        self.describe(&planned, made, &crate::prepared::params_of(&tokens)).await
    }

    /// Makes the temporary tables; gives the statement that reads them.
    async fn make_stand_ins(
        &mut self,
        of: &StandIns,
        made: &mut Vec<Place>,
        source: Source<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        if self.worker.backends.is_read_only() {
            return Err(sql(
                sql_error::NODE_IS_READ_ONLY,
                "The DDM node is running in read-only mode so it cannot make the temporary table that this statement needs",
            ));
        }
        let first = self.snapshot.schema(&of.schema).and_then(|one| {
            let shard = one.shards.first().filter(|_| one.ready)?;
            Some((one.name.clone(), shard.data_node.clone(), shard.database.clone()))
        });
        let Some((schema, data_node, database)) = first else {
            return Err(sql(sql_error::UNKNOWN_DB, format!("Unknown database '{}'", of.schema)));
        };
        let mut edits = Edits::new();
        for (number, site) in of.sites.iter().enumerate() {
            let prefix = match site.sequence {
                Some(_) => SEQUENCE_STAND_IN,
                None => CATALOGUE_STAND_IN,
            };
            let place = Place {
                schema: schema.clone(),
                name: format!("{prefix}{number}"),
                data_node: data_node.clone(),
                database: database.clone(),
            };
            match &site.sequence {
                Some(one) => self.make_sequence_table(one, site, &place, made, source).await?,
                None => self.make_joined(&site.table, &place, made, source).await?,
            }
            let mut written = [quoted(&place.schema), b".".to_vec(), quoted(&place.name)].concat();
            if !site.has_alias {
                written.extend_from_slice(b" AS ");
                written.extend(quoted(&site.table));
            }
            edits.replace(site.name.span, &written);
        }
        let mut statement = Vec::new();
        edits.apply_within(source.text, source.tokens.text_span(), &mut statement);
        Ok(statement)
    }

    async fn make_sequence_table(
        &mut self,
        one: &Definition,
        site: &Site,
        place: &Place,
        made: &mut Vec<Place>,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = self.schema_of(site.name.schema, source)?.name.clone();
        let access = Access { schema, table: Some(one.name.clone()), authority: Authority::Select };
        permission::check(self.account()?, &self.host, std::slice::from_ref(&access))?;
        let (columns, row) = as_table(one);
        let own = place.qualified();
        let create =
            [b"CREATE TEMPORARY TABLE ".as_slice(), &own, b" ", columns.as_bytes()].concat();
        self.make_temporary(place, &create).await?;
        made.push(place.clone());
        let insert = [b"INSERT INTO ".as_slice(), &own, b" VALUES ", row.as_bytes()].concat();
        let node = self.worker.backends.node(&place.data_node)?;
        self.run_on_own(&node, &insert).await.map(|_| ())
    }

    async fn drop_stand_ins(&mut self, made: &[Place]) -> Result<(), ExecError> {
        let mut dropped = Ok(());
        for place in made {
            let one = self.drop_joined(place).await;
            dropped = dropped.and(one);
        }
        dropped
    }

    async fn make_joined(
        &mut self,
        table: &str,
        place: &Place,
        made: &mut Vec<Place>,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let upper = table.to_uppercase();
        let kind = kind_of(&upper);
        let limit = match kind {
            Kind::Denied => {
                return Err(sql(
                    sql_error::SPECIFIC_ACCESS_DENIED,
                    "Access denied; you need (at least one of) the PROCESS privilege(s) for this operation",
                ));
            }
            Kind::InPlace => "",
            _ => " LIMIT 0",
        };
        let of = String::from_utf8_lossy(&quoted(&upper)).into_owned();
        let from = format!(" AS SELECT * FROM information_schema.{of}{limit}");
        let create =
            [b"CREATE TEMPORARY TABLE ".as_slice(), &place.qualified(), from.as_bytes()].concat();
        self.make_temporary(place, &create).await?;
        made.push(place.clone());
        if kind == Kind::InPlace {
            return Ok(());
        }
        let columns = self.columns_of_temporary(place);
        let needed = Needed::of(kind, columns, None);
        let whole = CatalogueTable { name: upper, ..CatalogueTable::default() };
        let values = values_of(source);
        let rows = self.catalogue_rows(&whole, kind, &needed, &values).await?;
        if rows.len() as u64 > self.worker.settings().temporary_rows_max {
            return Err(sql(sql_error::TEMP_TABLE_LIMIT, "Temp table limit exceeded"));
        }
        let node = self.worker.backends.node(&place.data_node)?;
        let own = String::from_utf8_lossy(&place.qualified()).into_owned();
        for statement in insert_text(&own, &needed.columns, &rows) {
            self.run_on_own(&node, &statement).await?;
        }
        Ok(())
    }

    async fn drop_joined(&mut self, place: &Place) -> Result<(), ExecError> {
        let node = self.worker.backends.node(&place.data_node)?;
        let statement = [b"DROP TEMPORARY TABLE ".as_slice(), &place.qualified()].concat();
        let warnings = std::mem::take(&mut self.exec.last.warnings);
        let dropped = self.run_on_own(&node, &statement).await;
        self.exec.last.warnings = warnings;
        self.forget_temporary(place);
        dropped.map(|_| ())
    }

    fn columns_of_temporary(&self, place: &Place) -> Vec<String> {
        let table = self.kept.temporary.tables.get(&place.key());
        let columns = table.map(|one| one.table.columns.as_slice()).unwrap_or_default();
        columns.iter().map(|column| column.name.to_uppercase()).collect()
    }
}

//! What a data node tells of one physical table, told of the logical one: columns, indexes, the
//! CREATE statement, DESCRIBE, table status.

use crate::control::text;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use crate::show_rule::sharding_clause;
use crate::view_repair::{BROKEN_VIEW, broken};
use base::sql_error;
use mysql_wire::column::ColumnDefinition;
use node_backend::query::QueryResult;
use node_exec::error::{ExecError, sql};
use sql_plan::number_tables::{is_number_table, number_table};
use sql_plan::template::quoted;
use sql_syntax::ast::{Describe, Show, ShowKind, TableName};
use topology::account::Authority;
use topology::algorithm::Target;
use topology::definition;
use topology::model::{Placement, Schema, Table};

/// A physical table that stands for a logical one.
struct Place {
    schema: Schema,
    table: Table,
    data_node: base::id::DataNodeId,
    database: String,
    physical: String,
}

impl Place {
    fn qualified(&self) -> Vec<u8> {
        let mut name = quoted(&self.database);
        name.push(b'.');
        name.extend(quoted(&self.physical));
        name
    }
}

impl Core {
    /// The first physical table of a logical one, if the account may look at it.
    fn place_of(
        &self,
        name: TableName,
        schema: Option<sql_syntax::ast::Ident>,
        source: Source<'_>,
    ) -> Result<Place, ExecError> {
        let schema = self.schema_of(name.schema.or(schema), source)?;
        let shown = text(&name.name.name(source.text));
        let account = self.account()?;
        if !permission::sees_table(account, &schema.name, &shown) {
            return Err(
                permission::table_denied(account, &self.host, Authority::Select, &shown).into()
            );
        }
        let numbers = || {
            let are_numbers = self.lex.mariadb && is_number_table(&shown);
            // Its definition has no clause.
            are_numbers
                .then(|| Table { placement: Placement::Single, ..number_table(shown.clone()) })
        };
        let table = schema.table(&shown).cloned().or_else(numbers).ok_or_else(|| {
            sql(sql_error::NO_SUCH_TABLE, format!("Table '{}.{shown}' doesn't exist", schema.name))
        })?;
        let first = sql_plan::plan::table_targets(&table, schema.shard_count())
            .first()
            .copied()
            .unwrap_or(Target { shard: 0, suffix: 0 });
        let shard = schema.shards.get(first.shard as usize).ok_or_else(|| {
            sql(sql_error::SCHEMA_NOT_READY, format!("schema '{}' has no shards", schema.name))
        })?;
        Ok(Place {
            schema: schema.clone(),
            physical: table.physical_name(first.suffix),
            table,
            data_node: shard.data_node.clone(),
            database: shard.database.clone(),
        })
    }

    /// Asks a data node; rows come as fields to be changed.
    async fn ask(
        &mut self,
        data_node: &base::id::DataNodeId,
        statement: &[u8],
    ) -> Result<(Vec<ColumnDefinition>, Vec<Row>), ExecError> {
        let node = self.worker.backends.node(data_node)?;
        let mut exec = self.exec();
        let mut held = exec.acquire(&node, false).await?;
        let result = held.lease.query(statement).await;
        exec.release(held);
        match result? {
            QueryResult::Rows(set) => {
                let width = set.columns.len();
                let rows = set
                    .rows
                    .iter()
                    .map(|row| (0..width).map(|at| row.get(at).map(<[u8]>::to_vec)).collect());
                Ok((set.columns.to_vec(), rows.collect()))
            }
            QueryResult::Ok(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    /// Asks about a physical table; about a view's counterpart once more when it had to be made again.
    async fn ask_place(
        &mut self,
        place: &Place,
        statement: &[u8],
    ) -> Result<(Vec<ColumnDefinition>, Vec<Row>), ExecError> {
        let asked = self.ask(&place.data_node, statement).await;
        let is_broken = |error: &ExecError| error.server_number() == Some(BROKEN_VIEW);
        match asked {
            Err(error) if is_broken(&error) => {
                match self.repair_view(&place.schema, &place.table).await {
                    Ok(true) => self.ask(&place.data_node, statement).await,
                    Err(error) if !is_broken(&error) => Err(error),
                    _ => Err(broken(&place.schema, &place.table)),
                }
            }
            asked => asked,
        }
    }

    /// The quoted name of a table of information_schema, if it is one; such a table is the same on every
    /// data node.
    fn own_table(
        &self,
        name: TableName,
        schema: Option<sql_syntax::ast::Ident>,
        source: Source<'_>,
    ) -> Option<Vec<u8>> {
        let written = name.schema.or(schema).map(|schema| text(&schema.name(source.text)));
        let schema = written.or_else(|| self.exec.identity.schema.clone())?;
        if !schema.eq_ignore_ascii_case(sql_plan::catalogue::INFORMATION_SCHEMA) {
            return None;
        }
        let table = quoted(&text(&name.name.name(source.text)));
        Some([b"information_schema.".as_slice(), &table].concat())
    }

    /// Asks any data node.
    pub(crate) async fn ask_any(&mut self, statement: &[u8]) -> Result<(), ExecError> {
        let node = self.worker.backends.any()?.definition.id.clone();
        let (columns, rows) = self.ask(&node, statement).await?;
        self.reply(&columns, &rows).await
    }

    /// SHOW COLUMNS and SHOW INDEX.
    pub async fn show_of_table(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = show
            .table
            .ok_or_else(|| sql(sql_error::SYNTAX_ERROR, "SHOW of a table needs its name"))?;
        let own = self.own_table(name, show.schema, source);
        let place = match own {
            Some(_) => None,
            None => Some(self.place_of(name, show.schema, source)?),
        };
        let mut ask = b"SHOW ".to_vec();
        if show.full {
            ask.extend_from_slice(b"FULL ");
        }
        ask.extend_from_slice(if show.kind == ShowKind::Index {
            b"INDEX FROM "
        } else {
            b"COLUMNS FROM "
        });
        ask.extend(place.as_ref().map_or_else(|| own.unwrap_or_default(), Place::qualified));
        if let Some(token) = show.like_tok {
            ask.extend_from_slice(b" LIKE ");
            ask.extend_from_slice(source.tokens.bytes(source.text, token));
        } else if let Some(selection) = &show.selection {
            ask.extend_from_slice(b" WHERE ");
            ask.extend_from_slice(selection.span.of(source.text));
        }
        let Some(place) = place else { return self.ask_any(&ask).await };
        let (columns, mut rows) = self.ask_place(&place, &ask).await?;
        make_logical(&place, &columns, &mut rows);
        if show.kind == ShowKind::Index {
            count_all_places(&place, &columns, &mut rows);
        }
        self.reply(&columns, &rows).await
    }

    /// DESCRIBE.
    pub async fn run_describe(
        &mut self,
        describe: &Describe,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let own = self.own_table(describe.table, None, source);
        let place = match own {
            Some(_) => None,
            None => Some(self.place_of(describe.table, None, source)?),
        };
        let mut ask = b"DESCRIBE ".to_vec();
        ask.extend(place.as_ref().map_or_else(|| own.unwrap_or_default(), Place::qualified));
        if let Some(column) = describe.column {
            ask.push(b' ');
            ask.extend_from_slice(column.raw(source.text));
        }
        let Some(place) = place else { return self.ask_any(&ask).await };
        let (columns, mut rows) = self.ask_place(&place, &ask).await?;
        make_logical(&place, &columns, &mut rows);
        self.reply(&columns, &rows).await
    }

    /// SHOW CREATE TABLE, with the sharding clause.
    pub async fn show_create_table(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = show
            .table
            .ok_or_else(|| sql(sql_error::SYNTAX_ERROR, "SHOW CREATE TABLE needs a name"))?;
        if let Some(own) = self.own_table(name, show.schema, source) {
            return self.ask_any(&[b"SHOW CREATE TABLE ".as_slice(), &own].concat()).await;
        }
        let place = self.place_of(name, show.schema, source)?;
        if place.table.view.is_some() {
            return self.show_create_view(&place).await;
        }
        if show.kind == ShowKind::CreateView {
            let shown =
                format!("'{}.{}' is not of type 'VIEW'", place.schema.name, place.table.name);
            return Err(sql(sql_error::WRONG_OBJECT, shown));
        }
        let mut ask = b"SHOW CREATE TABLE ".to_vec();
        ask.extend(place.qualified());
        let (columns, mut rows) = self.ask_place(&place, &ask).await?;
        if let Some([name, create]) = rows
            .first_mut()
            .and_then(|row| row.get_mut(..2))
            .and_then(|two| <&mut [_; 2]>::try_from(two).ok())
        {
            *name = field(&place.table.name);
            if let Some(statement) = create {
                *create = field(logical_create(&place, &text(statement)));
            }
        }
        self.reply(&columns, &rows).await
    }

    /// SHOW CREATE VIEW, and SHOW CREATE TABLE of a view.
    async fn show_create_view(&mut self, place: &Place) -> Result<(), ExecError> {
        let mut ask = b"SHOW CREATE VIEW ".to_vec();
        ask.extend(place.qualified());
        let (columns, mut rows) = self.ask_place(place, &ask).await?;
        let Some(view) = &place.table.view else { return Ok(()) };
        let name = place.table.name.replace('`', "``");
        let definer = format!("`{}`@`%`", self.user.replace('`', "``"));
        let head =
            view.head.replacen(" SQL SECURITY", &format!(" DEFINER={definer} SQL SECURITY"), 1);
        let here = self.exec.identity.schema.as_deref() == Some(place.schema.name.as_str());
        let own = format!("`{}`.", place.schema.name);
        // As servers do, names of the current schema stand by themselves.
        let query = if here { view.query.replace(&own, "") } else { view.query.clone() };
        let owner = if here { "" } else { &own };
        let check = if view.check_option { " WITH CASCADED CHECK OPTION" } else { "" };
        if let Some(row) = rows.first_mut().filter(|row| row.len() >= 2) {
            row[0] = field(&place.table.name);
            row[1] = field(format!("{head} VIEW {owner}`{name}` AS {query}{check}"));
        }
        self.reply(&columns, &rows).await
    }

    /// What follows the name in a table's CREATE statement, from its bracket on, without the counter of
    /// AUTO_INCREMENT.
    pub async fn definition_of(
        &mut self,
        name: TableName,
        source: Source<'_>,
    ) -> Result<String, ExecError> {
        let place = self.place_of(name, None, source)?;
        if place.table.view.is_some() {
            let shown =
                format!("'{}.{}' is not of type 'BASE TABLE'", place.schema.name, place.table.name);
            return Err(sql(sql_error::WRONG_OBJECT, shown));
        }
        let mut ask = b"SHOW CREATE TABLE ".to_vec();
        ask.extend(place.qualified());
        let (_, rows) = self.ask_place(&place, &ask).await?;
        let create = rows.first().and_then(|row| row.get(1).cloned().flatten()).unwrap_or_default();
        let create = definition::without_counter(&logical_create(&place, &text(&create)));
        Ok(create.find(" (").map(|at| create[at + 1..].to_owned()).unwrap_or_default())
    }

    /// The same without the sharding clause and without keys to other tables: what CREATE TEMPORARY
    /// TABLE … LIKE takes.
    pub async fn own_definition_of(
        &mut self,
        name: TableName,
        source: Source<'_>,
    ) -> Result<String, ExecError> {
        let mut definition = self.definition_of(name, source).await?;
        let place = self.place_of(name, None, source)?;
        let clause = sharding_clause(&place.schema, &place.table);
        definition.truncate(definition.len() - clause.len());
        Ok(without_foreign_keys(&definition))
    }
}

/// Estimates of one physical table become those of all: values of a unique key, and of a key that says
/// where a row lies, are others in each.
fn count_all_places(place: &Place, columns: &[ColumnDefinition], rows: &mut [Row]) {
    let Placement::Sharded(rule) = &place.table.placement else { return };
    let places = u64::from(place.schema.shard_count()) * u64::from(rule.tables_per_shard);
    let at = |name: &[u8]| columns.iter().position(|column| column.name == name);
    let (Some(unique), Some(column), Some(count)) =
        (at(b"Non_unique"), at(b"Column_name"), at(b"Cardinality"))
    else {
        return;
    };
    for row in rows {
        let field_at = |at: usize| row[at].as_ref().map(|value| text(value)).unwrap_or_default();
        let is_key =
            rule.key_columns().iter().any(|key| key.eq_ignore_ascii_case(&field_at(column)));
        if (is_key || field_at(unique) == "0")
            && let Ok(estimate) = field_at(count).parse::<u64>()
        {
            row[count] = field(estimate.saturating_mul(places));
        }
    }
}

/// Physical names and what the sequence does become what the client knows.
fn make_logical(place: &Place, columns: &[ColumnDefinition], rows: &mut [Row]) {
    for (at, column) in columns.iter().enumerate() {
        for row in rows.iter_mut() {
            let Some(value) = row.get(at).cloned().flatten() else { continue };
            if column.name == b"Table" && value == place.physical.as_bytes() {
                row[at] = field(&place.table.name);
            }
            let sequence = place.table.sequence_column.as_deref();
            let is_sequence = row.first().cloned().flatten().is_some_and(|name| {
                sequence.is_some_and(|sequence| sequence.as_bytes().eq_ignore_ascii_case(&name))
            });
            if column.name == b"Extra" && is_sequence && value.is_empty() {
                row[at] = field("auto_increment");
            }
        }
    }
}

/// The data node's CREATE statement with the logical name and the sharding clause. The data node's
/// counter of AUTO_INCREMENT is the table's where the table is nowhere else.
fn logical_create(place: &Place, create: &str) -> String {
    let mut statement = definition::renamed(create, &place.physical, &place.table.name);
    if place.table.placement != Placement::Single {
        statement = definition::without_counter(&statement);
    }
    if let Some(sequence) = &place.table.sequence_column {
        statement = definition::with_auto_increment(&statement, sequence);
    }
    statement + &sharding_clause(&place.schema, &place.table)
}

/// A definition's lines without those of keys to other tables.
fn without_foreign_keys(definition: &str) -> String {
    let is_foreign =
        |line: &&str| line.starts_with("  CONSTRAINT `") && line.contains(" FOREIGN KEY (");
    let lines: Vec<&str> = definition.split('\n').filter(|line| !is_foreign(line)).collect();
    lines.join("\n").replace(",\n)", "\n)")
}

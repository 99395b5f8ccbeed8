//! CHECK TABLE in the product's own form, which compares the physical tables of each logical one; and
//! ANALYZE, OPTIMIZE, REPAIR, CHECKSUM and CHECK with options, which every physical table runs and
//! whose answers become one under the logical name.

use crate::control::text;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::id::DataNodeId;
use base::sql_error;
use futures::future::join_all;
use node_backend::query::QueryResult;
use node_exec::error::{ExecError, sql};
use node_exec::rows::{number_column, text_column};
use sql_plan::plan::table_targets;
use sql_plan::template::quoted;
use sql_syntax::ast::{Maintain, MaintainKind, TableName};
use std::collections::{BTreeMap, HashMap};
use topology::account::Authority;
use topology::algorithm::Target;
use topology::definition::{Parts, comparable};
use topology::model::{Placement, Schema, Table, physical_database};

/// A row's checksum has 32 bits, and so has the sum of them.
const CHECKSUM_MODULUS: u64 = 1 << 32;

/// A data node does not have the table.
const NO_SUCH_TABLE: u16 = 1146;

/// Rows of one physical table's answer that are kept.
const MESSAGES_MAX: usize = 1_000;

/// One physical table.
#[derive(Clone, Debug)]
struct Place {
    data_node: DataNodeId,
    database: String,
    physical: String,
}

impl Place {
    fn qualified(&self) -> Vec<u8> {
        [quoted(&self.database), b".".to_vec(), quoted(&self.physical)].concat()
    }
}

fn places(schema: &Schema, table: &Table) -> Vec<Place> {
    table_targets(table, schema.shard_count())
        .into_iter()
        .filter_map(|target: Target| {
            let shard = schema.shards.get(target.shard as usize)?;
            Some(Place {
                data_node: shard.data_node.clone(),
                database: physical_database(&schema.name, target.shard),
                physical: table.physical_name(target.suffix),
            })
        })
        .collect()
}

fn type_name(table: &Table) -> &'static str {
    match &table.placement {
        Placement::Single => "SINGLE",
        Placement::Broadcast => "BROADCAST",
        Placement::Sharded(_) => "SHARDING",
    }
}

/// The definitions of a table's physical tables; none where one is not there.
type Definitions = Vec<(Place, Option<String>)>;

impl Core {
    /// Table maintenance in all forms.
    pub async fn run_maintain(
        &mut self,
        maintain: &Maintain,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let tables = self.maintained(maintain, source)?;
        self.commit().await?;
        let has_options =
            maintain.rest.is_some_and(|rest| !rest.of(source.text).trim_ascii().is_empty());
        match maintain.kind {
            MaintainKind::Check if maintain.tables.is_empty() => self.check_schema(tables).await,
            MaintainKind::Check if !has_options => self.check_tables(tables).await,
            MaintainKind::Checksum => self.checksum(tables, maintain, source).await,
            _ => self.merge_messages(tables, maintain, source).await,
        }
    }

    /// The tables that are meant; `None` for one that is not there.
    fn maintained(
        &self,
        maintain: &Maintain,
        source: Source<'_>,
    ) -> Result<Vec<(Schema, String, Option<Table>)>, ExecError> {
        let account = self.account()?;
        let may = |schema: &str, name: &str| match account.administrator
            || (permission::sees(account, schema) && !account.authorities.is_empty())
        {
            true => Ok(()),
            false => Err(permission::table_denied(account, &self.host, Authority::Select, name)),
        };
        if maintain.tables.is_empty() {
            let schema = self.schema_of(None, source)?.clone();
            may(&schema.name, "*")?;
            let tables = schema.tables.values().filter(|table| table.view.is_none());
            let listed =
                tables.map(|table| (schema.clone(), table.name.clone(), Some(table.clone())));
            return Ok(listed.collect());
        }
        let mut found = Vec::new();
        for name in &maintain.tables {
            let TableName { schema, name, .. } = name;
            let schema = self.schema_of(*schema, source)?;
            let name = text(&name.name(source.text));
            may(&schema.name, &name)?;
            found.push((schema.clone(), name.clone(), schema.table(&name).cloned()));
        }
        Ok(found)
    }

    /// The definitions of all physical tables, each data node asked by itself.
    async fn definitions_of(
        &self,
        schema: &Schema,
        table: &Table,
    ) -> Result<Definitions, ExecError> {
        let mut by_node: BTreeMap<DataNodeId, Vec<(usize, Place)>> = BTreeMap::new();
        for (number, place) in places(schema, table).into_iter().enumerate() {
            by_node.entry(place.data_node.clone()).or_default().push((number, place));
        }
        let asks = by_node.into_iter().map(|(id, places)| async move {
            let node = self.worker.backends.node(&id)?;
            let mut lease = node.own_lease().await?;
            let mut told = Vec::new();
            for (number, place) in places {
                let ask = [b"SHOW CREATE TABLE ".as_slice(), &place.qualified()].concat();
                let create = match lease.query(&ask).await {
                    Ok(answer) => answer.into_rows().first().and_then(|row| row.text(1)),
                    Err(error) if error.server().is_some_and(|one| one.number == NO_SUCH_TABLE) => {
                        None
                    }
                    Err(error) => return Err(ExecError::from(error)),
                };
                let create = create.map(|one| comparable(&one, &place.physical, &table.name));
                told.push((number, (place, create)));
            }
            Ok(told)
        });
        let mut all = Vec::new();
        for told in join_all(asks).await {
            all.extend(told?);
        }
        all.sort_by_key(|(number, _)| *number);
        Ok(all.into_iter().map(|(_, one)| one).collect())
    }

    /// CHECK TABLE: one row a table.
    async fn check_schema(
        &mut self,
        tables: Vec<(Schema, String, Option<Table>)>,
    ) -> Result<(), ExecError> {
        let mut rows: Vec<Row> = Vec::new();
        for (schema, _, table) in &tables {
            let Some(table) = table else { continue };
            let definitions = self.definitions_of(schema, table).await?;
            let right = prevailing(&definitions);
            let wrong: Vec<String> = definitions
                .iter()
                .filter(|(_, one)| *one != right || one.is_none())
                .map(|(place, _)| text(&place.qualified()))
                .collect();
            rows.push(vec![
                field(rows.len()),
                field(&schema.name),
                field(&table.name),
                field(type_name(table)),
                field(if wrong.is_empty() { "Y" } else { "N" }),
                field(definitions.len()),
                field(wrong.len()),
                field(wrong.join(", ")),
            ]);
        }
        let columns = [
            number_column("ID"),
            text_column("DATABASE_NAME"),
            text_column("TABLE_NAME"),
            text_column("TABLE_TYPE"),
            text_column("DDL_CONSISTENCY"),
            number_column("TOTAL_COUNT"),
            number_column("INCONSISTENT_COUNT"),
            text_column("DETAILS"),
        ];
        self.reply(&columns, &rows).await
    }

    /// CHECK TABLE t: one row for each physical table that differs.
    async fn check_tables(
        &mut self,
        tables: Vec<(Schema, String, Option<Table>)>,
    ) -> Result<(), ExecError> {
        let mut rows: Vec<Row> = Vec::new();
        for (schema, name, table) in &tables {
            let Some(table) = table else {
                let shown = format!("Table '{}.{name}' doesn't exist", schema.name);
                return Err(sql(sql_error::NO_SUCH_TABLE, shown));
            };
            let definitions = self.definitions_of(schema, table).await?;
            let Some(right) = prevailing(&definitions) else {
                for (place, _) in &definitions {
                    rows.push(difference_row(rows.len(), place, table, None));
                }
                continue;
            };
            let parts = Parts::of(&right);
            for (place, definition) in &definitions {
                match definition {
                    Some(one) if *one == right => {}
                    Some(one) => {
                        let difference = Some((&parts, Parts::of(one)));
                        rows.push(difference_row(rows.len(), place, table, difference));
                    }
                    None => rows.push(difference_row(rows.len(), place, table, None)),
                }
            }
        }
        let names = [
            "DATABASE_NAME",
            "TABLE_NAME",
            "TABLE_TYPE",
            "EXTRA_COLUMNS",
            "MISSING_COLUMNS",
            "DIFFERENT_COLUMNS",
            "KEY_DIFF",
            "ENGINE_DIFF",
            "CHARSET_DIFF",
            "COLLATE_DIFF",
            "EXTRA_PARTITIONS",
            "MISSING_PARTITIONS",
            "DIFFERENT_PARTITIONS",
            "EXTRA_INFO",
        ];
        let columns: Vec<_> = std::iter::once(number_column("ID"))
            .chain(names.iter().map(|name| text_column(name)))
            .collect();
        self.reply(&columns, &rows).await
    }

    /// CHECKSUM TABLE: a server's checksum of a table is the sum of its rows' in 32 bits, so that of
    /// a sharded table is the sum of its physical tables'.
    async fn checksum(
        &mut self,
        tables: Vec<(Schema, String, Option<Table>)>,
        maintain: &Maintain,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let mut rows: Vec<Row> = Vec::new();
        for (schema, name, table) in &tables {
            let shown = field(format!("{}.{name}", schema.name));
            let Some(table) = table else {
                rows.push(vec![shown, None]);
                continue;
            };
            let mut sum = Some(0_u64);
            let copies = if table.placement == Placement::Broadcast { 1 } else { usize::MAX };
            for answer in self.on_places(schema, table, copies, maintain, source).await? {
                let value = answer.first().and_then(|row| row.get(1).cloned().flatten());
                let value = value.and_then(|value| text(&value).parse::<u64>().ok());
                sum = sum.zip(value).map(|(sum, value)| (sum + value) % CHECKSUM_MODULUS);
            }
            rows.push(vec![shown, sum.and_then(field)]);
        }
        self.reply(&[text_column("Table"), number_column("Checksum")], &rows).await
    }

    /// Messages of all physical tables, each once, and one status.
    async fn merge_messages(
        &mut self,
        tables: Vec<(Schema, String, Option<Table>)>,
        maintain: &Maintain,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let operation = word(maintain.kind).to_ascii_lowercase();
        let mut rows: Vec<Row> = Vec::new();
        for (schema, name, table) in &tables {
            let shown = format!("{}.{name}", schema.name);
            let mut add = |kind: &str, message: &str| {
                rows.push(vec![field(&shown), field(&operation), field(kind), field(message)]);
            };
            let Some(table) = table else {
                add("Error", &format!("Table '{shown}' doesn't exist"));
                add("status", "Operation failed");
                continue;
            };
            let mut messages: Vec<(String, String)> = Vec::new();
            let mut status: Option<(String, String)> = None;
            for answer in self.on_places(schema, table, usize::MAX, maintain, source).await? {
                let Some((last, before)) = answer.split_last() else { continue };
                for row in before {
                    let message = message_of(row);
                    if !messages.contains(&message) && messages.len() < MESSAGES_MAX {
                        messages.push(message);
                    }
                }
                let last = message_of(last);
                let is_good = status.as_ref().is_none_or(|(kind, told)| {
                    kind == "status"
                        && matches!(told.as_str(), "OK" | "Table is already up to date")
                });
                if is_good {
                    status = Some(last);
                }
            }
            for (kind, message) in messages.into_iter().chain(status) {
                add(&kind, &message);
            }
        }
        let columns = ["Table", "Op", "Msg_type", "Msg_text"].map(text_column).to_vec();
        self.reply(&columns, &rows).await
    }

    /// The statement on a table's physical tables, at most `most` of them.
    async fn on_places(
        &self,
        schema: &Schema,
        table: &Table,
        most: usize,
        maintain: &Maintain,
        source: Source<'_>,
    ) -> Result<Vec<Vec<Row>>, ExecError> {
        let mut by_node: BTreeMap<DataNodeId, Vec<Place>> = BTreeMap::new();
        for place in places(schema, table).into_iter().take(most) {
            by_node.entry(place.data_node.clone()).or_default().push(place);
        }
        let rest = maintain.rest.map(|rest| rest.of(source.text)).unwrap_or_default();
        let head = format!("{} TABLE ", word(maintain.kind)).into_bytes();
        let head = &head;
        let asks = by_node.into_iter().map(|(id, places)| async move {
            let node = self.worker.backends.node(&id)?;
            let mut lease = node.own_lease().await?;
            let mut answers = Vec::new();
            for place in places {
                let ask = [head.as_slice(), &place.qualified(), b" ", rest].concat();
                let QueryResult::Rows(set) = lease.query(&ask).await? else { continue };
                let width = set.columns.len();
                let rows = set.rows.iter();
                let fields =
                    rows.map(|row| (0..width).map(|at| row.get(at).map(<[u8]>::to_vec)).collect());
                answers.push(fields.collect::<Vec<Row>>());
            }
            Ok::<_, ExecError>(answers)
        });
        let mut all = Vec::new();
        for answers in join_all(asks).await {
            all.extend(answers?);
        }
        Ok(all)
    }
}

fn word(kind: MaintainKind) -> &'static str {
    match kind {
        MaintainKind::Analyze => "ANALYZE",
        MaintainKind::Check => "CHECK",
        MaintainKind::Optimize => "OPTIMIZE",
        MaintainKind::Repair => "REPAIR",
        MaintainKind::Checksum => "CHECKSUM",
    }
}

fn message_of(row: &Row) -> (String, String) {
    let at = |place: usize| row.get(place).cloned().flatten().map(|value| text(&value));
    (at(2).unwrap_or_default(), at(3).unwrap_or_default())
}

/// The definition that most of the physical tables have; of several the first one's.
fn prevailing(definitions: &Definitions) -> Option<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for definition in definitions.iter().filter_map(|(_, one)| one.as_deref()) {
        *counts.entry(definition).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    definitions
        .iter()
        .filter_map(|(_, one)| one.as_deref())
        .find(|one| counts.get(one) == Some(&most))
        .map(str::to_owned)
}

/// A row of CHECK TABLE t; without parts the physical table is not there.
fn difference_row(id: usize, place: &Place, table: &Table, parts: Option<(&Parts, Parts)>) -> Row {
    let mut row =
        vec![field(id), field(&place.database), field(&place.physical), field(type_name(table))];
    let Some((right, own)) = parts else {
        row.extend((0..10).map(|_| field("")));
        row.push(field("TABLE NOT EXISTS"));
        return row;
    };
    let named = |list: &[(String, String)], name: &str| {
        list.iter().find(|(one, _)| one == name).map(|(_, definition)| definition.clone())
    };
    let without = |list: &[(String, String)], other: &[(String, String)]| {
        let missing = list.iter().filter(|(name, _)| named(other, name).is_none());
        missing.map(|(_, definition)| definition.clone()).collect::<Vec<_>>().join(", ")
    };
    let different: Vec<String> = own
        .columns
        .iter()
        .filter(|(name, definition)| {
            named(&right.columns, name).is_some_and(|other| other != *definition)
        })
        .map(|(_, definition)| definition.clone())
        .collect();
    let lines = |list: &[String], other: &[String]| {
        list.iter().filter(|one| !other.contains(one)).cloned().collect::<Vec<_>>().join(", ")
    };
    let keys = [lines(&own.keys, &right.keys), lines(&right.keys, &own.keys)];
    let key_difference = match keys {
        [extra, missing] if extra.is_empty() && missing.is_empty() => String::new(),
        [extra, missing] => format!("EXTRA: {extra}; MISSING: {missing}"),
    };
    let option = |own: &str, right: &str| if own == right { String::new() } else { own.to_owned() };
    row.push(field(without(&own.columns, &right.columns)));
    row.push(field(without(&right.columns, &own.columns)));
    row.push(field(different.join(", ")));
    row.push(field(key_difference));
    row.push(field(option(&own.engine, &right.engine)));
    row.push(field(option(&own.charset, &right.charset)));
    row.push(field(option(&own.collate, &right.collate)));
    row.push(field(lines(&own.partitions, &right.partitions)));
    row.push(field(lines(&right.partitions, &own.partitions)));
    row.push(field(""));
    row.push(field(if own.columns == right.columns { "" } else { "COLUMNS DIFFER" }));
    row
}

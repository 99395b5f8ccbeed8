//! SHOW RULE, SHOW TOPOLOGY and SHOW DATA NODE, and the sharding clause of SHOW CREATE TABLE: how
//! tables lie on shards, in the product's own columns.

use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use node_exec::error::{ExecError, sql};
use node_exec::rows::{number_column, text_column};
use sql_syntax::ast::Show;
use topology::model::{Algorithm, KeyRule, Placement, Schema, Table};

/// The clause behind CREATE TABLE that makes the table as it is; empty for single tables. It is a comment to
/// servers and a clause to a node, so that a dump loads in both.
pub fn sharding_clause(_schema: &Schema, table: &Table) -> String {
    match &table.placement {
        Placement::Single => String::new(),
        Placement::Broadcast => "\n/*!99990 BROADCAST */".to_owned(),
        Placement::Sharded(rule) => {
            let mut clause = format!("\n/*!99990 DBPARTITION BY {}", rule_text(&rule.database));
            if let Some(inner) = &rule.table {
                clause += &format!(
                    " TBPARTITION BY {} TBPARTITIONS {}",
                    rule_text(inner),
                    rule.tables_per_shard
                );
            }
            clause + " */"
        }
    }
}

/// `HASH(year(`c`))`, `RANGE(`c`) {1-2=0}`, `RIGHT_SHIFT(`c`,4)`.
fn rule_text(rule: &KeyRule) -> String {
    let column = format!("`{}`", rule.column.replace('`', "``"));
    let inner = match rule.algorithm.date_part() {
        Some(part) => format!("{}({column})", part.name()),
        None => column,
    };
    let name = rule.algorithm.name().to_ascii_uppercase();
    match &rule.algorithm {
        Algorithm::RightShift { bits } => format!("{name}({inner}, {bits})"),
        Algorithm::Range { .. } => {
            format!("{name}({inner}) {{{}}}", rule.algorithm.range_list().trim())
        }
        _ => format!("{name}({inner})"),
    }
}

impl Core {
    /// SHOW RULE \[FROM t\].
    pub async fn show_rule(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        let schema =
            self.schema_of(show.table.and_then(|table| table.schema).or(show.schema), source)?;
        let shards = schema.shard_count();
        let rows: Vec<Row> = match show.table {
            Some(name) => {
                let table = find(schema, &crate::control::text(&name.name.name(source.text)))?;
                vec![rule_row(1, table, shards)]
            }
            None => schema
                .tables
                .values()
                .enumerate()
                .map(|(id, table)| rule_row(id, table, shards))
                .collect(),
        };
        let columns = [
            number_column("ID"),
            text_column("TABLE_NAME"),
            number_column("BROADCAST"),
            text_column("DB_PARTITION_KEY"),
            text_column("DB_PARTITION_POLICY"),
            number_column("DB_PARTITION_COUNT"),
            text_column("DB_PARTITION_OFFSET"),
            text_column("PARTITION_RANGE"),
            text_column("TB_PARTITION_KEY"),
            text_column("TB_PARTITION_POLICY"),
            number_column("TB_PARTITION_COUNT"),
            text_column("TB_PARTITION_OFFSET"),
        ];
        self.reply(&columns, &rows).await
    }

    /// SHOW TOPOLOGY FROM t.
    pub async fn show_topology(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = show
            .table
            .ok_or_else(|| sql(sql_error::SYNTAX_ERROR, "SHOW TOPOLOGY needs FROM and a table"))?;
        let schema = self.schema_of(name.schema.or(show.schema), source)?.clone();
        let table = find(&schema, &crate::control::text(&name.name.name(source.text)))?.clone();
        let mut rows = Vec::new();
        for target in sql_plan::plan::table_targets(&table, schema.shard_count()) {
            let Some(shard) = schema.shards.get(target.shard as usize) else { continue };
            let Some(node) = self.snapshot.data_nodes.get(&shard.data_node).cloned() else {
                continue;
            };
            let physical = table.physical_name(target.suffix);
            let count = self.estimated_rows(&shard.data_node, &shard.database, &physical).await?;
            rows.push(vec![
                field(&node.id),
                field(&node.host),
                field(node.port),
                field(&shard.database),
                field(physical),
                field(count),
            ]);
        }
        let columns = [
            text_column("Rds_instance_id"),
            text_column("Host"),
            number_column("Port"),
            text_column("Database"),
            text_column("Table"),
            number_column("Row_count"),
        ];
        self.reply(&columns, &rows).await
    }

    async fn estimated_rows(
        &mut self,
        data_node: &base::id::DataNodeId,
        database: &str,
        table: &str,
    ) -> Result<u64, ExecError> {
        let node = self.worker.backends.node(data_node)?;
        let mut lease = node.own_lease().await?;
        let ask = format!(
            "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = '{}'",
            table.replace('\'', "''")
        );
        let rows = lease.query(ask.as_bytes()).await?.into_rows();
        Ok(rows
            .first()
            .and_then(|row| row.text(0))
            .and_then(|count| count.parse().ok())
            .unwrap_or(0))
    }

    /// SHOW DATA NODE.
    pub async fn show_data_node(&mut self) -> Result<(), ExecError> {
        let schema = self.exec.identity.schema.clone();
        let mut rows: Vec<Row> = Vec::new();
        match schema.and_then(|name| self.snapshot.schemas.get(&name)) {
            Some(schema) => {
                for shard in &schema.shards {
                    let Some(node) = self.snapshot.data_nodes.get(&shard.data_node) else {
                        continue;
                    };
                    rows.push(vec![
                        field(&node.id),
                        field(&shard.database),
                        field(&node.host),
                        field(node.port),
                    ]);
                }
            }
            None => return Err(sql(sql_error::NO_DB_SELECTED, "No database selected")),
        }
        let columns = [
            text_column("RDS_instance_id"),
            text_column("PHYSICAL_NODE"),
            text_column("HOST"),
            number_column("PORT"),
        ];
        self.reply(&columns, &rows).await
    }
}

fn find<'s>(schema: &'s Schema, name: &str) -> Result<&'s Table, ExecError> {
    schema.table(name).ok_or_else(|| {
        sql(sql_error::NO_SUCH_TABLE, format!("Table '{}.{name}' doesn't exist", schema.name))
    })
}

fn rule_row(id: usize, table: &Table, shards: u32) -> Row {
    let blank = || field("");
    let (broadcast, database, inner, database_count, table_count) = match &table.placement {
        Placement::Single => (0, None, None, 1, 1),
        Placement::Broadcast => (1, None, None, shards, 1),
        Placement::Sharded(rule) => {
            (0, Some(&rule.database), rule.table.as_ref(), shards, rule.tables_per_shard)
        }
    };
    let key = |rule: Option<&KeyRule>| field(rule.map_or("", |rule| rule.column.as_str()));
    let policy = |rule: Option<&KeyRule>| {
        field(rule.map_or(String::new(), |rule| rule.algorithm.name().to_ascii_lowercase()))
    };
    let range = database.filter(|rule| matches!(rule.algorithm, Algorithm::Range { .. }));
    vec![
        field(id),
        field(&table.name),
        field(broadcast),
        key(database),
        policy(database),
        field(database_count),
        blank(),
        field(range.map_or(String::new(), |rule| rule.algorithm.range_list())),
        key(inner),
        policy(inner),
        field(table_count),
        blank(),
    ]
}

//! The logical rows of information_schema's tables. What is about definitions is read from the first
//! shard, where every table has its first physical table; rows and sizes are added up over all
//! shards; schemas, accounts and sessions are the node's own. Rows of what the account does not see,
//! or that have no logical counterpart, are left out.

use crate::catalogue::load_state;
use crate::permission;
use crate::session::Core;
use crate::show::{Row, field};
use futures::future::join_all;
use node_exec::error::ExecError;
use sql_plan::catalogue::{CatalogueTable, INFORMATION_SCHEMA};
use sql_plan::value::Values;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use topology::model::{Placement, Schema, ShardMode, Table};

/// Where the rows of a table come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It says nothing of schemas: read where it is.
    InPlace,
    /// It needs a right that no account has.
    Denied,
    /// What it would tell is of data nodes.
    Empty,
    /// SCHEMATA.
    Schemata,
    /// TABLES.
    Tables,
    /// Definitions: the columns with the schema's and the table's name.
    Objects(&'static str, Option<&'static str>),
    /// PROCESSLIST.
    ProcessList,
    /// USER_PRIVILEGES.
    UserPrivileges,
    /// SCHEMA_PRIVILEGES.
    SchemaPrivileges,
    /// TABLE_PRIVILEGES.
    TablePrivileges,
    /// GLOBAL_VARIABLES, SESSION_VARIABLES, GLOBAL_STATUS, SESSION_STATUS.
    Variables,
}

/// Tables that are the same on every server of one version.
const IN_PLACE: [&str; 17] = [
    "ALL_PLUGINS",
    "APPLICABLE_ROLES",
    "CHARACTER_SETS",
    "COLLATIONS",
    "COLLATION_CHARACTER_SET_APPLICABILITY",
    "ENABLED_ROLES",
    "ENGINES",
    "GEOMETRY_COLUMNS",
    "KEYWORDS",
    "OPTIMIZER_TRACE",
    "PLUGINS",
    "PROFILING",
    "SPATIAL_REF_SYS",
    "SQL_FUNCTIONS",
    "ST_SPATIAL_REFERENCE_SYSTEMS",
    "SYSTEM_VARIABLES",
    "ST_UNITS_OF_MEASURE",
];

/// Columns of TABLES that are added up.
const SUMS: [&str; 4] = ["TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE"];

/// Columns of TABLES for which all physical tables must be looked at.
const FIGURES: [&str; 9] = [
    "TABLE_ROWS",
    "AVG_ROW_LENGTH",
    "DATA_LENGTH",
    "INDEX_LENGTH",
    "DATA_FREE",
    "AUTO_INCREMENT",
    "CREATE_TIME",
    "UPDATE_TIME",
    "CHECK_TIME",
];

/// Columns with the name of a table.
const TABLE_COLUMNS: [&str; 3] = ["TABLE_NAME", "REFERENCED_TABLE_NAME", "EVENT_OBJECT_TABLE"];

/// Columns with SQL text in which physical databases may be named.
const TEXT_COLUMNS: [&str; 6] = [
    "VIEW_DEFINITION",
    "ROUTINE_DEFINITION",
    "ACTION_STATEMENT",
    "EVENT_DEFINITION",
    "CHECK_CLAUSE",
    "GENERATION_EXPRESSION",
];

/// Where the rows of the table of this name (in capitals) come from.
pub fn kind_of(name: &str) -> Kind {
    match name {
        "SCHEMATA" => Kind::Schemata,
        "TABLES" => Kind::Tables,
        "COLUMNS" | "STATISTICS" | "PARTITIONS" | "VIEWS" => {
            Kind::Objects("TABLE_SCHEMA", Some("TABLE_NAME"))
        }
        "KEY_COLUMN_USAGE"
        | "TABLE_CONSTRAINTS"
        | "REFERENTIAL_CONSTRAINTS"
        | "CHECK_CONSTRAINTS" => Kind::Objects("CONSTRAINT_SCHEMA", Some("TABLE_NAME")),
        "TRIGGERS" => Kind::Objects("TRIGGER_SCHEMA", Some("EVENT_OBJECT_TABLE")),
        "ROUTINES" => Kind::Objects("ROUTINE_SCHEMA", None),
        "PARAMETERS" => Kind::Objects("SPECIFIC_SCHEMA", None),
        "EVENTS" => Kind::Objects("EVENT_SCHEMA", None),
        "PROCESSLIST" => Kind::ProcessList,
        "USER_PRIVILEGES" => Kind::UserPrivileges,
        "SCHEMA_PRIVILEGES" => Kind::SchemaPrivileges,
        "TABLE_PRIVILEGES" => Kind::TablePrivileges,
        "GLOBAL_VARIABLES" | "SESSION_VARIABLES" | "GLOBAL_STATUS" | "SESSION_STATUS" => {
            Kind::Variables
        }
        _ if IN_PLACE.contains(&name) => Kind::InPlace,
        _ if name.starts_with("INNODB_") => Kind::Denied,
        _ => Kind::Empty,
    }
}

/// The columns of a table that a query can read.
#[derive(Debug)]
pub struct Needed {
    /// Their names, in the table's order.
    pub columns: Vec<String>,
}

impl Needed {
    /// Of the columns that there are, those that the query names and those that tell what a row is.
    pub fn of(kind: Kind, all: Vec<String>, names: Option<&BTreeSet<String>>) -> Self {
        let Some(names) = names else { return Self { columns: all } };
        let extra: &[&str] = match kind {
            Kind::Tables => &["TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE"],
            Kind::Objects(schema, Some(table)) => {
                &[schema, table, "COLUMN_NAME", "NON_UNIQUE", "SEQ_IN_INDEX"]
            }
            Kind::Objects(schema, None) => &[schema],
            _ => return Self { columns: all },
        };
        let is_needed =
            |column: &String| names.contains(column) || extra.contains(&column.as_str());
        Self { columns: all.into_iter().filter(is_needed).collect() }
    }

    pub(crate) fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    pub(crate) fn list(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    }
}

/// A physical table's place in its schema.
struct Names<'s> {
    schema: &'s Schema,
    by_physical: HashMap<String, (&'s Table, u32)>,
}

impl<'s> Names<'s> {
    fn of(schema: &'s Schema) -> Self {
        let mut by_physical = HashMap::new();
        for table in schema.tables.values() {
            let count = match &table.placement {
                Placement::Sharded(rule) if rule.table.is_some() => rule.tables_per_shard,
                _ => 1,
            };
            for suffix in 0..count {
                by_physical.insert(table.physical_name(suffix).to_lowercase(), (table, suffix));
            }
        }
        Self { schema, by_physical }
    }

    fn find(&self, physical: &str) -> Option<(&'s Table, u32)> {
        self.by_physical.get(&physical.to_lowercase()).copied()
    }

    /// The physical names of a logical one.
    fn physical(&self, logical: &str, first_only: bool) -> Vec<String> {
        match self.schema.table(logical) {
            Some(table) => {
                let count = match &table.placement {
                    Placement::Sharded(rule) if rule.table.is_some() && !first_only => {
                        rule.tables_per_shard
                    }
                    _ => 1,
                };
                (0..count).map(|suffix| table.physical_name(suffix)).collect()
            }
            None => vec![logical.to_owned()],
        }
    }

    /// Whether something that is no table of the snapshot is the schema's own.
    fn is_own(&self, name: &str) -> bool {
        self.schema.mode == ShardMode::Single && !is_reserved(name)
    }
}

fn is_reserved(name: &str) -> bool {
    name.to_lowercase().starts_with(topology::rule::RESERVED_TABLE_PREFIX)
}

pub(crate) fn of(row: &Row, at: Option<usize>) -> Option<String> {
    row.get(at?)?.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

impl Core {
    /// The rows of one table of information_schema.
    pub async fn catalogue_rows(
        &mut self,
        table: &CatalogueTable,
        kind: Kind,
        needed: &Needed,
        values: &Values<'_>,
    ) -> Result<Vec<Row>, ExecError> {
        match kind {
            Kind::InPlace | Kind::Denied | Kind::Empty => Ok(Vec::new()),
            Kind::Schemata => self.schemata_rows(needed).await,
            Kind::ProcessList => self.process_rows(needed).await,
            Kind::UserPrivileges => Ok(self.user_privilege_rows(needed)),
            Kind::SchemaPrivileges => Ok(self.schema_privilege_rows(needed)),
            Kind::TablePrivileges => Ok(self.table_privilege_rows(needed)),
            Kind::Variables => self.variable_rows(table, needed).await,
            Kind::Tables => {
                self.object_rows(table, ("TABLE_SCHEMA", Some("TABLE_NAME")), needed, values).await
            }
            Kind::Objects(schema, name) => {
                self.object_rows(table, (schema, name), needed, values).await
            }
        }
    }

    /// Rows of definitions, and of TABLES, of the schemas of use.
    async fn object_rows(
        &mut self,
        table: &CatalogueTable,
        (schema_column, name_column): (&str, Option<&str>),
        needed: &Needed,
        values: &Values<'_>,
    ) -> Result<Vec<Row>, ExecError> {
        let chosen = self.exec.identity.schema.clone();
        let wanted = |column: &str| table.wanted(column, values, chosen.as_deref());
        let schema_columns = [
            schema_column,
            "TABLE_SCHEMA",
            "CONSTRAINT_SCHEMA",
            "EVENT_OBJECT_SCHEMA",
            "INDEX_SCHEMA",
        ];
        let schemas = schema_columns.iter().find_map(|column| wanted(column));
        let names = name_column.and_then(&wanted);
        let is_wanted = |name: &str| schemas.as_ref().is_none_or(|wanted| wanted.contains(name));
        let account = self.account()?;
        let has_rights =
            account.administrator || !account.authorities.is_empty() || !account.tables.is_empty();
        let visible: Vec<Schema> = self
            .visible_schemas()
            .filter(|schema| has_rights && is_wanted(&schema.name))
            .cloned()
            .collect();
        let mut rows = Vec::new();
        let has_own = matches!(table.name.as_str(), "TABLES" | "COLUMNS");
        if has_own && is_wanted(INFORMATION_SCHEMA) {
            let node = self.worker.backends.any()?.definition.id.clone();
            let ask = ask_for(&table.name, schema_column, INFORMATION_SCHEMA, needed);
            rows.extend(self.ask_catalogue(vec![(node, vec![ask])]).await?.into_iter().flatten());
        }
        for schema in &visible {
            let known = Names::of(schema);
            let mut found = if table.name == "TABLES" {
                let names = names.as_ref();
                let mut tables = self.table_rows(&known, names, needed).await?;
                let more = self.sequence_table_rows(schema, table, names, needed, values);
                tables.extend(more.await?);
                tables
            } else {
                let place = (schema_column, name_column);
                self.definition_rows(table, &known, place, names.as_ref(), needed).await?
            };
            let account = self.account()?;
            if !permission::sees_all(account, &schema.name) {
                let at = name_column.and_then(|column| needed.at(column));
                found.retain(|row| {
                    of(row, at)
                        .is_some_and(|name| permission::sees_table(account, &schema.name, &name))
                });
            }
            rows.extend(found);
        }
        Ok(rows)
    }

    /// Asks data nodes, all at once; each answers its questions in order.
    pub(crate) async fn ask_catalogue(
        &mut self,
        asks: Vec<(base::id::DataNodeId, Vec<String>)>,
    ) -> Result<Vec<Vec<Row>>, ExecError> {
        let state = load_state(&self.exec.state);
        let found_rows = self.exec.found_rows;
        let backends = &self.worker.backends;
        let runs = asks.into_iter().map(|(id, asks)| {
            let state = state.clone();
            async move {
                let node = backends.node(&id)?;
                let mut lease = node.lease(found_rows, &state).await?;
                let mut all = Vec::new();
                for ask in asks {
                    let result = lease.query(ask.as_bytes()).await?;
                    let rows = result.into_rows();
                    let fields = |row: &node_backend::query::Row| -> Row {
                        row.fields().map(|field| field.ok().flatten().map(<[u8]>::to_vec)).collect()
                    };
                    all.push(rows.iter().map(fields).collect::<Vec<Row>>());
                }
                Ok::<_, ExecError>(all)
            }
        });
        let mut all = Vec::new();
        for answers in join_all(runs).await {
            all.extend(answers?);
        }
        Ok(all)
    }

    /// Definitions as the first shard has them.
    async fn definition_rows(
        &mut self,
        table: &CatalogueTable,
        names: &Names<'_>,
        (schema_column, name_column): (&str, Option<&str>),
        wanted: Option<&BTreeSet<String>>,
        needed: &Needed,
    ) -> Result<Vec<Row>, ExecError> {
        let Some(first) = names.schema.shards.first() else { return Ok(Vec::new()) };
        let mut ask = ask_for(&table.name, schema_column, &first.database, needed);
        if let (Some(column), Some(wanted)) = (name_column, wanted) {
            ask += &in_list(column, wanted.iter().flat_map(|name| names.physical(name, true)));
        }
        let answers = self.ask_catalogue(vec![(first.data_node.clone(), vec![ask])]).await?;
        let mut rows: Vec<Row> = answers.into_iter().flatten().collect();
        rows.retain_mut(|row| self.make_logical(row, names, name_column, needed));
        Ok(rows)
    }

    /// Puts logical names into a row of a schema; false when it has no logical counterpart.
    fn make_logical(
        &self,
        row: &mut Row,
        names: &Names<'_>,
        name_column: Option<&str>,
        needed: &Needed,
    ) -> bool {
        let place = name_column.and_then(|column| needed.at(column));
        let physical = of(row, place);
        let found = physical.as_deref().map(|physical| names.find(physical));
        match (&found, &physical) {
            (Some(Some((_, suffix))), _) if *suffix > 0 => return false,
            (Some(None), Some(physical)) if !names.is_own(physical) => return false,
            _ => {}
        }
        for (at, column) in needed.columns.iter().enumerate() {
            let Some(value) = of(row, Some(at)) else { continue };
            if column.ends_with("_SCHEMA") {
                if let Some(logical) = self.logical_schema(&value) {
                    row[at] = field(logical);
                }
            } else if TABLE_COLUMNS.contains(&column.as_str()) {
                if let Some((table, _)) = names.find(&value) {
                    row[at] = field(&table.name);
                }
            } else if TEXT_COLUMNS.contains(&column.as_str()) {
                row[at] = field(logical_text(&value, names.schema));
            }
        }
        if let Some(Some((table, _))) = found {
            follow_table(row, table, names.schema, needed);
        }
        true
    }

    /// The schema of a physical database.
    fn logical_schema(&self, physical: &str) -> Option<String> {
        let (schema, _) = physical.rsplit_once('_')?;
        let schema = self.snapshot.schemas.get(schema)?;
        schema.shards.iter().any(|shard| shard.database == physical).then(|| schema.name.clone())
    }

    /// TABLES of one schema.
    async fn table_rows(
        &mut self,
        names: &Names<'_>,
        wanted: Option<&BTreeSet<String>>,
        needed: &Needed,
    ) -> Result<Vec<Row>, ExecError> {
        let with_figures = FIGURES.iter().any(|column| needed.at(column).is_some());
        let mut asks: BTreeMap<base::id::DataNodeId, Vec<String>> = BTreeMap::new();
        let shards = if with_figures { names.schema.shards.len() } else { 1 };
        // The first shard is the first that is merged: its rows are the ones that others add to.
        let first = names.schema.shards.first().map(|shard| shard.data_node.clone());
        for shard in names.schema.shards.iter().take(shards) {
            let mut ask = ask_for("TABLES", "TABLE_SCHEMA", &shard.database, needed);
            if let Some(wanted) = wanted {
                let physical = wanted.iter().flat_map(|name| names.physical(name, !with_figures));
                ask += &in_list("TABLE_NAME", physical);
            }
            asks.entry(shard.data_node.clone()).or_default().push(ask);
        }
        let (mine, others): (Vec<_>, Vec<_>) =
            asks.into_iter().partition(|(id, _)| Some(id) == first.as_ref());
        let answers = self.ask_catalogue(mine.into_iter().chain(others).collect()).await?;
        let positions = match needed.at("AUTO_INCREMENT").is_some() {
            true => {
                let worker = self.worker.clone();
                worker.shared.sequences.positions(&worker.backends, names.schema).await?
            }
            false => HashMap::new(),
        };
        let mut merged: BTreeMap<String, Row> = BTreeMap::new();
        for row in answers.into_iter().flatten() {
            let Some(physical) = of(&row, needed.at("TABLE_NAME")) else { continue };
            let logical = match names.find(&physical) {
                Some((table, _)) => table.name.clone(),
                None if names.is_own(&physical) => physical.clone(),
                None => continue,
            };
            match merged.get_mut(&logical) {
                Some(total) => {
                    let is_copy = names
                        .find(&physical)
                        .is_some_and(|(table, _)| table.placement == Placement::Broadcast);
                    if !is_copy {
                        add_figures(total, &row, needed);
                    }
                }
                None => {
                    let mut row = row;
                    set(&mut row, needed.at("TABLE_SCHEMA"), &names.schema.name);
                    set(&mut row, needed.at("TABLE_NAME"), &logical);
                    merged.insert(logical, row);
                }
            }
        }
        let mut rows: Vec<Row> = Vec::with_capacity(merged.len());
        for (logical, mut row) in merged {
            let table = names.schema.table(&logical);
            if let (Some(table), Some(at)) = (table, needed.at("AUTO_INCREMENT"))
                && !matches!(table.placement, Placement::Single)
            {
                let next = positions.get(&logical.to_lowercase()).copied().unwrap_or(1);
                row[at] = table.sequence_column.is_some().then(|| next.to_string().into_bytes());
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

pub(crate) fn ask_for(table: &str, schema_column: &str, database: &str, needed: &Needed) -> String {
    format!(
        "SELECT {} FROM information_schema.`{table}` WHERE `{schema_column}` = {}",
        needed.list(),
        literal(database)
    )
}

fn in_list(column: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.map(|name| literal(&name)).collect();
    match names.as_slice() {
        [] => " AND 1 = 0".to_owned(),
        // One name is what a server looks up; it goes through all tables for a list.
        [one] => format!(" AND `{column}` = {one}"),
        several => format!(" AND `{column}` IN ({})", several.join(", ")),
    }
}

pub(crate) fn set(row: &mut Row, at: Option<usize>, value: &str) {
    if let Some(place) = at.and_then(|at| row.get_mut(at)) {
        *place = Some(value.as_bytes().to_vec());
    }
}

/// What the first physical table does not know of its logical one.
fn follow_table(row: &mut Row, table: &Table, schema: &Schema, needed: &Needed) {
    let column = of(row, needed.at("COLUMN_NAME"));
    if let (Some(view), Some(at)) = (&table.view, needed.at("VIEW_DEFINITION")) {
        row[at] = field(&view.query);
    }
    if let (Some(at), Some(column), Some(sequence)) =
        (needed.at("EXTRA"), &column, &table.sequence_column)
        && column.eq_ignore_ascii_case(sequence)
        && row[at].as_ref().is_none_or(Vec::is_empty)
    {
        row[at] = field("auto_increment");
    }
    let Placement::Sharded(rule) = &table.placement else { return };
    let places = u64::from(schema.shard_count()) * u64::from(rule.tables_per_shard);
    // How many different values there are is an estimate on every server. Values of a unique key, and
    // of a key that says where a row lies, are others in each physical table.
    let is_unique = of(row, needed.at("NON_UNIQUE")).is_some_and(|value| value == "0");
    let is_key = column.is_some_and(|column| {
        rule.key_columns().iter().any(|key| key.eq_ignore_ascii_case(&column))
    });
    for (name, counts) in [("CARDINALITY", is_unique || is_key), ("TABLE_ROWS", true)] {
        if let (true, Some(at)) = (counts, needed.at(name))
            && let Some(count) = of(row, Some(at)).and_then(|count| count.parse::<u64>().ok())
        {
            row[at] = field(count.saturating_mul(places));
        }
    }
}

/// Adds the figures of another physical table.
fn add_figures(total: &mut Row, row: &Row, needed: &Needed) {
    let number = |row: &Row, at: usize| of(row, Some(at)).and_then(|text| text.parse::<u64>().ok());
    for at in SUMS.iter().filter_map(|column| needed.at(column)) {
        if let Some(more) = number(row, at) {
            total[at] = field(number(total, at).unwrap_or(0).saturating_add(more));
        }
    }
    if let (Some(average), Some(rows), Some(bytes)) =
        (needed.at("AVG_ROW_LENGTH"), needed.at("TABLE_ROWS"), needed.at("DATA_LENGTH"))
        && let (Some(rows), Some(bytes)) = (number(total, rows), number(total, bytes))
    {
        total[average] = field(bytes.checked_div(rows).unwrap_or(0));
    }
    for (column, latest) in [("CREATE_TIME", false), ("UPDATE_TIME", true), ("CHECK_TIME", true)] {
        let Some(at) = needed.at(column) else { continue };
        let (known, other) = (total[at].clone(), row[at].clone());
        total[at] = match (known, other) {
            (Some(known), Some(other)) if (other > known) == latest => Some(other),
            (None, other) => other,
            (known, _) => known,
        };
    }
}

/// SQL text with logical schemas: `` `shop_0000`.`t` `` becomes `` `shop`.`t` ``.
pub(crate) fn logical_text(text: &str, schema: &Schema) -> String {
    match schema.shards.first() {
        Some(first) => {
            let (physical, logical) = (&first.database, &schema.name);
            text.replace(&format!("`{physical}`"), &format!("`{logical}`"))
                .replace(&format!("{physical}."), &format!("{logical}."))
        }
        None => text.to_owned(),
    }
}

//! CREATE TABLE: the sharding clause becomes a rule and is cut out of what the data nodes get.

use super::alter::not_a_table;
use super::foreign::ForeignKeys;
use super::recycle;
use super::{
    add_drop, chained, empty_plan, made, name_of, names, on_all, plan_table, range, schema_for,
    table_for,
};
use crate::plan::{DdlPlan, DdlStatement, table_targets};
use crate::planner::{Made, Subject, refused};
use crate::template::{Edit, Piece, Template, TokenRange};
use crate::value::{LiteralForm, ValueRef};
use base::sql_error::{IS_A_VIEW, SqlError, TABLE_EXISTS, WRONG_SHARDING_RULE};
use sql_syntax::ast::{
    ColumnDef, ConstraintKind, CreateTable, OptionKind, PartitionFn, ShardingRule as RuleClause,
    TableName, TypeKind,
};
use std::sync::Arc;
use topology::model::{
    Algorithm, Column, ColumnClass, DatePart, KeyRule, Placement, Schema, ShardMode, ShardingRule,
    Table, ValueRange,
};
use topology::rule::check_table;
use topology::stream::TableChange;

/// The number of MySQL's note about a table that is there already.
const NOTE_TABLE_EXISTS: u16 = 1050;

/// TBPARTITIONS when it is not written.
const TABLES_PER_SHARD_DEFAULT: u32 = 1;

/// Plans a CREATE TABLE.
pub(crate) fn create_table(subject: &Subject<'_>, create: &CreateTable) -> Result<Made, SqlError> {
    if create.temporary {
        return Err(refused("temporary tables are not supported"));
    }
    let schema = schema_for(subject, create.name)?;
    let name = name_of(subject, create.name.name);
    names::check_new(&name)?;
    let known = schema.table(&name);
    if let Some(like) = create.like {
        names::check_like(subject, create.name, like)?;
    }
    if let Some(view) = known.filter(|known| known.view.is_some() && create.or_replace) {
        let text = format!("'{}.{}' is a view", schema.name, view.name);
        return Err(SqlError::new(IS_A_VIEW, text));
    }
    if known.is_some() && !create.or_replace {
        let text = format!("Table '{name}' already exists");
        if !create.if_not_exists {
            return Err(SqlError::new(TABLE_EXISTS, text));
        }
        let mut plan = empty_plan(schema);
        plan.notes.push((NOTE_TABLE_EXISTS, text));
        return Ok(made(plan));
    }
    let plan = match create.like {
        Some(like) => create_like(subject, schema, &name, like)?,
        None => create_new(subject, create, schema, name)?,
    };
    let Some(old) = known else { return Ok(made(plan)) };
    let gone = if recycle::keeps(subject, old) {
        recycle::drop_plan(schema, old)
    } else {
        let mut gone = empty_plan(schema);
        add_drop(&mut gone, schema, old);
        gone
    };
    Ok(made(chained(vec![gone, plan]).unwrap_or_else(|| empty_plan(schema))))
}

fn create_new(
    subject: &Subject<'_>,
    create: &CreateTable,
    schema: &Schema,
    name: String,
) -> Result<DdlPlan, SqlError> {
    let placement = placement(subject, create)?;
    check_clause_is_whole(subject, create)?;
    if create.query.is_some() {
        return Err(refused("CREATE TABLE ... SELECT is not supported in this place"));
    }
    let table = new_table(subject, create, schema, name, placement);
    check(schema, &table, create)?;
    let mut keys = ForeignKeys::default();
    for key in &create.constraints {
        keys.add_constraint(subject, schema, &table, key, 1)?;
    }
    for column in &create.columns {
        keys.add_column(subject, schema, &table, column, 1)?;
    }
    let ForeignKeys { mut edits, parents } = keys;
    if let Some(clause) = &create.sharding {
        edits.push(Edit::replace(range(subject, clause.span), Vec::new()));
    }
    edits.extend(names::column_edits(subject, create)?);
    edits.extend(union_edits(subject, create)?);
    if create.or_replace {
        edits.push(Edit::replace(TokenRange { first: 1, last: 2 }, Vec::new()));
    }
    edits.push(Edit::replace(range(subject, create.name.span), vec![Piece::Table(0)]));
    let text = Template::edited(subject.whole(), edits);
    let sequence_start = sequence_start(create, &table);
    let mut plan = plan_of(schema, table, text);
    if !parents.is_empty() {
        for statement in &mut plan.statements {
            statement.tables =
                statement.tables.iter().cloned().chain(parents.iter().cloned()).collect();
        }
    }
    Ok(DdlPlan { sequence_start, ..plan })
}

fn plan_of(schema: &Schema, table: Table, text: Template) -> DdlPlan {
    let mut plan = empty_plan(schema);
    let undo = vec![Piece::text("DROP TABLE IF EXISTS "), Piece::Table(0)];
    plan.statements.push(DdlStatement {
        undo: Some(Template::made(undo, Vec::new())),
        ..on_all(schema, &table, text)
    });
    plan.refresh.push(table.name.clone());
    plan.changes.push(TableChange::Create { table });
    plan
}

/// CREATE TABLE … LIKE: placed as the other one is.
fn create_like(
    subject: &Subject<'_>,
    schema: &Schema,
    name: &str,
    like: TableName,
) -> Result<DdlPlan, SqlError> {
    let (other_schema, other) = table_for(subject, like)?;
    if other_schema.name != schema.name {
        return Err(refused(
            "CREATE TABLE ... LIKE a table of another schema is not supported in this place",
        ));
    }
    if other.view.is_some() {
        return Err(not_a_table(other_schema, other));
    }
    let table = Table {
        name: name.to_owned(),
        definition_version: 1,
        physical_base: None,
        frozen: false,
        recycled: None,
        ..other.clone()
    };
    check_table(schema, &table)?;
    let pieces =
        vec![Piece::text("CREATE TABLE "), Piece::Table(0), Piece::text(" LIKE "), Piece::Table(1)];
    let mut plan = plan_of(schema, table.clone(), Template::made(pieces, Vec::new()));
    for statement in &mut plan.statements {
        statement.tables = Arc::from([plan_table(schema, &table), plan_table(schema, other)]);
        statement.targets = table_targets(&table, schema.shard_count());
    }
    Ok(plan)
}

fn check(schema: &Schema, table: &Table, create: &CreateTable) -> Result<(), SqlError> {
    check_table(schema, table)?;
    if table.placement == Placement::Single {
        return Ok(());
    }
    if create.options.iter().any(|option| option.kind == OptionKind::Placement) {
        return Err(refused("DATA DIRECTORY and TABLESPACE are supported on single tables only"));
    }
    Ok(())
}

/// UNION means something to the engine MERGE alone, whose tables would be physical ones.
fn union_edits(subject: &Subject<'_>, create: &CreateTable) -> Result<Vec<Edit>, SqlError> {
    let unions: Vec<_> =
        create.options.iter().filter(|option| option.kind == OptionKind::Union).collect();
    let is_merge = |engine: &[u8]| {
        let engine = String::from_utf8_lossy(engine).trim_matches(['\'', '"', '`']).to_uppercase();
        matches!(engine.as_str(), "MERGE" | "MRG_MYISAM")
    };
    let mut engines = create.options.iter().filter(|option| option.kind == OptionKind::Engine);
    if !unions.is_empty() && engines.any(|option| is_merge(option.value.of(subject.src))) {
        return Err(refused(
            "tables of the engine MERGE are not supported: they would join physical tables; make a \
             view with UNION ALL",
        ));
    }
    Ok(unions
        .into_iter()
        .map(|option| Edit::replace(range(subject, option.span), Vec::new()))
        .collect())
}

fn sequence_start(create: &CreateTable, table: &Table) -> Option<(String, ValueRef)> {
    table.sequence_column.as_ref()?;
    let option = create.options.iter().find(|option| option.kind == OptionKind::AutoIncrement)?;
    let token = option.value_tok;
    Some((table.name.clone(), ValueRef::Literal { token, count: 1, form: LiteralForm::Plain }))
}

/// Words of a sharding clause that stand apart from it would reach the data nodes.
fn check_clause_is_whole(subject: &Subject<'_>, create: &CreateTable) -> Result<(), SqlError> {
    const WORDS: [&str; 3] = ["DBPARTITION", "TBPARTITION", "TBPARTITIONS"];
    for option in &create.options {
        let text = String::from_utf8_lossy(option.span.of(subject.src)).to_ascii_uppercase();
        if text.split_ascii_whitespace().any(|word| WORDS.contains(&word)) {
            let text = "wrong sharding clause: it is DBPARTITION BY function [TBPARTITION BY \
                        function TBPARTITIONS n], or BROADCAST, after all table options";
            return Err(SqlError::new(WRONG_SHARDING_RULE, text));
        }
    }
    Ok(())
}

/// The placement that the sharding clause asks for.
fn placement(subject: &Subject<'_>, create: &CreateTable) -> Result<Placement, SqlError> {
    create.sharding.as_ref().map_or(Ok(Placement::Single), |clause| written(subject, &clause.rule))
}

/// The placement that a clause tells.
pub(super) fn written(subject: &Subject<'_>, rule: &RuleClause) -> Result<Placement, SqlError> {
    let (db, tb, tb_count) = match rule {
        RuleClause::Single => return Ok(Placement::Single),
        RuleClause::Broadcast => return Ok(Placement::Broadcast),
        RuleClause::Partition { db, tb, tb_count } => (db, tb, tb_count),
    };
    let database = key_rule(subject, db)?;
    let table = tb.as_ref().map(|tb| key_rule(subject, tb)).transpose()?;
    if table.is_none() && tb_count.is_some() {
        return Err(refused("TBPARTITIONS needs TBPARTITION BY"));
    }
    let tables_per_shard = match tb_count {
        Some(count) => u32::try_from(*count).unwrap_or(u32::MAX),
        None => TABLES_PER_SHARD_DEFAULT,
    };
    Ok(Placement::Sharded(ShardingRule { database, table, tables_per_shard }))
}

fn key_rule(subject: &Subject<'_>, function: &PartitionFn) -> Result<KeyRule, SqlError> {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let date_part =
        function.wrap.map(|wrap| DatePart::parse(&name_of(subject, wrap))).transpose()?;
    let ranges: Vec<ValueRange> = function
        .ranges
        .iter()
        .map(|range| ValueRange { from: range.low, to: range.high, shard: narrow(range.shard) })
        .collect();
    let listed = !ranges.is_empty() || function.default.is_some();
    let mut algorithm = Algorithm::parse(
        &name_of(subject, function.name),
        date_part,
        function.arg.map(narrow),
        listed.then(|| (ranges, function.default.map(narrow))),
    )?;
    let transfer = subject.snapshot.parameters.get_boolean("transfer_hash_to_mod_hash");
    if transfer && algorithm == (Algorithm::Hash { date_part: None }) {
        algorithm = Algorithm::ModHash;
    }
    Ok(KeyRule { column: name_of(subject, function.column), algorithm })
}

/// The table as far as the statement tells.
fn new_table(
    subject: &Subject<'_>,
    create: &CreateTable,
    schema: &Schema,
    name: String,
    placement: Placement,
) -> Table {
    let columns: Vec<Column> =
        create.columns.iter().map(|column| new_column(subject, create, schema, column)).collect();
    let key = |kind| {
        create.constraints.iter().filter(move |key| key.kind == kind).map(|key| {
            key.parts.iter().filter_map(|part| part.column).map(|c| name_of(subject, c)).collect()
        })
    };
    let own_key = |is_own: fn(&ColumnDef) -> bool| {
        create
            .columns
            .iter()
            .filter(move |column| is_own(column))
            .map(|column| vec![name_of(subject, column.name)])
    };
    let primary_key: Vec<String> = own_key(|column| column.primary_key)
        .chain(key(ConstraintKind::Primary))
        .next()
        .unwrap_or_default();
    let unique_keys: Vec<Vec<String>> =
        own_key(|column| column.unique).chain(key(ConstraintKind::Unique)).collect();
    let sequence_column = columns
        .iter()
        .find(|column| column.auto_increment)
        .filter(|_| placement != Placement::Single)
        .filter(|_| schema.mode == ShardMode::Cluster)
        .map(|column| column.name.clone());
    Table {
        name,
        placement,
        columns,
        primary_key,
        unique_keys,
        sequence_column,
        definition_version: 1,
        view: None,
        physical_base: None,
        frozen: false,
        recycled: None,
    }
}

fn new_column(
    subject: &Subject<'_>,
    create: &CreateTable,
    schema: &Schema,
    definition: &ColumnDef,
) -> Column {
    let serial = definition.ty.kind == TypeKind::Serial;
    let auto_increment = definition.auto_increment.is_some() || serial;
    // AUTO_INCREMENT means NOT NULL unless NULL is written.
    let says = definition.nullable.unwrap_or(!auto_increment);
    let nullable = says && !definition.primary_key && !serial;
    let column_type = column_type(subject, definition);
    let mut column = Column::plain(&name_of(subject, definition.name), &column_type);
    column.column_type = column_type; // the values of an ENUM keep their case
    if column.class == ColumnClass::Text {
        column.collation = Some(collation(subject, create, schema, definition));
    }
    Column {
        nullable,
        auto_increment,
        generated: definition.generated.is_some(),
        has_default: definition.default.is_some() || nullable || auto_increment,
        ..column
    }
}

/// The type as information_schema would give it, as far as rules look at it.
pub(crate) fn column_type(subject: &Subject<'_>, definition: &ColumnDef) -> String {
    let ty = &definition.ty;
    let name = match ty.kind {
        TypeKind::TinyInt => "tinyint",
        TypeKind::SmallInt => "smallint",
        TypeKind::MediumInt => "mediumint",
        TypeKind::Int => "int",
        TypeKind::BigInt | TypeKind::Serial => "bigint",
        TypeKind::Decimal => "decimal",
        TypeKind::Float => "float",
        TypeKind::Double => "double",
        TypeKind::Bit => "bit",
        TypeKind::Date => "date",
        TypeKind::Time => "time",
        TypeKind::DateTime => "datetime",
        TypeKind::Timestamp => "timestamp",
        TypeKind::Year => "year",
        TypeKind::Char => "char",
        TypeKind::VarChar => "varchar",
        TypeKind::Binary => "binary",
        TypeKind::VarBinary => "varbinary",
        TypeKind::TinyText => "tinytext",
        TypeKind::Text => "text",
        TypeKind::MediumText => "mediumtext",
        TypeKind::LongText => "longtext",
        TypeKind::TinyBlob => "tinyblob",
        TypeKind::Blob => "blob",
        TypeKind::MediumBlob => "mediumblob",
        TypeKind::LongBlob => "longblob",
        TypeKind::Enum => "enum",
        TypeKind::Set => "set",
        TypeKind::Json => "json",
        TypeKind::Geometry => "geometry",
        TypeKind::Uuid => "uuid",
        TypeKind::Inet4 => "inet4",
        TypeKind::Inet6 => "inet6",
        TypeKind::Vector => "vector",
        TypeKind::Other => "unknown",
    };
    let numbers = match (ty.length, ty.scale) {
        (Some(length), Some(scale)) => format!("({length},{scale})"),
        (Some(length), None) => format!("({length})"),
        _ if !ty.values.is_empty() => {
            let value = |token: &u32| subject.tokens.bytes(subject.src, *token);
            let values: Vec<_> =
                ty.values.iter().map(|token| String::from_utf8_lossy(value(token))).collect();
            format!("({})", values.join(","))
        }
        _ => String::new(),
    };
    let unsigned = if ty.unsigned { " unsigned" } else { "" };
    format!("{name}{numbers}{unsigned}")
}

/// The column's collation, where the statement or the schema tells.
fn collation(
    subject: &Subject<'_>,
    create: &CreateTable,
    schema: &Schema,
    definition: &ColumnDef,
) -> String {
    if let Some(collation) = definition.ty.collation {
        return name_of(subject, collation).to_lowercase();
    }
    let option = create.options.iter().find(|option| option.kind == OptionKind::Collate);
    match option {
        Some(option) => {
            let value = option.value.of(subject.src);
            String::from_utf8_lossy(value).trim_matches(['\'', '"', '`']).to_lowercase()
        }
        None => schema.collation.clone(),
    }
}

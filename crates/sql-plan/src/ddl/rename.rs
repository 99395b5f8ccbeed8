//! RENAME TABLE: any number of pairs, one after the other as a server takes them, so that two tables
//! can swap their names. Each shard gets all pairs as one statement, which is atomic there; for
//! clients all names change with one snapshot.

use super::{across, empty_plan, made, name_of, next_version, plan_table, schema_for};
use crate::bind::walk::no_such_table;
use crate::plan::{DdlStatement, PlanTable, TablePlace, table_targets};
use crate::planner::{Made, Subject, refused};
use crate::template::{Piece, Template, push_quoted};
use base::sql_error::{SqlError, TABLE_EXISTS};
use sql_syntax::ast::TableName;
use std::collections::BTreeMap;
use std::sync::Arc;
use topology::algorithm::Target;
use topology::model::{Schema, Table, physical_database};
use topology::rename_mark;
use topology::rule::{check_table, check_table_name};
use topology::stream::TableChange;

/// The number of the note about a table that `RENAME TABLE IF EXISTS` does not find.
const NOTE_NO_SUCH_TABLE: u16 = 1146;

/// The names while pairs are taken one after the other: (table now, its name before), by name.
struct Names<'s> {
    schema: &'s Schema,
    now: BTreeMap<String, Option<(Table, String)>>,
}

impl Names<'_> {
    fn get(&self, name: &str) -> Option<(Table, String)> {
        match self.now.get(&name.to_lowercase()) {
            Some(found) => found.clone(),
            None => self.schema.table(name).map(|table| (table.clone(), table.name.clone())),
        }
    }
}

/// Plans RENAME TABLE.
pub(crate) fn rename_table(
    subject: &Subject<'_>,
    pairs: &[(TableName, TableName)],
) -> Result<Made, SqlError> {
    let Some((first, _)) = pairs.first() else { return Ok(Made::session()) };
    let schema = schema_for(subject, *first)?;
    let if_exists = subject.word(2).eq_ignore_ascii_case(b"IF");
    let mut plan = empty_plan(schema);
    let mut names = Names { schema, now: BTreeMap::new() };
    let shards = schema.shards.len();
    let mut texts = vec![(Vec::new(), Vec::new()); shards];
    let mut tables = Vec::new();
    let mut shown = Vec::new();
    for (from, to) in pairs {
        let old_name = name_of(subject, from.name);
        for name in [from, to] {
            if schema_for(subject, *name)?.name != schema.name {
                return rename_across(subject, pairs, if_exists);
            }
        }
        let Some((table, before)) = names.get(&old_name) else {
            let error = no_such_table(&schema.name, &old_name);
            if if_exists {
                plan.notes.push((NOTE_NO_SUCH_TABLE, error.message));
                continue;
            }
            return Err(error);
        };
        let new_name = name_of(subject, to.name);
        check_table_name(&new_name)?;
        let same = new_name.eq_ignore_ascii_case(&table.name);
        if names.get(&new_name).is_some() && !same {
            return Err(SqlError::new(TABLE_EXISTS, format!("Table '{new_name}' already exists")));
        }
        let renamed = Table { name: new_name, physical_base: None, ..table.clone() };
        check_table(schema, &renamed)?;
        for target in table_targets(&table, schema.shard_count()) {
            if let Some((text, undo)) = texts.get_mut(target.shard as usize) {
                add_pair(schema, &table, &renamed, target, text);
                let mut back = Vec::new();
                add_pair(schema, &renamed, &table, target, &mut back);
                undo.insert(0, back);
            }
        }
        tables.push(plan_table(schema, &table));
        shown.extend_from_slice(if shown.is_empty() { b"RENAME TABLE " } else { b", " });
        push_quoted(table.name.as_bytes(), &mut shown);
        shown.extend_from_slice(b" TO ");
        push_quoted(renamed.name.as_bytes(), &mut shown);
        names.now.insert(old_name.to_lowercase(), None);
        names.now.insert(renamed.name.to_lowercase(), Some((renamed, before)));
    }
    let renamed = names.now.into_values().flatten();
    plan.changes.extend(renamed.filter(|(table, before)| table.name != *before).map(
        |(table, from)| TableChange::Rename { from, table: next_version(&table), to_schema: None },
    ));
    let first = tables.first().map(|table: &PlanTable| table.name.to_lowercase());
    if let (Some(first), true) = (first, plan.changes.len() > 1) {
        plan.statements.extend(marks(schema, &first, &mut texts));
        plan.afterwards.extend(drop_mark(schema, &texts, &rename_mark::after(&first)));
    }
    plan.statements.extend(statement(tables, texts, shown));
    Ok(made(plan))
}

/// One pair whose names are of different schemas. Several would not be one change.
fn rename_across(
    subject: &Subject<'_>,
    pairs: &[(TableName, TableName)],
    if_exists: bool,
) -> Result<Made, SqlError> {
    let [(from, to)] = pairs else {
        return Err(refused(
            "RENAME TABLE of several tables, some of them into another schema, is not supported; \
             rename each of those by a statement of its own",
        ));
    };
    let schema = schema_for(subject, *from)?;
    let name = name_of(subject, from.name);
    let Some(table) = schema.table(&name) else {
        let error = no_such_table(&schema.name, &name);
        if !if_exists {
            return Err(error);
        }
        let mut plan = empty_plan(schema);
        plan.notes.push((NOTE_NO_SUCH_TABLE, error.message));
        return Ok(made(plan));
    };
    across::plan(subject, schema, table, *to)
}

/// `old TO new` of a physical table.
fn add_pair(schema: &Schema, from: &Table, to: &Table, target: Target, out: &mut Vec<u8>) {
    let database = physical_database(&schema.name, target.shard);
    if !out.is_empty() {
        out.extend_from_slice(b", ");
    }
    for (table, word) in [(from, " TO "), (to, "")] {
        push_quoted(database.as_bytes(), out);
        out.push(b'.');
        push_quoted(table.physical_name(target.suffix).as_bytes(), out);
        out.extend_from_slice(word.as_bytes());
    }
}

/// A text and what undoes it, for each shard.
type Texts = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// The statements that set the shards' marks; the renames then take them along.
fn marks(schema: &Schema, first: &str, texts: &mut Texts) -> Vec<DdlStatement> {
    let (before, after) = (rename_mark::before(first), rename_mark::after(first));
    let clear = drop_mark(schema, texts, &after);
    let create = by_name(schema, texts, &before, "CREATE TABLE IF NOT EXISTS ", " (id INT)");
    let undo = drop_mark(schema, texts, &before);
    let create = create.map(|create| DdlStatement { undo: undo.map(|undo| undo.text), ..create });
    for (shard, (text, undo)) in (0_u32..).zip(texts).filter(|(_, (text, _))| !text.is_empty()) {
        let name = |mark: &str| mark_name(schema, shard, mark);
        text.extend([b", ".as_slice(), &name(&before), b" TO ", &name(&after)].concat());
        undo.push([name(&after).as_slice(), b" TO ", &name(&before)].concat());
    }
    clear
        .map(|clear| DdlStatement { undo: Some(clear.text.clone()), ..clear })
        .into_iter()
        .chain(create)
        .collect()
}

fn mark_name(schema: &Schema, shard: u32, mark: &str) -> Vec<u8> {
    let mut name = Vec::new();
    push_quoted(physical_database(&schema.name, shard).as_bytes(), &mut name);
    name.push(b'.');
    push_quoted(mark.as_bytes(), &mut name);
    name
}

fn drop_mark(schema: &Schema, texts: &Texts, mark: &str) -> Option<DdlStatement> {
    by_name(schema, texts, mark, "DROP TABLE IF EXISTS ", "")
}

/// A statement about a mark, on every shard that has renames.
fn by_name(
    schema: &Schema,
    texts: &Texts,
    mark: &str,
    head: &str,
    tail: &str,
) -> Option<DdlStatement> {
    let of_shard = |(shard, (text, _)): (u32, &(Vec<u8>, Vec<Vec<u8>>))| match text.is_empty() {
        true => Vec::new(),
        false => [head.as_bytes(), &mark_name(schema, shard, mark), tail.as_bytes()].concat(),
    };
    let made: Vec<Vec<u8>> = (0_u32..).zip(texts).map(of_shard).collect();
    let table = PlanTable {
        schema: schema.name.clone(),
        name: mark.to_owned(),
        alias: mark.to_owned(),
        physical_base: None,
        place: TablePlace::Broadcast,
    };
    let targets = (0_u32..)
        .zip(&made)
        .filter(|(_, text)| !text.is_empty())
        .map(|(shard, _)| Target { shard, suffix: 0 })
        .collect();
    Some(DdlStatement {
        tables: Arc::from([table]),
        targets,
        text: by_shard(made, head.trim().as_bytes().to_vec()),
        undo: None,
    })
}

fn by_shard(texts: Vec<Vec<u8>>, shown: Vec<u8>) -> Template {
    Template::made(vec![Piece::ByShard { texts: Arc::from(texts), shown }], Vec::new())
}

/// One statement with a text for each shard; `shown` is it in logical names.
fn statement(tables: Vec<PlanTable>, texts: Texts, shown: Vec<u8>) -> Option<DdlStatement> {
    let targets: Vec<Target> = (0_u32..)
        .zip(&texts)
        .filter(|(_, (text, _))| !text.is_empty())
        .map(|(shard, _)| Target { shard, suffix: 0 })
        .collect();
    if targets.is_empty() {
        return None;
    }
    let word = |text: Vec<u8>| [b"RENAME TABLE ".as_slice(), &text].concat();
    let (there, back): (Vec<_>, Vec<_>) =
        texts.into_iter().map(|(text, undo)| (word(text), word(undo.join(&b", "[..])))).unzip();
    Some(DdlStatement {
        tables: Arc::from(tables),
        targets,
        text: by_shard(there, shown.clone()),
        undo: Some(by_shard(back, shown)),
    })
}

/// The table under its new name, for ALTER … RENAME TO.
pub(crate) fn renamed(
    subject: &Subject<'_>,
    schema: &Schema,
    table: &Table,
    to: TableName,
) -> Result<Table, SqlError> {
    let new_name = name_of(subject, to.name);
    check_table_name(&new_name)?;
    let same = new_name.eq_ignore_ascii_case(&table.name);
    if schema.table(&new_name).is_some() && !same {
        return Err(SqlError::new(TABLE_EXISTS, format!("Table '{new_name}' already exists")));
    }
    let renamed = Table { name: new_name, physical_base: None, ..next_version(table) };
    check_table(schema, &renamed)?;
    Ok(renamed)
}

/// A statement that names the old and the new physical table.
pub(crate) fn rename_statement(
    schema: &Schema,
    table: &Table,
    renamed: &Table,
    text: Template,
) -> DdlStatement {
    let undo =
        vec![Piece::text("RENAME TABLE "), Piece::Table(1), Piece::text(" TO "), Piece::Table(0)];
    DdlStatement {
        tables: Arc::from([plan_table(schema, table), plan_table(schema, renamed)]),
        targets: table_targets(table, schema.shard_count()),
        text,
        undo: Some(Template::made(undo, Vec::new())),
    }
}

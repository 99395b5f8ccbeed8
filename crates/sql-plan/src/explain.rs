//! EXPLAIN: the plan in the product's words, one operator a line, indented. Literals appear as `?0`,
//! `?1`, … in the pushed-down text, tables under their logical names.

use crate::insert::{InsertHome, InsertPlan, InsertSelectPlan};
use crate::load::LoadWay;
use crate::merge::{ColumnAt, Merge, OrderKey};
use crate::plan::{
    Action, DdlPlan, LoadSource, Place, Plan, PlanTable, Planned, RoutedPlan, RowKind, ScratchPlan,
    TablePlace,
};
use crate::scratch_write::{ScratchInsertPlan, ScratchRows, ScratchWritePlan, WriteLoad};
use crate::template::{REDUCTIONS_FROM, Template};
use crate::value::Values;
use base::sql_error::SqlError;
use std::collections::BTreeSet;
use topology::algorithm::Target;

impl Planned {
    /// The rows of EXPLAIN, for these values. An execution with them would do just this.
    pub fn explain(&self, values: &Values<'_>) -> Result<Vec<String>, SqlError> {
        let mut lines = Lines { lines: Vec::new(), depth: 0 };
        match &self.plan {
            Plan::Routed(plan) => routed(plan, values, &mut lines)?,
            Plan::Insert(plan) => insert(plan, values, &mut lines)?,
            Plan::InsertSelect(plan) => insert_select(plan, values, &mut lines)?,
            Plan::Load(plan) => match &plan.way {
                LoadWay::Staged(staged) => {
                    lines
                        .push(format!("StagedLoad({}, reason=\"{}\")", plan.schema, staged.reason));
                }
                LoadWay::Whole { .. } | LoadWay::Split(_) => {
                    lines.push(format!("Load({})", plan.schema));
                }
            },
            Plan::ScratchInsert(plan) => scratch_insert(plan, values, &mut lines)?,
            Plan::Ddl(plan) => ddl(plan, values, &mut lines),
            Plan::Placement(plan) => lines.push(plan.explain()),
            Plan::Session => lines.push("Session()"),
        }
        Ok(lines.lines)
    }
}

struct Lines {
    lines: Vec<String>,
    depth: usize,
}

impl Lines {
    fn push(&mut self, line: impl AsRef<str>) {
        self.lines.push(format!("{}{}", "  ".repeat(self.depth), line.as_ref()));
    }

    /// An operator with what it takes its rows from below it.
    fn over(&mut self, line: impl AsRef<str>) {
        self.push(line);
        self.depth += 1;
    }
}

fn routed(plan: &RoutedPlan, values: &Values<'_>, lines: &mut Lines) -> Result<(), SqlError> {
    let operator = if plan.kind == RowKind::Write { "ExtTableModify" } else { "ExtTableScan" };
    match plan.decide(values)? {
        Action::Forward { place, text } => {
            let targets = match place {
                Place::AnyNode | Place::AnyShard(_) => vec![Target { shard: 0, suffix: 0 }],
                Place::Target(_, target) => vec![target],
            };
            lines.push(scan(operator, &plan.tables, &targets, text, values));
        }
        Action::Everywhere { shards, text, .. } => {
            let targets: Vec<Target> =
                (0..shards).map(|shard| Target { shard, suffix: 0 }).collect();
            lines.push(scan(operator, &plan.tables, &targets, text, values));
        }
        Action::Scatter { targets, text, merge, .. } => {
            merge_lines(merge, values, lines);
            lines.push(scan(operator, &plan.tables, &targets, text, values));
        }
        Action::Scratch { plan: scratch, sources } => {
            scratch_lines(scratch, &plan.tables, &sources, values, lines)?;
        }
        Action::ScratchWrite { plan: scratch, sources } => {
            scratch_write_lines(scratch, &sources, values, lines);
        }
    }
    Ok(())
}

fn scratch_write_lines(
    scratch: &ScratchWritePlan,
    sources: &[Vec<Target>],
    values: &Values<'_>,
    lines: &mut Lines,
) {
    let text = scratch.text.explained(values, &scratch.tables);
    lines.over(format!("ScratchModify(reason=\"{}\", sql=\"{text}\")", scratch.reason));
    for ((load, targets), table) in scratch.loads.iter().zip(sources).zip(scratch.tables.iter()) {
        lines.push(load_line(load, table, targets, &scratch.tables, values));
    }
}

fn load_line(
    load: &WriteLoad,
    table: &PlanTable,
    targets: &[Target],
    tables: &[PlanTable],
    values: &Values<'_>,
) -> String {
    let any = matches!(load.source, LoadSource::Shard(_));
    format!(
        "ExtTableScan(tables=\"{}\", tableType={}, shardCount={}, pushdownSql=\"{}\")",
        physical(table, targets),
        table_type(table),
        if any { 1 } else { targets.len() },
        load.text.explained(values, tables),
    )
}

fn scratch_insert(
    plan: &ScratchInsertPlan,
    values: &Values<'_>,
    lines: &mut Lines,
) -> Result<(), SqlError> {
    let table = &plan.tables[0];
    lines.over(format!(
        "ScratchInsert(table=\"{}\", tableType={}, reason=\"{}\")",
        table.name,
        table_type(table),
        plan.reason
    ));
    for (load, reference) in plan.loads.iter().zip(&plan.load_references) {
        let table = &plan.tables[*reference];
        let targets = load.source.targets(values)?;
        lines.push(load_line(load, table, &targets, &plan.tables, values));
    }
    match &plan.rows {
        ScratchRows::Listed(text) => {
            lines.push(format!("Evaluate(sql=\"{}\")", text.explained(values, &plan.tables)));
            Ok(())
        }
        ScratchRows::Query { source, .. } => routed(source, values, lines),
    }
}

fn scratch_lines(
    scratch: &ScratchPlan,
    tables: &[PlanTable],
    sources: &[Vec<Target>],
    values: &Values<'_>,
    lines: &mut Lines,
) -> Result<(), SqlError> {
    let holes = |number: u32, out: &mut Vec<u8>| {
        let text = match number.checked_sub(REDUCTIONS_FROM) {
            None => format!("temp_{number}"),
            Some(number) => match scratch.reductions.get(number as usize) {
                Some(reduction) => format!(
                    "{} IN (values of temp_{}.{})",
                    reduction.column,
                    reduction.source,
                    reduction.source_column.wrapping_add(1)
                ),
                None => "TRUE".to_owned(),
            },
        };
        out.extend_from_slice(text.as_bytes());
    };
    let text = scratch.text.explained_with(values, tables, &holes);
    lines.over(format!("Scratch(reason=\"{}\", sql=\"{text}\")", scratch.reason));
    let depth = lines.depth;
    for (load, targets) in scratch.loads.iter().zip(sources) {
        match (&load.source, tables.get(load.number as usize)) {
            (LoadSource::Query(plan), _) => {
                lines.over(format!("Result(temp_{})", load.number));
                routed(plan, values, lines)?;
                lines.depth = depth;
            }
            (LoadSource::Copy(of), _) => {
                lines.push(format!("Copy(temp_{} of temp_{of})", load.number));
            }
            (LoadSource::Groups(_), _) => lines.push(format!(
                "Groups(temp_{}, shardCount={}, pushdownSql=\"{}\")",
                load.number,
                targets.len(),
                load.text.explained_with(values, tables, &holes),
            )),
            (source, Some(table)) => {
                let any = matches!(source, LoadSource::Shard(_));
                let text = load.text.explained_with(values, tables, &holes);
                let operator = if load.in_place { "InPlace" } else { "ExtTableScan" };
                lines.push(format!(
                    "{operator}(tables=\"{}\", tableType={}, shardCount={}, pushdownSql=\"{text}\")",
                    physical(table, targets),
                    table_type(table),
                    if any { 1 } else { targets.len() },
                ));
            }
            (_, None) => {}
        }
    }
    Ok(())
}

fn scan(
    operator: &str,
    tables: &[PlanTable],
    targets: &[Target],
    text: &Template,
    values: &Values<'_>,
) -> String {
    let text = text.explained(values, tables);
    let count = targets.len();
    match tables {
        [] => format!("{operator}(pushdownSql=\"{text}\")"),
        [table] => format!(
            "{operator}(tables=\"{}\", tableType={}, shardCount={count}, pushdownSql=\"{text}\")",
            physical(table, targets),
            table_type(table),
        ),
        _ => {
            let sharded = tables.iter().find(|table| table_type(table) == "SHARDING");
            let table = sharded.unwrap_or(&tables[0]);
            format!(
                "{operator}(schemas=\"{}\", shardCount={count}, pushdownSql=\"{text}\")",
                databases(table, targets)
            )
        }
    }
}

fn table_type(table: &PlanTable) -> &'static str {
    match table.place {
        TablePlace::Fixed { .. } => "SINGLE",
        TablePlace::Broadcast | TablePlace::BroadcastOf { .. } => "BROADCAST",
        TablePlace::Sharded { .. } => "SHARDING",
    }
}

/// `db_[0~7].orders_[0~3]`
fn physical(table: &PlanTable, targets: &[Target]) -> String {
    let name = match table.place {
        TablePlace::Sharded { suffixed: true } => {
            format!("{}_{}", table.name, numbers(targets.iter().map(|target| target.suffix)))
        }
        _ => table.name.clone(),
    };
    format!("{}.{name}", databases(table, targets))
}

fn databases(table: &PlanTable, targets: &[Target]) -> String {
    let shards: BTreeSet<u32> = targets
        .iter()
        .map(|target| match &table.place {
            TablePlace::Fixed { shard } => *shard,
            TablePlace::BroadcastOf { shards } => {
                shards.get(target.shard as usize).copied().unwrap_or_default()
            }
            _ => target.shard,
        })
        .collect();
    match shards.first() {
        Some(shard) if shards.len() == 1 => {
            topology::model::physical_database(&table.schema, *shard)
        }
        _ => format!("{}_{}", table.schema, numbers(shards.into_iter())),
    }
}

/// `3`, `[0~7]`, `[0,2,5]`
fn numbers(numbers: impl Iterator<Item = u32>) -> String {
    let set: BTreeSet<u32> = numbers.collect();
    let (Some(first), Some(last)) = (set.first(), set.last()) else { return "[]".to_owned() };
    if set.len() == 1 {
        return first.to_string();
    }
    if set.len() == (last - first + 1) as usize {
        return format!("[{first}~{last}]");
    }
    let listed: Vec<String> = set.iter().map(ToString::to_string).collect();
    format!("[{}]", listed.join(","))
}

fn merge_lines(merge: &Merge, values: &Values<'_>, lines: &mut Lines) {
    if merge.counts_only {
        lines.over("MergeCounts()");
        return;
    }
    let number = |value: &Option<crate::value::ValueRef>| {
        value.as_ref().map(|value| values.unsigned(value).map_or("?".into(), |n| n.to_string()))
    };
    match (number(&merge.offset), number(&merge.limit)) {
        (None, None) => {}
        (offset, limit) => {
            let parts: Vec<String> = offset
                .map(|offset| format!("offset={offset}"))
                .into_iter()
                .chain(limit.map(|limit| format!("fetch={limit}")))
                .collect();
            lines.over(format!("Limit({})", parts.join(", ")));
        }
    }
    if !merge.distinct.is_empty() {
        let keys: Vec<String> = merge.distinct.iter().map(|key| column(key.value)).collect();
        lines.over(format!("Distinct(keys=[{}])", keys.join(", ")));
    }
    if !merge.sort.is_empty() {
        lines.over(format!("MemSort(sort=[{}])", order(&merge.sort)));
    }
    if let Some(having) = &merge.having {
        lines.over(format!("Filter({having:?})"));
    }
    if let Some(group) = &merge.group {
        let keys: Vec<String> = group.keys.iter().map(|key| column(key.value)).collect();
        let aggregates: Vec<String> = group
            .aggregates
            .iter()
            .map(|aggregate| format!("{}={}", column(aggregate.column), kind(&aggregate.kind)))
            .collect();
        lines.over(format!(
            "SortBasedAggregate(group=[{}], aggregates=[{}])",
            keys.join(", "),
            aggregates.join(", ")
        ));
    }
    if merge.order.is_empty() {
        lines.over("Gather(concurrent=true)");
    } else {
        lines.over(format!("MergeSort(sort=[{}])", order(&merge.order)));
    }
}

fn kind(kind: &crate::merge::AggregateKind) -> &'static str {
    use crate::merge::AggregateKind as K;
    match kind {
        K::Sum => "SUM",
        K::Extreme { max: true, .. } => "MAX",
        K::Extreme { max: false, .. } => "MIN",
        K::Average { .. } => "AVG",
        K::BitAnd => "BIT_AND",
        K::BitOr => "BIT_OR",
        K::BitXor => "BIT_XOR",
    }
}

fn order(keys: &[OrderKey]) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|key| {
            let weight = if key.key.weight.is_some() { " by weight" } else { "" };
            let direction = if key.desc { " DESC" } else { "" };
            format!("{}{weight}{direction}", column(key.key.value))
        })
        .collect();
    parts.join(", ")
}

/// Visible columns count from 1, hidden ones are `h1`, `h2`.
fn column(at: ColumnAt) -> String {
    match at {
        ColumnAt::Visible(index) => (index + 1).to_string(),
        ColumnAt::Hidden(index) => format!("h{}", index + 1),
    }
}

fn insert(plan: &InsertPlan, values: &Values<'_>, lines: &mut Lines) -> Result<(), SqlError> {
    let text = plan.text.explained(values, &plan.tables);
    let table = &plan.tables[0];
    if let Some(evaluation) = &plan.evaluation {
        lines.over(format!("Evaluate(sql=\"{}\")", evaluation.explained(values, &plan.tables)));
    }
    if let Some(sequence) = &plan.sequence {
        let count = plan.ids_needed(values);
        lines.over(format!(
            "Sequence(table={}, column={}, count={count})",
            sequence.table, sequence.column
        ));
    }
    let known = plan.sequence.is_none() && plan.evaluation.is_none();
    if !known {
        lines.push(format!(
            "LogicalInsert(table=\"{}\", rows={}, sql=\"{text}\")",
            table.name,
            plan.rows.len()
        ));
        return Ok(());
    }
    for part in plan.split(values, &[])? {
        lines.push(format!(
            "LogicalInsert(table=\"{}\", rows={}, sql=\"{text}\")",
            physical(table, &[part.target]),
            part.rows.len()
        ));
    }
    Ok(())
}

fn insert_select(
    plan: &InsertSelectPlan,
    values: &Values<'_>,
    lines: &mut Lines,
) -> Result<(), SqlError> {
    let home = match &plan.placer.home {
        InsertHome::Sharded(_) => "SHARDING",
        InsertHome::Everywhere { .. } => "BROADCAST",
        InsertHome::Shard { .. } => "SINGLE",
    };
    let head = plan.head.explained(values, &plan.tables);
    let tail = plan.tail.explained(values, &plan.tables);
    lines.over(format!("LogicalInsert(tableType={home}, sql=\"{head}...{tail}\")"));
    routed(&plan.source, values, lines)
}

fn ddl(plan: &DdlPlan, values: &Values<'_>, lines: &mut Lines) {
    for statement in &plan.statements {
        let text = statement.text.explained(values, &statement.tables);
        let table = &statement.tables[0];
        lines.push(format!(
            "DirectDdl(tables=\"{}\", tableType={}, count={}, sql=\"{text}\")",
            physical(table, &statement.targets),
            table_type(table),
            statement.targets.len(),
        ));
    }
    for (number, note) in &plan.notes {
        lines.push(format!("Note({number}, \"{note}\")"));
    }
}

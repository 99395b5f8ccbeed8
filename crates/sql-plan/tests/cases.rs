//! Planner cases are data: `tests/cases/*.txt` hold a topology as DDL, then statements with the plan
//! or the error that they give. `UPDATE=1 cargo test -p sql-plan` writes the answers down anew; the
//! difference is then read by a person.
#![allow(clippy::unwrap_used)]

use base::id::{DataNodeId, InstanceId};
use base::secret::Secret;
use base::sql_error::SqlError;
use sql_plan::load::LoadWay;
use sql_plan::merge::Merge;
use sql_plan::plan::{Action, DdlPlan, LoadSource, Place, Plan, PlanTable, Planned, RoutedPlan};
use sql_plan::scratch_write::ScratchRows;
use sql_plan::template::{Fill, Rendered, SessionValue, Template};
use sql_plan::value::Values;
use sql_plan::{PlanContext, plan};
use sql_syntax::{LexMode, TokenBuf, parse_one};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use topology::algorithm::{SqlValue, Target};
use topology::model::{
    DataNode, SNAPSHOT_FORM, Schema, Shard, ShardMode, Snapshot, physical_database,
};
use topology::parameters::Parameters;
use topology::stream::TableChange;

/// The snapshot of a case file while its head is read.
struct World {
    snapshot: Snapshot,
    current: Option<String>,
}

fn node_id(number: u8) -> DataNodeId {
    DataNodeId::from_random([number; 16])
}

impl World {
    fn new() -> Self {
        let snapshot = Snapshot {
            form: SNAPSHOT_FORM,
            version: 1,
            instance_id: InstanceId::from_random([7; 16]),
            instance_name: "ddm".into(),
            data_nodes: (1..=4).map(|number| (node_id(number), data_node(number))).collect(),
            schemas: BTreeMap::new(),
            accounts: BTreeMap::new(),
            parameters: Parameters::default(),
            node_count: 1,
            node_numbers: Default::default(),
            read_only_nodes: Default::default(),
            client_access: None,
            access_lists: Default::default(),
            time_zone: None,
        };
        Self { snapshot, current: None }
    }

    /// `schema NAME SHARDS NODE,NODE [single]`, `use NAME`, `parameter NAME VALUE`, or a CREATE TABLE.
    fn head(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["schema", name, shards, nodes, mode @ ..] => self.schema(name, shards, nodes, mode),
            ["use", name] => self.current = Some((*name).to_owned()),
            ["parameter", name, value @ ..] => {
                self.snapshot.parameters.set(name, &value.join(" ")).unwrap();
            }
            _ => self.create(line),
        }
    }

    fn schema(&mut self, name: &str, shards: &str, nodes: &str, mode: &[&str]) {
        let nodes: Vec<u8> = nodes.split(',').map(|node| node.parse().unwrap()).collect();
        let shards: u32 = shards.parse().unwrap();
        let per_node = (shards as usize).div_ceil(nodes.len());
        let schema = Schema {
            name: name.to_owned(),
            mode: if mode.contains(&"single") { ShardMode::Single } else { ShardMode::Cluster },
            ready: !mode.contains(&"unready"),
            character_set: "utf8mb4".into(),
            collation: "utf8mb4_general_ci".into(),
            shards: (0..shards)
                .map(|index| Shard {
                    index,
                    database: physical_database(name, index),
                    data_node: node_id(nodes[index as usize / per_node]),
                })
                .collect(),
            tables: BTreeMap::new(),
            recycled: BTreeMap::new(),
        };
        self.snapshot.schemas.insert(name.to_owned(), schema);
    }

    fn create(&mut self, text: &str) {
        let planned = self.plan(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let Plan::Ddl(ddl) = planned.plan else { panic!("{text} is no DDL") };
        for change in ddl.changes {
            let schema = self.snapshot.schemas.get_mut(&ddl.schema).unwrap();
            match change {
                TableChange::Create { table } => {
                    schema.tables.insert(table.name.to_lowercase(), table);
                }
                TableChange::Rename { from, table, .. } if table.recycled.is_some() => {
                    schema.tables.remove(&from);
                    schema.recycled.insert(table.name.to_lowercase(), table);
                }
                _ => panic!("{text} creates nothing"),
            }
        }
        self.snapshot.validate().unwrap();
    }

    fn plan(&self, text: &str) -> Result<Planned, SqlError> {
        let mode = LexMode::default();
        let mut tokens = TokenBuf::new();
        let parsed = parse_one(text.as_bytes(), 0, &mode, &mut tokens)
            .unwrap_or_else(|error| panic!("{text}\n{error}"));
        let context = PlanContext {
            current_schema: self.current.as_deref(),
            mode: &mode,
            plain_names: false,
            check: None,
        };
        plan(&parsed, text.as_bytes(), &tokens, &self.snapshot, &context)
    }

    /// What a statement gives. Parameters come after ` -- `, one value each.
    fn answer(&self, line: &str) -> String {
        let (text, params) = line.split_once(" -- ").unwrap_or((line, ""));
        let params: Vec<SqlValue> = params.split_whitespace().map(param).collect();
        let mode = LexMode::default();
        let mut tokens = TokenBuf::new();
        let parsed = match parse_one(text.as_bytes(), 0, &mode, &mut tokens) {
            Ok(parsed) => parsed,
            Err(error) => return format!("syntax error: {error}\n"),
        };
        let context = PlanContext {
            current_schema: self.current.as_deref(),
            mode: &mode,
            plain_names: false,
            check: None,
        };
        let planned = match plan(&parsed, text.as_bytes(), &tokens, &self.snapshot, &context) {
            Ok(planned) => planned,
            Err(error) => return refusal(&error),
        };
        let values = Values {
            text: text.as_bytes(),
            tokens: &tokens,
            mode: &mode,
            param_tokens: &parsed.params,
            params: &params,
            evaluated: &[],
            zero_is_a_value: false,
        };
        let mut out = String::new();
        match planned.explain(&values) {
            Ok(lines) => lines.iter().for_each(|line| writeln!(out, "{line}").unwrap()),
            Err(error) => return refusal(&error),
        }
        texts(&planned, &values, &mut out).unwrap_or_else(|error| out.push_str(&refusal(&error)));
        flags(&planned, &mut out);
        out
    }
}

fn data_node(number: u8) -> DataNode {
    DataNode {
        id: node_id(number),
        name: format!("dn{number}"),
        host: "127.0.0.1".into(),
        port: 3306,
        server_version: "10.11.6-MariaDB".into(),
        user: "ddm".into(),
        password: Secret::new("x"),
        read_weight: 100,
        replicas: Vec::new(),
    }
}

fn param(text: &str) -> SqlValue {
    match text.parse::<i128>() {
        Ok(number) => SqlValue::Integer(number),
        Err(_) if text == "NULL" => SqlValue::Null,
        Err(_) => SqlValue::Text(text.as_bytes().to_vec()),
    }
}

fn refusal(error: &SqlError) -> String {
    format!("error {}: {}\n", error.code, error.message)
}

/// The texts that data nodes would get: for several targets that of the first one.
fn texts(planned: &Planned, values: &Values<'_>, out: &mut String) -> Result<(), SqlError> {
    match &planned.plan {
        Plan::Routed(plan) => routed(plan, values, out)?,
        Plan::Insert(plan) => {
            let ids: Vec<u64> = (0..plan.ids_needed(values) as u64).map(|id| 1001 + id).collect();
            if let Some(evaluation) = &plan.evaluation {
                show(evaluation, values, &plan.tables, None, out);
                return Ok(());
            }
            let ids = plan.ids_by_row(values, &ids);
            for part in plan.split(values, &ids)? {
                let mut rendered = Rendered::default();
                with_fill(values, &plan.tables, |fill| {
                    plan.render(&part, &ids, false, fill, &mut rendered)
                });
                let text = String::from_utf8(rendered.text).unwrap();
                writeln!(out, "{}: {text}", at(Some(part.target))).unwrap();
            }
        }
        Plan::InsertSelect(plan) => {
            let target = Some(Target { shard: 0, suffix: 0 });
            show(&plan.head, values, &plan.tables, target, out);
            show(&plan.tail, values, &plan.tables, target, out);
            writeln!(out, "keys at {:?}", plan.placer.key_positions).unwrap();
            routed(&plan.source, values, out)?;
        }
        Plan::Load(plan) => match &plan.way {
            LoadWay::Whole { shard, text, .. } => {
                let target = Some(Target { shard: *shard, suffix: 0 });
                show(text, values, &plan.tables, target, out);
            }
            LoadWay::Split(split) => {
                let target = Some(Target { shard: 0, suffix: 0 });
                show(&split.text, values, &plan.tables, target, out);
                writeln!(out, "given {:?}, without {:?}", split.given, split.left_out).unwrap();
                writeln!(out, "keys {:?}", split.keys).unwrap();
            }
            LoadWay::Staged(staged) => {
                let ScratchRows::Listed(text) = &staged.rows else { unreachable!() };
                show(text, values, &plan.tables, None, out);
            }
        },
        Plan::ScratchInsert(plan) => {
            for load in &plan.loads {
                let targets = load.source.targets(values)?;
                show(&load.text, values, &plan.tables, targets.last().copied(), out);
            }
            match &plan.rows {
                ScratchRows::Listed(text) => show(text, values, &plan.tables, None, out),
                ScratchRows::Query { source, .. } => routed(source, values, out)?,
            }
            let tail = if plan.meets_rows { &plan.tail } else { &plan.pushed_tail };
            show(tail, values, &plan.tables, None, out);
        }
        Plan::Placement(plan) => {
            let (from, to) = (plan.sources.len(), plan.targets.len());
            writeln!(out, "{}, {from} read, {to} made", plan.to.physical_name(0)).unwrap();
            writeln!(out, "keys at {:?}", plan.placer.key_positions).unwrap();
            writeln!(out, "rows may collide: {}", plan.may_collide).unwrap();
        }
        Plan::Ddl(first) => {
            let mut next = Some(first.as_ref());
            while let Some(plan) = next {
                ddl(plan, values, out);
                next = plan.then.as_deref();
            }
        }
        Plan::Session => {}
    }
    Ok(())
}

fn ddl(plan: &DdlPlan, values: &Values<'_>, out: &mut String) {
    for statement in &plan.statements {
        let target = statement.targets.last().copied();
        show(&statement.text, values, &statement.tables, target, out);
        if let Some(undo) = &statement.undo {
            out.push_str("undo ");
            show(undo, values, &statement.tables, target, out);
        }
    }
    for change in &plan.changes {
        let what = match change {
            TableChange::Create { table } => format!("create {}", table.name),
            TableChange::Alter { table } => format!("alter {}", table.name),
            TableChange::Rename { from, table, to_schema } => {
                let schema = to_schema.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
                format!("rename {from} to {schema}{}", table.name)
            }
            TableChange::Move { .. } => "move".to_owned(),
            TableChange::Drop { name } => format!("drop {name}"),
        };
        writeln!(out, "change: {what}").unwrap();
    }
    if plan.otherwise.is_some() {
        writeln!(out, "or dropped, where it cannot be kept").unwrap();
    }
    if plan.rerun {
        writeln!(out, "what is done already is no error").unwrap();
    }
    if let Some(column) = &plan.numbered {
        writeln!(out, "numbered: {column}").unwrap();
    }
    if let Some(error) = &plan.error_after {
        writeln!(out, "then error {}: {}", error.code, error.message).unwrap();
    }
}

fn routed(plan: &RoutedPlan, values: &Values<'_>, out: &mut String) -> Result<(), SqlError> {
    match plan.decide(values)? {
        Action::Forward { place, text } => {
            let target = match place {
                Place::Target(_, target) => Some(target),
                Place::AnyNode | Place::AnyShard(_) => None,
            };
            show(text, values, &plan.tables, target, out);
        }
        Action::Scatter { targets, text, merge, .. } => {
            assert!(targets.len() > 1 || !plan.by_values, "a scatter to one target");
            check_merge(merge);
            show(text, values, &plan.tables, targets.last().copied(), out);
        }
        Action::Everywhere { text, .. } => {
            show(text, values, &plan.tables, Some(Target { shard: 0, suffix: 0 }), out);
        }
        Action::Scratch { plan: scratch, sources } => {
            for (load, targets) in scratch.loads.iter().zip(&sources) {
                let list = |what: &str, columns: &[String]| match columns {
                    [] => String::new(),
                    columns => format!(" {what} {}", columns.join(", ")),
                };
                let keys = list("primary key", &load.primary_key) + &list("keys", &load.keys);
                writeln!(out, "table {}{}{keys}", load.number, load.definition).unwrap();
                match &load.source {
                    LoadSource::Query(plan) => routed(plan, values, out)?,
                    LoadSource::Copy(of) => writeln!(out, "copy of {of}").unwrap(),
                    _ if load.in_place => writeln!(out, "in place").unwrap(),
                    _ => show(&load.text, values, &plan.tables, targets.last().copied(), out),
                }
            }
            show(&scratch.text, values, &plan.tables, None, out);
        }
        Action::ScratchWrite { plan: scratch, sources } => {
            for (load, targets) in scratch.loads.iter().zip(&sources) {
                if load.written.is_none() {
                    writeln!(out, "table {}", load.definition).unwrap();
                }
                show(&load.text, values, &scratch.tables, targets.last().copied(), out);
            }
            show(&scratch.text, values, &scratch.tables, None, out);
        }
    }
    Ok(())
}

/// What every merge must satisfy.
fn check_merge(merge: &Merge) {
    if let Some(group) = &merge.group {
        for key in &group.keys {
            let leading = merge.order.iter().take(group.keys.len());
            assert!(
                leading.into_iter().any(|order| order.key == *key),
                "group keys lead the order"
            );
        }
    }
    for key in &merge.distinct {
        assert!(merge.order.iter().any(|order| order.key == *key), "distinct keys are sorted by");
    }
}

fn with_fill<T>(values: &Values<'_>, tables: &[PlanTable], f: impl FnOnce(&Fill<'_>) -> T) -> T {
    let session = |value: SessionValue, out: &mut Vec<u8>| {
        out.extend_from_slice(format!("'<{value:?}>'").as_bytes());
    };
    let temporary = |load: u32, out: &mut Vec<u8>| {
        let reduction = load.checked_sub(sql_plan::template::REDUCTIONS_FROM);
        let text = match reduction {
            None => format!("`tmp_{load}`"),
            Some(number) => format!("<reduction {number}>"),
        };
        out.extend_from_slice(text.as_bytes());
    };
    f(&Fill { values, tables, session: &session, temporary: &temporary, inline_params: true })
}

fn at(target: Option<Target>) -> String {
    target.map_or("@any".to_owned(), |target| format!("@{}.{}", target.shard, target.suffix))
}

fn show(
    template: &Template,
    values: &Values<'_>,
    tables: &[PlanTable],
    target: Option<Target>,
    out: &mut String,
) {
    let mut rendered = Rendered::default();
    let place = target.unwrap_or(Target { shard: 0, suffix: 0 });
    with_fill(values, tables, |fill| template.render(fill, place, &mut rendered));
    let text = String::from_utf8(rendered.text).unwrap();
    writeln!(out, "{}: {text}", at(target)).unwrap();
}

fn flags(planned: &Planned, out: &mut String) {
    let mut flags = Vec::new();
    let is_ddl = matches!(planned.plan, Plan::Ddl(_) | Plan::Session);
    if !planned.cacheable && !is_ddl {
        flags.push("not cacheable");
    }
    if planned.locking {
        flags.push("locking");
    }
    if planned.uses.user_variables {
        flags.push("user variables");
    }
    if planned.uses.system_variables {
        flags.push("system variables");
    }
    if planned.uses.connection_state {
        flags.push("connection state");
    }
    if !flags.is_empty() {
        writeln!(out, "flags: {}", flags.join(", ")).unwrap();
    }
}

/// Runs a file; gives its text with the answers of now, and the number of cases.
fn run(text: &str) -> (String, usize) {
    let mut world = World::new();
    let mut out = String::new();
    let mut cases = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(statement) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            out.push_str(&world.answer(statement));
            cases += 1;
            while lines.next_if(|next| !next.is_empty() && !next.starts_with("> ")).is_some() {}
            if lines.peek().is_some_and(|next| next.starts_with("> ")) {
                out.push('\n');
            }
            continue;
        }
        if !line.is_empty() && !line.starts_with('#') {
            world.head(line);
        }
        writeln!(out, "{line}").unwrap();
    }
    (out, cases)
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let bless = std::env::var_os("UPDATE").is_some();
    let mut total = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let before = std::fs::read_to_string(&path).unwrap();
        let (after, cases) = run(&before);
        total += cases;
        if before != after {
            if bless {
                std::fs::write(&path, &after).unwrap();
            } else {
                let at = before.lines().zip(after.lines()).position(|(old, new)| old != new);
                let line = at.unwrap_or(before.lines().count());
                let new = after.lines().nth(line).unwrap_or("<end>");
                wrong.push(format!("{}:{}: now {new}", path.display(), line + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(total >= 150, "only {total} cases");
}

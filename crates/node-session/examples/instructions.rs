//! The steps of a statement's road that must stay cheap, each by itself and many times over, for
//! whoever counts instructions (`xtask instructions`) or time (`bench/speed.py`):
//! `instructions list`, `instructions run NAME COUNT`, `instructions time NAME`.

use base::id::{DataNodeId, InstanceId};
use base::secret::Secret;
use mysql_wire::row::put_text_field;
use node_backend::local_data::put_row;
use node_backend::query::Row;
use node_exec::merge::Record;
use node_exec::merge::compare::Comparison;
use node_session::plan_cache::PlanCache;
use sql_plan::load::records::{Format, Records, Step};
use sql_plan::plan::{Plan, Planned};
use sql_plan::template::{Fill, Rendered};
use sql_plan::value::Values;
use sql_plan::{PlanContext, plan};
use sql_syntax::{Digest, LexMode, TokenBuf, lex, normalise, parse};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};
use topology::model::{
    DataNode, SNAPSHOT_FORM, Schema, Shard, ShardMode, Snapshot, physical_database,
};
use topology::parameters::Parameters;
use topology::stream::TableChange;

/// The shortest time that tells something.
const TIMED: Duration = Duration::from_millis(300);

const POINT_SELECT: &str = "SELECT c FROM sbtest1 WHERE id = 4711";
const SCHEMA: &str = "bench";

/// Names of what can be run.
const NAMES: &[&str] = &[
    "lex a point select",
    "parse a point select",
    "parse a 20-column insert",
    "digest of a point select",
    "plan-cache hit",
    "decide with 2 shards",
    "decide with 64 shards",
    "decide with 4096 shards",
    "plan with 10 tables",
    "plan with 10000 tables",
    "render a point select",
    "plan an insert of 1000 rows",
    "split an insert of 1000 rows",
    "merge one row",
    "cut one record of a file",
    "write one record of a file",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut out = std::io::stdout();
    let told = match words.as_slice() {
        ["list"] => writeln!(out, "{}", NAMES.join("\n")),
        ["run", name, count] => {
            let mut work = workload(name);
            for _ in 0..count.parse::<u64>().expect("COUNT is a number") {
                work();
            }
            Ok(())
        }
        ["time", name] => writeln!(out, "{:.1}", nanoseconds(&mut *workload(name))),
        _ => writeln!(out, "usage: instructions list | run NAME COUNT | time NAME"),
    };
    told.expect("the standard output takes what is written");
}

/// Nanoseconds for one time, the best of several runs.
fn nanoseconds(work: &mut dyn FnMut()) -> f64 {
    let mut count = 1_u32;
    let mut best = f64::MAX;
    let began = Instant::now();
    loop {
        let started = Instant::now();
        (0..count).for_each(|_| work());
        let took = started.elapsed();
        if took < TIMED / 20 {
            count *= 2;
            continue;
        }
        best = best.min(took.as_secs_f64() * 1e9 / f64::from(count));
        if began.elapsed() > TIMED {
            return best;
        }
    }
}

fn workload(name: &str) -> Box<dyn FnMut()> {
    match name {
        "lex a point select" => lexing(),
        "parse a point select" => parsing(POINT_SELECT.to_owned()),
        "parse a 20-column insert" => parsing(wide_insert()),
        "digest of a point select" => digest(),
        "plan-cache hit" => cache_hit(),
        "decide with 2 shards" => deciding(2),
        "decide with 64 shards" => deciding(64),
        "decide with 4096 shards" => deciding(4096),
        "plan with 10 tables" => planning(10),
        "plan with 10000 tables" => planning(10_000),
        "render a point select" => rendering(),
        "plan an insert of 1000 rows" => planning_insert(),
        "split an insert of 1000 rows" => splitting(),
        "merge one row" => merging(),
        "cut one record of a file" => cutting(),
        "write one record of a file" => writing(),
        other => panic!("nothing is called '{other}'"),
    }
}

fn lexed(text: &str) -> TokenBuf {
    let mut tokens = TokenBuf::new();
    lex(text.as_bytes(), 0, &LexMode::default(), &mut tokens);
    tokens
}

fn lexing() -> Box<dyn FnMut()> {
    let mut tokens = TokenBuf::new();
    Box::new(move || lex(black_box(POINT_SELECT.as_bytes()), 0, &LexMode::default(), &mut tokens))
}

fn parsing(text: String) -> Box<dyn FnMut()> {
    let mut tokens = TokenBuf::new();
    Box::new(move || {
        let mode = LexMode::default();
        lex(black_box(text.as_bytes()), 0, &mode, &mut tokens);
        black_box(parse(text.as_bytes(), &tokens, &mode).is_ok());
    })
}

fn wide_insert() -> String {
    let columns: Vec<String> = (0..20).map(|at| format!("column{at}")).collect();
    let values: Vec<String> = (0..20).map(|at| format!("'value {at}'")).collect();
    format!("INSERT INTO sbtest1 ({}) VALUES ({})", columns.join(", "), values.join(", "))
}

fn digest() -> Box<dyn FnMut()> {
    let tokens = lexed(POINT_SELECT);
    let mut digest = Digest::default();
    Box::new(move || normalise(black_box(POINT_SELECT.as_bytes()), &tokens, &mut digest))
}

fn cache_hit() -> Box<dyn FnMut()> {
    let snapshot = snapshot(8, 10);
    let tokens = lexed(POINT_SELECT);
    let planned = Rc::new(planned(&snapshot, POINT_SELECT, &tokens));
    let mut digest = Digest::default();
    normalise(POINT_SELECT.as_bytes(), &tokens, &mut digest);
    let mut cache = PlanCache::default();
    let mode = LexMode::default();
    cache.put(1, &digest, Some(SCHEMA), &mode, &planned);
    Box::new(move || {
        let found = cache.get(1, black_box(&digest), Some(SCHEMA), &mode);
        assert!(found.is_some());
    })
}

fn values<'v>(text: &'v str, tokens: &'v TokenBuf, mode: &'v LexMode) -> Values<'v> {
    Values {
        text: text.as_bytes(),
        tokens,
        mode,
        param_tokens: &[],
        params: &[],
        evaluated: &[],
        zero_is_a_value: false,
    }
}

fn deciding(shards: u32) -> Box<dyn FnMut()> {
    let snapshot = snapshot(shards, 10);
    let tokens = lexed(POINT_SELECT);
    let planned = planned(&snapshot, POINT_SELECT, &tokens);
    Box::new(move || {
        let Plan::Routed(routed) = &planned.plan else { panic!("a SELECT is routed") };
        let mode = LexMode::default();
        let action = routed.decide(black_box(&values(POINT_SELECT, &tokens, &mode)));
        black_box(action.is_ok());
    })
}

fn planning(tables: u32) -> Box<dyn FnMut()> {
    let snapshot = snapshot(8, tables);
    let tokens = lexed(POINT_SELECT);
    Box::new(move || {
        black_box(planned(&snapshot, black_box(POINT_SELECT), &tokens));
    })
}

fn rendering() -> Box<dyn FnMut()> {
    let snapshot = snapshot(8, 10);
    let tokens = lexed(POINT_SELECT);
    let planned = planned(&snapshot, POINT_SELECT, &tokens);
    let mut rendered = Rendered::default();
    Box::new(move || {
        let Plan::Routed(routed) = &planned.plan else { panic!("a SELECT is routed") };
        let mode = LexMode::default();
        let values = values(POINT_SELECT, &tokens, &mode);
        let fill = Fill {
            values: &values,
            tables: &routed.tables,
            session: &|_, _| {},
            temporary: &|_, _| {},
            inline_params: true,
        };
        let target = topology::algorithm::Target { shard: 3, suffix: 0 };
        routed.forward.render(&fill, target, black_box(&mut rendered));
    })
}

fn long_insert() -> String {
    let rows: Vec<String> =
        (0..1000).map(|id| format!("({id}, {}, 'text {id}', 'more text')", id * 7)).collect();
    format!("INSERT INTO sbtest1 (id, k, c, pad) VALUES {}", rows.join(", "))
}

/// Too long for the cache of plans: read and planned each time.
fn planning_insert() -> Box<dyn FnMut()> {
    let text = long_insert();
    let snapshot = snapshot(8, 10);
    let mut tokens = TokenBuf::new();
    Box::new(move || {
        lex(black_box(text.as_bytes()), 0, &LexMode::default(), &mut tokens);
        black_box(planned(&snapshot, &text, &tokens));
    })
}

fn splitting() -> Box<dyn FnMut()> {
    let text = long_insert();
    let snapshot = snapshot(8, 10);
    let tokens = lexed(&text);
    let planned = planned(&snapshot, &text, &tokens);
    let mut rendered = Rendered::default();
    Box::new(move || {
        let Plan::Insert(insert) = &planned.plan else { panic!("an INSERT is split") };
        let mode = LexMode::default();
        let values = values(&text, &tokens, &mode);
        let fill = Fill {
            values: &values,
            tables: &insert.tables,
            session: &|_, _| {},
            temporary: &|_, _| {},
            inline_params: true,
        };
        let parts = insert.split(black_box(&values), &[]).expect("the rows can be placed");
        for part in &parts {
            insert.render(part, &[], false, &fill, &mut rendered);
        }
        black_box(&rendered);
    })
}

/// What the merge does for each row: its fields are found, it is compared with the heads of three
/// other streams, and written.
fn merging() -> Box<dyn FnMut()> {
    let row = |id: u32| {
        let mut payload = Vec::new();
        for field in [id.to_string(), "some text of a row".to_owned(), "12.50".to_owned()] {
            put_text_field(&mut payload, Some(field.as_bytes()));
        }
        Row::new(payload.into())
    };
    let heads: Vec<Record> =
        (0..3).map(|id| Record::of(&row(5000 + id)).expect("the row is whole")).collect();
    let next = row(5001);
    Box::new(move || {
        let record = Record::of(black_box(&next)).expect("the row is whole");
        for head in &heads {
            black_box(Comparison::Number.compare(record.get(0), head.get(0)));
        }
        black_box(record.packet(2));
    })
}

/// A line of a file, with an escape in it.
const LINE: &[u8] = b"4711\t17\tsome text of a row\twith\\\ttab\t2024-01-31\t12.50\n";

fn cutting() -> Box<dyn FnMut()> {
    let format = Format {
        field_end: b"\t".to_vec(),
        enclosed: None,
        escaped: Some(b'\\'),
        line_start: Vec::new(),
        line_end: b"\n".to_vec(),
    };
    let mut records = Records::new(format, 6, 0);
    Box::new(move || {
        assert!(matches!(records.next(black_box(LINE), false), Step::Record { .. }));
    })
}

fn writing() -> Box<dyn FnMut()> {
    let fields: Vec<&[u8]> = LINE.split(|byte| *byte == b'\t').collect();
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        put_row(black_box(&fields).iter().map(|field| Some(*field)), &mut out);
    })
}

fn planned(snapshot: &Snapshot, text: &str, tokens: &TokenBuf) -> Planned {
    let mode = LexMode::default();
    let parsed = parse(text.as_bytes(), tokens, &mode).expect("the statement is right");
    let context =
        PlanContext { current_schema: Some(SCHEMA), mode: &mode, plain_names: false, check: None };
    plan(&parsed, text.as_bytes(), tokens, snapshot, &context)
        .expect("the statement can be planned")
}

/// A schema with so many shards on two data nodes, and so many tables like the first.
fn snapshot(shards: u32, tables: u32) -> Snapshot {
    let nodes = [DataNodeId::from_random([1; 16]), DataNodeId::from_random([2; 16])];
    let data_node = |id: &DataNodeId| DataNode {
        id: id.clone(),
        name: "node".into(),
        host: "127.0.0.1".into(),
        port: 3306,
        server_version: "10.11.6-MariaDB".into(),
        user: "ddm".into(),
        password: Secret::new("x"),
        read_weight: 100,
        replicas: Vec::new(),
    };
    let shard = |index: u32| Shard {
        index,
        database: physical_database(SCHEMA, index),
        data_node: nodes[index as usize * 2 / shards as usize].clone(),
    };
    let schema = Schema {
        name: SCHEMA.into(),
        mode: ShardMode::Cluster,
        ready: true,
        character_set: "utf8mb4".into(),
        collation: "utf8mb4_general_ci".into(),
        shards: (0..shards).map(shard).collect(),
        tables: BTreeMap::new(),
        recycled: BTreeMap::new(),
    };
    let mut snapshot = Snapshot {
        form: SNAPSHOT_FORM,
        version: 1,
        instance_id: InstanceId::from_random([7; 16]),
        instance_name: "ddm".into(),
        data_nodes: nodes.iter().map(|id| (id.clone(), data_node(id))).collect(),
        schemas: BTreeMap::from([(SCHEMA.to_owned(), schema)]),
        accounts: BTreeMap::new(),
        parameters: Parameters::default(),
        node_count: 1,
        node_numbers: Default::default(),
        read_only_nodes: Default::default(),
        client_access: None,
        access_lists: Default::default(),
        time_zone: None,
    };
    let text = "CREATE TABLE sbtest1 (id INT NOT NULL PRIMARY KEY, k INT, c CHAR(120), pad CHAR(60)) \
                DBPARTITION BY MOD_HASH(id)";
    let created = planned(&snapshot, text, &lexed(text));
    let Plan::Ddl(ddl) = created.plan else { panic!("CREATE TABLE is DDL") };
    let Some(TableChange::Create { table }) = ddl.changes.first() else {
        panic!("a table is made")
    };
    let schema = snapshot.schemas.get_mut(SCHEMA).expect("the schema was just made");
    for number in 1..=tables {
        let name = format!("sbtest{number}");
        schema.tables.insert(name.clone(), topology::model::Table { name, ..table.clone() });
    }
    snapshot
}

//! Nothing that a client can write brings the planner down: the case files' statements with tokens
//! dropped, doubled and swapped are planned, decided, explained and rendered. Answers do not matter,
//! panics do.
#![allow(clippy::unwrap_used)]

mod world;

use sql_plan::plan::{Action, Plan};
use sql_plan::template::{Fill, Rendered};
use sql_plan::value::Values;
use sql_plan::{PlanContext, plan};
use sql_syntax::{LexMode, TokenBuf, lex, parse_one};
use std::path::Path;
use topology::algorithm::Target;
use topology::model::Snapshot;
use world::snapshot;

/// Mutations of each statement.
const ROUNDS: usize = 40;

/// A generator with a fixed seed: a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        all.extend(text.lines().filter_map(|line| line.strip_prefix("> ")).map(str::to_owned));
    }
    all
}

fn words(text: &str) -> Vec<String> {
    let mut tokens = TokenBuf::new();
    lex(text.as_bytes(), 0, &LexMode::default(), &mut tokens);
    let count = u32::try_from(tokens.tokens().len()).unwrap();
    (0..count)
        .map(|token| String::from_utf8_lossy(tokens.bytes(text.as_bytes(), token)).into_owned())
        .collect()
}

fn mutated(words: &[String], others: &[String], random: &mut Random) -> String {
    let mut words = words.to_vec();
    for _ in 0..=random.below(2) {
        if words.is_empty() {
            break;
        }
        let at = random.below(words.len());
        match random.below(4) {
            0 => drop(words.remove(at)),
            1 => words.insert(at, words[at].clone()),
            2 => {
                let other = random.below(words.len());
                words.swap(at, other);
            }
            _ => words[at] = others[random.below(others.len())].clone(),
        }
    }
    words.join(" ")
}

/// Goes the whole way with a statement; true if it was planned.
fn go(text: &str, snapshot: &Snapshot) -> bool {
    let (mode, mut tokens) = (LexMode::default(), TokenBuf::new());
    let Ok(parsed) = parse_one(text.as_bytes(), 0, &mode, &mut tokens) else { return false };
    let context =
        PlanContext { current_schema: Some("shop"), mode: &mode, plain_names: false, check: None };
    let Ok(planned) = plan(&parsed, text.as_bytes(), &tokens, snapshot, &context) else {
        return false;
    };
    let values = Values {
        text: text.as_bytes(),
        tokens: &tokens,
        mode: &mode,
        param_tokens: &parsed.params,
        params: &[],
        evaluated: &[],
        zero_is_a_value: false,
    };
    let _ = planned.explain(&values);
    let mut out = Rendered::default();
    match &planned.plan {
        Plan::Routed(routed) => {
            let fill = Fill {
                values: &values,
                tables: &routed.tables,
                session: &|_, _| {},
                temporary: &|_, _| {},
                inline_params: true,
            };
            let target = Target { shard: 0, suffix: 0 };
            match routed.decide(&values) {
                Ok(Action::Scratch { plan, .. }) => {
                    plan.text.render(&fill, target, &mut out);
                    plan.loads.iter().for_each(|load| load.text.render(&fill, target, &mut out));
                }
                Ok(Action::ScratchWrite { plan, .. }) => {
                    plan.text.render(&fill, target, &mut out);
                    plan.loads.iter().for_each(|load| load.text.render(&fill, target, &mut out));
                }
                Ok(
                    Action::Forward { text, .. }
                    | Action::Scatter { text, .. }
                    | Action::Everywhere { text, .. },
                ) => text.render(&fill, target, &mut out),
                Err(_) => {}
            }
        }
        Plan::Insert(insert) => {
            let ids: Vec<u64> = (1..=insert.ids_needed(&values) as u64).collect();
            let fill = Fill {
                values: &values,
                tables: &insert.tables,
                session: &|_, _| {},
                temporary: &|_, _| {},
                inline_params: false,
            };
            let ids = insert.ids_by_row(&values, &ids);
            for part in insert.split(&values, &ids).unwrap_or_default() {
                insert.render(&part, &ids, true, &fill, &mut out);
            }
        }
        Plan::InsertSelect(_)
        | Plan::ScratchInsert(_)
        | Plan::Load(_)
        | Plan::Ddl(_)
        | Plan::Placement(_)
        | Plan::Session => {}
    }
    true
}

#[test]
fn mutated_statements_do_no_harm() {
    let snapshot = snapshot();
    let statements = statements();
    let pool: Vec<String> = statements.iter().flat_map(|text| words(text)).collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut planned = 0;
    for text in &statements {
        let words = words(text);
        for _ in 0..ROUNDS {
            planned += usize::from(go(&mutated(&words, &pool, &mut random), &snapshot));
        }
    }
    assert!(planned > 500, "only {planned} mutations could be planned");
}

//! A plan serves every statement of its digest: it is made from one text and applied to another.
#![allow(clippy::unwrap_used)]

mod world;

use sql_plan::plan::{Action, Plan};
use sql_plan::template::{Fill, Rendered};
use sql_plan::value::Values;
use sql_plan::{PlanContext, Planned, plan};
use sql_syntax::{Digest, LexMode, TokenBuf, lex, normalise, parse_one};
use topology::algorithm::SqlValue;
use world::snapshot;

fn planned(text: &str) -> Planned {
    let (mode, mut tokens) = (LexMode::default(), TokenBuf::new());
    let parsed = parse_one(text.as_bytes(), 0, &mode, &mut tokens).unwrap();
    let context =
        PlanContext { current_schema: Some("shop"), mode: &mode, plain_names: false, check: None };
    plan(&parsed, text.as_bytes(), &tokens, &snapshot(), &context).unwrap()
}

fn digest(text: &str) -> (TokenBuf, Digest) {
    let (mode, mut tokens, mut digest) = (LexMode::default(), TokenBuf::new(), Digest::default());
    lex(text.as_bytes(), 0, &mode, &mut tokens);
    normalise(text.as_bytes(), &tokens, &mut digest);
    (tokens, digest)
}

/// Applies the plan of `first` to `second`; gives target and text.
fn applied(
    first: &str,
    second: &str,
    params: &[SqlValue],
    inline: bool,
) -> (String, String, Vec<u32>) {
    let plan = planned(first);
    assert!(plan.cacheable, "{first}");
    let ((_, one), (tokens, two)) = (digest(first), digest(second));
    assert_eq!(one.key, two.key);
    let mode = LexMode::default();
    let param_tokens: Vec<u32> = two
        .literals
        .iter()
        .copied()
        .filter(|token| tokens.bytes(second.as_bytes(), *token) == b"?")
        .collect();
    let values = Values {
        text: second.as_bytes(),
        tokens: &tokens,
        mode: &mode,
        param_tokens: &param_tokens,
        params,
        evaluated: &[],
        zero_is_a_value: false,
    };
    let Plan::Routed(routed) = &plan.plan else { panic!("{first}") };
    let (where_to, template, target) = match routed.decide(&values).unwrap() {
        Action::Forward { place: sql_plan::Place::Target(_, target), text } => {
            (format!("{}.{}", target.shard, target.suffix), text, target)
        }
        Action::Scatter { targets, text, .. } => {
            (format!("{} targets", targets.len()), text, targets[0])
        }
        other => panic!("{other:?}"),
    };
    let mut out = Rendered::default();
    let fill = Fill {
        values: &values,
        tables: &routed.tables,
        session: &|_, _| {},
        temporary: &|_, _| {},
        inline_params: inline,
    };
    template.render(&fill, target, &mut out);
    (where_to, String::from_utf8(out.text).unwrap(), out.params)
}

#[test]
fn another_literal_another_shard() {
    let first = "SELECT name FROM users WHERE id = 5";
    let (at, text, _) = applied(first, "SELECT  name FROM users  WHERE id=1234567", &[], true);
    assert_eq!(at, "7.0");
    assert_eq!(text, "SELECT  name FROM `shop_0007`.`users`  WHERE id=1234567");
    let (at, text, _) = applied(first, "SELECT name FROM users WHERE id = 8 ", &[], true);
    assert_eq!(
        (at.as_str(), text.as_str()),
        ("0.0", "SELECT name FROM `shop_0000`.`users` WHERE id = 8 ")
    );
}

#[test]
fn offsets_move_and_edits_follow() {
    let first = "SELECT i.sku FROM items i WHERE i.oid = 1 ORDER BY i.sku LIMIT 1, 2";
    let second = "SELECT i.sku FROM items i WHERE i.oid = 1000000 ORDER BY i.sku LIMIT 10, 200";
    let (at, text, _) = applied(first, second, &[], true);
    assert_eq!(at, "0.0");
    assert_eq!(
        text,
        "SELECT i.sku FROM `shop_0000`.`items_0` i WHERE i.oid = 1000000 ORDER BY i.sku LIMIT 10, 200"
    );
    let first = "SELECT sku FROM items WHERE qty > 1 ORDER BY sku LIMIT 1, 2";
    let second = "SELECT sku FROM items WHERE qty > 100 ORDER BY sku LIMIT 30, 40 -- the end";
    let (at, text, _) = applied(first, second, &[], true);
    assert_eq!(at, "32 targets");
    assert_eq!(
        text,
        "SELECT sku, WEIGHT_STRING(sku) FROM `shop_0000`.`items_0` AS `items` WHERE qty > 100 \
         ORDER BY sku LIMIT 70 -- the end"
    );
}

#[test]
fn parameters_stay_or_are_written() {
    let text = "SELECT name FROM users WHERE id = ? AND name = ?";
    let params = [SqlValue::Integer(3), SqlValue::Text(b"o'x".to_vec())];
    let (at, kept, ordinals) = applied(text, text, &params, false);
    assert_eq!(at, "3.0");
    assert_eq!(kept, "SELECT name FROM `shop_0003`.`users` WHERE id = ? AND name = ?");
    assert_eq!(ordinals, [0, 1]);
    let (_, written, ordinals) = applied(text, text, &params, true);
    assert_eq!(written, "SELECT name FROM `shop_0003`.`users` WHERE id = 3 AND name = 'o''x'");
    assert!(ordinals.is_empty());
}

#[test]
fn copies_carry_their_parameters() {
    let text = "SELECT id FROM users WHERE age > ? ORDER BY age + ? LIMIT ?";
    let params = [SqlValue::Integer(30), SqlValue::Integer(1), SqlValue::Integer(7)];
    let (_, kept, ordinals) = applied(text, text, &params, false);
    assert_eq!(
        kept,
        "SELECT id, age + ?, WEIGHT_STRING(age + ?) FROM `shop_0000`.`users` WHERE age > ? \
         ORDER BY age + ? LIMIT 7"
            .replace(", WEIGHT_STRING(age + ?)", "")
    );
    assert_eq!(ordinals, [1, 0, 1]);
}

#[test]
fn comments_before_and_after_stay() {
    let first = "/*+ db_type=master */ SELECT name FROM users WHERE id = 5 /* x */";
    let (_, text, _) = applied(first, first, &[], true);
    assert_eq!(
        text,
        "/*+ db_type=master */ SELECT name FROM `shop_0005`.`users` WHERE id = 5 /* x */"
    );
}

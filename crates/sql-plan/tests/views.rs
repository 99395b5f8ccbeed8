//! Views in statements: which table or query takes a view's place, and what is refused.
#![allow(clippy::unwrap_used)]

mod world;

use base::sql_error::SqlError;
use sql_plan::view::expand;
use sql_syntax::{LexMode, TokenBuf, parse_one};
use topology::model::{Column, Placement, Snapshot, Table, View};

fn add_view(snapshot: &mut Snapshot, name: &str, query: &str, columns: &[&str], native: bool) {
    let view = Table {
        name: name.into(),
        placement: Placement::Single,
        columns: columns.iter().map(|column| Column::plain(column, "int")).collect(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        view: Some(Box::new(View {
            query: query.into(),
            native,
            check_option: false,
            head: String::new(),
        })),
        sequence_column: None,
        ..snapshot.schemas["s"].tables.values().next().unwrap().clone()
    };
    snapshot.schemas.get_mut("s").unwrap().tables.insert(name.into(), view);
}

/// The schema `s` with a sharded table `base (id, n)`, a single one and views over them.
fn snapshot() -> Snapshot {
    let mut snapshot = world::snapshot();
    let mut schema = snapshot.schemas.values().next().unwrap().clone();
    schema.name = "s".into();
    let any = schema.tables.values().next().unwrap().clone();
    let table = |name: &str, placement: Placement| Table {
        name: name.into(),
        placement,
        columns: vec![Column::plain("id", "bigint"), Column::plain("n", "int")],
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        sequence_column: None,
        ..any.clone()
    };
    schema.tables.clear();
    schema.tables.insert("base".into(), table("base", Placement::Broadcast));
    schema.tables.insert("lone".into(), table("lone", Placement::Single));
    snapshot.schemas.insert("s".into(), schema);
    let simple = "select `s`.`base`.`id` AS `a`,`s`.`base`.`n` AS `b` from `s`.`base` where `s`.`base`.`n` > 3";
    add_view(&mut snapshot, "v", simple, &["a", "b"], false);
    add_view(
        &mut snapshot,
        "sums",
        "select sum(`s`.`base`.`n`) AS `total` from `s`.`base`",
        &["total"],
        false,
    );
    add_view(&mut snapshot, "own", "select `s`.`lone`.`id` AS `id` from `s`.`lone`", &["id"], true);
    add_view(
        &mut snapshot,
        "gone",
        "select `s`.`nosuch`.`id` AS `id` from `s`.`nosuch`",
        &["id"],
        false,
    );
    add_view(
        &mut snapshot,
        "self1",
        "select `s`.`self1`.`id` AS `id` from `s`.`self1`",
        &["id"],
        false,
    );
    snapshot
}

fn expanded(text: &str) -> Result<Option<String>, SqlError> {
    let (snapshot, mode) = (snapshot(), LexMode::default());
    let mut tokens = TokenBuf::new();
    let parsed = parse_one(text.as_bytes(), 0, &mode, &mut tokens).unwrap();
    let out = expand(&parsed, text.as_bytes(), &tokens, &snapshot, Some("s"), &mode)?;
    Ok(out.map(|out| String::from_utf8(out).unwrap()))
}

#[test]
fn a_simple_view_gives_way_to_its_table() {
    for (written, wanted) in [
        (
            "SELECT b FROM v WHERE a = 1",
            "SELECT `v`.`n` AS `b` FROM `s`.`base` AS `v` WHERE (`v`.`id` = 1) AND (`v`.`n` > 3)",
        ),
        (
            "SELECT x.* FROM v x ORDER BY b",
            "SELECT `x`.`id` AS `a`, `x`.`n` AS `b` FROM `s`.`base` x WHERE (`x`.`n` > 3) ORDER BY `x`.`n`",
        ),
        (
            "UPDATE v SET b = b + 1 WHERE a = 2",
            "UPDATE `s`.`base` AS `v` SET `v`.`n` = `v`.`n` + 1 WHERE (`v`.`id` = 2) AND (`v`.`n` > 3)",
        ),
        (
            "DELETE FROM v WHERE a = 2",
            "DELETE FROM `s`.`base` WHERE (`base`.`id` = 2) AND (`base`.`n` > 3)",
        ),
        ("INSERT INTO v VALUES (1, 2)", "INSERT INTO `s`.`base` (`id`, `n`) VALUES (1, 2)"),
    ] {
        assert_eq!(expanded(written).unwrap().unwrap(), wanted, "{written}");
    }
}

#[test]
fn any_other_view_becomes_a_derived_table() {
    let query = "(select sum(`s`.`base`.`n`) AS `total` from `s`.`base`) AS `sums`";
    assert_eq!(
        expanded("SELECT s.sums.total FROM sums").unwrap().unwrap(),
        format!("SELECT sums.total FROM {query}")
    );
    assert_eq!(expanded("TABLE sums").unwrap().unwrap(), format!("SELECT * FROM {query}"));
    let on_null_side = expanded("SELECT base.id FROM base LEFT JOIN v ON v.a = base.id");
    assert!(on_null_side.unwrap().unwrap().contains("LEFT JOIN (select "));
}

#[test]
fn what_a_data_node_answers_stays() {
    assert_eq!(expanded("SELECT id FROM own"), Ok(None));
    assert_eq!(expanded("SELECT id FROM base"), Ok(None));
    assert_eq!(expanded("WITH v AS (SELECT 1 AS a) SELECT a FROM v"), Ok(None));
    assert_eq!(expanded("DROP VIEW v"), Ok(None));
}

#[test]
fn views_that_cannot_be_used_say_so() {
    for (text, number) in [
        ("SELECT * FROM gone", 1356),
        ("SELECT * FROM self1", 1462),
        ("UPDATE sums SET total = 1", 1288),
        ("INSERT INTO sums VALUES (1)", 1471),
        ("UPDATE v SET nosuch = 1", 1054),
    ] {
        assert_eq!(expanded(text).unwrap_err().code.number, number, "{text}");
    }
}

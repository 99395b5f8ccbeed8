//! Whether a query reads the table that CREATE OR REPLACE is about to drop, by itself or through views.

use crate::plan::PlanTable;
use sql_syntax::visit::for_each_table;
use sql_syntax::{LexMode, TokenBuf, lex, parse};
use std::collections::BTreeSet;
use topology::model::Snapshot;

/// Whether one of `tables`, or what a view among them reads, is this table.
pub fn reads(tables: &[PlanTable], schema: &str, name: &str, snapshot: &Snapshot) -> bool {
    let wanted = key(schema, name);
    let mut seen = BTreeSet::new();
    let mut next: Vec<_> = tables.iter().map(|table| key(&table.schema, &table.name)).collect();
    while let Some(one) = next.pop() {
        if one == wanted {
            return true;
        }
        if seen.insert(one.clone()) {
            next.extend(read_by_view(&one, snapshot));
        }
    }
    false
}

type Key = (String, String);

fn key(schema: &str, name: &str) -> Key {
    (schema.to_lowercase(), name.to_lowercase())
}

/// The tables that a view's query names; nothing for a table.
fn read_by_view((schema, name): &Key, snapshot: &Snapshot) -> Vec<Key> {
    let table = snapshot.schemas.get(schema).and_then(|schema| schema.table(name));
    let Some(view) = table.and_then(|table| table.view.as_deref()) else { return Vec::new() };
    let (text, mode, mut tokens) = (view.query.as_bytes(), LexMode::default(), TokenBuf::new());
    lex(text, 0, &mode, &mut tokens);
    let mut read = Vec::new();
    if let Ok(parsed) = parse(text, &tokens, &mode) {
        for_each_table(&parsed.stmt, text, |site| {
            let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let of = site.name.schema.map(|schema| utf8(&schema.name(text)));
            read.push(key(of.as_deref().unwrap_or(schema), &utf8(&site.name.name.name(text))));
        });
    }
    read
}

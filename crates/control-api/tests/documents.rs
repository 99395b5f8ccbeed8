//! The documents that must keep up with the code: the checked-in OpenAPI document, and the notes
//! that say which request causes which code. `UPDATE=1 cargo test -p control-api` rewrites the
//! first.

#![allow(clippy::unwrap_used)]

use base::api_error::CATALOGUE;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_checked_in_openapi_document_is_the_codes() {
    let path = root().join("api/openapi.json");
    let mut made = serde_json::to_string_pretty(&control_api::openapi()).unwrap();
    made.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap_or_default();
    assert!(
        kept == control_api::openapi(),
        "api/openapi.json is out of date; run `UPDATE=1 cargo test -p control-api`"
    );
}

#[test]
fn the_notes_say_about_each_code_what_causes_it() {
    let notes = std::fs::read_to_string(root().join("docs/api-notes.md")).unwrap();
    let table = notes.split("## Which request causes which code").nth(1).unwrap();
    let mut named = BTreeSet::new();
    for row in table.lines() {
        let cell = row.trim_start_matches('|').split('|').next().unwrap_or_default();
        for part in cell.split(", ").filter(|part| part.contains("DBS.")) {
            let codes: Vec<&str> =
                part.split('`').filter(|text| text.starts_with("DBS.")).collect();
            let (first, last) = (codes[0], codes[codes.len() - 1]);
            let range = CATALOGUE
                .iter()
                .map(|entry| entry.code)
                .filter(|code| (first..=last).contains(code));
            for code in range {
                assert!(named.insert(code), "{code} is named twice");
            }
        }
    }
    let missing: Vec<&str> =
        CATALOGUE.iter().map(|entry| entry.code).filter(|code| !named.contains(code)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

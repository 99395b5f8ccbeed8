//! What a statement does to which tables, for permission checks. It looks at names only, so that a
//! check can come before anything is said about what exists.

use crate::plan::Access;
use sql_syntax::ast::{RecycleStmt, Statement};
use sql_syntax::visit::{TableUse, for_each_table};
use std::collections::BTreeSet;
use topology::account::Authority;

/// What the account must be allowed to do. Unqualified names are of `current_schema`; without one
/// they are left out (planning fails then).
pub fn access(statement: &Statement, src: &[u8], current_schema: Option<&str>) -> Vec<Access> {
    let mut needed = BTreeSet::new();
    let multi_delete = matches!(statement, Statement::Delete(delete) if !delete.targets.is_empty());
    let written = written_tables(statement, src);
    for_each_table(statement, src, |site| {
        if site.is_cte {
            return;
        }
        let schema = site.name.schema.map(|schema| text(&schema.name(src)));
        let Some(schema) = schema.or_else(|| current_schema.map(str::to_owned)) else { return };
        let table = text(&site.name.name.name(src));
        let named = site.alias.unwrap_or(site.name.name);
        let is_written = written.iter().any(|name| named.is(src, name));
        for authority in authorities(site.usage, multi_delete, is_written) {
            let schema = schema.to_lowercase();
            needed.insert(Access { schema, table: Some(table.clone()), authority: *authority });
        }
    });
    if let Statement::Recycle(RecycleStmt::PurgeAll(named)) = statement {
        let named = named.map(|schema| text(&schema.name(src)));
        let schema = named.or_else(|| current_schema.map(str::to_owned));
        needed.extend(schema.map(|schema| Access {
            schema: schema.to_lowercase(),
            table: None,
            authority: Authority::Drop,
        }));
    }
    needed.into_iter().collect()
}

/// The aliases that a multi-table UPDATE or DELETE writes; empty for all.
fn written_tables(statement: &Statement, src: &[u8]) -> Vec<Vec<u8>> {
    match statement {
        Statement::Delete(delete) => {
            delete.targets.iter().map(|target| target.name.name(src).into_owned()).collect()
        }
        Statement::Update(update) if update.single_table().is_none() => {
            let columns = update.assignments.iter().map(|assignment| assignment.column.table);
            let named: Option<Vec<Vec<u8>>> =
                columns.map(|table| table.map(|table| table.name(src).into_owned())).collect();
            named.unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn authorities(usage: TableUse, multi_delete: bool, is_written: bool) -> &'static [Authority] {
    match usage {
        TableUse::Read if multi_delete && is_written => &[Authority::Delete],
        TableUse::Read => &[Authority::Select],
        TableUse::Insert => &[Authority::Insert],
        TableUse::Replace => &[Authority::Insert, Authority::Delete],
        TableUse::Update => &[Authority::Update],
        TableUse::Delete => &[Authority::Delete],
        TableUse::DeleteTarget => &[],
        TableUse::Create => &[Authority::Create],
        TableUse::Alter => &[Authority::Alter],
        TableUse::Drop | TableUse::Truncate => &[Authority::Drop],
        TableUse::Rename => &[Authority::Alter, Authority::Drop],
        TableUse::Index => &[Authority::Index],
        TableUse::Load => &[Authority::Insert],
        TableUse::Lock | TableUse::Describe | TableUse::Other => &[Authority::Select],
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

//! Foreign keys that point at a table. A row that gets another key is written as a DELETE and an
//! INSERT; what refers to it must not see it go. Asked once for each version of the definitions.

use super::bench::quote_text;
use crate::error::ExecError;
use crate::exec::Exec;
use sql_plan::plan::PlanTable;
use std::cell::RefCell;
use std::collections::HashMap;
use topology::algorithm::Target;

/// Tables of which it is remembered whether others refer to them, on each worker.
const KNOWN_MAX: usize = 1_000;

/// What refers to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Referred {
    /// Some foreign key does.
    pub by_any: bool,
    /// One does that deletes or changes its own rows when the table's row goes.
    pub acts: bool,
}

/// By schema and table.
type Known = HashMap<(String, String), Referred>;

thread_local! {
    /// What is known for one version of the snapshot.
    static KNOWN: RefCell<(u64, Known)> = RefCell::default();
}

/// Says what refers to a table.
pub(crate) async fn referred(exec: &Exec<'_>, table: &PlanTable) -> Result<Referred, ExecError> {
    let key = (table.schema.clone(), table.name.clone());
    let version = exec.snapshot.version;
    let known = KNOWN.with_borrow(
        |(of, known)| {
            if *of == version { known.get(&key).copied() } else { None }
        },
    );
    if let Some(known) = known {
        return Ok(known);
    }
    let first = Target { shard: 0, suffix: 0 };
    let node = exec.backends.node(&exec.data_node(&table.schema, 0)?)?;
    let ask = format!(
        "SELECT DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {} AND REFERENCED_TABLE_NAME = {}",
        quote_text(&table.physical_database(first)),
        quote_text(&table.physical_name(first))
    );
    let mut lease = node.own_lease().await?;
    let rules = lease.query(ask.as_bytes()).await?.into_rows();
    let mut found = Referred { by_any: !rules.is_empty(), acts: false };
    for rule in &rules {
        let rule = rule.text(0).unwrap_or_default();
        found.acts |= !matches!(rule.as_str(), "RESTRICT" | "NO ACTION");
    }
    KNOWN.with_borrow_mut(|(of, known)| {
        if *of != version || known.len() >= KNOWN_MAX {
            known.clear();
        }
        *of = version;
        known.insert(key, found);
    });
    Ok(found)
}

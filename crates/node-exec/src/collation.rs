//! How the weights of texts compare. A data node tells a text's WEIGHT_STRING but not its collation;
//! that comes from the table's definition, and what a collation pads with is asked of a data node
//! once.

use crate::error::ExecError;
use crate::exec::Exec;
use crate::merge::compare::Comparison;
use mysql_wire::column::ColumnDefinition;
use sql_plan::merge::{AggregateKind, Merge};
use sql_plan::plan::RoutedPlan;
use std::cell::RefCell;
use std::collections::HashMap;

/// What texts without a known column compare by.
const DEFAULT_COLLATION: &str = "utf8mb4_general_ci";

/// No more collations than this exist.
const KNOWN_MAX: usize = 1024;

thread_local! {
    static KNOWN: RefCell<HashMap<String, Comparison>> = RefCell::default();
}

/// How each visible column's weights are compared, where the merge compares any.
pub async fn weights(
    exec: &mut Exec<'_>,
    columns: &[ColumnDefinition],
    plan: &RoutedPlan,
    merge: &Merge,
) -> Result<Vec<Comparison>, ExecError> {
    let mut all = vec![Comparison::Bytes; columns.len()];
    if !compares_weights(merge) {
        return Ok(all);
    }
    for (at, column) in columns.iter().enumerate() {
        if Comparison::needs_weight(column) {
            let collation = collation_of(exec, column, plan);
            all[at] = comparison(exec, &collation).await?;
        }
    }
    Ok(all)
}

fn compares_weights(merge: &Merge) -> bool {
    let orders = merge.order.iter().chain(&merge.sort).map(|order| order.key);
    let groups = merge.group.iter().flat_map(|group| group.keys.iter().copied());
    let extremes =
        merge.group.iter().flat_map(|group| &group.aggregates).any(|aggregate| {
            matches!(aggregate.kind, AggregateKind::Extreme { weight: Some(_), .. })
        });
    extremes
        || orders
            .chain(groups)
            .chain(merge.distinct.iter().copied())
            .any(|key| key.weight.is_some())
}

/// The collation of a column of an answer: that of the table's column behind it, or, for a computed
/// text, the one that all text columns of the tables share (the planner merges no other).
fn collation_of(exec: &Exec<'_>, column: &ColumnDefinition, plan: &RoutedPlan) -> String {
    let named = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase();
    let (alias, of) = (named(&column.table), named(&column.org_name));
    let mut schema_default = None;
    let mut shared = None;
    for table in plan.tables.iter() {
        let Some(schema) = exec.snapshot.schemas.get(&table.schema) else { continue };
        schema_default.get_or_insert_with(|| schema.collation.clone());
        let Some(definition) = schema.table(&table.name) else { continue };
        let behind = alias.is_empty() || table.alias.to_lowercase() == alias;
        let own = definition.column(&of).and_then(|(_, column)| column.collation.clone());
        if let (true, Some(collation)) = (behind, own) {
            return collation;
        }
        shared = shared
            .or_else(|| definition.columns.iter().find_map(|column| column.collation.clone()));
    }
    let known = shared.or(schema_default).filter(|name| !name.is_empty());
    known.unwrap_or_else(|| DEFAULT_COLLATION.to_owned())
}

/// How weights of a collation are compared.
async fn comparison(exec: &Exec<'_>, collation: &str) -> Result<Comparison, ExecError> {
    if let Some(known) = KNOWN.with_borrow(|known| known.get(collation).cloned()) {
        return Ok(known);
    }
    let plain = collation.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let no_pad =
        collation == "binary" || collation.contains("nopad") || collation.contains("_0900_");
    let comparison = if no_pad || !plain {
        Comparison::Bytes
    } else {
        let charset = collation.split('_').next().unwrap_or("utf8mb4");
        let mut lease = exec.backends.any()?.own_lease_to_read().await?;
        let ask = format!("SELECT WEIGHT_STRING(CONVERT(' ' USING {charset}) COLLATE {collation})");
        let rows = lease.query(ask.as_bytes()).await?.into_rows();
        Comparison::Padded(rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_vec())
    };
    KNOWN.with_borrow_mut(|known| {
        if known.len() < KNOWN_MAX {
            known.insert(collation.to_owned(), comparison.clone());
        }
    });
    Ok(comparison)
}

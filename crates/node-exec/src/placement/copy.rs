//! Rows on their way: read by primary key in chunks, placed by the new rule, and written with
//! REPLACE. A row that another one replaces was changed since it was read, so it is in the log and
//! comes again from there.

use super::places::{Physical, Places, exact_lease, in_quotes};
use crate::error::ExecError;
use crate::exec::Exec;
use crate::insert::row_values;
use mysql_wire::column::ColumnDefinition;
use node_backend::connection::Connection;
use node_backend::pool::Lease;
use node_backend::query::{QueryResult, Row};
use sql_plan::ddl::placement::PlacementPlan;
use sql_plan::value::write_literal;
use std::collections::BTreeMap;
use topology::algorithm::{SqlValue, Target};
use topology::model::Column;

/// Rows that are read at once.
pub(super) const CHUNK_ROWS: usize = 1000;

/// A statement with rows is sent when its text is so long.
const BATCH_BYTES: usize = 1024 * 1024;

/// Connections to the new tables' data nodes, one each, and what is to be written there.
pub(super) struct Writer<'a> {
    exec: &'a Exec<'a>,
    plan: &'a PlacementPlan,
    places: &'a Places,
    leases: BTreeMap<base::id::DataNodeId, Lease>,
    open: BTreeMap<Target, Vec<u8>>,
}

impl<'a> Writer<'a> {
    pub fn new(exec: &'a Exec<'a>, plan: &'a PlacementPlan, places: &'a Places) -> Self {
        Self { exec, plan, places, leases: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Takes a row of the plan's columns.
    pub async fn put(&mut self, values: &[SqlValue]) -> Result<(), ExecError> {
        for target in self.plan.placer.place(values, None)? {
            let columns = &self.plan.columns;
            let text = match self.open.entry(target) {
                std::collections::btree_map::Entry::Occupied(open) => {
                    let text = open.into_mut();
                    text.push(b',');
                    text
                }
                std::collections::btree_map::Entry::Vacant(fresh) => {
                    let place = physical(self.places, target)?;
                    let head =
                        format!("REPLACE INTO {} ({}) VALUES ", place.qualified, names(columns));
                    fresh.insert(head.into_bytes())
                }
            };
            for (at, value) in values.iter().enumerate() {
                text.push(if at == 0 { b'(' } else { b',' });
                write_literal(value, text);
            }
            text.push(b')');
            if text.len() >= BATCH_BYTES {
                self.send(target).await?;
            }
        }
        Ok(())
    }

    /// Writes all that is open, and commits: once for each data node.
    pub async fn flush(&mut self) -> Result<(), ExecError> {
        while let Some(target) = self.open.keys().next().copied() {
            self.send(target).await?;
        }
        let commits = self.leases.values_mut().map(|lease| lease.execute_sql(b"COMMIT"));
        for outcome in futures::future::join_all(commits).await {
            outcome?;
        }
        Ok(())
    }

    async fn send(&mut self, target: Target) -> Result<(), ExecError> {
        let Some(text) = self.open.remove(&target) else { return Ok(()) };
        self.execute(target, &text).await
    }

    /// The qualified name of the table at a target.
    pub fn place(&self, target: Target) -> Result<&'a str, ExecError> {
        Ok(&physical(self.places, target)?.qualified)
    }

    /// Runs a statement at a target.
    pub async fn execute(&mut self, target: Target, text: &[u8]) -> Result<(), ExecError> {
        let place = physical(self.places, target)?;
        if !self.leases.contains_key(&place.data_node) {
            let mut lease = exact_lease(self.exec, &place.data_node).await?;
            lease.execute_sql(b"SET SESSION autocommit = 0").await?;
            self.leases.insert(place.data_node.clone(), lease);
        }
        if let Some(lease) = self.leases.get_mut(&place.data_node) {
            lease.execute_sql(text).await?;
        }
        Ok(())
    }
}

pub(super) fn physical(places: &Places, target: Target) -> Result<&Physical, ExecError> {
    places.targets.iter().find(|place| place.target == target).ok_or_else(|| {
        crate::error::sql(
            base::sql_error::UNKNOWN_ERROR,
            format!("the new placement has no place {target:?}"),
        )
    })
}

/// Copies all rows of all sources.
pub(super) async fn all(
    exec: &Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
) -> Result<(), ExecError> {
    let mut writer = Writer::new(exec, plan, places);
    for source in &places.sources {
        let mut lease = exact_lease(exec, &source.data_node).await?;
        let mut after: Option<Vec<SqlValue>> = None;
        loop {
            let ask = chunk(plan, source, after.as_deref());
            let (columns, rows) = read(&mut lease, &ask).await?;
            let count = rows.len();
            for row in &rows {
                let values = row_values(row, &columns);
                writer.put(&values).await?;
                after = Some(keys_of(plan, &values));
            }
            writer.flush().await?;
            if count < CHUNK_ROWS {
                break;
            }
        }
    }
    Ok(())
}

/// A query's columns and rows.
pub(super) async fn read(
    lease: &mut Connection,
    ask: &[u8],
) -> Result<(Vec<ColumnDefinition>, Vec<Row>), ExecError> {
    Ok(match lease.query(ask).await? {
        QueryResult::Rows(set) => (set.columns.to_vec(), set.rows),
        QueryResult::Ok(_) => (Vec::new(), Vec::new()),
    })
}

/// The values of the primary key among a row's.
pub(super) fn keys_of(plan: &PlacementPlan, values: &[SqlValue]) -> Vec<SqlValue> {
    let at = |name: &String| plan.position(name).and_then(|at| values.get(at).cloned());
    plan.from.primary_key.iter().filter_map(at).collect()
}

/// `SELECT columns FROM source`: a FLOAT as DOUBLE, whose text has all its digits.
pub(super) fn select(plan: &PlacementPlan, source: &Physical) -> String {
    let columns = plan.columns.iter().map(|column| {
        let name = in_quotes(&column.name);
        if column.column_type.starts_with("float") {
            format!("CAST({name} AS DOUBLE) AS {name}")
        } else {
            name
        }
    });
    let columns: Vec<String> = columns.collect();
    format!("SELECT {} FROM {}", columns.join(", "), source.qualified)
}

/// The next rows in the order of the primary key.
fn chunk(plan: &PlacementPlan, source: &Physical, after: Option<&[SqlValue]>) -> Vec<u8> {
    let keys: Vec<String> = plan.from.primary_key.iter().map(|key| in_quotes(key)).collect();
    let mut text = select(plan, source).into_bytes();
    if let Some(after) = after {
        text.extend_from_slice(b" WHERE ");
        text.extend(after_condition(&keys, after));
    }
    text.extend_from_slice(format!(" ORDER BY {} LIMIT {CHUNK_ROWS}", keys.join(", ")).as_bytes());
    text
}

/// `(a, b) > (x, y)` in a form for which every server uses the index.
fn after_condition(keys: &[String], after: &[SqlValue]) -> Vec<u8> {
    let mut text = Vec::new();
    for last in 0..keys.len() {
        text.extend_from_slice(if last == 0 { b"(" } else { b" OR (" });
        for (at, (key, value)) in keys.iter().zip(after).enumerate().take(last + 1) {
            if at > 0 {
                text.extend_from_slice(b" AND ");
            }
            text.extend_from_slice(key.as_bytes());
            text.extend_from_slice(if at == last { b" > " } else { b" = " });
            write_literal(value, &mut text);
        }
        text.push(b')');
    }
    text
}

pub(super) fn names(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| in_quotes(&column.name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other() {
        let keys = ["`a`".to_owned(), "`b`".to_owned()];
        let after = [SqlValue::Integer(1), SqlValue::Text(b"x".to_vec())];
        assert_eq!(
            String::from_utf8_lossy(&after_condition(&keys, &after)),
            "(`a` > 1) OR (`a` = 1 AND `b` > 'x')"
        );
        assert_eq!(String::from_utf8_lossy(&after_condition(&keys[..1], &after[..1])), "(`a` > 1)");
    }
}

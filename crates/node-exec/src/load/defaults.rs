//! The defaults of key columns, for records that have no value for them. A data node is asked once
//! for each.

use super::place::uncertain_default;
use crate::error::ExecError;
use crate::exec::Exec;
use crate::insert::value_of;
use node_backend::query::QueryResult;
use sql_plan::load::LoadPlan;
use std::collections::BTreeMap;
use topology::algorithm::{SqlValue, Target};
use topology::model::{Column, ColumnClass};

/// Defaults by column.
#[derive(Debug, Default)]
pub(super) struct Defaults(BTreeMap<String, SqlValue>);

impl Defaults {
    /// A column's default.
    pub async fn of(
        &mut self,
        exec: &Exec<'_>,
        plan: &LoadPlan,
        column: &Column,
    ) -> Result<SqlValue, ExecError> {
        if let Some(known) = self.0.get(&column.name) {
            return Ok(known.clone());
        }
        let value = ask(exec, plan, column).await?;
        self.0.insert(column.name.clone(), value.clone());
        Ok(value)
    }
}

async fn ask(exec: &Exec<'_>, plan: &LoadPlan, column: &Column) -> Result<SqlValue, ExecError> {
    let target = Target { shard: 0, suffix: 0 };
    let table = &plan.tables[0];
    let node = exec.backends.node(&exec.data_node(&plan.schema, 0)?)?;
    let mut lease = node.lease(exec.session.found_rows, &exec.session.state).await?;
    let mut query = b"SELECT COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS WHERE \
                      TABLE_SCHEMA="
        .to_vec();
    let mut quote = |before: &str, name: &str| {
        query.extend_from_slice(before.as_bytes());
        mysql_wire::value::put_quoted(&mut query, name.as_bytes(), true);
    };
    quote("", &table.physical_database(target));
    quote(" AND TABLE_NAME=", &table.physical_name(target));
    quote(" AND COLUMN_NAME=", &column.name);
    let rows = lease.query(&query).await?.into_rows();
    let row = rows.first();
    let Some(text) = row.and_then(|row| row.text(0)) else {
        return if column.nullable { Ok(SqlValue::Null) } else { zero_of(column) };
    };
    let extra = row.and_then(|row| row.text(1)).unwrap_or_default();
    if !lease.is_mariadb() {
        let computed = extra.to_ascii_uppercase().contains("DEFAULT_GENERATED");
        return match computed {
            true => Err(uncertain_default(&column.name)),
            false => Ok(SqlValue::Text(text.into_bytes())),
        };
    }
    // Here it is an expression; a constant one has no call in it.
    if !text.starts_with('\'') && text.contains('(') {
        return Err(uncertain_default(&column.name));
    }
    match lease.query(format!("SELECT {text}").as_bytes()).await? {
        QueryResult::Rows(set) => {
            let field = set.rows.first().and_then(|row| row.get(0));
            Ok(set.columns.first().map_or(SqlValue::Null, |column| value_of(field, column)))
        }
        QueryResult::Ok(_) => Ok(SqlValue::Null),
    }
}

/// What a column holds when it is given nothing, or a NULL that it does not take.
pub(super) fn zero_of(column: &Column) -> Result<SqlValue, ExecError> {
    match column.class {
        ColumnClass::Text | ColumnClass::Binary => Ok(SqlValue::Text(Vec::new())),
        // Nothing in a TIMESTAMP is the time now.
        ColumnClass::DateTime if column.type_name() == "timestamp" && !column.nullable => {
            Err(uncertain_default(&column.name))
        }
        ColumnClass::Date | ColumnClass::DateTime => Ok(SqlValue::Text(b"0000-00-00".to_vec())),
        _ => Ok(SqlValue::Integer(0)),
    }
}

//! Values that SET computes for columns that place a row: a data node computes them for many records
//! in one query, and the records take them along as they were computed.

use super::put_value;
use crate::error::{ExecError, sql};
use crate::exec::{Exec, Statement};
use crate::insert::value_of;
use base::sql_error;
use node_backend::query::QueryResult;
use sql_plan::load::charset::CharsetKind;
use sql_plan::load::{EvaluationPart, LoadPlan, SplitLoad};
use std::sync::Arc;
use topology::algorithm::{SqlValue, Target};

/// A computed value, and its text.
pub(super) type Computed = (SqlValue, Option<Vec<u8>>);

/// The values of all evaluations for each record.
pub(super) async fn all(
    exec: &Exec<'_>,
    plan: &LoadPlan,
    split: &SplitLoad,
    statement: &Statement<'_>,
    records: &[&[Option<Vec<u8>>]],
) -> Result<Vec<Vec<Computed>>, ExecError> {
    let mut query = Vec::new();
    for (number, fields) in records.iter().enumerate() {
        query.extend_from_slice(if number == 0 { b"SELECT " } else { b" UNION ALL SELECT " });
        query.extend_from_slice(number.to_string().as_bytes());
        for evaluation in &split.evaluation {
            query.extend_from_slice(b",(");
            for part in &evaluation.parts {
                query.push(b' ');
                match part {
                    EvaluationPart::Text(text) => {
                        let target = Target { shard: 0, suffix: 0 };
                        query.extend(exec.render(text, &plan.tables, target, statement)?);
                    }
                    EvaluationPart::Field(field) => {
                        let value = fields.get(*field).and_then(Option::as_deref);
                        put_value(value, &plan.charset, &mut query);
                    }
                }
            }
            query.push(b')');
        }
    }
    // Answers come in utf8mb4, whatever the client reads.
    let state = ["names", "character_set_results"]
        .iter()
        .fold((*exec.session.state).clone(), |state, name| state.without(name));
    let node = exec.backends.node(&exec.data_node(&plan.schema, 0)?)?;
    let mut lease = node.lease(exec.session.found_rows, &Arc::new(state)).await?;
    let QueryResult::Rows(set) = lease.query(&query).await? else { return Ok(Vec::new()) };
    let mut computed = vec![Vec::new(); records.len()];
    for row in &set.rows {
        let number: Option<usize> = row.text(0).and_then(|number| number.parse().ok());
        let values = set.columns.iter().zip(row.fields()).skip(1);
        let values = values
            .map(|(column, field)| {
                let field = field?;
                check_text(plan, field)?;
                Ok((value_of(field, column), field.map(<[u8]>::to_vec)))
            })
            .collect::<Result<Vec<Computed>, ExecError>>()?;
        if let Some(place) = number.and_then(|number| computed.get_mut(number)) {
            *place = values;
        }
    }
    match computed.iter().all(|values| values.len() == split.evaluation.len()) {
        true => Ok(computed),
        false => Err(sql(sql_error::UNKNOWN_ERROR, "a data node computed too few values")),
    }
}

/// A computed text goes along in the file's character set.
fn check_text(plan: &LoadPlan, field: Option<&[u8]>) -> Result<(), ExecError> {
    if plan.charset.kind == CharsetKind::Utf8 || field.is_none_or(<[u8]>::is_ascii) {
        return Ok(());
    }
    Err(sql(
        sql_error::NOT_SUPPORTED,
        "SET computes a sharding key that is not ASCII from a file that is not in utf8mb4; convert \
         the file",
    ))
}

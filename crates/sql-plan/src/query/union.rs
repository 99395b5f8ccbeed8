//! UNION ALL of SELECTs that each run on every target by themselves, as rows, not groups: then the
//! whole union does, and the targets' answers are put behind each other.

use crate::bind::Bound;
use crate::colocate::{self, Reason};
use crate::expr::has_aggregate;
use crate::keys::route_of_unit;
use crate::merge::Merge;
use crate::plan::{Many, Scatter};
use crate::template::{Edit, Template, TokenRange};
use sql_syntax::ast::{Query, Select, SelectItem, SetExpr, SetOp};

/// Why a set operation is not run on each target by itself.
const SET_OPERATION: Reason = "a set operation over several shards";

/// The plan of such a union.
pub(super) fn scatter(
    bound: &Bound<'_>,
    query: &Query,
    range: TokenRange,
    names: &[Edit],
) -> Result<super::ManyPlan, Reason> {
    let SetExpr::SetOp(chain) = &query.body else { return Err(SET_OPERATION) };
    let facts = &bound.facts;
    let all = chain.rest.iter().all(|operand| operand.op == SetOp::Union && operand.all);
    if !all || !is_bare(query) || facts.windows || facts.assigns_variables || facts.random {
        return Err(SET_OPERATION);
    }
    // A FLOAT's text, which is what is merged, has not all its digits; parts with numbers in their
    // names are not in the same places for every table.
    let in_question = bound.refs.iter().any(|reference| {
        reference.is_suffixed()
            || reference.schema.name != bound.refs[0].schema.name
            || reference.table.columns.iter().any(|column| column.type_name() == "float")
    });
    if in_question {
        return Err(SET_OPERATION);
    }
    let mut routes = Vec::new();
    let operands = chain.rest.iter().map(|operand| &operand.operand);
    for operand in std::iter::once(&chain.first).chain(operands) {
        let select = rows_of(operand, bound.src).ok_or(SET_OPERATION)?;
        let block = *bound.block_by_token.get(&select.select_tok).ok_or(SET_OPERATION)?;
        let unit = colocate::check(bound, block, &select.from)?;
        colocate::check_select(bound, block, &unit, select, query)?;
        // Without a sharded table every target would have the same rows.
        let sharded = !unit.is_empty();
        let route = route_of_unit(bound, block, &unit).filter(|_| sharded);
        routes.push(route.ok_or(SET_OPERATION)?);
    }
    let text = Template::edited(range, names.to_vec());
    let scatter = Scatter { text, merge: Merge::default() };
    Ok((routes, Many::Scatter(Box::new(scatter)), true))
}

/// Whether nothing is said of the rows as a whole.
fn is_bare(query: &Query) -> bool {
    query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.locks.is_empty()
        && super::into_of(query).is_none()
}

/// The SELECT of an operand that gives rows as they are.
fn rows_of<'q>(operand: &'q SetExpr, src: &[u8]) -> Option<&'q Select> {
    let select: &Select = match operand {
        SetExpr::Select(select) => select,
        SetExpr::Paren(query, _) if is_bare(query) => query.as_select()?,
        _ => return None,
    };
    let adds_up = select.items.iter().any(|item| match item {
        SelectItem::Expr { expr, .. } => has_aggregate(expr, src),
        SelectItem::Star { .. } => false,
    });
    let plain = !select.distinct
        && !select.calc_found_rows
        && select.group_by.is_empty()
        && select.having.is_none()
        && select.into.is_none()
        && select.procedure.is_none();
    (plain && !adds_up).then_some(select)
}

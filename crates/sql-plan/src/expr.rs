//! Small questions about expressions: their parts, the value that one is, the functions in it.

use crate::value::{LiteralForm, ValueRef};
use sql_syntax::ast::{Expr, ExprKind, FuncCall, LiteralKind, Over, Query, UnaryOp};

/// A direct part of an expression.
pub(crate) enum Part<'s> {
    /// An expression.
    Expr(&'s Expr),
    /// A sub-query.
    Query(&'s Query),
}

/// Calls `f` for each direct part of an expression.
pub(crate) fn for_each_part<'s>(expr: &'s Expr, f: &mut dyn FnMut(Part<'s>)) {
    match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Param { .. }
        | ExprKind::Column(_)
        | ExprKind::UserVar { .. }
        | ExprKind::SysVar(_)
        | ExprKind::Default(_)
        | ExprKind::Values(_)
        | ExprKind::SequenceValue { .. } => {}
        ExprKind::Unary { expr, .. }
        | ExprKind::Is { expr, .. }
        | ExprKind::Paren(expr)
        | ExprKind::Cast { expr, .. }
        | ExprKind::ConvertUsing { expr, .. }
        | ExprKind::Interval { value: expr, .. }
        | ExprKind::Collate { expr, .. }
        | ExprKind::Assign { value: expr, .. }
        | ExprKind::Odbc { expr, .. } => f(Part::Expr(expr)),
        ExprKind::Binary { left, right, .. } => {
            f(Part::Expr(left));
            f(Part::Expr(right));
        }
        ExprKind::And(parts) | ExprKind::Or(parts) | ExprKind::Row(parts) => {
            parts.iter().for_each(|part| f(Part::Expr(part)));
        }
        ExprKind::InList { expr, list, .. } => {
            f(Part::Expr(expr));
            list.iter().for_each(|part| f(Part::Expr(part)));
        }
        ExprKind::InQuery { expr, query, .. } | ExprKind::Quantified { left: expr, query, .. } => {
            f(Part::Expr(expr));
            f(Part::Query(query));
        }
        ExprKind::Exists(query) | ExprKind::Subquery(query) => f(Part::Query(query)),
        ExprKind::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|part| f(Part::Expr(part)));
        }
        ExprKind::Like { expr, pattern, escape, .. } => {
            f(Part::Expr(expr));
            f(Part::Expr(pattern));
            escape.iter().for_each(|part| f(Part::Expr(part)));
        }
        ExprKind::Regexp { expr, pattern, .. } => {
            f(Part::Expr(expr));
            f(Part::Expr(pattern));
        }
        ExprKind::Case { operand, arms, otherwise } => {
            operand.iter().for_each(|part| f(Part::Expr(part)));
            for (when, then) in arms {
                f(Part::Expr(when));
                f(Part::Expr(then));
            }
            otherwise.iter().for_each(|part| f(Part::Expr(part)));
        }
        ExprKind::Func(call) => for_each_argument(call, f),
        ExprKind::Match { columns, against, .. } => {
            columns.iter().for_each(|part| f(Part::Expr(part)));
            f(Part::Expr(against));
        }
    }
}

fn for_each_argument<'s>(call: &'s FuncCall, f: &mut dyn FnMut(Part<'s>)) {
    call.args.iter().for_each(|part| f(Part::Expr(part)));
    call.order_by.iter().for_each(|item| f(Part::Expr(&item.expr)));
    if let Some(Over::Spec(spec)) = call.over.as_deref() {
        spec.partition_by.iter().for_each(|part| f(Part::Expr(part)));
        spec.order_by.iter().for_each(|item| f(Part::Expr(&item.expr)));
        spec.frame_exprs.iter().for_each(|part| f(Part::Expr(part)));
    }
}

/// Whether `test` holds for the expression or a part of it (sub-queries are not looked into).
pub(crate) fn any(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    if test(expr) {
        return true;
    }
    let mut found = false;
    for_each_part(expr, &mut |part| {
        if let Part::Expr(part) = part {
            found = found || any(part, test);
        }
    });
    found
}

/// Whether a sub-query is in the expression.
pub(crate) fn has_query(expr: &Expr) -> bool {
    any(expr, &|part| {
        matches!(
            part.kind,
            ExprKind::InQuery { .. }
                | ExprKind::Quantified { .. }
                | ExprKind::Exists(_)
                | ExprKind::Subquery(_)
        )
    })
}

/// Whether an aggregate is in the expression (not one of a sub-query).
pub(crate) fn has_aggregate(expr: &Expr, src: &[u8]) -> bool {
    any(expr, &|part| match &part.kind {
        ExprKind::Func(call) => call.over.is_none() && is_aggregate(&function_name(call, src)),
        _ => false,
    })
}

/// Whether a column is in the expression.
pub(crate) fn has_column(expr: &Expr) -> bool {
    any(expr, &|part| matches!(part.kind, ExprKind::Column(_)))
}

/// Whether two executions may give two values.
pub(crate) fn is_random(expr: &Expr, src: &[u8]) -> bool {
    any(expr, &|part| match &part.kind {
        ExprKind::Func(call) => is_random_function(&function_name(call, src)),
        ExprKind::UserVar { .. } | ExprKind::Assign { .. } | ExprKind::SequenceValue { .. } => true,
        _ => false,
    })
}

/// Whether an expression as a whole is a TIME.
pub(crate) fn is_time(expr: &Expr, src: &[u8]) -> bool {
    match &expr.unparen().kind {
        ExprKind::Literal(literal) => literal.kind == LiteralKind::Time,
        ExprKind::Func(call) => matches!(
            function_name(call, src).as_str(),
            "TIME"
                | "MAKETIME"
                | "SEC_TO_TIME"
                | "TIMEDIFF"
                | "CURTIME"
                | "CURRENT_TIME"
                | "UTC_TIME"
        ),
        _ => false,
    }
}

/// A function's name in upper case; empty when it has a qualifier.
pub(crate) fn function_name(call: &FuncCall, src: &[u8]) -> String {
    if !call.qualifiers.is_empty() {
        return String::new();
    }
    String::from_utf8_lossy(&call.name.name(src)).to_ascii_uppercase()
}

/// Aggregates of MySQL and MariaDB.
pub(crate) fn is_aggregate(name: &str) -> bool {
    matches!(
        name,
        "COUNT"
            | "SUM"
            | "MIN"
            | "MAX"
            | "AVG"
            | "BIT_AND"
            | "BIT_OR"
            | "BIT_XOR"
            | "STD"
            | "STDDEV"
            | "STDDEV_POP"
            | "STDDEV_SAMP"
            | "VAR_POP"
            | "VAR_SAMP"
            | "VARIANCE"
            | "GROUP_CONCAT"
            | "JSON_ARRAYAGG"
            | "JSON_OBJECTAGG"
            | "ST_COLLECT"
    )
}

/// Functions whose value differs from call to call, or that do something.
pub(crate) fn is_random_function(name: &str) -> bool {
    matches!(
        name,
        "RAND"
            | "UUID"
            | "UUID_SHORT"
            | "SYS_GUID"
            | "RANDOM_BYTES"
            | "SYSDATE"
            | "SLEEP"
            | "GET_LOCK"
            | "RELEASE_LOCK"
            | "RELEASE_ALL_LOCKS"
            | "NEXTVAL"
            | "LASTVAL"
            | "SETVAL"
            | "BENCHMARK"
            | "CONNECTION_ID"
            | "LOAD_FILE"
            | ROW_NUMBER
    )
}

/// MariaDB's function that counts the rows of a statement.
pub(crate) const ROW_NUMBER: &str = "ROWNUM";

/// Whether an expression counts the rows of its statement.
pub(crate) fn counts_rows(expr: &Expr, src: &[u8]) -> bool {
    any(expr, &|part| match &part.kind {
        ExprKind::Func(call) => function_name(call, src) == ROW_NUMBER,
        _ => false,
    })
}

/// The value that an expression is, if it is one that a plan can refer to.
pub(crate) fn value_of(expr: &Expr, src: &[u8]) -> Option<ValueRef> {
    match &expr.kind {
        ExprKind::Paren(inner) => value_of(inner, src),
        ExprKind::Param { ordinal, .. } => Some(ValueRef::Param { ordinal: *ordinal }),
        ExprKind::Literal(literal) => {
            let form = match literal.kind {
                LiteralKind::Time => return None,
                LiteralKind::Date | LiteralKind::Timestamp => LiteralForm::Temporal,
                // An introducer changes what the bytes are.
                LiteralKind::String | LiteralKind::Hex | LiteralKind::Bit
                    if expr.span.of(src).first() == Some(&b'_') =>
                {
                    return None;
                }
                _ => LiteralForm::Plain,
            };
            Some(ValueRef::Literal { token: literal.tok, count: literal.tok_count, form })
        }
        ExprKind::Unary { op: UnaryOp::Plus, expr } => number_of(expr, LiteralForm::Plain),
        ExprKind::Unary { op: UnaryOp::Minus, expr } => number_of(expr, LiteralForm::Negative),
        _ => None,
    }
}

fn number_of(expr: &Expr, form: LiteralForm) -> Option<ValueRef> {
    let literal = expr.as_literal()?;
    matches!(literal.kind, LiteralKind::Int | LiteralKind::Decimal | LiteralKind::Float)
        .then_some(ValueRef::Literal { token: literal.tok, count: 1, form })
}

/// The number that an integer literal is; for positions in ORDER BY and GROUP BY.
pub(crate) fn position_of(expr: &Expr, src: &[u8]) -> Option<usize> {
    match &expr.kind {
        ExprKind::Literal(literal) if literal.kind == LiteralKind::Int => {
            std::str::from_utf8(expr.span.of(src)).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// The parts of a condition that must all hold.
pub(crate) fn conjuncts<'s>(expr: &'s Expr, out: &mut Vec<&'s Expr>) {
    match &expr.kind {
        ExprKind::And(parts) => parts.iter().for_each(|part| conjuncts(part, out)),
        ExprKind::Paren(inner) => conjuncts(inner, out),
        _ => out.push(expr),
    }
}

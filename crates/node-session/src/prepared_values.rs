//! The values of EXECUTE … USING and EXECUTE IMMEDIATE: what an expression there may be, DEFAULT and
//! IGNORE among the values, and the numbers of a LIMIT, which a server makes of any value.

use crate::query::{Source, parse_source};
use crate::session::Core;
use crate::statement::Prepared;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use sql_syntax::ast::{
    Assignment, Expr, ExprKind, Insert, InsertSource, Query, RowValues, SelectItem, Span, Statement,
};
use sql_syntax::visit::{Visitor, walk_expr};
use sql_syntax::{Edits, TokenBuf, TokenKind, lex};
use std::collections::BTreeMap;
use topology::algorithm::SqlValue;

/// What is given for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Given {
    /// A value.
    Value,
    /// DEFAULT.
    Default,
    /// IGNORE.
    Ignore,
}

impl Given {
    /// What an expression of USING gives.
    pub fn of(expr: &Expr, text: &[u8]) -> Given {
        match &expr.kind {
            ExprKind::Default(None) => Given::Default,
            ExprKind::Func(call)
                if !call.parens && call.name.name(text).eq_ignore_ascii_case(b"IGNORE") =>
            {
                Given::Ignore
            }
            _ => Given::Value,
        }
    }
}

/// The error of DEFAULT and IGNORE where no column takes the value.
pub fn no_column() -> ExecError {
    ExecError::Server(ErrPacket::new(
        4032,
        "HY000",
        "Default/ignore value is not supported for such parameter usage",
    ))
}

/// The error of an expression that reads more than values.
pub fn no_subqueries(verb: &str) -> ExecError {
    let text = format!("{verb} does not support subqueries or stored functions");
    ExecError::Server(ErrPacket::new(1970, "42000", text))
}

/// Refuses what a server refuses in these expressions: sub-queries and aggregates.
pub fn check_expression(expr: &Expr, verb: &str) -> Result<(), ExecError> {
    #[derive(Default)]
    struct Found {
        query: bool,
        aggregate: bool,
    }
    impl Visitor for Found {
        fn enter_query(&mut self, _query: &Query, _depth: u32) {
            self.query = true;
        }
        fn expr(&mut self, expr: &Expr) -> bool {
            if let ExprKind::Func(call) = &expr.kind {
                self.aggregate |= call.aggregate().is_some();
            }
            true
        }
    }
    let mut found = Found::default();
    walk_expr(expr, &mut found);
    if found.query {
        return Err(no_subqueries(verb));
    }
    if found.aggregate {
        let error = ErrPacket::new(1111, "HY000", "Invalid use of group function");
        return Err(ExecError::Server(error));
    }
    Ok(())
}

/// Whether a sub-query is in an expression.
pub fn has_query(expr: &Expr) -> bool {
    struct Found(bool);
    impl Visitor for Found {
        fn enter_query(&mut self, _query: &Query, _depth: u32) {
            self.0 = true;
        }
    }
    let mut found = Found(false);
    walk_expr(expr, &mut found);
    found.0
}

/// What a parameter that is a value by itself becomes where it is DEFAULT and where it is IGNORE.
pub struct Stead {
    /// What it stands for in the text.
    pub span: Span,
    /// What is written for DEFAULT.
    pub default: Vec<u8>,
    /// What is written for IGNORE.
    pub ignore: Vec<u8>,
}

/// The parameters that stand where a column takes a value, by ordinal.
pub fn places(statement: &Statement, text: &[u8]) -> BTreeMap<u32, Stead> {
    let mut places = BTreeMap::new();
    match statement {
        Statement::Insert(insert) => insert_places(insert, &mut places),
        Statement::Update(update) => changed(&update.assignments, text, &mut places),
        Statement::Query(query) => selected(query, &mut places),
        Statement::Explain(explain) => {
            return explain
                .stmt
                .as_ref()
                .map(|inner| self::places(inner, text))
                .unwrap_or_default();
        }
        _ => {}
    }
    places
}

fn insert_places(insert: &Insert, places: &mut BTreeMap<u32, Stead>) {
    let mut add = |value: &Expr| {
        if let ExprKind::Param { ordinal, .. } = value.unparen().kind {
            let word = b"DEFAULT".to_vec();
            let stead = Stead { span: value.span, default: word.clone(), ignore: word };
            places.insert(ordinal, stead);
        }
    };
    insert.on_duplicate.iter().for_each(|assignment| add(&assignment.value));
    match &insert.source {
        InsertSource::Values { rows, .. } => {
            for row in rows {
                if let RowValues::Exprs(values) = &row.values {
                    values.iter().for_each(&mut add);
                }
            }
        }
        InsertSource::Set { assignments, .. } => {
            assignments.iter().for_each(|assignment| add(&assignment.value));
        }
        InsertSource::Query(_) => {}
    }
}

/// A column that is given IGNORE keeps its value.
fn changed(assignments: &[Assignment], text: &[u8], places: &mut BTreeMap<u32, Stead>) {
    for assignment in assignments {
        let value = &assignment.value;
        if let ExprKind::Param { ordinal, .. } = value.unparen().kind {
            let ignore = assignment.column.span().of(text).to_vec();
            let stead = Stead { span: value.span, default: b"DEFAULT".to_vec(), ignore };
            places.insert(ordinal, stead);
        }
    }
}

/// Where nothing takes the value it is NULL.
fn selected(query: &Query, places: &mut BTreeMap<u32, Stead>) {
    for item in query.as_select().map(|select| select.items.as_slice()).unwrap_or_default() {
        if let SelectItem::Expr { expr, alias, .. } = item
            && let ExprKind::Param { ordinal, .. } = expr.kind
        {
            let null = if alias.is_some() { b"NULL".to_vec() } else { b"NULL AS `?`".to_vec() };
            let stead = Stead { span: expr.span, default: null.clone(), ignore: null };
            places.insert(ordinal, stead);
        }
    }
}

impl Core {
    /// A prepared statement in which DEFAULT and IGNORE stand for the parameters that they are given
    /// for; the other parameters stay, in their order.
    pub async fn with_keywords(
        &mut self,
        prepared: &Prepared,
        given: &[Given],
    ) -> Result<Prepared, ExecError> {
        let text = prepared.written.as_ref().unwrap_or(&prepared.text).clone();
        let (mut tokens, mode) = (TokenBuf::new(), prepared.mode);
        lex(&text, 0, &mode, &mut tokens);
        let source = Source {
            text: &text,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        let parsed = parse_source(source, 0)?;
        if let Statement::Call(call) = &parsed.stmt
            && self.home_schema_of(call.name.schema, source).is_none()
        {
            let made = self.make_prepared(&text).await?.0;
            return Ok(made);
        }
        let places = places(&parsed.stmt, &text);
        let mut edits = Edits::new();
        for (ordinal, one) in given.iter().enumerate() {
            if *one == Given::Value {
                continue;
            }
            let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
            let Some(stead) = places.get(&ordinal) else {
                // Tables that are not there are told first.
                if let Statement::Explain(explain) = &parsed.stmt
                    && let Some(packet) = self.tried(explain.stmt_span.of(&text)).await?
                {
                    return Err(ExecError::Server(packet));
                }
                return Err(no_column());
            };
            let word = if *one == Given::Default { &stead.default } else { &stead.ignore };
            edits.replace(stead.span, word);
        }
        let mut changed = Vec::new();
        edits.apply(&text, &mut changed);
        let (made, _, _) = self.make_prepared(&changed).await?;
        Ok(made)
    }
}

/// The ordinals of the parameters that are numbers of a LIMIT.
pub fn limit_params(text: &[u8], tokens: &TokenBuf, param_tokens: &[u32]) -> Vec<u32> {
    let all = tokens.tokens();
    let word = |at: Option<u32>, wanted: &[u8]| {
        at.and_then(|at| all.get(at as usize))
            .is_some_and(|token| token.span().of(text).eq_ignore_ascii_case(wanted))
    };
    let is_number = |token: u32| {
        word(token.checked_sub(1), b"LIMIT")
            || word(token.checked_sub(1), b"OFFSET")
            || word(token.checked_sub(3), b"LIMIT")
                && token
                    .checked_sub(1)
                    .and_then(|at| all.get(at as usize))
                    .is_some_and(|token| token.kind == TokenKind::Comma)
    };
    let ordinals = param_tokens.iter().enumerate().filter(|(_, token)| is_number(**token));
    ordinals.filter_map(|(ordinal, _)| u32::try_from(ordinal).ok()).collect()
}

/// The LIMIT of a list that an aggregate makes takes whole numbers alone.
pub fn check_list_limits(source: Source<'_>, limits: &[u32]) -> Result<(), ExecError> {
    for ordinal in limits {
        let at = *ordinal as usize;
        let whole = matches!(source.params.get(at), Some(SqlValue::Integer(_)) | None);
        if !whole
            && source.param_tokens.get(at).is_some_and(|token| is_in_list(source, *token as usize))
        {
            let text = "Limit only accepts integer values";
            return Err(ExecError::Server(ErrPacket::new(4107, "HY000", text)));
        }
    }
    Ok(())
}

/// Whether the bracket around a token is that of an aggregate that makes a list.
fn is_in_list(source: Source<'_>, token: usize) -> bool {
    const LISTS: [&[u8]; 2] = [b"GROUP_CONCAT", b"JSON_ARRAYAGG"];
    let all = source.tokens.tokens();
    let mut depth = 0;
    for at in (1..token.min(all.len())).rev() {
        match all[at].span().of(source.text) {
            b")" => depth += 1,
            b"(" if depth == 0 => {
                let before = all[at - 1].span().of(source.text);
                return LISTS.iter().any(|list| before.eq_ignore_ascii_case(list));
            }
            b"(" => depth -= 1,
            _ => {}
        }
    }
    false
}

/// The parameters with those of LIMIT as the whole numbers that a server makes of them; nothing when
/// they are such already.
pub fn with_limits(
    limits: &[u32],
    params: &[SqlValue],
) -> Result<Option<Vec<SqlValue>>, ExecError> {
    let numbers = || limits.iter().filter_map(|ordinal| params.get(*ordinal as usize));
    if numbers()
        .all(|value| matches!(value, SqlValue::Integer(number) if u64::try_from(*number).is_ok()))
    {
        return Ok(None);
    }
    let mut changed = params.to_vec();
    for ordinal in limits {
        let Some(value) = changed.get_mut(*ordinal as usize) else { continue };
        let number = whole_number(value);
        if number < 0 {
            return Err(sql(sql_error::WRONG_ARGUMENTS, "Incorrect arguments to EXECUTE"));
        }
        *value = SqlValue::Integer(number);
    }
    Ok(Some(changed))
}

/// Decimals are rounded away from zero, floats to even, strings are read as far as they are digits.
fn whole_number(value: &SqlValue) -> i128 {
    let within = |number: i128| number.clamp(i64::MIN.into(), u64::MAX.into());
    match value {
        SqlValue::Null => 0,
        SqlValue::Integer(number) => within(*number),
        SqlValue::Float(number) => within(number.round_ties_even() as i128),
        SqlValue::Decimal(digits) => {
            let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
            let up = i128::from(rest.as_bytes().first().is_some_and(|digit| *digit >= b'5'));
            let negative = whole.starts_with('-');
            let size: i128 = whole.trim_start_matches('-').parse().unwrap_or(i128::MAX - 1) + up;
            within(if negative { -size } else { size })
        }
        SqlValue::Text(text) | SqlValue::Temporal(text) | SqlValue::Binary(text) => {
            let text = text.trim_ascii_start();
            let signs = usize::from(matches!(text.first(), Some(b'-' | b'+')));
            let digits = text[signs..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&text[signs..signs + digits])
                .ok()
                .and_then(|digits| digits.parse::<i128>().ok())
                .unwrap_or(if digits == 0 { 0 } else { i128::MAX });
            within(if text.first() == Some(&b'-') { -number } else { number })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepared::params_of;

    #[test]
    fn limits_are_whole_numbers() {
        let text = |text: &str| SqlValue::Text(text.as_bytes().to_vec());
        let cases = [
            (SqlValue::Null, 0),
            (text("qwe"), 0),
            (text(" 3x"), 3),
            (text("1.6"), 1),
            (text("-1"), -1),
            (SqlValue::Decimal("1.5".into()), 2),
            (SqlValue::Decimal("-0.4".into()), 0),
            (SqlValue::Float(2.5), 2),
            (SqlValue::Float(1.6), 2),
            (SqlValue::Integer(7), 7),
        ];
        for (value, number) in cases {
            assert_eq!(whole_number(&value), number, "{value:?}");
        }
    }

    #[test]
    fn limits_are_found_among_the_parameters() {
        let of = |text: &str| {
            let mut tokens = TokenBuf::new();
            lex(text.as_bytes(), 0, &sql_syntax::LexMode::default(), &mut tokens);
            limit_params(text.as_bytes(), &tokens, &params_of(&tokens))
        };
        assert_eq!(of("SELECT ? FROM t WHERE a = ? LIMIT ?, ?"), [2, 3]);
        assert_eq!(of("SELECT ? FROM t LIMIT 1, ?"), [1]);
        assert_eq!(of("(SELECT a FROM t LIMIT ? OFFSET ?) UNION SELECT ?"), [0, 1]);
        assert_eq!(of("SELECT ?, ?"), [0_u32; 0]);
    }
}

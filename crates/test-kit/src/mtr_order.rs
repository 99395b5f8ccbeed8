//! In which order a statement's rows must come, as far as its text and its columns tell.

use crate::mtr_rules::{parts, words};
use crate::observe::Observed;
use sql_syntax::visit::for_each_query;
use sql_syntax::{LexMode, TokenBuf, parse_one};

/// What is known of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// None is asked for.
    Free,
    /// By these columns; they are all there are, so ties are equal rows.
    Total,
    /// By these columns; rows with the same values may change places.
    Keys(Vec<usize>),
    /// By something that is no column of the result.
    Unknown,
}

/// The order of a statement's rows.
pub fn order(sql: &str, seen: &Observed) -> Order {
    let Observed::Rows { columns, .. } = seen else { return Order::Free };
    let lower = sql.to_lowercase();
    let Some(at) = lower.rfind("order by") else { return Order::Free };
    let tail = &lower[at + "order by".len()..];
    let mut depth = 0;
    for letter in tail.chars() {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth < 0 {
            return Order::Free;
        }
    }
    let body = [" limit", "\nlimit", " for update", " lock in", " procedure", " offset", " fetch"]
        .iter()
        .filter_map(|word| tail.find(word))
        .min()
        .map_or(tail, |end| &tail[..end]);
    let mut keys = Vec::new();
    for part in parts(body) {
        let mut list = words(&part);
        if list.last().is_some_and(|word| word == "asc" || word == "desc") {
            list.pop();
        }
        let plain = part.chars().all(|c| c.is_alphanumeric() || " ._`\n\t".contains(c));
        let Some(name) = list.last().filter(|_| plain && !list.is_empty()) else {
            return Order::Unknown;
        };
        let ordinal = name.parse::<usize>().ok().filter(|n| (1..=columns.len()).contains(n));
        let found = ordinal
            .map(|n| n - 1)
            .or_else(|| columns.iter().position(|column| column.name.to_lowercase() == *name));
        match found {
            Some(at) => keys.push(at),
            None => return Order::Unknown,
        }
    }
    let exact = |at: &usize| !columns[*at].column_type.contains("String");
    if (0..columns.len()).all(|at| keys.contains(&at)) && keys.iter().all(exact) {
        Order::Total
    } else {
        Order::Keys(keys)
    }
}

/// Whether a query inside of the statement takes some of its rows without an order: any of them.
pub fn picks_any_rows(sql: &str) -> bool {
    let mut buf = TokenBuf::default();
    let Ok(parsed) = parse_one(sql.as_bytes(), 0, &LexMode::default(), &mut buf) else {
        return false;
    };
    let mut found = false;
    for_each_query(&parsed.stmt, |query, depth| {
        found |= depth > 1 && query.limit.is_some() && query.order_by.is_empty();
    });
    found
}

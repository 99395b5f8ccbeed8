//! In which order a statement's rows must come, as far as its text and its columns tell.

use crate::mtr_rules::{parts, words};
use crate::observe::Observed;

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

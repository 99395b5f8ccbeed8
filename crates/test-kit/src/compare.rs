//! The oracle's judgement of one statement: equal, refused, wrong or crashed.

use crate::observe::{Observed, SeenColumn};
use base::sql_error;

/// Errors that say clearly that DDM does not do something which one server does.
const REFUSALS: &[u16] = &[
    sql_error::NOT_SUPPORTED.number,
    sql_error::TRANSACTION_SPANS_SHARDS.number,
    sql_error::TEMP_TABLE_LIMIT.number,
    // DELAYED: every table is InnoDB's.
    1616,
];

/// How a statement went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A client sees no difference.
    Equal,
    /// DDM refuses with a clear error of its own.
    Refused(String),
    /// A client sees a difference.
    Wrong(String),
    /// The connection was lost.
    Crashed(String),
}

/// What of a statement's result is defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nature {
    /// The order of the rows.
    pub ordered: bool,
    /// Columns that are sums of DOUBLE values, whose last digits depend on the order of additions.
    pub nearly: Vec<usize>,
    /// The decimals of text columns are not defined: the server gives 39 for an expression, and 0
    /// for the same one when its plan has a temporary table.
    pub text_decimals: bool,
}

/// Judges what DDM showed by what the plain server showed.
pub fn judge(sql: &str, plain: &Observed, ddm: &Observed) -> Verdict {
    judge_as(sql, &Nature { ordered: is_ordered(sql), ..Nature::default() }, plain, ddm)
}

/// The same for a statement of which more is known.
pub fn judge_as(sql: &str, nature: &Nature, plain: &Observed, ddm: &Observed) -> Verdict {
    match (plain, ddm) {
        (_, Observed::Lost(reason)) => Verdict::Crashed(reason.clone()),
        (
            Observed::Error { number: wanted, sqlstate: state, .. },
            Observed::Error { number, sqlstate, .. },
        ) if wanted == number && state == sqlstate => Verdict::Equal,
        (_, Observed::Error { number, message, .. }) if REFUSALS.contains(number) => {
            Verdict::Refused(message.clone())
        }
        (
            Observed::Done { affected: a, last_insert_id: i, warnings: w },
            Observed::Done { affected: b, last_insert_id: j, warnings: v },
        ) => same_done(sql, (a, i, w), (b, j, v)),
        (
            Observed::Rows { columns: a, rows: r, warnings: w },
            Observed::Rows { columns: b, rows: s, warnings: v },
        ) => same_rows(nature, (a, r, *w), (b, s, *v)),
        _ => Verdict::Wrong(format!("plain: {}\n  ddm:   {}", short(plain), short(ddm))),
    }
}

fn same_done(sql: &str, plain: (&u64, &u64, &u16), ddm: (&u64, &u64, &u16)) -> Verdict {
    // Generated ids are unique, not the same: only whether there was one is compared.
    let same_id = (*plain.1 == 0) == (*ddm.1 == 0);
    if plain.0 == ddm.0 && same_id && plain.2 == ddm.2 {
        Verdict::Equal
    } else {
        Verdict::Wrong(format!(
            "(affected, last insert id, warnings) plain {plain:?}, ddm {ddm:?}: {sql}"
        ))
    }
}

type Seen<'a> = (&'a Vec<SeenColumn>, &'a Vec<Vec<Option<String>>>, u16);

fn same_rows(nature: &Nature, plain: Seen<'_>, ddm: Seen<'_>) -> Verdict {
    let same = if nature.text_decimals {
        plain.0.iter().map(without_text_decimals).eq(ddm.0.iter().map(without_text_decimals))
    } else {
        plain.0 == ddm.0
    };
    if !same {
        return Verdict::Wrong(format!("columns\n  plain {:?}\n  ddm   {:?}", plain.0, ddm.0));
    }
    if plain.2 != ddm.2 {
        return Verdict::Wrong(format!("warnings plain {}, ddm {}", plain.2, ddm.2));
    }
    let (mut a, mut b) = (plain.1.clone(), ddm.1.clone());
    if !nature.ordered {
        sort(&mut a, &nature.nearly);
        sort(&mut b, &nature.nearly);
    }
    let unlike = |(x, y): (&Vec<Option<String>>, &Vec<Option<String>>)| {
        x.len() != y.len()
            || (0..x.len())
                .any(|at| x[at] != y[at] && !(nature.nearly.contains(&at) && near(&x[at], &y[at])))
    };
    let difference = match a.iter().zip(&b).position(unlike) {
        Some(at) => at,
        None if a.len() == b.len() => return Verdict::Equal,
        None => a.len().min(b.len()),
    };
    Verdict::Wrong(format!(
        "{} rows plain, {} ddm, first difference at {difference}\n  plain {:?}\n  ddm   {:?}",
        a.len(),
        b.len(),
        a.get(difference),
        b.get(difference)
    ))
}

fn without_text_decimals(column: &SeenColumn) -> SeenColumn {
    let text = column.column_type.contains("String") || column.column_type.contains("Blob");
    SeenColumn { decimals: if text { 0 } else { column.decimals }, ..column.clone() }
}

/// How far two sums of the same DOUBLE values may lie apart, as a share of them.
const NEAR: f64 = 1e-12;

fn near(a: &Option<String>, b: &Option<String>) -> bool {
    let number = |text: &Option<String>| {
        let text = text.as_deref()?;
        text.trim_start_matches("Double(").trim_end_matches(')').parse::<f64>().ok()
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= NEAR * a.abs().max(b.abs()).max(1.0),
        _ => false,
    }
}

/// Whether the statement says in which order its rows come (the cases order totally when they do).
fn is_ordered(sql: &str) -> bool {
    let upper = sql.to_uppercase();
    match upper.rfind("ORDER BY") {
        // An ORDER BY inside the last parenthesis is not the statement's own.
        Some(at) => {
            !upper[at..].contains(')')
                || upper[at..].matches('(').count() >= upper[at..].matches(')').count()
        }
        None => false,
    }
}

/// Sorts rows by all fields that are exact; those that are not come last.
fn sort(rows: &mut [Vec<Option<String>>], nearly: &[usize]) {
    rows.sort_by_cached_key(|row| {
        let (rough, exact): (Vec<_>, Vec<_>) =
            row.iter().cloned().enumerate().partition(|(at, _)| nearly.contains(at));
        (exact, rough)
    });
}

fn short(observed: &Observed) -> String {
    let text = format!("{observed:?}");
    text.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_outer_order_by_orders() {
        assert!(is_ordered("SELECT a FROM t ORDER BY a"));
        assert!(is_ordered("SELECT a FROM t ORDER BY LENGTH(a), b"));
        assert!(!is_ordered("SELECT ROW_NUMBER() OVER (ORDER BY a) FROM t"));
        assert!(!is_ordered("SELECT a FROM t"));
    }
}

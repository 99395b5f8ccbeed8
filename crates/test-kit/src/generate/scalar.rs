//! Expressions of a wanted type over the columns in sight. None of them warns or overflows on the
//! tables' values: how often a server evaluates an expression is its own affair, and so would be
//! the number of its warnings.

use super::choice::Choice;
use super::schema::Column;
use super::tree::{Form, Node, Piece, Sort, Spelling};
use crate::node;
use mysql_wire::value::Value;

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Its tree.
    pub node: Node,
    /// Whether equal values are also spelled alike.
    pub single: bool,
}

/// The columns that an expression may name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Of the query itself.
    pub here: Vec<Column>,
    /// Of the queries around it.
    pub outer: Vec<Column>,
}

impl Scope {
    /// What a sub-query sees as outer columns.
    pub fn inside(&self) -> Vec<Column> {
        self.here.iter().chain(&self.outer).cloned().collect()
    }

    /// Without the outer columns.
    pub fn local(&self) -> Scope {
        Scope { here: self.here.clone(), outer: Vec::new() }
    }
}

/// The state of making one statement.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Chance.
    pub choice: Choice,
    /// How many names were given.
    pub names: usize,
    /// How many sub-queries may still be made.
    pub queries: usize,
    /// Whether literals may be parameters: not where a parameter's type is a column's type.
    pub parameters: bool,
    /// Whether a column of the result may be named by its alias.
    pub aliases: bool,
    /// User variables that have been set, with the types of their values.
    pub variables: Vec<(String, Sort)>,
    /// CTEs in sight: name, columns.
    pub common: Vec<(String, Vec<Column>)>,
}

/// The types that a column of a result may have.
pub const SORTS: &[Sort] = &[
    Sort::Int,
    Sort::Int,
    Sort::Int,
    Sort::Decimal,
    Sort::Text(Spelling::General),
    Sort::Text(Spelling::General),
    Sort::Text(Spelling::Unicode),
    Sort::Text(Spelling::Forced),
    Sort::Date,
    Sort::Moment,
    Sort::Double,
    Sort::Time,
];

const WORDS: &[&str] =
    &["a", "b", "", "red", "blue", "apple", "aaa", "x y", "Eve", "one", "p", "fig", "12", "it"];

impl Generator {
    /// For one statement.
    pub fn new(seed: u64) -> Self {
        Self {
            choice: Choice::new(seed),
            names: 0,
            queries: 4,
            parameters: false,
            aliases: true,
            variables: Vec::new(),
            common: Vec::new(),
        }
    }

    /// A new name with this first letter.
    pub fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    /// An expression's tree.
    pub fn scalar(&mut self, sort: Sort, depth: usize, scope: &Scope) -> Node {
        self.expr(sort, depth, scope, false).node
    }

    /// An expression; `calm` asks for values that arithmetic can take.
    pub fn expr(&mut self, sort: Sort, depth: usize, scope: &Scope, calm: bool) -> Expr {
        if depth == 0 || self.choice.chance(35) {
            return self.leaf(sort, scope, calm);
        }
        match self.choice.below(12) {
            0 | 1 => self.conditional(sort, depth, scope, calm),
            2 if self.queries > 0 && self.choice.chance(50) => self.scalar_query(sort, scope, calm),
            _ => self.compound(sort, depth, scope),
        }
    }

    /// A column or a literal.
    pub fn leaf(&mut self, sort: Sort, scope: &Scope, calm: bool) -> Expr {
        let local = scope.outer.is_empty() || self.choice.chance(75);
        let columns = if local { &scope.here } else { &scope.outer };
        let kept: Vec<&str> = self
            .variables
            .iter()
            .filter(|(_, kept)| *kept == sort)
            .map(|(name, _)| name.as_str())
            .collect();
        if !kept.is_empty() && self.choice.clone().chance(40) {
            let name = (*self.choice.of(&kept)).to_owned();
            return Expr { node: node!(sort; name), single: !matches!(sort, Sort::Text(_)) };
        }
        let forced = sort == Sort::Text(Spelling::Forced);
        let fitting: Vec<&Column> = columns
            .iter()
            .filter(|column| {
                (column.sort == sort || forced && matches!(column.sort, Sort::Text(_)))
                    && (column.calm || !calm)
            })
            .collect();
        if fitting.is_empty() || self.choice.chance(18) {
            return self.literal(sort);
        }
        let column = (*self.choice.of(&fitting)).clone();
        if forced && column.sort != sort {
            let node = node!(sort; format!("({} COLLATE utf8mb4_bin)", column.name));
            return Expr { node, single: true };
        }
        Expr { node: node!(sort; column.name), single: column.single }
    }

    /// A literal, sometimes NULL, sometimes one that can be a parameter.
    pub fn literal(&mut self, sort: Sort) -> Expr {
        if self.choice.chance(3) {
            let value = Some(Value::Null).filter(|_| self.parameters);
            let pieces = vec![Piece::Literal { text: "NULL".to_owned(), value }];
            return Expr { node: Node { sort, form: Form::Whole, pieces }, single: true };
        }
        let (text, value) = self.literal_text(sort);
        let value = value.filter(|_| self.parameters && self.choice.chance(60));
        let forced = sort == Sort::Text(Spelling::Forced);
        let mut pieces = vec![Piece::Literal { text, value }];
        if forced {
            pieces.insert(0, "(".into());
            pieces.push(" COLLATE utf8mb4_bin)".into());
        }
        // Another spelling of a literal may stand in a column.
        let single = !matches!(sort, Sort::Text(_)) || forced;
        Expr { node: Node { sort, form: Form::Whole, pieces }, single }
    }

    fn literal_text(&mut self, sort: Sort) -> (String, Option<Value>) {
        let day = self.choice.below(5);
        match sort {
            Sort::Int => {
                let number = self.choice.between(-3, 12);
                (number.to_string(), Some(Value::Int(number)))
            }
            Sort::Decimal => {
                let text = self.choice.of(&["1.5", "0.25", "10.50", "100.001", "7.0"]).to_string();
                (text.clone(), Some(Value::Decimal(text.into_bytes())))
            }
            Sort::Double => {
                let text = self.choice.of(&["1e0", "2.5e0", "1e3", "125e-3"]).to_string();
                (text.clone(), text.parse().ok().map(Value::Double))
            }
            Sort::Text(_) => {
                let word = self.choice.of(WORDS).to_string();
                (format!("'{word}'"), Some(Value::Bytes(word.into_bytes())))
            }
            Sort::Date => (
                format!(
                    "DATE '{}'",
                    ["2020-01-01", "2020-02-29", "2001-01-31", "2019-12-31", "1999-05-05"][day]
                ),
                None,
            ),
            Sort::Moment => (
                format!(
                    "TIMESTAMP '{}'",
                    [
                        "2020-01-01 00:00:00",
                        "2024-01-01 10:00:00",
                        "2024-02-29 00:00:00",
                        "1999-12-31 23:59:59",
                        "2020-01-01 12:00:00"
                    ][day]
                ),
                None,
            ),
            Sort::Time => (
                format!(
                    "TIME '{}'",
                    ["00:00:00", "10:11:12", "-01:00:00", "23:59:59", "05:05:05.05"][day]
                ),
                None,
            ),
            _ => ("1".to_owned(), None),
        }
    }

    /// CASE, IF, COALESCE and their kin.
    fn conditional(&mut self, sort: Sort, depth: usize, scope: &Scope, calm: bool) -> Expr {
        let a = self.expr(sort, depth - 1, scope, calm);
        let b = self.expr(sort, depth - 1, scope, calm);
        let node = match self.choice.below(7) {
            0 | 1 => {
                let when = self.truth(depth - 1, scope);
                let other = self.choice.chance(70);
                let rest =
                    if other { node!(Sort::Other; " ELSE ", b.node) } else { Node::nothing() };
                node!(sort; "CASE WHEN ", when, " THEN ", a.node, rest.optional(), " END")
            }
            2 => {
                let of = self.choice.of(&[Sort::Int, Sort::Date]).to_owned();
                let (on, is) = (self.scalar(of, depth - 1, scope), self.literal(of).node);
                node!(sort; "CASE ", on, " WHEN ", is, " THEN ", a.node, " ELSE ", b.node, " END")
            }
            3 => node!(sort; "IF(", self.truth(depth - 1, scope), ", ", a.node, ", ", b.node, ")"),
            4 => node!(sort; "COALESCE(", a.node, ", ", b.node, ")"),
            5 => node!(sort; "IFNULL(", a.node, ", ", b.node, ")"),
            _ => node!(sort; "NULLIF(", a.node, ", ", b.node, ")"),
        };
        let single = !matches!(sort, Sort::Text(spelling) if spelling != Spelling::Forced);
        Expr { node, single }
    }

    /// A sub-query with one row and one column.
    fn scalar_query(&mut self, sort: Sort, scope: &Scope, calm: bool) -> Expr {
        self.queries -= 1;
        let (source, inner) = self.table_source(scope);
        let filter = self.filter(2, &inner);
        // The argument is of the inner query alone, or the aggregate would be the outer one's.
        let local = inner.local();
        let (result, single) = match sort {
            Sort::Int if self.choice.chance(60) => {
                let distinct = if self.choice.chance(30) { "DISTINCT " } else { "" };
                let of = *self.choice.of(SORTS);
                let argument = self.scalar(of, 1, &local);
                (node!(Sort::Int; format!("COUNT({distinct}"), argument, ")"), true)
            }
            _ => {
                let function = *self.choice.of(&["MIN(", "MAX("]);
                let argument = self.expr(sort, 1, &local, calm);
                (node!(sort; function, argument.node, ")"), argument.single)
            }
        };
        Expr { node: node!(sort; "(SELECT ", result, " FROM ", source, filter, ")"), single }
    }
}

//! A statement as a tree of typed pieces: enough to write it down, and to make it smaller without
//! knowing SQL (drop what may be dropped, put a part of the same sort in place of the whole).

use mysql_wire::value::Value;

/// What a piece is; one may stand for another of the same sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// A signed whole number.
    Int,
    /// A DECIMAL.
    Decimal,
    /// A DOUBLE.
    Double,
    /// Text of a collation.
    Text(Spelling),
    /// A DATE.
    Date,
    /// A DATETIME.
    Moment,
    /// A TIME.
    Time,
    /// A condition.
    Truth,
    /// A query with this many columns.
    Query(usize),
    /// Rows that FROM can name: only the same thing may stand there.
    Source,
    /// A list of SELECT's items.
    Items,
    /// One item whose last digits are not defined.
    Nearly,
    /// The statement's own ORDER BY.
    Order,
    /// Anything that only its own place can hold.
    Other,
}

/// The collation of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// utf8mb4_general_ci, also that of literals.
    General,
    /// utf8mb4_unicode_ci.
    Unicode,
    /// utf8mb4_bin of a column.
    Binary,
    /// utf8mb4_bin by COLLATE.
    Forced,
}

/// How a node's pieces are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One after the other.
    Whole,
    /// So, or not at all.
    Optional,
    /// With a separator; at least `least` must stay.
    List {
        /// Between two.
        separator: &'static str,
        /// How many must stay.
        least: usize,
    },
}

/// A part of a node.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// A literal, which may be sent as a parameter.
    Literal {
        /// As SQL.
        text: String,
        /// As a parameter, if it may be one.
        value: Option<Value>,
    },
    /// A smaller tree.
    Node(Node),
}

/// A tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub sort: Sort,
    /// How its pieces are joined.
    pub form: Form,
    /// Its pieces.
    pub pieces: Vec<Piece>,
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Piece::Text(text.to_owned())
    }
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Piece::Text(text)
    }
}

impl From<Node> for Piece {
    fn from(node: Node) -> Self {
        Piece::Node(node)
    }
}

/// A node of pieces that stand one after the other: `node!(Sort::Int; "ABS(", inner, ")")`.
#[macro_export]
macro_rules! node {
    ($sort:expr; $($piece:expr),* $(,)?) => {
        $crate::generate::tree::Node {
            sort: $sort,
            form: $crate::generate::tree::Form::Whole,
            pieces: vec![$($crate::generate::tree::Piece::from($piece)),*],
        }
    };
}

impl Node {
    /// The same, but it may be dropped.
    pub fn optional(mut self) -> Self {
        self.form = Form::Optional;
        self
    }

    /// Nothing.
    pub fn nothing() -> Self {
        Self { sort: Sort::Other, form: Form::Whole, pieces: Vec::new() }
    }

    /// A list.
    pub fn list(sort: Sort, separator: &'static str, least: usize, items: Vec<Node>) -> Self {
        let pieces = items.into_iter().map(Piece::Node).collect();
        Self { sort, form: Form::List { separator, least }, pieces }
    }

    /// The SQL text; literals that may be parameters become `?` when `values` is there.
    pub fn write(&self, text: &mut String, values: &mut Option<Vec<Value>>) {
        let separator = match self.form {
            Form::List { separator, .. } => separator,
            Form::Whole | Form::Optional => "",
        };
        for (at, piece) in self.pieces.iter().enumerate() {
            if at > 0 {
                text.push_str(separator);
            }
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Node(node) => node.write(text, values),
                Piece::Literal { text: plain, value } => match (values.as_mut(), value) {
                    (Some(values), Some(value)) => {
                        values.push(value.clone());
                        text.push('?');
                    }
                    _ => text.push_str(plain),
                },
            }
        }
    }

    /// The text alone.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, &mut None);
        text
    }

    /// The first node of this sort, the root first.
    pub fn find(&self, sort: Sort) -> Option<&Node> {
        if self.sort == sort && !self.pieces.is_empty() {
            return Some(self);
        }
        self.nodes().find_map(|node| node.find(sort))
    }

    /// The nodes directly below.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Node(node) => Some(node),
            Piece::Text(_) | Piece::Literal { .. } => None,
        })
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        1 + self.nodes().map(Node::size).sum::<usize>()
    }
}

//! Whose fault an error is. The kind is a metric label and decides who should act; the code and
//! the text are in the catalogues (`api_error`, `sql_error`).

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller asked for something wrong; repeating it gives the same answer.
    User,
    /// The caller asked for something right that the object's present state does not allow.
    Conflict,
    /// A limit that the operator can raise was met.
    Limit,
    /// Another system (a data node, a store) failed or is away; repeating it may help.
    Dependency,
    /// We are wrong.
    Internal,
}

impl ErrorKind {
    /// The label under which metrics and logs count the kind.
    pub fn label(self) -> &'static str {
        match self {
            ErrorKind::User => "user",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Limit => "limit",
            ErrorKind::Dependency => "dependency",
            ErrorKind::Internal => "internal",
        }
    }
}

//! What is wrong with a statement's text, in the form that clients know: the text from the point
//! of failure on, and the line.

use crate::ast::Span;
use std::fmt;

/// How many bytes of the statement an error shows.
const NEAR_BYTES_MAX: usize = 80;

/// A statement that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SyntaxError {
    /// Why.
    pub kind: SyntaxErrorKind,
    /// Offset of the token that was not expected.
    pub offset: u32,
    /// Its line, from 1.
    pub line: u32,
    /// The text from there on, cut after 80 bytes.
    pub near: Vec<u8>,
}

/// Why a statement cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyntaxErrorKind {
    /// A token that does not fit.
    Unexpected,
    /// More nesting than [`crate::DEPTH_MAX`], or a tree higher than [`crate::HEIGHT_MAX`].
    TooDeep,
}

impl SyntaxError {
    /// An error at an offset of the statement whose text is `text`.
    #[must_use]
    pub fn at(src: &[u8], text: Span, offset: u32, kind: SyntaxErrorKind) -> Self {
        let before = Span::new(text.start, offset).of(src);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u32;
        let after = src.get(offset as usize..).unwrap_or_default();
        let near = after[..after.len().min(NEAR_BYTES_MAX)].to_vec();
        Self { kind, offset, line, near }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = String::from_utf8_lossy(&self.near);
        let what = match self.kind {
            SyntaxErrorKind::Unexpected => {
                "check the manual of this server for the right syntax to use"
            }
            SyntaxErrorKind::TooDeep => "expressions or sub-queries are nested too deeply",
        };
        let line = self.line;
        write!(f, "You have an error in your SQL syntax; {what} near '{near}' at line {line}")
    }
}

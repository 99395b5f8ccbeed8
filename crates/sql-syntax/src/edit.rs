//! Changes of a statement's text. All changes of one statement are collected and applied in one
//! pass over the original bytes; nothing else of the text is touched.

use crate::ast::Span;
use crate::lexer::TokenBuf;

/// Replacements in one text, kept in order of their place.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Edit {
    span: Span,
    /// Range in `Edits::text`.
    text: (u32, u32),
}

impl Edits {
    /// No edits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all edits and keeps the memory.
    pub fn clear(&mut self) {
        self.edits.clear();
        self.text.clear();
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `text` in the place of `span`. Edits at the same place apply in the order they were
    /// added; an insertion at the start of a replaced span comes before the replacement.
    pub fn replace(&mut self, span: Span, text: &[u8]) {
        let from = self.text.len() as u32;
        self.text.extend_from_slice(text);
        let edit = Edit { span, text: (from, self.text.len() as u32) };
        let key = |e: &Edit| (e.span.start, e.span.end > e.span.start);
        let at = self.edits.partition_point(|other| key(other) <= key(&edit));
        self.edits.insert(at, edit);
    }

    /// Puts `text` before the byte at `offset`.
    pub fn insert(&mut self, offset: u32, text: &[u8]) {
        self.replace(Span::new(offset, offset), text);
    }

    /// Takes `span` out.
    pub fn delete(&mut self, span: Span) {
        self.replace(span, b"");
    }

    /// Appends the changed text of `src` to `out`.
    pub fn apply(&self, src: &[u8], out: &mut Vec<u8>) {
        self.apply_within(src, Span::new(0, src.len() as u32), out);
    }

    /// Appends the changed text of the part `within` of `src` to `out`; edits outside of it are
    /// left out. An edit inside of an already replaced range is left out too: it is a mistake of
    /// the caller, and the wider edit is the one that was meant.
    pub fn apply_within(&self, src: &[u8], within: Span, out: &mut Vec<u8>) {
        out.reserve(within.of(src).len() + self.text.len());
        let mut pos = within.start;
        for edit in &self.edits {
            debug_assert!(edit.span.start >= pos || edit.span.start < within.start, "overlap");
            if edit.span.start < pos || edit.span.end > within.end {
                continue;
            }
            out.extend_from_slice(Span::new(pos, edit.span.start).of(src));
            out.extend_from_slice(&self.text[edit.text.0 as usize..edit.text.1 as usize]);
            pos = edit.span.end;
        }
        out.extend_from_slice(Span::new(pos, within.end).of(src));
    }
}

/// Where a token edit puts its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the place of the tokens (and of what is between them).
    Replace,
    /// Before the first token.
    Before,
    /// After the last token.
    After,
}

/// An edit by token index: it can be applied to every statement of the same digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEdit {
    /// First token.
    pub first: u32,
    /// Last token, included.
    pub last: u32,
    /// Where the text goes.
    pub place: Place,
    /// The text.
    pub text: Vec<u8>,
}

impl TokenEdit {
    /// The tokens of `span` replaced by `text`; None if `span` does not begin and end at tokens.
    #[must_use]
    pub fn replace(buf: &TokenBuf, span: Span, text: impl Into<Vec<u8>>) -> Option<Self> {
        let (first, last) = buf.tok_range(span)?;
        Some(Self { first, last, place: Place::Replace, text: text.into() })
    }

    /// The byte range that this edit replaces in a statement with these tokens.
    #[must_use]
    pub fn span(&self, buf: &TokenBuf) -> Span {
        let (first, last) = (buf.span(self.first), buf.span(self.last));
        match self.place {
            Place::Replace => Span::new(first.start, last.end),
            Place::Before => Span::new(first.start, first.start),
            Place::After => Span::new(last.end, last.end),
        }
    }
}

/// Appends the statement's text (without `;` and other statements) with token edits applied to
/// `out`. The edits must be in order of their place and not overlap.
pub fn apply_tokens(src: &[u8], buf: &TokenBuf, edits: &[TokenEdit], out: &mut Vec<u8>) {
    let text = buf.text_span();
    out.reserve(text.of(src).len() + edits.iter().map(|edit| edit.text.len()).sum::<usize>());
    let mut pos = text.start;
    for edit in edits {
        let span = edit.span(buf);
        debug_assert!(span.start >= pos, "token edits out of order");
        if span.start < pos {
            continue;
        }
        out.extend_from_slice(Span::new(pos, span.start).of(src));
        out.extend_from_slice(&edit.text);
        pos = span.end;
    }
    out.extend_from_slice(Span::new(pos, text.end).of(src));
}

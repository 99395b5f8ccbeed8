//! The key of the plan cache, made from tokens alone. Two statements have the same key only if
//! their tokens agree in everything but the values of literals, so they have the same tree and a
//! plan made for one can be applied to the other by token index.
//!
//! Reserved words are upper-cased; all other words are kept as written, because a result's column
//! names take their case from the text. A literal keeps its kind, since kinds change the tree (two
//! strings side by side are one value, a number and a string are a value and its alias).

use crate::keyword::Keyword;
use crate::lexer::{Token, TokenBuf, TokenKind};

/// A statement's key. Reused from statement to statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The normalised text.
    pub key: Vec<u8>,
    /// Token indices of all literals and parameters, in order.
    pub literals: Vec<u32>,
    /// A hash of the key. It is not keyed: whoever looks up by it must compare the key too.
    pub hash: u128,
}

/// Fills `digest` from the tokens of one statement.
pub fn normalise(src: &[u8], buf: &TokenBuf, digest: &mut Digest) {
    digest.key.clear();
    digest.literals.clear();
    let mut hints = buf.hints.iter().peekable();
    let mut previous_end = 0;
    for (index, token) in buf.tokens.iter().enumerate() {
        while let Some(hint) = hints.next_if(|hint| hint.before_tok as usize <= index) {
            digest.key.push(b' ');
            digest.key.extend_from_slice(hint.span.of(src));
        }
        // A name right before `(` is a call, with a space it may be something else.
        if token.kind != TokenKind::LParen || token.start != previous_end {
            digest.key.push(b' ');
        }
        previous_end = token.end;
        push_token(src, *token, index as u32, digest);
    }
    digest.hash = hash(&digest.key);
}

fn push_token(src: &[u8], token: Token, index: u32, digest: &mut Digest) {
    use TokenKind as T;
    let mark: &[u8] = match token.kind {
        T::Int => b"?i",
        T::Decimal => b"?d",
        T::Float => b"?f",
        T::String => b"?s",
        T::NString => b"?n",
        T::Hex => b"?x",
        T::Bit => b"?b",
        T::Param => b"??",
        T::Eof => return,
        T::Keyword if token.keyword.is_reserved() => {
            digest.key.extend_from_slice(token.keyword.text());
            return;
        }
        _ => {
            digest.key.extend_from_slice(token.span().of(src));
            return;
        }
    };
    digest.key.extend_from_slice(mark);
    digest.literals.push(index);
}

/// Two multiplications per 16 bytes; good enough to spread keys over a table.
fn hash(key: &[u8]) -> u128 {
    const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
    const MIX: u128 = 0xDA94_2042_E4DD_58B5_9E37_79B9_7F4A_7C15;
    let fold = |state: u128| state ^ (state >> 64);
    let mut state = u128::from(SEED ^ key.len() as u64);
    let mut chunks = key.chunks_exact(16);
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u128::from_le_bytes);
        state = fold((state ^ word).wrapping_mul(MIX));
    }
    let mut tail = [0; 16];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    state = fold((state ^ u128::from_le_bytes(tail)).wrapping_mul(MIX));
    fold(state.wrapping_mul(MIX))
}

impl Digest {
    /// Whether the statement begins with this word, hints aside (a cheap first look).
    #[must_use]
    pub fn first_word(buf: &TokenBuf) -> Keyword {
        buf.tokens
            .iter()
            .find(|token| token.kind != TokenKind::LParen)
            .map_or(Keyword::None, |token| token.keyword)
    }
}

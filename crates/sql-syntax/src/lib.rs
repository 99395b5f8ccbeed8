//! The SQL front end: a lexer over bytes, a parser whose tree carries byte spans, a normaliser for
//! the plan cache, and edits of a statement's own text. It knows nothing of schemas, shards or
//! sessions; what depends on a session (sql_mode, character set, server version) comes in as
//! [`LexMode`].
//!
//! Statements are bytes, never `str`: a client may send any character set, and values of
//! client-side prepared statements are raw bytes. There is no printer: a statement is changed by
//! replacing byte ranges, so nothing that this crate does not understand is lost.

pub mod ast;
pub mod counted;
pub mod digest;
pub mod edit;
pub mod error;
pub mod keyword;
pub mod lexer;
pub mod mask;
mod parser;
pub mod text;
pub mod visit;

pub use counted::{Counted, counted};
pub use digest::{Digest, normalise};
pub use edit::{Edits, Place, TokenEdit};
pub use error::{SyntaxError, SyntaxErrorKind};
pub use keyword::Keyword;
pub use lexer::{CharsetClass, Hint, HintKind, LexMode, Token, TokenBuf, TokenKind, lex};
pub use mask::mask_secrets;
pub use parser::{DEPTH_MAX, HEIGHT_MAX, parse, parse_one};
pub use text::LiteralValue;

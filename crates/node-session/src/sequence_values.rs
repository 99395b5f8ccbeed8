//! `s.nextval`, `s.currval`, `NEXT VALUE FOR s`, `NEXTVAL(s)` and their kin. The values are taken
//! before the statement is planned and written into its text as numbers, so that everything behind
//! sees an ordinary statement. They are taken from left to right. That is the same as what one server
//! would do only where each place is reached once: in a SELECT without tables and in the VALUES of
//! INSERT and REPLACE; elsewhere it is refused.

use crate::control::text;
use crate::query::{self, Source};
use crate::sequences::{SequenceName, unknown};
use crate::session::Core;
use crate::show::{Row, field, literal_text};
use base::sql_error;
use node_exec::error::{ExecError, sql};
use node_exec::rows::number_column;
use sql_syntax::ast::{Ident, Statement};
use sql_syntax::{Edits, LexMode, TokenBuf, TokenKind, lex};
use std::collections::HashMap;
use topology::account::Authority;

/// Sequences of which a session remembers its last value.
const REMEMBERED_MAX: usize = 100_000;

/// The last value that a session took of each sequence, by schema and name.
pub type LastValues = HashMap<(String, String), i64>;

/// What a place in a statement asks of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The next value.
    Next,
    /// The session's last one; before any, 0 (DDM's form) or NULL (MariaDB's).
    Last {
        /// MariaDB's form.
        null_before_any: bool,
    },
    /// SETVAL: where it goes on. `used`: the value itself is taken.
    Set {
        /// The value.
        value: i64,
        /// The sequence goes on behind it.
        used: bool,
    },
}

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Its first and last token.
    pub first: u32,
    pub last: u32,
    pub asks: Asks,
    pub schema: Option<String>,
    pub name: String,
    /// `s.nextval`, which could be a column; else one of MariaDB's forms, which cannot.
    pub dotted: bool,
}

impl Site {
    /// Whether it is a whole column of a SELECT.
    fn is_item(&self, source: Source<'_>) -> bool {
        let kind = |at: u32| source.tokens.tokens().get(at as usize).map(|token| token.kind);
        let opens = self.first.checked_sub(1).is_some_and(|at| {
            kind(at) == Some(TokenKind::Comma)
                || source.tokens.bytes(source.text, at).eq_ignore_ascii_case(b"select")
        });
        let word = source.tokens.bytes(source.text, self.last + 1);
        let ends = [&b"from"[..], b"limit", b"as"];
        let depth: i32 = (0..self.first)
            .map(|at| match kind(at) {
                Some(TokenKind::LParen) => 1,
                Some(TokenKind::RParen) => -1,
                _ => 0,
            })
            .sum();
        depth == 0
            && opens
            && (matches!(kind(self.last + 1), Some(TokenKind::Comma | TokenKind::Eof))
                || ends.iter().any(|end| word.eq_ignore_ascii_case(end)))
    }
}

/// What a statement has to do with sequences.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// `SELECT s.nextval(n)`: the statement and how many values.
    Rows(SiteOf, u64),
    /// Values within a statement, each place of which is reached once.
    Values(SitesOf),
    /// Values for each row, or for none: see [`crate::sequence_rows`].
    Places(SitesOf),
}

/// The place of [`Found::Rows`].
#[derive(Debug)]
pub struct SiteOf(Site);

/// The places of [`Found::Values`].
#[derive(Debug)]
pub struct SitesOf {
    pub(crate) sites: Vec<Site>,
    is_select: bool,
}

/// Looks through a statement's tokens. This runs for statements that no plan is known of.
pub fn find(source: Source<'_>) -> Result<Found, ExecError> {
    let reader = Reader { source };
    if !reader.mentions() {
        return Ok(Found::Nothing);
    }
    if let Some((site, count)) = reader.rows_form()? {
        return Ok(Found::Rows(SiteOf(site), count));
    }
    let sites = reader.sites();
    if sites.is_empty() {
        return Ok(Found::Nothing);
    }
    if reader.is_plain_select() && sites.iter().all(|site| site.is_item(source)) {
        return Ok(Found::Values(SitesOf { sites, is_select: true }));
    }
    if reader.is_listed_insert(&sites) || reader.is_set_or_do() {
        return Ok(Found::Values(SitesOf { sites, is_select: false }));
    }
    // What carries another statement comes here again with that one.
    if reader.is_carrier() {
        return Ok(Found::Nothing);
    }
    let is_select = reader.is_select();
    if is_select
        || [&b"insert"[..], b"replace", b"update", b"delete"]
            .iter()
            .any(|word| reader.is_word(0, word))
    {
        return Ok(Found::Places(SitesOf { sites, is_select }));
    }
    // A column may be called so.
    if sites.iter().all(|site| site.dotted) {
        return Ok(Found::Nothing);
    }
    if reader.is_word(0, b"create") || reader.is_word(0, b"alter") {
        return Err(sql(
            sql_error::NOT_SUPPORTED,
            "a sequence's value cannot be a column's DEFAULT or part of a definition: use AUTO_INCREMENT, or name the \
             sequence in INSERT",
        ));
    }
    Err(sql(
        sql_error::NOT_SUPPORTED,
        "a sequence's value is supported in SELECT, INSERT, REPLACE, UPDATE, DELETE, SET and DO",
    ))
}

struct Reader<'a> {
    source: Source<'a>,
}

impl Reader<'_> {
    fn kind(&self, at: usize) -> TokenKind {
        self.source.tokens.tokens().get(at).map_or(TokenKind::Eof, |token| token.kind)
    }

    fn is_word(&self, at: usize, word: &[u8]) -> bool {
        matches!(self.kind(at), TokenKind::Ident | TokenKind::Keyword)
            && self.source.tokens.bytes(self.source.text, at as u32).eq_ignore_ascii_case(word)
    }

    fn is_name(&self, at: usize) -> bool {
        matches!(self.kind(at), TokenKind::Ident | TokenKind::Keyword | TokenKind::QuotedIdent)
    }

    fn name(&self, at: usize) -> String {
        let ident = Ident { span: self.source.tokens.span(at as u32), tok: at as u32 };
        text(&ident.name(self.source.text))
    }

    fn len(&self) -> usize {
        self.source.tokens.tokens().len()
    }

    /// A cheap first look.
    fn mentions(&self) -> bool {
        let tokens = self.source.tokens.tokens().iter().enumerate();
        let words = |kind| matches!(kind, TokenKind::Ident | TokenKind::Keyword);
        tokens.filter(|(_, token)| words(token.kind)).any(|(at, token)| {
            let word = token.span().of(self.source.text);
            match word.len() {
                3 => word.eq_ignore_ascii_case(b"for") && at > 1 && self.is_word(at - 1, b"value"),
                6 => word.eq_ignore_ascii_case(b"setval"),
                7 => [&b"nextval"[..], b"currval", b"lastval"]
                    .iter()
                    .any(|known| word.eq_ignore_ascii_case(known)),
                _ => false,
            }
        })
    }

    /// `[schema.]name` that begins at `at`, and the token behind it.
    fn qualified(&self, at: usize) -> Option<(Option<String>, String, usize)> {
        if !self.is_name(at) {
            return None;
        }
        if self.kind(at + 1) == TokenKind::Dot && self.is_name(at + 2) {
            return Some((Some(self.name(at)), self.name(at + 2), at + 3));
        }
        Some((None, self.name(at), at + 1))
    }

    /// `[schema.]name.word` that begins at `at`.
    fn dotted(&self, at: usize) -> Option<Site> {
        if !self.is_name(at) || at > 0 && self.kind(at - 1) == TokenKind::Dot {
            return None;
        }
        let three = self.kind(at + 3) == TokenKind::Dot && self.is_name(at + 4);
        let word = if three { at + 4 } else { at + 2 };
        if self.kind(at + 1) != TokenKind::Dot || !self.is_name(at + 2) {
            return None;
        }
        let asks = if self.is_word(word, b"nextval") {
            Asks::Next
        } else if self.is_word(word, b"currval") {
            Asks::Last { null_before_any: false }
        } else {
            return None;
        };
        Some(Site {
            first: at as u32,
            last: word as u32,
            asks,
            schema: three.then(|| self.name(at)),
            name: self.name(if three { at + 2 } else { at }),
            dotted: true,
        })
    }

    /// `NEXT VALUE FOR s`, `NEXTVAL(s)`, …
    fn function(&self, at: usize) -> Option<Site> {
        if at > 0 && self.kind(at - 1) == TokenKind::Dot {
            return None;
        }
        let last = Asks::Last { null_before_any: true };
        let asks = if self.is_word(at, b"next") || self.is_word(at, b"nextval") {
            Asks::Next
        } else if self.is_word(at, b"previous") || self.is_word(at, b"lastval") {
            last
        } else {
            return None;
        };
        let words = self.is_word(at + 1, b"value") && self.is_word(at + 2, b"for");
        let call = self.kind(at + 1) == TokenKind::LParen;
        let begins = if words { at + 3 } else { at + 2 };
        let (schema, name, behind) = self.qualified(begins)?;
        let long = self.is_word(at, b"next") || self.is_word(at, b"previous");
        let fits = match long {
            true => words,
            false => call && self.kind(behind) == TokenKind::RParen,
        };
        let end = if long { behind - 1 } else { behind };
        let (first, last) = (at as u32, end as u32);
        fits.then_some(Site { first, last, asks, schema, name, dotted: false })
    }

    /// A whole number that begins at `at`, and the token behind it.
    fn whole(&self, at: usize) -> Option<(i64, usize)> {
        let minus = self.kind(at) == TokenKind::Minus;
        let digits = if minus { at + 1 } else { at };
        if self.kind(digits) != TokenKind::Int {
            return None;
        }
        let written = literal_text(self.source, digits as u32);
        let sign = if minus { "-" } else { "" };
        Some((format!("{sign}{written}").parse().ok()?, digits + 1))
    }

    /// `SETVAL(s, value [, is_used [, 0]])`.
    fn setval(&self, at: usize) -> Option<Site> {
        let is_call = self.is_word(at, b"setval") && self.kind(at + 1) == TokenKind::LParen;
        if !is_call || at > 0 && self.kind(at - 1) == TokenKind::Dot {
            return None;
        }
        let comma = |at: usize| (self.kind(at) == TokenKind::Comma).then_some(at + 1);
        let (schema, name, behind) = self.qualified(at + 2)?;
        let (value, mut end) = self.whole(comma(behind)?)?;
        let mut used = true;
        if let Some(next) = comma(end) {
            used = self.is_word(next, b"true") || self.whole(next).is_some_and(|(one, _)| one != 0);
            let known = used || self.is_word(next, b"false") || self.whole(next).is_some();
            end = known.then_some(next + 1)?;
        }
        if let Some(next) = comma(end) {
            end = self.whole(next).filter(|(round, _)| *round == 0)?.1;
        }
        let site = Site {
            first: at as u32,
            last: end as u32,
            asks: Asks::Set { value, used },
            schema,
            name,
            dotted: false,
        };
        (self.kind(end) == TokenKind::RParen).then_some(site)
    }

    fn sites(&self) -> Vec<Site> {
        let mut sites = Vec::new();
        let mut at = 0;
        while at < self.len() {
            let site = self.dotted(at).or_else(|| self.function(at)).or_else(|| self.setval(at));
            match site {
                Some(site) => {
                    at = site.last as usize + 1;
                    sites.push(site);
                }
                None => at += 1,
            }
        }
        sites
    }

    /// The whole statement is `SELECT [schema.]name.nextval(n)`.
    fn rows_form(&self) -> Result<Option<(Site, u64)>, ExecError> {
        let Some(site) = self.is_word(0, b"select").then(|| self.dotted(1)).flatten() else {
            return Ok(None);
        };
        let behind = site.last as usize + 1;
        if self.kind(behind) != TokenKind::LParen {
            return Ok(None);
        }
        let whole = self.kind(behind + 1) == TokenKind::Int
            && self.kind(behind + 2) == TokenKind::RParen
            && self.kind(behind + 3) == TokenKind::Eof;
        if !whole || site.asks != Asks::Next {
            return Err(sql(
                sql_error::SYNTAX_ERROR,
                "You have an error in your SQL syntax; several values are taken by a bare SELECT sequence.nextval(n), \
                 and currval takes no number",
            ));
        }
        let count = literal_text(self.source, behind as u32 + 1).parse().unwrap_or(0);
        if count == 0 {
            return Err(sql(sql_error::WRONG_ARGUMENTS, "Incorrect arguments to nextval"));
        }
        Ok(Some((site, count)))
    }

    /// SET or DO without a query: each place is reached once.
    fn is_set_or_do(&self) -> bool {
        (self.is_word(0, b"set") && !self.is_word(1, b"statement") || self.is_word(0, b"do"))
            && !self.has_word(b"select")
    }

    /// SET STATEMENT … FOR, which runs its statement by itself.
    fn is_carrier(&self) -> bool {
        self.is_word(0, b"set") && self.is_word(1, b"statement")
    }

    /// A query, with whatever it begins.
    fn is_select(&self) -> bool {
        let first = (0..self.len()).find(|at| self.kind(*at) != TokenKind::LParen).unwrap_or(0);
        [&b"select"[..], b"with", b"values", b"table"].iter().any(|word| self.is_word(first, word))
    }

    fn has_word(&self, word: &[u8]) -> bool {
        (0..self.len()).any(|at| self.is_word(at, word))
    }

    /// A SELECT without tables.
    fn is_plain_select(&self) -> bool {
        let from_dual = |at: usize| !self.is_word(at, b"from") || self.is_word(at + 1, b"dual");
        let selects = (0..self.len()).filter(|at| self.is_word(*at, b"select")).count();
        self.is_word(0, b"select")
            && selects == 1
            && (0..self.len()).all(from_dual)
            && !self.has_word(b"into")
            && !self.has_word(b"where")
    }

    /// INSERT or REPLACE of listed values, with every place among the values.
    fn is_listed_insert(&self, sites: &[Site]) -> bool {
        if !self.is_word(0, b"insert") && !self.is_word(0, b"replace") || self.has_word(b"select") {
            return false;
        }
        let is_values = |at: &usize| {
            self.is_word(*at, b"values") || self.is_word(*at, b"value") || self.is_word(*at, b"set")
        };
        let begin = (0..self.len()).find(is_values).unwrap_or(usize::MAX);
        let duplicate = (0..self.len())
            .find(|at| self.is_word(*at, b"duplicate") && self.is_word(at + 1, b"key"))
            .unwrap_or(usize::MAX);
        let returning =
            (0..self.len()).find(|at| self.is_word(*at, b"returning")).unwrap_or(usize::MAX);
        sites.iter().all(|site| {
            let (first, last) = (site.first as usize, site.last as usize);
            first > begin && last < duplicate && last < returning
        })
    }
}

impl SiteOf {
    /// The column of the answer.
    pub fn column(&self) -> mysql_wire::column::ColumnDefinition {
        number_column(&title(&self.0))
    }
}

impl SitesOf {
    /// Whether the statement is a SELECT.
    pub fn is_select(&self) -> bool {
        self.is_select
    }

    /// The statement with these values in the places; `None` is NULL. A place that is a whole column
    /// of a SELECT keeps its name.
    fn written(&self, source: Source<'_>, values: &[Option<i64>]) -> Vec<u8> {
        let mut edits = Edits::new();
        for (site, value) in self.sites.iter().zip(values) {
            let span = source.tokens.span(site.first).to(source.tokens.span(site.last));
            let mut written = match value {
                // A short number alone would have a shorter type.
                Some(value) if self.is_select => wide(&value.to_string()),
                None if self.is_select => wide("NULL"),
                Some(value) => value.to_string(),
                None => "NULL".to_owned(),
            };
            let aliased =
                source.tokens.bytes(source.text, site.last + 1).eq_ignore_ascii_case(b"as");
            if self.is_select && site.is_item(source) && !aliased {
                let title = match site.dotted {
                    true => title(site),
                    false => text(span.of(source.text)),
                };
                written += &format!(" AS `{}`", title.replace('`', "``"));
            }
            edits.replace(span, written.as_bytes());
        }
        let mut out = Vec::new();
        edits.apply_within(source.text, source.tokens.text_span(), &mut out);
        out
    }

    /// The statement as it will be, for what must be known of it before values are taken.
    pub fn shape(&self, source: Source<'_>) -> Vec<u8> {
        self.written(source, &vec![Some(0); self.sites.len()])
    }
}

/// A value with the type of a sequence's values.
pub(crate) fn wide(value: &str) -> String {
    format!("IF(TRUE,{value},{})", i64::MAX)
}

pub(crate) fn title(site: &Site) -> String {
    let word = if site.asks == Asks::Next { "NEXTVAL" } else { "CURRVAL" };
    format!("{}.{word}", site.name)
}

impl Core {
    /// Runs `SELECT s.nextval(n)`.
    pub async fn run_sequence_rows(&mut self, of: &SiteOf, count: u64) -> Result<(), ExecError> {
        let site = &of.0;
        let name = self.sequence_of(site)?;
        let values = self.take_values(&name, count).await?;
        if let Some(last) = values.last() {
            self.remember(&name, *last)?;
        }
        let rows: Vec<Row> = values.into_iter().map(|value| vec![field(value)]).collect();
        self.reply(&[of.column()], &rows).await
    }

    /// The statement's text with the values that its places ask for.
    pub async fn with_sequence_values(
        &mut self,
        of: &SitesOf,
        source: Source<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        if !of.is_select {
            self.check_listed(of, source)?;
        }
        let mut values = Vec::with_capacity(of.sites.len());
        // Those of one sequence are taken at once.
        let mut taken: HashMap<(String, String), std::vec::IntoIter<i64>> = HashMap::new();
        for (at, site) in of.sites.iter().enumerate() {
            let name = self.sequence_of(site)?;
            let key = (name.schema.name.clone(), name.name.to_lowercase());
            if let Asks::Last { null_before_any } = site.asks {
                let last = self.last_values.get(&key).copied();
                values.push(last.or((!null_before_any).then_some(0)));
                continue;
            }
            if let Asks::Set { value, used } = site.asks {
                let moved = self.set_sequence(&name, value, used).await?;
                if moved {
                    taken.remove(&key);
                }
                values.push(moved.then_some(value));
                continue;
            }
            if !taken.contains_key(&key) {
                let same = |other: &&Site| {
                    other.asks == Asks::Next
                        && other.name.eq_ignore_ascii_case(&site.name)
                        && other.schema == site.schema
                };
                let count = of.sites[at..].iter().filter(same).count() as u64;
                let more = self.take_values(&name, count).await?;
                taken.insert(key.clone(), more.into_iter());
            }
            let next = match taken.get_mut(&key).and_then(Iterator::next) {
                Some(value) => value,
                None => self.take_values(&name, 1).await?.first().copied().unwrap_or_default(),
            };
            self.remember(&name, next)?;
            values.push(Some(next));
        }
        Ok(of.written(source, &values))
    }

    /// Values are taken only for a statement that can be planned.
    fn check_listed(&self, of: &SitesOf, source: Source<'_>) -> Result<(), ExecError> {
        let shape = of.shape(source);
        let mut tokens = TokenBuf::new();
        lex(&shape, 0, source.mode, &mut tokens);
        let of_shape = Source { text: &shape, tokens: &tokens, input: None, params: &[], ..source };
        let parsed = query::parse_source(of_shape, 0)?;
        match parsed.stmt {
            Statement::Insert(_) => query::plan_parsed(self, &parsed, of_shape).map(|_| ()),
            Statement::Set(_) | Statement::Do(_) => Ok(()),
            _ => Err(sql(sql_error::NOT_SUPPORTED, "a sequence's value is not supported here")),
        }
    }

    pub(crate) fn sequence_of(&self, site: &Site) -> Result<SequenceName, ExecError> {
        let authority = match site.asks {
            Asks::Next | Asks::Set { .. } => Authority::Insert,
            Asks::Last { .. } => Authority::Select,
        };
        self.sequence_name(site.schema.as_deref(), &site.name, authority)
    }

    /// Takes the next values of a sequence: of one that was made under this name, else of the table's.
    async fn take_values(&mut self, of: &SequenceName, count: u64) -> Result<Vec<i64>, ExecError> {
        if self.worker.backends.is_read_only() {
            return Err(sql(
                sql_error::NODE_IS_READ_ONLY,
                "The DDM node is running in read-only mode so it cannot execute this statement",
            ));
        }
        let worker = self.worker.clone();
        let (backends, sequences) = (&worker.backends, &worker.shared.sequences);
        if let Some(values) = sequences.named.take(backends, &of.schema, &of.name, count).await? {
            return Ok(values);
        }
        let Some(table) = of.table() else { return Err(unknown(&of.schema.name, &of.name)) };
        let column = table.sequence_column.as_deref().and_then(|column| table.column(column));
        let max = column
            .and_then(|(_, column)| column.integer_bounds())
            .and_then(|(_, high)| u64::try_from(high).ok())
            .unwrap_or(u64::MAX)
            .min(i64::MAX as u64);
        let values = sequences.take(backends, &of.schema, &table.name, count, max).await?;
        Ok(values.into_iter().filter_map(|value| i64::try_from(value).ok()).collect())
    }

    /// SETVAL; false when the sequence is past the value.
    async fn set_sequence(
        &mut self,
        of: &SequenceName,
        value: i64,
        used: bool,
    ) -> Result<bool, ExecError> {
        let worker = self.worker.clone();
        if worker.backends.is_read_only() {
            return Err(sql(
                sql_error::NODE_IS_READ_ONLY,
                "The DDM node is running in read-only mode so it cannot execute this statement",
            ));
        }
        let named = &worker.shared.sequences.named;
        let moved = named.move_to(&worker.backends, &of.schema, &of.name, value, used).await?;
        moved.ok_or_else(|| unknown(&of.schema.name, &of.name))
    }

    pub(crate) fn remember(&mut self, of: &SequenceName, value: i64) -> Result<(), ExecError> {
        let key = (of.schema.name.clone(), of.name.to_lowercase());
        if self.last_values.len() >= REMEMBERED_MAX && !self.last_values.contains_key(&key) {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                format!("a session uses at most {REMEMBERED_MAX} sequences"),
            ));
        }
        self.last_values.insert(key, value);
        Ok(())
    }

    /// Whether currval has a meaning: the sequence must be there.
    pub async fn check_sequences(&self, of: &SitesOf) -> Result<(), ExecError> {
        for site in of.sites.iter().filter(|site| matches!(site.asks, Asks::Last { .. })) {
            let name = self.sequence_of(site)?;
            let named = &self.worker.shared.sequences.named;
            let found = named.find(&self.worker.backends, &name.schema, &name.name).await?;
            if found.is_none() && name.table().is_none() {
                return Err(unknown(&name.schema.name, &name.name));
            }
        }
        Ok(())
    }
}

/// The tokens of a text that was made from another.
pub fn lexed(text: &[u8], mode: &LexMode) -> TokenBuf {
    let mut tokens = TokenBuf::new();
    lex(text, 0, mode, &mut tokens);
    tokens
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sql_syntax::parse;

    fn sites(text: &str) -> Result<(Vec<String>, String), ExecError> {
        let mode = LexMode::default();
        let tokens = lexed(text.as_bytes(), &mode);
        let source = Source {
            text: text.as_bytes(),
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            input: None,
        };
        Ok(match find(source)? {
            Found::Nothing => (Vec::new(), text.to_owned()),
            Found::Rows(site, count) => (vec![title(&site.0)], count.to_string()),
            Found::Places(of) => (of.sites.iter().map(title).collect(), String::new()),
            Found::Values(of) => {
                let values: Vec<_> = (0..of.sites.len()).map(|at| Some(at as i64 + 7)).collect();
                let written = String::from_utf8(of.written(source, &values)).unwrap();
                assert!(
                    parse(written.as_bytes(), &lexed(written.as_bytes(), &mode), &mode).is_ok()
                );
                (of.sites.iter().map(title).collect(), written)
            }
        })
    }

    #[test]
    fn places_are_found_and_written() {
        for (text, written) in [
            ("SELECT s.nextval", "SELECT IF(TRUE,7,9223372036854775807) AS `s.NEXTVAL`"),
            ("select d.s.NextVal, S.currval + 1 FROM dual", ""),
            (
                "SELECT NEXT VALUE FOR `s`, NEXTVAL(d.s)",
                "SELECT IF(TRUE,7,9223372036854775807) AS `NEXT VALUE FOR ``s```, IF(TRUE,8,9223372036854775807) AS `NEXTVAL(d.s)`",
            ),
            (
                "INSERT INTO t VALUES (s.nextval, s.currval), (u.nextval, 1)",
                "INSERT INTO t VALUES (7, 8), (9, 1)",
            ),
            ("REPLACE t SET a = s.nextval", "REPLACE t SET a = 7"),
            ("SET @a = NEXTVAL(s)", "SET @a = 7"),
            ("SELECT IF(1, NEXTVAL(s), 2)", ""),
            ("SELECT NEXTVAL(s) FROM t", ""),
            ("UPDATE t SET a = NEXTVAL(s)", ""),
            ("INSERT INTO t SELECT s.nextval FROM u", ""),
            ("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = NEXTVAL(s)", ""),
        ] {
            assert_eq!(sites(text).unwrap().1, written);
        }
        assert_eq!(sites("SELECT s.nextval(5)").unwrap(), (vec!["s.NEXTVAL".into()], "5".into()));
        for text in [
            "UPDATE t SET nextval = 1",
            "SELECT 'nextval'",
            "INSERT INTO t (nextval) VALUES (1)",
            "SET STATEMENT max_statement_time = 1 FOR SELECT NEXTVAL(s)",
        ] {
            assert!(sites(text).unwrap().0.is_empty(), "{text}");
        }
        for text in [
            "SELECT s.nextval(2), 1",
            "SELECT s.nextval(0)",
            "SELECT s.currval(1)",
            "CREATE TABLE t (id INT DEFAULT NEXTVAL(s))",
        ] {
            assert!(sites(text).is_err(), "{text}");
        }
    }
}

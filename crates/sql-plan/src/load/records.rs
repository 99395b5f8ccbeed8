//! The text of a LOAD DATA cut into records and fields, by the servers' own rules, odd ones included:
//! what ends a field in quotes, what an escape means, and that the rest of a line behind the last
//! wanted field is skipped with a look at escapes but not at quotes.
//!
//! Bytes come in pieces of any length. A record of which not all is here yet is read again from its
//! beginning when more has come; the caller lets the buffer grow before it asks again.

/// FIELDS and LINES of a LOAD DATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// FIELDS TERMINATED BY.
    pub field_end: Vec<u8>,
    /// ENCLOSED BY.
    pub enclosed: Option<u8>,
    /// ESCAPED BY.
    pub escaped: Option<u8>,
    /// LINES STARTING BY.
    pub line_start: Vec<u8>,
    /// LINES TERMINATED BY; empty: the last field's end ends the record.
    pub line_end: Vec<u8>,
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'r> {
    /// NULL.
    Null,
    /// These bytes, without quotes and escapes.
    Text(&'r [u8]),
}

/// What is at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record of so many bytes; its fields are the reader's.
    Record {
        /// How long it is.
        len: usize,
    },
    /// So many bytes that are no record: lines that were to be ignored.
    Skipped {
        /// How many.
        len: usize,
    },
    /// Nothing that can be told before more has come.
    NeedMore,
    /// No further record.
    End,
}

/// Reads records.
#[derive(Debug)]
pub struct Records {
    format: Format,
    /// Fields of a whole record.
    width: usize,
    skip_lines: u64,
    data: Vec<u8>,
    fields: Vec<Span>,
    /// More text follows in the line than the record has fields for.
    is_too_long: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    null: bool,
}

/// The bytes ran out and more may come.
struct RanOut;

/// A place in the bytes.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
    at_end: bool,
}

impl Cursor<'_> {
    fn get(&mut self) -> Result<Option<u8>, RanOut> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(Some(*byte))
            }
            None if self.at_end => Ok(None),
            None => Err(RanOut),
        }
    }

    /// Whether these bytes are next; they are taken then.
    fn takes(&mut self, wanted: &[u8]) -> Result<bool, RanOut> {
        let here = &self.bytes[self.at..];
        let common = here.len().min(wanted.len());
        if here[..common] != wanted[..common] {
            return Ok(false);
        }
        if common < wanted.len() {
            return if self.at_end { Ok(false) } else { Err(RanOut) };
        }
        self.at += wanted.len();
        Ok(true)
    }
}

/// How a field ended.
enum FieldEnd {
    Field,
    Line,
    Eof,
}

impl Records {
    /// A reader of records with `width` fields; the first `skip_lines` lines are left out.
    pub fn new(mut format: Format, width: usize, skip_lines: u64) -> Self {
        if format.line_end == format.field_end {
            format.line_end.clear();
        }
        Self {
            format,
            width,
            skip_lines,
            data: Vec::new(),
            fields: Vec::new(),
            is_too_long: false,
            ended: false,
        }
    }

    /// The fields of the record that was read last. A record that ends early has fewer than wanted.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.fields.iter().map(|span| self.field_at(*span))
    }

    /// One field of the record that was read last, if it has so many.
    pub fn field(&self, index: usize) -> Option<Field<'_>> {
        self.fields.get(index).map(|span| self.field_at(*span))
    }

    fn field_at(&self, span: Span) -> Field<'_> {
        if span.null { Field::Null } else { Field::Text(&self.data[span.start..span.end]) }
    }

    /// Whether the line of the record that was read last has more text than fields were wanted, which
    /// is worth a warning.
    pub fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Looks at the front of `bytes`, with which everything ends if `at_end`.
    pub fn next(&mut self, bytes: &[u8], at_end: bool) -> Step {
        if self.ended {
            return Step::End;
        }
        let mut cursor = Cursor { bytes, at: 0, at_end };
        if self.skip_lines > 0 && !self.format.line_end.is_empty() {
            return self.skip_line(&mut cursor);
        }
        match self.read(&mut cursor) {
            Err(RanOut) => Step::NeedMore,
            Ok(false) => {
                self.ended = true;
                Step::End
            }
            Ok(true) if self.skip_lines > 0 => {
                self.skip_lines -= 1;
                Step::Skipped { len: cursor.at }
            }
            Ok(true) => Step::Record { len: cursor.at },
        }
    }

    fn skip_line(&mut self, cursor: &mut Cursor<'_>) -> Step {
        match self.skip_rest(cursor) {
            Err(RanOut) => Step::NeedMore,
            Ok(true) => {
                self.skip_lines -= 1;
                Step::Skipped { len: cursor.at }
            }
            Ok(false) => {
                self.ended = true;
                Step::End
            }
        }
    }

    /// Reads one record; false when there is none any more.
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, RanOut> {
        self.data.clear();
        self.fields.clear();
        self.is_too_long = false;
        if !self.format.line_start.is_empty() && !self.find_start(cursor)? {
            return Ok(false);
        }
        let mut end = FieldEnd::Field;
        while self.fields.len() < self.width {
            match self.field_of(cursor)? {
                None if self.fields.is_empty() => return Ok(false),
                None => end = FieldEnd::Eof,
                Some(how) => end = how,
            }
            if !matches!(end, FieldEnd::Field) {
                break;
            }
        }
        match end {
            FieldEnd::Line => {}
            FieldEnd::Eof => self.ended = true,
            FieldEnd::Field if self.format.line_end.is_empty() => {}
            FieldEnd::Field => {
                // A line that the end of the file ends is not too long, whatever is in it.
                let before = cursor.at;
                let ended = self.skip_rest(cursor)?;
                self.is_too_long = ended && cursor.at - before > self.format.line_end.len();
                self.ended = !ended;
            }
        }
        Ok(true)
    }

    /// Goes behind the next LINES STARTING BY.
    fn find_start(&self, cursor: &mut Cursor<'_>) -> Result<bool, RanOut> {
        loop {
            if cursor.takes(&self.format.line_start)? {
                return Ok(true);
            }
            if cursor.get()?.is_none() {
                return Ok(false);
            }
        }
    }

    /// Goes behind the end of the line; false when the file ends first.
    fn skip_rest(&self, cursor: &mut Cursor<'_>) -> Result<bool, RanOut> {
        loop {
            if self.format.escaped.is_none_or(|escape| escape != peek(cursor))
                && cursor.takes(&self.format.line_end)?
            {
                return Ok(true);
            }
            match cursor.get()? {
                None => return Ok(false),
                byte if byte == self.format.escaped => {
                    if cursor.get()?.is_none() {
                        return Ok(false);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Reads one field; `None` at the end of the file.
    fn field_of(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<FieldEnd>, RanOut> {
        let Some(first) = cursor.get()? else { return Ok(None) };
        let start = self.data.len();
        let mut saw_null = false;
        let quote = self.format.enclosed.filter(|quote| *quote == first);
        match quote {
            // It stays when the field turns out not to be closed.
            Some(quote) => self.data.push(quote),
            None => cursor.at -= 1,
        }
        let (end, enclosed) = match quote {
            Some(quote) => self.quoted(cursor, quote, &mut saw_null)?,
            None => (self.bare(cursor, &mut saw_null)?, false),
        };
        let from = if enclosed { start + 1 } else { start };
        let text = &self.data[from..];
        let null = (!enclosed && self.format.enclosed.is_some() && text == b"NULL")
            || (text.len() == 1 && saw_null);
        self.fields.push(Span { start: from, end: self.data.len(), null });
        Ok(Some(end))
    }

    /// The rest of a field without quotes.
    fn bare(&mut self, cursor: &mut Cursor<'_>, null: &mut bool) -> Result<FieldEnd, RanOut> {
        let field_first = self.format.field_end.first().copied();
        let line_first = self.format.line_end.first().copied();
        let escaped = self.format.escaped;
        loop {
            self.plain_run(cursor, [escaped, field_first, line_first]);
            let Some(byte) = cursor.get()? else { return Ok(FieldEnd::Eof) };
            let here = Some(byte);
            if here == escaped && !self.escape(cursor, byte, null)? {
                continue;
            }
            if here == line_first && self.ends(cursor, true)? {
                return Ok(FieldEnd::Line);
            }
            if here == field_first && self.ends(cursor, false)? {
                return Ok(FieldEnd::Field);
            }
            self.data.push(byte);
        }
    }

    /// The rest of a field behind its opening quote; says also whether it was closed.
    fn quoted(
        &mut self,
        cursor: &mut Cursor<'_>,
        quote: u8,
        null: &mut bool,
    ) -> Result<(FieldEnd, bool), RanOut> {
        let escaped = self.format.escaped;
        loop {
            self.plain_run(cursor, [escaped, Some(quote), None]);
            let Some(byte) = cursor.get()? else { return Ok((FieldEnd::Eof, false)) };
            if Some(byte) == escaped && !self.escape(cursor, byte, null)? {
                continue;
            }
            if byte == quote {
                match cursor.get()? {
                    Some(next) if next == quote => {
                        self.data.push(quote);
                        continue;
                    }
                    None => return Ok((FieldEnd::Line, true)),
                    Some(next) => {
                        if Some(next) == self.format.line_end.first().copied()
                            && self.ends(cursor, true)?
                        {
                            return Ok((FieldEnd::Line, true));
                        }
                        if Some(next) == self.format.field_end.first().copied()
                            && self.ends(cursor, false)?
                        {
                            return Ok((FieldEnd::Field, true));
                        }
                        cursor.at -= 1;
                    }
                }
            }
            self.data.push(byte);
        }
    }

    /// Whether the terminator whose first byte was just taken is here whole; it is taken then.
    fn ends(&self, cursor: &mut Cursor<'_>, line: bool) -> Result<bool, RanOut> {
        let whole = if line { &self.format.line_end } else { &self.format.field_end };
        cursor.takes(&whole[1..])
    }

    /// What follows an escape. True when the escape stands for itself: it is the quote too, and no
    /// second one follows.
    fn escape(
        &mut self,
        cursor: &mut Cursor<'_>,
        escape: u8,
        null: &mut bool,
    ) -> Result<bool, RanOut> {
        let Some(next) = cursor.get()? else {
            self.data.push(escape);
            return Ok(false);
        };
        if self.format.enclosed == Some(escape) && next != escape {
            cursor.at -= 1;
            return Ok(true);
        }
        self.data.push(match next {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'0' => 0,
            b'Z' => 0x1a,
            b'N' => {
                *null = true;
                b'N'
            }
            other => other,
        });
        Ok(false)
    }

    /// Copies what comes before the next byte that means something.
    fn plain_run(&mut self, cursor: &mut Cursor<'_>, special: [Option<u8>; 3]) {
        let rest = &cursor.bytes[cursor.at..];
        let any = special[0].or(special[1]).or(special[2]);
        let [a, b, c] = special.map(|byte| byte.or(any));
        let length = match (a, b, c) {
            (Some(a), Some(b), Some(c)) => {
                rest.iter().position(|byte| *byte == a || *byte == b || *byte == c)
            }
            _ => None,
        };
        let length = length.unwrap_or(rest.len());
        self.data.extend_from_slice(&rest[..length]);
        cursor.at += length;
    }
}

/// The next byte; 0 where there is none, which is looked at again by whoever takes it.
fn peek(cursor: &Cursor<'_>) -> u8 {
    cursor.bytes.get(cursor.at).copied().unwrap_or(0)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;

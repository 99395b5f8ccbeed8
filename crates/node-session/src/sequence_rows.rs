//! A sequence's values for each row of a query, an UPDATE or INSERT … SELECT. Each sequence of the
//! statement gets a range of its values, and a user variable of the session counts in it: every place
//! assigns it anew, so the statement runs at one place, as all do that assign variables, and takes as
//! many values as the server reaches places. Afterwards the variable tells the last value, and what is
//! left of the range is put back.

use crate::query::{self, Source};
use crate::sequence_values::{Asks, Site, SitesOf, title, wide};
use crate::sequences::SequenceName;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use node_exec::named_sequence::{Reserved, VALUES_MAX};
use sql_syntax::Edits;
use sql_syntax::ast::{Query, SelectItem, SetExpr, Span};
use sql_syntax::visit::for_each_query;
use std::collections::BTreeMap;
use std::sync::Arc;

/// BIGINT value is out of range: what a place gives when the range is used up.
const OUT_OF_RANGE: u16 = 1690;

/// A sequence of the statement.
struct Counted {
    name: SequenceName,
    /// None where only the last value is asked for.
    reserved: Option<Reserved>,
    /// The session's last value before.
    last: Option<i64>,
}

/// A statement whose places count in user variables.
pub(crate) struct Counting {
    /// Its text.
    pub text: Vec<u8>,
    sequences: Vec<Counted>,
}

fn variable(at: usize) -> String {
    format!("@`_ddm_sequence_{at}`")
}

impl Counted {
    /// What stands in a place.
    fn expression(&self, site: &Site, at: usize) -> String {
        let name = variable(at);
        match (site.asks, &self.reserved) {
            (Asks::Next, Some(range)) => {
                let (start, last, increment) = (range.start, range.last, range.increment);
                match range.wraps_to {
                    Some(first) => format!(
                        "CAST(({name} := CASE WHEN {name} IS NULL THEN {start} WHEN {name} = {last} \
                         THEN {first} ELSE {name} + {increment} END) AS SIGNED)"
                    ),
                    // The error leaves the variable as it is: it tells what was taken.
                    None => format!(
                        "CAST(CASE WHEN {name} = {last} THEN {name} * 0 + {} + 1 ELSE ({name} := CASE WHEN \
                         {name} IS NULL THEN {start} ELSE {name} + {increment} END) END AS SIGNED)",
                        i64::MAX
                    ),
                }
            }
            (asks, range) => {
                let zero = !matches!(asks, Asks::Last { null_before_any: true });
                let before = match self.last.or(zero.then_some(0)) {
                    Some(last) => last.to_string(),
                    None => "NULL".to_owned(),
                };
                match range {
                    Some(_) => format!("CAST(COALESCE({name}, {before}) AS SIGNED)"),
                    None => wide(&before),
                }
            }
        }
    }
}

impl Core {
    /// The places that are sequences' values: `s.nextval` may be a column.
    async fn true_places(&self, of: &SitesOf, source: Source<'_>) -> Result<Vec<Site>, ExecError> {
        let mut places = Vec::new();
        for site in &of.sites {
            if site.dotted && !self.is_sequence(site, of, source).await? {
                continue;
            }
            places.push(site.clone());
        }
        Ok(places)
    }

    async fn is_sequence(
        &self,
        site: &Site,
        of: &SitesOf,
        source: Source<'_>,
    ) -> Result<bool, ExecError> {
        let inside =
            |token: u32| of.sites.iter().any(|one| (one.first..=one.last).contains(&token));
        let named_elsewhere = (0..source.tokens.tokens().len() as u32).any(|token| {
            let word = source.tokens.bytes(source.text, token);
            let word =
                word.strip_prefix(b"`").and_then(|word| word.strip_suffix(b"`")).unwrap_or(word);
            !inside(token) && word.eq_ignore_ascii_case(site.name.as_bytes())
        });
        if named_elsewhere {
            return Ok(false);
        }
        let Ok(name) = self.sequence_of(site) else { return Ok(false) };
        let worker = &self.worker;
        let named = &worker.shared.sequences.named;
        Ok(named.find(&worker.backends, &name.schema, &name.name).await?.is_some())
    }

    /// Makes the statement that counts; `None` when no place is a sequence's. With `shape` nothing is
    /// taken: it is for what must be known of the statement before.
    pub(crate) async fn begin_counting(
        &mut self,
        of: &SitesOf,
        source: Source<'_>,
        shape: bool,
    ) -> Result<Option<Counting>, ExecError> {
        let places = self.true_places(of, source).await?;
        if places.is_empty() {
            return Ok(None);
        }
        let mut counting = Counting { text: Vec::new(), sequences: Vec::new() };
        let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut numbers = Vec::with_capacity(places.len());
        for site in &places {
            if matches!(site.asks, Asks::Set { .. }) {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "SETVAL is supported in SELECT without tables and in DO: it would be done for each row",
                ));
            }
            let name = self.sequence_of(site)?;
            let key = (name.schema.name.clone(), name.name.to_lowercase());
            let at = match known.get(&key) {
                Some(at) => *at,
                None => {
                    let last = self.last_values.get(&key).copied();
                    counting.sequences.push(Counted { name, reserved: None, last });
                    known.insert(key, counting.sequences.len() - 1);
                    counting.sequences.len() - 1
                }
            };
            if site.asks == Asks::Next && counting.sequences[at].reserved.is_none() {
                let range = self.range_of(&counting.sequences[at].name, true).await?;
                counting.sequences[at].reserved = Some(range);
            }
            numbers.push(at);
        }
        counting.text = written(&places, &numbers, &counting.sequences, source)?;
        self.check_counting(&counting, source)?;
        if shape {
            return Ok(Some(counting));
        }
        for at in 0..counting.sequences.len() {
            let one = &counting.sequences[at];
            match one.reserved {
                Some(_) => {
                    let range = self.range_of(&one.name, false).await?;
                    counting.sequences[at].reserved = Some(range);
                }
                None => {
                    self.range_of(&one.name, true).await?;
                }
            }
        }
        counting.text = written(&places, &numbers, &counting.sequences, source)?;
        let mut state = (*self.exec.state).clone();
        for at in 0..counting.sequences.len() {
            state = state.with(&variable(at), "CAST(NULL AS SIGNED)");
        }
        self.exec.state = Arc::new(state);
        Ok(Some(counting))
    }

    /// A range of values; for a shape, one that nobody takes.
    async fn range_of(&self, of: &SequenceName, shape: bool) -> Result<Reserved, ExecError> {
        let worker = self.worker.clone();
        let named = &worker.shared.sequences.named;
        let range = match shape {
            true => {
                let found = named.find(&worker.backends, &of.schema, &of.name).await?;
                found.map(|row| Reserved::shape(&row))
            }
            false if worker.backends.is_read_only() => {
                return Err(sql(
                    sql_error::NODE_IS_READ_ONLY,
                    "The DDM node is running in read-only mode so it cannot execute this statement",
                ));
            }
            false => named.reserve(&worker.backends, &of.schema, &of.name).await?,
        };
        match range {
            Some(range) => Ok(range),
            None if of.table().is_some() => Err(sql(
                sql_error::NOT_SUPPORTED,
                "the sequence of a table's AUTO_INCREMENT gives its values in SELECT without tables and in \
                 VALUES; make a sequence of your own for this statement",
            )),
            // A server looks for it among the statement's tables.
            None => {
                let text = format!("Table '{}.{}' doesn't exist", of.schema.name, of.name);
                Err(sql(sql_error::NO_SUCH_TABLE, text))
            }
        }
    }

    /// Values are taken only for a statement that can be planned.
    fn check_counting(&self, counting: &Counting, source: Source<'_>) -> Result<(), ExecError> {
        let tokens = crate::sequence_values::lexed(&counting.text, source.mode);
        let made =
            Source { text: &counting.text, tokens: &tokens, input: None, params: &[], ..source };
        let parsed = query::parse_source(made, 0)?;
        if crate::views::expand(self, &parsed, made)?.is_some() {
            return Ok(());
        }
        query::plan_parsed(self, &parsed, made).map(|_| ())
    }

    /// After the statement: remembers what it took, and puts back the rest.
    pub(crate) async fn end_counting(
        &mut self,
        counting: Counting,
        ran: Result<(), ExecError>,
    ) -> Result<(), ExecError> {
        let mut state = (*self.exec.state).clone();
        let lost = ran.as_ref().is_err_and(|error| error.server_number().is_none());
        let mut result = ran;
        for (at, one) in counting.sequences.iter().enumerate() {
            let name = variable(at);
            let used = state.get(&name).and_then(|value| value.parse::<i64>().ok());
            state = state.without(&name);
            let Some(reserved) = &one.reserved else { continue };
            if let Some(used) = used {
                self.remember(&one.name, used)?;
            }
            if result.as_ref().is_err_and(|error| is_past(error, at)) {
                result = Err(at_end(&one.name, reserved));
            }
            // Of a statement whose connection was lost nobody knows what it took.
            if !lost {
                let worker = self.worker.clone();
                let named = &worker.shared.sequences.named;
                named.settle(&worker.backends, &one.name.schema, reserved, used).await?;
            }
        }
        self.exec.state = Arc::new(state);
        result
    }
}

/// Whether a place asked for more than the range.
fn is_past(error: &ExecError, at: usize) -> bool {
    let ExecError::Server(packet) = error else { return false };
    let name = variable(at);
    packet.number == OUT_OF_RANGE
        && packet.message.windows(name.len()).any(|part| part == name.as_bytes())
}

fn at_end(of: &SequenceName, reserved: &Reserved) -> ExecError {
    if reserved.to_the_end {
        let message = format!("Sequence '{}.{}' has run out", of.schema.name, of.name);
        return ExecError::Server(ErrPacket::new(4084, "HY000", message));
    }
    let text = format!("more than {VALUES_MAX} values of a sequence in one statement");
    sql(sql_error::NOT_SUPPORTED, text)
}

/// The statement with its places written. Columns of its queries keep their names.
fn written(
    places: &[Site],
    numbers: &[usize],
    sequences: &[Counted],
    source: Source<'_>,
) -> Result<Vec<u8>, ExecError> {
    let mut edits = Edits::new();
    let span = |site: &Site| source.tokens.span(site.first).to(source.tokens.span(site.last));
    for (site, at) in places.iter().zip(numbers) {
        edits.replace(span(site), sequences[*at].expression(site, *at).as_bytes());
    }
    for item in items_without_alias(source)? {
        let inside = |site: &&Site| item.start <= span(site).start && span(site).end <= item.end;
        let Some(site) = places.iter().find(inside) else { continue };
        let name = match site.dotted && span(site) == item {
            true => title(site),
            false => {
                let name = sql_plan::column_name(item.of(source.text));
                String::from_utf8_lossy(&name).into_owned()
            }
        };
        edits.insert(item.end, format!(" AS `{}`", name.replace('`', "``")).as_bytes());
    }
    let mut out = Vec::new();
    edits.apply_within(source.text, source.tokens.text_span(), &mut out);
    Ok(out)
}

/// The items of all SELECTs that have no name of their own.
fn items_without_alias(source: Source<'_>) -> Result<Vec<Span>, ExecError> {
    let parsed = query::parse_source(source, 0)?;
    let mut items = Vec::new();
    for_each_query(&parsed.stmt, |query: &Query, _| collect(&query.body, &mut items));
    Ok(items)
}

fn collect(body: &SetExpr, items: &mut Vec<Span>) {
    match body {
        SetExpr::Select(select) => {
            items.extend(select.items.iter().filter_map(|item| match item {
                SelectItem::Expr { alias: None, span, .. } => Some(*span),
                SelectItem::Expr { .. } | SelectItem::Star { .. } => None,
            }))
        }
        SetExpr::SetOp(chain) => {
            collect(&chain.first, items);
            chain.rest.iter().for_each(|one| collect(&one.operand, items));
        }
        // A query in brackets is told of by itself.
        SetExpr::Paren(..) | SetExpr::Values(..) | SetExpr::Table(..) => {}
    }
}

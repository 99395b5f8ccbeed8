//! Views whose tables or columns are gone: which error a statement gets that names one, where something
//! else is missing too. A server opens the first table of the outermost FROM first, then all others
//! as they stand in the text, and tells of the first that it cannot open.

use crate::control::text;
use crate::session::Core;
use crate::view_repair::BROKEN_VIEW;
use mysql_wire::packet::ErrPacket;
use sql_plan::number_tables::is_number_table;
use sql_plan::template::quoted;
use sql_syntax::ast::{Span, Statement};
use sql_syntax::visit::for_each_table;
use sql_syntax::{LexMode, TokenBuf, lex};

/// Views of views are looked into so deep.
const NESTED_MAX: usize = 32;

impl Core {
    /// The error of a broken view that the statement names, before `missing` (`schema.table`) if that
    /// is given.
    pub(crate) async fn broken_view(
        &mut self,
        statement: &[u8],
        missing: Option<&str>,
    ) -> Option<ErrPacket> {
        for (schema, table) in self.in_order_of_opening(statement)? {
            if missing.is_some_and(|name| name.eq_ignore_ascii_case(&format!("{schema}.{table}"))) {
                return None;
            }
            let known = self.snapshot.schemas.get(&schema).and_then(|one| one.table(&table));
            if known.is_none_or(|table| table.view.is_none()) {
                continue;
            }
            // Columns are looked for when all tables are open.
            if missing.is_some() && !self.lacks_table(&schema, &table, 0) {
                continue;
            }
            let ask = [b"SELECT 1 FROM ".as_slice(), &quoted(&schema), b".", &quoted(&table)];
            if let Ok(Some(packet)) = self.asked(&ask.concat()).await
                && packet.number == BROKEN_VIEW
            {
                return Some(packet);
            }
        }
        None
    }

    /// Whether a table of a view is not there.
    fn lacks_table(&self, schema: &str, name: &str, depth: usize) -> bool {
        let known = self.snapshot.schemas.get(schema).and_then(|one| one.table(name));
        let Some(table) = known else { return !(self.lex.mariadb && is_number_table(name)) };
        let Some(view) = table.view.as_ref().filter(|_| depth < NESTED_MAX) else { return false };
        let query = view.query.as_bytes();
        let mode = LexMode { ansi_quotes: false, no_backslash_escapes: false, ..self.lex };
        let mut tokens = TokenBuf::new();
        lex(query, 0, &mode, &mut tokens);
        let Ok(parsed) = sql_syntax::parse(query, &tokens, &mode) else { return false };
        let mut lacks = false;
        for_each_table(&parsed.stmt, query, |site| {
            let own = site.name.schema.map(|named| text(&named.name(query)));
            let own = own.unwrap_or_else(|| schema.to_owned());
            let inner = text(&site.name.name.name(query));
            lacks = lacks || !site.is_cte && self.lacks_table(&own, &inner, depth + 1);
        });
        lacks
    }

    /// The schemas and names of a statement's tables as a server opens them.
    fn in_order_of_opening(&self, statement: &[u8]) -> Option<Vec<(String, String)>> {
        let mode = self.lex;
        let mut tokens = TokenBuf::new();
        lex(statement, 0, &mode, &mut tokens);
        let parsed = sql_syntax::parse(statement, &tokens, &mode).ok()?;
        let current = self.exec.identity.schema.clone();
        let mut found: Vec<(Span, (String, String))> = Vec::new();
        for_each_table(&parsed.stmt, statement, |site| {
            let schema = site.name.schema.map(|schema| text(&schema.name(statement)));
            if let (false, Some(schema)) = (site.is_cte, schema.or_else(|| current.clone())) {
                found.push((site.name.span, (schema, text(&site.name.name.name(statement)))));
            }
        });
        let from = match &parsed.stmt {
            Statement::Query(query) => query.as_select().and_then(|select| select.from_span),
            _ => None,
        };
        let from = from.map_or(0, |span| span.start);
        found.sort_by_key(|(span, _)| span.start);
        if let Some(first) = found.iter().position(|(span, _)| span.start >= from) {
            found[..=first].rotate_right(1);
        }
        Some(found.into_iter().map(|(_, name)| name).collect())
    }
}

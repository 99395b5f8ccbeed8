//! What a data node says of a statement that it is asked to prepare and not to run: PREPARE as a
//! statement tells the errors that one server finds then, and a statement that cannot be planned gets
//! that server's own error where it has one.

use crate::prepared::warnings_of_prepare;
use crate::query::{Source, values_of};
use crate::sequence_values;
use crate::session::Core;
use crate::view_repair::BROKEN_VIEW;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_backend::BackendError;
use node_exec::error::ExecError;
use node_exec::names::Names;
use sql_plan::PlanContext;
use sql_plan::plan::Place;
use sql_plan::template::{Fill, Rendered};
use sql_plan::trial::trial;
use sql_syntax::text::unquote_ident;
use sql_syntax::{LexMode, TokenBuf, TokenKind, lex};
use std::sync::Arc;
use topology::algorithm::Target;
use topology::model::physical_database;

/// Errors that hold for the whole statement when one shard's server finds them.
const TELLING: [u16; 26] = [
    1052, // ambiguous column
    1054, // unknown column
    1056, // can't group
    1060, // duplicate column name
    1066, // not unique table or alias
    1109, // unknown table in a list
    1110, // column specified twice
    1111, // invalid use of a group function
    1136, // column count and value count
    1140, // no GROUP BY
    1221, // incorrect usage
    1222, // different numbers of columns
    1241, // operand's columns
    1247, // reference not supported
    1248, // derived table without an alias
    1288, // not updatable
    1348, // column not updatable
    1353, // view's columns
    1393, // more than one table through a join view
    1394, // insert into a join view without a list
    1395, // delete from a join view
    1423, // a view's table has a column without a default
    1471, // not insertable-into
    1582, // number of parameters of a function
    4078, // types of an operation
    4107, // LIMIT takes whole numbers
];

/// Errors that are told in the place of another, and not for their own sake: a table that is not
/// there, a view that is broken.
const OF_DOUBTED: [u16; 2] = [1146, BROKEN_VIEW];

/// Errors of planning in whose place the data node's own is told.
const DOUBTED: [u16; 8] = [1093, 1136, 1235, 1288, 1348, 1356, 1423, 1471];

/// Errors of a statement's form that a server finds while it reads a text.
const OF_READING: [u16; 8] = [
    1064, // the same, in the server's own words
    1102, // incorrect database name
    1103, // incorrect table name
    1166, // incorrect column name
    1232, // type of a variable
    1300, // invalid characters
    1901, // function not allowed in a clause
    4141, // row without elements
];

/// A longer text that cannot be read is not shown to a data node.
const UNREAD_BYTES_MAX: usize = 1 << 16;

impl Core {
    /// What the first shard's server says against a statement; nothing when it would prepare it, or
    /// cannot judge it.
    pub async fn tried(&mut self, text: &[u8]) -> Result<Option<ErrPacket>, ExecError> {
        let asked = self.asked(text).await?;
        Ok(asked.filter(|packet| {
            TELLING.contains(&packet.number) || OF_DOUBTED.contains(&packet.number)
        }))
    }

    pub(crate) async fn asked(&mut self, text: &[u8]) -> Result<Option<ErrPacket>, ExecError> {
        let mode = self.lex;
        let mut tokens = TokenBuf::new();
        lex(text, 0, &mode, &mut tokens);
        let param_tokens = crate::prepared::params_of(&tokens);
        let source = Source {
            text,
            tokens: &tokens,
            mode: &mode,
            param_tokens: &param_tokens,
            params: &[],
            input: None,
        };
        let Ok(parsed) = sql_syntax::parse(text, &tokens, &mode) else { return Ok(None) };
        // Sequences are not the data nodes'.
        if !matches!(sequence_values::find(source)?, sequence_values::Found::Nothing) {
            return Ok(None);
        }
        let schema = self.exec.identity.schema.clone();
        let access = sql_plan::access(&parsed.stmt, text, schema.as_deref());
        crate::permission::check(self.account()?, &self.host, &access)?;
        let context = PlanContext {
            current_schema: schema.as_deref(),
            mode: &mode,
            plain_names: self.kept.locks.is_some(),
            check: None,
        };
        let found = trial(&parsed, text, &tokens, &self.snapshot, &context);
        let found = match found {
            Ok(Some(found)) => found,
            Err(error) if error.code == sql_error::NO_SUCH_TABLE => {
                return Ok(Some(ExecError::Sql(error).packet()));
            }
            _ => return Ok(None),
        };
        let target = Target { shard: 0, suffix: 0 };
        let (rendered, node) = {
            let values = values_of(source);
            let exec = self.exec();
            let fill = Fill {
                values: &values,
                tables: &found.tables,
                session: &|what, out| exec.session.write_value(what, out),
                temporary: &|_, _| {},
                inline_params: false,
            };
            let mut rendered = Rendered::default();
            found.text.render(&fill, target, &mut rendered);
            let (node, _) = exec.resolve(Place::Target(&found.schema, target))?;
            (rendered, node)
        };
        let definitions = self.definitions();
        let mut exec = self.exec();
        let names = Names::of(&found.tables);
        let mut held = exec.acquire_to_describe(&node).await?;
        let prepared = held.lease.describe(&rendered.text, definitions).await;
        let told = warnings_of_prepare(&mut held.lease, &prepared, &rendered.text, names);
        exec.session.last.warnings.extend(told.await);
        exec.release(held);
        let Err(error) = prepared else { return Ok(None) };
        match node_exec::rows::logical(error.into(), names) {
            // A physical table that is not there is no logical one.
            ExecError::Server(packet) if packet.number == sql_error::NO_SUCH_TABLE.number => {
                Ok(None)
            }
            ExecError::Server(packet) => Ok(Some(packet)),
            other => Err(other),
        }
    }

    /// The error of a statement that cannot be planned: the data node's own, where it has one.
    pub async fn told_by_server(&mut self, error: ExecError, text: &[u8]) -> ExecError {
        if error.packet().number == sql_error::UNKNOWN_COLUMN.number {
            return self.broken_view(text, None).await.map_or(error, ExecError::Server);
        }
        let ExecError::Sql(own) = &error else { return error };
        if own.code == sql_error::SYNTAX_ERROR {
            return self.told_of_unread(text).await.map_or(error, ExecError::Server);
        }
        if own.code == sql_error::NO_SUCH_TABLE {
            let told = match wide_name(text, &self.lex) {
                None => self.broken_view(text, own.message.split('\'').nth(1)).await,
                wide => wide,
            };
            return told.map_or(error, ExecError::Server);
        }
        if !DOUBTED.contains(&own.code.number) {
            return error;
        }
        match self.asked(text).await {
            Ok(Some(packet)) if TELLING.contains(&packet.number) => ExecError::Server(packet),
            Ok(Some(packet)) if OF_DOUBTED.contains(&packet.number) => ExecError::Server(packet),
            _ => error,
        }
    }

    /// What a data node says against a text that we cannot read. It is only prepared there, never run.
    async fn told_of_unread(&mut self, text: &[u8]) -> Option<ErrPacket> {
        if text.len() > UNREAD_BYTES_MAX {
            return None;
        }
        let (node, database) = match self.exec.identity.schema.clone() {
            Some(schema) => {
                let node = self.exec().data_node(&schema, 0).ok()?;
                let node = self.worker.backends.node(&node).ok()?;
                (node, Some(physical_database(&schema, 0)))
            }
            None => (self.worker.backends.any().ok()?, None),
        };
        let state = (*self.exec.state).clone().with_database(database);
        let mut lease = node.lease(self.exec.found_rows, &Arc::new(state)).await.ok()?;
        match lease.prepare(text).await {
            Err(BackendError::Server(packet)) if OF_READING.contains(&packet.number) => {
                Some(packet)
            }
            _ => None,
        }
    }
}

/// The error of a name with a character that names cannot have.
fn wide_name(text: &[u8], mode: &LexMode) -> Option<ErrPacket> {
    const WIDE: u8 = 0xf0;
    let mut tokens = TokenBuf::new();
    lex(text, 0, mode, &mut tokens);
    let names = tokens.tokens().iter().filter(|token| token.kind == TokenKind::QuotedIdent);
    let mut names = names.map(|token| unquote_ident(token.span().of(text)));
    let name = names.find(|name| name.iter().any(|byte| *byte >= WIDE))?;
    let mut shown = String::new();
    for byte in name.iter() {
        match byte {
            0x20..=0x7e => shown.push(char::from(*byte)),
            _ => shown.push_str(&format!("\\x{byte:02X}")),
        }
    }
    let text = format!("Invalid utf8mb4 character string: '{shown}'");
    Some(ErrPacket::new(1300, "HY000", text))
}

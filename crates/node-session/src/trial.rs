//! What a data node says of a statement that it is asked to prepare and not to run: PREPARE as a
//! statement tells the errors that one server finds then, and a statement that cannot be planned gets
//! that server's own error where it has one.

use crate::query::{Source, values_of};
use crate::sequence_values;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::ExecError;
use node_exec::names::Names;
use sql_plan::PlanContext;
use sql_plan::plan::Place;
use sql_plan::template::{Fill, Rendered};
use sql_plan::trial::trial;
use sql_syntax::{TokenBuf, lex};
use topology::algorithm::Target;

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
const OF_DOUBTED: [u16; 2] = [1146, 1356];

/// Errors of planning in whose place the data node's own is told.
const DOUBTED: [u16; 6] = [1235, 1288, 1348, 1356, 1423, 1471];

impl Core {
    /// What the first shard's server says against a statement; nothing when it would prepare it, or
    /// cannot judge it.
    pub async fn tried(&mut self, text: &[u8]) -> Result<Option<ErrPacket>, ExecError> {
        let asked = self.asked(text).await?;
        Ok(asked.filter(|packet| {
            TELLING.contains(&packet.number) || packet.number == sql_error::NO_SUCH_TABLE.number
        }))
    }

    async fn asked(&mut self, text: &[u8]) -> Result<Option<ErrPacket>, ExecError> {
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
        let mut exec = self.exec();
        let mut held = exec.acquire_to_describe(&node).await?;
        let prepared = held.lease.prepare(&rendered.text).await.map(|_| ());
        exec.release(held);
        let Err(error) = prepared else { return Ok(None) };
        match node_exec::rows::logical(error.into(), Names::of(&found.tables)) {
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
        let ExecError::Sql(own) = &error else { return error };
        if !DOUBTED.contains(&own.code.number) {
            return error;
        }
        match self.asked(text).await {
            Ok(Some(packet)) if TELLING.contains(&packet.number) => ExecError::Server(packet),
            Ok(Some(packet)) if OF_DOUBTED.contains(&packet.number) => ExecError::Server(packet),
            _ => error,
        }
    }
}

//! HANDLER: a table's rows by its index, one after the other. A handler lives on the session's own
//! connection to the one data node that has the table; tables on several shards have no one order
//! of rows, so they are refused.

use crate::control::text;
use crate::permission;
use crate::query::Source;
use crate::session::Core;
use crate::user_variables::inlined;
use base::id::DataNodeId;
use base::sql_error;
use mysql_wire::packet::ErrPacket;
use node_exec::error::{ExecError, sql};
use node_exec::names::Names;
use node_exec::own_connection::Need;
use node_exec::relay;
use sql_plan::plan::{PlanTable, TablePlace};
use sql_plan::template::quoted;
use sql_syntax::ast::{Handler, Parsed};
use std::collections::HashMap;
use topology::account::Authority;
use topology::model::Placement;

/// Open handlers of one session.
const HANDLERS_MAX: usize = 100;

/// Open handlers by their names, in lower case.
#[derive(Debug, Default)]
pub struct Handlers(HashMap<String, Open>);

#[derive(Clone, Debug)]
struct Open {
    data_node: DataNodeId,
    table: PlanTable,
}

impl Core {
    /// HANDLER … OPEN, READ, CLOSE.
    pub async fn run_handler(
        &mut self,
        handler: &Handler,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let rest = inlined(source, handler.rest);
        let words: Vec<String> = rest
            .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .filter(|word| !word.is_empty())
            .take(3)
            .map(|word| text(word).to_ascii_uppercase())
            .collect();
        match words.first().map(String::as_str) {
            Some("OPEN") => self.open_handler(handler, parsed, source).await,
            Some(word) => {
                let closes = word == "CLOSE";
                let name = text(&handler.table.name.name(source.text)).to_lowercase();
                let Some(open) = self.kept.handlers.0.get(&name).cloned() else {
                    return Err(ExecError::Server(ErrPacket::new(
                        1109,
                        "42S02",
                        format!("Unknown table '{name}' in HANDLER"),
                    )));
                };
                let statement = [b"HANDLER ".as_slice(), &quoted(&name), b" ", &rest].concat();
                let node = self.worker.backends.node(&open.data_node)?;
                let tables = [open.table];
                let ran = relay::pass_through(
                    &mut self.exec(),
                    &node,
                    &statement,
                    false,
                    Names::of(&tables),
                )
                .await;
                if closes && ran.is_ok() {
                    self.kept.handlers.0.remove(&name);
                    let id = open.data_node;
                    if self.kept.handlers.0.values().all(|other| other.data_node != id) {
                        self.exec.own.forget_on(&id, Need::Handlers);
                    }
                }
                ran
            }
            None => Err(sql(sql_error::SYNTAX_ERROR, "HANDLER needs OPEN, READ or CLOSE")),
        }
    }

    async fn open_handler(
        &mut self,
        handler: &Handler,
        parsed: &Parsed,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = handler.table;
        let schema = self.schema_of(name.schema, source)?;
        let shown = text(&name.name.name(source.text));
        let account = self.account()?;
        if !account.administrator && !account.authorities.contains(&Authority::Select) {
            let denied = permission::table_denied(account, &self.host, Authority::Select, &shown);
            return Err(denied.into());
        }
        let table = schema.table(&shown).ok_or_else(|| {
            sql(sql_error::NO_SUCH_TABLE, format!("Table '{}.{shown}' doesn't exist", schema.name))
        })?;
        let place = match &table.placement {
            Placement::Single => TablePlace::Fixed { shard: 0 },
            Placement::Broadcast => TablePlace::Fixed { shard: 0 },
            Placement::Sharded(_) => {
                return Err(sql(
                    sql_error::NOT_SUPPORTED,
                    "HANDLER of a sharded table is not supported: its rows have no one order over \
                     shards; use SELECT with ORDER BY and LIMIT",
                ));
            }
        };
        let plan_table = PlanTable {
            schema: schema.name.clone(),
            name: table.name.clone(),
            physical_base: table.physical_base.clone(),
            alias: table.name.clone(),
            place,
        };
        let first = schema.shards.first().ok_or_else(|| {
            sql(sql_error::SCHEMA_NOT_READY, format!("schema '{}' has no shards", schema.name))
        })?;
        let (data_node, database) = (first.data_node.clone(), first.database.clone());
        let alias = self.alias_of(handler, parsed, source).unwrap_or(shown.clone());
        let key = alias.to_lowercase();
        if self.kept.handlers.0.contains_key(&key) {
            let text = format!("Not unique table/alias: '{alias}'");
            return Err(ExecError::Server(ErrPacket::new(1066, "42000", text)));
        }
        if self.kept.handlers.0.len() >= HANDLERS_MAX {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                format!("more than {HANDLERS_MAX} open handlers in one session"),
            ));
        }
        let node = self.worker.backends.node(&data_node)?;
        self.exec.keep_connection(&node, Need::Handlers).await?;
        let statement = [
            b"HANDLER ".as_slice(),
            &quoted(&database),
            b".",
            &quoted(&plan_table.name),
            b" OPEN AS ",
            &quoted(&key),
        ]
        .concat();
        let tables = [plan_table.clone()];
        relay::pass_through(&mut self.exec(), &node, &statement, false, Names::of(&tables)).await?;
        self.kept.handlers.0.insert(key, Open { data_node, table: plan_table });
        Ok(())
    }

    /// The alias of OPEN [AS] alias.
    fn alias_of(&self, handler: &Handler, parsed: &Parsed, source: Source<'_>) -> Option<String> {
        let open = handler.table.name.tok + 1;
        let tokens = source.tokens.tokens();
        let within =
            |at: u32| tokens.get(at as usize).filter(|token| token.span().end <= parsed.span.end);
        let mut next = within(open + 1)?;
        if next.span().of(source.text).eq_ignore_ascii_case(b"as") {
            next = within(open + 2)?;
        }
        let name = next.span().of(source.text);
        (!name.is_empty()).then(|| text(&sql_syntax::text::unquote_ident(name)))
    }
}

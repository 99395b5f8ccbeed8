//! CREATE, ALTER and DROP DATABASE. Schemas are made and deleted by the API, so these change nothing;
//! but what a server would answer without a change is answered here as there: a schema that is there
//! already, or is not there to be dropped. Tools ask so for a schema that was made for them.

use crate::control::{not_supported, text};
use crate::handshake;
use crate::query::Source;
use crate::session::Core;
use base::sql_error::{self, SqlErrorCode};
use mysql_wire::packet::OkPacket;
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use sql_syntax::ast::{DatabaseStmt, DdlAction, OptionKind};

impl Core {
    /// Answers where nothing is to be changed, refuses the others.
    pub(crate) fn run_database(
        &mut self,
        statement: &DatabaseStmt,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let name = statement
            .name
            .map(|name| text(&name.name(source.text)).to_lowercase())
            .or_else(|| self.exec.identity.schema.clone())
            .unwrap_or_default();
        let exists = match handshake::choose_schema(
            Some(&self.snapshot),
            self.account()?,
            &self.host,
            &name,
        ) {
            Ok(_) => true,
            Err(error) if error.code == sql_error::UNKNOWN_DB => false,
            Err(error) => return Err(error.into()),
        };
        if statement.action == DdlAction::Alter && exists && self.is_so(statement, &name, source) {
            return self.altered_nothing();
        }
        let (code, message): (SqlErrorCode, String) = match (statement.action, exists) {
            (DdlAction::Create, true) if !statement.or_replace => (
                sql_error::SCHEMA_EXISTS,
                format!("Can't create database '{name}'; database exists"),
            ),
            (DdlAction::Drop, false) => (
                sql_error::UNKNOWN_SCHEMA_TO_DROP,
                format!("Can't drop database '{name}'; database doesn't exist"),
            ),
            _ => {
                return Err(not_supported(
                    "CREATE, ALTER and DROP DATABASE; use the API or the console for schemas",
                ));
            }
        };
        if !statement.if_clause {
            return Err(sql(code, message));
        }
        let note =
            Warning { level: "Note".to_owned(), code: code.number, message: message.into_bytes() };
        self.exec.last.warnings = vec![note];
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket { warnings: 1, ..OkPacket::default() });
        Ok(())
    }

    /// Whether the schema's defaults are already what ALTER DATABASE asks for. A character set alone
    /// asks for no collation of it: frameworks send that before they make their tables.
    fn is_so(&self, statement: &DatabaseStmt, name: &str, source: Source<'_>) -> bool {
        let Some(schema) = self.snapshot.schemas.get(name) else { return false };
        let options = &statement.options;
        !options.is_empty()
            && options.iter().all(|option| {
                let value = text(option.value.of(source.text));
                let value = value.trim_matches(['\'', '"', '`']).to_lowercase();
                match option.kind {
                    OptionKind::Charset => value == schema.character_set,
                    OptionKind::Collate => value == schema.collation,
                    _ => false,
                }
            })
    }

    fn altered_nothing(&mut self) -> Result<(), ExecError> {
        self.exec.last.row_count = 1;
        self.reply_ok_packet(OkPacket { affected_rows: 1, ..OkPacket::default() });
        Ok(())
    }
}

//! SET: system variables, user variables, character sets. What a data node must know is kept as the
//! session's state and replayed on whatever connection a statement gets; whether a value is allowed,
//! and what it comes to, is a data node's own answer.

use crate::collations::names_of;
use crate::control::{global_denied, text};
use crate::idle_timeouts;
use crate::prepared_values::has_query;
use crate::query::Source;
use crate::select_limit::fetch_unlimited;
use crate::session::Core;
use crate::tracking::{plain_value, shown_value};
use crate::user_variables::inlined;
use base::sql_error;
use mysql_wire::column::{BINARY_COLLATION, ColumnDefinition, ColumnType};
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_backend::connection::Connection;
use node_backend::session_state::SessionState;
use node_exec::error::{ExecError, sql};
use node_exec::exec::IdleTimeouts;
use node_exec::names::Names;
use node_exec::read_back::with_user_variable;
use sql_plan::variables::CONSISTENT_READS;
use sql_syntax::LexMode;
use sql_syntax::ast::{ExprKind, SetItem, SetStmt, SetTarget, VarScope};
use sql_syntax::text::user_var_name;
use std::sync::Arc;
use topology::model::Snapshot;
use topology::parameters::ConsistentReads;

/// Warnings of one SET that are kept.
const WARNINGS_MAX: usize = 64;

/// Character sets that every data node has.
const CHARSETS: [&str; 6] = ["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii", "binary"];

/// Variables that SET NAMES sets.
const NAMES_VARIABLES: [&str; 4] = [
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
];

/// Variables about the client's connection, which is ours, not a data node's: taken and not replayed.
const OWN_CONNECTION: [&str; 1] = ["profiling"];

/// Variables that would harm other sessions or the data nodes' replication.
const REFUSED: [&str; 7] = [
    "sql_log_bin",
    "gtid_seq_no",
    "gtid_domain_id",
    "server_id",
    "pseudo_thread_id",
    "rand_seed1",
    "rand_seed2",
];

/// `WHERE id IS NULL` would have to find the row of a value that another data node may have made.
fn no_auto_is_null() -> ExecError {
    sql(
        sql_error::NOT_SUPPORTED,
        "sql_auto_is_null=1 is not supported; use WHERE column = LAST_INSERT_ID()",
    )
}

/// What a session of this instance begins with and comes back to when it is reset.
pub fn first_state(snapshot: &Snapshot) -> SessionState {
    let state = SessionState::default();
    match default_of(snapshot, "time_zone") {
        Some(value) => state.with("time_zone", value),
        None => state,
    }
}

/// The default of a variable where the instance has one of its own; the others have the data
/// nodes'.
fn default_of(snapshot: &Snapshot, variable: &str) -> Option<String> {
    match variable {
        "time_zone" => snapshot.time_zone.as_ref().map(|offset| format!("'{offset}'")),
        _ => None,
    }
}

/// The same with the settings that a client's collation number stands for.
pub fn state_of_collation(snapshot: &Snapshot, collation: u16) -> SessionState {
    let state = first_state(snapshot);
    match names_of(collation, lex_mode(snapshot).mariadb) {
        Some(names) => state.with("names", names),
        None => state,
    }
}

/// How text is lexed for the data nodes of this instance, with their default modes.
pub fn lex_mode(snapshot: &Snapshot) -> LexMode {
    let version =
        snapshot.data_nodes.values().next().map_or("", |node| node.server_version.as_str());
    let version = version.trim_start_matches("5.5.5-");
    let mut numbers =
        version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let number = next() * 10_000 + next() * 100 + next();
    LexMode {
        server_version: if number == 0 { 80_000 } else { number },
        mariadb: version.contains("MariaDB"),
        ..LexMode::default()
    }
}

/// A field of an answer as an SQL literal that any connection reads alike: without backslashes, and
/// with an introducer where the characters could be read otherwise.
pub fn literal(field: Option<&[u8]>, column: &ColumnDefinition) -> String {
    use ColumnType as T;
    let Some(bytes) = field else { return "NULL".to_owned() };
    match column.column_type {
        T::Tiny
        | T::Short
        | T::Int24
        | T::Long
        | T::LongLong
        | T::Year
        | T::Decimal
        | T::NewDecimal
        | T::Float
        | T::Double => return text(bytes),
        _ => {}
    }
    if column.collation != BINARY_COLLATION || is_temporal(column.column_type) {
        let plain = bytes.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'\\');
        if plain {
            return format!("'{}'", text(bytes).replace('\'', "''"));
        }
        return format!("_utf8mb4 X'{}'", base::id::hex(bytes));
    }
    format!("X'{}'", base::id::hex(bytes))
}

fn is_temporal(column_type: ColumnType) -> bool {
    column_type.is_date() || column_type.is_time()
}

/// What the items of one SET come to; nothing of it is in force before all went well.
struct Pending {
    state: SessionState,
    autocommit: bool,
    lex: LexMode,
    zero_is_a_value: bool,
    insert_id: u64,
    read_only: bool,
    isolation: Option<&'static str>,
    /// What the client is told of, as it is shown.
    tracked: Vec<(String, Vec<u8>)>,
    idle_timeouts: IdleTimeouts,
    consistent_reads: Option<bool>,
}

impl Core {
    /// SET in all forms.
    pub async fn run_set(&mut self, set: &SetStmt, source: Source<'_>) -> Result<(), ExecError> {
        match set {
            SetStmt::Items(items) => self.set_items(items, source).await,
            SetStmt::Transaction { .. } => self.set_transaction(set),
            SetStmt::Password { account, value } => {
                self.set_password(account.as_ref(), value.as_ref(), source).await
            }
            SetStmt::Statement { items, stmt_span, .. } => {
                self.set_for_statement(items, *stmt_span, source).await
            }
            SetStmt::Other(span) => self.set_role(&text(span.of(source.text))),
        }
    }

    async fn set_items(&mut self, items: &[SetItem], source: Source<'_>) -> Result<(), ExecError> {
        self.kept.set_warnings.clear();
        self.apply_items(items, source).await?;
        self.exec.last.row_count = 0;
        let told = std::mem::take(&mut self.kept.set_warnings);
        let warnings = u16::try_from(told.len()).unwrap_or(u16::MAX);
        // As of a server: a statement without tables and warnings leaves those of the one before.
        if !told.is_empty() {
            self.exec.last.warnings = told;
        }
        self.reply_ok_packet(OkPacket { warnings, ..OkPacket::default() });
        Ok(())
    }

    /// Gives variables their values, all or none.
    pub async fn apply_items(
        &mut self,
        items: &[SetItem],
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let mut pending = Pending {
            state: (*self.exec.state).clone(),
            autocommit: self.exec.autocommit,
            lex: self.lex,
            zero_is_a_value: self.zero_is_a_value,
            insert_id: self.exec.last.insert_id,
            read_only: self.exec.transaction_options.read_only,
            isolation: self.exec.transaction_options.isolation,
            tracked: Vec::new(),
            idle_timeouts: self.exec.idle_timeouts,
            consistent_reads: self.exec.consistent_reads,
        };
        for item in items {
            self.set_item(item, source, &mut pending).await?;
        }
        if pending.autocommit && !self.exec.autocommit {
            self.commit().await?;
        }
        if pending.autocommit != self.exec.autocommit {
            pending.state = match pending.autocommit {
                true => pending.state.without("autocommit"),
                false => pending.state.with("autocommit", "0"),
            };
        }
        self.exec.state = Arc::new(pending.state);
        self.exec.autocommit = pending.autocommit;
        self.exec.no_backslash_escapes = pending.lex.no_backslash_escapes;
        self.exec.ansi_quotes = pending.lex.mariadb && pending.lex.ansi_quotes;
        self.exec.last.insert_id = pending.insert_id;
        self.exec.transaction_options.read_only = pending.read_only;
        self.exec.transaction_options.isolation = pending.isolation;
        self.track_state();
        for (name, value) in std::mem::take(&mut pending.tracked) {
            self.track_variable(&name, value);
        }
        self.set_idle_timeouts(pending.idle_timeouts);
        self.exec.consistent_reads = pending.consistent_reads;
        self.lex = pending.lex;
        self.zero_is_a_value = pending.zero_is_a_value;
        self.follow_select_limit();
        self.follow_transaction_tracking();
        Ok(())
    }

    async fn set_item(
        &mut self,
        item: &SetItem,
        source: Source<'_>,
        pending: &mut Pending,
    ) -> Result<(), ExecError> {
        let value = inlined(source, item.value.span);
        let value = value.as_slice();
        match item.target {
            SetTarget::UserVar(token) => {
                let name = text(&user_var_name(source.tokens.bytes(source.text, token)));
                let value = self.assigned_value(&name, &inlined(source, item.value.span)).await?;
                pending.state = with_user_variable(pending.state.clone(), &name, value)?;
            }
            SetTarget::Names { collation } => {
                // The parser may read COLLATE as the clause's own or as the expression's.
                let (value, collation) = match &item.value.kind {
                    ExprKind::Collate { expr, collation } => {
                        (expr.span.of(source.text), Some(*collation))
                    }
                    _ => (value, collation),
                };
                let collation = collation.map(|name| text(name.raw(source.text)));
                self.set_names(value, collation, pending).await?;
            }
            SetTarget::CharacterSet => self.set_character_set(value, pending).await?,
            SetTarget::System { scope, base, name } => {
                if matches!(scope, VarScope::Global | VarScope::Persist | VarScope::PersistOnly) {
                    return Err(global_denied());
                }
                let mut full = text(&name.name(source.text)).to_ascii_lowercase();
                if let Some(base) = base {
                    full = format!("{}.{full}", text(&base.name(source.text)).to_ascii_lowercase());
                }
                let is_default = matches!(item.value.unparen().kind, ExprKind::Default(None));
                // Its tables are not those of the data node that is asked about the variable.
                let known = match has_query(&item.value) {
                    true => Some(self.evaluate(value).await?),
                    false => None,
                };
                let value = known.as_deref().map_or(value, str::as_bytes);
                self.set_system(&full, value, is_default, pending).await?;
            }
        }
        Ok(())
    }

    async fn set_system(
        &mut self,
        name: &str,
        value: &[u8],
        is_default: bool,
        pending: &mut Pending,
    ) -> Result<(), ExecError> {
        match name {
            "autocommit" => {
                pending.autocommit = is_default || boolean(name, value)?;
                let shown = if pending.autocommit { "ON" } else { "OFF" };
                pending.tracked.push((name.to_owned(), shown.into()));
            }
            "last_insert_id" | "identity" => {
                let number = self.evaluate(value).await?;
                pending.insert_id = number.parse().unwrap_or(0);
            }
            "tx_read_only" | "transaction_read_only" => {
                pending.read_only = !is_default && boolean(name, value)?
            }
            "tx_isolation" | "transaction_isolation" => {
                let words = if is_default { "REPEATABLE READ" } else { isolation(name, value)? };
                pending.isolation = Some(words);
                pending.state = pending
                    .state
                    .clone()
                    .with(isolation_variable(&self.lex), format!("'{}'", words.replace(' ', "-")));
            }
            "wait_timeout" | "interactive_timeout" => {
                self.set_idle_timeout(name, value, is_default, pending).await?;
            }
            CONSISTENT_READS => {
                pending.consistent_reads = match is_default {
                    true => None,
                    false => Some(boolean(name, value)?),
                };
                self.check_consistent_reads(pending.consistent_reads)?;
            }
            _ if REFUSED.contains(&name) => return Err(global_denied()),
            _ if OWN_CONNECTION.contains(&name) => {
                pending.tracked.push((name.to_owned(), word(value).into_bytes()));
            }
            _ if !is_name(name) => return Err(unknown_variable(name)),
            _ if is_default => {
                let tracked = &mut pending.tracked;
                self.read_back(name, b"DEFAULT", &pending.state, tracked).await?;
                let state = pending.state.clone();
                pending.state = match default_of(&self.snapshot, name) {
                    Some(value) => state.with(name, value),
                    None => state.without(name),
                };
            }
            _ => {
                let tracked = &mut pending.tracked;
                let value = self.read_back(name, value, &pending.state, tracked).await?;
                if name == "sql_auto_is_null" && value.trim_matches('\'') != "0" {
                    return Err(no_auto_is_null());
                }
                pending.state = pending.state.clone().with(name, value);
            }
        }
        if matches!(name, "sql_mode" | "character_set_client") {
            follow_lexing(&mut pending.lex, &mut pending.zero_is_a_value, &pending.state);
        }
        Ok(())
    }

    /// Reads cannot be consistent while commits leave no marks, or where replicas are read.
    fn check_consistent_reads(&self, wanted: Option<bool>) -> Result<(), ExecError> {
        if wanted != Some(true) {
            return Ok(());
        }
        if self.worker.backends.is_read_only() {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "ddm_consistent_reads=ON is not supported on a node of a read-only group: replicas lag \
                 each by its own; use a node that reads the data nodes themselves",
            ));
        }
        match self.worker.settings().consistent_reads {
            ConsistentReads::Off => Err(node_exec::consistent_reads::switched_off()),
            ConsistentReads::Session | ConsistentReads::On => Ok(()),
        }
    }

    /// Sets a variable on a data node's connection and reads what it came to. The connection is reset
    /// before its next use.
    async fn set_idle_timeout(
        &mut self,
        name: &str,
        value: &[u8],
        is_default: bool,
        pending: &mut Pending,
    ) -> Result<(), ExecError> {
        let Some(which) = idle_timeouts::of_name(name) else { return Ok(()) };
        let seconds = match idle_timeouts::plain(value) {
            _ if is_default => None,
            Some(seconds) => {
                pending.tracked.push((name.to_owned(), seconds.to_string().into_bytes()));
                Some(seconds)
            }
            None => {
                let tracked = &mut pending.tracked;
                self.read_back(name, value, &pending.state, tracked).await?.parse().ok()
            }
        };
        pending.idle_timeouts = pending.idle_timeouts.with(which, seconds);
        Ok(())
    }

    async fn read_back(
        &mut self,
        name: &str,
        value: &[u8],
        state: &SessionState,
        tracked: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<String, ExecError> {
        let node = self.worker.backends.any()?;
        let mut lease = node.lease(self.exec.found_rows, &Arc::new(state.clone())).await?;
        lease.mark_dirty();
        let mut set = format!("SET SESSION {name} = ").into_bytes();
        set.extend_from_slice(value);
        let ok = lease.execute_sql(&set).await?;
        if ok.warnings > 0 && self.kept.set_warnings.len() < WARNINGS_MAX {
            let told = node_exec::relay::warnings_of(&mut lease, Names::of(&[])).await;
            self.kept.set_warnings.extend(told);
        }
        let value = read_variable(&mut lease, name).await?;
        if name.starts_with("character_set_") || name == "time_zone" {
            tracked.push((name.to_owned(), plain_value(&value)));
        } else if name == "session_track_system_variables" || self.tracks_variable(name) {
            tracked.push((name.to_owned(), shown_value(&mut lease, name).await?));
        }
        Ok(value)
    }

    /// The sql_mode of a session that has set none, as a literal.
    pub async fn default_mode(&mut self) -> Result<String, ExecError> {
        let state = self.exec.state.clone();
        self.read_back("sql_mode", b"DEFAULT", &state, &mut Vec::new()).await
    }

    async fn set_names(
        &mut self,
        value: &[u8],
        collation: Option<String>,
        pending: &mut Pending,
    ) -> Result<(), ExecError> {
        let plain =
            |word: &str| word.trim_matches(|c| matches!(c, '\'' | '"' | '`')).to_ascii_lowercase();
        let charset = plain(&text(value));
        let collation = collation.map(|name| plain(&name));
        let charset = if charset == "default" { "utf8mb4".to_owned() } else { charset };
        let valid = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !valid(&charset) || !collation.as_deref().is_none_or(valid) {
            return Err(unknown_charset(&charset));
        }
        let names = match &collation {
            Some(collation) => format!("{charset} COLLATE {collation}"),
            None => charset.clone(),
        };
        if collation.is_some() || !CHARSETS.contains(&charset.as_str()) {
            let node = self.worker.backends.any()?;
            let mut lease = node.own_lease().await?;
            lease.mark_dirty();
            lease.execute_sql(format!("SET NAMES {names}").as_bytes()).await?;
        }
        let mut state = pending.state.clone();
        for variable in NAMES_VARIABLES {
            state = state.without(variable);
        }
        pending.state = state.with("names", names);
        for variable in &NAMES_VARIABLES[..3] {
            pending.tracked.push(((*variable).to_owned(), charset.clone().into_bytes()));
        }
        Ok(())
    }

    /// SET CHARACTER SET: the connection's is that of the schema.
    async fn set_character_set(
        &mut self,
        value: &[u8],
        pending: &mut Pending,
    ) -> Result<(), ExecError> {
        self.set_names(value, None, pending).await?;
        let schema = self.exec.identity.schema.as_ref();
        let Some(schema) = schema.and_then(|name| self.snapshot.schemas.get(name)) else {
            return Ok(());
        };
        let (charset, collation) = (schema.character_set.clone(), schema.collation.clone());
        pending.state = pending
            .state
            .clone()
            .with("character_set_connection", format!("'{charset}'"))
            .with("collation_connection", format!("'{collation}'"));
        for (name, value) in &mut pending.tracked {
            if name == "character_set_connection" {
                *value = charset.clone().into_bytes();
            }
        }
        Ok(())
    }

    /// An expression's value as a literal.
    pub(crate) async fn evaluate(&mut self, expression: &[u8]) -> Result<String, ExecError> {
        if !expression.is_empty()
            && expression.len() < 19
            && expression.iter().all(u8::is_ascii_digit)
        {
            return Ok(text(expression));
        }
        let text = [b"SELECT ", expression].concat();
        let (columns, records) = fetch_unlimited(self, &text).await?;
        if columns.len() != 1 {
            return Err(ExecError::Server(ErrPacket::new(
                1241,
                "21000",
                "Operand should contain 1 column(s)",
            )));
        }
        Ok(records
            .first()
            .map_or_else(|| "NULL".to_owned(), |record| literal(record.get(0), &columns[0])))
    }

    /// The isolation level of this session from now on.
    pub fn set_isolation(&mut self, words: &'static str) {
        let value = format!("'{}'", words.replace(' ', "-"));
        let variable = isolation_variable(&self.lex);
        self.exec.state = Arc::new((*self.exec.state).clone().with(variable, value));
    }
}

/// The variable's name on the data nodes: MariaDB 10 knows the old one alone, MySQL 8 the new one.
fn isolation_variable(lex: &LexMode) -> &'static str {
    if lex.mariadb { "tx_isolation" } else { "transaction_isolation" }
}

async fn read_variable(connection: &mut Connection, name: &str) -> Result<String, ExecError> {
    let result = connection.query(format!("SELECT @@SESSION.{name} LIMIT 1").as_bytes()).await?;
    match result {
        node_backend::query::QueryResult::Rows(set) => {
            let field = set.rows.first().and_then(|row| row.get(0));
            Ok(set
                .columns
                .first()
                .map_or_else(|| "NULL".to_owned(), |column| literal(field, column)))
        }
        node_backend::query::QueryResult::Ok(_) => Err(unknown_variable(name)),
    }
}

fn follow_lexing(lex: &mut LexMode, zero_is_a_value: &mut bool, state: &SessionState) {
    let mode = state.get("sql_mode").unwrap_or("").trim_matches('\'');
    lex.follow_sql_mode(mode);
    *zero_is_a_value =
        mode.split(',').any(|one| one.trim().eq_ignore_ascii_case("NO_AUTO_VALUE_ON_ZERO"));
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

fn word(value: &[u8]) -> String {
    text(value).trim_matches(|c| matches!(c, '\'' | '"' | '`' | ' ')).to_ascii_uppercase()
}

fn boolean(name: &str, value: &[u8]) -> Result<bool, ExecError> {
    match word(value).as_str() {
        "1" | "ON" | "TRUE" => Ok(true),
        "0" | "OFF" | "FALSE" => Ok(false),
        other => Err(wrong_value(name, other)),
    }
}

fn isolation(name: &str, value: &[u8]) -> Result<&'static str, ExecError> {
    match word(value).replace('-', " ").as_str() {
        "READ UNCOMMITTED" => Ok("READ UNCOMMITTED"),
        "READ COMMITTED" => Ok("READ COMMITTED"),
        "REPEATABLE READ" => Ok("REPEATABLE READ"),
        "SERIALIZABLE" => Ok("SERIALIZABLE"),
        other => Err(wrong_value(name, other)),
    }
}

fn wrong_value(name: &str, value: &str) -> ExecError {
    sql(
        sql_error::WRONG_VALUE_FOR_VARIABLE,
        format!("Variable '{name}' can't be set to the value of '{value}'"),
    )
}

fn unknown_variable(name: &str) -> ExecError {
    sql(sql_error::UNKNOWN_SYSTEM_VARIABLE, format!("Unknown system variable '{name}'"))
}

fn unknown_charset(name: &str) -> ExecError {
    ExecError::Server(ErrPacket::new(1115, "42000", format!("Unknown character set: '{name}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_need_no_backslash() {
        let string = ColumnDefinition::expression("c", ColumnType::VarString, 45, 10);
        let number = ColumnDefinition::expression("c", ColumnType::LongLong, BINARY_COLLATION, 10);
        let binary = ColumnDefinition::expression("c", ColumnType::VarString, BINARY_COLLATION, 10);
        for (field, column, wanted) in [
            (None, &string, "NULL"),
            (Some(&b"it's"[..]), &string, "'it''s'"),
            (Some(b"a\\b"), &string, "_utf8mb4 X'615c62'"),
            (Some(b"-5"), &number, "-5"),
            (Some(b"\x00\xff"), &binary, "X'00ff'"),
        ] {
            assert_eq!(literal(field, column), wanted);
        }
    }

    #[test]
    fn modes_change_how_text_is_read() {
        let mut lex = LexMode::default();
        let mut zero = false;
        let state = SessionState::default()
            .with("sql_mode", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO'");
        follow_lexing(&mut lex, &mut zero, &state);
        assert!(lex.ansi_quotes && lex.no_backslash_escapes && zero && !lex.pipes_as_concat);
    }
}

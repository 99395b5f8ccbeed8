//! The kinds by which servers count what clients send: the `Com_…` of SHOW STATUS. The names and what
//! falls under each are MariaDB's; what MySQL calls in the same way is counted in the same way.

use crate::ast::{
    AccountStmt, DdlAction, InsertSource, MaintainKind, Other, PreparedStmt, SetStmt, Show,
    ShowKind, Span, Statement, TransactionStmt, XaKind,
};

macro_rules! counted {
    ($($kind:ident $name:literal,)*) => {
        /// What is counted apart: a kind of statement, or of command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Counted { $($kind,)* }

        impl Counted {
            /// Each of them, by its number.
            pub const ALL: &[Counted] = &[$(Counted::$kind,)*];

            /// The status variable's name behind `Com_`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Counted::$kind => $name,)* }
            }
        }
    };
}

counted! {
    AdminCommands "admin_commands", AlterDb "alter_db", AlterEvent "alter_event",
    AlterFunction "alter_function", AlterProcedure "alter_procedure", AlterSequence "alter_sequence",
    AlterTable "alter_table", AlterUser "alter_user", Analyze "analyze", Begin "begin",
    CallProcedure "call_procedure", ChangeDb "change_db", ChangeMaster "change_master", Check "check",
    Checksum "checksum", Commit "commit", CompoundSql "compound_sql", CreateDb "create_db",
    CreateEvent "create_event", CreateFunction "create_function", CreateIndex "create_index",
    CreateProcedure "create_procedure", CreateRole "create_role", CreateSequence "create_sequence",
    CreateTable "create_table", CreateTemporaryTable "create_temporary_table",
    CreateTrigger "create_trigger", CreateUser "create_user", CreateView "create_view",
    DeallocSql "dealloc_sql", Delete "delete", DeleteMulti "delete_multi", Do "do", DropDb "drop_db",
    DropEvent "drop_event", DropFunction "drop_function", DropIndex "drop_index",
    DropProcedure "drop_procedure", DropRole "drop_role", DropSequence "drop_sequence",
    DropTable "drop_table", DropTemporaryTable "drop_temporary_table", DropTrigger "drop_trigger",
    DropUser "drop_user", DropView "drop_view", EmptyQuery "empty_query",
    ExecuteImmediate "execute_immediate", ExecuteSql "execute_sql", Flush "flush",
    GetDiagnostics "get_diagnostics", Grant "grant", GrantRole "grant_role", HaClose "ha_close",
    HaOpen "ha_open", HaRead "ha_read", Help "help", Insert "insert", InsertSelect "insert_select",
    Kill "kill", Load "load", LockTables "lock_tables", Optimize "optimize",
    PrepareSql "prepare_sql", Purge "purge", ReleaseSavepoint "release_savepoint",
    RenameTable "rename_table", RenameUser "rename_user", Repair "repair", Replace "replace",
    ReplaceSelect "replace_select", Reset "reset", Resignal "resignal", Revoke "revoke",
    RevokeRole "revoke_role", Rollback "rollback", RollbackToSavepoint "rollback_to_savepoint",
    Savepoint "savepoint", Select "select", SetOption "set_option", ShowBinlogEvents "show_binlog_events",
    ShowBinlogs "show_binlogs", ShowBinlogStatus "show_binlog_status", ShowCharsets "show_charsets",
    ShowCollations "show_collations", ShowCreateDb "show_create_db",
    ShowCreateEvent "show_create_event", ShowCreateFunc "show_create_func",
    ShowCreatePackage "show_create_package", ShowCreateProc "show_create_proc",
    ShowCreateTable "show_create_table", ShowCreateTrigger "show_create_trigger",
    ShowCreateUser "show_create_user", ShowDatabases "show_databases",
    ShowEngineMutex "show_engine_mutex", ShowEngineStatus "show_engine_status",
    ShowErrors "show_errors", ShowEvents "show_events", ShowExplain "show_explain",
    ShowFields "show_fields", ShowFunctionStatus "show_function_status",
    ShowGeneric "show_generic", ShowGrants "show_grants", ShowKeys "show_keys",
    ShowOpenTables "show_open_tables", ShowPackageBodyStatus "show_package_body_status",
    ShowPackageStatus "show_package_status", ShowPlugins "show_plugins",
    ShowPrivileges "show_privileges", ShowProcedureStatus "show_procedure_status",
    ShowProcessList "show_processlist", ShowProfile "show_profile", ShowProfiles "show_profiles",
    ShowRelaylogEvents "show_relaylog_events", ShowSlaveHosts "show_slave_hosts",
    ShowSlaveStatus "show_slave_status", ShowStatus "show_status",
    ShowStorageEngines "show_storage_engines", ShowTableStatus "show_table_status",
    ShowTables "show_tables", ShowTriggers "show_triggers", ShowVariables "show_variables",
    ShowWarnings "show_warnings", Signal "signal", StmtClose "stmt_close",
    StmtExecute "stmt_execute", StmtFetch "stmt_fetch", StmtPrepare "stmt_prepare",
    StmtReset "stmt_reset", StmtSendLongData "stmt_send_long_data", Truncate "truncate",
    UnlockTables "unlock_tables", Update "update", UpdateMulti "update_multi",
    XaCommit "xa_commit", XaEnd "xa_end", XaPrepare "xa_prepare", XaRecover "xa_recover",
    XaRollback "xa_rollback", XaStart "xa_start",
}

/// Statements that the tree knows by their first words alone.
const BY_WORDS: &[(&str, Counted)] = &[
    ("CREATE EVENT", Counted::CreateEvent),
    ("CREATE FUNCTION", Counted::CreateFunction),
    ("CREATE PROCEDURE", Counted::CreateProcedure),
    ("CREATE TRIGGER", Counted::CreateTrigger),
    ("CREATE ROLE", Counted::CreateRole),
    ("ALTER EVENT", Counted::AlterEvent),
    ("ALTER FUNCTION", Counted::AlterFunction),
    ("ALTER PROCEDURE", Counted::AlterProcedure),
    ("DROP EVENT", Counted::DropEvent),
    ("DROP FUNCTION", Counted::DropFunction),
    ("DROP PROCEDURE", Counted::DropProcedure),
    ("DROP TRIGGER", Counted::DropTrigger),
    ("DROP ROLE", Counted::DropRole),
    ("RENAME USER", Counted::RenameUser),
    ("GRANT", Counted::GrantRole),
    ("REVOKE", Counted::RevokeRole),
    ("GET", Counted::GetDiagnostics),
    ("SIGNAL", Counted::Signal),
    ("RESIGNAL", Counted::Resignal),
    ("HELP", Counted::Help),
    ("PURGE", Counted::Purge),
    ("CHANGE MASTER", Counted::ChangeMaster),
    ("BEGIN", Counted::CompoundSql),
    ("SHOW CREATE EVENT", Counted::ShowCreateEvent),
    ("SHOW CREATE FUNCTION", Counted::ShowCreateFunc),
    ("SHOW CREATE PACKAGE", Counted::ShowCreatePackage),
    ("SHOW CREATE PROCEDURE", Counted::ShowCreateProc),
    ("SHOW CREATE TRIGGER", Counted::ShowCreateTrigger),
    ("SHOW CREATE USER", Counted::ShowCreateUser),
    ("SHOW BINARY", Counted::ShowBinlogs),
    ("SHOW BINLOG EVENTS", Counted::ShowBinlogEvents),
    ("SHOW BINLOG STATUS", Counted::ShowBinlogStatus),
    ("SHOW MASTER LOGS", Counted::ShowBinlogs),
    ("SHOW MASTER", Counted::ShowBinlogStatus),
    ("SHOW SLAVE HOSTS", Counted::ShowSlaveHosts),
    ("SHOW REPLICA HOSTS", Counted::ShowSlaveHosts),
    ("SHOW REPLICAS", Counted::ShowSlaveHosts),
    ("SHOW RELAYLOG", Counted::ShowRelaylogEvents),
    ("SHOW EXPLAIN", Counted::ShowExplain),
];

/// What a statement counts as; nothing for one that servers do not count apart.
#[must_use]
pub fn counted(statement: &Statement, text: &[u8]) -> Option<Counted> {
    use Counted as C;
    Some(match statement {
        Statement::Query(_) => C::Select,
        Statement::Insert(insert) => match (&insert.source, insert.replace) {
            (InsertSource::Query(_), false) => C::InsertSelect,
            (InsertSource::Query(_), true) => C::ReplaceSelect,
            (_, false) => C::Insert,
            (_, true) => C::Replace,
        },
        Statement::Update(update) if update.single_table().is_some() => C::Update,
        Statement::Update(_) => C::UpdateMulti,
        Statement::Delete(delete) if delete.single_table().is_some() => C::Delete,
        Statement::Delete(_) => C::DeleteMulti,
        Statement::Load(_) => C::Load,
        Statement::Set(set) => match set.as_ref() {
            SetStmt::Statement { stmt, .. } => return counted(stmt, text),
            _ => C::SetOption,
        },
        Statement::Show(show) => of_show(show, text),
        Statement::Describe(_) => C::ShowFields,
        Statement::Explain(explain) => match &explain.stmt {
            Some(explained) => return counted(explained, text),
            None => C::ShowExplain,
        },
        Statement::Use(_) => C::ChangeDb,
        Statement::Transaction(transaction) => of_transaction(transaction),
        Statement::LockTables(_) => C::LockTables,
        Statement::UnlockTables => C::UnlockTables,
        Statement::Prepared(prepared) => match prepared {
            PreparedStmt::Prepare { .. } => C::PrepareSql,
            PreparedStmt::Execute { .. } => C::ExecuteSql,
            PreparedStmt::ExecuteImmediate { .. } => C::ExecuteImmediate,
            PreparedStmt::Deallocate(_) => C::DeallocSql,
        },
        Statement::Kill(_) => C::Kill,
        Statement::Call(_) => C::CallProcedure,
        Statement::Do(_) => C::Do,
        Statement::Handler(handler) => match words(handler.rest, text).first() {
            Some(word) if word == "OPEN" => C::HaOpen,
            Some(word) if word == "CLOSE" => C::HaClose,
            _ => C::HaRead,
        },
        Statement::Maintain(maintain) => match maintain.kind {
            MaintainKind::Analyze => C::Analyze,
            MaintainKind::Check => C::Check,
            MaintainKind::Optimize => C::Optimize,
            MaintainKind::Repair => C::Repair,
            MaintainKind::Checksum => C::Checksum,
        },
        Statement::Flush(flush) if flush.reset => C::Reset,
        Statement::Flush(_) => C::Flush,
        Statement::Other(Other { span, .. }) => return by_words(*span, text),
        Statement::Empty => C::EmptyQuery,
        _ => return of_definition(statement, text),
    })
}

fn of_definition(statement: &Statement, text: &[u8]) -> Option<Counted> {
    use Counted as C;
    let by_action = |action, create, alter, drop| match action {
        DdlAction::Create => create,
        DdlAction::Alter | DdlAction::FreshAll => alter,
        DdlAction::Drop => drop,
    };
    Some(match statement {
        Statement::CreateTable(create) if create.temporary => C::CreateTemporaryTable,
        Statement::CreateTable(_) => C::CreateTable,
        Statement::AlterTable(_) => C::AlterTable,
        Statement::DropTable(drop) if drop.temporary => C::DropTemporaryTable,
        Statement::DropTable(_) => C::DropTable,
        Statement::Truncate(_) => C::Truncate,
        Statement::RenameTable(_) => C::RenameTable,
        Statement::CreateIndex(_) => C::CreateIndex,
        Statement::DropIndex(_) => C::DropIndex,
        Statement::CreateView(_) => C::CreateView,
        Statement::DropView(_) => C::DropView,
        Statement::Database(database) => {
            by_action(database.action, C::CreateDb, C::AlterDb, C::DropDb)
        }
        Statement::Sequence(sequence) => {
            by_action(sequence.action, C::CreateSequence, C::AlterSequence, C::DropSequence)
        }
        Statement::Account(account) => match account {
            AccountStmt::CreateUser { .. } => C::CreateUser,
            AccountStmt::AlterUser { .. } => C::AlterUser,
            AccountStmt::DropUser { .. } => C::DropUser,
            AccountStmt::Grant(_) => C::Grant,
            AccountStmt::Revoke(_) => C::Revoke,
            AccountStmt::Other => {
                let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
                return by_words(Span { start: 0, end }, text);
            }
        },
        _ => return None,
    })
}

fn of_transaction(transaction: &TransactionStmt) -> Counted {
    match transaction {
        TransactionStmt::Begin { .. } => Counted::Begin,
        TransactionStmt::Commit { .. } => Counted::Commit,
        TransactionStmt::Rollback { .. } => Counted::Rollback,
        TransactionStmt::Savepoint(_) => Counted::Savepoint,
        TransactionStmt::RollbackTo(_) => Counted::RollbackToSavepoint,
        TransactionStmt::Release(_) => Counted::ReleaseSavepoint,
        TransactionStmt::Xa { kind, .. } => match kind {
            XaKind::Start => Counted::XaStart,
            XaKind::End => Counted::XaEnd,
            XaKind::Prepare => Counted::XaPrepare,
            XaKind::Commit => Counted::XaCommit,
            XaKind::Rollback => Counted::XaRollback,
            XaKind::Recover => Counted::XaRecover,
        },
    }
}

/// Forms of our own count as those that plugins bring.
fn of_show(show: &Show, text: &[u8]) -> Counted {
    use Counted as C;
    use ShowKind as K;
    let otherwise = |kind| by_words(show.span, text).unwrap_or(kind);
    match show.kind {
        K::Databases => C::ShowDatabases,
        K::Tables => C::ShowTables,
        K::TableStatus => C::ShowTableStatus,
        K::OpenTables => C::ShowOpenTables,
        K::Columns => C::ShowFields,
        K::Index => C::ShowKeys,
        K::CreateTable | K::CreateView | K::CreateSequence => C::ShowCreateTable,
        K::CreateDatabase => C::ShowCreateDb,
        K::Variables => C::ShowVariables,
        K::Status => C::ShowStatus,
        K::ProcessList => C::ShowProcessList,
        // Their numbers are queries of variables.
        K::Warnings | K::Errors if show.count => C::Select,
        K::Warnings => C::ShowWarnings,
        K::Errors => C::ShowErrors,
        K::Engines => C::ShowStorageEngines,
        K::Engine if words(show.span, text).last().is_some_and(|word| word == "MUTEX") => {
            C::ShowEngineMutex
        }
        K::Engine | K::InnodbStatus => C::ShowEngineStatus,
        K::Grants => C::ShowGrants,
        K::Privileges => C::ShowPrivileges,
        K::Charset => C::ShowCharsets,
        K::Collation => C::ShowCollations,
        K::Plugins => C::ShowPlugins,
        K::Triggers => C::ShowTriggers,
        K::Events => C::ShowEvents,
        K::ProcedureStatus => C::ShowProcedureStatus,
        K::FunctionStatus => C::ShowFunctionStatus,
        K::PackageStatus => C::ShowPackageStatus,
        K::PackageBodyStatus => C::ShowPackageBodyStatus,
        K::Profiles => C::ShowProfiles,
        K::Profile => C::ShowProfile,
        K::Replication => otherwise(C::ShowSlaveStatus),
        _ => otherwise(C::ShowGeneric),
    }
}

/// The statement's first words; OR REPLACE, DEFINER and their kin are left out.
fn words(span: Span, text: &[u8]) -> Vec<String> {
    const WORDS_MAX: usize = 8;
    const LEFT_OUT: [&str; 4] = ["OR", "REPLACE", "AGGREGATE", "FULL"];
    let all = span.of(text).split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let upper = |word: &[u8]| String::from_utf8_lossy(word).to_ascii_uppercase();
    let words = all.filter(|word| !word.is_empty()).map(upper);
    words.filter(|word| !LEFT_OUT.contains(&word.as_str())).take(WORDS_MAX).collect()
}

fn by_words(span: Span, text: &[u8]) -> Option<Counted> {
    let words = words(span, text);
    let (first, rest) = words.split_first()?;
    let begins = |form: &str| {
        let mut form = form.split(' ');
        form.next() == Some(first.as_str())
            // Behind CREATE there may be a DEFINER.
            && form.all(|word| rest.iter().any(|one| one == word))
    };
    BY_WORDS.iter().find(|(form, _)| begins(form)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{LexMode, TokenBuf, parse_one};

    fn name(text: &str) -> &'static str {
        let mode = LexMode { mariadb: true, ..LexMode::default() };
        let parsed = parse_one(text.as_bytes(), 0, &mode, &mut TokenBuf::new()).unwrap();
        counted(&parsed.stmt, text.as_bytes()).map_or("", Counted::name)
    }

    #[test]
    fn numbers_are_places() {
        for (at, kind) in Counted::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at);
        }
    }

    #[test]
    fn statements_count_as_on_a_server() {
        for (text, wanted) in [
            ("SELECT 1", "select"),
            ("VALUES (1)", "select"),
            ("(SELECT 1) UNION SELECT 2", "select"),
            ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
            ("INSERT INTO t VALUES (1)", "insert"),
            ("INSERT INTO t SELECT 1", "insert_select"),
            ("REPLACE INTO t SET a = 1", "replace"),
            ("REPLACE INTO t SELECT 1", "replace_select"),
            ("UPDATE t SET a = 1", "update"),
            ("UPDATE t JOIN s USING (a) SET b = 1", "update_multi"),
            ("DELETE FROM t", "delete"),
            ("DELETE a FROM t a", "delete_multi"),
            ("EXPLAIN UPDATE t SET a = 1", "update"),
            ("ANALYZE SELECT 1", "select"),
            ("DESCRIBE t", "show_fields"),
            ("SHOW COUNT(*) WARNINGS", "select"),
            ("SHOW CREATE VIEW v", "show_create_table"),
            ("SHOW CREATE PROCEDURE p", "show_create_proc"),
            ("SHOW MASTER STATUS", "show_binlog_status"),
            ("SHOW SLAVE STATUS", "show_slave_status"),
            ("SHOW ENGINE INNODB MUTEX", "show_engine_mutex"),
            ("SHOW ENGINE INNODB STATUS", "show_engine_status"),
            ("SHOW TOPOLOGY FROM t", "show_generic"),
            ("SET STATEMENT max_statement_time = 1 FOR SELECT 1", "select"),
            ("SET NAMES utf8mb4", "set_option"),
            ("START TRANSACTION", "begin"),
            ("ROLLBACK TO a", "rollback_to_savepoint"),
            ("CREATE TEMPORARY TABLE t (a INT)", "create_temporary_table"),
            ("DROP TEMPORARY TABLE t", "drop_temporary_table"),
            ("CREATE DEFINER = x@y PROCEDURE p() SELECT 1", "create_procedure"),
            ("CREATE OR REPLACE FUNCTION f() RETURNS INT RETURN 1", "create_function"),
            ("CREATE ROLE r", "create_role"),
            ("RENAME USER a TO b", "rename_user"),
            ("HANDLER t OPEN", "ha_open"),
            ("HANDLER t READ FIRST", "ha_read"),
            ("HELP 'x'", "help"),
            ("BEGIN NOT ATOMIC SELECT 1; END", "compound_sql"),
            ("EXECUTE IMMEDIATE 'SELECT 1'", "execute_immediate"),
            ("XA RECOVER", "xa_recover"),
            ("FLUSH TABLES", "flush"),
            ("RESET QUERY CACHE", "reset"),
            ("/* nothing */", "empty_query"),
        ] {
            assert_eq!(name(text), wanted, "{text}");
        }
    }
}

//! Statements about the session, the server and its accounts.

use super::{Expr, Ident, Limit, Span, Statement, TableName, TableRef, VarScope};

/// SHOW.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// Which.
    pub kind: ShowKind,
    /// FULL.
    pub full: bool,
    /// EXTENDED.
    pub extended: bool,
    /// GLOBAL, SESSION of VARIABLES and STATUS.
    pub scope: VarScope,
    /// FROM or IN a table; the object of SHOW CREATE.
    pub table: Option<TableName>,
    /// FROM or IN a schema.
    pub schema: Option<Ident>,
    /// LIKE: token of the pattern.
    pub like_tok: Option<u32>,
    /// WHERE.
    pub selection: Option<Expr>,
    /// LIMIT of WARNINGS and ERRORS.
    pub limit: Option<Limit>,
    /// SHOW COUNT(*) WARNINGS | ERRORS.
    pub count: bool,
    /// SHOW PHYSICAL PROCESSLIST WITH INFO.
    pub with_info: bool,
    /// What follows the words of `kind`, for forms without structure (account of GRANTS, engine, …).
    pub rest: Option<Span>,
    /// The whole statement.
    pub span: Span,
}

/// What SHOW shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ShowKind {
    Databases,
    Tables,
    TableStatus,
    OpenTables,
    Columns,
    Index,
    CreateTable,
    CreateView,
    CreateDatabase,
    CreateSequence,
    /// PROCEDURE, FUNCTION, TRIGGER, EVENT, USER, PACKAGE
    CreateOther,
    Variables,
    Status,
    ProcessList,
    Warnings,
    Errors,
    Engines,
    Engine,
    Grants,
    Privileges,
    Charset,
    Collation,
    Plugins,
    Triggers,
    Events,
    ProcedureStatus,
    FunctionStatus,
    PackageStatus,
    PackageBodyStatus,
    Profiles,
    Profile,
    /// BINARY LOGS, BINLOG EVENTS, MASTER/SLAVE/REPLICA STATUS and hosts
    Replication,
    /// SHOW RULE \[FROM t\]
    Rule,
    /// SHOW TOPOLOGY FROM t
    Topology,
    /// SHOW DATA NODE
    DataNode,
    /// SHOW SEQUENCES
    Sequences,
    /// SHOW PHYSICAL PROCESSLIST \[WITH INFO\]
    PhysicalProcessList,
    /// SHOW RECYCLEBIN \[FROM schema\]
    RecycleBin,
    /// SHOW MIGRATE STATUS
    MigrateStatus,
    /// SHOW DB STATUS
    DbStatus,
    /// SHOW FULL INNODB STATUS
    InnodbStatus,
    /// SHOW DDM SESSIONS
    DdmSessions,
    /// SHOW DDM and anything else
    Ddm,
    /// SHOW AUTHORS, SHOW CONTRIBUTORS
    Thanks,
    /// A form that servers have and that is not supported
    Other,
}

/// DESCRIBE table \[column\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Describe {
    /// The table.
    pub table: TableName,
    /// Column name or pattern.
    pub column: Option<Ident>,
}

/// EXPLAIN.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// ANALYZE (also MariaDB's `ANALYZE stmt`).
    pub analyze: bool,
    /// EXTENDED or PARTITIONS.
    pub extended: bool,
    /// FORMAT =.
    pub format: Option<Ident>,
    /// The statement, unless FOR CONNECTION.
    pub stmt: Option<Box<Statement>>,
    /// The statement's own text.
    pub stmt_span: Span,
    /// FOR CONNECTION.
    pub connection: Option<Expr>,
}

/// SET.
#[derive(Clone, Debug, PartialEq)]
pub enum SetStmt {
    /// Variables, NAMES, CHARACTER SET in one list.
    Items(Vec<SetItem>),
    /// SET \[scope\] TRANSACTION.
    Transaction {
        /// Default: the next transaction only.
        scope: VarScope,
        /// ISOLATION LEVEL.
        isolation: Option<Isolation>,
        /// `Some(true)` READ ONLY, `Some(false)` READ WRITE.
        read_only: Option<bool>,
    },
    /// SET PASSWORD \[FOR account\] = ….
    Password {
        /// The account's text; None: own.
        account: Option<Account>,
        /// The new password or PASSWORD('…').
        value: Option<Expr>,
    },
    /// SET STATEMENT a = b FOR stmt (MariaDB).
    Statement {
        /// The variables.
        items: Vec<SetItem>,
        /// The statement.
        stmt: Box<Statement>,
        /// The statement's own text.
        stmt_span: Span,
    },
    /// SET ROLE, SET DEFAULT ROLE, SET RESOURCE GROUP.
    Other(Span),
}

/// One assignment of SET.
#[derive(Clone, Debug, PartialEq)]
pub struct SetItem {
    /// What is set.
    pub target: SetTarget,
    /// The value; a bare word (`utf8mb4`, `ON`, `DEFAULT`) is a column or DEFAULT expression.
    pub value: Expr,
    /// The whole item.
    pub span: Span,
}

/// Targets of SET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTarget {
    /// `@name`: its token.
    UserVar(u32),
    /// A system variable (`NEW.col` in a trigger too).
    System {
        /// Scope.
        scope: VarScope,
        /// First part of a two-part name.
        base: Option<Ident>,
        /// Name.
        name: Ident,
    },
    /// NAMES, with COLLATE if written.
    Names {
        /// COLLATE.
        collation: Option<Ident>,
    },
    /// CHARACTER SET.
    CharacterSet,
}

/// Isolation levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// Transaction control.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionStmt {
    /// BEGIN, START TRANSACTION.
    Begin {
        /// WITH CONSISTENT SNAPSHOT.
        consistent_snapshot: bool,
        /// READ ONLY, READ WRITE.
        read_only: Option<bool>,
    },
    /// COMMIT.
    Commit {
        /// AND \[NO\] CHAIN.
        chain: Option<bool>,
        /// \[NO\] RELEASE.
        release: Option<bool>,
    },
    /// ROLLBACK.
    Rollback {
        /// AND \[NO\] CHAIN.
        chain: Option<bool>,
        /// \[NO\] RELEASE.
        release: Option<bool>,
    },
    /// SAVEPOINT.
    Savepoint(Ident),
    /// ROLLBACK TO \[SAVEPOINT\].
    RollbackTo(Ident),
    /// RELEASE SAVEPOINT.
    Release(Ident),
    /// XA.
    Xa {
        /// Which.
        kind: XaKind,
        /// The xid and the rest.
        rest: Option<Span>,
    },
}

/// XA statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum XaKind {
    Start,
    End,
    Prepare,
    Commit,
    Rollback,
    Recover,
}

/// One table of LOCK TABLES.
#[derive(Clone, Debug, PartialEq)]
pub struct LockTable {
    /// Table and alias.
    pub table: TableRef,
    /// WRITE; else READ.
    pub write: bool,
}

/// Prepared statements in SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum PreparedStmt {
    /// PREPARE name FROM text.
    Prepare {
        /// Name.
        name: Ident,
        /// A string literal or user variable.
        from: Expr,
    },
    /// EXECUTE name USING ….
    Execute {
        /// Name.
        name: Ident,
        /// User variables.
        using: Vec<Expr>,
    },
    /// EXECUTE IMMEDIATE (MariaDB).
    ExecuteImmediate {
        /// The text.
        from: Expr,
        /// Values.
        using: Vec<Expr>,
    },
    /// DEALLOCATE PREPARE, DROP PREPARE.
    Deallocate(Ident),
}

/// KILL.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    /// Which.
    pub kind: KillKind,
    /// The id; None for KILL PHYSICAL and KILL … WHERE.
    pub id: Option<Expr>,
    /// `thread@ip:port` of KILL PHYSICAL; the condition of KILL … WHERE.
    pub target: Option<Span>,
}

/// Kinds of KILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillKind {
    /// KILL \[CONNECTION\]
    Connection,
    /// KILL QUERY
    Query,
    /// KILL PHYSICAL
    Physical,
    /// KILL USER: every connection of an account, or what they run; `target` is the account.
    User,
}

/// CALL.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The routine.
    pub name: TableName,
    /// Arguments.
    pub args: Vec<Expr>,
}

/// HANDLER: the table and the rest as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The table or alias.
    pub table: TableName,
    /// After the name.
    pub rest: Span,
}

/// ANALYZE, CHECK, OPTIMIZE, REPAIR, CHECKSUM TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintain {
    /// Which.
    pub kind: MaintainKind,
    /// The tables; CHECK TABLE may have none (the whole schema).
    pub tables: Vec<TableName>,
    /// What follows the tables.
    pub rest: Option<Span>,
}

/// Kinds of maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MaintainKind {
    Analyze,
    Check,
    Optimize,
    Repair,
    Checksum,
}

/// FLUSH, RESET.
#[derive(Clone, Debug, PartialEq)]
pub struct Flush {
    /// RESET; else FLUSH.
    pub reset: bool,
    /// Tables of FLUSH TABLES.
    pub tables: Vec<TableName>,
    /// WITH READ LOCK, FOR EXPORT.
    pub with_lock: bool,
}

/// An account's name as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user: a name or string; None for CURRENT_USER.
    pub user: Option<Ident>,
    /// The host with `@`.
    pub host: Option<Span>,
    /// The whole.
    pub span: Span,
}

/// Account management.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountStmt {
    /// CREATE USER.
    CreateUser {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The accounts, each with the token of the password of IDENTIFIED BY.
        users: Vec<(Account, Option<u32>)>,
    },
    /// ALTER USER.
    AlterUser {
        /// The accounts, each with the token of the password of IDENTIFIED BY.
        users: Vec<(Account, Option<u32>)>,
    },
    /// DROP USER.
    DropUser {
        /// IF EXISTS.
        if_exists: bool,
        /// The accounts.
        users: Vec<Account>,
    },
    /// GRANT privileges ON ….
    Grant(Grant),
    /// REVOKE privileges ON ….
    Revoke(Grant),
    /// Roles, RENAME USER, GRANT role.
    Other,
}

/// GRANT and REVOKE.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Privileges: each one's words, column lists excluded.
    pub privileges: Vec<Span>,
    /// Where.
    pub level: GrantLevel,
    /// The accounts, each with the token of the password of IDENTIFIED BY.
    pub users: Vec<(Account, Option<u32>)>,
    /// WITH GRANT OPTION; for REVOKE: `GRANT OPTION` is among the privileges.
    pub grant_option: bool,
}

/// Levels of GRANT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantLevel {
    /// None written (REVOKE ALL PRIVILEGES, GRANT OPTION FROM).
    None,
    /// `*`
    CurrentSchema,
    /// `*.*`
    Global,
    /// `db.*`
    Schema(Ident),
    /// A table (or routine).
    Table(TableName),
}

/// A statement known by its first words; its text is kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// Which.
    pub kind: OtherKind,
    /// Tables (or the object's own name) found at cheap places.
    pub tables: Vec<TableName>,
    /// The whole statement.
    pub span: Span,
}

/// Families of statements that have no structure here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtherKind {
    /// CREATE/ALTER/DROP PROCEDURE, FUNCTION, PACKAGE
    Routine,
    /// CREATE/DROP TRIGGER
    Trigger,
    /// CREATE/ALTER/DROP EVENT
    Event,
    /// CREATE/ALTER/DROP SERVER
    Server,
    /// TABLESPACE, LOGFILE GROUP, UNDO
    Tablespace,
    /// CHANGE MASTER, START/STOP SLAVE, PURGE, BINLOG
    Replication,
    /// INSTALL, UNINSTALL
    Plugin,
    /// HELP
    Help,
    /// SIGNAL, RESIGNAL, GET DIAGNOSTICS
    Diagnostics,
    /// SHUTDOWN, RESTART, CLONE, CACHE INDEX, LOAD INDEX, RESOURCE GROUP, SPATIAL REFERENCE …
    Admin,
    /// A compound statement (BEGIN NOT ATOMIC …)
    Compound,
}

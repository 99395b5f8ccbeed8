//! The statements that a data node of a simulation understands: what a node says to it by itself, and
//! the few kinds that the simulated clients send. Any other text is a mistake of the simulation, and
//! ends the run.

/// A table's row: the primary key and the other columns, as texts.
pub type Row = Vec<String>;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Settings that make no difference here.
    Set,
    SetAutocommit(bool),
    SetLockWait(u64),
    Begin {
        snapshot: bool,
    },
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    XaStart(String),
    XaEnd(String),
    XaPrepare(String),
    XaCommit {
        xid: String,
        one_phase: bool,
    },
    XaRollback(String),
    XaRecover,
    /// Writes the storage engine's log.
    WriteLog,
    /// Makes a table; a database is nothing.
    Create(Option<String>),
    Insert {
        table: String,
        rows: Vec<Row>,
        ignore: bool,
        replace: bool,
    },
    /// Adds to the second column, writes the third.
    Add {
        table: String,
        key: String,
        amount: i64,
        mark: String,
    },
    Delete {
        table: String,
        key: String,
    },
    /// Rows of a table: one by its key, or all.
    Select {
        table: String,
        columns: Vec<usize>,
        key: Option<String>,
        uncommitted: bool,
    },
    /// Rows whose last column is a time of more than some hours ago.
    SelectOld {
        table: String,
        columns: Vec<usize>,
        hours: u64,
    },
    /// One row of values.
    Answer(Vec<(&'static str, String)>),
    ShowWarnings,
    /// The threads that hold what another one waits for.
    Holders {
        waiting: u32,
    },
    Kill {
        thread: u32,
        connection: bool,
    },
    LockTable(String),
    UnlockTables,
}

/// Columns of the tables that there can be, the primary key first.
pub fn columns(table: &str) -> &'static [&'static str] {
    match table.rsplit('.').next() {
        Some("accounts") => &["id", "balance", "operation"],
        Some("moves") => &["id", "operation"],
        Some("decisions") => &["gtrid", "verdict", "made"],
        Some("commits") => &["slot", "number", "gtrid", "parts", "made"],
        _ => &[],
    }
}

/// Reads a statement; `now` is the data node's time.
pub fn parse(text: &str, now: u64) -> Option<Statement> {
    let text = text.replace('`', "");
    let text = text.trim();
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match first {
        "SET" => set(rest)?,
        "START" => Statement::Begin { snapshot: rest.contains("CONSISTENT SNAPSHOT") },
        "COMMIT" => Statement::Commit,
        "ROLLBACK" => match rest.strip_prefix("TO SAVEPOINT ") {
            Some(name) => Statement::RollbackTo(name.to_owned()),
            None => Statement::Rollback,
        },
        "SAVEPOINT" => Statement::Savepoint(rest.to_owned()),
        "RELEASE" => Statement::Release(rest.strip_prefix("SAVEPOINT ")?.to_owned()),
        "XA" => xa(rest)?,
        "FLUSH" if rest.ends_with("ENGINE LOGS") => Statement::WriteLog,
        "CREATE" => create(rest),
        "INSERT" => insert(rest, now)?,
        "UPDATE" => update(rest)?,
        "DELETE" => {
            let (table, key) = rest.strip_prefix("FROM ")?.split_once(" WHERE ")?;
            let key = key.split(" AND ").next()?;
            Statement::Delete { table: table.to_owned(), key: value(key.split_once(" = ")?.1) }
        }
        "SELECT" => select(rest)?,
        "SHOW" => show(rest)?,
        "KILL" => {
            let (what, thread) = rest.split_once(' ')?;
            Statement::Kill { thread: thread.parse().ok()?, connection: what == "CONNECTION" }
        }
        "LOCK" => {
            Statement::LockTable(rest.strip_prefix("TABLES ")?.strip_suffix(" WRITE")?.to_owned())
        }
        "UNLOCK" => Statement::UnlockTables,
        _ => return None,
    })
}

fn set(rest: &str) -> Option<Statement> {
    if let Some(value) = rest.strip_prefix("autocommit=") {
        return Some(Statement::SetAutocommit(value == "1"));
    }
    if let Some(seconds) = rest.strip_prefix("innodb_lock_wait_timeout = ") {
        return Some(Statement::SetLockWait(seconds.parse().ok()?));
    }
    Some(Statement::Set)
}

fn xa(rest: &str) -> Option<Statement> {
    let (verb, xid) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match verb {
        "RECOVER" => Statement::XaRecover,
        "START" => Statement::XaStart(xid.to_owned()),
        "END" => Statement::XaEnd(xid.to_owned()),
        "PREPARE" => Statement::XaPrepare(xid.to_owned()),
        "ROLLBACK" => Statement::XaRollback(xid.to_owned()),
        "COMMIT" => {
            let one_phase = xid.ends_with(" ONE PHASE");
            let xid = xid.strip_suffix(" ONE PHASE").unwrap_or(xid).to_owned();
            Statement::XaCommit { xid, one_phase }
        }
        _ => return None,
    })
}

fn create(rest: &str) -> Statement {
    let table = rest.strip_prefix("TABLE IF NOT EXISTS ");
    Statement::Create(table.and_then(|table| table.split(' ').next()).map(str::to_owned))
}

/// What a literal stands for.
fn value(literal: &str) -> String {
    literal.trim().trim_matches('\'').to_owned()
}

fn insert(rest: &str, now: u64) -> Option<Statement> {
    let ignore = rest.starts_with("IGNORE ");
    let rest = rest.strip_prefix("IGNORE ").unwrap_or(rest).strip_prefix("INTO ")?;
    let (table, rest) = rest.split_once(' ')?;
    let (_, values) = rest.split_once("VALUES ")?;
    let (values, replace) = match values.split_once(" ON DUPLICATE KEY UPDATE") {
        Some((values, _)) => (values, true),
        None => (values, false),
    };
    let width = columns(table).len();
    let rows = values.split(')').filter_map(|row| row.split_once('('));
    // Parts of a mark have commas of their own, between quotes.
    let rows = rows.map(|(_, row)| {
        let mut row: Vec<String> = fields(row).iter().map(|field| value(field)).collect();
        row.truncate(width);
        row.iter_mut().filter(|field| *field == "SYSDATE(").for_each(|field| field.clear());
        row.resize(width, String::new());
        if matches!(columns(table).last(), Some(&"made")) {
            row[width - 1] = now.to_string();
        }
        row
    });
    Some(Statement::Insert { table: table.to_owned(), rows: rows.collect(), ignore, replace })
}

/// Literals between commas.
fn fields(row: &str) -> Vec<&str> {
    let mut quoted = false;
    row.split(|letter| {
        quoted ^= letter == '\'';
        letter == ',' && !quoted
    })
    .collect()
}

/// `accounts SET balance = balance + -3, operation = 17 WHERE id = 5`
fn update(rest: &str) -> Option<Statement> {
    let (table, rest) = rest.split_once(" SET balance = balance + ")?;
    let (amount, rest) = rest.split_once(", operation = ")?;
    let (mark, key) = rest.split_once(" WHERE id = ")?;
    Some(Statement::Add {
        table: table.to_owned(),
        key: value(key),
        amount: amount.parse().ok()?,
        mark: mark.to_owned(),
    })
}

fn select(rest: &str) -> Option<Statement> {
    if rest == "@@GLOBAL.max_connections" {
        return Some(Statement::Answer(vec![("max_connections", "151".to_owned())]));
    }
    if rest.starts_with("DISTINCT b.trx_mysql_thread_id") {
        let (_, waiting) = rest.split_once("r.trx_mysql_thread_id = ")?;
        return Some(Statement::Holders { waiting: waiting.split(' ').next()?.parse().ok()? });
    }
    let (wanted, rest) = rest.split_once(" FROM ")?;
    let (table, condition) = rest.split_once(' ').unwrap_or((rest, ""));
    let known = columns(table);
    let columns: Vec<usize> = wanted
        .split(", ")
        .filter_map(|column| known.iter().position(|known| known == &column))
        .collect();
    let table = table.to_owned();
    if let Some(age) = condition.strip_prefix("WHERE made < NOW() - INTERVAL ") {
        let hours = age.split(' ').next()?.parse().ok()?;
        return Some(Statement::SelectOld { table, columns, hours });
    }
    let key = condition.strip_prefix("WHERE ").and_then(|key| key.split_once(" = "));
    let key = key.map(|(_, key)| value(key));
    Some(Statement::Select { table, columns, key, uncommitted: wanted == "1" })
}

fn show(rest: &str) -> Option<Statement> {
    if rest == "WARNINGS" {
        return Some(Statement::ShowWarnings);
    }
    rest.contains("tx_isolation").then(|| {
        Statement::Answer(vec![
            ("Variable_name", "tx_isolation".to_owned()),
            ("Value", "REPEATABLE-READ".to_owned()),
        ])
    })
}

//! Makes a local server's data directory: system tables and accounts go into a temporary directory
//! that is renamed when all is in it, so a crash leaves either no data directory or a whole one.
//! Accounts are made in the server's bootstrap mode, without network and without a binlog: no
//! password is ever in a file or on a command line, and replicas do not receive the accounts twice.

use super::config_file::{self, run_as};
use super::error::LocalMariaDbError;
use super::programs::Programs;
use super::record::Record;
use super::{LocalMariaDbOptions, ProgressLine};
use crate::error::ProvisionError;
use crate::files;
use crate::sql_text::{account, literal};
use base::id::{hex, random_bytes};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long one of the two steps may take on a busy machine.
const STEP_TIMEOUT: Duration = Duration::from_secs(120);

/// What the names of unfinished data directories begin with.
const UNFINISHED: &str = "data.new";

/// How much of a failed program's output is shown.
const OUTPUT_LINES: usize = 15;

/// Makes the data directory unless there is one.
pub async fn ensure_made(
    programs: &Programs,
    options: &LocalMariaDbOptions,
    record: &Record,
    progress: &ProgressLine,
) -> Result<(), LocalMariaDbError> {
    let directory = record.directory(&options.root_dir);
    let data = directory.join("data");
    if data.exists() {
        return Ok(());
    }
    progress(&format!("making the data node {}", record.name));
    remove_leftovers(&directory);
    let temporary = directory.join(format!("{UNFINISHED}{}", hex(&random_bytes::<4>())));
    files::make_private_dir(&config_file::temporary_dir(&directory))?;
    let mut install = command(&programs.install_db, &temporary);
    install.args(["--auth-root-authentication-method=socket", "--skip-test-db"]);
    if let Some(user) = run_as() {
        install.arg(format!("--auth-root-socket-user={user}"));
    }
    run(record, "mariadb-install-db", install, "").await?;
    let mut server = command(&programs.server, &temporary);
    server.args(["--bootstrap", "--lower-case-table-names=1", "--skip-log-bin"]);
    run(record, "mariadbd --bootstrap", server, &accounts_sql(record)).await?;
    std::fs::rename(&temporary, &data)
        .and_then(|()| files::sync_parent(&data))
        .map_err(ProvisionError::io("rename", &temporary))?;
    Ok(())
}

/// Removes what an interrupted making left. Its processes may still write there, so each making has a
/// directory of its own, and one that cannot be removed now is left to the next start.
fn remove_leftovers(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        if unfinished && let Err(error) = files::remove_dir(&entry.path()) {
            tracing::debug!(%error, "an interrupted making is not removed");
        }
    }
}

/// A program that reads no configuration file and works in this data directory. Neither is told a
/// user: the bootstrap mode runs as root without it, and with it the installer would change the
/// owner of a plugin directory that belongs to the machine's own MariaDB.
fn command(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(directory) = data.parent() {
        command.env("TMPDIR", config_file::temporary_dir(directory));
    }
    // The option that forbids configuration files must be the first.
    command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
    command
}

/// One statement a line, as the bootstrap mode wants it. Root stays with its socket authentication
/// on `localhost`, which no connection over the network has.
fn accounts_sql(record: &Record) -> String {
    let admin = account(&record.admin_user, "%");
    let replication = account(&record.replication_user, "%");
    let statements = [
        // Bootstrap mode starts without the grant tables; this loads them.
        "FLUSH PRIVILEGES".to_owned(),
        format!("CREATE USER {admin} IDENTIFIED BY {}", literal(record.admin_password.expose())),
        format!("GRANT ALL PRIVILEGES ON *.* TO {admin} WITH GRANT OPTION"),
        format!(
            "CREATE USER {replication} IDENTIFIED BY {}",
            literal(record.replication_password.expose())
        ),
        format!("GRANT REPLICATION SLAVE ON *.* TO {replication}"),
        "FLUSH PRIVILEGES".to_owned(),
    ];
    statements.map(|statement| statement + ";\n").concat()
}

async fn run(
    record: &Record,
    step: &'static str,
    mut command: Command,
    input: &str,
) -> Result<(), LocalMariaDbError> {
    let failed =
        |output: String| LocalMariaDbError::Bootstrap { name: record.name.clone(), step, output };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C is for us: a step is short, and ends in order before we stop.
    command.process_group(0);
    let mut child =
        command.kill_on_drop(true).spawn().map_err(|error| failed(error.to_string()))?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let work = async {
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(STEP_TIMEOUT, work).await {
        Ok(output) => output.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed(format!("no end after {STEP_TIMEOUT:?}"))),
    };
    // The bootstrap mode answers 0 even when a statement failed; it says so in its output.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.success()
        && !said.lines().any(|line| line.starts_with("ERROR") || line.contains("[ERROR]"))
    {
        return Ok(());
    }
    let lines: Vec<&str> = said.lines().collect();
    Err(failed(lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_one_line() {
        let sql = accounts_sql(&Record::new_primary(1, 1));
        assert!(sql.lines().all(|line| line.ends_with(';')));
        assert_eq!(sql.lines().count(), 6);
    }
}

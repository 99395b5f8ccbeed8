//! A replica follows its primary from the primary's first transaction on (both begin empty), by
//! GTID, so that it finds its place by itself after any stop of either.

use super::LOCAL_HOST;
use super::error::LocalMariaDbError;
use super::record::Record;
use crate::data_node_admin::{AdminError, DataNodeAdmin, Rows};
use crate::sql_admin::SqlDataNodeAdmin;
use crate::sql_text::literal;
use std::time::{Duration, Instant};

/// How long both replication threads may take to run.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(100);

/// Makes the replica follow its primary and waits until it does.
pub async fn ensure(primary: &Record, replica: &Record) -> Result<(), LocalMariaDbError> {
    let admin_failed =
        |source: AdminError| LocalMariaDbError::Admin { name: replica.name.clone(), source };
    let login = replica.login();
    let status =
        SqlDataNodeAdmin.query(&login, "SHOW REPLICA STATUS").await.map_err(admin_failed)?;
    let statements = if follows(&status, primary) {
        vec!["START REPLICA".to_owned()]
    } else {
        vec!["STOP REPLICA".to_owned(), change_primary(primary), "START REPLICA".to_owned()]
    };
    for statement in statements {
        SqlDataNodeAdmin.execute(&login, &statement).await.map_err(admin_failed)?;
    }
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let status =
            SqlDataNodeAdmin.query(&login, "SHOW REPLICA STATUS").await.map_err(admin_failed)?;
        if runs(&status) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(LocalMariaDbError::Replication {
                name: replica.name.clone(),
                reason: reason(&status),
            });
        }
        tokio::time::sleep(POLL).await;
    }
}

fn change_primary(primary: &Record) -> String {
    format!(
        "CHANGE MASTER TO MASTER_HOST = {}, MASTER_PORT = {}, MASTER_USER = {}, MASTER_PASSWORD = {}, \
         MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
        literal(LOCAL_HOST),
        primary.port,
        literal(&primary.replication_user),
        literal(primary.replication_password.expose())
    )
}

fn follows(status: &Rows, primary: &Record) -> bool {
    status.get(0, "Master_Host") == Some(LOCAL_HOST)
        && status.get(0, "Master_Port") == Some(primary.port.to_string().as_str())
        && status.get(0, "Master_User") == Some(primary.replication_user.as_str())
        && status.get(0, "Using_Gtid") == Some("Slave_Pos")
}

fn runs(status: &Rows) -> bool {
    let running = |thread| status.get(0, thread) == Some("Yes");
    running("Slave_IO_Running") && running("Slave_SQL_Running")
}

fn reason(status: &Rows) -> String {
    let errors = ["Last_IO_Error", "Last_SQL_Error"];
    let said: Vec<&str> = errors
        .iter()
        .filter_map(|column| status.get(0, column))
        .filter(|text| !text.is_empty())
        .collect();
    if said.is_empty() { "it does not connect".to_owned() } else { said.join("; ") }
}

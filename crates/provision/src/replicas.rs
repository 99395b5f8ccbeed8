//! Who replicates from whom, as the servers themselves say: a primary lists the replicas that are
//! connected to it, a replica names its primary by `server_id`. Addresses that a primary lists are
//! claims (a replica may report none, or one that only it can reach): who uses one asks the server
//! there for its id.

use crate::data_node_admin::{AdminError, AdminLogin, DataNodeAdmin, Endpoint, Rows};
use std::collections::BTreeSet;

/// A replica that is connected to a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedReplica {
    /// Its `server_id`.
    pub server_id: u64,
    /// Where it may listen, the likeliest first.
    pub endpoints: Vec<Endpoint>,
}

/// The servers that follow the primary at `login`; `None` when the account may not ask.
pub async fn connected_replicas(
    admin: &dyn DataNodeAdmin,
    login: &AdminLogin,
) -> Result<Option<Vec<ConnectedReplica>>, AdminError> {
    let listed = ["SHOW REPLICA HOSTS", "SHOW REPLICAS", "SHOW SLAVE HOSTS"];
    let Some(listed) = first_understood(admin, login, &listed).await? else { return Ok(None) };
    let sql = "SELECT HOST FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    let streams = admin.query(login, sql).await?;
    let hosts = streams.rows.iter().flatten().flatten().map(|host| without_port(host).to_owned());
    Ok(Some(replicas(&listed, &hosts.collect())))
}

/// The `server_id` of the primary that the server at `login` follows: `None` when it follows none,
/// 0 when it has not reached it yet.
pub async fn primary_of(
    admin: &dyn DataNodeAdmin,
    login: &AdminLogin,
) -> Result<Option<u64>, AdminError> {
    let asked = ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"];
    let Some(status) = first_understood(admin, login, &asked).await? else { return Ok(None) };
    if status.rows.is_empty() {
        return Ok(None);
    }
    let id = status.get(0, "Master_Server_Id").or_else(|| status.get(0, "Source_Server_Id"));
    Ok(Some(id.and_then(|id| id.parse().ok()).unwrap_or(0)))
}

/// The answer to the first of these statements that the server knows and the account may use:
/// each version has its own word for it.
async fn first_understood(
    admin: &dyn DataNodeAdmin,
    login: &AdminLogin,
    statements: &[&str],
) -> Result<Option<Rows>, AdminError> {
    for sql in statements {
        match admin.query(login, sql).await {
            Ok(rows) => return Ok(Some(rows)),
            Err(AdminError::Server { .. } | AdminError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn replicas(listed: &Rows, stream_hosts: &BTreeSet<String>) -> Vec<ConnectedReplica> {
    let replica = |row: usize| {
        let server_id = listed.get(row, "Server_id")?.parse().ok().filter(|id| *id > 0)?;
        let port = listed.get(row, "Port")?.parse().ok().filter(|port| *port > 0)?;
        let reported = listed.get(row, "Host").filter(|host| !host.is_empty());
        let mut endpoints: Vec<Endpoint> =
            reported.map(|host| Endpoint::new(host, port)).into_iter().collect();
        for host in stream_hosts {
            let endpoint = Endpoint::new(host.as_str(), port);
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        Some(ConnectedReplica { server_id, endpoints })
    };
    (0..listed.rows.len()).filter_map(replica).collect()
}

/// `10.0.0.7` of `10.0.0.7:51234`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_is_reported_and_then_where_streams_come_from() {
        let text = |text: &str| Some(text.to_owned());
        let listed = Rows {
            columns: ["Server_id", "Host", "Port", "Master_id"].map(str::to_owned).to_vec(),
            rows: vec![
                vec![text("11"), text("db-2"), text("3306"), text("1")],
                vec![text("12"), text(""), text("3307"), text("1")],
                vec![text("0"), text("db-4"), text("3306"), text("1")],
            ],
        };
        let hosts = ["10.0.0.7:51234", "[::1]:9", "localhost"].map(without_port);
        assert_eq!(hosts, ["10.0.0.7", "[::1]", "localhost"]);
        let found = replicas(&listed, &BTreeSet::from(["10.0.0.7".to_owned()]));
        let told: Vec<(u64, Vec<String>)> = found
            .iter()
            .map(|one| (one.server_id, one.endpoints.iter().map(Endpoint::to_string).collect()))
            .collect();
        let wanted = |id, endpoints: &[&str]| {
            (id, endpoints.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            told,
            [wanted(11, &["db-2:3306", "10.0.0.7:3306"]), wanted(12, &["10.0.0.7:3307"])]
        );
    }
}

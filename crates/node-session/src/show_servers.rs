//! SHOW and KILL that are about the servers behind a node: their sessions, their sizes, their
//! engines. Physical names are what these are for. What other sessions run there is for
//! administrators, as PROCESS is on one server.

use crate::control::text;
use crate::like;
use crate::query::Source;
use crate::session::Core;
use crate::show::{Row, field};
use base::sql_error;
use futures::future::join_all;
use mysql_wire::packet::{ErrPacket, OkPacket};
use node_exec::error::{ExecError, sql};
use node_exec::exec::Warning;
use node_exec::members::Member;
use node_exec::rows::{number_column, text_column};
use sql_syntax::ast::{Kill, Show, Span};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A server of a data node.
struct Server {
    data_node: base::id::DataNodeId,
    host: String,
    port: u16,
    is_replica: bool,
    member: Rc<Member>,
}

fn needs(privileges: &str) -> ExecError {
    sql(
        sql_error::SPECIFIC_ACCESS_DENIED,
        format!(
            "Access denied; you need (at least one of) the {privileges} privilege(s) for this operation"
        ),
    )
}

impl Core {
    fn require_administrator(&self, privilege: &str) -> Result<(), ExecError> {
        if self.account()?.administrator { Ok(()) } else { Err(needs(privilege)) }
    }

    fn servers(&self) -> Vec<Server> {
        let mut servers = Vec::new();
        for node in self.worker.backends.all() {
            let definition = &node.definition;
            servers.push(Server {
                data_node: definition.id.clone(),
                host: definition.host.clone(),
                port: definition.port,
                is_replica: false,
                member: node.primary().clone(),
            });
            for (member, replica) in node.replicas().iter().zip(&definition.replicas) {
                servers.push(Server {
                    data_node: replica.id.clone(),
                    host: replica.host.clone(),
                    port: replica.port,
                    is_replica: true,
                    member: member.clone(),
                });
            }
        }
        servers
    }

    /// Asks servers, all at once. One that does not answer becomes a warning.
    async fn ask_servers(
        &mut self,
        servers: &[Server],
        ask: &str,
    ) -> Result<Vec<(usize, Row)>, ExecError> {
        let runs = servers.iter().enumerate().map(|(number, server)| async move {
            let rows = async {
                let mut lease = server.member.own_lease().await?;
                Ok::<_, ExecError>(lease.query(ask.as_bytes()).await?.into_rows())
            };
            (number, rows.await)
        });
        let (mut all, mut warnings) = (Vec::new(), Vec::new());
        for (number, rows) in join_all(runs).await {
            match rows {
                Ok(rows) => all.extend(rows.iter().map(|row| {
                    let fields = row.fields();
                    (number, fields.map(|field| field.ok().flatten().map(<[u8]>::to_vec)).collect())
                })),
                Err(error) => warnings.push(Warning {
                    level: "Warning".to_owned(),
                    code: sql_error::DATA_NODE_UNREACHABLE.number,
                    message: format!("data node {}: {error}", servers[number].data_node)
                        .into_bytes(),
                }),
            }
        }
        if warnings.len() == servers.len()
            && let Some(first) = warnings.first()
        {
            return Err(sql(sql_error::DATA_NODE_UNREACHABLE, text(&first.message)));
        }
        self.exec.last.warnings = warnings;
        Ok(all)
    }

    /// SHOW PHYSICAL PROCESSLIST \[WITH INFO\].
    pub async fn show_physical_processes(&mut self, show: &Show) -> Result<(), ExecError> {
        self.require_administrator("PROCESS")?;
        let servers = self.servers();
        let found = self.ask_servers(&servers, "SHOW FULL PROCESSLIST").await?;
        let mut rows: Vec<Row> = Vec::new();
        for (number, process) in found {
            let server = &servers[number];
            let mut process = process.into_iter();
            let mut next = || process.next().flatten();
            let own: Vec<_> = (0..8).map(|_| next()).collect();
            if show.with_info && own[7].as_ref().is_none_or(Vec::is_empty) {
                continue;
            }
            let kind = if server.is_replica { "readreplica" } else { "master" };
            let mut row = vec![
                field(&server.host),
                field(server.port),
                field(&server.data_node),
                field(kind),
            ];
            row.extend(own);
            rows.push(row);
        }
        let warnings = std::mem::take(&mut self.exec.last.warnings);
        let columns = [
            text_column("Ip"),
            number_column("Port"),
            text_column("Instance_id"),
            text_column("Type"),
            number_column("Physical_thread_id"),
            text_column("User"),
            text_column("Host"),
            text_column("Db"),
            text_column("Command"),
            number_column("Time"),
            text_column("State"),
            text_column("Info"),
        ];
        self.reply(&columns, &rows).await?;
        self.exec.last.warnings = warnings;
        Ok(())
    }

    /// KILL PHYSICAL thread@ip:port.
    pub async fn kill_physical(
        &mut self,
        kill: &Kill,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        self.require_administrator("CONNECTION ADMIN")?;
        let target = text(kill.target.unwrap_or_default().of(source.text));
        let read = || {
            let (thread, address) = target.split_once('@')?;
            let (host, port) = address.trim().rsplit_once(':')?;
            let host = host.trim().trim_matches(|c| matches!(c, '\'' | '`' | '"'));
            Some((
                thread.trim().parse::<u64>().ok()?,
                host.to_owned(),
                port.trim().parse::<u16>().ok()?,
            ))
        };
        let Some((thread, host, port)) = read() else {
            return Err(sql(
                sql_error::SYNTAX_ERROR,
                "You have an error in your SQL syntax; KILL PHYSICAL takes thread@ip:port as SHOW PHYSICAL \
                 PROCESSLIST shows them",
            ));
        };
        let servers = self.servers();
        let found = servers.iter().find(|server| server.host == host && server.port == port);
        let Some(server) = found else {
            let message = format!("Unknown thread id: {thread}@{host}:{port}");
            return Err(sql(sql_error::NO_SUCH_THREAD, message));
        };
        let mut lease = server.member.own_lease().await?;
        lease.execute_sql(format!("KILL {thread}").as_bytes()).await?;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    /// KILL \[CONNECTION | QUERY\] WHERE …: all sessions that SHOW PROCESSLIST WHERE … would show, but
    /// this one.
    pub async fn kill_chosen(
        &mut self,
        condition: Span,
        what: crate::processes::Kill,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let ids = self.chosen_processes(condition.of(source.text), source).await?;
        let own = u64::from(self.handle.id);
        let mut killed = 0;
        for id in ids.into_iter().filter(|id| *id != own) {
            // One that ended meanwhile is gone as wanted.
            match self.kill(id, what).await {
                Ok(()) => killed += 1,
                Err(error) if error.packet().number == sql_error::NO_SUCH_THREAD.number => {}
                Err(error) => return Err(error),
            }
        }
        self.reply_ok_packet(OkPacket { affected_rows: killed, ..OkPacket::default() });
        Ok(())
    }

    /// KILL USER name: all sessions of an account but this one.
    pub async fn kill_user(&mut self, kill: &Kill, source: Source<'_>) -> Result<(), ExecError> {
        let written = text(kill.target.unwrap_or_default().of(source.text));
        let bare = written.split('@').next().unwrap_or_default().trim().to_owned();
        let name = bare.trim_matches(|c| matches!(c, '\'' | '`' | '"'));
        let is_own = bare.to_ascii_uppercase().starts_with("CURRENT_USER") || name == self.user;
        if !is_own {
            self.require_administrator("CONNECTION ADMIN")?;
        }
        let name = if is_own { self.user.clone() } else { name.to_owned() };
        let killed = self.kill_sessions_of(name).await?;
        self.reply_ok_packet(OkPacket { affected_rows: killed, ..OkPacket::default() });
        Ok(())
    }

    /// SHOW DB STATUS: the estimated size of each shard of the chosen schema.
    pub async fn show_db_status(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let schema = self.schema_of(show.schema, source)?.clone();
        let pattern = self.pattern(show, source)?;
        let servers: Vec<Server> =
            self.servers().into_iter().filter(|server| !server.is_replica).collect();
        let databases: Vec<String> =
            schema.shards.iter().map(|shard| format!("'{}'", shard.database)).collect();
        let ask = format!(
            "SELECT TABLE_SCHEMA, COUNT(*), SUM(TABLE_ROWS), SUM(DATA_LENGTH), SUM(INDEX_LENGTH) \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({}) AND TABLE_TYPE = 'BASE TABLE' \
             AND TABLE_NAME NOT LIKE '\\_ddm%' GROUP BY TABLE_SCHEMA",
            databases.join(", ")
        );
        let found = self.ask_servers(&servers, &ask).await?;
        let mut figures: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (_, row) in found {
            let cells: Vec<String> =
                row.iter().map(|cell| text(cell.as_deref().unwrap_or_default())).collect();
            if let Some((database, numbers)) = cells.split_first() {
                let numbers = numbers.iter().map(|number| number.parse().unwrap_or(0)).collect();
                figures.insert(database.clone(), numbers);
            }
        }
        let mut rows: Vec<Row> = Vec::new();
        for shard in &schema.shards {
            if pattern.as_ref().is_some_and(|pattern| !like::matches(pattern, &shard.database)) {
                continue;
            }
            let server = servers.iter().find(|server| server.data_node == shard.data_node);
            let numbers = figures.get(&shard.database).cloned().unwrap_or(vec![0; 4]);
            let mut row = vec![
                field(&shard.data_node),
                server.and_then(|server| field(&server.host)),
                server.and_then(|server| field(server.port)),
                field(&shard.database),
            ];
            row.extend(numbers.iter().map(field));
            row.push(field(numbers[2] + numbers[3]));
            rows.push(row);
        }
        let columns = [
            text_column("Rds_instance_id"),
            text_column("Host"),
            number_column("Port"),
            text_column("Database"),
            number_column("Table_count"),
            number_column("Row_count"),
            number_column("Data_size"),
            number_column("Index_size"),
            number_column("Total_size"),
        ];
        let warnings = std::mem::take(&mut self.exec.last.warnings);
        self.reply(&columns, &rows).await?;
        self.exec.last.warnings = warnings;
        Ok(())
    }

    /// SHOW FULL INNODB STATUS, SHOW ENGINE INNODB STATUS: a row for each data node.
    pub async fn show_innodb_status(&mut self) -> Result<(), ExecError> {
        self.require_administrator("PROCESS")?;
        let servers: Vec<Server> =
            self.servers().into_iter().filter(|server| !server.is_replica).collect();
        let found = self.ask_servers(&servers, "SHOW ENGINE INNODB STATUS").await?;
        let rows: Vec<Row> = found
            .into_iter()
            .map(|(number, mut row)| {
                let status = row.pop().flatten();
                vec![field("InnoDB"), field(&servers[number].data_node), status]
            })
            .collect();
        let columns = [text_column("Type"), text_column("Name"), text_column("Status")];
        self.reply(&columns, &rows).await
    }

    /// SHOW ENGINE …: of InnoDB as above; other engines have none.
    pub async fn show_engine(&mut self, show: &Show, source: Source<'_>) -> Result<(), ExecError> {
        let words = text(show.rest.unwrap_or_default().of(source.text));
        let mut words = words.split_ascii_whitespace().map(str::to_owned);
        let engine = words.next().unwrap_or_default();
        let what = words.next().unwrap_or_default();
        if engine.eq_ignore_ascii_case("innodb") && what.eq_ignore_ascii_case("status") {
            return self.show_innodb_status().await;
        }
        if engine.eq_ignore_ascii_case("innodb") {
            return Err(sql(
                sql_error::NOT_SUPPORTED,
                "SHOW ENGINE INNODB has STATUS; ask a data node for the rest",
            ));
        }
        let message = format!("Unknown storage engine '{engine}'");
        Err(ExecError::Server(ErrPacket::new(1286, "42000", message)))
    }

    /// SHOW MIGRATE STATUS: shard configurations that run; none can.
    pub async fn show_migrate_status(&mut self) -> Result<(), ExecError> {
        let columns = [
            number_column("ID"),
            text_column("SOURCE_RDS"),
            text_column("MIGRATE_ID"),
            number_column("SUCCEED_TABLE_STRUCTURE"),
            number_column("TOTAL_TABLE_STRUCTURE"),
            number_column("SUCCEED_TABLE_DATA"),
            number_column("TOTAL_TABLE_DATA"),
            number_column("SUCCEED_INDEX_DATA"),
            number_column("TOTAL_INDEX_DATA"),
            number_column("FULL_SUCCEED_COUNT"),
            number_column("FULL_TOTAL_COUNT"),
            text_column("FULL_PERCENTAGE"),
            number_column("LEFT_INCREMENT"),
        ];
        self.reply(&columns, &[]).await
    }

    /// SHOW OPEN TABLES: tables that data nodes have open, each once.
    pub async fn show_open_tables(
        &mut self,
        show: &Show,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let pattern = self.pattern(show, source)?;
        let schemas: Vec<topology::model::Schema> = match show.schema {
            Some(_) => vec![self.schema_of(show.schema, source)?.clone()],
            None => self.visible_schemas().cloned().collect(),
        };
        let servers: Vec<Server> =
            self.servers().into_iter().filter(|server| !server.is_replica).collect();
        let found = self.ask_servers(&servers, "SHOW OPEN TABLES").await?;
        let mut open: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        for (_, row) in found {
            let cells: Vec<String> =
                row.iter().map(|cell| text(cell.as_deref().unwrap_or_default())).collect();
            let [database, physical, uses, locked] = cells.as_slice() else { continue };
            let of = schemas
                .iter()
                .find(|schema| schema.shards.iter().any(|shard| shard.database == *database));
            let Some(schema) = of else { continue };
            let Some(table) = logical_table(schema, physical) else { continue };
            if pattern.as_ref().is_some_and(|pattern| !like::matches(pattern, table)) {
                continue;
            }
            let total = open.entry((schema.name.clone(), table.to_owned())).or_default();
            total.0 += uses.parse::<u64>().unwrap_or(0);
            total.1 = total.1.max(locked.parse().unwrap_or(0));
        }
        let rows: Vec<Row> = open
            .into_iter()
            .map(|((schema, table), (uses, locked))| {
                vec![field(schema), field(table), field(uses), field(locked)]
            })
            .collect();
        let columns = [
            text_column("Database"),
            text_column("Table"),
            number_column("In_use"),
            number_column("Name_locked"),
        ];
        self.reply(&columns, &rows).await
    }

    /// SHOW BINARY LOGS and its kin: as a server answers whoever lacks the right.
    pub fn show_replication(&self, show: &Show, source: Source<'_>) -> ExecError {
        let words = text(show.span.of(source.text)).to_ascii_uppercase();
        let has = |word: &str| words.split_ascii_whitespace().any(|other| other == word);
        needs(if has("HOSTS") || has("REPLICAS") {
            "REPLICATION MASTER ADMIN"
        } else if has("RELAYLOG") {
            "SLAVE MONITOR"
        } else if has("SLAVE") || has("SLAVES") || has("REPLICA") {
            "SUPER, SLAVE MONITOR"
        } else if has("BINLOG") {
            "BINLOG MONITOR"
        } else {
            "SUPER, BINLOG MONITOR"
        })
    }
}

/// The logical table of a physical one.
fn logical_table<'s>(schema: &'s topology::model::Schema, physical: &str) -> Option<&'s str> {
    if let Some(table) = schema.table(physical) {
        return Some(&table.name);
    }
    let (name, suffix) = physical.rsplit_once('_')?;
    let suffix: u32 = suffix.parse().ok()?;
    let table = schema.table(name)?;
    table.physical_name(suffix).eq_ignore_ascii_case(physical).then_some(table.name.as_str())
}

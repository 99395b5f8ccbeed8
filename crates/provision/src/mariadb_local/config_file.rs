//! `my.cnf` of a local server, written at every start: it is ours alone, and the only one that the
//! server reads. Durability is full (a committed transaction survives a crash), the binlog is in
//! the form that replicas and online resharding need.

use super::record::{Record, Role};
use super::{LOCAL_HOST, LocalMariaDbOptions};
use crate::error::ProvisionError;
use crate::files;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Days that binlogs are kept.
const BINLOG_DAYS: u32 = 7;

/// The largest packet, above the product's own bound on a statement.
const PACKET_MB_MAX: u32 = 256;

/// Where a server's configuration is.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("my.cnf")
}

/// A server's own directory for temporary files. It must be its own: a server that starts removes
/// the temporary tables that it finds there, also those of a running server.
pub fn temporary_dir(directory: &Path) -> PathBuf {
    directory.join("tmp")
}

/// Writes it.
pub fn write(options: &LocalMariaDbOptions, record: &Record) -> Result<(), ProvisionError> {
    let directory = record.directory(&options.root_dir);
    files::make_private_dir(&temporary_dir(&directory))?;
    files::write_private(&path(&directory), text(options, record, &directory).as_bytes())
}

/// The user that the server must be told to run as: it refuses root unless told.
pub fn run_as() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("root")
}

fn text(options: &LocalMariaDbOptions, record: &Record, directory: &Path) -> String {
    let mut text = String::from("# Written at every start; changes are lost.\n[mariadbd]\n");
    let mut set = |key: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{key} = {value}").expect("a string takes every write");
    };
    if let Some(user) = run_as() {
        set("user", &user);
    }
    set("datadir", &directory.join("data").display());
    set("tmpdir", &temporary_dir(directory).display());
    // Relative to the data directory: an absolute path can pass the 107 bytes that a socket may have.
    set("socket", &"../socket");
    set("pid-file", &"../server-own.pid");
    set("bind-address", &LOCAL_HOST);
    set("port", &record.port);
    set("server-id", &record.server_id);
    set("skip-name-resolve", &"ON");
    set("lower-case-table-names", &1);
    set("local-infile", &"ON");
    set("character-set-server", &"utf8mb4");
    set("collation-server", &"utf8mb4_general_ci");
    set("max-connections", &options.max_connections);
    set("max-allowed-packet", &format_args!("{PACKET_MB_MAX}M"));
    set("innodb-buffer-pool-size", &format_args!("{}M", options.buffer_pool_mb));
    set("innodb-flush-log-at-trx-commit", &1);
    set("sync-binlog", &1);
    set("log-bin", &"binlog");
    // Rows are logged, not statements, so functions and triggers do no harm to replicas.
    set("log-bin-trust-function-creators", &1);
    set("binlog-format", &"ROW");
    set("binlog-row-image", &"FULL");
    set("expire-logs-days", &BINLOG_DAYS);
    set("max-binlog-size", &"256M");
    set("log-slave-updates", &"ON");
    set("gtid-strict-mode", &"ON");
    set("relay-log", &"relay");
    if record.role != Role::Primary {
        set("read-only", &"ON");
        set("slave-net-timeout", &10);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_only_reads() {
        let options = LocalMariaDbOptions::new(PathBuf::from("/d"), 1, 1);
        let primary = Record::new_primary(1, 4000);
        let replica = Record::new_replica(&primary, 1, 4001);
        let of = |record: &Record| text(&options, record, &record.directory(&options.root_dir));
        assert!(of(&primary).contains("port = 4000\n"));
        assert!(!of(&primary).contains("read-only"));
        assert!(of(&replica).contains("read-only = ON\n"));
        assert!(of(&replica).contains("datadir = /d/1-replica-1/data\n"));
    }
}

//! Where a log cannot be written, its lines are lost, and nobody who logs.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use telemetry::logs::{self, LogFormat};

/// Set in the process whose standard error is full.
const CHILD: &str = "DDM_TEST_FULL_LOG";

#[test]
fn a_log_on_a_full_disk_stops_nobody() {
    if std::env::var_os(CHILD).is_some() {
        assert!(logs::init(LogFormat::Text, "info"));
        tracing::error!("nobody will read this");
        return;
    }
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_log_on_a_full_disk_stops_nobody", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .stderr(full)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

//! Which process is meant, for longer than a number can say: pids are used again, so a process is
//! named by pid, start time and the machine's boot. Signals go through a pidfd that is checked
//! against all three after it was opened, so a recycled pid is never hit.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Fields of `/proc/<pid>/stat` between the command's closing bracket and the start time (proc(5):
/// the state is field 3, the start time field 22).
const START_TIME_FIELD: usize = 19;

/// One process of this machine since its boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks after the boot.
    pub start_ticks: u64,
    /// The kernel's id of this boot.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The process that has this number now; `None` when there is none (or only its remains).
    pub fn of(pid: i32) -> Option<Self> {
        let start_ticks = start_ticks_of_living(pid)?;
        Some(Self { pid, start_ticks, boot_id: boot_id() })
    }

    /// Whether this very process lives. One that ended and waits to be reaped does not.
    pub fn is_alive(&self) -> bool {
        start_ticks_of_living(self.pid) == Some(self.start_ticks) && boot_id() == self.boot_id
    }

    /// Sends a signal to this very process; false when it lives no more.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // The handle holds one process for good; only now is it certain that it is the right one.
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A living process of this user that was started as `program` with exactly these arguments.
    /// It finds a child whose parent was killed before it could note the child's pid.
    pub fn find(program: &Path, arguments: &[OsString]) -> Option<Self> {
        let user = rustix::process::geteuid().as_raw();
        let wanted = Wanted { file_name: program.file_name()?, arguments };
        std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let owner = entry.metadata().ok()?.uid();
            if owner != user || !wanted.matches(&std::fs::read(entry.path().join("cmdline")).ok()?)
            {
                return None;
            }
            Self::of(pid)
        })
    }
}

/// A command line to look for.
struct Wanted<'a> {
    file_name: &'a OsStr,
    arguments: &'a [OsString],
}

impl Wanted<'_> {
    fn matches(&self, command_line: &[u8]) -> bool {
        let mut parts =
            command_line.strip_suffix(b"\0").unwrap_or(command_line).split(|byte| *byte == 0);
        let Some(program) = parts.next() else { return false };
        Path::new(OsStr::from_bytes(program)).file_name() == Some(self.file_name)
            && parts.eq(self.arguments.iter().map(|argument| argument.as_bytes()))
    }
}

/// The start time of a living process.
fn start_ticks_of_living(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// The start time in a line of `/proc/<pid>/stat`; `None` for a dead process.
fn parse_stat(stat: &str) -> Option<u64> {
    // The command's name may hold spaces and brackets: what follows its last bracket is regular.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(START_TIME_FIELD - 1)?.parse().ok()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn stat_lines() {
        let tail = "R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 290171 19 20";
        assert_eq!(parse_stat(&format!("12 (cat) {tail}")), Some(290_171));
        assert_eq!(parse_stat(&format!("12 (a) b) c) {tail}")), Some(290_171));
        assert_eq!(parse_stat(&format!("12 (cat) Z{}", &tail[1..])), None);
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn this_process_lives_and_another_start_time_does_not() {
        let own = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive());
        let recycled = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() };
        assert!(!recycled.is_alive());
        // Would end this test process if the identity were not checked.
        assert!(!recycled.signal(Signal::KILL).unwrap());
        let before_reboot = ProcessIdentity { boot_id: "another".to_owned(), ..own };
        assert!(!before_reboot.signal(Signal::KILL).unwrap());
    }

    #[test]
    fn found_by_its_command_line() {
        let arguments = [OsString::from("307.0815")];
        let mut child = Command::new("sleep").args(&arguments).spawn().unwrap();
        // The kernel lets the parent go on a moment before it shows the new command line.
        let found = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            ProcessIdentity::find(Path::new("/usr/bin/sleep"), &arguments)
        });
        let found = found.unwrap();
        assert_eq!(found.pid, child.id().cast_signed());
        assert_eq!(ProcessIdentity::find(Path::new("sleep"), &["307".into()]), None);
        assert!(found.signal(Signal::KILL).unwrap());
        child.wait().unwrap();
        assert!(!found.is_alive());
    }
}

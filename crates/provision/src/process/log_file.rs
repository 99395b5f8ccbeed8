//! A child's log: one file that the child appends to, and a few older ones. It is cut when the
//! child starts and, while it runs, by copying and truncating (the child keeps its descriptor, and
//! appending continues at the new end); a line written between the two is lost, disk space is not.

use crate::error::ProvisionError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A log that is longer is rotated.
pub const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How many rotated logs are kept.
pub const OLD_LOGS_KEPT: u32 = 3;

/// How much of a log's end an error message may show.
const TAIL_BYTES: u64 = 16 * 1024;

/// The same in lines.
const TAIL_LINES: usize = 12;

/// A log file and its rotated predecessors (`x.log.1` is the youngest).
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    bytes_max: u64,
}

impl LogFile {
    /// The log at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, bytes_max: LOG_BYTES_MAX }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for a child that is to be started; a long one is put aside first.
    pub fn open(&self) -> Result<File, ProvisionError> {
        let open = || -> io::Result<File> {
            if self.len() > self.bytes_max {
                self.shift_old()?;
                fs::rename(&self.path, self.old(1))?;
            }
            OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
        };
        open().map_err(ProvisionError::io("open", &self.path))
    }

    /// Rotates it under a running child if it is too long.
    pub fn rotate_if_long(&self) -> Result<(), ProvisionError> {
        if self.len() <= self.bytes_max {
            return Ok(());
        }
        let rotate = || -> io::Result<()> {
            self.shift_old()?;
            fs::copy(&self.path, self.old(1))?;
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)
        };
        rotate().map_err(ProvisionError::io("rotate", &self.path))
    }

    /// Its present length; to be given to [`Self::tail_since`].
    pub fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last lines that were written after `offset`.
    pub fn tail_since(&self, offset: u64) -> String {
        let mut text = Vec::new();
        let mut read = || -> io::Result<()> {
            let mut file = File::open(&self.path)?;
            let from = offset.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
            file.seek(SeekFrom::Start(from))?;
            file.take(TAIL_BYTES).read_to_end(&mut text).map(drop)
        };
        if read().is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn old(&self, age: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{age}"));
        PathBuf::from(name)
    }

    fn shift_old(&self) -> io::Result<()> {
        for age in (1..OLD_LOGS_KEPT).rev() {
            match fs::rename(self.old(age), self.old(age + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn rotation_is_bounded_and_the_writer_goes_on() {
        let dir = std::env::temp_dir().join(format!("ddm-log-{}", base::id::NodeId::random()));
        fs::create_dir(&dir).unwrap();
        let log = LogFile { path: dir.join("a.log"), bytes_max: 10 };
        let mut writer = log.open().unwrap();
        for round in 0..6 {
            writeln!(writer, "line number {round}").unwrap();
            log.rotate_if_long().unwrap();
        }
        writeln!(writer, "end").unwrap();
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "end\n");
        assert_eq!(fs::read_to_string(log.old(1)).unwrap(), "line number 5\n");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1 + OLD_LOGS_KEPT as usize);
        assert_eq!(log.tail_since(0), "end");
        assert_eq!(log.tail_since(4), "");
        fs::remove_dir_all(dir).unwrap();
    }
}

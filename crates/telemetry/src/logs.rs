//! The set-up of `tracing`: lines on standard error, as text for people or JSON for collectors,
//! filtered by `DDM_LOG` (or `RUST_LOG`) in the usual filter language.

use std::str::FromStr;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// What is logged when no filter is given.
pub const DEFAULT_FILTER: &str = "info";

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A name that is no log format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLogFormat(String);

impl std::fmt::Display for UnknownLogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown log format {:?}: use `text` or `json`", self.0)
    }
}

impl std::error::Error for UnknownLogFormat {}

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(UnknownLogFormat(other.to_owned())),
        }
    }
}

/// The filter that the environment asks for, else `default`.
fn filter(default: &str) -> EnvFilter {
    let wanted = std::env::var("DDM_LOG").or_else(|_| std::env::var("RUST_LOG"));
    match wanted {
        Ok(text) if !text.is_empty() => EnvFilter::new(text),
        _ => EnvFilter::new(default),
    }
}

/// Sets the process's logging up; a second call changes nothing and answers false.
pub fn init(format: LogFormat, default_filter: &str) -> bool {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(default_filter))
        .with_timer(SystemTime)
        // A line that cannot be written, to a full disk for one, is left out: to tell of it on standard error would panic there.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(false).try_init().is_ok(),
        LogFormat::Json => builder.json().try_init().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_parse_and_others_are_refused() {
        assert_eq!("text".parse(), Ok(LogFormat::Text));
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("xml".parse::<LogFormat>().is_err());
    }
}

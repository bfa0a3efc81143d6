//! What is written to standard error.

use clap::{Args, ValueEnum};

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What is written to standard error.
#[derive(Debug, Clone, Args)]
pub struct LogSettings {
    /// error, warn, info, debug, or directives such as `info,agent_messenger=debug`.
    #[arg(long = "log-level", env = "LOG_LEVEL", default_value = "info")]
    pub level: String,
    /// The shape of a line.
    #[arg(long = "log-format", env = "LOG_FORMAT", default_value = "pretty")]
    pub format: LogFormat,
}

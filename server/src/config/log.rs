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
    #[arg(long = "log-level", env = "LOG_LEVEL", default_value = "info", value_parser = level)]
    pub level: String,
    /// The shape of a line.
    #[arg(long = "log-format", env = "LOG_FORMAT", default_value = "pretty")]
    pub format: LogFormat,
}

/// What the log's filter takes; a single level in any case, and `warning` as the Go server had it.
fn level(text: &str) -> Result<String, String> {
    const EXPECTED: &str =
        "expected error, warn, info, debug, trace, or directives such as info,store=debug";
    let single = text.trim().to_ascii_lowercase();
    match single.as_str() {
        "warning" => Ok("warn".to_owned()),
        "error" | "warn" | "info" | "debug" | "trace" | "off" => Ok(single),
        _ if text.contains('=') => tracing_subscriber::EnvFilter::try_new(text)
            .map(|_| text.to_owned())
            .map_err(|_| EXPECTED.to_owned()),
        _ => Err(EXPECTED.to_owned()),
    }
}

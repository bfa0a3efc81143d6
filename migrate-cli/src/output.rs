//! The only place that prints: text for people, or one JSON value for scripts.

use crate::failure::Failure;
use serde::Serialize;
use std::io::Write;

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// One JSON value instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints `value` as JSON, or `text`. A reader that went away (`| head`) is no failure.
    pub(crate) fn result(self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        let line = if self.json {
            serde_json::to_string_pretty(value).map_err(std::io::Error::from)?
        } else {
            text.trim_end().to_owned()
        };
        match writeln!(std::io::stdout(), "{line}") {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Prints why nothing was done, on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let line = if self.json {
            serde_json::json!({ "error": failure.to_string(), "exit": failure.exit_code() })
                .to_string()
        } else {
            format!("am-migrate: {failure}")
        };
        // Standard error may be closed; the exit code still says it.
        drop(writeln!(std::io::stderr(), "{line}"));
    }
}

//! The only place that prints: tables and sentences for people, or one JSON value for scripts.

use crate::failure::Failure;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whose errors they are.
    pub program: &'static str,
    /// One JSON value instead of text.
    pub json: bool,
}

impl Output {
    /// Prints `value` as JSON, or `text`. A reader that went away (`| head`) is no failure.
    pub fn result(self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
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

    /// Prints `rows` as JSON, or as a table under `head`; `none` where there are no rows.
    pub fn list<T: Serialize>(
        self,
        rows: &[T],
        head: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
        none: &str,
    ) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(head.to_vec());
        table.add_rows(rows.iter().map(cells));
        let text = if rows.is_empty() {
            none.to_owned()
        } else {
            table.trim_fmt()
        };
        self.result(&rows, &text)
    }

    /// Prints why nothing was done, on standard error.
    pub fn failure(self, failure: &Failure) {
        let line = if self.json {
            serde_json::json!({ "error": failure.to_string(), "exit": failure.exit_code() })
                .to_string()
        } else {
            format!("{}: {failure}", self.program)
        };
        // Standard error may be closed; the exit code still says it.
        drop(writeln!(std::io::stderr(), "{line}"));
    }

    /// Tells a failure, and gives the exit code.
    pub fn exit(self, done: Result<(), Failure>) -> ExitCode {
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                self.failure(&failure);
                ExitCode::from(failure.exit_code())
            }
        }
    }
}

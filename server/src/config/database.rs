//! Where the log is kept.

use super::value;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Synchronous {
    /// When the disk has it: nothing acknowledged is lost, even when the power fails.
    Full,
    /// When the system has it: a power failure may take the last moments.
    Normal,
}

/// Where the log is kept.
#[derive(Debug, Clone, Args)]
pub struct DatabaseSettings {
    /// The SQLite file [default: agent-messenger.db in the data folder].
    #[arg(long = "db", alias = "db-path", env = "DB_PATH")]
    pub path: Option<PathBuf>,
    /// The kind of database. SQLite is the one there is in this version.
    #[arg(long = "db-driver", env = "DB_DRIVER", default_value = "sqlite")]
    pub driver: String,
    /// When a commit counts as done.
    #[arg(
        long = "db-synchronous",
        env = "DB_SYNCHRONOUS",
        default_value = "full"
    )]
    pub synchronous: Synchronous,
    /// Size at which the write-ahead log is started anew.
    #[arg(long, env = "WAL_LIMIT", default_value = "64MiB", value_parser = value::bytes)]
    pub wal_limit: u64,
    /// How long a repeated `client_msg_id` or Idempotency-Key is recognised.
    #[arg(long, env = "DEDUPE_WINDOW", default_value = "14d", value_parser = value::duration)]
    pub dedupe_window: Duration,
}

impl DatabaseSettings {
    /// The file.
    pub fn file(&self, data_dir: &Path) -> PathBuf {
        self.path
            .clone()
            .unwrap_or_else(|| data_dir.join("agent-messenger.db"))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.driver.as_str() {
            "sqlite" | "sqlite3" => Ok(()),
            other => Err(format!(
                "--db-driver (DB_DRIVER) is {other:?}: this version has sqlite only"
            )),
        }
    }
}

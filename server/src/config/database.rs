//! Where the log is kept.

use super::value;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Location, PoolLimits, PostgresUrl, StoreConfig};

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
    /// A PostgreSQL database instead of the file: `postgres://user:password@host/name`, with
    /// `?sslmode=verify-full` for TLS that proves who answers.
    /// It wins over --db.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = address)]
    pub database_url: Option<Address>,
    /// The kind of database [default: postgres where a database URL is given, else sqlite].
    #[arg(long = "db-driver", env = "DB_DRIVER")]
    pub driver: Option<Driver>,
    /// Connections to PostgreSQL in all: one writes, the others read.
    #[arg(
        long = "db-max-open-conns",
        env = "DB_MAX_OPEN_CONNS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(2..=100)
    )]
    pub max_open_conns: u32,
    /// Connections to PostgreSQL that stay open though nobody reads [default: all].
    #[arg(long = "db-max-idle-conns", env = "DB_MAX_IDLE_CONNS")]
    pub max_idle_conns: Option<u32>,
    /// Age at which a connection to PostgreSQL is replaced; 0 for never.
    #[arg(
        long = "db-conn-max-lifetime",
        env = "DB_CONN_MAX_LIFETIME",
        default_value = "30m",
        value_parser = value::duration
    )]
    pub conn_max_lifetime: Duration,
    /// How long a connection to PostgreSQL may lie idle; 0 for ever.
    #[arg(
        long = "db-conn-max-idle-time",
        env = "DB_CONN_MAX_IDLE_TIME",
        default_value = "5m",
        value_parser = value::duration
    )]
    pub conn_max_idle_time: Duration,
    /// When a commit counts as done.
    #[arg(
        long = "db-synchronous",
        env = "DB_SYNCHRONOUS",
        default_value = "full"
    )]
    pub synchronous: Synchronous,
    /// Size at which SQLite's write-ahead log is started anew.
    #[arg(long, env = "WAL_LIMIT", default_value = "64MiB", value_parser = value::bytes)]
    pub wal_limit: u64,
    /// How long a repeated `client_msg_id` or Idempotency-Key is recognised.
    #[arg(long, env = "DEDUPE_WINDOW", default_value = "14d", value_parser = value::duration)]
    pub dedupe_window: Duration,
}

/// The kinds of database, under the names of the Go server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// A file.
    #[value(alias = "sqlite3")]
    Sqlite,
    /// A server.
    #[value(alias = "postgresql", alias = "pgx")]
    Postgres,
}

impl DatabaseSettings {
    /// The database that is named, if it is one of PostgreSQL.
    fn server(&self) -> Option<&PostgresUrl> {
        self.database_url.as_ref()?.0.as_ref()
    }

    /// Whether the log is kept by PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.server().is_some()
    }

    /// How the store is opened.
    pub fn store(&self, data_dir: &Path) -> StoreConfig {
        let some = |time: Duration| (!time.is_zero()).then_some(time);
        let plain = StoreConfig::at(self.location(data_dir));
        StoreConfig {
            synchronous: match self.synchronous {
                Synchronous::Full => store::Synchronous::Full,
                Synchronous::Normal => store::Synchronous::Normal,
            },
            wal_limit_bytes: self.wal_limit,
            dedupe_window_s: self.dedupe_window.as_secs() as i64,
            readers: if self.is_postgres() {
                self.max_open_conns - 1
            } else {
                plain.readers
            },
            pool: PoolLimits {
                min_idle: self.max_idle_conns,
                max_lifetime: some(self.conn_max_lifetime),
                idle_timeout: some(self.conn_max_idle_time),
            },
            ..plain
        }
    }

    /// Where the log is.
    fn location(&self, data_dir: &Path) -> Location {
        match self.server() {
            Some(url) => Location::Postgres(url.clone()),
            None => Location::Sqlite(
                self.path
                    .clone()
                    .unwrap_or_else(|| data_dir.join("agent-messenger.db")),
            ),
        }
    }

    pub(super) fn check(&self) -> Vec<String> {
        self.one_database().err().into_iter().collect()
    }

    fn one_database(&self) -> Result<(), String> {
        match (self.driver, self.server()) {
            (Some(Driver::Postgres), None) => {
                Err("DB_DRIVER is postgres: DATABASE_URL must name the database".to_owned())
            }
            (Some(Driver::Sqlite), Some(_)) => Err(
                "DB_DRIVER is sqlite, and DATABASE_URL names another database: leave one out"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// The address of a database, or nothing: compose files set what is not used to an empty text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Option<PostgresUrl>);

fn address(text: &str) -> Result<Address, String> {
    match text.trim() {
        "" => Ok(Address(None)),
        text => PostgresUrl::parse(text).map(|url| Address(Some(url))),
    }
}

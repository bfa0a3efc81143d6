//! Which database is meant, as both command lines say it.

use crate::failure::Failure;
use clap::Args;
use std::path::{Path, PathBuf};
use store::{Location, PostgresUrl};

/// Which database is meant.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Database file, or postgres://… [default: agent-messenger.db in the data directory]
    #[arg(long, global = true, env = "DB_PATH", value_name = "FILE")]
    db: Option<String>,
    /// A PostgreSQL database; it wins over --db
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The server's data directory
    #[arg(
        long,
        global = true,
        env = "DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    data_dir: PathBuf,
}

impl Place {
    /// The database.
    pub fn location(&self) -> Result<Location, Failure> {
        let filled = |text: &&String| !text.trim().is_empty();
        if let Some(url) = self.database_url.as_ref().filter(filled) {
            return server(url);
        }
        match self.db.as_ref().filter(filled) {
            Some(url) if url.starts_with("postgres") && url.contains("://") => server(url),
            Some(path) => Ok(Location::Sqlite(path.into())),
            None => Ok(Location::Sqlite(self.data_dir.join("agent-messenger.db"))),
        }
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Refuses a file that is not there.
    pub fn must_exist(location: &Location) -> Result<(), Failure> {
        match location {
            Location::Sqlite(path) if !path.exists() => {
                Err(Failure::NoDatabase(path.display().to_string()))
            }
            _ => Ok(()),
        }
    }
}

fn server(url: &str) -> Result<Location, Failure> {
    PostgresUrl::parse(url)
        .map(Location::Postgres)
        .map_err(|error| Failure::Usage(format!("the database address is {error}")))
}

//! Where a log is kept: a file of SQLite, or a database of PostgreSQL. Shown to people without
//! the password.

use std::fmt;
use std::path::{Path, PathBuf};
use url::Url;

/// Where a log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The database file; its folder must exist.
    Sqlite(PathBuf),
    /// The database of a server.
    Postgres(PostgresUrl),
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Sqlite(path.to_path_buf())
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::Sqlite(path.clone())
    }
}

impl From<PostgresUrl> for Location {
    fn from(url: PostgresUrl) -> Self {
        Self::Postgres(url)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// A `postgres://user:password@host:port/database?sslmode=…` address, as libpq reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Url);

impl PostgresUrl {
    /// Reads an address; the error says what is wrong with it, without the address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| {
            format!("not an address such as postgres://user@host/name: {error}")
        })?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("expected postgres://…, not {}://…", url.scheme()));
        }
        Ok(Self(url))
    }

    /// The whole address, its password too.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for PostgresUrl {
    /// Without the password, and without parameters, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
            return f.write_str("postgres://***");
        }
        shown.fmt(f)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let url = PostgresUrl::parse("postgres://am:s3cret@db:5433/log?password=x&sslmode=require");
        let url = url.expect("valid");
        assert_eq!(url.to_string(), "postgres://am:***@db:5433/log");
        assert!(!format!("{url:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_no_address_of_postgresql_is_refused() {
        for (text, said) in [
            ("mysql://h/db", "mysql"),
            ("/var/lib/am.db", "not an address"),
            ("host=h dbname=d", "not an address"),
        ] {
            let error = PostgresUrl::parse(text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }
}

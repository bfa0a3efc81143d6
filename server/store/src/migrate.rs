//! The schema's versions, for the command line and for every start: what is applied, bringing
//! the rest, taking some back. Offline, under the same lock as the server.

use crate::config::StoreConfig;
use crate::error::OpenError;
use crate::location::Location;
use crate::{postgres, sqlite};
use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use std::fs::File;

/// What `server_state` says under `schema` in a database of this program.
pub(crate) const MARK: &str = "agent-messenger";

/// One version of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// Its number, digits only.
    pub version: String,
    /// Whether it is in the database.
    pub applied: bool,
}

/// What a database holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing yet.
    Empty,
    /// Ours; the versions that were applied, ascending.
    Ours(Vec<String>),
}

/// A database under its lock, with what is applied.
struct Opened {
    db: Writable,
    applied: Vec<String>,
    place: Location,
    _lock: Option<File>,
}

/// A connection that the harness of migrations takes.
enum Writable {
    Sqlite(diesel::SqliteConnection),
    /// The way to the server lasts as long as the connection.
    Postgres(
        Box<diesel::PgConnection>,
        #[expect(dead_code, reason = "held")] Box<postgres::Server>,
    ),
}

impl Opened {
    fn at(place: &Location) -> Result<Self, OpenError> {
        let (db, lock, contents) = match place {
            Location::Sqlite(path) => {
                let lock = sqlite::open::lock(path)?;
                sqlite::open::inspect_file(path)?;
                let mut conn = sqlite::open::establish(path, "rwc")?;
                let contents = sqlite::open::inspect(&mut conn, path)?;
                (Writable::Sqlite(conn), Some(lock), contents)
            }
            Location::Postgres(url) => {
                let server = Box::new(postgres::Server::new(url)?);
                let mut conn = Box::new(postgres::locked(&server)?);
                let contents = postgres::inspect(&mut conn, &server)?;
                (Writable::Postgres(conn, server), None, contents)
            }
        };
        let applied = match contents {
            Contents::Empty => Vec::new(),
            Contents::Ours(applied) => applied,
        };
        refuse_newer(&applied, place)?;
        Ok(Self {
            db,
            applied,
            place: place.clone(),
            _lock: lock,
        })
    }

    fn up(&mut self) -> Result<Vec<String>, OpenError> {
        let done = match &mut self.db {
            Writable::Sqlite(conn) => {
                let config = StoreConfig::at(self.place.clone());
                sqlite::open::prepare(conn, &config)
                    .map_err(|error| OpenError::said(&self.place, &error.to_string()))?;
                run_pending(conn, sqlite::open::MIGRATIONS)
            }
            Writable::Postgres(conn, _) => run_pending(&mut **conn, postgres::MIGRATIONS),
        };
        done.map_err(|text| OpenError::said(&self.place, &text))
    }

    fn down(&mut self) -> Result<String, OpenError> {
        let version = match &mut self.db {
            Writable::Sqlite(conn) => revert_last(conn, sqlite::open::MIGRATIONS),
            Writable::Postgres(conn, _) => revert_last(&mut **conn, postgres::MIGRATIONS),
        };
        version.map_err(|text| OpenError::said(&self.place, &text))
    }
}

/// Applies what is missing; gives the versions applied now.
pub(crate) fn run_pending<DB: Backend>(
    conn: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, String>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let done = conn.run_pending_migrations(migrations);
    done.map(|versions| versions.iter().map(ToString::to_string).collect())
        .map_err(|error| error.to_string())
}

fn revert_last<DB: Backend>(
    conn: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<String, String>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let undone = conn.revert_last_migration(migrations);
    undone
        .map(|version| version.to_string())
        .map_err(|error| error.to_string())
}

/// The versions that this program knows, ascending.
fn known(place: &Location) -> Result<Vec<String>, OpenError> {
    let versions = match place {
        Location::Sqlite(_) => versions_of::<Sqlite>(&sqlite::open::MIGRATIONS),
        Location::Postgres(_) => versions_of::<Pg>(&postgres::MIGRATIONS),
    };
    versions.map_err(|text| OpenError::said(place, &text))
}

fn versions_of<DB: Backend>(migrations: &EmbeddedMigrations) -> Result<Vec<String>, String>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let all: Vec<Box<dyn Migration<DB>>> =
        migrations.migrations().map_err(|error| error.to_string())?;
    let mut versions: Vec<String> = all
        .iter()
        .map(|migration| migration.name().version().as_owned().to_string())
        .collect();
    versions.sort();
    Ok(versions)
}

/// Refuses versions that this program does not know.
pub(crate) fn refuse_newer(applied: &[String], place: &Location) -> Result<(), OpenError> {
    let known = known(place)?;
    let unknown = applied.iter().rev();
    match unknown.into_iter().find(|version| !known.contains(version)) {
        Some(version) => Err(OpenError::Newer {
            place: place.clone(),
            version: version.clone(),
        }),
        None => Ok(()),
    }
}

/// Every version that this program knows, ascending. An absent file has none, and stays absent.
pub fn status(place: impl Into<Location>) -> Result<Vec<VersionStatus>, OpenError> {
    let place = place.into();
    let applied = match &place {
        Location::Sqlite(path) if !path.exists() => Vec::new(),
        _ => Opened::at(&place)?.applied,
    };
    Ok(known(&place)?
        .into_iter()
        .map(|version| VersionStatus {
            applied: applied.contains(&version),
            version,
        })
        .collect())
}

/// Applies what is missing; gives the versions applied now.
pub fn up(place: impl Into<Location>) -> Result<Vec<String>, OpenError> {
    Opened::at(&place.into())?.up()
}

/// Takes back the newest `n` versions with all they hold; gives those taken back.
pub fn down(place: impl Into<Location>, n: usize) -> Result<Vec<String>, OpenError> {
    let mut opened = Opened::at(&place.into())?;
    (0..n.min(opened.applied.len()))
        .map(|_| opened.down())
        .collect()
}

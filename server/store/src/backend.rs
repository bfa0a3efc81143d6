//! The two backends as the writer and the readers need them: how a connection is opened, what
//! keeps a second process out, which statements move a transaction.

use crate::config::StoreConfig;
use crate::conn::Db;
use crate::error::OpenError;
use crate::location::Location;
use crate::postgres::{self, Server};
use crate::sqlite;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use std::fs::File;
use std::sync::Arc;

/// What makes connections.
#[derive(Clone)]
pub(crate) enum Backend {
    /// A file.
    Sqlite,
    /// A server, and the way to it.
    Postgres(Arc<Server>),
}

/// What is open after a start.
pub(crate) struct Opened {
    /// The writer's connection. On PostgreSQL it holds the lock.
    pub(crate) db: Db,
    /// SQLite's lock, for as long as it is open.
    pub(crate) lock: Option<File>,
    /// For every other connection.
    pub(crate) backend: Backend,
}

/// Takes the lock, refuses what is not ours, brings the schema up to date.
pub(crate) fn open(config: &StoreConfig) -> Result<Opened, OpenError> {
    match &config.location {
        Location::Sqlite(path) => Ok(Opened {
            lock: Some(sqlite::open::lock(path)?),
            db: Db::Sqlite(sqlite::open::open_writer(path, config)?),
            backend: Backend::Sqlite,
        }),
        Location::Postgres(url) => {
            let server = Arc::new(Server::new(url)?);
            Ok(Opened {
                lock: None,
                db: Db::Postgres(postgres::open_writer(&server, config)?),
                backend: Backend::Postgres(server),
            })
        }
    }
}

impl Backend {
    /// Opens the writer's connection again, after the disk, the server or the connection failed.
    pub(crate) fn reopen_writer(&self, config: &StoreConfig) -> Result<Db, OpenError> {
        match (self, &config.location) {
            (Self::Postgres(server), _) => {
                postgres::reopen_writer(server, config).map(Db::Postgres)
            }
            (Self::Sqlite, Location::Sqlite(path)) => {
                sqlite::open::reopen_writer(path, config).map(Db::Sqlite)
            }
            (Self::Sqlite, Location::Postgres(_)) => {
                Err(OpenError::said(&config.location, "opened as SQLite"))
            }
        }
    }

    /// Opens a connection that can only read.
    pub(crate) fn open_reader(&self, config: &StoreConfig) -> Result<Db, OpenError> {
        match (self, &config.location) {
            (Self::Postgres(server), _) => postgres::open_reader(server, config).map(Db::Postgres),
            (Self::Sqlite, Location::Sqlite(path)) => {
                sqlite::open::open_reader(path).map(Db::Sqlite)
            }
            (Self::Sqlite, Location::Postgres(_)) => {
                Err(OpenError::said(&config.location, "opened as SQLite"))
            }
        }
    }

    /// Whether a batch whose connection broke is worth another try: a file that fails once fails
    /// again, a server comes back or another takes its place.
    pub(crate) const fn may_come_back(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// Begins a transaction that writes. SQLite takes its write lock at once, so that nothing fails
/// on it later.
pub(crate) fn begin(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE"),
        Db::Postgres(c) => AnsiTransactionManager::begin_transaction(c),
    }
}

/// Begins a savepoint in the open transaction.
pub(crate) fn begin_savepoint(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => AnsiTransactionManager::begin_transaction(c),
        Db::Postgres(c) => AnsiTransactionManager::begin_transaction(c),
    }
}

/// Ends the innermost savepoint or the transaction.
pub(crate) fn commit(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => AnsiTransactionManager::commit_transaction(c),
        Db::Postgres(c) => AnsiTransactionManager::commit_transaction(c),
    }
}

/// Undoes the innermost savepoint or the transaction.
pub(crate) fn roll_back(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => AnsiTransactionManager::rollback_transaction(c),
        Db::Postgres(c) => AnsiTransactionManager::rollback_transaction(c),
    }
}

/// Begins a transaction that sees one moment of the log and cannot write.
pub(crate) fn begin_snapshot(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => c.batch_execute("BEGIN"),
        Db::Postgres(c) => c.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
    }
}

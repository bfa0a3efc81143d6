//! What can go wrong in the database, classified once. Diesel's errors stop here; callers see
//! a short closed list and never a text of the database's outside `Internal`, which is for the log.

use crate::location::Location;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use std::path::Path;

/// Why a read or a write was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The row does not exist, or a row it refers to.
    #[error("not found")]
    NotFound,
    /// Another row already has this name or number.
    #[error("conflict with an existing row")]
    Conflict,
    /// The queue is full; nothing was done.
    #[error("the database queue is full")]
    Overloaded,
    /// The disk or the database does not work now (full, I/O error, locked); nothing was done.
    #[error("the database is unavailable")]
    Unavailable,
    /// The connection broke during COMMIT, and nobody could be asked: it may have been done.
    #[error("whether it was stored is not known")]
    Unknown,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// A defect; the text is for the log only.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            DieselError::NotFound
            | DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                Self::NotFound
            }
            _ if is_disk_trouble(&error) => Self::Unavailable,
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// What a backend says when the disk, the file or the server, not the statement, is the matter.
const DISK_TROUBLE: [&str; 16] = [
    "database or disk is full",
    "disk I/O error",
    "database is locked",
    "database table is locked",
    "attempt to write a readonly database",
    "unable to open database file",
    "database disk image is malformed",
    "file is not a database",
    "out of memory",
    // PostgreSQL, whose kinds of error Diesel does not tell apart here.
    "No space left on device",
    "could not extend file",
    "could not write to file",
    "deadlock detected",
    "terminating connection",
    "the database system is",
    "current transaction is aborted",
];

/// Whether `error` concerns the whole database and not one row.
pub(crate) fn is_disk_trouble(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation => false,
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure => true,
            _ => DISK_TROUBLE
                .iter()
                .any(|text| info.message().contains(text)),
        },
        DieselError::BrokenTransactionManager
        | DieselError::AlreadyInTransaction
        | DieselError::NotInTransaction
        | DieselError::RollbackErrorOnCommit { .. } => true,
        _ => false,
    }
}

/// Why the database was not opened. Each sentence says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{0} is in use by another process: stop it first, or choose another database")]
    Locked(Location),
    /// Another program holds a lock inside the file.
    #[error(
        "{0} is locked by another program: close it (an open sqlite3 shell, a backup) and start again"
    )]
    Busy(Location),
    /// The file, its folder or the database cannot be written.
    #[error("{0} cannot be written: make it (a file's folder too) writable for this user")]
    ReadOnly(Location),
    /// No room.
    #[error("no room for {0}: free some space on its disk and start again")]
    DiskFull(Location),
    /// The file is something else, or damaged.
    #[error("{0} is not a SQLite database: choose another path, or restore it from a backup")]
    NotADatabase(Location),
    /// A database of another program.
    #[error("{0} belongs to another program: choose another database")]
    Foreign(Location),
    /// A database of the Go server.
    #[error(
        "{0} is a database of the Go messenger: choose another path and bring it over with `am-migrate import`"
    )]
    GoMessenger(Location),
    /// A database of a newer version of this program.
    #[error(
        "{place} was written by a newer version (schema {version}): start that version, or restore a backup"
    )]
    Newer {
        /// Where.
        place: Location,
        /// The newest schema in it.
        version: String,
    },
    /// The server does not answer, or lets nobody in; the text says what.
    #[error("cannot reach {place}: {text}")]
    Unreachable {
        /// Where.
        place: Location,
        /// What the server or the system said.
        text: String,
    },
    /// The server is too old.
    #[error("{place} runs PostgreSQL {version}: version 13 or newer is needed")]
    TooOld {
        /// Where.
        place: Location,
        /// Its version.
        version: String,
    },
    /// Anything else; the text says what.
    #[error("cannot open {place}: {text}")]
    Io {
        /// Where.
        place: Location,
        /// What the system said.
        text: String,
    },
}

impl OpenError {
    /// Classifies what a backend said about `place`.
    pub(crate) fn said(place: &Location, text: &str) -> Self {
        let place = place.clone();
        match text {
            _ if text.contains("is locked") => Self::Busy(place),
            _ if text.contains("readonly database") || text.contains("read-only transaction") => {
                Self::ReadOnly(place)
            }
            _ if text.contains("disk is full") || text.contains("No space left") => {
                Self::DiskFull(place)
            }
            _ if text.contains("not a database") || text.contains("malformed") => {
                Self::NotADatabase(place)
            }
            _ => Self::Io {
                place,
                text: text.trim().to_owned(),
            },
        }
    }

    /// Classifies what SQLite said about `path`.
    pub(crate) fn from_text(path: &Path, text: &str) -> Self {
        Self::said(&path.into(), text)
    }

    /// Classifies what the file system said about `path`.
    pub(crate) fn from_io(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let place = path.into();
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(place),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull(place),
            _ => Self::Io {
                place,
                text: error.to_string(),
            },
        }
    }
}

//! What can go wrong in the database, classified once. Diesel's errors stop here; callers see
//! a short closed list and never a text of SQLite's outside `Internal`, which is for the log.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use std::path::PathBuf;

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

/// What SQLite says when the disk or the file, not the statement, is the matter.
const DISK_TROUBLE: [&str; 9] = [
    "database or disk is full",
    "disk I/O error",
    "database is locked",
    "database table is locked",
    "attempt to write a readonly database",
    "unable to open database file",
    "database disk image is malformed",
    "file is not a database",
    "out of memory",
];

/// Whether `error` concerns the whole database and not one row.
pub(crate) fn is_disk_trouble(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation => false,
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
    /// Another process holds `<path>.lock`.
    #[error("{} is in use by another process: stop it first, or choose another path", .0.display())]
    Locked(PathBuf),
    /// Another program holds a lock inside the file.
    #[error("{} is locked by another program: close it (an open sqlite3 shell, a backup) and start again", .0.display())]
    Busy(PathBuf),
    /// The file or its folder cannot be written.
    #[error("{} cannot be written: make it and its folder writable for this user", .0.display())]
    ReadOnly(PathBuf),
    /// No room.
    #[error("no room for {}: free some space on its disk and start again", .0.display())]
    DiskFull(PathBuf),
    /// The file is something else, or damaged.
    #[error("{} is not a SQLite database: choose another path, or restore it from a backup", .0.display())]
    NotADatabase(PathBuf),
    /// A database of another program.
    #[error("{} belongs to another program: choose another path", .0.display())]
    Foreign(PathBuf),
    /// A database of the Go server.
    #[error("{} is a database of the Go messenger: choose another path and bring it over with `am-migrate import`", .0.display())]
    GoMessenger(PathBuf),
    /// A database of a newer version of this program.
    #[error("{} was written by a newer version (schema {version}): start that version, or restore a backup", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The newest schema in it.
        version: String,
    },
    /// Anything else; the text says what.
    #[error("cannot open {}: {text}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        text: String,
    },
}

impl OpenError {
    /// Classifies what SQLite said about `path`.
    pub(crate) fn from_text(path: &std::path::Path, text: &str) -> Self {
        let path = path.to_path_buf();
        match text {
            _ if text.contains("is locked") => Self::Busy(path),
            _ if text.contains("readonly database") => Self::ReadOnly(path),
            _ if text.contains("disk is full") => Self::DiskFull(path),
            _ if text.contains("not a database") || text.contains("malformed") => {
                Self::NotADatabase(path)
            }
            _ => Self::Io {
                path,
                text: text.to_owned(),
            },
        }
    }

    /// Classifies what the file system said about `path`.
    pub(crate) fn from_io(path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = path.to_path_buf();
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull(path),
            _ => Self::Io {
                path,
                text: error.to_string(),
            },
        }
    }
}

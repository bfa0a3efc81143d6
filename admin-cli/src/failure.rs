//! Why a command was not done, and the exit code that says so to scripts.

use store::{OpenError, StoreError};

/// One reason; its text is for people.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something about the state of things; the sentence names it.
    #[error("{0}")]
    Refused(String),
    /// The log is not as it should be; the result names each place.
    #[error("the log has {0} problems")]
    Problems(usize),
    /// The command line is incomplete or wrong.
    #[error("{0}")]
    Usage(String),
    /// A server, or another tool, holds the lock.
    #[error("{0}; nothing was changed")]
    InUse(String),
    /// The database was not opened.
    #[error("{0}")]
    NotOpened(OpenError),
    /// There is no database to read from.
    #[error("there is no database at {0}: check --data-dir and --db, or start the server once")]
    NoDatabase(String),
    /// The database refused.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The terminal, the standard streams or the random source failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Failure {
    /// As listed in `--help`.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Problems(_) | Self::Store(_) | Self::Io(_) => 1,
            Self::Usage(_) => 2,
            Self::InUse(_) => 3,
            Self::NotOpened(_) | Self::NoDatabase(_) => 4,
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked(_) => Self::InUse(error.to_string()),
            other => Self::NotOpened(other),
        }
    }
}

//! The database file, opened as the server opens it: under the lock, with migrations.

use crate::args::Args;
use crate::failure::Failure;
use std::path::Path;
use std::sync::Arc;
use store::{BatchPermit, CommitSink, Conn, Outcome, Store, StoreConfig, StoreError, SystemClock};

/// Nobody is connected, so nobody is told.
struct NobodyListens;

impl CommitSink for NobodyListens {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, _outcomes: Vec<Outcome>) {}
}

/// What a command needs of a file that may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A list of nothing is a mistake in the path.
    Refuse,
    /// Accounts may be made before the server's first start.
    Create,
}

/// An open database; closed, with its log checkpointed, when dropped.
pub(crate) struct Database {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Database {
    /// Opens the file that `args` names.
    pub(crate) fn open(args: &Args, missing: Missing) -> Result<Self, Failure> {
        let path = args.database();
        if !path.exists() {
            match missing {
                Missing::Refuse => return Err(Failure::NoDatabase(path.display().to_string())),
                Missing::Create => make_folder(&path)?,
            }
        }
        let store = Store::open(
            StoreConfig::at(path),
            Arc::new(SystemClock),
            Arc::new(NobodyListens),
        )?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { store, runtime })
    }

    /// Runs `f` on the writer; it is durable when this returns.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(self.store.write(f))
    }

    /// Runs `f` on a reader.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(self.store.read(f))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.store.close();
    }
}

/// The folder of a new database, for its owner only.
fn make_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            Ok(std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?)
        }
        _ => Ok(()),
    }
}

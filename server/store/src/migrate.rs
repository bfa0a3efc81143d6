//! The schema's versions, for the command line: what is applied, bringing the rest, taking some
//! back. Offline, under the same lock as the server.

use crate::config::StoreConfig;
use crate::error::OpenError;
use crate::open::{self, Contents, MIGRATIONS};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::MigrationHarness;
use std::fs::File;
use std::path::Path;

/// One version of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// Its number, digits only.
    pub version: String,
    /// Whether it is in the database.
    pub applied: bool,
}

fn opened(path: &Path) -> Result<(File, SqliteConnection, Vec<String>), OpenError> {
    let lock = open::lock(path)?;
    open::inspect_file(path)?;
    let mut conn = open::establish(path, "rwc")?;
    let applied = match open::inspect(&mut conn, path)? {
        Contents::Empty => Vec::new(),
        Contents::Ours(applied) => applied,
    };
    open::refuse_newer(&applied, path)?;
    Ok((lock, conn, applied))
}

/// Every version that this program knows, ascending. An absent file has none, and stays absent.
pub fn status(path: &Path) -> Result<Vec<VersionStatus>, OpenError> {
    let applied = if path.exists() {
        opened(path)?.2
    } else {
        Vec::new()
    };
    let known = open::known(path)?;
    Ok(known
        .into_iter()
        .map(|version| VersionStatus {
            applied: applied.contains(&version),
            version,
        })
        .collect())
}

/// Applies what is missing; gives the versions applied now.
pub fn up(path: &Path) -> Result<Vec<String>, OpenError> {
    let (_lock, mut conn, _) = opened(path)?;
    let said = |text: String| OpenError::from_text(path, &text);
    open::prepare(&mut conn, &StoreConfig::at(path)).map_err(|error| said(error.to_string()))?;
    let done = conn
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| said(error.to_string()))?;
    Ok(done.iter().map(ToString::to_string).collect())
}

/// Takes back the newest `n` versions with all they hold; gives those taken back.
pub fn down(path: &Path, n: usize) -> Result<Vec<String>, OpenError> {
    let (_lock, mut conn, applied) = opened(path)?;
    let said = |text: String| OpenError::from_text(path, &text);
    let mut done = Vec::new();
    for _ in 0..n.min(applied.len()) {
        let version = conn
            .revert_last_migration(MIGRATIONS)
            .map_err(|error| said(error.to_string()))?;
        done.push(version.to_string());
    }
    Ok(done)
}

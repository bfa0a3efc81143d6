//! Opening the file: the lock that keeps a second process out, the look at what the file is
//! before anything is written to it, the pragmas, the migrations.

use crate::config::{StoreConfig, Synchronous, beside};
use crate::error::OpenError;
use crate::migrate::{self, Contents, MARK};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// A process that ends, or one that a holder has just forked, lets go within this time.
const LOCK_TRIES: u32 = 20;
const LOCK_NAP: Duration = Duration::from_millis(10);

/// Takes the lock beside `path`; it lasts as long as the file is open.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let io = |error: std::io::Error| OpenError::from_io(path, &error);
    let lock_path = beside(path, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_path)
        .map_err(io)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_NAP),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
    Err(OpenError::Locked(path.into()))
}

/// Refuses a file that cannot be written or is no SQLite database. Nothing is written.
pub(crate) fn inspect_file(path: &Path) -> Result<(), OpenError> {
    let io = |error: std::io::Error| OpenError::from_io(path, &error);
    let size = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
        // Root could write it all the same; who took the right away meant it.
        Ok(meta) if meta.permissions().readonly() => {
            return Err(OpenError::ReadOnly(path.into()));
        }
        Ok(meta) if !meta.is_file() => return Err(OpenError::NotADatabase(path.into())),
        Ok(meta) => meta.len(),
    };
    let mut file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io)?;
    let mut header = [0u8; 16];
    if size == 0 {
        return Ok(());
    }
    match file.read_exact(&mut header) {
        Ok(()) if &header == b"SQLite format 3\0" => Ok(()),
        _ => Err(OpenError::NotADatabase(path.into())),
    }
}

/// Opens `path` for SQLite alone, with none of its contents looked at.
pub(crate) fn establish(path: &Path, mode: &str) -> Result<SqliteConnection, OpenError> {
    let text = path.to_str().ok_or_else(|| OpenError::Io {
        place: path.into(),
        text: "the path is not UTF-8".to_owned(),
    })?;
    SqliteConnection::establish(&uri(text, mode))
        .map_err(|e| OpenError::from_text(path, &e.to_string()))
}

/// A `file:` URI with the characters escaped that mean something there.
pub(crate) fn uri(path: &str, mode: &str) -> String {
    let escaped = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    format!("file:{escaped}?mode={mode}")
}

/// The pragmas of a connection that writes.
pub(crate) fn prepare(conn: &mut SqliteConnection, config: &StoreConfig) -> QueryResult<()> {
    let synchronous = match config.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384; PRAGMA foreign_keys = ON; \
         PRAGMA temp_store = MEMORY;"
    ))?;
    match config.max_pages {
        Some(pages) => conn.batch_execute(&format!("PRAGMA max_page_count = {pages};")),
        None => Ok(()),
    }
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Looks at what is in the database without writing.
pub(crate) fn inspect(conn: &mut SqliteConnection, path: &Path) -> Result<Contents, OpenError> {
    let said = |error: diesel::result::Error| OpenError::from_text(path, &error.to_string());
    conn.batch_execute("PRAGMA busy_timeout = 1000;")
        .map_err(said)?;
    let tables: Vec<Named> = diesel::sql_query(TABLES).load(conn).map_err(said)?;
    let has = |name: &str| tables.iter().any(|table| table.name == name);
    if tables
        .iter()
        .all(|table| table.name == "__diesel_schema_migrations")
    {
        return Ok(Contents::Empty);
    }
    if has("server_state") && has("__diesel_schema_migrations") {
        let marked = diesel::sql_query(
            "SELECT COUNT(*) AS n FROM server_state WHERE name = 'schema' AND CAST(value AS TEXT) = ?",
        );
        let marked = marked.bind::<Text, _>(MARK).get_result::<Counted>(conn);
        if marked.is_ok_and(|count| count.n == 1) {
            return applied(conn, path).map(Contents::Ours);
        }
    }
    if has("offline_queue") || has("schema_migrations") || users_have_text_ids(conn) {
        return Err(OpenError::GoMessenger(path.into()));
    }
    Err(OpenError::Foreign(path.into()))
}

fn users_have_text_ids(conn: &mut SqliteConnection) -> bool {
    const QUERY: &str = "SELECT COUNT(*) AS n FROM pragma_table_info('users') WHERE name = 'id' AND upper(type) = 'TEXT'";
    diesel::sql_query(QUERY)
        .get_result::<Counted>(conn)
        .is_ok_and(|count| count.n == 1)
}

fn applied(conn: &mut SqliteConnection, path: &Path) -> Result<Vec<String>, OpenError> {
    let versions = diesel::sql_query(
        "SELECT version AS name FROM __diesel_schema_migrations ORDER BY version",
    );
    let versions: Vec<Named> = versions
        .load(conn)
        .map_err(|error| OpenError::from_text(path, &error.to_string()))?;
    Ok(versions.into_iter().map(|version| version.name).collect())
}

/// Opens the file for writing: looks at it, refuses what is not ours, brings it up to date.
/// The caller holds the lock.
pub(crate) fn open_writer(
    path: &Path,
    config: &StoreConfig,
) -> Result<SqliteConnection, OpenError> {
    inspect_file(path)?;
    let mut conn = establish(path, "rwc")?;
    if let Contents::Ours(applied) = inspect(&mut conn, path)? {
        migrate::refuse_newer(&applied, &path.into())?;
    }
    let said = |text: String| OpenError::from_text(path, &text);
    prepare(&mut conn, config).map_err(|error| said(error.to_string()))?;
    // A lock inside the file shows here and not at the first message.
    conn.batch_execute("BEGIN IMMEDIATE; COMMIT;")
        .map_err(|error| said(error.to_string()))?;
    conn.run_pending_migrations(MIGRATIONS)
        .map_err(|error| said(error.to_string()))?;
    Ok(conn)
}

/// Opens the writer's connection again, after the disk failed.
pub(crate) fn reopen_writer(
    path: &Path,
    config: &StoreConfig,
) -> Result<SqliteConnection, OpenError> {
    let mut conn = establish(path, "rw")?;
    prepare(&mut conn, config).map_err(|error| OpenError::from_text(path, &error.to_string()))?;
    Ok(conn)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<SqliteConnection, OpenError> {
    let mut conn = establish(path, "ro")?;
    conn.batch_execute(
        "PRAGMA busy_timeout = 2000; PRAGMA query_only = ON; PRAGMA cache_size = -2048; \
         PRAGMA temp_store = MEMORY;",
    )
    .map_err(|error| OpenError::from_text(path, &error.to_string()))?;
    Ok(conn)
}

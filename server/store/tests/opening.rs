//! Opening: what is refused, with which sentence, and that nothing is written to what is not
//! ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

use am_store::{Clock, OpenError, Store, StoreConfig, SystemClock, migrate};
use common::{Db, Sink};
use diesel::connection::{Connection, SimpleConnection};
use std::path::Path;
use std::sync::Arc;

fn try_open(path: &Path) -> OpenError {
    try_config(StoreConfig::at(path))
}

fn try_config(config: StoreConfig) -> OpenError {
    let (send, _outcomes) = crossbeam_channel::unbounded();
    let sink = Arc::new(Sink(send));
    Store::open(config, Arc::new(SystemClock) as Arc<dyn Clock>, sink)
        .expect_err("it must be refused")
}

fn sqlite(path: &Path, sql: &str) -> diesel::SqliteConnection {
    let mut conn = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute(sql).unwrap();
    conn
}

/// Refused with `expected`, and the file is as it was.
fn refused_untouched(path: &Path, expected: &OpenError) {
    let before = std::fs::read(path).unwrap();
    assert_eq!(&try_open(path), expected);
    assert_eq!(std::fs::read(path).unwrap(), before, "nothing was written");
    assert_eq!(&migrate::up(path).unwrap_err(), expected);
    assert_eq!(std::fs::read(path).unwrap(), before, "nothing was written");
}

#[test]
fn a_second_process_is_kept_out() {
    let db = Db::new();
    assert_eq!(try_open(db.path()), OpenError::Locked(db.path().into()));
    assert_eq!(
        migrate::up(db.path()),
        Err(OpenError::Locked(db.path().into()))
    );
    db.store.close();
    assert!(
        migrate::status(db.path())
            .unwrap()
            .iter()
            .all(|version| version.applied)
    );
}

#[test]
fn a_database_of_the_go_server_is_refused_and_the_import_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        "CREATE TABLE users (id TEXT PRIMARY KEY, username TEXT); CREATE TABLE messages (id TEXT PRIMARY KEY)",
        "CREATE TABLE schema_migrations (version INTEGER); CREATE TABLE offline_queue (id INTEGER PRIMARY KEY)",
    ];
    for (number, sql) in cases.iter().enumerate() {
        let path = folder.path().join(format!("go{number}.db"));
        drop(sqlite(&path, sql));
        let expected = OpenError::GoMessenger((&path).into());
        refused_untouched(&path, &expected);
        assert!(expected.to_string().contains("am-migrate import"));
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    drop(sqlite(
        &path,
        "CREATE TABLE bookmarks (id INTEGER PRIMARY KEY)",
    ));
    refused_untouched(&path, &OpenError::Foreign((&path).into()));
    let look_alike = folder.path().join("alike.db");
    drop(sqlite(
        &look_alike,
        "CREATE TABLE server_state (name TEXT, value BLOB); CREATE TABLE __diesel_schema_migrations (version TEXT)",
    ));
    refused_untouched(&look_alike, &OpenError::Foreign((&look_alike).into()));
}

#[test]
fn a_newer_schema_is_refused() {
    let db = Db::new();
    let path = db.path().to_path_buf();
    db.store.close();
    drop(sqlite(
        &path,
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')",
    ));
    let expected = OpenError::Newer {
        place: (&path).into(),
        version: "29990101000000".into(),
    };
    refused_untouched(&path, &expected);
    assert_eq!(migrate::down(&path, 1), Err(expected));
}

#[test]
fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database, but longer than sixteen bytes").unwrap();
    refused_untouched(&path, &OpenError::NotADatabase((&path).into()));
    std::fs::write(&path, "short").unwrap();
    refused_untouched(&path, &OpenError::NotADatabase((&path).into()));
    assert_eq!(
        try_open(folder.path()),
        OpenError::NotADatabase(folder.path().into())
    );
}

#[test]
fn a_damaged_database_is_refused() {
    let db = Db::new();
    let path = db.path().to_path_buf();
    db.store.close();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[16..4096].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(try_open(&path), OpenError::NotADatabase(path.into()));
}

#[test]
fn a_read_only_file_is_refused() {
    let db = Db::new();
    let path = db.path().to_path_buf();
    db.store.close();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    refused_untouched(&path, &OpenError::ReadOnly((&path).into()));
}

#[test]
fn a_missing_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        try_open(&folder.path().join("no/such/t.db")),
        OpenError::Io { .. }
    ));
}

#[test]
fn a_full_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let config = StoreConfig {
        max_pages: Some(4),
        ..StoreConfig::at(&path)
    };
    assert_eq!(try_config(config), OpenError::DiskFull((&path).into()));
    let again = Db::at(StoreConfig::at(&path));
    again.user("ada");
}

#[test]
fn a_file_that_another_program_holds_is_refused() {
    let db = Db::new();
    let path = db.path().to_path_buf();
    db.store.close();
    let holder = sqlite(&path, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    assert_eq!(try_open(&path), OpenError::Busy((&path).into()));
    drop(holder);
    Db::at(StoreConfig::at(&path)).user("ada");
}

#[test]
fn an_odd_path_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("50%20 of #1?mode=memory.db");
    let db = Db::at(StoreConfig::at(&path));
    db.user("ada");
    assert!(
        db.read(|c| am_store::user::find_by_name(c, "ada"))
            .unwrap()
            .is_some()
    );
    assert!(path.exists());
}

#[test]
fn the_schema_goes_down_and_up_again_unchanged() {
    use diesel::prelude::*;
    #[derive(diesel::QueryableByName, PartialEq, Debug)]
    struct Object {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
        sql: Option<String>,
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let schema = || -> Vec<Object> {
        let mut conn = sqlite(&path, "");
        let all =
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
        diesel::sql_query(all).load(&mut conn).unwrap()
    };
    assert!(
        migrate::status(&path)
            .unwrap()
            .iter()
            .all(|version| !version.applied)
    );
    assert!(!path.exists());
    let all = migrate::up(&path).unwrap();
    assert_eq!(all.len(), migrate::status(&path).unwrap().len());
    let first = schema();
    assert!(first.iter().any(|object| object.name == "messages"));
    let mut back = migrate::down(&path, 99).unwrap();
    back.reverse();
    assert_eq!(back, all);
    assert_eq!(schema().len(), 1, "only the list of versions stays");
    assert_eq!(migrate::up(&path).unwrap(), all);
    assert_eq!(schema(), first);
    Db::at(StoreConfig::at(&path)).user("ada");
}

#[test]
fn messages_have_one_full_index_beside_the_key() {
    use diesel::prelude::*;
    #[derive(diesel::QueryableByName)]
    struct Index {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        partial: i64,
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    migrate::up(&path).unwrap();
    let mut conn = sqlite(&path, "");
    let all: Vec<Index> =
        diesel::sql_query("SELECT name, partial FROM pragma_index_list('messages')")
            .load(&mut conn)
            .unwrap();
    let full: Vec<_> = all
        .iter()
        .filter(|index| index.partial == 0)
        .map(|index| &index.name)
        .collect();
    assert_eq!(full, ["sqlite_autoindex_messages_1"]);
}

//! What PostgreSQL can do to the writer: a lost connection, a commit without an answer, a
//! deadlock, a killed server. Never is something acknowledged that is not there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

use am_store::scratch::Scratch;
use am_store::{
    AppendError, Clock, Location, OpenError, PostgresUrl, Store, StoreConfig, StoreError,
    SystemClock, message, migrate, server_state, verify,
};
use common::cluster::{Cluster, Cut, Wire};
use common::{Db, Kind, Sink, named, on_server, postgres_server, scratch, text};
use diesel::connection::{Connection, SimpleConnection};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

fn config(url: &str) -> StoreConfig {
    StoreConfig::at(PostgresUrl::parse(url).unwrap())
}

fn try_open(config: StoreConfig) -> Result<Store, OpenError> {
    let (send, _outcomes) = crossbeam_channel::unbounded();
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    Store::open(config, clock, Arc::new(Sink(send)))
}

fn refused(config: StoreConfig) -> OpenError {
    try_open(config).expect_err("it must be refused")
}

/// A database of the shared server, through a wire.
fn wired() -> Option<(Scratch, Wire, Db)> {
    let server = url::Url::parse(&postgres_server()?).unwrap();
    let database = scratch();
    let wire = Wire::to(server.port().unwrap_or(5432));
    let mut url = url_of(&database);
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(wire.port)).unwrap();
    let db = Db::at(config(&format!("{url}?sslmode=disable")));
    Some((database, wire, db))
}

fn url_of(database: &Scratch) -> url::Url {
    url::Url::parse(database.url().expose()).unwrap()
}

#[test]
fn a_second_process_is_kept_out_and_let_in_when_the_first_is_gone() {
    if postgres_server().is_none() {
        return;
    }
    let db = Kind::Postgres.open();
    let place = db.config.location.clone();
    assert_eq!(refused(db.config.clone()), OpenError::Locked(place.clone()));
    assert_eq!(
        migrate::up(place.clone()),
        Err(OpenError::Locked(place.clone()))
    );
    db.store.close();
    let versions = migrate::status(place).unwrap();
    assert!(versions.iter().all(|version| version.applied));
    drop(db.reopen());
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    if postgres_server().is_none() {
        return;
    }
    for (tables, expected) in [
        ("CREATE TABLE orders (id INT)", "belongs to another program"),
        ("CREATE TABLE offline_queue (id INT)", "Go messenger"),
    ] {
        let database = scratch();
        database.execute(tables).unwrap();
        let error = refused(StoreConfig::at(database.url().clone()));
        assert!(error.to_string().contains(expected), "{error}");
        let before = migrate::up(database.url().clone()).unwrap_err();
        assert_eq!(before, error);
    }
    let database = scratch();
    assert!(!migrate::up(database.url().clone()).unwrap().is_empty());
    database
        .execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000')")
        .unwrap();
    let error = refused(StoreConfig::at(database.url().clone()));
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
}

#[test]
fn migrations_go_down_and_up_again() {
    if postgres_server().is_none() {
        return;
    }
    let database = scratch();
    let all = migrate::up(database.url().clone()).unwrap();
    assert_eq!(migrate::up(database.url().clone()).unwrap().len(), 0);
    let undone = migrate::down(database.url().clone(), all.len()).unwrap();
    assert_eq!(undone.len(), all.len());
    assert_eq!(migrate::up(database.url().clone()).unwrap(), all);
}

#[test]
fn a_server_that_is_not_there_is_named_without_the_password() {
    let error = refused(config("postgres://am:s3cret@127.0.0.1:1/log"));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("127.0.0.1:1/log") && !text.contains("s3cret"),
        "{text}"
    );
}

#[test]
fn a_connection_that_breaks_before_commit_costs_nobody_anything() {
    let Some((_database, wire, db)) = wired() else {
        return;
    };
    let (user, _, here) = db.pair();
    wire.at_next_commit(Cut::Before);
    let first = db.send(here, named(user, "k", "one")).unwrap();
    assert!(wire.was_cut());
    assert_eq!((first.seq, first.replayed), (1, false));
    assert!(db.send(here, named(user, "k", "one")).unwrap().replayed);
    assert_eq!(db.send(here, text(user, "two")).unwrap().seq, 2);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn a_commit_without_an_answer_is_asked_for_and_not_done_twice() {
    let Some((_database, wire, db)) = wired() else {
        return;
    };
    let (user, _, here) = db.pair();
    wire.at_next_commit(Cut::After);
    // Without a name: only the look at the log can tell.
    let first = db.send(here, text(user, "one")).unwrap();
    assert!(wire.was_cut());
    assert_eq!(first.seq, 1);
    assert_eq!(db.send(here, text(user, "two")).unwrap().seq, 2);
    let page = db.read(move |c| message::page_above(c, here, 0, 10, 1000));
    assert_eq!(page.unwrap().rows.len(), 2);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn a_commit_that_nobody_can_be_asked_about_is_told_as_unknown() {
    let Some((_database, wire, db)) = wired() else {
        return;
    };
    let (user, _, here) = db.pair();
    wire.at_next_commit(Cut::AfterAndStay);
    assert_eq!(
        db.send(here, named(user, "k", "one")),
        Err(AppendError::Unknown)
    );
    assert_eq!(
        db.send(here, text(user, "meanwhile")),
        Err(AppendError::Unavailable),
        "a transaction that never began is known not to be there"
    );
    wire.mend();
    let repeated = db.send(here, named(user, "k", "one")).unwrap();
    assert_eq!(
        (repeated.seq, repeated.replayed),
        (1, true),
        "it was stored"
    );
    assert_eq!(db.send(here, text(user, "two")).unwrap().seq, 2);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn a_closure_without_messages_is_told_that_its_commit_is_unknown() {
    let Some((_database, wire, db)) = wired() else {
        return;
    };
    wire.at_next_commit(Cut::After);
    let put = db.write(|c| server_state::put(c, "k", b"v"));
    assert_eq!(put, Err(StoreError::Unknown));
    assert_eq!(
        db.read(|c| server_state::get(c, "k")).unwrap().as_deref(),
        Some(b"v".as_slice())
    );
}

#[test]
fn sessions_that_the_server_ends_under_load_lose_and_repeat_nothing() {
    const MESSAGES: u64 = 4000;
    let Some(server) = postgres_server() else {
        return;
    };
    let db = Kind::Postgres.open();
    let (user, _, here) = db.pair();
    let name = url::Url::parse(&db.config.location.to_string()).unwrap();
    let name = name.path().trim_start_matches('/').to_owned();
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let (done, over) = crossbeam_channel::bounded::<()>(0);
    let ender = std::thread::spawn(move || {
        let mut conn = diesel::PgConnection::establish(&server).unwrap();
        let mut times = 0;
        while over.recv_timeout(Duration::from_millis(20))
            == Err(crossbeam_channel::RecvTimeoutError::Timeout)
        {
            conn.batch_execute(&end).unwrap();
            times += 1;
        }
        times
    });
    for n in 0..MESSAGES {
        db.offer(here, n, named(user, &format!("k{n}"), &format!("m{n}")));
        if n % 50 == 0 {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    let outcomes = db.outcomes(MESSAGES as usize);
    drop(done);
    assert!(ender.join().unwrap() > 2, "sessions were ended");
    let mut acked = HashMap::new();
    for outcome in outcomes {
        match outcome.result {
            Ok(stored) => drop(acked.insert(outcome.tag, stored.seq)),
            Err(error) => assert!(
                matches!(error, AppendError::Unavailable | AppendError::Unknown),
                "{error}"
            ),
        }
    }
    all_there(&db, here, &acked);
}

/// Every acknowledged message is in the log, at its place, once.
fn all_there(db: &Db, here: am_store::ConversationKey, acked: &HashMap<u64, i64>) {
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
    let page = db.read(move |c| message::page_above(c, here, 0, 100_000, usize::MAX));
    let rows = page.unwrap().rows;
    let mut bodies: Vec<&str> = rows.iter().map(|row| &*row.content).collect();
    for (tag, seq) in acked {
        let row = &rows[usize::try_from(*seq - 1).unwrap()];
        assert_eq!(row.content, format!("m{tag}"));
    }
    bodies.sort_unstable();
    let all = bodies.len();
    bodies.dedup();
    assert_eq!(bodies.len(), all, "nothing is there twice");
}

#[test]
fn a_deadlock_with_somebody_else_is_tried_again() {
    if postgres_server().is_none() {
        return;
    }
    let db = Kind::Postgres.open();
    let (user, agent, first) = db.pair();
    let second = db.direct(am_store::UserKey(user.key), am_store::AgentKey(agent.key));
    let url = db.config.location.to_string();
    let mut other = diesel::PgConnection::establish(&url).unwrap();
    let lock = |key: am_store::ConversationKey| {
        format!(
            "SELECT 1 FROM conversations WHERE id = {} FOR UPDATE",
            key.0
        )
    };
    other
        .batch_execute(&format!(
            "SET deadlock_timeout = '10s'; BEGIN; {}",
            lock(second)
        ))
        .unwrap();
    // One batch: the writer waits for this closure while the appends queue behind it.
    let (go, wait) = crossbeam_channel::bounded::<()>(0);
    let store = db.store.clone();
    let held = std::thread::spawn(move || {
        common::wait(store.write(move |_| {
            let _ = wait.recv();
            Ok(())
        }))
    });
    db.offer(first, 1, named(user, "k1", "m1"));
    db.offer(second, 2, named(user, "k2", "m2"));
    drop(go);
    let locker = std::thread::spawn(move || {
        other.batch_execute(&lock(first)).unwrap();
        other.batch_execute("COMMIT").unwrap();
    });
    let outcomes = db.outcomes(2);
    locker.join().unwrap();
    held.join().unwrap().unwrap();
    for outcome in outcomes {
        let stored = outcome.result.unwrap();
        assert_eq!((stored.seq, stored.replayed), (1, false));
    }
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn a_server_killed_under_load_has_everything_that_was_acknowledged() {
    const ROUNDS: u64 = 4;
    let Some(mut cluster) = Cluster::start("", |_| {}) else {
        return;
    };
    on_server(&cluster.url("postgres"), "CREATE DATABASE log");
    let db = Db::at(config(&cluster.url("log")));
    let (user, _, here) = db.pair();
    let mut acked = HashMap::new();
    let mut tag = 0;
    for _ in 0..ROUNDS {
        let before = acked.len();
        while acked.len() < before + 2000 {
            for _ in 0..200 {
                tag += 1;
                db.offer(
                    here,
                    tag,
                    named(user, &format!("k{tag}"), &format!("m{tag}")),
                );
            }
            take(&db, 200, &mut acked);
        }
        // The kill meets a batch on its way.
        for _ in 0..400 {
            tag += 1;
            db.offer(
                here,
                tag,
                named(user, &format!("k{tag}"), &format!("m{tag}")),
            );
        }
        cluster.kill();
        take(&db, 400, &mut acked);
        assert!(
            db.send(here, text(user, "m-down")).is_err(),
            "nobody answers"
        );
        cluster.run();
    }
    let again = db.send(here, named(user, "k1", "m1")).unwrap();
    assert_eq!((again.seq, again.replayed), (acked[&1], true));
    all_there(&db, here, &acked);
}

fn take(db: &Db, count: usize, acked: &mut HashMap<u64, i64>) {
    for outcome in db.outcomes(count) {
        match outcome.result {
            Ok(stored) => drop(acked.insert(outcome.tag, stored.seq)),
            Err(AppendError::Unavailable | AppendError::Unknown) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_location_keeps_its_password_to_itself() {
    let location = Location::from(PostgresUrl::parse("postgres://a:pw@h/d").unwrap());
    assert_eq!(location.to_string(), "postgres://a:***@h/d");
}

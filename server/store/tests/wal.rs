//! The size of the WAL is bounded, with readers and without.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

use am_store::{Conn, ConversationKey, Store, StoreError, message};
use common::{Db, PATIENCE, text};
use std::time::Instant;

const LIMIT: u64 = 1024 * 1024;

fn wal_size(db: &Db) -> u64 {
    std::fs::metadata(format!("{}-wal", db.path().display())).map_or(0, |meta| meta.len())
}

/// Writes at least `limits` times the limit into the WAL; gives the largest size of the file.
fn write_much(db: &Db, limits: u64) -> u64 {
    let (user, _, here) = db.pair();
    let body = "x".repeat(4096);
    let mut largest = 0;
    for round in 0..limits * 4 {
        (0..64).for_each(|n| db.offer(here, round * 64 + n, text(user, &body)));
        db.outcomes(64);
        largest = largest.max(wal_size(db));
    }
    largest
}

#[test]
fn the_wal_stays_below_twice_its_limit() {
    let db = Db::with(|config| config.wal_limit_bytes = LIMIT);
    let largest = write_much(&db, 12);
    assert!(largest > 0 && largest < 2 * LIMIT, "{largest}");
    let gauges = db.store.gauges();
    assert!(gauges.checkpoints > 0, "{gauges:?}");
    assert!(gauges.wal_bytes <= largest);
    db.store.close();
    assert_eq!(wal_size(&db), 0, "a clean end leaves nothing behind");
}

fn read_a_page(store: &Store) {
    let page = |c: &mut Conn| message::page_below(c, ConversationKey(1), None, 50, 65536);
    match common::wait(store.read(page)) {
        // The conversation is made while they read.
        Ok(_) | Err(StoreError::NotFound) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn busy_readers_do_not_make_it_grow() {
    let db = Db::with(|config| config.wal_limit_bytes = LIMIT);
    let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, stopped) = (db.store.clone(), stopped.clone());
            std::thread::spawn(move || {
                let goes_on = Err(crossbeam_channel::TryRecvError::Empty);
                while stopped.try_recv() == goes_on {
                    read_a_page(&store);
                }
            })
        })
        .collect();
    let largest = write_much(&db, 12);
    drop(stop);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(largest > 0 && largest < 2 * LIMIT, "{largest}");
}

#[test]
fn it_shrinks_again_after_a_long_reader() {
    let db = Db::with(|config| config.wal_limit_bytes = LIMIT);
    let (entered, is_held) = crossbeam_channel::bounded::<()>(1);
    let (release, held) = crossbeam_channel::bounded::<()>(1);
    let store = db.store.clone();
    let reader = std::thread::spawn(move || {
        common::wait(store.read(move |c| {
            am_store::user::count(c)?;
            let _ = entered.send(());
            held.recv_timeout(PATIENCE)
                .map_err(|e| StoreError::Internal(e.to_string()))
        }))
    });
    is_held.recv_timeout(PATIENCE).unwrap();
    let (user, _, here) = db.pair();
    let body = "x".repeat(4096);
    for n in 0..1000 {
        db.offer(here, n, text(user, &body));
    }
    db.outcomes(1000);
    // A batch is measured after its outcomes are out.
    db.write(|_| Ok(())).unwrap();
    assert!(db.store.gauges().wal_bytes > LIMIT, "the reader keeps it");
    release.send(()).unwrap();
    reader.join().unwrap().unwrap();
    let start = Instant::now();
    while db.store.gauges().wal_bytes > LIMIT {
        assert!(start.elapsed() < PATIENCE, "{:?}", db.store.gauges());
        db.send(here, text(user, "more")).unwrap();
    }
}

//! A disk that fails: whole batches are refused, nothing is acknowledged that is not stored,
//! and the writer works again when the disk does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

use am_store::{AppendError, Outcome, StoreError, message, user, verify};
use common::{Db, PATIENCE, insert_user, named, text};
use crossbeam_channel::bounded;

/// Runs `queue` while the writer is held in a closure, so that what it queues is one batch.
fn in_one_batch(db: &Db, queue: impl FnOnce()) {
    let (entered, is_held) = bounded::<()>(1);
    let (release, held) = bounded::<()>(1);
    let store = db.store.clone();
    let holder = std::thread::spawn(move || {
        common::wait(store.write(move |_| {
            let _ = entered.send(());
            let _ = held.recv_timeout(PATIENCE);
            Ok(())
        }))
    });
    is_held.recv_timeout(PATIENCE).unwrap();
    queue();
    release.send(()).unwrap();
    holder.join().unwrap().unwrap();
}

/// Queues a write without waiting for it.
fn queue_write(
    db: &Db,
    f: impl FnOnce(&mut am_store::Conn) -> Result<(), StoreError> + Send + 'static,
) -> std::thread::JoinHandle<Result<(), StoreError>> {
    let store = db.store.clone();
    let queued = db.store.gauges().writer_queue;
    let handle = std::thread::spawn(move || common::wait(store.write(f)));
    while db.store.gauges().writer_queue <= queued {
        std::thread::yield_now();
    }
    handle
}

fn stored(outcomes: &[Outcome]) -> Vec<i64> {
    outcomes
        .iter()
        .filter_map(|o| o.result.ok())
        .map(|s| s.seq)
        .collect()
}

#[test]
fn a_full_disk_refuses_and_works_again_when_there_is_room() {
    // Small enough to be filled, large enough for the schema.
    let db = Db::with(|config| config.max_pages = Some(120));
    let (user, _, here) = db.pair();
    let body = "x".repeat(16 * 1024);
    let mut acked = Vec::new();
    let mut refused = 0;
    for n in 0..60u64 {
        match db.send(here, named(user, &format!("k{n}"), &body)) {
            Ok(stored) => acked.push(stored.seq),
            Err(error) => {
                assert_eq!(error, AppendError::Unavailable);
                refused += 1;
            }
        }
    }
    assert!(
        refused > 0 && !acked.is_empty(),
        "{refused} refused, {} stored",
        acked.len()
    );
    assert!(db.store.gauges().failed_batches > 0);
    let full = db.write(|c| {
        c.batch_execute("INSERT INTO server_state (name, value) VALUES ('big', zeroblob(300000))")
    });
    assert_eq!(full, Err(StoreError::Unavailable));
    let page = db
        .read(move |c| message::page_above(c, here, 0, 200, usize::MAX))
        .unwrap();
    assert!(
        page.rows.iter().map(|r| r.seq).eq(acked.iter().copied()),
        "stored is what was acknowledged"
    );
    let last = *acked.last().unwrap();
    db.write(move |c| message::remove_head(c, here, last - 1).map(drop))
        .unwrap();
    let again = db.send(here, named(user, "again", &body)).unwrap();
    assert_eq!(again.seq, last + 1);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn a_failed_commit_refuses_the_whole_batch() {
    let db = Db::new();
    let (user, _, here) = db.pair();
    db.send(here, text(user, "first")).unwrap();
    let mut bad = None;
    let mut good = None;
    in_one_batch(&db, || {
        db.offer(here, 1, named(user, "a", "before"));
        good = Some(queue_write(&db, |c| insert_user(c, "eve").map(drop)));
        bad = Some(queue_write(&db, |c| {
            // Checked at COMMIT, which then fails.
            c.batch_execute(
                "PRAGMA defer_foreign_keys = ON; \
                 INSERT INTO members (conversation_id, principal_kind, principal_id, role, joined_at) \
                 VALUES (999, 1, 1, 2, 0)",
            )
        }));
        db.offer(here, 2, named(user, "b", "after"));
    });
    let outcomes = db.outcomes(2);
    assert!(
        outcomes
            .iter()
            .all(|o| o.result == Err(AppendError::Unavailable)),
        "{outcomes:?}"
    );
    assert_eq!(bad.unwrap().join().unwrap(), Err(StoreError::Unavailable));
    assert_eq!(good.unwrap().join().unwrap(), Err(StoreError::Unavailable));
    assert_eq!(db.read(|c| user::find_by_name(c, "eve")).unwrap(), None);
    let again = db.send(here, named(user, "a", "before")).unwrap();
    assert_eq!(
        (again.seq, again.replayed),
        (2, false),
        "its number was given back"
    );
    assert_eq!(db.store.gauges().failed_batches, 1);
}

#[test]
fn a_row_that_fails_behind_a_closure_fails_alone() {
    let db = Db::new();
    let (user, _, here) = db.pair();
    db.write(|c| {
        c.batch_execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.body = 'boom' \
             BEGIN SELECT RAISE(ABORT, 'boom'); END",
        )
    })
    .unwrap();
    let mut calls = Vec::new();
    in_one_batch(&db, || {
        db.offer(here, 0, text(user, "a"));
        calls.push(queue_write(&db, |c| insert_user(c, "eve").map(drop)));
        ["b", "boom", "c"]
            .iter()
            .zip(1..)
            .for_each(|(body, tag)| db.offer(here, tag, text(user, body)));
        calls.push(queue_write(&db, |_| Err(StoreError::Conflict)));
        db.offer(here, 4, text(user, "d"));
    });
    let outcomes = db.outcomes(5);
    assert_eq!(stored(&outcomes), vec![1, 2, 3, 4]);
    assert_eq!(outcomes[2].result, Err(AppendError::Unavailable));
    let calls: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    assert_eq!(calls, vec![Ok(()), Err(StoreError::Conflict)]);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn a_file_locked_by_another_program_refuses_and_recovers() {
    use diesel::connection::{Connection, SimpleConnection};
    let db = Db::new();
    let (user, _, here) = db.pair();
    let mut other = diesel::SqliteConnection::establish(db.path().to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        db.send(here, text(user, "a")),
        Err(AppendError::Unavailable)
    );
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(db.send(here, text(user, "a")).unwrap().seq, 1);
}

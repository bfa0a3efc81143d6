//! The writer: order, repeats, rows that fail, what a crash leaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

common::on_both! {
    entries_are_numbered_without_gaps_in_the_order_they_came,
    times_rise_when_the_clock_steps_back,
    a_repeat_gets_the_first_answer_and_stores_nothing,
    the_same_name_for_something_else_is_a_conflict,
    a_name_is_free_again_after_the_window,
    a_failing_row_fails_alone_and_leaves_no_gap,
    a_closure_that_fails_undoes_only_itself,
    a_panicking_closure_harms_nobody_else,
    a_reader_cannot_write,
    an_unknown_conversation_refuses_and_a_deleted_one_too,
    numbers_go_on_after_the_whole_log_was_removed,
    dropping_the_store_finishes_its_queue,
    a_closed_store_says_so,
}

use am_store::{
    AppendError, AppendRefusal, ConversationKey, StoreError, conversation, message, user, verify,
};
use common::{Db, Kind, insert_user, named, text};
use protocol::Timestamp;

fn entries_are_numbered_without_gaps_in_the_order_they_came(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    let there = db.direct(am_store::UserKey(user.key), am_store::AgentKey(agent.key));
    for n in 0..3000u64 {
        db.offer(
            if n % 3 == 0 { there } else { here },
            n,
            text(user, &format!("m{n}")),
        );
    }
    let outcomes = db.outcomes(3000);
    assert!(
        outcomes.iter().map(|o| o.tag).eq(0..3000),
        "outcomes come in order"
    );
    for conversation in [here, there] {
        let own: Vec<_> = outcomes
            .iter()
            .filter(|o| o.conversation == conversation)
            .collect();
        let stored: Vec<_> = own.iter().map(|o| o.result.unwrap()).collect();
        assert!(stored.iter().map(|s| s.seq).eq(1..=own.len() as i64));
        assert!(
            stored.windows(2).all(|w| w[0].created_at < w[1].created_at),
            "times rise on a clock that stands"
        );
        assert!(stored.windows(2).all(|w| w[0].id < w[1].id));
    }
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

fn times_rise_when_the_clock_steps_back(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    let first = db.send(here, text(user, "a")).unwrap();
    db.clock.set(Timestamp::from_micros(1_600_000_000_000_000));
    let second = db.send(here, text(user, "b")).unwrap();
    assert_eq!(second.created_at, first.created_at.plus_micros(1));
    assert!(second.id > first.id);
    let db = db.reopen();
    db.clock.set(Timestamp::from_micros(1_600_000_000_000_000));
    let third = db.send(here, text(user, "c")).unwrap();
    assert_eq!(third.seq, 3);
    assert!(third.created_at > second.created_at && third.id > second.id);
}

fn a_repeat_gets_the_first_answer_and_stores_nothing(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    db.offer(here, 1, named(user, "k", "hello"));
    db.offer(here, 2, named(user, "k", "hello"));
    db.offer(here, 3, named(agent, "k", "hello"));
    let got: Vec<_> = db
        .outcomes(3)
        .into_iter()
        .map(|o| o.result.unwrap())
        .collect();
    assert!(!got[0].replayed && got[1].replayed && !got[2].replayed);
    assert_eq!(
        (got[0].id, got[0].seq, got[0].created_at),
        (got[1].id, got[1].seq, got[1].created_at)
    );
    assert_eq!(got[2].seq, 2, "the scope of a name is its sender");
    let db = db.reopen();
    let again = db.send(here, named(user, "k", "hello")).unwrap();
    assert_eq!((again.id, again.seq, again.replayed), (got[0].id, 1, true));
    assert_eq!(db.read(move |c| message::last_seq(c, here)).unwrap(), 2);
}

fn the_same_name_for_something_else_is_a_conflict(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    let there = db.direct(am_store::UserKey(user.key), am_store::AgentKey(agent.key));
    db.send(here, named(user, "k", "hello")).unwrap();
    let with_metadata = am_store::NewEntry {
        metadata: Some("{}".into()),
        ..named(user, "k", "hello")
    };
    let encrypted = am_store::NewEntry {
        kind: protocol::EntryKind::Encrypted,
        ..named(user, "k", "hello")
    };
    assert_eq!(
        db.send(here, named(user, "k", "other")),
        Err(AppendError::Conflict)
    );
    assert_eq!(
        db.send(there, named(user, "k", "hello")),
        Err(AppendError::Conflict)
    );
    assert_eq!(db.send(here, with_metadata), Err(AppendError::Conflict));
    assert_eq!(db.send(here, encrypted), Err(AppendError::Conflict));
    assert_eq!(
        db.send(here, text(user, "next")).unwrap().seq,
        2,
        "a refusal takes no number"
    );
}

fn a_name_is_free_again_after_the_window(on: Kind) {
    let db = on.with(|config| config.dedupe_window_s = 60);
    let (user, _, here) = db.pair();
    db.send(here, named(user, "k", "hello")).unwrap();
    db.clock.advance_micros(59_000_000);
    assert_eq!(
        db.send(here, named(user, "k", "other")),
        Err(AppendError::Conflict)
    );
    db.clock.advance_micros(2_000_000);
    let fresh = db.send(here, named(user, "k", "other")).unwrap();
    assert_eq!((fresh.seq, fresh.replayed), (2, false));
    assert!(db.send(here, named(user, "k", "other")).unwrap().replayed);
}

fn a_failing_row_fails_alone_and_leaves_no_gap(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    let trigger = match on {
        Kind::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.body = 'boom' \
             BEGIN SELECT RAISE(ABORT, 'boom'); END"
        }
        Kind::Postgres => {
            "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS \
               $$BEGIN RAISE EXCEPTION 'boom'; END$$; \
             CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW \
               WHEN (NEW.body = 'boom') EXECUTE FUNCTION boom()"
        }
    };
    db.write(move |c| c.batch_execute(trigger)).unwrap();
    for n in 0..1000u64 {
        let body = if n % 7 == 3 { "boom" } else { "fine" };
        db.offer(here, n, named(user, &format!("k{n}"), body));
    }
    let mut next = 1;
    for outcome in db.outcomes(1000) {
        if outcome.tag % 7 == 3 {
            assert_eq!(outcome.result, Err(AppendError::Unavailable));
        } else {
            assert_eq!(outcome.result.unwrap().seq, next);
            next += 1;
        }
    }
    assert_eq!(
        db.read(verify::check).unwrap(),
        vec![],
        "no claim of a refused message stays"
    );
    let untrigger = match on {
        Kind::Sqlite => "DROP TRIGGER refuse",
        Kind::Postgres => "DROP TRIGGER refuse ON messages",
    };
    db.write(move |c| c.batch_execute(untrigger)).unwrap();
    let retried = db.send(here, named(user, "k3", "boom")).unwrap();
    assert_eq!((retried.seq, retried.replayed), (next, false));
}

fn a_closure_that_fails_undoes_only_itself(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    db.offer(here, 0, text(user, "before"));
    let failed: Result<(), _> = db.write(|c| {
        insert_user(c, "eve")?;
        Err(StoreError::Conflict)
    });
    db.offer(here, 1, text(user, "after"));
    assert_eq!(failed, Err(StoreError::Conflict));
    let taken = db.write(|c| insert_user(c, "ada").map(drop));
    assert_eq!(taken, Err(StoreError::Conflict));
    assert!(db.outcomes(2).iter().all(|o| o.result.is_ok()));
    assert_eq!(db.read(|c| user::find_by_name(c, "eve")).unwrap(), None);
}

fn a_panicking_closure_harms_nobody_else(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    let panicked: Result<(), _> = db.write(|c| {
        insert_user(c, "eve")?;
        panic!("a defect of a caller")
    });
    assert!(matches!(panicked, Err(StoreError::Internal(_))));
    let panicked: Result<(), _> = db.read(|_| panic!("a defect of a caller"));
    assert!(matches!(panicked, Err(StoreError::Internal(_))));
    assert_eq!(db.send(here, text(user, "still here")).unwrap().seq, 1);
    assert_eq!(db.read(|c| user::find_by_name(c, "eve")).unwrap(), None);
}

fn a_reader_cannot_write(on: Kind) {
    let db = on.open();
    let refused = db.read(|c| insert_user(c, "eve").map(drop));
    assert_eq!(refused, Err(StoreError::Unavailable));
}

fn an_unknown_conversation_refuses_and_a_deleted_one_too(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    assert_eq!(
        db.send(ConversationKey(99), text(user, "x")),
        Err(AppendError::NoSuchConversation)
    );
    db.send(here, text(user, "x")).unwrap();
    db.write(move |c| conversation::delete(c, here)).unwrap();
    assert_eq!(
        db.send(here, text(user, "y")),
        Err(AppendError::NoSuchConversation)
    );
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

fn numbers_go_on_after_the_whole_log_was_removed(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    for n in 0..5 {
        db.send(here, text(user, &n.to_string())).unwrap();
    }
    assert_eq!(
        db.write(move |c| message::remove_head(c, here, 5)).unwrap(),
        5
    );
    assert_eq!(db.send(here, text(user, "next")).unwrap().seq, 6);
    let db = db.reopen();
    db.write(move |c| message::remove_head(c, here, 6)).unwrap();
    let db = db.reopen();
    assert_eq!(db.send(here, text(user, "next")).unwrap().seq, 7);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    let db = Db::new();
    let (user, _, here) = db.pair();
    for n in 0..500u64 {
        db.offer(here, n, named(user, &format!("k{n}"), &format!("m{n}")));
    }
    let before = db.outcomes(500);
    let copy = db.crashed_copy();
    let page = copy
        .read(move |c| message::page_above(c, here, 0, 1000, usize::MAX))
        .unwrap();
    let acked = before.iter().map(|o| o.result.unwrap());
    assert!(
        page.rows
            .iter()
            .map(|r| (r.id, r.seq))
            .eq(acked.map(|s| (s.id, s.seq)))
    );
    assert_eq!(copy.read(verify::check).unwrap(), vec![]);
    let members = copy.read(move |c| conversation::members(c, here)).unwrap();
    assert_eq!(members[0].read_seq, 500, "lazy read marks are found again");
    let row = copy.read(move |c| conversation::load(c, here)).unwrap();
    assert_eq!(Some(row.last_at), page.rows.last().map(|r| r.created_at));
    assert_eq!(copy.send(here, text(user, "on")).unwrap().seq, 501);
}

fn dropping_the_store_finishes_its_queue(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    (0..300).for_each(|n| db.offer(here, n, text(user, "x")));
    let Db {
        store,
        outcomes,
        config,
        home,
        ..
    } = db;
    drop(store);
    assert_eq!(outcomes.iter().flatten().count(), 300);
    let mut again = Db::at(config);
    again.home = home;
    assert_eq!(
        again.read(move |c| message::last_seq(c, here)).unwrap(),
        300
    );
}

fn a_closed_store_says_so(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    db.store.close();
    db.store.close();
    let append = am_store::Append {
        conversation: here,
        tag: 0,
        entry: std::sync::Arc::new(text(user, "late")),
    };
    assert_eq!(db.store.append(append), Err(AppendRefusal::Closed));
    assert_eq!(db.write(user::count), Err(StoreError::Closed));
    assert_eq!(db.read(user::count), Err(StoreError::Closed));
}

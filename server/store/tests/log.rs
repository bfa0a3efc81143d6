//! Reading the log: pages by rows and bytes, lists with their counts, times; and the repeat
//! check against a model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

common::on_both! {
    a_page_of_the_list_takes_as_many_statements_however_long_it_is,
    a_page_ends_at_its_bytes_but_never_empty,
    a_time_is_turned_into_a_place,
    the_list_counts_what_is_unread,
    an_own_message_moves_the_own_mark_within_a_second,
    the_list_pages_through_every_conversation_newest_first,
    names_of_sends_are_forgotten_after_the_window,
}

use am_store::{
    AppendError, ConversationKey, ListQuery, Principal, conversation, message, read_mark, send,
    verify,
};
use common::{Db, Kind, named, text};
use proptest::prelude::*;
use protocol::EntryKind;
use std::collections::HashMap;

fn seqs(page: &message::Page) -> Vec<i64> {
    page.rows.iter().map(|row| row.seq).collect()
}

fn a_page_ends_at_its_bytes_but_never_empty(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    for _ in 0..5 {
        db.send(here, text(user, &"x".repeat(100))).unwrap();
    }
    let above = |seq, rows, bytes| {
        db.read(move |c| message::page_above(c, here, seq, rows, bytes))
            .unwrap()
    };
    let below = |seq, rows, bytes| {
        db.read(move |c| message::page_below(c, here, seq, rows, bytes))
            .unwrap()
    };
    assert_eq!(seqs(&above(0, 10, 300)), [1, 2, 3]);
    assert_eq!(seqs(&above(0, 10, 299)), [1, 2]);
    assert_eq!(
        seqs(&above(2, 10, 1)),
        [3],
        "one that is too large goes alone"
    );
    assert!(above(5, 10, 1000).rows.is_empty());
    assert_eq!(seqs(&below(None, 2, 1000)), [4, 5]);
    assert_eq!(seqs(&below(Some(4), 10, 250)), [2, 3]);
    assert!(below(Some(1), 10, 1000).rows.is_empty());
    let missing = db.read(|c| message::page_above(c, ConversationKey(99), 0, 10, 1000));
    assert_eq!(missing, Err(am_store::StoreError::NotFound));
}

fn a_time_is_turned_into_a_place(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    let mut times = Vec::new();
    for _ in 0..9 {
        db.clock.advance_micros(1000);
        times.push(db.send(here, text(user, "x")).unwrap().created_at);
    }
    db.write(move |c| message::remove_head(c, here, 2)).unwrap();
    let at = |time| db.read(move |c| message::seq_at(c, here, time)).unwrap();
    assert_eq!(at(times[0]), 2, "removed entries are before all");
    assert_eq!(at(times[4]), 5);
    assert_eq!(at(times[4].plus_micros(-1)), 4);
    assert_eq!(at(times[8].plus_micros(5)), 9);
}

fn the_list_counts_what_is_unread(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    let unread = |who: Principal| {
        db.write(|_| Ok(())).unwrap();
        let query = ListQuery {
            limit: 10,
            after: None,
            device: None,
        };
        let list = db
            .read(move |c| conversation::list_for(c, who, query))
            .unwrap();
        (list[0].unread, list[0].read_seq, list[0].position)
    };
    assert_eq!(unread(user), (0, 0, None));
    for _ in 0..6 {
        db.send(here, text(agent, "x")).unwrap();
    }
    assert_eq!(unread(user).0, 6);
    let gap = am_store::NewEntry {
        kind: EntryKind::Gap,
        ..text(Principal::SYSTEM, "")
    };
    db.send(here, gap).unwrap();
    assert_eq!(unread(user).0, 6, "gaps are not for reading");
    db.write(|c| c.batch_execute("UPDATE messages SET deleted_at = 1 WHERE seq IN (2, 5)"))
        .unwrap();
    assert_eq!(unread(user).0, 4, "deleted ones neither");
    db.write(move |c| read_mark::set(c, here, user, 3)).unwrap();
    db.write(move |c| read_mark::set(c, here, user, 1)).unwrap();
    assert_eq!(unread(user), (2, 3, None), "a mark never goes back");
    db.write(move |c| message::remove_head(c, here, 4)).unwrap();
    assert_eq!(unread(user).0, 1);
    let stranger =
        db.write(move |c| read_mark::set(c, here, Principal::user(am_store::UserKey(9)), 1));
    assert_eq!(stranger, Err(am_store::StoreError::NotFound));
}

fn an_own_message_moves_the_own_mark_within_a_second(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    db.send(here, text(agent, "hi")).unwrap();
    db.send(here, text(user, "hello")).unwrap();
    let start = std::time::Instant::now();
    loop {
        let members = db.read(move |c| conversation::members(c, here)).unwrap();
        if members.iter().map(|m| m.read_seq).eq([2, 1]) {
            break;
        }
        assert!(start.elapsed() < common::PATIENCE, "{members:?}");
    }
    let row = db.read(move |c| conversation::load(c, here)).unwrap();
    assert_eq!(row.last_at, common::NEW_YEAR.plus_micros(1));
}

fn the_list_pages_through_every_conversation_newest_first(on: Kind) {
    let db = on.open();
    let user = db.user("ada");
    let mut made: Vec<ConversationKey> = (0..7)
        .map(|n| {
            let agent = db.agent(&format!("bot{n}"));
            db.clock.advance_micros(i64::from(n % 2) * 1000);
            db.direct(user, agent)
        })
        .collect();
    let who = Principal::user(user);
    db.clock.advance_micros(5000);
    db.send(made[2], text(who, "newest")).unwrap();
    let db = db.reopen();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = ListQuery {
            limit: 3,
            after,
            device: None,
        };
        let page = db
            .read(move |c| conversation::list_for(c, who, query))
            .unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        seen.extend(page.iter().map(|item| item.conversation.key));
    }
    assert_eq!(seen.first(), Some(&made[2]), "activity counts");
    seen.sort();
    made.sort();
    assert_eq!(seen, made, "each one once");
}

fn a_page_of_the_list_takes_as_many_statements_however_long_it_is(on: Kind) {
    let db = on.open();
    let user = db.user("ada");
    let who = Principal::user(user);
    let statements = |limit| {
        let query = ListQuery {
            limit,
            after: None,
            device: None,
        };
        let page = db.read(move |c| Ok(c.counting(|c| conversation::list_for(c, who, query))));
        let (page, statements) = page.unwrap();
        (page.unwrap().len(), statements)
    };
    for n in 0..30 {
        let agent = db.agent(&format!("bot{n}"));
        let here = db.direct(user, agent);
        db.send(here, text(who, "hello")).unwrap();
    }
    let (few, many) = (statements(2), statements(30));
    assert_eq!((few.0, many.0), (2, 30));
    assert!(few.1 > 0);
    assert_eq!(few.1, many.1);
}

#[test]
fn the_hot_queries_use_their_indexes() {
    use diesel::connection::{Connection, SimpleConnection};
    use diesel::prelude::*;
    #[derive(diesel::QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let db = Db::new();
    let mut conn = diesel::SqliteConnection::establish(db.path().to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA query_only = ON").unwrap();
    for (query, index) in [
        (
            "SELECT * FROM messages WHERE conversation_id = 1 AND seq > 5 ORDER BY seq LIMIT 10",
            "sqlite_autoindex_messages_1",
        ),
        (
            "SELECT COUNT(*) FROM messages WHERE conversation_id = 1 AND seq > 5 \
             AND (messages.deleted_at IS NOT NULL OR messages.kind = 3)",
            "messages_hidden",
        ),
        (
            "SELECT * FROM members WHERE principal_kind = 1 AND principal_id = 1",
            "members_principal",
        ),
    ] {
        let plan: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}"))
            .load(&mut conn)
            .unwrap();
        assert!(
            plan.iter().any(|step| step.detail.contains(index)),
            "{query}: {:?}",
            plan[0].detail
        );
        assert!(
            plan.iter().all(|step| !step.detail.contains("SCAN")),
            "{query}"
        );
    }
}

fn names_of_sends_are_forgotten_after_the_window(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    for n in 0..20 {
        db.send(here, named(user, &format!("u{n}"), "x")).unwrap();
        db.clock.advance_micros(1000);
        db.send(here, named(agent, &format!("a{n}"), "x")).unwrap();
    }
    let limit = common::NEW_YEAR.plus_micros(10_000);
    let (mut cursor, mut removed, mut pieces) = (send::SweepCursor::default(), 0, 0);
    loop {
        let from = cursor.clone();
        let (some, next) = db.write(move |c| send::sweep(c, limit, &from, 7)).unwrap();
        (removed, pieces) = (removed + some, pieces + 1);
        let Some(next) = next else { break };
        cursor = next;
    }
    // u0..u9 and a0..a8 were sent before the limit; 40 names are six pieces of seven.
    assert_eq!((removed, pieces), (19, 6));
    assert!(!db.send(here, named(user, "u0", "y")).unwrap().replayed);
    assert!(db.send(here, named(user, "u19", "x")).unwrap().replayed);
    assert!(db.send(here, named(agent, "a9", "x")).unwrap().replayed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pages_walk_the_whole_log_once(
        sizes in proptest::collection::vec(0usize..200, 1..60),
        removed in 0i64..40,
        rows in 1usize..20,
        bytes in 0usize..1000,
    ) {
        let db = Db::new();
        let (user, _, here) = db.pair();
        sizes.iter().zip(0..).for_each(|(size, tag)| db.offer(here, tag, text(user, &"x".repeat(*size))));
        db.outcomes(sizes.len());
        let count = sizes.len() as i64;
        db.write(move |c| message::remove_head(c, here, removed)).unwrap();
        let first = removed.min(count) + 1;
        let (mut walked, mut at) = (Vec::new(), 0);
        loop {
            let page = db.read(move |c| message::page_above(c, here, at, rows, bytes)).unwrap();
            prop_assert_eq!((page.first_seq, page.last_seq), (first, count));
            prop_assert!(page.rows.len() <= rows);
            let used: usize = page.rows.iter().map(message::MessageRow::text_bytes).sum();
            prop_assert!(used <= bytes || page.rows.len() == 1);
            let Some(last) = page.rows.last() else { break };
            at = last.seq;
            walked.extend(seqs(&page));
        }
        prop_assert!(walked.iter().copied().eq(first..=count));
        let (mut walked, mut at) = (Vec::new(), None);
        loop {
            let page = db.read(move |c| message::page_below(c, here, at, rows, bytes)).unwrap();
            let Some(oldest) = page.rows.first() else { break };
            at = Some(oldest.seq);
            walked.extend(seqs(&page).into_iter().rev());
        }
        walked.reverse();
        prop_assert!(walked.into_iter().eq(first..=count));
    }

    #[test]
    fn repeats_agree_with_a_model(sends in proptest::collection::vec(
        (0..2usize, 0..2usize, proptest::option::of(0..4u8), 0..2u8, any::<bool>()), 1..80,
    )) {
        let db = Db::new();
        let (user, agent, here) = db.pair();
        let there = db.direct(am_store::UserKey(user.key), am_store::AgentKey(agent.key));
        let (senders, places) = ([user, agent], [here, there]);
        let mut first: HashMap<(usize, u8), (usize, u8, i64)> = HashMap::new();
        let mut last = [0i64; 2];
        let mut expected = Vec::new();
        for (tag, (who, place, name, body, wait)) in sends.into_iter().enumerate() {
            let content = format!("b{body}");
            let entry = match name {
                Some(name) => named(senders[who], &format!("n{name}"), &content),
                None => text(senders[who], &content),
            };
            db.offer(places[place], tag as u64, entry);
            if wait {
                db.write(|_| Ok(())).unwrap();
            }
            let known = name.and_then(|name| first.get(&(who, name)).copied());
            expected.push(match known {
                Some((p, b, seq)) if p == place && b == body => Ok((seq, true)),
                Some(_) => Err(AppendError::Conflict),
                None => {
                    last[place] += 1;
                    name.map(|name| first.insert((who, name), (place, body, last[place])));
                    Ok((last[place], false))
                }
            });
        }
        let got: Vec<_> =
            db.outcomes(expected.len()).into_iter().map(|o| o.result.map(|s| (s.seq, s.replayed))).collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!(db.read(verify::check).unwrap(), vec![]);
    }
}

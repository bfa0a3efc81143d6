//! Positions and devices: never backwards, where a new device starts, how many there may be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

common::on_both! {
    a_new_device_of_a_user_starts_at_the_furthest_position,
    a_device_known_before_keeps_its_position,
    the_least_recently_used_device_goes_when_there_are_too_many,
    a_position_of_what_is_gone_is_passed_over,
    behind_tells_what_a_device_has_not_seen,
}

use am_store::{
    ChangeKind, ConversationKey, DeviceKey, PositionUpdate, Principal, change, conversation, device,
};
use am_store::{message, position};
use common::{Db, Kind, NEW_YEAR, text};
use proptest::prelude::*;
use protocol::{Position, limits};

fn device_of(db: &Db, owner: Principal, name: &str, micros: i64) -> am_store::DeviceRow {
    let name = name.to_owned();
    db.write(move |c| device::find_or_create(c, owner, &name, NEW_YEAR.plus_micros(micros)))
        .unwrap()
}

fn save(db: &Db, updates: &[(DeviceKey, ConversationKey, i64, i64)]) {
    let update = |&(device, conversation, seq, rev)| PositionUpdate {
        device,
        conversation,
        position: Position { seq, rev },
    };
    db.store
        .save_positions(updates.iter().map(update).collect())
        .unwrap();
}

fn load(db: &Db, device: DeviceKey, conversation: ConversationKey) -> Position {
    db.write(move |c| position::load(c, device, conversation))
        .unwrap()
}

fn a_new_device_of_a_user_starts_at_the_furthest_position(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    let there = db.direct(am_store::UserKey(user.key), am_store::AgentKey(agent.key));
    let other = Principal::user(db.user("eve"));
    let (phone, laptop) = (
        device_of(&db, user, "phone", 0).key,
        device_of(&db, user, "laptop", 0).key,
    );
    let stranger = device_of(&db, other, "phone", 0).key;
    save(
        &db,
        &[
            (phone, here, 7, 1),
            (laptop, here, 5, 3),
            (stranger, here, 90, 90),
            (phone, there, 2, 0),
        ],
    );
    db.write(|_| Ok(())).unwrap();
    let tablet = device_of(&db, user, "tablet", 0);
    assert!(tablet.created);
    assert_eq!(load(&db, tablet.key, here), Position { seq: 7, rev: 3 });
    assert_eq!(load(&db, tablet.key, there), Position { seq: 2, rev: 0 });
    save(&db, &[(phone, here, 9, 9)]);
    assert_eq!(
        load(&db, tablet.key, here),
        Position { seq: 7, rev: 3 },
        "from then on it is its own"
    );
}

fn a_device_known_before_keeps_its_position(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    let phone = device_of(&db, user, "phone", 0).key;
    let laptop = device_of(&db, user, "laptop", 0).key;
    save(&db, &[(laptop, here, 5, 0)]);
    assert_eq!(load(&db, laptop, here).seq, 5);
    assert!(!device_of(&db, user, "phone", 1).created);
    assert_eq!(load(&db, phone, here), Position::default());
    let own = device_of(&db, agent, "agent", 0);
    assert_eq!(
        load(&db, own.key, here),
        Position::default(),
        "an agent starts at the beginning"
    );
}

fn the_least_recently_used_device_goes_when_there_are_too_many(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    let keys: Vec<_> = (0..limits::DEVICES_PER_USER as i64)
        .map(|n| device_of(&db, user, &format!("d{n}"), n).key)
        .collect();
    save(&db, &[(keys[0], here, 3, 0), (keys[1], here, 4, 0)]);
    // The first is used again, so that the second is the oldest.
    assert!(!device_of(&db, user, "d0", 1000).created);
    let new = device_of(&db, user, "new", 1001);
    assert!(new.created);
    assert_eq!(
        load(&db, new.key, here).seq,
        4,
        "it starts at the furthest, also of the one that goes"
    );
    assert_eq!(
        load(&db, keys[1], here),
        Position::default(),
        "positions go with their device"
    );
    assert_eq!(load(&db, keys[0], here).seq, 3);
    assert!(!device_of(&db, user, "d2", 1002).created);
    assert!(
        device_of(&db, user, "d1", 1003).created,
        "the oldest was forgotten"
    );
}

fn a_position_of_what_is_gone_is_passed_over(on: Kind) {
    let db = on.open();
    let (user, _, here) = db.pair();
    let phone = device_of(&db, user, "phone", 0).key;
    save(
        &db,
        &[
            (DeviceKey(99), here, 1, 0),
            (phone, ConversationKey(99), 1, 0),
            (phone, here, 1, 0),
        ],
    );
    assert_eq!(load(&db, phone, here).seq, 1);
    assert_eq!(db.send(here, text(user, "x")).unwrap().seq, 1);
}

fn behind_tells_what_a_device_has_not_seen(on: Kind) {
    let db = on.open();
    let (user, agent, here) = db.pair();
    let (u, a) = (am_store::UserKey(user.key), am_store::AgentKey(agent.key));
    let (seen, changed, empty) = (db.direct(u, a), db.direct(u, a), db.direct(u, a));
    let foreign = db.direct(db.user("eve"), a);
    for conversation in [here, seen, changed, foreign] {
        for _ in 0..4 {
            db.send(conversation, text(agent, "x")).unwrap();
        }
    }
    db.write(move |c| change::append(c, changed, ChangeKind::Conversation, None, None))
        .unwrap();
    db.write(move |c| message::remove_head(c, here, 3)).unwrap();
    let phone = device_of(&db, user, "phone", 0).key;
    save(
        &db,
        &[
            (phone, here, 1, 0),
            (phone, seen, 4, 0),
            (phone, changed, 4, 0),
        ],
    );
    db.write(|_| Ok(())).unwrap();
    let behind = db.read(move |c| position::behind(c, phone, user)).unwrap();
    assert_eq!(
        behind.iter().map(|b| b.key).collect::<Vec<_>>(),
        [here, changed]
    );
    assert_eq!(
        (
            behind[0].position.seq,
            behind[0].first_seq,
            behind[0].last_seq
        ),
        (1, 4, 4)
    );
    assert_eq!(
        (
            behind[1].position.rev,
            behind[1].first_rev,
            behind[1].last_rev
        ),
        (0, 1, 1)
    );
    let agent_device = device_of(&db, agent, "agent", 0).key;
    let behind = db
        .read(move |c| position::behind(c, agent_device, agent))
        .unwrap();
    assert_eq!(
        behind.iter().map(|b| b.key).collect::<Vec<_>>(),
        [here, seen, changed, foreign]
    );
    assert!(!behind.iter().any(|b| b.key == empty));
    db.write(move |c| conversation::delete(c, here)).unwrap();
    assert_eq!(
        db.read(move |c| position::behind(c, phone, user))
            .unwrap()
            .len(),
        1
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn positions_never_move_backwards(updates in proptest::collection::vec(
        (0..2usize, 0i64..50, 0i64..50, any::<bool>()), 1..40,
    )) {
        let db = Db::new();
        let (user, _, here) = db.pair();
        let devices = [device_of(&db, user, "a", 0).key, device_of(&db, user, "b", 0).key];
        let mut model = [Position::default(); 2];
        for (which, seq, rev, wait) in updates {
            save(&db, &[(devices[which], here, seq, rev)]);
            model[which] = Position { seq: model[which].seq.max(seq), rev: model[which].rev.max(rev) };
            if wait {
                prop_assert_eq!(load(&db, devices[which], here), model[which]);
            }
        }
        prop_assert_eq!(load(&db, devices[0], here), model[0]);
        prop_assert_eq!(load(&db, devices[1], here), model[1]);
    }
}

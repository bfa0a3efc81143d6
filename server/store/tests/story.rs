//! One walk through all nouns. It knows no backend: what opens the store is an argument, so
//! that a second database tells the same story.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a story is long and all test"
)]

mod common;

use am_store::{
    AgentFields, ChangeKind, ListQuery, MemberRole, NewLogin, Overwrite, PositionUpdate, Principal,
    Role, StoreError, UserKey, agent, ban, change, conversation, device, invite, login, message,
    position, read_mark, server_state, user, verify,
};
use common::{Db, Kind, NEW_YEAR, insert_user, named, new_direct, text};
use protocol::{AgentId, Party, Position, PrincipalKind, Timestamp};

common::on_both! { the_story }

fn the_story(on: Kind) {
    let db = &on.open();
    let ada = people(db);
    let bot = agents(db);
    logins_and_invites(db, ada);
    state(db);
    bans(db, ada, bot);
    conversations(db, ada, bot);
    log_and_changes(db, ada, bot);
    devices(db, ada, bot);
    assert_eq!(db.read(verify::check).unwrap(), vec![]);
}

fn people(db: &Db) -> UserKey {
    assert!(!db.read(user::any_owner).unwrap());
    let ada = db.write(|c| insert_user(c, "ada")).unwrap();
    assert_eq!(
        (ada.username.as_str(), ada.role, ada.created_at),
        ("ada", Role::Member, NEW_YEAR)
    );
    assert_eq!(
        db.write(|c| insert_user(c, "ada")),
        Err(StoreError::Conflict)
    );
    db.write(move |c| user::set_role(c, ada.key, Role::Owner))
        .unwrap();
    db.write(move |c| user::set_password(c, ada.key, "other"))
        .unwrap();
    assert_eq!(
        db.write(|c| user::set_password(c, UserKey(99), "x")),
        Err(StoreError::NotFound)
    );
    assert!(db.read(user::any_owner).unwrap());
    let id = ada.id.clone();
    let found = db.read(move |c| user::find_by_id(c, &id)).unwrap().unwrap();
    assert_eq!(
        (found.password_hash.as_str(), found.role),
        ("other", Role::Owner)
    );
    assert_eq!(
        db.read(|c| user::find_by_name(c, "ada")).unwrap(),
        Some(found.clone())
    );
    assert_eq!(db.read(move |c| user::load(c, ada.key)).unwrap(), found);
    assert_eq!(db.read(|c| user::find_by_name(c, "eve")).unwrap(), None);
    let bob = db.user("bob");
    let page = db.read(|c| user::list(c, 1, None)).unwrap();
    assert_eq!(page.iter().map(|u| u.key).collect::<Vec<_>>(), [ada.key]);
    let rest = db
        .read(move |c| user::list(c, 10, Some(page[0].key)))
        .unwrap();
    assert_eq!(rest.iter().map(|u| u.key).collect::<Vec<_>>(), [bob]);
    assert_eq!(db.read(user::count).unwrap(), 2);
    ada.key
}

fn fields(name: Option<&str>, model: Option<&str>) -> AgentFields {
    AgentFields {
        name: name.map(Into::into),
        model: model.map(Into::into),
        ..AgentFields::default()
    }
}

fn agents(db: &Db) -> am_store::AgentKey {
    let id = AgentId::parse("bot.one").unwrap();
    let upsert = |fields, overwrite| {
        let id = id.clone();
        db.write(move |c| agent::upsert(c, &id, fields, overwrite))
            .unwrap()
    };
    let (made, created) = upsert(fields(None, Some("m1")), Overwrite::NonEmpty);
    assert!(created);
    assert_eq!(
        (made.name.as_str(), made.model.as_str(), made.bound),
        ("bot.one", "m1", false)
    );
    let (kept, created) = upsert(fields(Some("Bot"), Some("")), Overwrite::NonEmpty);
    assert!(!created);
    assert_eq!(
        (kept.key, kept.name.as_str(), kept.model.as_str()),
        (made.key, "Bot", "m1")
    );
    let (replaced, _) = upsert(fields(Some("Bot"), None), Overwrite::All);
    assert_eq!(
        (replaced.name.as_str(), replaced.model.as_str()),
        ("Bot", "")
    );
    db.write(move |c| agent::set_token(c, made.key, [7; 32]))
        .unwrap();
    db.write(move |c| agent::set_bound(c, made.key)).unwrap();
    let loaded = db.read(move |c| agent::load(c, made.key)).unwrap();
    assert_eq!((loaded.token_hash, loaded.bound), (Some([7; 32]), true));
    let (kept, _) = upsert(fields(Some("Bot"), None), Overwrite::All);
    assert_eq!(
        (kept.token_hash, kept.bound),
        (Some([7; 32]), true),
        "an upsert leaves the token"
    );
    db.agent("Alpha");
    let all = db.read(agent::list).unwrap();
    assert_eq!(
        all.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
        ["Alpha", "Bot"]
    );
    assert_eq!(db.read(agent::count).unwrap(), 2);
    assert_eq!(db.read(move |c| agent::find(c, &id)).unwrap(), Some(kept));
    made.key
}

fn logins_and_invites(db: &Db, ada: UserKey) {
    let later = NEW_YEAR.plus_micros(1_000_000);
    for sid in ["s1", "s2", "s3"] {
        let new = NewLogin {
            sid: sid.into(),
            user: ada,
            device: None,
            expires_at: later,
        };
        db.write(move |c| login::insert(c, new)).unwrap();
    }
    db.write(|c| login::revoke(c, "s1")).unwrap();
    db.write(|c| login::revoke(c, "s1")).unwrap();
    assert_eq!(
        db.write(|c| login::revoke(c, "no")),
        Err(StoreError::NotFound)
    );
    assert!(
        db.read(|c| login::find(c, "s1"))
            .unwrap()
            .unwrap()
            .revoked_at
            .is_some()
    );
    db.clock.advance_micros(10);
    db.write(|c| login::touch(c, "s3")).unwrap();
    let open = db.read(move |c| login::list(c, ada)).unwrap();
    assert_eq!(
        open.iter().map(|l| l.sid.as_str()).collect::<Vec<_>>(),
        ["s3", "s2"]
    );
    db.write(move |c| login::extend(c, "s2", later.plus_micros(5)))
        .unwrap();
    let mut ended = db.write(move |c| login::revoke_all(c, ada)).unwrap();
    ended.sort();
    assert_eq!(ended, ["s2", "s3"]);
    assert_eq!(
        db.write(move |c| login::sweep(c, later.plus_micros(1)))
            .unwrap(),
        2
    );
    assert!(db.read(|c| login::find(c, "s2")).unwrap().is_some());

    let take =
        |token: u8, at: Timestamp| db.write(move |c| invite::take(c, [token; 32], at, Some(ada)));
    for token in [1, 2, 3] {
        db.write(move |c| invite::create(c, [token; 32], Role::Admin, Some(ada), later))
            .unwrap();
    }
    assert_eq!(take(1, later), Err(StoreError::NotFound), "an invite ends");
    assert_eq!(take(1, NEW_YEAR), Ok(Role::Admin));
    assert_eq!(
        take(1, NEW_YEAR),
        Err(StoreError::NotFound),
        "an invite is used once"
    );
    assert_eq!(take(9, NEW_YEAR), Err(StoreError::NotFound));
    db.write(|c| invite::revoke(c, [2; 32])).unwrap();
    assert_eq!(
        db.write(|c| invite::revoke(c, [1; 32])),
        Err(StoreError::NotFound)
    );
    let all = db.read(invite::list).unwrap();
    assert_eq!(
        all.iter()
            .map(|i| (i.token_hash[0], i.used_by))
            .collect::<Vec<_>>(),
        [(1, Some(ada)), (3, None)]
    );
}

fn bans(db: &Db, ada: UserKey, bot: am_store::AgentKey) {
    let (user, agent) = (Principal::user(ada), Principal::agent(bot));
    assert!(!db.read(move |c| ban::stands(c, user)).unwrap());
    db.write(move |c| ban::put(c, user, "spam")).unwrap();
    db.write(move |c| ban::put(c, user, "more spam")).unwrap();
    assert!(db.read(move |c| ban::stands(c, user)).unwrap());
    assert!(!db.read(move |c| ban::stands(c, agent)).unwrap());
    let all = db.read(|c| ban::all_of(c, PrincipalKind::User)).unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [ada.0]);
    db.write(move |c| ban::lift(c, user)).unwrap();
    assert!(!db.read(move |c| ban::stands(c, user)).unwrap());
    assert_eq!(db.read(user::count_owners).unwrap(), 1);
}

fn state(db: &Db) {
    assert_eq!(db.read(|c| server_state::get(c, "secret")).unwrap(), None);
    assert_eq!(
        db.write(|c| server_state::find_or_put(c, "secret", b"one"))
            .unwrap(),
        b"one"
    );
    assert_eq!(
        db.write(|c| server_state::find_or_put(c, "secret", b"two"))
            .unwrap(),
        b"one"
    );
    db.write(|c| server_state::put(c, "secret", b"three"))
        .unwrap();
    assert_eq!(
        db.read(|c| server_state::get(c, "secret")).unwrap(),
        Some(b"three".to_vec())
    );
}

fn conversations(db: &Db, ada: UserKey, bot: am_store::AgentKey) {
    assert!(
        !db.read(move |c| conversation::have_met(c, ada, bot))
            .unwrap()
    );
    let (first, created) = db
        .write(move |c| conversation::find_or_create_direct(c, new_direct(ada, bot)))
        .unwrap();
    assert!(created);
    let (same, created) = db
        .write(move |c| conversation::find_or_create_direct(c, new_direct(ada, bot)))
        .unwrap();
    assert_eq!((same.key, created), (first.key, false));
    let thread = am_store::NewDirect {
        title: Some("thread".into()),
        ..new_direct(ada, bot)
    };
    let copy = thread.clone();
    let second = db
        .write(move |c| conversation::create_direct(c, thread))
        .unwrap();
    assert_eq!(second.title.as_deref(), Some("thread"));
    assert_eq!(
        db.write(move |c| conversation::create_direct(c, copy)),
        Err(StoreError::Conflict)
    );
    let newest = db
        .read(move |c| conversation::find_direct(c, ada, bot))
        .unwrap()
        .unwrap();
    assert_eq!(newest.key, second.key);
    let id = first.id.clone();
    assert_eq!(
        db.read(move |c| conversation::find(c, &id)).unwrap(),
        Some(first.clone())
    );
    assert_eq!(
        db.read(move |c| conversation::load(c, first.key)).unwrap(),
        first
    );
    let members = db
        .read(move |c| conversation::members(c, second.key))
        .unwrap();
    assert_eq!(
        members.iter().map(|m| m.principal).collect::<Vec<_>>(),
        [Principal::user(ada), Principal::agent(bot)]
    );
    assert_eq!(
        (members[1].id.to_string(), members[1].role),
        ("bot.one".to_owned(), MemberRole::Member)
    );
    let eve = Principal::user(db.user("eve"));
    assert!(
        db.read(move |c| conversation::is_member(c, second.key, Principal::user(ada)))
            .unwrap()
    );
    assert!(
        !db.read(move |c| conversation::is_member(c, second.key, eve))
            .unwrap()
    );
    assert_eq!(
        db.read(move |c| conversation::peers_of(c, Principal::user(ada)))
            .unwrap(),
        [Principal::agent(bot)]
    );
    assert_eq!(
        db.read(move |c| conversation::peers_of(c, Principal::agent(bot)))
            .unwrap(),
        [Principal::user(ada)]
    );
    assert_eq!(
        db.read(move |c| conversation::peers_of(c, eve)).unwrap(),
        []
    );
    db.write(move |c| conversation::delete(c, second.key))
        .unwrap();
    assert_eq!(
        db.write(move |c| conversation::delete(c, second.key)),
        Err(StoreError::NotFound)
    );
    let newest = db
        .read(move |c| conversation::find_direct(c, ada, bot))
        .unwrap()
        .unwrap();
    assert_eq!(newest.key, first.key);
}

fn log_and_changes(db: &Db, ada: UserKey, bot: am_store::AgentKey) {
    let here = db
        .read(move |c| conversation::find_direct(c, ada, bot))
        .unwrap()
        .unwrap()
        .key;
    let (ada, bot) = (Principal::user(ada), Principal::agent(bot));
    let metadata = am_store::NewEntry {
        metadata: Some("{\"a\":1}".into()),
        ..named(ada, "k", "hello")
    };
    let first = db.send(here, metadata).unwrap();
    db.send(here, text(bot, "hi")).unwrap();
    db.send(here, text(bot, "there")).unwrap();
    let row = db
        .read(move |c| message::find(c, first.id))
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.content.to_string(), row.seq, row.sender),
        ("hello".to_owned(), 1, ada)
    );
    assert_eq!(row.metadata.as_deref(), Some("{\"a\":1}"));
    assert!(row.sender_id.starts_with("user_"));
    assert_eq!(row.client_msg_id.unwrap().as_str(), "k");
    let page = db
        .read(move |c| message::page_above(c, here, 1, 10, 1000))
        .unwrap();
    assert_eq!((page.first_seq, page.last_seq), (1, 3));
    assert_eq!(
        page.rows
            .iter()
            .map(|r| r.content.to_string())
            .collect::<Vec<_>>(),
        ["hi", "there"]
    );
    assert_eq!(page.rows[0].sender_id, "bot.one");
    assert_eq!(db.read(move |c| message::last_seq(c, here)).unwrap(), 3);

    let add = |kind, id| db.write(move |c| change::append(c, here, kind, id, Some("{}".into())));
    assert_eq!(add(ChangeKind::Edit, Some(first.id)).unwrap().rev, 1);
    let second = add(ChangeKind::Conversation, None).unwrap();
    assert_eq!((second.rev, second.message_seq), (2, None));
    assert_eq!(
        add(ChangeKind::Edit, Some(protocol::MessageId::from_i64(5))),
        Err(StoreError::NotFound)
    );
    let page = db
        .read(move |c| change::page_above(c, here, 0, 10))
        .unwrap();
    assert_eq!((page.first_rev, page.last_rev, page.rows.len()), (1, 2, 2));
    assert_eq!(
        (page.rows[0].kind, page.rows[0].message_seq),
        (ChangeKind::Edit, Some(1))
    );
    db.clock.advance_micros(1000);
    let now = am_store::Clock::now(&*db.clock);
    assert_eq!(db.write(move |c| change::sweep(c, now)).unwrap(), 2);
    assert_eq!(
        add(ChangeKind::Delete, Some(first.id)).unwrap().rev,
        3,
        "numbers go on"
    );
    let page = db
        .read(move |c| change::page_above(c, here, 0, 10))
        .unwrap();
    assert_eq!((page.first_rev, page.last_rev, page.rows.len()), (3, 3, 1));
}

fn devices(db: &Db, ada: UserKey, bot: am_store::AgentKey) {
    let here = db
        .read(move |c| conversation::find_direct(c, ada, bot))
        .unwrap()
        .unwrap();
    let owner = Principal::user(ada);
    let phone = db
        .write(move |c| device::find_or_create(c, owner, "phone", NEW_YEAR))
        .unwrap();
    assert!(phone.created);
    let again = db
        .write(move |c| device::find_or_create(c, owner, "phone", NEW_YEAR))
        .unwrap();
    assert_eq!((again.key, again.created), (phone.key, false));
    let key = here.key;
    assert_eq!(
        db.read(move |c| position::load(c, phone.key, key)).unwrap(),
        Position::default()
    );
    let behind = db
        .read(move |c| position::behind(c, phone.key, owner))
        .unwrap();
    assert_eq!(
        (
            behind.len(),
            &behind[0].id,
            behind[0].last_seq,
            behind[0].last_rev
        ),
        (1, &here.id, 3, 3)
    );
    let reached = Position { seq: 3, rev: 3 };
    let update = PositionUpdate {
        device: phone.key,
        conversation: key,
        position: reached,
    };
    db.store.save_positions(vec![update]).unwrap();
    db.write(|_| Ok(())).unwrap();
    assert_eq!(
        db.read(move |c| position::load(c, phone.key, key)).unwrap(),
        reached
    );
    assert_eq!(
        db.read(move |c| position::behind(c, phone.key, owner))
            .unwrap(),
        []
    );

    db.write(move |c| read_mark::set(c, key, owner, 2)).unwrap();
    let query = ListQuery {
        limit: 10,
        after: None,
        device: Some(phone.key),
    };
    let list = db
        .read(move |c| conversation::list_for(c, owner, query))
        .unwrap();
    assert_eq!((list.len(), list[0].unread, list[0].read_seq), (1, 1, 2));
    assert_eq!(list[0].other, Party::new(PrincipalKind::Agent, "bot.one"));
    assert_eq!(
        (
            list[0].other_name.as_str(),
            list[0].last_seq,
            list[0].last_rev
        ),
        ("Bot", 3, 3)
    );
    assert_eq!(list[0].position, Some(reached));
    assert_eq!(list[0].last.as_ref().unwrap().content, "there");
    let old = db
        .write(move |c| device::sweep(c, NEW_YEAR.plus_micros(1)))
        .unwrap();
    assert_eq!(old, 1);
    assert_eq!(
        db.read(move |c| position::load(c, phone.key, key)).unwrap(),
        Position::default()
    );
}

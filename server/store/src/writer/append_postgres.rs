//! A run of messages into PostgreSQL's open transaction, in as many statements for a thousand
//! messages as for one: each statement is a journey to the server. The rows of the conversations
//! are locked in the order of their keys, and what stands there decides the numbers.

use super::append::{Desk, Place, body_hash};
use super::heads::Head;
use crate::keys::ConversationKey;
use crate::statement::statement;
use crate::{Append, AppendError, NewEntry, Stored};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, SmallInt, Text};
use std::collections::{BTreeSet, HashMap};
use std::marker::PhantomData;

/// Stores `appends` and fills `results`.
pub(super) fn append_all(
    conn: &mut PgConnection,
    desk: &mut Desk<'_>,
    appends: &[Append],
    results: &mut [Result<Stored, AppendError>],
) -> QueryResult<()> {
    lock_heads(conn, desk, appends)?;
    let mut firsts = Firsts::load(conn, appends, desk.oldest())?;
    let mut rows = Rows::default();
    for (append, result) in appends.iter().zip(results) {
        *result = place(desk, &mut firsts, &mut rows, append);
    }
    rows.insert(conn)
}

fn place<'a>(
    desk: &mut Desk<'_>,
    firsts: &mut Firsts<'a>,
    rows: &mut Rows<'a>,
    append: &'a Append,
) -> Result<Stored, AppendError> {
    let (key, entry) = (append.conversation, &*append.entry);
    let head = desk
        .heads
        .known(key)
        .ok_or(AppendError::NoSuchConversation)?;
    let named = name_of(entry).map(|name| (name, body_hash(key, entry)));
    if let Some((name, hash)) = &named
        && let Some(first) = firsts.0.get(name)
    {
        return if first.hash == hash {
            Ok(first.place.stored(true))
        } else {
            Err(AppendError::Conflict)
        };
    }
    let place = desk.place_after(head, key);
    desk.heads.advance(key, place.head());
    rows.push(place, entry);
    if let Some((name, hash)) = named {
        rows.claims.push(name, place, hash);
        let hash = hash.to_vec();
        firsts.0.insert(name, First { place, hash });
    }
    Ok(place.stored(false))
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    first_seq: i64,
}

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

statement! {
    Lock { ids: &'a [i64] => Array<BigInt> }
    "SELECT id, first_seq FROM conversations WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE"
}

statement! {
    /// A statement of its own, after the lock: it sees what the last holder committed.
    FindNewest { ids: &'a [i64] => Array<BigInt> }
    "SELECT u.id, m.seq, m.created_at FROM unnest(?) AS u (id) CROSS JOIN LATERAL \
       (SELECT seq, created_at FROM messages WHERE conversation_id = u.id ORDER BY seq DESC LIMIT 1) m"
}

/// Locks the conversations that this transaction has not locked yet, and reads their newest
/// entries.
fn lock_heads(conn: &mut PgConnection, desk: &mut Desk<'_>, appends: &[Append]) -> QueryResult<()> {
    let wanted: BTreeSet<i64> = appends
        .iter()
        .filter(|append| desk.heads.known(append.conversation).is_none())
        .map(|append| append.conversation.0)
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = wanted.into_iter().collect();
    let lock = Lock {
        ids: &ids,
        lifetime: PhantomData,
    };
    for locked in lock.load::<Locked>(conn)? {
        let head = Head {
            seq: locked.first_seq - 1,
            created_at: 0,
        };
        desk.heads.learn(ConversationKey(locked.id), head);
    }
    let newest = FindNewest {
        ids: &ids,
        lifetime: PhantomData,
    };
    for newest in newest.load::<Newest>(conn)? {
        let key = ConversationKey(newest.id);
        if let Some(empty) = desk.heads.known(key) {
            let head = Head {
                seq: newest.seq.max(empty.seq),
                created_at: newest.created_at,
            };
            desk.heads.learn(key, head);
        }
    }
    Ok(())
}

/// A sender's name for a send.
type Name<'a> = (i16, i64, &'a str);

fn name_of(entry: &NewEntry) -> Option<Name<'_>> {
    let id = entry.client_msg_id.as_ref()?;
    Some((entry.sender.kind.as_i16(), entry.sender.key, id.as_str()))
}

/// What the first sending of a name became.
struct First {
    place: Place,
    hash: Vec<u8>,
}

/// By name: what was sent within the window, and what this run sends.
struct Firsts<'a>(HashMap<Name<'a>, First>);

#[derive(QueryableByName)]
struct FirstRow {
    /// Place in the arrays of the question, from 1.
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = BigInt)]
    message_id: i64,
    #[diesel(sql_type = BigInt)]
    conversation_id: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Binary)]
    body_hash: Vec<u8>,
}

statement! {
    FindFirsts {
        kinds: &'a [i16] => Array<SmallInt>,
        senders: &'a [i64] => Array<BigInt>,
        names: &'a [&'a str] => Array<Text>,
        oldest: i64 => BigInt,
    }
    "SELECT u.number, s.message_id, s.conversation_id, s.seq, s.created_at, s.body_hash \
     FROM unnest(?, ?, ?) WITH ORDINALITY AS u (kind, sender, name, number) \
     JOIN sends s ON s.sender_kind = u.kind AND s.sender_id = u.sender AND s.client_msg_id = u.name \
     WHERE s.created_at >= ?"
}

impl<'a> Firsts<'a> {
    fn load(conn: &mut PgConnection, appends: &'a [Append], oldest: i64) -> QueryResult<Self> {
        let asked: Vec<Name<'a>> = appends.iter().filter_map(|a| name_of(&a.entry)).collect();
        if asked.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let kinds: Vec<i16> = asked.iter().map(|name| name.0).collect();
        let senders: Vec<i64> = asked.iter().map(|name| name.1).collect();
        let names: Vec<&str> = asked.iter().map(|name| name.2).collect();
        let find = FindFirsts {
            kinds: &kinds,
            senders: &senders,
            names: &names,
            oldest,
            lifetime: PhantomData,
        };
        let first = |row: FirstRow| {
            let name = *asked.get(usize::try_from(row.number - 1).ok()?)?;
            let place = Place {
                id: row.message_id,
                conversation: ConversationKey(row.conversation_id),
                seq: row.seq,
                created_at: row.created_at,
            };
            let hash = row.body_hash;
            Some((name, First { place, hash }))
        };
        let rows = find.load::<FirstRow>(conn)?;
        Ok(Self(rows.into_iter().filter_map(first).collect()))
    }
}

/// Columns of the rows to insert.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<i64>,
    conversations: Vec<i64>,
    seqs: Vec<i64>,
    kinds: Vec<i16>,
    sender_kinds: Vec<i16>,
    senders: Vec<i64>,
    devices: Vec<Option<i64>>,
    names: Vec<Option<&'a str>>,
    bodies: Vec<&'a str>,
    metadata: Vec<Option<&'a str>>,
    times: Vec<i64>,
    claims: Claims<'a>,
}

statement! {
    InsertMessages {
        ids: &'a [i64] => Array<BigInt>,
        conversations: &'a [i64] => Array<BigInt>,
        seqs: &'a [i64] => Array<BigInt>,
        kinds: &'a [i16] => Array<SmallInt>,
        sender_kinds: &'a [i16] => Array<SmallInt>,
        senders: &'a [i64] => Array<BigInt>,
        devices: &'a [Option<i64>] => Array<Nullable<BigInt>>,
        names: &'a [Option<&'a str>] => Array<Nullable<Text>>,
        bodies: &'a [&'a str] => Array<Text>,
        metadata: &'a [Option<&'a str>] => Array<Nullable<Text>>,
        times: &'a [i64] => Array<BigInt>,
    }
    "INSERT INTO messages (id, conversation_id, seq, kind, sender_kind, sender_id, device_id, \
       client_msg_id, body, metadata, created_at) \
     SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
}

impl<'a> Rows<'a> {
    fn push(&mut self, place: Place, entry: &'a NewEntry) {
        self.ids.push(place.id);
        self.conversations.push(place.conversation.0);
        self.seqs.push(place.seq);
        self.kinds.push(entry.kind.as_i16());
        self.sender_kinds.push(entry.sender.kind.as_i16());
        self.senders.push(entry.sender.key);
        self.devices.push(entry.device.map(|key| key.0));
        self.names.push(name_of(entry).map(|name| name.2));
        self.bodies.push(&entry.content);
        self.metadata.push(entry.metadata.as_deref());
        self.times.push(place.created_at);
    }

    fn insert(&self, conn: &mut PgConnection) -> QueryResult<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        self.claims.insert(conn)?;
        let insert = InsertMessages {
            ids: &self.ids,
            conversations: &self.conversations,
            seqs: &self.seqs,
            kinds: &self.kinds,
            sender_kinds: &self.sender_kinds,
            senders: &self.senders,
            devices: &self.devices,
            names: &self.names,
            bodies: &self.bodies,
            metadata: &self.metadata,
            times: &self.times,
            lifetime: PhantomData,
        };
        insert.execute(conn).map(drop)
    }
}

/// Columns of the names that are taken.
#[derive(Default)]
struct Claims<'a> {
    kinds: Vec<i16>,
    senders: Vec<i64>,
    names: Vec<&'a str>,
    ids: Vec<i64>,
    conversations: Vec<i64>,
    seqs: Vec<i64>,
    times: Vec<i64>,
    hashes: Vec<Vec<u8>>,
}

statement! {
    /// A name that stands there already is older than the window, or it would have been found.
    InsertClaims {
        kinds: &'a [i16] => Array<SmallInt>,
        senders: &'a [i64] => Array<BigInt>,
        names: &'a [&'a str] => Array<Text>,
        ids: &'a [i64] => Array<BigInt>,
        conversations: &'a [i64] => Array<BigInt>,
        seqs: &'a [i64] => Array<BigInt>,
        times: &'a [i64] => Array<BigInt>,
        hashes: &'a [Vec<u8>] => Array<Binary>,
    }
    "INSERT INTO sends (sender_kind, sender_id, client_msg_id, message_id, conversation_id, seq, \
       created_at, body_hash) \
     SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (sender_kind, sender_id, client_msg_id) DO UPDATE SET \
       message_id = excluded.message_id, conversation_id = excluded.conversation_id, \
       seq = excluded.seq, created_at = excluded.created_at, body_hash = excluded.body_hash"
}

impl<'a> Claims<'a> {
    fn push(&mut self, name: Name<'a>, place: Place, hash: [u8; 16]) {
        self.kinds.push(name.0);
        self.senders.push(name.1);
        self.names.push(name.2);
        self.ids.push(place.id);
        self.conversations.push(place.conversation.0);
        self.seqs.push(place.seq);
        self.times.push(place.created_at);
        self.hashes.push(hash.to_vec());
    }

    fn insert(&self, conn: &mut PgConnection) -> QueryResult<()> {
        if self.kinds.is_empty() {
            return Ok(());
        }
        let insert = InsertClaims {
            kinds: &self.kinds,
            senders: &self.senders,
            names: &self.names,
            ids: &self.ids,
            conversations: &self.conversations,
            seqs: &self.seqs,
            times: &self.times,
            hashes: &self.hashes,
            lifetime: PhantomData,
        };
        insert.execute(conn).map(drop)
    }
}

//! Messages into an open transaction: the repeat check, the next `seq` and time of the
//! conversation, the row. Numbers come from a working copy that is adopted after COMMIT. Here
//! for SQLite, one message at a time: a statement costs it no journey.

use super::append_postgres;
use super::heads::{Head, Heads};
use crate::conn::Db;
use crate::keys::{ConversationKey, Principal};
use crate::schema::{messages, sends};
use crate::snowflake::Snowflake;
use crate::statement::statement;
use crate::{Append, AppendError, NewEntry, Stored};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, SmallInt, Text};
use diesel::sqlite::SqliteConnection;
use protocol::{MessageId, Timestamp};
use sha2::{Digest, Sha256};
use std::marker::PhantomData;

/// What an append needs beside the entry.
pub(crate) struct Desk<'a> {
    pub(crate) ids: &'a mut Snowflake,
    pub(crate) heads: &'a mut Heads,
    pub(crate) now: Timestamp,
    pub(crate) window_us: i64,
}

/// Where an entry goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) id: i64,
    pub(super) conversation: ConversationKey,
    pub(super) seq: i64,
    pub(super) created_at: i64,
}

impl Place {
    pub(super) fn stored(self, replayed: bool) -> Stored {
        Stored {
            id: MessageId::from_i64(self.id),
            seq: self.seq,
            created_at: Timestamp::from_micros(self.created_at),
            replayed,
        }
    }

    pub(super) const fn head(self) -> Head {
        Head {
            seq: self.seq,
            created_at: self.created_at,
        }
    }
}

impl Desk<'_> {
    /// The place after `head`.
    pub(super) fn place_after(&mut self, head: Head, conversation: ConversationKey) -> Place {
        Place {
            id: self.ids.next(self.now),
            conversation,
            seq: head.seq + 1,
            created_at: self.now.micros().max(head.created_at + 1),
        }
    }

    /// Repeats of what was sent before are new sends.
    pub(super) const fn oldest(&self) -> i64 {
        self.now.micros() - self.window_us
    }
}

/// Stores `appends` in their order and fills `results`, or finds the answers that their first
/// sending got. The outer error is the database's, and whoever called rolls back.
pub(crate) fn append_all(
    db: &mut Db,
    desk: &mut Desk<'_>,
    appends: &[Append],
    results: &mut [Result<Stored, AppendError>],
) -> QueryResult<()> {
    if let Db::Postgres(conn) = db {
        return append_postgres::append_all(conn, desk, appends, results);
    }
    for (append, result) in appends.iter().zip(results) {
        *result = append_one(db, desk, append.conversation, &append.entry)?;
    }
    Ok(())
}

fn append_one(
    db: &mut Db,
    desk: &mut Desk<'_>,
    conversation: ConversationKey,
    entry: &NewEntry,
) -> QueryResult<Result<Stored, AppendError>> {
    let Some(head) = desk.heads.get(db, conversation)? else {
        return Ok(Err(AppendError::NoSuchConversation));
    };
    let Db::Sqlite(conn) = db else {
        return Err(diesel::result::Error::NotFound);
    };
    let place = desk.place_after(head, conversation);
    if let Some(client_msg_id) = &entry.client_msg_id {
        let hash = body_hash(conversation, entry);
        let claimed = claim(
            conn,
            entry.sender,
            client_msg_id.as_str(),
            place,
            &hash,
            desk.oldest(),
        )?;
        if let Some(first) = claimed {
            return Ok(first);
        }
    }
    insert(conn, place, entry)?;
    desk.heads.advance(conversation, place.head());
    Ok(Ok(place.stored(false)))
}

/// The first 16 bytes of SHA-256 over what must be the same in a repeat.
pub(crate) fn body_hash(conversation: ConversationKey, entry: &NewEntry) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(conversation.0.to_be_bytes());
    hasher.update(entry.kind.as_i16().to_be_bytes());
    hasher.update((entry.content.len() as u64).to_be_bytes());
    hasher.update(entry.content.as_bytes());
    if let Some(metadata) = &entry.metadata {
        hasher.update(metadata.as_bytes());
    }
    hasher.update([u8::from(entry.metadata.is_some())]);
    let mut hash = [0u8; 16];
    hash.iter_mut()
        .zip(hasher.finalize())
        .for_each(|(to, from)| *to = from);
    hash
}

type SendColumns = (i64, i64, i64, i64, Vec<u8>);

/// Takes the sender's name for this send. `Some`: it was taken within the window, and this is
/// what the repeat is answered with.
fn claim(
    conn: &mut SqliteConnection,
    sender: Principal,
    client_msg_id: &str,
    place: Place,
    hash: &[u8; 16],
    oldest: i64,
) -> QueryResult<Option<Result<Stored, AppendError>>> {
    let claim = Claim {
        sender_kind: sender.kind.as_i16(),
        sender_id: sender.key,
        client_msg_id,
        message_id: place.id,
        conversation_id: place.conversation.0,
        seq: place.seq,
        created_at: place.created_at,
        body_hash: hash,
        oldest,
        lifetime: PhantomData,
    };
    if claim.execute(conn)? == 1 {
        return Ok(None);
    }
    let (id, conversation, seq, created_at, first_hash): SendColumns = sends::table
        .find((sender.kind.as_i16(), sender.key, client_msg_id))
        .select((
            sends::message_id,
            sends::conversation_id,
            sends::seq,
            sends::created_at,
            sends::body_hash,
        ))
        .first(conn)?;
    if first_hash != hash {
        return Ok(Some(Err(AppendError::Conflict)));
    }
    let first = Place {
        id,
        conversation: ConversationKey(conversation),
        seq,
        created_at,
    };
    Ok(Some(Ok(first.stored(true))))
}

statement! {
    /// Inserts the claim, or takes over one that is too old; changes nothing where a younger
    /// one stands.
    Claim {
        sender_kind: i16 => SmallInt,
        sender_id: i64 => BigInt,
        client_msg_id: &'a str => Text,
        message_id: i64 => BigInt,
        conversation_id: i64 => BigInt,
        seq: i64 => BigInt,
        created_at: i64 => BigInt,
        body_hash: &'a [u8] => Binary,
        oldest: i64 => BigInt,
    }
    "INSERT INTO sends (sender_kind, sender_id, client_msg_id, message_id, conversation_id, seq, \
       created_at, body_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (sender_kind, sender_id, client_msg_id) DO UPDATE SET \
       message_id = excluded.message_id, conversation_id = excluded.conversation_id, seq = excluded.seq, \
       created_at = excluded.created_at, body_hash = excluded.body_hash \
     WHERE created_at < ?"
}

fn insert(conn: &mut SqliteConnection, place: Place, entry: &NewEntry) -> QueryResult<()> {
    let row = (
        messages::id.eq(place.id),
        messages::conversation_id.eq(place.conversation.0),
        messages::seq.eq(place.seq),
        messages::kind.eq(entry.kind.as_i16()),
        messages::sender_kind.eq(entry.sender.kind.as_i16()),
        messages::sender_id.eq(entry.sender.key),
        messages::device_id.eq(entry.device.map(|key| key.0)),
        messages::client_msg_id.eq(entry
            .client_msg_id
            .as_ref()
            .map(protocol::ClientMsgId::as_str)),
        messages::body.eq::<&str>(&entry.content),
        messages::metadata.eq(entry.metadata.as_deref()),
        messages::created_at.eq(place.created_at),
    );
    diesel::insert_into(messages::table)
        .values(row)
        .execute(conn)
        .map(drop)
}

//! One message into one open transaction: the repeat check, the next `seq` and time of its
//! conversation, the row. Numbers come from a working copy that is adopted after COMMIT.

use super::heads::Heads;
use crate::conn::Db;
use crate::keys::{ConversationKey, Principal};
use crate::schema::{messages, sends};
use crate::snowflake::Snowflake;
use crate::statement::sqlite_statement;
use crate::{AppendError, NewEntry, Stored};
use diesel::prelude::*;
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
struct Place {
    id: i64,
    conversation: ConversationKey,
    seq: i64,
    created_at: i64,
}

/// Stores `entry`, or finds the answer that its first sending got. The outer error is the
/// database's, and whoever called rolls back.
pub(crate) fn append(
    db: &mut Db,
    desk: &mut Desk<'_>,
    conversation: ConversationKey,
    entry: &NewEntry,
) -> QueryResult<Result<Stored, AppendError>> {
    let Some(head) = desk.heads.get(db, conversation)? else {
        return Ok(Err(AppendError::NoSuchConversation));
    };
    let place = Place {
        id: desk.ids.next(desk.now),
        conversation,
        seq: head.seq + 1,
        created_at: desk.now.micros().max(head.created_at + 1),
    };
    if let Some(client_msg_id) = &entry.client_msg_id {
        let hash = body_hash(conversation, entry);
        let oldest = desk.now.micros() - desk.window_us;
        if let Some(first) = claim(
            db,
            entry.sender,
            client_msg_id.as_str(),
            place,
            &hash,
            oldest,
        )? {
            return Ok(first);
        }
    }
    insert(db, place, entry)?;
    desk.heads.advance(
        conversation,
        super::heads::Head {
            seq: place.seq,
            created_at: place.created_at,
        },
    );
    Ok(Ok(stored(place, false)))
}

fn stored(place: Place, replayed: bool) -> Stored {
    Stored {
        id: MessageId::from_i64(place.id),
        seq: place.seq,
        created_at: Timestamp::from_micros(place.created_at),
        replayed,
    }
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
    db: &mut Db,
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
    let taken = match db {
        Db::Sqlite(c) => claim.execute(c)?,
    };
    if taken == 1 {
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
        .first(db)?;
    if first_hash != hash {
        return Ok(Some(Err(AppendError::Conflict)));
    }
    let first = Place {
        id,
        conversation: ConversationKey(conversation),
        seq,
        created_at,
    };
    Ok(Some(Ok(stored(first, true))))
}

sqlite_statement! {
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

fn insert(db: &mut Db, place: Place, entry: &NewEntry) -> QueryResult<()> {
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
    match db {
        Db::Sqlite(c) => diesel::insert_into(messages::table)
            .values(row)
            .execute(c)
            .map(drop),
    }
}

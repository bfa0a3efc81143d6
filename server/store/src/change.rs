//! Changes: what happened to entries and to the conversation itself after they were stored, in
//! a gap-free `rev` of each conversation.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{ConversationKey, numbered};
use crate::schema::{changes, conversations, messages};
use diesel::dsl::max;
use diesel::prelude::*;
use protocol::{MessageId, Timestamp};

numbered! {
    /// What was changed.
    ChangeKind {
        /// The text of an entry.
        Edit = 0,
        /// An entry was deleted.
        Delete = 1,
        /// The reactions to an entry.
        Reaction = 2,
        /// Who is a member, or with which role.
        Membership = 3,
        /// The conversation: its title.
        Conversation = 4,
    }
}

/// A row of `changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// Whose.
    pub conversation: ConversationKey,
    /// Its place, gap-free from 1.
    pub rev: i64,
    /// What.
    pub kind: ChangeKind,
    /// Of which entry.
    pub message: Option<MessageId>,
    /// The `seq` of that entry.
    pub message_seq: Option<i64>,
    /// A JSON object as text.
    pub payload: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Some changes of one conversation, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// The changes.
    pub rows: Vec<ChangeRow>,
    /// The first `rev` that is still there: who is below `first_rev - 1` must resync.
    pub first_rev: i64,
    /// The newest `rev`.
    pub last_rev: i64,
}

/// The newest `rev` of the conversation of the outer query.
macro_rules! newest_rev {
    () => {
        crate::schema::changes::table
            .filter(crate::schema::changes::conversation_id.eq(crate::schema::conversations::id))
            .select(diesel::dsl::max(crate::schema::changes::rev))
            .single_value()
    };
}
pub(crate) use newest_rev;

/// Adds a change with the next `rev`. `NotFound` where the conversation or the entry is not.
pub fn append(
    conn: &mut Conn,
    conversation: ConversationKey,
    kind: ChangeKind,
    message: Option<MessageId>,
    payload: Option<String>,
) -> Result<ChangeRow, StoreError> {
    let (_, last_rev) = bounds(conn, conversation)?;
    let message_seq: Option<i64> = match message {
        None => None,
        Some(id) => {
            let here = messages::table
                .find(id.as_i64())
                .filter(messages::conversation_id.eq(conversation.0));
            Some(here.select(messages::seq).first(&mut conn.db)?)
        }
    };
    let now = conn.now();
    let row = ChangeRow {
        conversation,
        rev: last_rev + 1,
        kind,
        message,
        message_seq,
        payload,
        created_at: now,
    };
    diesel::insert_into(changes::table)
        .values((
            changes::conversation_id.eq(conversation.0),
            changes::rev.eq(row.rev),
            changes::kind.eq(kind.as_i16()),
            changes::message_id.eq(message.map(MessageId::as_i64)),
            changes::message_seq.eq(message_seq),
            changes::payload.eq(row.payload.as_deref()),
            changes::created_at.eq(now.micros()),
        ))
        .execute(&mut conn.db)?;
    Ok(row)
}

/// (first, newest) `rev`.
fn bounds(conn: &mut Conn, conversation: ConversationKey) -> Result<(i64, i64), StoreError> {
    let (first, newest): (i64, Option<i64>) = conversations::table
        .find(conversation.0)
        .select((conversations::first_rev, newest_rev!()))
        .first(&mut conn.db)?;
    Ok((first, newest.unwrap_or(0).max(first - 1)))
}

type Columns = (i64, i64, i16, Option<i64>, Option<i64>, Option<String>, i64);

fn row(
    (conversation, rev, kind, message, message_seq, payload, at): Columns,
) -> Result<ChangeRow, StoreError> {
    Ok(ChangeRow {
        conversation: ConversationKey(conversation),
        rev,
        kind: ChangeKind::from_i16(kind)
            .ok_or_else(|| StoreError::Internal(format!("change kind {kind}")))?,
        message: message.map(MessageId::from_i64),
        message_seq,
        payload,
        created_at: Timestamp::from_micros(at),
    })
}

/// At most `max_rows` changes above `rev`, ascending.
pub fn page_above(
    conn: &mut Conn,
    conversation: ConversationKey,
    rev: i64,
    max_rows: usize,
) -> Result<ChangePage, StoreError> {
    let (first_rev, last_rev) = bounds(conn, conversation)?;
    let rows = changes::table
        .filter(changes::conversation_id.eq(conversation.0))
        .filter(changes::rev.gt(rev))
        .order(changes::rev)
        .limit(max_rows as i64)
        .load::<Columns>(&mut conn.db)?;
    Ok(ChangePage {
        rows: rows.into_iter().map(row).collect::<Result<_, _>>()?,
        first_rev,
        last_rev,
    })
}

/// Removes changes older than `older_than` and raises `first_rev` above them; gives how many.
/// Of a conversation goes everything up to its last old change, so that the rest is gap-free.
pub fn sweep(conn: &mut Conn, older_than: Timestamp) -> Result<usize, StoreError> {
    let old: Vec<(i64, Option<i64>)> = changes::table
        .filter(changes::created_at.lt(older_than.micros()))
        .group_by(changes::conversation_id)
        .select((changes::conversation_id, max(changes::rev)))
        .load(&mut conn.db)?;
    let mut removed = 0;
    for (conversation, rev) in old {
        let Some(rev) = rev else { continue };
        let head = changes::table
            .filter(changes::conversation_id.eq(conversation))
            .filter(changes::rev.le(rev));
        removed += diesel::delete(head).execute(&mut conn.db)?;
        diesel::update(conversations::table.find(conversation))
            .set(conversations::first_rev.eq(rev + 1))
            .execute(&mut conn.db)?;
    }
    Ok(removed)
}

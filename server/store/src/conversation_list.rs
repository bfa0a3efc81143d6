//! The list of somebody's conversations: one page, newest activity first, in a constant number
//! of queries.

use crate::change::newest_rev;
use crate::conn::Conn;
use crate::conversation::{self, ConversationRow};
use crate::error::StoreError;
use crate::keys::{ConversationKey, DeviceKey, Principal};
use crate::message::{self, MessageRow, newest_seq};
use crate::schema::{agents, conversations, members, messages, positions, users};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use protocol::{Party, Position, PrincipalKind, Timestamp};
use std::collections::HashMap;

/// Where a page ended: the last item's activity and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListCursor {
    /// `last_at` of the last item.
    pub last_at: Timestamp,
    /// Its key.
    pub key: ConversationKey,
}

/// Which page.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery {
    /// At most so many items.
    pub limit: usize,
    /// What comes after this place.
    pub after: Option<ListCursor>,
    /// Give the positions of this device.
    pub device: Option<DeviceKey>,
}

/// A conversation as its member sees it in the list.
#[derive(Debug, Clone)]
pub struct ListItem {
    /// The conversation.
    pub conversation: ConversationRow,
    /// The other member (the first, in a room).
    pub other: Party,
    /// Its shown name.
    pub other_name: String,
    /// The newest entry.
    pub last: Option<MessageRow>,
    /// Newest `seq`.
    pub last_seq: i64,
    /// Newest `rev`.
    pub last_rev: i64,
    /// Entries above `read_seq` that are neither deleted nor gaps.
    pub unread: i64,
    /// How far the member has read.
    pub read_seq: i64,
    /// Where the device is; `None` where no device was named.
    pub position: Option<Position>,
}

impl ListItem {
    /// The place after this item.
    pub fn cursor(&self) -> ListCursor {
        ListCursor {
            last_at: self.conversation.last_at,
            key: self.conversation.key,
        }
    }
}

/// How many entries above the outer query's read mark nobody needs to read.
macro_rules! hidden_unread {
    () => {
        messages::table
            .filter(messages::conversation_id.eq(conversations::id))
            .filter(messages::seq.gt(members::read_seq))
            // As literal text: only so does SQLite see that the partial index serves.
            .filter(sql::<Bool>(
                "(messages.deleted_at IS NOT NULL OR messages.kind = 3)",
            ))
            .select(count_star())
            .single_value()
    };
}

type Columns = (
    conversation::Columns,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// One page of the live conversations of `who`, newest activity first (`last_at`, up to a
/// second late).
pub fn list_for(
    conn: &mut Conn,
    who: Principal,
    query: ListQuery,
) -> Result<Vec<ListItem>, StoreError> {
    let heads = heads(conn, who, query)?;
    let keys: Vec<i64> = heads.iter().map(|h| h.0.0).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut others = others(conn, who, &keys)?;
    let mut newest = newest_of(conn, &keys)?;
    let with_device = query.device.is_some();
    heads
        .into_iter()
        .map(
            |(columns, read_seq, last_seq, last_rev, hidden, seq, rev)| {
                let conversation = conversation::row(columns)?;
                let key = conversation.key.0;
                let last_seq = last_seq.unwrap_or(0).max(conversation.first_seq - 1);
                let (other, other_name) = others
                    .remove(&key)
                    .unwrap_or_else(|| (Party::new(PrincipalKind::System, ""), String::new()));
                // Retention may have removed entries above the mark: they are not waiting any more.
                let read_to = read_seq.max(conversation.first_seq - 1);
                Ok(ListItem {
                    other,
                    other_name,
                    last: newest.remove(&key),
                    last_seq,
                    last_rev: last_rev.unwrap_or(0).max(conversation.first_rev - 1),
                    unread: (last_seq - read_to - hidden.unwrap_or(0)).max(0),
                    read_seq,
                    position: with_device.then(|| Position {
                        seq: seq.unwrap_or(0),
                        rev: rev.unwrap_or(0),
                    }),
                    conversation,
                })
            },
        )
        .collect()
}

fn heads(conn: &mut Conn, who: Principal, query: ListQuery) -> Result<Vec<Columns>, StoreError> {
    let device = query.device.map_or(0, |key| key.0);
    let at_device = positions::conversation_id
        .eq(conversations::id)
        .and(positions::device_id.eq(device));
    let (after_at, after_key) = query
        .after
        .map_or((i64::MAX, i64::MAX), |c| (c.last_at.micros(), c.key.0));
    let after = conversations::last_at
        .lt(after_at)
        .or(conversations::last_at
            .eq(after_at)
            .and(conversations::id.lt(after_key)));
    let rows = members::table
        .inner_join(conversations::table)
        .left_join(positions::table.on(at_device))
        .filter(members::principal_kind.eq(who.kind.as_i16()))
        .filter(members::principal_id.eq(who.key))
        .filter(members::left_seq.is_null())
        .filter(after)
        .order((conversations::last_at.desc(), conversations::id.desc()))
        .limit(query.limit as i64)
        .select((
            conversations::all_columns,
            members::read_seq,
            newest_seq!(),
            newest_rev!(),
            hidden_unread!(),
            positions::seq.nullable(),
            positions::rev.nullable(),
        ))
        .load(&mut conn.db)?;
    Ok(rows)
}

/// The first other member of each conversation.
fn others(
    conn: &mut Conn,
    who: Principal,
    keys: &[i64],
) -> Result<HashMap<i64, (Party, String)>, StoreError> {
    let mut found = HashMap::with_capacity(keys.len());
    for (conversation, member, name) in conversation::members_of(conn, keys)? {
        if member.principal != who && member.left_seq.is_none() {
            found
                .entry(conversation)
                .or_insert((Party::new(member.principal.kind, member.id), name));
        }
    }
    Ok(found)
}

/// The newest entry of each conversation.
fn newest_of(conn: &mut Conn, keys: &[i64]) -> Result<HashMap<i64, MessageRow>, StoreError> {
    diesel::alias!(messages as newest: Newest);
    let last = newest
        .filter(
            newest
                .field(messages::conversation_id)
                .eq(conversations::id),
        )
        .select(diesel::dsl::max(newest.field(messages::seq)))
        .single_value();
    let here = messages::conversation_id
        .eq(conversations::id)
        .and(messages::seq.nullable().eq(last));
    let query = message::with_sender!(conversations::table.inner_join(messages::table.on(here)))
        .filter(conversations::id.eq_any(keys))
        .select(message::columns!());
    let rows = query.load::<message::Columns>(&mut conn.db)?;
    rows.into_iter()
        .map(|columns| message::row(columns).map(|row| (row.conversation.0, row)))
        .collect()
}

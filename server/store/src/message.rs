//! Entries of the log as they are read. They are written by the writer alone, in order;
//! here are pages by rows and bytes, single entries, and where a time falls.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{ConversationKey, DeviceKey, Principal};
use crate::schema::{agents, conversations, messages, users};
use bytestring::ByteString;
use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use protocol::{ClientMsgId, EntryKind, MessageId, PrincipalKind, Timestamp};

/// A row of `messages`, with its sender's public id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Names the entry; never a cursor.
    pub id: MessageId,
    /// Whose log.
    pub conversation: ConversationKey,
    /// Its place.
    pub seq: i64,
    /// What it is.
    pub kind: EntryKind,
    /// Who wrote it.
    pub sender: Principal,
    /// The sender's public id; empty for the server itself.
    pub sender_id: ByteString,
    /// From which device; the device may be gone.
    pub device: Option<DeviceKey>,
    /// The sender's own name for the send.
    pub client_msg_id: Option<ClientMsgId>,
    /// The text.
    pub content: ByteString,
    /// A JSON object as text.
    pub metadata: Option<ByteString>,
    /// When it was stored; strictly increases within a conversation.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl MessageRow {
    /// What a page's byte limit counts: text and metadata.
    pub fn text_bytes(&self) -> usize {
        self.content.len() + self.metadata.as_ref().map_or(0, |m| m.len())
    }
}

/// Some entries of one conversation, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub rows: Vec<MessageRow>,
    /// The first `seq` that is still there.
    pub first_seq: i64,
    /// The newest `seq` in the log at this snapshot; `first_seq - 1` where it is empty.
    pub last_seq: i64,
}

pub(crate) type Columns = (
    (i64, i64, i64, i16, i16, i64, Option<i64>),
    (
        Option<String>,
        String,
        Option<String>,
        i64,
        Option<i64>,
        Option<i64>,
    ),
    Option<String>,
    Option<String>,
);

pub(crate) fn row((head, tail, user, agent): Columns) -> Result<MessageRow, StoreError> {
    let (id, conversation, seq, kind, sender_kind, sender, device) = head;
    let (client_msg_id, content, metadata, created_at, edited_at, deleted_at) = tail;
    let unknown =
        |what: &str, number: i16| StoreError::Internal(format!("{what} {number} of message {id}"));
    let client_msg_id = client_msg_id.map(ClientMsgId::parse).transpose();
    Ok(MessageRow {
        id: MessageId::from_i64(id),
        conversation: ConversationKey(conversation),
        seq,
        kind: EntryKind::from_i16(kind).ok_or_else(|| unknown("kind", kind))?,
        sender: Principal {
            kind: PrincipalKind::from_i16(sender_kind)
                .ok_or_else(|| unknown("sender kind", sender_kind))?,
            key: sender,
        },
        sender_id: user.or(agent).unwrap_or_default().into(),
        device: device.map(DeviceKey),
        client_msg_id: client_msg_id.map_err(|e| StoreError::Internal(e.to_string()))?,
        content: content.into(),
        metadata: metadata.map(Into::into),
        created_at: Timestamp::from_micros(created_at),
        edited_at: edited_at.map(Timestamp::from_micros),
        deleted_at: deleted_at.map(Timestamp::from_micros),
    })
}

/// The newest `seq` of the conversation of the outer query.
macro_rules! newest_seq {
    () => {
        crate::schema::messages::table
            .filter(crate::schema::messages::conversation_id.eq(crate::schema::conversations::id))
            .select(diesel::dsl::max(crate::schema::messages::seq))
            .single_value()
    };
}
pub(crate) use newest_seq;

/// Messages beside the user or agent who sent them.
macro_rules! with_sender {
    ($source:expr) => {
        $source
            .left_join(
                users::table.on(users::id
                    .eq(messages::sender_id)
                    .and(messages::sender_kind.eq(PrincipalKind::User.as_i16()))),
            )
            .left_join(
                agents::table.on(agents::id
                    .eq(messages::sender_id)
                    .and(messages::sender_kind.eq(PrincipalKind::Agent.as_i16()))),
            )
    };
}
pub(crate) use with_sender;

macro_rules! columns {
    () => {
        (
            (
                messages::id,
                messages::conversation_id,
                messages::seq,
                messages::kind,
                messages::sender_kind,
                messages::sender_id,
                messages::device_id,
            ),
            (
                messages::client_msg_id,
                messages::body,
                messages::metadata,
                messages::created_at,
                messages::edited_at,
                messages::deleted_at,
            ),
            users::public_id.nullable(),
            agents::public_id.nullable(),
        )
    };
}
pub(crate) use columns;

/// (first, newest) `seq`; `NotFound` where the conversation is not.
pub(crate) fn bounds(
    conn: &mut Conn,
    conversation: ConversationKey,
) -> Result<(i64, i64), StoreError> {
    let (first, newest): (i64, Option<i64>) = conversations::table
        .find(conversation.0)
        .select((conversations::first_seq, newest_seq!()))
        .first(&mut conn.db)?;
    Ok((first, newest.unwrap_or(0).max(first - 1)))
}

/// Takes rows until one would pass `max_bytes`; the first is always taken, so that a reader
/// gets on.
fn within<I>(source: I, max_bytes: usize) -> Result<Vec<MessageRow>, StoreError>
where
    I: Iterator<Item = QueryResult<Columns>>,
{
    let mut rows = Vec::new();
    let mut bytes = 0usize;
    for columns in source {
        let row = row(columns?)?;
        bytes = bytes.saturating_add(row.text_bytes());
        if bytes > max_bytes && !rows.is_empty() {
            break;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// At most `max_rows` entries and about `max_bytes` of text above `above_seq`, ascending; at
/// least one where there is one.
pub fn page_above(
    conn: &mut Conn,
    conversation: ConversationKey,
    above_seq: i64,
    max_rows: usize,
    max_bytes: usize,
) -> Result<Page, StoreError> {
    let (first_seq, last_seq) = bounds(conn, conversation)?;
    let query = with_sender!(messages::table)
        .filter(messages::conversation_id.eq(conversation.0))
        .filter(messages::seq.gt(above_seq))
        .order(messages::seq)
        .limit(max_rows as i64)
        .select(columns!());
    let rows = within(
        query.load_iter::<Columns, DefaultLoadingMode>(&mut conn.db)?,
        max_bytes,
    )?;
    Ok(Page {
        rows,
        first_seq,
        last_seq,
    })
}

/// The newest entries below `below_seq` (`None`: the newest of all), at most `max_rows` and
/// about `max_bytes` of text, ascending.
pub fn page_below(
    conn: &mut Conn,
    conversation: ConversationKey,
    below_seq: Option<i64>,
    max_rows: usize,
    max_bytes: usize,
) -> Result<Page, StoreError> {
    let (first_seq, last_seq) = bounds(conn, conversation)?;
    let query = with_sender!(messages::table)
        .filter(messages::conversation_id.eq(conversation.0))
        .filter(messages::seq.lt(below_seq.unwrap_or(i64::MAX)))
        .order(messages::seq.desc())
        .limit(max_rows as i64)
        .select(columns!());
    let mut rows = within(
        query.load_iter::<Columns, DefaultLoadingMode>(&mut conn.db)?,
        max_bytes,
    )?;
    rows.reverse();
    Ok(Page {
        rows,
        first_seq,
        last_seq,
    })
}

/// The entry of this id.
pub fn find(conn: &mut Conn, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
    let query = with_sender!(messages::table)
        .filter(messages::id.eq(id.as_i64()))
        .select(columns!());
    query
        .first::<Columns>(&mut conn.db)
        .optional()?
        .map(row)
        .transpose()
}

/// The newest `seq`; `first_seq - 1` where the log is empty.
pub fn last_seq(conn: &mut Conn, conversation: ConversationKey) -> Result<i64, StoreError> {
    Ok(bounds(conn, conversation)?.1)
}

/// The `seq` of the newest entry stored at or before `at`; `first_seq - 1` where all are later.
/// A binary search over the log, whose times strictly increase.
pub fn seq_at(
    conn: &mut Conn,
    conversation: ConversationKey,
    at: Timestamp,
) -> Result<i64, StoreError> {
    let (first, last) = bounds(conn, conversation)?;
    let (mut below, mut above) = (first - 1, last + 1);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        // Numbers that are missing (a defect) count as later, so that the search ends.
        let stored: Option<i64> = messages::table
            .filter(messages::conversation_id.eq(conversation.0))
            .filter(messages::seq.eq(middle))
            .select(messages::created_at)
            .first(&mut conn.db)
            .optional()?;
        if stored.is_some_and(|stored| stored <= at.micros()) {
            below = middle;
        } else {
            above = middle;
        }
    }
    Ok(below)
}

/// Removes the entries up to `seq` for good and raises `first_seq` above them; gives how many.
pub fn remove_head(
    conn: &mut Conn,
    conversation: ConversationKey,
    seq: i64,
) -> Result<usize, StoreError> {
    let (first, last) = bounds(conn, conversation)?;
    let seq = seq.min(last);
    if seq < first {
        return Ok(0);
    }
    let head = messages::table
        .filter(messages::conversation_id.eq(conversation.0))
        .filter(messages::seq.le(seq));
    let removed = diesel::delete(head).execute(&mut conn.db)?;
    diesel::update(conversations::table.find(conversation.0))
        .set(conversations::first_seq.eq(seq + 1))
        .execute(&mut conn.db)?;
    conn.forget_newest(conversation);
    Ok(removed)
}

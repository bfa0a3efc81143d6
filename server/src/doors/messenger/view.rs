//! How rows look over HTTP: the superset of the fields that shipped clients read.

use protocol::{
    ClientMsgId, ConversationId, Entry, EntryKind, MessageId, PrincipalKind, Timestamp,
};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::ListItem;

fn sender_type(kind: PrincipalKind) -> &'static str {
    if kind == PrincipalKind::User {
        "client"
    } else {
        "agent"
    }
}

/// A message.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
pub(super) struct Message<'a> {
    id: MessageId,
    message_id: MessageId,
    conversation_id: &'a ConversationId,
    seq: i64,
    kind: &'static str,
    sender_type: &'static str,
    sender_id: &'a str,
    content: &'a str,
    created_at: Timestamp,
    timestamp: Timestamp,
    is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msg_id: Option<&'a ClientMsgId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
}

/// A message as it is shown.
pub(super) fn message(entry: &Entry) -> Message<'_> {
    let deleted = entry.deleted_at.is_some();
    let metadata = entry.metadata.as_deref();
    Message {
        id: entry.id,
        message_id: entry.id,
        conversation_id: &entry.conversation,
        seq: entry.seq,
        kind: match entry.kind {
            EntryKind::Message | EntryKind::Gap => "message",
            EntryKind::System => "system",
            EntryKind::Encrypted => "encrypted",
        },
        sender_type: sender_type(entry.sender.kind),
        sender_id: &entry.sender.id,
        content: if deleted { "[deleted]" } else { &entry.content },
        created_at: entry.created_at,
        timestamp: entry.created_at,
        is_deleted: deleted,
        metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
        client_msg_id: entry.client_msg_id.as_ref(),
        edited_at: entry.edited_at,
    }
}

/// A conversation in the caller's list. `me` is the caller's public id and kind.
pub(super) fn item(item: &ListItem, me: (&str, PrincipalKind)) -> Value {
    let other = &*item.other.id;
    let (user, agent) = if me.1 == PrincipalKind::User {
        (me.0, other)
    } else {
        (other, me.0)
    };
    let last = item.last.as_ref().map(|row| {
        json!({
            "id": row.id,
            "seq": row.seq,
            "content": if row.deleted_at.is_some() { "[deleted]" } else { &*row.content },
            "sender_type": sender_type(row.sender.kind),
            "sender_id": row.sender_id,
            "created_at": row.created_at,
        })
    });
    json!({
        "id": item.conversation.id,
        "conversation_id": item.conversation.id,
        "user_id": user,
        "agent_id": agent,
        "agent_name": if me.1 == PrincipalKind::User { Some(&item.other_name) } else { None },
        "title": item.conversation.title,
        "created_at": item.conversation.created_at,
        "updated_at": item.conversation.last_at,
        "last_message": last,
        "unread_count": item.unread,
        "last_seq": item.last_seq,
        "read_seq": item.read_seq,
        "position": item.position,
    })
}

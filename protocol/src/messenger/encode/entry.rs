//! Entries and acks.

use super::{frame, nested};
use crate::event::Sent;
use crate::messenger::{Frames, Variant};
use crate::{ClientMsgId, ConversationId, Entry, EntryKind, MessageId, PrincipalKind, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

/// What a deleted message shows to v1 clients.
const DELETED: &str = "[deleted]";

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message_id: MessageId,
    id: MessageId,
    conversation_id: &'a ConversationId,
    content: &'a str,
    sender_type: &'static str,
    sender_id: &'a str,
    recipient_id: &'a str,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msg_id: Option<&'a ClientMsgId>,
}

/// `user_message`, `agent_message` and `chat`: flat, and never with a `data` key.
#[derive(Serialize)]
struct Flat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message_id: MessageId,
    conversation_id: &'a ConversationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    timestamp: Timestamp,
}

fn sender_type(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "client",
        PrincipalKind::Agent | PrincipalKind::RoomAgent => "agent",
        PrincipalKind::Guest => "guest",
        PrincipalKind::System => "system",
    }
}

fn message<'a>(entry: &'a Entry, sender_type: &'static str, v2: bool) -> Message<'a> {
    let kind = match entry.kind {
        EntryKind::Message | EntryKind::Gap => "message",
        EntryKind::System => "system",
        EntryKind::Encrypted => "encrypted_message",
    };
    Message {
        kind,
        message_id: entry.id,
        id: entry.id,
        conversation_id: &entry.conversation,
        content: if entry.deleted_at.is_some() {
            DELETED
        } else {
            &entry.content
        },
        sender_type,
        sender_id: &entry.sender.id,
        recipient_id: entry.recipient.as_ref().map_or("", |party| &party.id),
        timestamp: entry.created_at,
        metadata: entry
            .metadata
            .as_ref()
            .and_then(|text| serde_json::from_str(text).ok()),
        edited_at: entry.edited_at,
        is_deleted: entry.deleted_at.is_some(),
        seq: v2.then_some(entry.seq),
        client_msg_id: if v2 {
            entry.client_msg_id.as_ref()
        } else {
            None
        },
    }
}

/// The frames that show an entry.
pub(super) fn entry(entry: &Entry, variant: Variant) -> Frames {
    let v2 = variant.is_v2();
    if entry.kind == EntryKind::Gap || (entry.kind != EntryKind::Message && !v2) {
        return Frames::new();
    }
    let mut frames = Frames::with_capacity(3);
    frames.push(nested(
        "message",
        message(entry, sender_type(entry.sender.kind), v2),
    ));
    let flat = |kind| Flat {
        kind,
        message_id: entry.id,
        conversation_id: &entry.conversation,
        user_id: (entry.sender.kind == PrincipalKind::User).then_some(&*entry.sender.id),
        agent_id: (entry.sender.kind == PrincipalKind::Agent).then_some(&*entry.sender.id),
        content: Some(if entry.deleted_at.is_some() {
            DELETED
        } else {
            &entry.content
        }),
        timestamp: entry.created_at,
    };
    let from_agent = entry.sender.kind == PrincipalKind::Agent;
    match variant {
        Variant::AgentPlain | Variant::AgentV1 => frames.push(frame(&flat("user_message"))),
        Variant::UserV1 if from_agent => {
            frames.push(frame(&flat("agent_message")));
            frames.push(frame(&flat("chat")));
        }
        Variant::UserPlain | Variant::Android if from_agent => {
            frames.push(frame(&flat("agent_message")));
        }
        _ => {}
    }
    frames
}

/// An Android client shows its own message only when it comes back with this sender type.
pub fn encode_android_echo(entry: &Entry) -> Frames {
    vec![nested("message", message(entry, "user", false))]
}

#[derive(Serialize)]
struct MessageSent<'a> {
    message_id: MessageId,
    id: MessageId,
    conversation_id: &'a ConversationId,
    seq: i64,
    timestamp: Timestamp,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msg_id: Option<&'a ClientMsgId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

/// The ack of a stored message.
pub(super) fn sent(sent: &Sent, variant: Variant) -> Frames {
    let mut frames = vec![nested(
        "message_sent",
        MessageSent {
            message_id: sent.id,
            id: sent.id,
            conversation_id: &sent.conversation,
            seq: sent.seq,
            timestamp: sent.at,
            status: "stored",
            client_msg_id: sent.client_msg_id.as_ref(),
            replayed: sent.replayed,
        },
    )];
    if matches!(variant, Variant::UserPlain | Variant::Android) {
        frames.push(frame(&Flat {
            kind: "user_message",
            message_id: sent.id,
            conversation_id: &sent.conversation,
            user_id: None,
            agent_id: None,
            content: None,
            timestamp: sent.at,
        }));
    }
    frames
}

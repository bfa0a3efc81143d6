//! Everything that is not an entry or an ack.

use super::{frame, nested};
use crate::event::{Change, Connected, Refusal};
use crate::messenger::{Frames, Variant};
use crate::{AgentId, ConversationId, Party, Position, PrincipalKind, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

fn sender_type(party: &Party) -> &'static str {
    if party.kind == PrincipalKind::User {
        "client"
    } else {
        "agent"
    }
}

#[derive(Serialize)]
struct Welcome<'a> {
    id: &'a str,
    status: &'static str,
    protocol_version: &'a str,
    supported_versions: [&'static str; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_interval_s: Option<u64>,
}

pub(super) fn connected(connected: &Connected) -> Frames {
    let is_agent = connected.who.kind == PrincipalKind::Agent;
    vec![nested(
        "connected",
        Welcome {
            id: &connected.who.id,
            status: "connected",
            protocol_version: connected.version,
            supported_versions: ["v1", "v2"],
            device_id: connected.device_id.as_deref(),
            agent_id: is_agent.then_some(&*connected.who.id),
            agent_token: connected.agent_token.as_deref(),
            heartbeat_interval_s: connected.heartbeat_s,
        },
    )]
}

/// Both ways at once: flat keys for clients that read the top level, nested ones for the others.
pub(super) fn typing(conversation: &ConversationId, sender: &Party, typing: bool) -> Frames {
    vec![frame(&json!({
        "type": "typing",
        "conversation_id": conversation,
        "sender_id": sender.id,
        "typing": typing,
        "data": {
            "conversation_id": conversation,
            "sender_type": sender_type(sender),
            "sender_id": sender.id,
            "typing": typing,
        },
    }))]
}

pub(super) fn status(
    sender: &Party,
    status: &str,
    conversation: Option<&ConversationId>,
) -> Frames {
    let mut data = json!({
        "sender_type": sender_type(sender),
        "sender_id": sender.id,
        "status": status,
    });
    let mut flat = json!({ "type": "status", "status": status });
    if sender.kind == PrincipalKind::Agent {
        put(&mut data, "agent_id", json!(sender.id));
        put(&mut flat, "agent_id", json!(sender.id));
    }
    if let Some(conversation) = conversation {
        put(&mut data, "conversation_id", json!(conversation));
    }
    put(&mut flat, "data", data);
    vec![frame(&flat)]
}

fn put(object: &mut serde_json::Value, key: &str, value: serde_json::Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

pub(super) fn presence(who: &Party, online: bool) -> Frames {
    let kind = if who.kind == PrincipalKind::User {
        "user"
    } else {
        "agent"
    };
    vec![nested(
        "presence_update",
        json!({ "id": who.id, "type": kind, "online": online }),
    )]
}

/// Flat, and nested for v2; an agent without sub-protocol gets none: one shipped client reads
/// exactly one frame after the welcome.
pub(super) fn conversation_created(
    conversation: &ConversationId,
    user: &UserId,
    agent: &AgentId,
    variant: Variant,
) -> Frames {
    let fields = json!({ "conversation_id": conversation, "user_id": user, "agent_id": agent });
    match variant {
        Variant::AgentPlain => Frames::new(),
        Variant::UserV2 | Variant::AgentV2 => vec![nested("conversation_created", fields)],
        _ => {
            let mut flat = fields;
            put(&mut flat, "type", json!("conversation_created"));
            vec![frame(&flat)]
        }
    }
}

pub(super) fn heartbeat_ack(
    server_time: Timestamp,
    interval_s: u64,
    timeout_s: u64,
    monitoring: bool,
) -> Frames {
    vec![nested(
        "heartbeat_ack",
        json!({
            "server_time": server_time,
            "interval_s": interval_s,
            "timeout_s": timeout_s,
            "monitoring": monitoring,
        }),
    )]
}

#[derive(Serialize)]
struct ErrorData<'a> {
    error: &'a str,
    message: &'a str,
    code: crate::ErrorCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msg_id: Option<&'a crate::ClientMsgId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

pub(super) fn error(refusal: &Refusal) -> Frames {
    vec![nested(
        "error",
        ErrorData {
            error: &refusal.sentence,
            message: &refusal.sentence,
            code: refusal.code,
            conversation_id: refusal.conversation.as_deref(),
            client_msg_id: refusal.client_msg_id.as_ref(),
            retry_after: refusal.retry_after,
        },
    )]
}

fn v2_only(variant: Variant, make: impl FnOnce() -> bytestring::ByteString) -> Frames {
    if variant.is_v2() {
        vec![make()]
    } else {
        Frames::new()
    }
}

#[derive(Serialize)]
struct ChangeData<'a> {
    conversation_id: &'a ConversationId,
    rev: i64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<crate::MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    timestamp: Timestamp,
}

pub(super) fn changed(change: &Change, variant: Variant) -> Frames {
    v2_only(variant, || {
        nested(
            "changed",
            ChangeData {
                conversation_id: &change.conversation,
                rev: change.rev,
                kind: change.kind.as_str(),
                message_id: change.message,
                seq: change.message_seq,
                payload: change
                    .payload
                    .as_ref()
                    .and_then(|text| serde_json::from_str(text).ok()),
                timestamp: change.at,
            },
        )
    })
}

pub(super) fn resumed(positions: &BTreeMap<ConversationId, Position>, variant: Variant) -> Frames {
    v2_only(variant, || {
        let map: BTreeMap<_, _> = positions
            .iter()
            .map(|(id, position)| (id.as_str(), position))
            .collect();
        nested("resumed", json!({ "positions": map }))
    })
}

pub(super) fn live(conversation: &ConversationId, position: Position, variant: Variant) -> Frames {
    v2_only(variant, || {
        nested(
            "live",
            json!({ "conversation_id": conversation, "seq": position.seq, "rev": position.rev }),
        )
    })
}

pub(super) fn hole(
    kind: &'static str,
    conversation: &ConversationId,
    from: i64,
    to: i64,
    variant: Variant,
) -> Frames {
    v2_only(variant, || {
        nested(
            kind,
            json!({ "conversation_id": conversation, "from": from, "to": to }),
        )
    })
}

pub(super) fn resync(conversation: &ConversationId, rev: i64, variant: Variant) -> Frames {
    v2_only(variant, || {
        nested(
            "resync",
            json!({ "conversation_id": conversation, "rev": rev }),
        )
    })
}

pub(super) fn authenticated(expires_at: Timestamp) -> Frames {
    vec![nested(
        "auth",
        json!({ "status": "ok", "expires_at": expires_at }),
    )]
}

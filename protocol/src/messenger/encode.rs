//! Events as frames. The hot path (entries, acks) is written through borrowed structs in one
//! pass; metadata goes in as it is.

mod entry;
mod notice;

use super::{Frames, Variant};
use crate::Event;
use bytestring::ByteString;
use serde::Serialize;

pub use entry::encode_android_echo;

/// The frames of an event for one variant; empty where it has none.
pub fn encode(event: &Event, variant: Variant) -> Frames {
    match event {
        Event::Entry(entry) => entry::entry(entry, variant),
        Event::Sent(sent) => entry::sent(sent, variant),
        Event::Changed(change) => notice::changed(change, variant),
        Event::Connected(connected) => notice::connected(connected),
        Event::Typing {
            conversation,
            sender,
            typing,
        } => notice::typing(conversation, sender, *typing),
        Event::Status {
            sender,
            status,
            conversation,
        } => notice::status(sender, status, conversation.as_ref()),
        Event::Presence { who, online } => notice::presence(who, *online),
        Event::ConversationCreated {
            conversation,
            user,
            agent,
        } => notice::conversation_created(conversation, user, agent, variant),
        Event::HeartbeatAck {
            server_time,
            interval_s,
            timeout_s,
            monitoring,
        } => notice::heartbeat_ack(*server_time, *interval_s, *timeout_s, *monitoring),
        Event::Error(refusal) => notice::error(refusal),
        Event::Resumed { positions } => notice::resumed(positions, variant),
        Event::Live {
            conversation,
            position,
        } => notice::live(conversation, *position, variant),
        Event::Truncated {
            conversation,
            from,
            to,
        } => notice::hole("truncated", conversation, *from, *to, variant),
        Event::Gap {
            conversation,
            from,
            to,
        } => notice::hole("gap", conversation, *from, *to, variant),
        Event::Resync { conversation, rev } => notice::resync(conversation, *rev, variant),
        Event::Authenticated { expires_at } => notice::authenticated(*expires_at),
    }
}

/// One frame. Serialising these plain structs into memory cannot fail; if it did, the socket
/// would miss a frame, so the failure would have to be seen.
fn frame(value: &impl Serialize) -> ByteString {
    let mut bytes = Vec::with_capacity(512);
    match serde_json::to_writer(&mut bytes, value) {
        Ok(()) => ByteString::try_from(bytes).unwrap_or_default(),
        Err(_) => ByteString::from_static(
            r#"{"type":"error","data":{"error":"internal error","code":"internal"}}"#,
        ),
    }
}

/// `{"type":…,"data":{…}}`
#[derive(Serialize)]
struct Envelope<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: T,
}

fn nested<T: Serialize>(kind: &'static str, data: T) -> ByteString {
    frame(&Envelope { kind, data })
}

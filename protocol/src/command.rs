//! What a client may ask for over a socket, whatever its dialect.

use crate::{AgentId, ClientMsgId, ConversationId};
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A frame from a client, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Store a message and deliver it.
    Send(Send),
    /// The sender is writing, or has stopped.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Whether it started or stopped; clients that do not say mean "started".
        typing: bool,
    },
    /// What an agent is doing, or a user's status for one conversation.
    Status {
        /// At most 64 bytes; `active` means `online`.
        status: ByteString,
        /// Only for the members of this conversation.
        conversation: Option<ConversationId>,
    },
    /// I am alive.
    Heartbeat,
    /// Continue from these positions (`None`: from those the server keeps).
    Resume {
        /// The client's own map, per conversation.
        positions: Option<BTreeMap<ConversationId, Position>>,
    },
    /// Everything of this conversation up to this position has arrived.
    Ack {
        /// Which conversation.
        conversation: ConversationId,
        /// Cumulative position; `rev` 0 where the client names none.
        position: Position,
    },
    /// A fresh token of the same user for a socket that shall live on.
    Auth {
        /// The token; never logged.
        token: String,
    },
}

/// A place in one conversation: the last entry and the last change that were taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    /// The `seq` of the last entry; 0 before the first.
    pub seq: i64,
    /// The `rev` of the last change; 0 before the first.
    #[serde(default)]
    pub rev: i64,
}

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Where it goes.
    pub target: Target,
    /// The text, not empty, at most 32 KiB.
    pub content: ByteString,
    /// A JSON object as compact text, at most 8 KiB.
    pub metadata: Option<ByteString>,
    /// The sender's own name for this send; a repeat gets the first answer again.
    pub client_msg_id: Option<ClientMsgId>,
    /// Uploads to link; at most 32.
    pub attachment_ids: Vec<String>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An existing conversation.
    Conversation(ConversationId),
    /// The sender's newest conversation with this agent; it is made where there is none.
    Agent(AgentId),
}

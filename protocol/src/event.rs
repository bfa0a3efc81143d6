//! What the server has to say over a socket, whatever the dialect. Dialects turn an event into
//! frames; see `messenger::encode`.

use crate::{
    AgentId, ClientMsgId, ConversationId, ErrorCode, MessageId, Party, Position, Timestamp, UserId,
};
use bytestring::ByteString;
use std::collections::BTreeMap;

/// What an entry of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Text from a member.
    Message,
    /// A notice of the server.
    System,
    /// Ciphertext that the server cannot read.
    Encrypted,
    /// A number that was never a message (imports); hidden.
    Gap,
}

impl EntryKind {
    /// The number under which the database keeps this kind.
    pub const fn as_i16(self) -> i16 {
        match self {
            Self::Message => 0,
            Self::System => 1,
            Self::Encrypted => 2,
            Self::Gap => 3,
        }
    }

    /// The kind that the database keeps under `number`.
    pub const fn from_i16(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Message),
            1 => Some(Self::System),
            2 => Some(Self::Encrypted),
            3 => Some(Self::Gap),
            _ => None,
        }
    }
}

/// One place in a conversation's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Names the entry; never a cursor.
    pub id: MessageId,
    /// Whose log.
    pub conversation: ConversationId,
    /// Its place, gap-free from 1 in its conversation.
    pub seq: i64,
    /// What it is.
    pub kind: EntryKind,
    /// Who wrote it.
    pub sender: Party,
    /// The other party of a direct conversation; `None` in rooms.
    pub recipient: Option<Party>,
    /// The text; empty where it was deleted.
    pub content: ByteString,
    /// A JSON object as text.
    pub metadata: Option<ByteString>,
    /// The sender's own name for the send; shown to v2 sockets only.
    pub client_msg_id: Option<ClientMsgId>,
    /// When it was stored; strictly increases within a conversation.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// Something for a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first frame of every socket.
    Connected(Connected),
    /// A durable entry, live or replayed.
    Entry(std::sync::Arc<Entry>),
    /// A durable change of what was said before, live or replayed.
    Changed(Change),
    /// To the sender: its message is stored.
    Sent(Sent),
    /// Somebody is writing, or has stopped.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        sender: Party,
        /// Started or stopped.
        typing: bool,
    },
    /// What somebody is doing.
    Status {
        /// Who.
        sender: Party,
        /// At most 64 bytes.
        status: ByteString,
        /// Where, if only for one conversation.
        conversation: Option<ConversationId>,
    },
    /// Somebody came or went.
    Presence {
        /// Who.
        who: Party,
        /// Came or went.
        online: bool,
    },
    /// A conversation was made that this socket's principal is a member of.
    ConversationCreated {
        /// Its id.
        conversation: ConversationId,
        /// Its user.
        user: UserId,
        /// Its agent.
        agent: AgentId,
    },
    /// The answer to a heartbeat.
    HeartbeatAck {
        /// The server's clock.
        server_time: Timestamp,
        /// Seconds between heartbeats that monitoring expects.
        interval_s: u64,
        /// Seconds after which an agent counts as gone.
        timeout_s: u64,
        /// Whether anybody watches.
        monitoring: bool,
    },
    /// A refusal, with what it refers to.
    Error(Refusal),
    /// The positions that replay starts from.
    Resumed {
        /// Per conversation.
        positions: BTreeMap<ConversationId, Position>,
    },
    /// This conversation's replay is over; what follows is live.
    Live {
        /// Which.
        conversation: ConversationId,
        /// Where it stands.
        position: Position,
    },
    /// Retention removed entries that this device had not seen.
    Truncated {
        /// Where.
        conversation: ConversationId,
        /// First missing `seq`.
        from: i64,
        /// Last missing `seq`.
        to: i64,
    },
    /// Numbers that this socket is not shown.
    Gap {
        /// Where.
        conversation: ConversationId,
        /// First number.
        from: i64,
        /// Last number.
        to: i64,
    },
    /// The changes since this device's `rev` are gone: fetch the conversation again.
    Resync {
        /// Which.
        conversation: ConversationId,
        /// The `rev` to continue from.
        rev: i64,
    },
    /// The socket's token was replaced; it lives until then.
    Authenticated {
        /// When the new token ends.
        expires_at: Timestamp,
    },
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A message's text.
    Edit,
    /// A message was deleted.
    Delete,
    /// A reaction came or went.
    Reaction,
    /// A member came, went or changed role.
    Membership,
    /// The conversation's own fields.
    Conversation,
}

impl ChangeKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Reaction => "reaction",
            Self::Membership => "membership",
            Self::Conversation => "conversation",
        }
    }
}

/// One place in a conversation's list of changes, gap-free from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub conversation: ConversationId,
    /// Its place.
    pub rev: i64,
    /// What it did.
    pub kind: ChangeKind,
    /// The entry it names.
    pub message: Option<MessageId>,
    /// That entry's place.
    pub message_seq: Option<i64>,
    /// A JSON object as text, by kind.
    pub payload: Option<ByteString>,
    /// When.
    pub at: Timestamp,
}

/// The welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Who was let in.
    pub who: Party,
    /// The device, where the client named one.
    pub device_id: Option<ByteString>,
    /// `v1` or `v2`.
    pub version: &'static str,
    /// Shown once, to the connect that created the agent id.
    pub agent_token: Option<String>,
    /// How many seconds apart this server expects heartbeats; `None` where nobody watches.
    pub heartbeat_s: Option<u64>,
}

/// A message is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The stored entry.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its place.
    pub seq: i64,
    /// When it was stored.
    pub at: Timestamp,
    /// As the sender named it.
    pub client_msg_id: Option<ClientMsgId>,
    /// The entry was there before: this was a repeat.
    pub replayed: bool,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// A sentence; [`ErrorCode::sentence`] or something more precise.
    pub sentence: ByteString,
    /// What it refers to.
    pub conversation: Option<ByteString>,
    /// What it refers to.
    pub client_msg_id: Option<ClientMsgId>,
    /// Seconds to wait before repeating.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal with the code's own sentence.
    pub fn new(code: ErrorCode) -> Self {
        Self::because(code, code.sentence())
    }

    /// A refusal with a more precise sentence (lower case, no full stop, no secrets).
    pub fn because(code: ErrorCode, sentence: impl Into<ByteString>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            conversation: None,
            client_msg_id: None,
            retry_after: None,
        }
    }
}

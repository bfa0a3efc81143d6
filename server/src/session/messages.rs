//! What is said to hubs and sessions.

use super::wire::{Encoded, Wire};
use crate::bus::Passage;
use crate::conversation::Conversation;
use crate::mailbox::{Mailbox, Permit};
use actix::Message;
use bytestring::ByteString;
use protocol::event::{Refusal, Sent};
use protocol::{CloseCode, Entry};
use std::sync::Arc;
use store::{ConversationKey, DeviceKey, Principal};

/// Names a session for good; a session makes its own, so a late goodbye cannot evict a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Where a session is found: its worker, its slot there, and its id to tell it from a successor.
#[derive(Clone, Copy)]
pub struct SessionRef {
    /// The session.
    pub id: SessionId,
    /// Index of its worker's hub.
    pub worker: usize,
    /// Its slot in that hub.
    pub slot: usize,
    /// How it wants its frames.
    pub wire: Wire,
}

/// A batch of deliveries for the sessions of one worker.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    /// The batch's place on the way; given back when the last hub is done.
    pub passages: Vec<Arc<Passage>>,
    /// In order.
    pub items: Vec<Delivery>,
}

/// One thing for one or more sessions of a worker.
pub enum Delivery {
    /// A committed entry.
    Entry(EntryDelivery),
    /// An event that is not in the log: the first to be dropped.
    Ephemeral {
        /// Who gets it.
        targets: Arc<[SessionRef]>,
        /// Its frames.
        frames: Arc<Encoded>,
    },
    /// The answer to a send of one session.
    Answer {
        /// Who sent.
        to: SessionRef,
        /// The send's place among those in flight.
        send: usize,
        /// What came of it.
        answer: Result<Sent, Refusal>,
        /// The send's place in the conversation, given back when the answer is in the queue.
        permit: Permit,
    },
}

/// A committed entry on its way to sessions.
#[derive(Clone)]
pub struct EntryDelivery {
    /// Who gets it.
    pub targets: Arc<[SessionRef]>,
    /// Its frames.
    pub entry: Arc<CommittedEntry>,
}

/// A committed entry with its frames for every wire among its targets.
pub struct CommittedEntry {
    /// Whose log.
    pub conversation: ConversationKey,
    /// The entry.
    pub entry: Arc<Entry>,
    /// Who wrote it.
    pub sender: Principal,
    /// With which device.
    pub device: Option<DeviceKey>,
    /// Its frames.
    pub frames: Encoded,
}

/// The registry has entered a session in the directory: deliveries may arrive.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attached;

/// The registry found or started a conversation.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Located {
    /// As the session named it.
    pub name: ByteString,
    /// Its key.
    pub key: ConversationKey,
    /// Its mailbox; `None` while the server drains.
    pub mailbox: Option<Mailbox<Conversation>>,
}

/// End the socket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct End(pub CloseCode);

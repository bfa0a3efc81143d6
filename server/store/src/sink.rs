//! What goes into the writer's queue and what comes out after COMMIT.

use crate::keys::{ConversationKey, DeviceKey, Principal};
use bytestring::ByteString;
use protocol::{ClientMsgId, EntryKind, MessageId, Timestamp};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Who is told what became of the appends. Called on the writer's thread: whatever it does
/// keeps everybody waiting.
pub trait CommitSink: Send + Sync + 'static {
    /// Blocks until one more batch can be taken downstream. Called before COMMIT, for batches
    /// with appends only.
    fn reserve(&self) -> BatchPermit;

    /// Takes the outcomes of one batch, in order: after COMMIT, or all refused when it failed.
    fn publish(&self, permit: BatchPermit, outcomes: Vec<Outcome>);

    /// A batch of `jobs` took so long, from BEGIN to the end of COMMIT without the wait for its
    /// permit. For a histogram.
    fn observe_commit(&self, jobs: usize, took: Duration) {
        let _ = (jobs, took);
    }
}

/// A place downstream for one batch; the store only carries it.
pub struct BatchPermit(pub Box<dyn Any + Send + Sync>);

impl std::fmt::Debug for BatchPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchPermit").finish_non_exhaustive()
    }
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct Append {
    /// Where.
    pub conversation: ConversationKey,
    /// Comes back in the outcome.
    pub tag: u64,
    /// What; comes back in the outcome.
    pub entry: Arc<NewEntry>,
}

/// An entry before it has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Who wrote it.
    pub sender: Principal,
    /// From which device.
    pub device: Option<DeviceKey>,
    /// The sender's own name for this send; a repeat of it is recognised.
    pub client_msg_id: Option<ClientMsgId>,
    /// The text.
    pub content: ByteString,
    /// A JSON object as text.
    pub metadata: Option<ByteString>,
}

/// What became of an append.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As in the append.
    pub conversation: ConversationKey,
    /// As in the append.
    pub tag: u64,
    /// As in the append.
    pub entry: Arc<NewEntry>,
    /// The place it has, or why it has none.
    pub result: Result<Stored, AppendError>,
}

/// The place of a durable entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: MessageId,
    /// Its place.
    pub seq: i64,
    /// Its time.
    pub created_at: Timestamp,
    /// The sender repeated itself (same name, conversation, kind, text and metadata): this is
    /// the place of the first one, and nothing new was stored.
    pub replayed: bool,
}

/// Why an entry was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The sender used this `client_msg_id` for something else.
    #[error("client_msg_id was used for another message")]
    Conflict,
    /// There is no such conversation (any more).
    #[error("no such conversation")]
    NoSuchConversation,
    /// The disk or the database does not work now; nothing was stored.
    #[error("the database is unavailable")]
    Unavailable,
    /// The connection broke during COMMIT, and nobody could be asked: it may have been stored.
    #[error("whether it was stored is not known")]
    Unknown,
}

/// Why an append was not even queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefusal {
    /// The queue is full.
    #[error("the writer's queue is full")]
    Full,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

//! What is said to a conversation.

use crate::bus::Passage;
use crate::mailbox::Permit;
use crate::session::SessionRef;
use actix::Message;
use protocol::event::{Refusal, Sent};
use std::sync::Arc;
use store::{NewEntry, Outcome};
use tokio::sync::oneshot;

/// Who waits for the answer to a send.
pub enum Origin {
    /// A live socket.
    Session {
        /// Which.
        session: SessionRef,
        /// The send's place among those in flight.
        send: usize,
    },
    /// A caller outside the ring: HTTP.
    Call(oneshot::Sender<Result<Sent, Refusal>>),
}

/// Store this and deliver it. Ends in exactly one `Committed` outcome or refusal.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Submit {
    /// The send's place in this conversation.
    pub permit: Permit,
    /// Who waits.
    pub origin: Origin,
    /// What is to be stored.
    pub entry: Arc<NewEntry>,
}

/// What one batch of the writer came to for this conversation, in order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Committed {
    /// The batch's place on its way.
    pub passage: Option<Arc<Passage>>,
    /// Stored, or refused.
    pub outcomes: Vec<Outcome>,
}

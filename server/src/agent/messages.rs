//! What is said to an agent.

use crate::session::{Session, SessionId};
use actix::{Addr, Message};
use bytestring::ByteString;
use protocol::Party;

/// A socket of this agent has come; it replaces the one before.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Arrive {
    /// Its id.
    pub session: SessionId,
    /// Its actor.
    pub addr: Addr<Session>,
    /// The agent as others see it.
    pub party: Party,
}

/// A socket of this agent has gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// Its id.
    pub session: SessionId,
}

/// The agent says what it is doing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Say {
    /// At most 64 bytes.
    pub status: ByteString,
}

//! What is said to the registry.

use crate::conversation::{Committed, Conversation};
use crate::mailbox::{Gate, Mailbox};
use crate::session::{Session, SessionId, SessionRef};
use actix::{Addr, Message};
use bytestring::ByteString;
use protocol::Party;
use std::sync::Arc;
use store::{ConversationKey, Principal};
use tokio::sync::oneshot;

/// Who asked for a conversation.
pub enum Asker {
    /// A session; the answer is a message.
    Session {
        /// Which.
        addr: Addr<Session>,
        /// As the session names it.
        name: ByteString,
    },
    /// A caller outside the ring: HTTP. `None`: the server drains.
    Call(oneshot::Sender<Option<Mailbox<Conversation>>>),
}

/// Find this conversation's actor, or start it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Locate {
    /// Which.
    pub key: ConversationKey,
    /// Who wants to know.
    pub asker: Asker,
}

/// A fact was committed for a conversation whose actor has died: start a successor to tell it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Orphaned {
    /// Which.
    pub conversation: ConversationKey,
    /// The fact.
    pub committed: Committed,
}

/// A conversation has closed its gate and gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retired {
    /// Which.
    pub key: ConversationKey,
    /// Tells the one that went from a successor.
    pub gate: Arc<Gate>,
}

/// A session has come.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Where it is.
    pub session: SessionRef,
    /// Whose it is.
    pub principal: Principal,
    /// As others see them.
    pub party: Party,
    /// The login behind a user's token.
    pub sid: Option<String>,
    /// For the operator's list.
    pub about: protocol::admin::Session,
    /// Its actor.
    pub addr: Addr<Session>,
}

/// A session has gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Detach {
    /// Which.
    pub session: SessionRef,
    /// Whose it was.
    pub principal: Principal,
}

/// A login was ended: its sockets end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Revoke {
    /// Which login.
    pub sid: String,
}

/// List the live sockets, for the operator.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ListSessions {
    /// Who asks.
    pub caller: oneshot::Sender<Vec<protocol::admin::Session>>,
}

/// End some sockets, by the operator's word.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Remove {
    /// Which.
    pub which: Which,
    /// Told how many.
    pub caller: oneshot::Sender<usize>,
}

/// Some sockets.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// One.
    Session(SessionId),
    /// All of one principal.
    Of(Principal),
}

/// The server stops: end every socket and start nothing new.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

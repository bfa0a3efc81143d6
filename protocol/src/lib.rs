//! What clients and servers of Agent Messenger say to each other: ids, the canonical commands
//! and events, the closed tables of error and close codes, limits, and one module for each
//! dialect that puts them on a wire. Pure data: no I/O, no clock, no randomness.
//! The one crate that outsiders may use.

pub mod admin;
pub mod close;
pub mod command;
pub mod error;
pub mod event;
pub mod id;
pub mod limits;
pub mod messenger;
pub mod principal;
pub mod time;

pub use close::CloseCode;
pub use command::{Command, Position, Send, Target};
pub use error::ErrorCode;
pub use event::{ChangeKind, Entry, EntryKind, Event};
pub use id::{AgentId, ClientMsgId, ConversationId, DeviceId, InvalidId, MessageId, UserId};
pub use principal::{Party, PrincipalKind};
pub use time::Timestamp;

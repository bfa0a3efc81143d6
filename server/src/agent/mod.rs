//! One global agent: its one current socket (a newer one replaces it), whether it is online and
//! what it is doing. It tells the users who share a conversation with it, a moment late, so that
//! a reconnect is not news.

mod actor;
mod messages;

pub use actor::{Agent, AgentDeps};
pub use messages::{Arrive, Leave, Say};

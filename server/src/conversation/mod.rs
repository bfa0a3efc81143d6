//! One conversation: asks the rules whether a member may send, hands entries to the writer, and
//! when they come back committed, encodes them once for each wire and sends them to the hubs of
//! whoever is online. It never waits, and holds no message that the log does not hold.

mod actor;
mod fan_out;
mod messages;
mod outbox;
#[cfg(test)]
mod tests;

pub use actor::{Conversation, Deps};
pub use messages::{Committed, Origin, Submit};
pub use outbox::flush_soon;

//! How a committed fact reaches every node that has members online. Local delivery takes the
//! same road as remote delivery will: the writer publishes, a conversation actor receives. The
//! bus may lose a fact; the log does not, and the session's rule finds what is missing.

mod local;
mod outlet;

pub use local::LocalBus;
pub use outlet::{BatchPermits, Outlet, Passage};

use crate::conversation::Committed;
use store::ConversationKey;

/// Carries committed facts to conversation actors.
pub trait Bus: Send + Sync + 'static {
    /// Hands on what one batch committed to one conversation. Never blocks.
    fn publish(&self, conversation: ConversationKey, committed: Committed);
}

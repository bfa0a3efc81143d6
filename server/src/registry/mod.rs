//! Who is where. The registry actor starts, finds and retires conversations and agents and enters
//! sessions; it is the only writer of the [`Directory`], which everyone reads directly.

mod actor;
mod directory;
mod hubs;
mod messages;
mod positions;
mod waiters;

pub use actor::Registry;
pub use directory::{Directory, Live};
pub use hubs::Hubs;
pub use messages::{
    Asker, Attach, Detach, Drain, ListSessions, Locate, Orphaned, Remove, Retired, Revoke, Which,
};
pub use positions::PositionBook;
pub use waiters::{WaitOn, Waiter, Waiters};

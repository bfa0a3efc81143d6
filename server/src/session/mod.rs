//! One live socket of a principal's device. The actor owns the inbound side: it decodes frames,
//! keeps the rate, and offers sends to conversations. The outbound side (lanes, feed, pump) is
//! plain memory on the same thread, so that it works while the peer reads nothing.
//!
//! A session never awaits another actor: answers come back as messages on the ring.

mod actor;
mod catch_up;
mod commands;
mod confirm;
mod hub;
mod inbound;
mod lanes;
mod messages;
mod outbound;
mod pump;
mod resume;
mod routes;
mod setup;
mod slot;
pub mod wire;

pub use actor::Session;
pub use hub::{Hub, Slots};
pub use messages::{
    Attached, CommittedEntry, Deliver, Delivery, End, EntryDelivery, Located, SessionId, SessionRef,
};
pub use setup::{Setup, Who, start};

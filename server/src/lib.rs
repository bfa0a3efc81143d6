//! The Agent Messenger server.

pub mod doors;
pub mod error;
pub mod limits;
pub mod metrics;

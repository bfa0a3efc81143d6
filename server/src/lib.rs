//! The Agent Messenger server: actix lives here and nowhere else. Doors turn wires into commands,
//! actors carry messages, the store keeps them. `Application` builds everything in one place.

pub mod agent;
pub mod application;
pub mod auth;
pub mod bus;
pub mod config;
pub mod connection;
pub mod conversation;
pub mod doors;
pub mod error;
pub mod history;
pub mod limits;
pub mod mailbox;
pub mod metrics;
pub mod node;
pub mod ops;
pub mod registry;
pub mod session;
pub mod shutdown;
pub mod start_lines;
pub mod systemd;
pub mod tls;

//! Test support: a real server on port 0 with a database of its own, and clients that speak the
//! wire. Waiting is for an event with a timeout, never a sleep. Panics are how tests fail, so
//! this crate may.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod http;
mod postgres;
mod server;
mod socket;

pub use http::{Answer, Http, as_agent};
pub use postgres::on_postgres;
pub use server::{Options, TestServer};
pub use socket::{Closed, Frame, Socket};

use std::time::Duration;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The admin secret of every test server.
pub const ADMIN_SECRET: &str = "an-admin-secret-for-tests";

/// The agent secret of every test server.
pub const AGENT_SECRET: &str = "an-agent-secret-for-tests";

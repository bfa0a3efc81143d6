//! What this process is made of, as its doors and sessions see it: handles, no logic.

use crate::auth::Auth;
use crate::config::Config;
use crate::history::History;
use crate::limits::{Connections, Takeovers};
use crate::metrics::Metrics;
use crate::registry::{Directory, Hubs, PositionBook, Registry, Waiters};
use actix::Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use store::{Clock, Location, Store};
use tokio::sync::Semaphore;

/// Whether and how agents' signs of life are watched.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// Somebody watches.
    pub enabled: bool,
    /// How often agents should show life.
    pub interval: Duration,
    /// When they count as gone.
    pub timeout: Duration,
}

impl Heartbeat {
    /// Seconds between heartbeats, where somebody watches.
    pub fn monitored_interval_s(&self) -> Option<u64> {
        self.enabled.then_some(self.interval.as_secs())
    }

    /// The timeout, where somebody watches.
    pub fn monitored_timeout(&self) -> Option<Duration> {
        self.enabled.then_some(self.timeout)
    }
}

/// Reads of sessions under way together: enough for every reader to have the next one waiting.
pub const SESSION_READS: usize = 64;

/// Handles on everything that doors and sessions use.
pub struct Node {
    /// Settings.
    pub config: Config,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub store: Store,
    /// Who is asking.
    pub auth: Auth,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Starts, finds, retires.
    pub registry: Addr<Registry>,
    /// The workers.
    pub hubs: Arc<Hubs>,
    /// What sockets have confirmed.
    pub positions: PositionBook,
    /// Reads that sessions may have under way together. They come in thousands when one message
    /// reaches thousands of idle sockets, and must not fill the queue before a send's own look-up.
    pub session_reads: Semaphore,
    /// Long polls.
    pub waiters: Arc<Waiters>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The last hour.
    pub history: History,
    /// Signs of life of agents.
    pub heartbeat: Heartbeat,
    /// Live sockets per address.
    pub sockets: Connections,
    /// How often an agent may take over its own live socket.
    pub takeovers: Takeovers,
    /// Devices that HTTP callers use.
    pub devices: dashmap::DashMap<(store::Principal, String), store::DeviceKey>,
    /// The server stops.
    pub draining: AtomicBool,
}

impl Node {
    /// The log's file with its whole path, or its address without the password.
    pub fn log_name(&self) -> String {
        let config = &self.config;
        match config.database.store(&config.server.data_dir).location {
            Location::Sqlite(path) => match path.canonicalize() {
                Ok(path) => path.display().to_string(),
                Err(_) => path.display().to_string(),
            },
            place @ Location::Postgres(_) => place.to_string(),
        }
    }
}

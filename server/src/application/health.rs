//! What the probes say.

use crate::doors::health::{Database, Facts, HealthSource, Heartbeat};
use crate::node::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::StoreError;

/// Asks the node.
pub(super) struct Source {
    pub(super) node: Arc<Node>,
    pub(super) started_at: Timestamp,
}

impl HealthSource for Source {
    fn facts(&self) -> BoxFuture<'_, Facts> {
        async move {
            // A write that changes nothing: a full disk that can still be read is not health.
            let database = match self.node.store.write(store::user::any_owner).await {
                Ok(_) => Database::Ok,
                Err(StoreError::Closed) => Database::Failing("closed"),
                Err(StoreError::Overloaded) => Database::Failing("overloaded"),
                Err(_) => Database::Failing("unavailable"),
            };
            let heartbeat = &self.node.heartbeat;
            Facts {
                database,
                heartbeat: Heartbeat {
                    enabled: heartbeat.enabled,
                    interval_s: heartbeat.interval.as_secs(),
                    timeout_s: heartbeat.timeout.as_secs(),
                },
                tracing_enabled: false,
                started_at: self.started_at,
                listening: !self.node.hubs.is_empty(),
                draining: self.node.draining.load(Ordering::Relaxed),
            }
        }
        .boxed()
    }
}

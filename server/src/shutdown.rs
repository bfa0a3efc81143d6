//! Stopping in order, and the sweeps that run meanwhile: stop accepting, end sockets with 1012
//! spread over a second, answer long polls, finish the writer's queue, flush, all within ten
//! seconds.

use crate::bus::BatchPermits;
use crate::mailbox::post;
use crate::node::Node;
use crate::registry::Drain;
use actix_web::dev::ServerHandle;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::StoreError;
use store::send::SweepCursor;

/// Sockets and committed batches get this long to go.
const SOCKETS_WITHIN: Duration = Duration::from_secs(4);
/// How often the drain looks.
const LOOK: Duration = Duration::from_millis(20);
/// How often what is remembered and not needed is forgotten.
const SWEEP: Duration = Duration::from_secs(60);
/// How often the figures of the last hour are taken.
const MINUTE: Duration = Duration::from_secs(60);
/// Devices that were not used for this long are forgotten, microseconds.
const DEVICE_AGE: i64 = 90 * 86_400 * 1_000_000;
/// Changes are kept this long, microseconds.
const CHANGE_AGE: i64 = 30 * 86_400 * 1_000_000;
/// Names of sends that one piece of a sweep looks at.
const SENDS_AT_ONCE: usize = 1000;
/// The store is swept once in so many rounds.
const STORE_ROUNDS: u32 = 60;

/// Takes a sample of the main figures each minute.
pub fn record_each_minute(node: &Arc<Node>) {
    let weak = Arc::downgrade(node);
    actix_rt::spawn(async move {
        let start = tokio::time::Instant::now() + MINUTE;
        let mut every = tokio::time::interval_at(start, MINUTE);
        loop {
            every.tick().await;
            let Some(node) = weak.upgrade() else { return };
            node.history.record(&node.metrics, node.clock.now());
        }
    });
}

/// Drains the node.
pub async fn drain(node: &Arc<Node>, batches: &BatchPermits, servers: &[ServerHandle]) {
    node.draining.store(true, Ordering::SeqCst);
    node.waiters.drain();
    post(&node.registry, Drain);
    let deadline = Instant::now() + SOCKETS_WITHIN;
    while (node.directory.counts().sessions > 0
        || node.directory.pending_submits() > 0
        || batches.in_use() > 0)
        && Instant::now() < deadline
    {
        actix_rt::time::sleep(LOOK).await;
    }
    for server in servers {
        let stopping = server.stop(true);
        if actix_rt::time::timeout(Duration::from_secs(2), stopping)
            .await
            .is_err()
        {
            server.stop(false).await;
        }
    }
    // The writer's last batch may need a place that a hub gives back, so it is not awaited here.
    let store = node.store.clone();
    let closing = std::thread::spawn(move || store.close());
    let deadline = Instant::now() + Duration::from_secs(2);
    while !closing.is_finished() && Instant::now() < deadline {
        actix_rt::time::sleep(LOOK).await;
    }
    if !closing.is_finished() {
        tracing::warn!("the store did not close in time; what was acknowledged is on disk");
    }
}

/// Forgets what is old, for as long as the node lives.
pub fn sweep_now_and_then(node: &Arc<Node>) {
    let weak = Arc::downgrade(node);
    actix_rt::spawn(async move {
        let mut round: u32 = 0;
        loop {
            actix_rt::time::sleep(SWEEP).await;
            let Some(node) = weak.upgrade() else { return };
            node.auth.sweep();
            node.takeovers.sweep();
            round = round.wrapping_add(1);
            if round % STORE_ROUNDS == 1 {
                node.devices.clear();
                sweep_store(&node).await;
            }
        }
    });
}

async fn sweep_store(node: &Node) {
    let now = node.clock.now();
    let swept = node.store.write(move |conn| {
        store::login::sweep(conn, now)?;
        store::device::sweep(conn, now.plus_micros(-DEVICE_AGE))?;
        store::change::sweep(conn, now.plus_micros(-CHANGE_AGE))
    });
    if let Err(error) = swept.await {
        tracing::warn!(%error, "old rows were not swept");
    }
    if let Err(error) = sweep_sends(node).await {
        tracing::warn!(%error, "old names of sends were not swept");
    }
}

/// Forgets the names of sends that are older than the window, in pieces that hold nobody up.
async fn sweep_sends(node: &Node) -> Result<(), StoreError> {
    let window = node.config.database.dedupe_window.as_micros() as i64;
    let older_than = node.clock.now().plus_micros(-window);
    let mut cursor = Some(SweepCursor::default());
    while let Some(from) = cursor {
        let piece = node
            .store
            .write(move |conn| store::send::sweep(conn, older_than, &from, SENDS_AT_ONCE));
        cursor = piece.await?.1;
    }
    Ok(())
}

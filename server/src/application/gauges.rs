//! Copies what others count into the metrics, before each rendering.

use crate::bus::BatchPermits;
use crate::node::Node;
use std::sync::Arc;

/// From now on.
pub(super) fn keep(node: &Arc<Node>, batches: &Arc<BatchPermits>) {
    let (weak, batches) = (Arc::downgrade(node), Arc::clone(batches));
    node.metrics.before_render(move |metrics| {
        let Some(node) = weak.upgrade() else { return };
        let store = node.store.gauges();
        metrics.writer_queue.set(store.writer_queue as i64);
        metrics.read_queue.set(store.read_queue as i64);
        metrics.wal_bytes.set(store.wal_bytes as i64);
        metrics.batch_permits.set(batches.in_use() as i64);
        metrics
            .conversation_permits
            .set(node.directory.pending_submits() as i64);
        metrics.hash_queue.set(node.auth.hash_queue() as i64);
        metrics.waiters.set(node.waiters.len() as i64);
        metrics
            .heartbeat_enabled
            .set(i64::from(node.heartbeat.enabled));
        let counts = node.directory.counts();
        metrics.agents_connected.set(counts.agents as i64);
        metrics.clients_connected.set(counts.users as i64);
        metrics.client_conns.set(counts.user_sessions as i64);
    });
}

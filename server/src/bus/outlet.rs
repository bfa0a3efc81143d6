//! Where the writer's batches leave the store: at most sixteen are on their way to the sockets at
//! once, and the writer waits for a place before it commits. That is where backpressure ends.

use super::Bus;
use crate::conversation::Committed;
use crate::metrics::Metrics;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::{BatchPermit, CommitSink, ConversationKey, Outcome};

/// Counts the batches on their way.
pub struct BatchPermits {
    free: Mutex<usize>,
    given_back: Condvar,
    capacity: usize,
}

/// The place of one batch; shared by its deliveries, given back when the last one is done.
pub struct Passage(Arc<BatchPermits>);

impl Drop for Passage {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.given_back.notify_one();
    }
}

impl BatchPermits {
    /// `capacity` batches may be on their way.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(capacity),
            given_back: Condvar::new(),
            capacity,
        })
    }

    /// Waits for a place; called on the writer's thread only.
    pub fn take(self: &Arc<Self>) -> Passage {
        let mut free = self.free.lock();
        while *free == 0 {
            self.given_back.wait(&mut free);
        }
        *free -= 1;
        Passage(Arc::clone(self))
    }

    /// Batches on their way.
    pub fn in_use(&self) -> usize {
        self.capacity - *self.free.lock()
    }
}

/// The store's sink: takes a place before the commit, groups outcomes by conversation after it.
pub struct Outlet {
    permits: Arc<BatchPermits>,
    bus: Arc<dyn Bus>,
    metrics: Arc<Metrics>,
}

impl Outlet {
    /// Publishes to `bus`, bounded by `permits`.
    pub fn new(permits: Arc<BatchPermits>, bus: Arc<dyn Bus>, metrics: Arc<Metrics>) -> Self {
        Self {
            permits,
            bus,
            metrics,
        }
    }
}

impl CommitSink for Outlet {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(self.permits.take()))
    }

    fn observe_commit(&self, jobs: usize, took: Duration) {
        self.metrics.batch_rows.observe(jobs as f64);
        self.metrics.commit_seconds.observe(took.as_secs_f64());
    }

    fn publish(&self, permit: BatchPermit, outcomes: Vec<Outcome>) {
        let passage = permit
            .0
            .downcast::<Passage>()
            .ok()
            .map(|passage| Arc::new(*passage));
        for (conversation, outcomes) in by_conversation(outcomes) {
            self.bus.publish(
                conversation,
                Committed {
                    passage: passage.clone(),
                    outcomes,
                },
            );
        }
    }
}

/// Groups outcomes, keeping their order within a conversation and the order of first appearance.
fn by_conversation(outcomes: Vec<Outcome>) -> Vec<(ConversationKey, Vec<Outcome>)> {
    let mut groups: Vec<(ConversationKey, Vec<Outcome>)> = Vec::new();
    let mut places: HashMap<ConversationKey, usize> = HashMap::new();
    for outcome in outcomes {
        let place = *places.entry(outcome.conversation).or_insert_with(|| {
            groups.push((outcome.conversation, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, group)) = groups.get_mut(place) {
            group.push(outcome);
        }
    }
    groups
}

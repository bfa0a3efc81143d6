//! The workers' hubs, by worker index. Each worker enters its own when it starts.

use crate::session::Hub;
use actix::Addr;
use parking_lot::RwLock;

/// All hubs of this process.
#[derive(Default)]
pub struct Hubs(RwLock<Vec<Addr<Hub>>>);

impl Hubs {
    /// Enters a worker's hub; returns the worker's index.
    pub fn enter(&self, hub: Addr<Hub>) -> usize {
        let mut hubs = self.0.write();
        hubs.push(hub);
        hubs.len() - 1
    }

    /// The hub of a worker.
    pub fn get(&self, worker: usize) -> Option<Addr<Hub>> {
        self.0.read().get(worker).cloned()
    }

    /// How many workers there are.
    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Whether no worker has started.
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }
}

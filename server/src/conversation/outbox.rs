//! Collects deliveries on one conversation arbiter, so that they leave as one batch per worker:
//! the hand-over is cheap, the wake-up of another thread is not. The first delivery schedules the
//! flush behind everything that is ready on this thread now.

use crate::bus::Passage;
use crate::mailbox::post;
use crate::registry::Hubs;
use crate::session::{Deliver, Delivery};
use std::cell::RefCell;
use std::sync::Arc;

#[derive(Default)]
struct Outbox {
    per_worker: Vec<Vec<Delivery>>,
    passages: Vec<Arc<Passage>>,
    scheduled: bool,
}

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::default();
}

/// Keeps a batch's place until the next flush has reached the hubs.
pub(super) fn hold(passage: Option<Arc<Passage>>) {
    let Some(passage) = passage else { return };
    OUTBOX.with_borrow_mut(|outbox| {
        if outbox
            .passages
            .last()
            .is_none_or(|last| !Arc::ptr_eq(last, &passage))
        {
            outbox.passages.push(passage);
        }
    });
}

/// Adds a delivery for the sessions of one worker.
pub(super) fn add(worker: usize, delivery: Delivery) {
    OUTBOX.with_borrow_mut(|outbox| {
        if outbox.per_worker.len() <= worker {
            outbox.per_worker.resize_with(worker + 1, Vec::new);
        }
        if let Some(items) = outbox.per_worker.get_mut(worker) {
            items.push(delivery);
        }
    });
}

/// Sees to it that what was added leaves when this thread has done what is ready now.
pub fn flush_soon(hubs: &Arc<Hubs>) {
    let first = OUTBOX.with_borrow_mut(|outbox| !std::mem::replace(&mut outbox.scheduled, true));
    if first {
        let hubs = Arc::clone(hubs);
        actix::spawn(async move {
            tokio::task::yield_now().await;
            flush(&hubs);
        });
    }
}

fn flush(hubs: &Hubs) {
    let (per_worker, passages) = OUTBOX.with_borrow_mut(|outbox| {
        outbox.scheduled = false;
        (
            std::mem::take(&mut outbox.per_worker),
            std::mem::take(&mut outbox.passages),
        )
    });
    for (worker, items) in per_worker.into_iter().enumerate() {
        if let Some(hub) = hubs.get(worker)
            && !items.is_empty()
        {
            post(
                &hub,
                Deliver {
                    passages: passages.clone(),
                    items,
                },
            );
        }
    }
}

//! One hub per worker arbiter: takes a batch of deliveries and hands the shared bytes to the
//! sessions on its thread, through plain memory. It also ticks its sessions once a second. It
//! never waits, and never touches a socket.

use super::messages::{Deliver, Delivery, SessionRef};
use super::outbound::Depths;
use super::slot::Slot;
use crate::metrics::Metrics;
use actix::{Actor, AsyncContext, Context, Handler};
use slab::Slab;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often sessions are looked after.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// The sessions of one worker, shared between its hub and the sessions themselves.
#[derive(Clone, Default)]
pub struct Slots(Rc<RefCell<Slab<Rc<Slot>>>>);

impl Slots {
    /// Enters a session; returns where.
    pub fn insert(&self, slot: Rc<Slot>) -> usize {
        self.0.borrow_mut().insert(slot)
    }

    /// Removes a session.
    pub fn remove(&self, index: usize) {
        drop(self.0.borrow_mut().try_remove(index));
    }

    /// The session at a place, if it is still the one that is meant.
    pub fn find(&self, session: &SessionRef) -> Option<Rc<Slot>> {
        let slots = self.0.borrow();
        slots
            .get(session.slot)
            .filter(|slot| slot.id == session.id)
            .cloned()
    }

    fn for_each(&self, mut each: impl FnMut(&Slot)) {
        for (_, slot) in self.0.borrow().iter() {
            each(slot);
        }
    }

    fn with(&self, session: &SessionRef, deliver: impl FnOnce(&Slot)) {
        if let Some(slot) = self.0.borrow().get(session.slot)
            && slot.id == session.id
        {
            deliver(slot);
        }
    }
}

/// The actor.
pub struct Hub {
    slots: Slots,
    metrics: Arc<Metrics>,
    /// What this worker last added to the gauges.
    told: Depths,
}

impl Hub {
    /// A hub over the sessions of this thread.
    pub fn new(slots: Slots, metrics: Arc<Metrics>) -> Self {
        Self {
            slots,
            metrics,
            told: Depths::default(),
        }
    }

    fn tick(&mut self) {
        let mut now = Depths::default();
        self.slots.for_each(|slot| {
            slot.tick();
            now += slot.outbound.depths();
        });
        let before = std::mem::replace(&mut self.told, now);
        self.metrics
            .catching_up
            .add(now.catching_up - before.catching_up);
        self.metrics
            .delivery_lane
            .add(now.deliveries - before.deliveries);
        self.metrics
            .delivery_lane_bytes
            .add(now.delivery_bytes - before.delivery_bytes);
        self.metrics.ack_lane.add(now.answers - before.answers);
        self.metrics
            .in_flight_sends
            .add(now.in_flight - before.in_flight);
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, |hub, _| hub.tick());
    }
}

impl Handler<Deliver> for Hub {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        for item in deliver.items {
            match item {
                Delivery::Entry(delivery) => {
                    for target in delivery.targets.iter() {
                        self.slots
                            .with(target, |slot| slot.outbound.deliver(&delivery));
                    }
                }
                Delivery::Ephemeral { targets, frames } => {
                    for target in targets.iter() {
                        self.slots
                            .with(target, |slot| slot.outbound.deliver_ephemeral(&frames));
                    }
                }
                Delivery::Answer {
                    to,
                    send,
                    answer,
                    permit,
                } => {
                    self.slots
                        .with(&to, |slot| slot.outbound.answer_send(send, answer));
                    drop(permit);
                }
            }
        }
    }
}

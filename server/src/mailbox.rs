//! The only file that calls actix send methods. An actix mailbox bounds nothing here: capacity is
//! counted per clone of an address, `do_send` ignores it, and a stopped actor swallows what it is
//! sent. So bounds are permits of our own that travel in the message, and there are two verbs:
//! [`Mailbox::offer`] may be refused, [`post`] is for the listed messages whose number something
//! else bounds.

use actix::{Actor, Addr, Context, Handler, Message};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 63;

/// Counts what waits in one actor, and closes. Pending count and closed bit are one atomic, so
/// that retiring cannot race with an offer.
#[derive(Debug)]
pub struct Gate {
    state: AtomicU64,
    capacity: u64,
}

/// Why an offer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may: try later.
    Full,
    /// The actor has retired or died: ask the registry for its successor.
    Gone,
}

impl Gate {
    /// An open gate that lets `capacity` in at once.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU64::new(0),
            capacity: capacity as u64,
        })
    }

    /// Takes a place; it is given back when the permit is dropped.
    pub fn enter(self: &Arc<Self>) -> Result<Permit, Refused> {
        let taken = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                (state & CLOSED == 0 && state < self.capacity).then_some(state + 1)
            });
        match taken {
            Ok(_) => Ok(Permit(Arc::clone(self))),
            Err(state) if state & CLOSED != 0 => Err(Refused::Gone),
            Err(_) => Err(Refused::Full),
        }
    }

    /// Closes if nobody is inside; gives up otherwise. The first step of retiring.
    pub fn close_if_empty(&self) -> bool {
        self.state
            .compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Closes whoever is inside: the actor has died.
    pub fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Whether offers are answered `Gone`.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Permits that are out.
    pub fn pending(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & !CLOSED
    }
}

/// A place in an actor, from `offer` until the answer is in the origin's queue.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An actor's address with its gate.
pub struct Mailbox<A: Actor> {
    addr: Addr<A>,
    gate: Arc<Gate>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self {
            addr: self.addr.clone(),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// Joins an address with the gate that its actor closes.
    pub const fn new(addr: Addr<A>, gate: Arc<Gate>) -> Self {
        Self { addr, gate }
    }

    /// The address, for [`post`].
    pub const fn addr(&self) -> &Addr<A> {
        &self.addr
    }

    /// The gate.
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Whether an offer could succeed now or later.
    pub fn is_open(&self) -> bool {
        !self.gate.is_closed() && self.addr.connected()
    }

    /// Sends a message that carries a permit, or says why not; the message is made only if there
    /// is a place.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place, bounded by the permit"
    )]
    pub fn offer<M>(&self, make: impl FnOnce(Permit) -> M) -> Result<(), Refused>
    where
        A: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
    {
        if !self.addr.connected() {
            return Err(Refused::Gone);
        }
        let permit = self.gate.enter()?;
        self.addr.do_send(make(permit));
        Ok(())
    }
}

/// Messages that may be posted: something else bounds their number.
pub trait Posted: Message<Result = ()> + Send + 'static {
    /// What bounds it; read by people only.
    const BOUND: &'static str;
}

/// Sends a message whose number something else bounds. A stopped actor swallows it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place, for the listed messages"
)]
pub fn post<A, M>(addr: &Addr<A>, message: M)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Posted,
{
    addr.do_send(message);
}

macro_rules! posted {
    ($( $message:ty: $bound:literal; )*) => {
        $( impl Posted for $message { const BOUND: &'static str = $bound; } )*
    };
}

posted! {
    crate::conversation::Committed: "batch permits";
    crate::session::Deliver: "batch permits; ephemeral ones: the rate buckets of who causes them";
    crate::session::Located: "one for each Locate";
    crate::session::Attached: "one for each Attach";
    crate::session::End: "once or twice a session";
    crate::registry::Locate: "the in-flight sends of a session, the HTTP requests of the server";
    crate::registry::Orphaned: "batch permits";
    crate::registry::Retired: "once a conversation";
    crate::registry::Attach: "once a session";
    crate::registry::Detach: "once a session";
    crate::registry::Revoke: "once a login";
    crate::registry::ListSessions: "the HTTP requests of the operator";
    crate::registry::Remove: "the HTTP requests of the operator";
    crate::registry::Drain: "once a process";
    crate::agent::Arrive: "once a session";
    crate::agent::Leave: "once a session";
    crate::agent::Say: "the rate bucket of the agent";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_full_gate_refuses_and_lets_in_again_when_a_permit_is_dropped() {
        let gate = Gate::new(2);
        let first = gate.enter().expect("a place");
        let _second = gate.enter().expect("a place");
        assert_eq!(gate.enter().err(), Some(Refused::Full));
        drop(first);
        assert!(gate.enter().is_ok());
    }

    #[test]
    fn a_gate_with_somebody_inside_does_not_close() {
        let gate = Gate::new(2);
        let permit = gate.enter().expect("a place");
        assert!(!gate.close_if_empty());
        drop(permit);
        assert!(gate.close_if_empty());
        assert_eq!(gate.enter().err(), Some(Refused::Gone));
    }

    #[test]
    fn retiring_never_races_with_an_offer() {
        for _ in 0..200 {
            let gate = Gate::new(64);
            let offering = Arc::clone(&gate);
            let offers = thread::spawn(move || {
                (0..50)
                    .filter_map(|_| offering.enter().ok())
                    .collect::<Vec<_>>()
            });
            let closed = gate.close_if_empty();
            let permits = offers.join().expect("no panic");
            // Whoever got in before the gate closed kept it open; after it closed nobody got in.
            if closed {
                assert!(permits.is_empty() || gate.pending() as usize == permits.len());
                assert!(gate.enter().is_err());
            } else {
                assert_eq!(gate.pending() as usize, permits.len());
            }
        }
    }
}

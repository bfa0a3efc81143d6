//! Long polls that wait for a conversation or for any conversation of a principal. A waiter
//! registers first and reads the log second, so that nothing falls between; it is woken at most
//! once, and reads again.

use dashmap::DashMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use store::{ConversationKey, Principal};
use tokio::sync::Notify;

/// What a long poll waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitOn {
    /// Something new in this conversation.
    Conversation(ConversationKey),
    /// Something new in any conversation of this principal.
    Principal(Principal),
}

/// All long polls that wait.
#[derive(Default)]
pub struct Waiters {
    waiting: DashMap<WaitOn, HashMap<u64, Arc<Notify>>>,
    per_principal: DashMap<Principal, usize>,
    count: AtomicUsize,
    next: AtomicU64,
    draining: AtomicBool,
}

/// One long poll; it leaves when dropped.
pub struct Waiter {
    waiters: Arc<Waiters>,
    on: WaitOn,
    principal: Principal,
    id: u64,
    woken: Arc<Notify>,
}

impl Waiters {
    /// Registers a long poll of `principal`; `None` when `limit` of theirs wait already.
    pub fn register(
        self: &Arc<Self>,
        principal: Principal,
        on: WaitOn,
        limit: usize,
    ) -> Option<Waiter> {
        {
            let mut own = self.per_principal.entry(principal).or_insert(0);
            if *own >= limit {
                return None;
            }
            *own += 1;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let woken = Arc::new(Notify::new());
        self.waiting
            .entry(on)
            .or_default()
            .insert(id, Arc::clone(&woken));
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.draining.load(Ordering::SeqCst) {
            woken.notify_one();
        }
        Some(Waiter {
            waiters: Arc::clone(self),
            on,
            principal,
            id,
            woken,
        })
    }

    /// Something was committed to `conversation`, whose members are `members`.
    pub fn wake(&self, conversation: ConversationKey, members: impl Iterator<Item = Principal>) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.wake_one(WaitOn::Conversation(conversation));
        members.for_each(|member| self.wake_one(WaitOn::Principal(member)));
    }

    /// The server stops: all waiters are answered, and later ones at once.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for entry in &self.waiting {
            entry.value().values().for_each(|woken| woken.notify_one());
        }
    }

    /// Whether the server stops.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wake_one(&self, on: WaitOn) {
        if let Some(waiting) = self.waiting.get(&on) {
            waiting.values().for_each(|woken| woken.notify_one());
        }
    }
}

impl Waiter {
    /// Resolves when there is something to read again for.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(mut waiting) = self.waiters.waiting.get_mut(&self.on) {
            waiting.remove(&self.id);
        }
        self.waiters
            .waiting
            .remove_if(&self.on, |_, waiting| waiting.is_empty());
        if let Some(mut own) = self.waiters.per_principal.get_mut(&self.principal) {
            *own -= 1;
        }
        self.waiters
            .per_principal
            .remove_if(&self.principal, |_, own| *own == 0);
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}

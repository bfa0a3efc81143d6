//! The conversation actor.

use super::fan_out::{self, Fact};
use super::messages::{Committed, Origin, Submit};
use super::outbox;
use crate::mailbox::{Gate, Permit, post};
use crate::metrics::Metrics;
use crate::ops::entry::Names;
use crate::registry::{Directory, Hubs, Registry, Retired, Waiters};
use crate::session::Delivery;
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, WrapFuture};
use domain::message::may_send;
use protocol::ErrorCode;
use protocol::event::{Refusal, Sent};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{
    Append, AppendError, AppendRefusal, ConversationKey, NewEntry, Outcome, Store, StoreError,
    Stored,
};

/// A conversation without traffic for this long leaves memory.
pub(super) const RETIRE_AFTER: Duration = Duration::from_secs(300);
const RETIRE_CHECK: Duration = Duration::from_secs(60);
/// How often a conversation that could not be loaded is tried again, and how far apart.
const LOAD_TRIES: u32 = 5;
const LOAD_PAUSE: Duration = Duration::from_millis(100);

/// What a conversation works with: its next hops.
#[derive(Clone)]
pub struct Deps {
    /// The writer, and reads.
    pub store: Store,
    /// Who is online.
    pub directory: Arc<Directory>,
    /// The workers' hubs.
    pub hubs: Arc<Hubs>,
    /// Long polls.
    pub waiters: Arc<Waiters>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// A send that the writer has.
struct Pending {
    tag: u64,
    origin: Origin,
    permit: Permit,
    since: Instant,
}

enum State {
    /// Its row is being read; this waits.
    Loading {
        submits: Vec<Submit>,
        committed: Vec<Committed>,
    },
    Ready(Names),
    /// There is no such conversation.
    Missing(ErrorCode),
}

/// One conversation in memory.
pub struct Conversation {
    key: ConversationKey,
    gate: Arc<Gate>,
    deps: Deps,
    registry: Addr<Registry>,
    state: State,
    pending: VecDeque<Pending>,
    pub(super) last_traffic: Instant,
}

impl Conversation {
    /// A conversation that loads itself when it starts; it closes `gate` when it goes.
    pub fn new(
        key: ConversationKey,
        gate: Arc<Gate>,
        deps: Deps,
        registry: Addr<Registry>,
    ) -> Self {
        let state = State::Loading {
            submits: Vec::new(),
            committed: Vec::new(),
        };
        Self {
            key,
            gate,
            deps,
            registry,
            state,
            pending: VecDeque::new(),
            last_traffic: Instant::now(),
        }
    }

    fn load(&self, ctx: &mut Context<Self>) {
        let (store, key) = (self.deps.store.clone(), self.key);
        let loading = async move { load(&store, key).await };
        let loaded = actix::fut::ActorFutureExt::map(
            loading.into_actor(self),
            |names, conversation: &mut Self, _| {
                conversation.loaded(names);
            },
        );
        ctx.spawn(loaded);
    }

    fn loaded(&mut self, names: Result<Names, StoreError>) {
        let state = match names {
            Ok(names) => State::Ready(names),
            Err(StoreError::NotFound) => State::Missing(ErrorCode::ConversationNotFound),
            Err(error) => {
                tracing::warn!(%error, conversation = self.key.0, "a conversation could not be loaded");
                State::Missing(ErrorCode::StorageUnavailable)
            }
        };
        if let State::Loading { submits, committed } = std::mem::replace(&mut self.state, state) {
            for committed in committed {
                self.take_in(committed);
            }
            for submit in submits {
                self.submit(submit);
            }
        }
    }

    fn submit(&mut self, submit: Submit) {
        let allowed = match &self.state {
            State::Loading { .. } => return,
            State::Missing(code) => Err(*code),
            State::Ready(names) => may_send(names.standing(submit.entry.sender))
                .map_err(|_| ErrorCode::ConversationNotFound),
        };
        let Submit {
            permit,
            origin,
            entry,
        } = submit;
        if let Err(code) = allowed {
            self.answer(origin, permit, Err(refusal(code, &entry)));
            return;
        }
        let tag = next_tag();
        let append = Append {
            conversation: self.key,
            tag,
            entry: Arc::clone(&entry),
        };
        match self.deps.store.append(append) {
            Ok(()) => {
                let pending = Pending {
                    tag,
                    origin,
                    permit,
                    since: Instant::now(),
                };
                self.pending.push_back(pending);
            }
            Err(refused) => {
                let code = match refused {
                    AppendRefusal::Full => ErrorCode::Overloaded,
                    AppendRefusal::Closed => ErrorCode::ShuttingDown,
                };
                self.answer(origin, permit, Err(refusal(code, &entry)));
            }
        }
    }

    fn take_in(&mut self, committed: Committed) {
        outbox::hold(committed.passage);
        for outcome in committed.outcomes {
            let pending = self.take_pending(outcome.tag);
            match &outcome.result {
                Ok(stored) => self.stored(&outcome, *stored, pending),
                Err(error) => {
                    if let Some(pending) = pending {
                        let code = code_of(*error);
                        self.answer(
                            pending.origin,
                            pending.permit,
                            Err(refusal(code, &outcome.entry)),
                        );
                    }
                }
            }
        }
        outbox::flush_soon(&self.deps.hubs);
    }

    /// Outcomes come back in order; one without a pending send was begun by a predecessor that died.
    fn take_pending(&mut self, tag: u64) -> Option<Pending> {
        while self
            .pending
            .front()
            .is_some_and(|pending| pending.tag < tag)
        {
            self.pending.pop_front();
        }
        if self
            .pending
            .front()
            .is_some_and(|pending| pending.tag == tag)
        {
            self.pending.pop_front()
        } else {
            None
        }
    }

    fn stored(&self, outcome: &Outcome, stored: Stored, pending: Option<Pending>) {
        let State::Ready(names) = &self.state else {
            return;
        };
        if let Some(Pending {
            origin,
            permit,
            since,
            ..
        }) = pending
        {
            self.deps
                .metrics
                .ack_seconds
                .observe(since.elapsed().as_secs_f64());
            let sent = Sent {
                id: stored.id,
                conversation: names.conversation(),
                seq: stored.seq,
                at: stored.created_at,
                client_msg_id: outcome.entry.client_msg_id.clone(),
                replayed: stored.replayed,
            };
            self.answer(origin, permit, Ok(sent));
        }
        if stored.replayed {
            self.deps.metrics.replayed_sends.inc();
            return;
        }
        self.deps.metrics.stored.inc();
        let fact = Fact {
            conversation: self.key,
            entry: Arc::new(names.committed(&outcome.entry, stored)),
            sender: outcome.entry.sender,
            device: outcome.entry.device,
        };
        fan_out::deliver(&self.deps.directory, names.present(), fact);
        self.deps.waiters.wake(self.key, names.present());
    }

    fn answer(&self, origin: Origin, permit: Permit, answer: Result<Sent, Refusal>) {
        match origin {
            Origin::Session { session, send } => {
                outbox::add(
                    session.worker,
                    Delivery::Answer {
                        to: session,
                        send,
                        answer,
                        permit,
                    },
                );
                outbox::flush_soon(&self.deps.hubs);
            }
            // Nobody waits any more if the caller has gone.
            Origin::Call(caller) => drop(caller.send(answer)),
        }
    }

    /// Step one: close the gate while nobody is inside. Step two: leave the directory and stop.
    pub(super) fn retire_if_quiet(&self, ctx: &mut Context<Self>) {
        let quiet =
            self.last_traffic.elapsed() >= RETIRE_AFTER || matches!(self.state, State::Missing(_));
        if quiet && self.pending.is_empty() && self.gate.close_if_empty() {
            ctx.stop();
        }
    }
}

/// Rises through the whole process, so that what a predecessor began is never taken for one's own.
fn next_tag() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

async fn load(store: &Store, key: ConversationKey) -> Result<Names, StoreError> {
    for _ in 1..LOAD_TRIES {
        match store.read(move |conn| Names::load(conn, key)).await {
            Err(StoreError::Overloaded | StoreError::Unavailable) => {
                actix_rt::time::sleep(LOAD_PAUSE).await;
            }
            loaded => return loaded,
        }
    }
    store.read(move |conn| Names::load(conn, key)).await
}

fn refusal(code: ErrorCode, entry: &NewEntry) -> Refusal {
    Refusal {
        client_msg_id: entry.client_msg_id.clone(),
        ..Refusal::new(code)
    }
}

const fn code_of(error: AppendError) -> ErrorCode {
    match error {
        AppendError::Conflict => ErrorCode::Conflict,
        AppendError::NoSuchConversation => ErrorCode::ConversationNotFound,
        AppendError::Unavailable => ErrorCode::StorageUnavailable,
        AppendError::Unknown => ErrorCode::Timeout,
    }
}

impl Actor for Conversation {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.deps.metrics.conversations_live.inc();
        self.load(ctx);
        ctx.run_interval(RETIRE_CHECK, Self::retire_if_quiet_interval);
    }
}

impl Conversation {
    fn retire_if_quiet_interval(&mut self, ctx: &mut Context<Self>) {
        self.retire_if_quiet(ctx);
    }
}

/// However it ends, a panic included, offers find the gate closed and the directory forgets it.
impl Drop for Conversation {
    fn drop(&mut self) {
        self.gate.close();
        self.deps.metrics.conversations_live.dec();
        post(
            &self.registry,
            Retired {
                key: self.key,
                gate: Arc::clone(&self.gate),
            },
        );
    }
}

impl Handler<Submit> for Conversation {
    type Result = ();

    fn handle(&mut self, submit: Submit, _: &mut Self::Context) {
        self.last_traffic = Instant::now();
        match &mut self.state {
            State::Loading { submits, .. } => submits.push(submit),
            State::Ready(_) | State::Missing(_) => self.submit(submit),
        }
    }
}

impl Handler<Committed> for Conversation {
    type Result = ();

    fn handle(&mut self, committed: Committed, _: &mut Self::Context) {
        match &mut self.state {
            State::Loading {
                committed: waiting, ..
            } => waiting.push(committed),
            State::Ready(_) | State::Missing(_) => self.take_in(committed),
        }
    }
}

//! The agent actor.

use super::messages::{Arrive, Leave, Say};
use crate::mailbox::post;
use crate::ops::whisper;
use crate::registry::{Directory, Hubs};
use crate::session::{End, Session, SessionId};
use actix::{Actor, Addr, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use protocol::{CloseCode, Event, Party};
use std::sync::Arc;
use std::time::Duration;
use store::{AgentKey, Principal, Store};

/// Coming and going within this time is not news.
const SETTLE: Duration = Duration::from_millis(200);

/// What an agent works with.
#[derive(Clone)]
pub struct AgentDeps {
    /// Who shares a conversation with it.
    pub store: Store,
    /// Who is online.
    pub directory: Arc<Directory>,
    /// The workers' hubs.
    pub hubs: Arc<Hubs>,
}

/// One global agent in memory.
pub struct Agent {
    key: AgentKey,
    deps: AgentDeps,
    current: Option<(SessionId, Addr<Session>)>,
    party: Option<Party>,
    /// What the users were last told.
    told_online: bool,
    telling: Option<SpawnHandle>,
}

impl Agent {
    /// An agent that is not online.
    pub const fn new(key: AgentKey, deps: AgentDeps) -> Self {
        Self {
            key,
            deps,
            current: None,
            party: None,
            told_online: false,
            telling: None,
        }
    }

    fn tell_soon(&mut self, ctx: &mut Context<Self>) {
        if self.telling.is_none() {
            self.telling = Some(ctx.run_later(SETTLE, Self::tell));
        }
    }

    fn tell(&mut self, ctx: &mut Context<Self>) {
        self.telling = None;
        let online = self.current.is_some();
        if online == self.told_online {
            return;
        }
        self.told_online = online;
        if let Some(who) = self.party.clone() {
            self.tell_peers(Event::Presence { who, online }, ctx);
        }
    }

    fn tell_peers(&self, event: Event, ctx: &mut Context<Self>) {
        let (deps, me) = (self.deps.clone(), Principal::agent(self.key));
        let telling = async move {
            let peers = deps
                .store
                .read(move |conn| store::conversation::peers_of(conn, me))
                .await;
            match peers {
                Ok(peers) => {
                    whisper::to_principals(&deps.directory, &deps.hubs, peers.into_iter(), &event);
                }
                Err(error) => tracing::debug!(%error, "presence was not told"),
            }
        };
        ctx.spawn(telling.into_actor(self));
    }
}

impl Actor for Agent {
    type Context = Context<Self>;
}

impl Handler<Arrive> for Agent {
    type Result = ();

    fn handle(&mut self, arrive: Arrive, ctx: &mut Self::Context) {
        if let Some((_, before)) = self.current.replace((arrive.session, arrive.addr)) {
            post(&before, End(CloseCode::Replaced));
        }
        self.party = Some(arrive.party);
        self.deps.directory.set_agent_online(self.key, true);
        self.tell_soon(ctx);
    }
}

impl Handler<Leave> for Agent {
    type Result = ();

    fn handle(&mut self, leave: Leave, ctx: &mut Self::Context) {
        // A late goodbye of a replaced socket does not evict the newer one.
        if self
            .current
            .as_ref()
            .is_some_and(|(session, _)| *session == leave.session)
        {
            self.current = None;
            self.deps.directory.set_agent_online(self.key, false);
            self.tell_soon(ctx);
        }
    }
}

impl Handler<Say> for Agent {
    type Result = ();

    fn handle(&mut self, say: Say, ctx: &mut Self::Context) {
        self.deps.directory.set_agent_status(self.key, &say.status);
        if let Some(sender) = self.party.clone() {
            self.tell_peers(
                Event::Status {
                    sender,
                    status: say.status,
                    conversation: None,
                },
                ctx,
            );
        }
    }
}

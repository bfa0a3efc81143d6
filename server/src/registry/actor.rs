//! The registry actor.

use super::directory::Directory;
use super::messages::{
    Asker, Attach, Detach, Drain, ListSessions, Locate, Orphaned, Remove, Retired, Revoke, Which,
};
use crate::agent::{Agent, AgentDeps, Arrive, Leave};
use crate::conversation::{Conversation, Deps};
use crate::mailbox::{Gate, Mailbox, post};
use crate::session::{Attached, End, Located, Session, SessionId};
use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Handler};
use protocol::{CloseCode, PrincipalKind, limits};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{AgentKey, ConversationKey, Principal};

/// Sockets are ended a few at a time while draining, so that their clients do not all come back
/// in the same instant.
const DRAIN_STEP: Duration = Duration::from_millis(50);
const DRAIN_STEPS: usize = 20;

struct Entered {
    addr: Addr<Session>,
    principal: Principal,
    sid: Option<String>,
    about: protocol::admin::Session,
}

/// Starts, finds and retires; the only writer of the directory.
pub struct Registry {
    directory: Arc<Directory>,
    conversation_deps: Deps,
    agent_deps: AgentDeps,
    /// Conversations and agents are spread over these by their key.
    arbiters: Vec<ArbiterHandle>,
    sessions: HashMap<SessionId, Entered>,
    by_login: HashMap<String, HashSet<SessionId>>,
    draining: bool,
}

impl Registry {
    /// A registry that starts actors on `arbiters`.
    pub fn new(
        conversation_deps: Deps,
        agent_deps: AgentDeps,
        arbiters: Vec<ArbiterHandle>,
    ) -> Self {
        Self {
            directory: Arc::clone(&conversation_deps.directory),
            conversation_deps,
            agent_deps,
            arbiters,
            sessions: HashMap::new(),
            by_login: HashMap::new(),
            draining: false,
        }
    }

    fn conversation(&self, key: ConversationKey, me: &Addr<Self>) -> Option<Mailbox<Conversation>> {
        if let Some(mailbox) = self.directory.conversation(key)
            && mailbox.is_open()
        {
            return Some(mailbox);
        }
        let arbiter = self.arbiter(key.0)?;
        let gate = Gate::new(limits::CONVERSATION_PERMITS);
        let (deps, registry, own_gate) = (
            self.conversation_deps.clone(),
            me.clone(),
            Arc::clone(&gate),
        );
        let addr = Conversation::start_in_arbiter(arbiter, move |_| {
            Conversation::new(key, own_gate, deps, registry)
        });
        let mailbox = Mailbox::new(addr, gate);
        self.directory.enter_conversation(key, mailbox.clone());
        Some(mailbox)
    }

    fn agent(&self, key: AgentKey) -> Option<Addr<Agent>> {
        if let Some(agent) = self.directory.agent(key)
            && agent.connected()
        {
            return Some(agent);
        }
        let arbiter = self.arbiter(key.0)?;
        let deps = self.agent_deps.clone();
        let addr = Agent::start_in_arbiter(arbiter, move |_| Agent::new(key, deps));
        self.directory.enter_agent(key, addr.clone());
        Some(addr)
    }

    fn arbiter(&self, key: i64) -> Option<&ArbiterHandle> {
        let count = self.arbiters.len().max(1);
        self.arbiters.get(key.unsigned_abs() as usize % count)
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}

impl Handler<Locate> for Registry {
    type Result = ();

    fn handle(&mut self, Locate { key, asker }: Locate, ctx: &mut Self::Context) {
        let mailbox = if self.draining {
            None
        } else {
            self.conversation(key, &ctx.address())
        };
        match asker {
            Asker::Session { addr, name } => post(&addr, Located { name, key, mailbox }),
            Asker::Call(caller) => drop(caller.send(mailbox)),
        }
    }
}

impl Handler<Orphaned> for Registry {
    type Result = ();

    fn handle(&mut self, orphaned: Orphaned, ctx: &mut Self::Context) {
        if let Some(mailbox) = self.conversation(orphaned.conversation, &ctx.address()) {
            post(mailbox.addr(), orphaned.committed);
        }
    }
}

impl Handler<Retired> for Registry {
    type Result = ();

    fn handle(&mut self, retired: Retired, _: &mut Self::Context) {
        self.directory
            .leave_conversation(retired.key, &retired.gate);
    }
}

impl Handler<Attach> for Registry {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        if self.draining {
            post(&attach.addr, End(CloseCode::Restart));
        }
        let id = attach.session.id;
        if let Some(sid) = &attach.sid {
            self.by_login.entry(sid.clone()).or_default().insert(id);
        }
        self.sessions.insert(
            id,
            Entered {
                addr: attach.addr.clone(),
                principal: attach.principal,
                sid: attach.sid,
                about: attach.about,
            },
        );
        self.directory
            .enter_session(attach.principal, attach.session);
        if attach.principal.kind == PrincipalKind::Agent
            && let Some(agent) = self.agent(AgentKey(attach.principal.key))
        {
            let party = attach.party;
            post(
                &agent,
                Arrive {
                    session: id,
                    addr: attach.addr.clone(),
                    party,
                },
            );
        }
        post(&attach.addr, Attached);
    }
}

impl Handler<Detach> for Registry {
    type Result = ();

    fn handle(&mut self, Detach { session, principal }: Detach, _: &mut Self::Context) {
        self.directory.leave_session(principal, session.id);
        if let Some(entered) = self.sessions.remove(&session.id)
            && let Some(sid) = entered.sid
            && let Some(of_login) = self.by_login.get_mut(&sid)
        {
            of_login.remove(&session.id);
            if of_login.is_empty() {
                self.by_login.remove(&sid);
            }
        }
        if principal.kind == PrincipalKind::Agent
            && let Some(agent) = self.directory.agent(AgentKey(principal.key))
        {
            post(
                &agent,
                Leave {
                    session: session.id,
                },
            );
        }
    }
}

impl Handler<Revoke> for Registry {
    type Result = ();

    fn handle(&mut self, Revoke { sid }: Revoke, _: &mut Self::Context) {
        for id in self.by_login.get(&sid).into_iter().flatten() {
            if let Some(entered) = self.sessions.get(id) {
                post(&entered.addr, End(CloseCode::Unauthenticated));
            }
        }
    }
}

impl Handler<ListSessions> for Registry {
    type Result = ();

    fn handle(&mut self, ListSessions { caller }: ListSessions, _: &mut Self::Context) {
        let mut all: Vec<_> = self.sessions.values().map(|s| s.about.clone()).collect();
        all.sort_by_key(|session| session.session_id);
        drop(caller.send(all));
    }
}

impl Handler<Remove> for Registry {
    type Result = ();

    fn handle(&mut self, Remove { which, caller }: Remove, _: &mut Self::Context) {
        let meant: Vec<_> = self
            .sessions
            .iter()
            .filter(|(id, entered)| match which {
                Which::Session(wanted) => **id == wanted,
                Which::Of(principal) => entered.principal == principal,
            })
            .collect();
        for (_, entered) in &meant {
            post(&entered.addr, End(CloseCode::Removed));
        }
        let _: Result<(), usize> = caller.send(meant.len());
    }
}

impl Handler<Drain> for Registry {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.draining = true;
        let addresses: Vec<_> = self
            .sessions
            .values()
            .map(|entered| entered.addr.clone())
            .collect();
        let at_once = addresses.len().div_ceil(DRAIN_STEPS).max(1);
        for (step, some) in addresses.chunks(at_once).enumerate() {
            let some = some.to_vec();
            ctx.run_later(DRAIN_STEP * step as u32, move |_, _| {
                for addr in &some {
                    post(addr, End(CloseCode::Restart));
                }
            });
        }
    }
}

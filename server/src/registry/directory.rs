//! The shared map of who is where. Everyone reads it directly; only the registry writes it
//! (agents' status aside, which each agent's own actor and session keep).

use crate::agent::Agent;
use crate::conversation::Conversation;
use crate::mailbox::{Gate, Mailbox};
use crate::session::wire::Wire;
use crate::session::{SessionId, SessionRef};
use actix::Addr;
use bytestring::ByteString;
use dashmap::DashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{AgentKey, ConversationKey, Principal};

/// The live sessions of one principal.
pub struct Live {
    /// All of them.
    pub sessions: Vec<SessionRef>,
    /// The same, by worker.
    pub by_worker: Vec<(usize, Arc<[SessionRef]>)>,
    /// Each wire among them once.
    pub wires: Vec<Wire>,
}

impl Live {
    fn of(sessions: Vec<SessionRef>) -> Self {
        let mut workers: BTreeMap<usize, Vec<SessionRef>> = BTreeMap::new();
        let mut wires: Vec<Wire> = Vec::new();
        for session in &sessions {
            workers.entry(session.worker).or_default().push(*session);
            if wires.iter().all(|wire| wire.key() != session.wire.key()) {
                wires.push(session.wire);
            }
        }
        let by_worker = workers
            .into_iter()
            .map(|(worker, refs)| (worker, refs.into()))
            .collect();
        Self {
            sessions,
            by_worker,
            wires,
        }
    }
}

/// What an agent says it is doing, while it is online.
struct AgentEntry {
    addr: Addr<Agent>,
    status: ByteString,
    online: bool,
}

/// Who is where.
#[derive(Default)]
pub struct Directory {
    conversations: DashMap<ConversationKey, Mailbox<Conversation>>,
    live: DashMap<Principal, Arc<Live>>,
    agents: DashMap<AgentKey, AgentEntry>,
}

impl Directory {
    /// The actor of a conversation, if it is in memory.
    pub fn conversation(&self, key: ConversationKey) -> Option<Mailbox<Conversation>> {
        self.conversations
            .get(&key)
            .map(|entry| entry.value().clone())
    }

    /// The live sessions of a principal, if there are any.
    pub fn live(&self, principal: Principal) -> Option<Arc<Live>> {
        self.live
            .get(&principal)
            .map(|entry| Arc::clone(entry.value()))
    }

    /// Live sessions that follow a conversation without being members (watchers).
    pub fn subscribers(&self, _: ConversationKey) -> Option<Arc<Live>> {
        None
    }

    /// The actor of an agent that has been online since the start.
    pub fn agent(&self, key: AgentKey) -> Option<Addr<Agent>> {
        self.agents.get(&key).map(|entry| entry.addr.clone())
    }

    /// What an agent is doing: `offline`, or what it said last, or `online`.
    pub fn agent_status(&self, key: AgentKey) -> ByteString {
        match self.agents.get(&key) {
            Some(entry) if entry.online => entry.status.clone(),
            _ => ByteString::from_static("offline"),
        }
    }

    /// Keeps what an agent says it is doing.
    pub fn set_agent_status(&self, key: AgentKey, status: &ByteString) {
        if let Some(mut entry) = self.agents.get_mut(&key) {
            entry.status = status.clone();
        }
    }

    /// An agent came or went; a new one is `online` until it says otherwise.
    pub fn set_agent_online(&self, key: AgentKey, online: bool) {
        if let Some(mut entry) = self.agents.get_mut(&key) {
            entry.online = online;
            entry.status = ByteString::from_static("online");
        }
    }

    /// Conversations in memory, sessions of users, users online, agents online.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            conversations: self.conversations.len(),
            ..Counts::default()
        };
        for entry in &self.live {
            counts.sessions += entry.value().sessions.len();
            if entry.key().kind == protocol::PrincipalKind::User {
                counts.users += 1;
                counts.user_sessions += entry.value().sessions.len();
            } else {
                counts.agents += 1;
            }
        }
        counts
    }

    /// Submits on their way through all conversations.
    pub fn pending_submits(&self) -> u64 {
        self.conversations
            .iter()
            .map(|entry| entry.value().gate().pending())
            .sum()
    }

    pub(super) fn enter_conversation(&self, key: ConversationKey, mailbox: Mailbox<Conversation>) {
        self.conversations.insert(key, mailbox);
    }

    /// Forgets a conversation, if the entry is still the one that went.
    pub(super) fn leave_conversation(&self, key: ConversationKey, gate: &Arc<Gate>) {
        self.conversations
            .remove_if(&key, |_, mailbox| Arc::ptr_eq(mailbox.gate(), gate));
    }

    pub(super) fn enter_agent(&self, key: AgentKey, addr: Addr<Agent>) {
        self.agents.insert(
            key,
            AgentEntry {
                addr,
                status: ByteString::from_static("online"),
                online: false,
            },
        );
    }

    pub(super) fn enter_session(&self, principal: Principal, session: SessionRef) {
        let mut sessions = self
            .live(principal)
            .map_or_else(Vec::new, |live| live.sessions.clone());
        sessions.push(session);
        self.live.insert(principal, Arc::new(Live::of(sessions)));
    }

    pub(super) fn leave_session(&self, principal: Principal, session: SessionId) {
        let Some(live) = self.live(principal) else {
            return;
        };
        let sessions: Vec<_> = live
            .sessions
            .iter()
            .filter(|other| other.id != session)
            .copied()
            .collect();
        if sessions.is_empty() {
            self.live.remove(&principal);
        } else {
            self.live.insert(principal, Arc::new(Live::of(sessions)));
        }
    }
}

/// How many of what are in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Conversation actors.
    pub conversations: usize,
    /// Live sockets.
    pub sessions: usize,
    /// Users with a live socket.
    pub users: usize,
    /// Live sockets of users.
    pub user_sessions: usize,
    /// Agents with a live socket.
    pub agents: usize,
}

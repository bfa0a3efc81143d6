//! How a session comes to life: everything the door knows about it, and the start of its actor
//! on this worker's thread.

use super::Session;
use super::hub::Slots;
use super::inbound::Inbound;
use super::messages::{SessionId, SessionRef};
use super::outbound::{Outbound, Viewer};
use super::slot::Slot;
use super::wire::Wire;
use crate::connection::Connection;
use crate::limits::{ConnectionGuard, FrameBuckets, Refusals};
use crate::node::Node;
use actix::{Actor, Context};
use actix_ws::{AggregatedMessageStream, Session as Socket};
use protocol::{DeviceId, Party, Timestamp};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{AgentKey, DeviceKey, Principal, UserKey};

/// Who is let in.
#[derive(Debug, Clone)]
pub enum Who {
    /// A person's device.
    User {
        /// The account.
        key: UserKey,
        /// The login behind the token.
        sid: String,
        /// When the token ends.
        expires_at: Timestamp,
    },
    /// A global agent.
    Agent {
        /// Its row.
        key: AgentKey,
        /// Shown once, to the connect that created the id.
        new_token: Option<String>,
    },
}

impl Who {
    /// The principal.
    pub const fn principal(&self) -> Principal {
        match self {
            Self::User { key, .. } => Principal::user(*key),
            Self::Agent { key, .. } => Principal::agent(*key),
        }
    }
}

/// Everything the door knows of a new socket.
pub struct Setup {
    /// Who was let in.
    pub who: Who,
    /// As others see it.
    pub party: Party,
    /// Its device.
    pub device: DeviceKey,
    /// The device's name, where the client named one.
    pub device_id: Option<DeviceId>,
    /// How it speaks.
    pub wire: Wire,
    /// The protocol version in the welcome.
    pub version: &'static str,
    /// The rates it keeps.
    pub buckets: FrameBuckets,
    /// What it was refused; `None` where rates are lifted.
    pub refusals: Option<Refusals>,
    /// Its place among the live connections.
    pub guard: ConnectionGuard,
    /// Where the client is.
    pub address: IpAddr,
    /// Its TCP connection.
    pub connection: Option<Arc<Connection>>,
    /// Heartbeat monitoring of agents, where it is on.
    pub heartbeat_timeout: Option<Duration>,
    /// The request id of the upgrade, for the log.
    pub request_id: String,
}

/// Starts the session's actor on this thread.
pub fn start(
    setup: Setup,
    node: Arc<Node>,
    slots: &Slots,
    worker: usize,
    socket: Socket,
    messages: AggregatedMessageStream,
) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = SessionId(NEXT.fetch_add(1, Ordering::Relaxed));
    let viewer = Viewer {
        principal: setup.who.principal(),
        device: setup.device,
        wire: setup.wire,
    };
    let slot = Slot::new(
        id,
        Outbound::new(viewer),
        setup.connection.clone(),
        setup.heartbeat_timeout,
        Arc::clone(&node),
    );
    if let Who::User { expires_at, .. } = &setup.who {
        slot.expires_at.set(Some(*expires_at));
    }
    let slot = Rc::new(slot);
    let place = slots.insert(Rc::clone(&slot));
    let me = SessionRef {
        id,
        worker,
        slot: place,
        wire: setup.wire,
    };
    let slots = slots.clone();
    Session::create(|ctx: &mut Context<Session>| {
        ctx_add(ctx, Inbound::new(messages, Rc::clone(&slot)));
        Session::new(setup, me, slot, slots, node, socket)
    });
}

fn ctx_add(ctx: &mut Context<Session>, inbound: Inbound) {
    <Session as actix::StreamHandler<_>>::add_stream(inbound, ctx);
}

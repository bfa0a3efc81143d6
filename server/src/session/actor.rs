//! The session actor: a doorman for what comes from the socket and from the registry.

use super::hub::Slots;
use super::inbound::close_code_of;
use super::messages::{Attached, End, Located, SessionRef};
use super::outbound::{Outbound, Phase};
use super::routes::Routes;
use super::setup::{Setup, Who};
use super::slot::Slot;
use super::{pump, resume};
use crate::limits::Refusals;
use crate::mailbox::post;
use crate::node::Node;
use crate::registry::{Attach, Detach};
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use actix_ws::{AggregatedMessage, ProtocolError, Session as Socket};
use protocol::event::{Connected, Refusal};
use protocol::{CloseCode, ErrorCode, Event};
use std::rc::Rc;
use std::sync::Arc;

/// One live socket.
pub struct Session {
    pub(super) setup: Setup,
    pub(super) me: SessionRef,
    pub(super) slot: Rc<Slot>,
    pub(super) node: Arc<Node>,
    /// Where its sends go.
    pub(super) routes: Routes,
    slots: Slots,
    /// Until the pump takes it.
    socket: Option<Socket>,
    /// Whether it stands in the directory: only then may a snapshot be taken.
    pub(super) attached: bool,
    /// A `resume` that came before.
    pub(super) early_resume: Option<resume::Positions>,
}

impl Session {
    pub(super) fn new(
        setup: Setup,
        me: SessionRef,
        slot: Rc<Slot>,
        slots: Slots,
        node: Arc<Node>,
        socket: Socket,
    ) -> Self {
        Self {
            setup,
            me,
            slot,
            node,
            routes: Routes::default(),
            slots,
            socket: Some(socket),
            attached: false,
            early_resume: None,
        }
    }

    pub(super) fn outbound(&self) -> &Outbound {
        &self.slot.outbound
    }

    fn welcome(&mut self) {
        let agent_token = match &mut self.setup.who {
            Who::Agent { new_token, .. } => new_token.take(),
            Who::User { .. } => None,
        };
        let connected = Connected {
            who: self.setup.party.clone(),
            device_id: self.setup.device_id.as_ref().map(protocol::DeviceId::text),
            version: self.setup.version,
            agent_token,
            heartbeat_s: self.node.heartbeat.monitored_interval_s(),
        };
        self.outbound().answer(&Event::Connected(connected));
    }

    /// What the operator is shown of it.
    fn about(&self) -> protocol::admin::Session {
        let setup = &self.setup;
        protocol::admin::Session {
            session_id: self.me.id.0,
            kind: setup.party.kind.as_str().to_owned(),
            id: setup.party.id.to_string(),
            device_id: setup.device_id.as_ref().map(|id| id.text().to_string()),
            version: setup.version.to_owned(),
            address: setup.address.to_string(),
            since: self.node.clock.now(),
        }
    }

    /// Tells the peer that something was not done; too many refusals end the socket.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.node.metrics.refused(refusal.code);
        self.outbound().answer(&Event::Error(refusal));
        if self.setup.refusals.as_mut().is_some_and(Refusals::note) {
            self.outbound().close(CloseCode::RateLimited);
        }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.node.metrics.session_started();
        self.welcome();
        if let Some(socket) = self.socket.take() {
            let pumping = pump::pump(Rc::clone(&self.slot), socket, Arc::clone(&self.node));
            ctx.spawn(actix::fut::ActorFutureExt::map(
                pumping.into_actor(self),
                |(), _, ctx| ctx.stop(),
            ));
        }
        let attach = Attach {
            session: self.me,
            principal: self.setup.who.principal(),
            party: self.setup.party.clone(),
            sid: match &self.setup.who {
                Who::User { sid, .. } => Some(sid.clone()),
                Who::Agent { .. } => None,
            },
            about: self.about(),
            addr: ctx.address(),
        };
        post(&self.node.registry, attach);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.outbound().peer_gone();
        self.slot.save_positions();
        self.node.positions.detach(self.setup.device, self.me.id);
        self.slots.remove(self.me.slot);
        post(
            &self.node.registry,
            Detach {
                session: self.me,
                principal: self.setup.who.principal(),
            },
        );
        self.node.metrics.sessions_live.dec();
    }
}

impl StreamHandler<Result<AggregatedMessage, ProtocolError>> for Session {
    fn handle(
        &mut self,
        message: Result<AggregatedMessage, ProtocolError>,
        ctx: &mut Self::Context,
    ) {
        self.slot.alive();
        match message {
            Ok(AggregatedMessage::Text(text)) => self.on_text(&text, ctx),
            Ok(AggregatedMessage::Binary(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.on_text(text, ctx),
                Err(_) => self.outbound().close(CloseCode::BadFrame),
            },
            Ok(AggregatedMessage::Ping(payload)) => self.outbound().pong(&payload),
            Ok(AggregatedMessage::Pong(payload)) => self.on_pong(&payload),
            Ok(AggregatedMessage::Close(reason)) => {
                // A peer that comes back at once finds what it confirmed.
                self.slot.save_positions();
                self.outbound()
                    .goodbye(reason.map(|reason| reason.code.into()));
            }
            Err(error) => self.outbound().close(close_code_of(&error)),
        }
    }

    /// The peer's side of the connection is over; what is being written may still fail, and then ends.
    fn finished(&mut self, _: &mut Self::Context) {
        if !self.outbound().is_ending() {
            self.outbound().peer_gone();
        }
    }
}

impl Session {
    /// A numbered pong confirms what was sent before its ping.
    fn on_pong(&self, payload: &[u8]) {
        let number = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse().ok());
        if let Some(number) = number
            && !self.me.wire.cursor_aware
        {
            self.outbound().confirmed(number);
            // A pong may be the last thing a peer says: what it confirmed is not left to the next tick.
            self.slot.save_positions();
        }
    }
}

impl Handler<Attached> for Session {
    type Result = ();

    fn handle(&mut self, _: Attached, ctx: &mut Self::Context) {
        self.attached = true;
        if self.outbound().phase() == Phase::Starting {
            resume::begin(self, None, ctx);
        } else if let Some(positions) = self.early_resume.take() {
            resume::begin(self, positions, ctx);
        }
    }
}

impl Handler<Located> for Session {
    type Result = ();

    fn handle(&mut self, located: Located, ctx: &mut Self::Context) {
        match located.mailbox {
            Some(mailbox) => self.route_found(&located.name, located.key, &mailbox, ctx),
            None => self.route_refused(&located.name, &Refusal::new(ErrorCode::ShuttingDown)),
        }
    }
}

impl Handler<End> for Session {
    type Result = ();

    fn handle(&mut self, End(code): End, _: &mut Self::Context) {
        self.outbound().close(code);
    }
}

//! What a frame leads to: one arm, one call.

use super::actor::Session;
use super::outbound::Phase;
use super::resume;
use super::setup::Who;
use crate::limits::{FrameClass, Take};
use crate::mailbox::post;
use crate::metrics::FrameKind;
use crate::ops;
use actix::{AsyncContext, Context, WrapFuture};
use bytestring::ByteString;
use protocol::event::Refusal;
use protocol::{CloseCode, Command, ConversationId, ErrorCode, Event};
use std::sync::Arc;

impl Session {
    /// A text frame arrived.
    pub(super) fn on_text(&mut self, text: &str, ctx: &mut Context<Self>) {
        let decoded = self.me.wire.dialect.decode(text, self.setup.party.kind);
        match decoded {
            Ok(command) => {
                self.node.metrics.frame(kind_of(&command));
                self.on_command(command, ctx);
            }
            Err(refusal) => {
                self.node.metrics.frame(FrameKind::Refused);
                if self.may_go_on(FrameClass::Send) {
                    self.refuse(refusal);
                }
            }
        }
    }

    fn on_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        match command {
            Command::Send(send) => self.on_send(send, ctx),
            Command::Typing {
                conversation,
                typing,
            } => self.on_typing(conversation, typing, ctx),
            Command::Status {
                status,
                conversation,
            } => self.on_status(status, conversation, ctx),
            Command::Heartbeat => self.on_heartbeat(),
            Command::Resume { positions } => self.on_resume(positions, ctx),
            Command::Ack {
                conversation,
                position,
            } => self.outbound().acknowledged(&conversation, position),
            Command::Auth { token } => self.on_auth(token, ctx),
        }
    }

    /// Takes a token; over the rate the sender is told when to come back.
    pub(super) fn may_go_on(&mut self, class: FrameClass) -> bool {
        match self.setup.buckets.take(class) {
            Take::Ok => true,
            Take::RetryAfter(seconds) => {
                let mut refusal = Refusal::because(
                    ErrorCode::RateLimited,
                    "rate limit exceeded: too many messages",
                );
                refusal.retry_after = Some(seconds);
                self.refuse(refusal);
                false
            }
        }
    }

    /// Ephemeral frames over the rate are dropped silently.
    fn may_whisper(&self) -> bool {
        self.setup.buckets.take(FrameClass::Ephemeral) == Take::Ok
    }

    fn on_typing(&self, conversation: ConversationId, typing: bool, ctx: &mut Context<Self>) {
        if !self.may_whisper() {
            return;
        }
        let sender = self.setup.party.clone();
        let event = Event::Typing {
            conversation: conversation.clone(),
            sender,
            typing,
        };
        self.whisper(conversation, event, ctx);
    }

    fn on_status(
        &mut self,
        status: ByteString,
        conversation: Option<ConversationId>,
        ctx: &mut Context<Self>,
    ) {
        if !self.may_whisper() {
            return;
        }
        let sender = self.setup.party.clone();
        match (conversation, &self.setup.who) {
            (Some(conversation), who) => {
                if let Who::Agent { key, .. } = who {
                    self.node.directory.set_agent_status(*key, &status);
                }
                let event = Event::Status {
                    sender,
                    status,
                    conversation: Some(conversation.clone()),
                };
                self.whisper(conversation, event, ctx);
            }
            (None, Who::Agent { key, .. }) => {
                if let Some(agent) = self.node.directory.agent(*key) {
                    post(&agent, crate::agent::Say { status });
                }
            }
            // A user's status without a conversation is for nobody.
            (None, Who::User { .. }) => {}
        }
    }

    /// Tells the other members of a conversation something that is not kept.
    fn whisper(&self, conversation: ConversationId, event: Event, ctx: &mut Context<Self>) {
        let node = Arc::clone(&self.node);
        let principal = self.setup.who.principal();
        let me = self.me.id;
        let telling = async move {
            ops::whisper::to_members(&node, principal, me, &conversation, &event).await;
        };
        ctx.spawn(telling.into_actor(self));
    }

    fn on_heartbeat(&self) {
        if self.may_whisper() {
            let heartbeat = &self.node.heartbeat;
            self.outbound().answer(&Event::HeartbeatAck {
                server_time: self.node.clock.now(),
                interval_s: heartbeat.interval.as_secs(),
                timeout_s: heartbeat.timeout.as_secs(),
                monitoring: heartbeat.enabled,
            });
        }
    }

    /// Where nothing was replayed yet it starts; later resumes of a running session change nothing.
    fn on_resume(&mut self, positions: resume::Positions, ctx: &mut Context<Self>) {
        if !self.attached {
            self.early_resume.get_or_insert(positions);
        } else if self.outbound().phase() == Phase::AwaitingResume {
            resume::begin(self, positions, ctx);
        }
    }

    /// A fresh token of the same user lets the socket live on.
    fn on_auth(&self, token: String, ctx: &mut Context<Self>) {
        let node = Arc::clone(&self.node);
        let checking = async move { node.auth.user(&token).await };
        let checked = actix::fut::ActorFutureExt::map(
            checking.into_actor(self),
            |identity, session: &mut Self, _| match (identity, &session.setup.who) {
                (Ok(identity), Who::User { key, .. }) if identity.key == *key => {
                    session.slot.expires_at.set(Some(identity.expires_at));
                    session.outbound().answer(&Event::Authenticated {
                        expires_at: identity.expires_at,
                    });
                }
                (Ok(_), _) => session.refuse(Refusal::because(
                    ErrorCode::Forbidden,
                    "the token belongs to somebody else",
                )),
                (Err(refusal), _) => {
                    session.refuse(refusal);
                    session.outbound().close(CloseCode::Unauthenticated);
                }
            },
        );
        ctx.spawn(checked);
    }
}

const fn kind_of(command: &Command) -> FrameKind {
    match command {
        Command::Send(_) => FrameKind::Send,
        Command::Typing { .. } => FrameKind::Typing,
        Command::Status { .. } => FrameKind::Status,
        Command::Heartbeat => FrameKind::Heartbeat,
        Command::Resume { .. } => FrameKind::Resume,
        Command::Ack { .. } => FrameKind::Ack,
        Command::Auth { .. } => FrameKind::Auth,
    }
}

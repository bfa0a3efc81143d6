//! Where a session's sends go: the conversation is looked up on first use and then kept. Sends
//! that arrive while it is looked up wait in order; the in-flight places bound them.

use super::actor::Session;
use crate::conversation::{Conversation, Origin, Submit};
use crate::limits::{FrameClass, Refusals};
use crate::mailbox::{Mailbox, Refused, post};
use crate::ops;
use crate::registry::{Asker, Locate};
use actix::{AsyncContext, Context, WrapFuture};
use bytestring::ByteString;
use protocol::event::Refusal;
use protocol::{EntryKind, ErrorCode, Send, Target};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use store::{ConversationKey, NewEntry};

/// A send that has a place in flight.
pub(super) struct Sending {
    send: usize,
    entry: Arc<NewEntry>,
}

/// What is known of one target.
enum Route {
    /// Being looked up; these wait.
    Looking(Vec<Sending>),
    /// Found.
    Found {
        key: ConversationKey,
        mailbox: Mailbox<Conversation>,
    },
}

/// What is known of all targets, by the text that names them.
#[derive(Default)]
pub(super) struct Routes {
    by_target: HashMap<ByteString, Route>,
}

/// Names a target in the routes; agents' names cannot clash with conversations'.
fn name_of(target: &Target) -> ByteString {
    match target {
        Target::Conversation(id) => id.text(),
        Target::Agent(id) => format!("agent {id}").into(),
    }
}

impl Session {
    /// A message arrived.
    pub(super) fn on_send(&mut self, send: Send, ctx: &mut Context<Self>) {
        if !self.may_go_on(FrameClass::Send) {
            return;
        }
        if !send.attachment_ids.is_empty() {
            self.refuse(Refusal {
                client_msg_id: send.client_msg_id,
                ..Refusal::new(ErrorCode::AttachmentNotFound)
            });
            return;
        }
        let Some(place) = self.outbound().begin_send(Instant::now()) else {
            self.refuse(Refusal::new(ErrorCode::Overloaded));
            return;
        };
        let entry = NewEntry {
            kind: EntryKind::Message,
            sender: self.setup.who.principal(),
            device: Some(self.setup.device),
            client_msg_id: send.client_msg_id,
            content: send.content,
            metadata: send.metadata,
        };
        let sending = Sending {
            send: place,
            entry: Arc::new(entry),
        };
        let name = name_of(&send.target);
        match self.routes.by_target.get_mut(&name) {
            Some(Route::Found { key, mailbox }) => {
                let (key, mailbox) = (*key, mailbox.clone());
                self.submit(name, key, &mailbox, sending, ctx);
            }
            Some(Route::Looking(waiting)) => waiting.push(sending),
            None => {
                self.routes
                    .by_target
                    .insert(name.clone(), Route::Looking(vec![sending]));
                self.look_up(name, send.target, ctx);
            }
        }
    }

    /// Offers a send to its conversation; a retired one is looked up again.
    fn submit(
        &mut self,
        name: ByteString,
        key: ConversationKey,
        mailbox: &Mailbox<Conversation>,
        sending: Sending,
        ctx: &mut Context<Self>,
    ) {
        let origin = Origin::Session {
            session: self.me,
            send: sending.send,
        };
        let entry = Arc::clone(&sending.entry);
        match mailbox.offer(|permit| Submit {
            permit,
            origin,
            entry,
        }) {
            Ok(()) => {}
            Err(Refused::Full) => {
                self.answer_refused(&sending, &name, &Refusal::new(ErrorCode::Overloaded));
            }
            Err(Refused::Gone) => {
                self.routes
                    .by_target
                    .insert(name.clone(), Route::Looking(vec![sending]));
                self.locate(name, key, ctx);
            }
        }
    }

    /// Finds the conversation of a target in the store, then its actor.
    fn look_up(&mut self, name: ByteString, target: Target, ctx: &mut Context<Self>) {
        let node = Arc::clone(&self.node);
        let principal = self.setup.who.principal();
        let looking = async move { ops::conversation::resolve(&node, principal, &target).await };
        let found = actix::fut::ActorFutureExt::map(
            looking.into_actor(self),
            move |found, session: &mut Self, ctx| match found {
                Ok(found) => session.locate(name, found.key, ctx),
                Err(refusal) => session.route_refused(&name, &refusal),
            },
        );
        ctx.spawn(found);
    }

    /// Takes the actor from the directory, or asks the registry to start it.
    fn locate(&mut self, name: ByteString, key: ConversationKey, ctx: &mut Context<Self>) {
        match self.node.directory.conversation(key) {
            Some(mailbox) if mailbox.is_open() => self.route_found(&name, key, &mailbox, ctx),
            _ => post(
                &self.node.registry,
                Locate {
                    key,
                    asker: Asker::Session {
                        addr: ctx.address(),
                        name,
                    },
                },
            ),
        }
    }

    /// The registry answered, or the directory had it.
    pub(super) fn route_found(
        &mut self,
        name: &ByteString,
        key: ConversationKey,
        mailbox: &Mailbox<Conversation>,
        ctx: &mut Context<Self>,
    ) {
        let route = Route::Found {
            key,
            mailbox: mailbox.clone(),
        };
        if let Some(Route::Looking(waiting)) = self.routes.by_target.insert(name.clone(), route) {
            for sending in waiting {
                match self.routes.by_target.get_mut(name) {
                    // It retired in between: what follows waits behind what went before.
                    Some(Route::Looking(waiting)) => waiting.push(sending),
                    _ => self.submit(name.clone(), key, mailbox, sending, ctx),
                }
            }
        }
    }

    /// The target does not exist for this sender: what waits is refused, and a later try looks again.
    pub(super) fn route_refused(&mut self, name: &ByteString, refusal: &Refusal) {
        if let Some(Route::Looking(waiting)) = self.routes.by_target.remove(name) {
            for sending in waiting {
                self.answer_refused(&sending, name, refusal);
            }
        }
    }

    fn answer_refused(&mut self, sending: &Sending, name: &ByteString, refusal: &Refusal) {
        self.node.metrics.refused(refusal.code);
        let refusal = Refusal {
            conversation: (!name.contains(' ')).then(|| name.clone()),
            client_msg_id: sending.entry.client_msg_id.clone(),
            ..refusal.clone()
        };
        self.outbound().answer_send(sending.send, Err(refusal));
        if self.setup.refusals.as_mut().is_some_and(Refusals::note) {
            self.outbound().close(protocol::CloseCode::RateLimited);
        }
    }
}

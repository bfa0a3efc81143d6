//! Telling live sessions what is not in the log: typing, status, presence, new conversations.
//! It skips the writer and is the first thing to be dropped.

use crate::mailbox::post;
use crate::node::Node;
use crate::registry::{Directory, Hubs};
use crate::session::wire::Encoded;
use crate::session::{Deliver, Delivery, SessionId, SessionRef};
use protocol::{ConversationId, Event};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Principal;

/// Tells the live sessions of some principals.
pub fn to_principals(
    directory: &Directory,
    hubs: &Hubs,
    principals: impl Iterator<Item = Principal>,
    event: &Event,
) {
    tell(directory, hubs, principals, None, event);
}

/// Tells the members of a conversation, the session that says it aside. A conversation that the
/// speaker is not a member of does not exist for it: nothing is told.
pub async fn to_members(
    node: &Node,
    speaker: Principal,
    from: SessionId,
    id: &ConversationId,
    event: &Event,
) {
    let wanted = id.clone();
    let members = node
        .store
        .read(move |conn| {
            let row =
                store::conversation::find(conn, &wanted)?.ok_or(store::StoreError::NotFound)?;
            store::conversation::members(conn, row.key)
        })
        .await;
    let Ok(members) = members else { return };
    let present = || {
        members
            .iter()
            .filter(|member| member.left_seq.is_none())
            .map(|member| member.principal)
    };
    if present().any(|member| member == speaker) {
        tell(&node.directory, &node.hubs, present(), Some(from), event);
    }
}

fn tell(
    directory: &Directory,
    hubs: &Hubs,
    principals: impl Iterator<Item = Principal>,
    but: Option<SessionId>,
    event: &Event,
) {
    let mut frames = Encoded::default();
    let mut by_worker: BTreeMap<usize, Vec<SessionRef>> = BTreeMap::new();
    for live in principals.filter_map(|principal| directory.live(principal)) {
        for session in live
            .sessions
            .iter()
            .filter(|session| Some(session.id) != but)
        {
            frames.add(&session.wire, event);
            by_worker.entry(session.worker).or_default().push(*session);
        }
    }
    let frames = Arc::new(frames);
    for (worker, targets) in by_worker {
        if let Some(hub) = hubs.get(worker) {
            let item = Delivery::Ephemeral {
                targets: targets.into(),
                frames: Arc::clone(&frames),
            };
            post(
                &hub,
                Deliver {
                    passages: Vec::new(),
                    items: vec![item],
                },
            );
        }
    }
}

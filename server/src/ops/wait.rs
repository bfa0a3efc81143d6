//! Long polls, for those who have only HTTP. A waiter registers, reads, and only then waits.

use super::conversation;
use super::message::{History, Span, history};
use crate::node::Node;
use crate::registry::{WaitOn, Waiter};
use protocol::event::Refusal;
use protocol::{ConversationId, ErrorCode, Position, limits};
use std::time::{Duration, Instant};
use store::conversation::{ListItem, ListQuery};
use store::{ConversationKey, DeviceKey, PositionUpdate, Principal};

/// Who polls, from which device, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// Who.
    pub principal: Principal,
    /// Whose position moves.
    pub device: DeviceKey,
    /// At most 60 s.
    pub wait: Duration,
}

/// Everything up to `seq` has reached the caller's device.
pub fn acknowledge(
    node: &Node,
    device: DeviceKey,
    conversation: ConversationKey,
    seq: i64,
) -> Result<(), Refusal> {
    let update = PositionUpdate {
        device,
        conversation,
        position: Position { seq, rev: 0 },
    };
    node.store
        .save_positions(vec![update])
        .map_err(|_| Refusal::new(ErrorCode::Overloaded))
}

/// Messages above `seq`, or an empty page when the wait is over.
pub async fn messages(
    node: &Node,
    poll: Poll,
    id: &ConversationId,
    seq: i64,
    rows: usize,
) -> Result<History, Refusal> {
    let key = conversation::key_of_member(node, poll.principal, id).await?;
    let waiter = register(node, poll, WaitOn::Conversation(key))?;
    let deadline = Instant::now() + poll.wait;
    loop {
        let page = history(node, poll.principal, id, Span::After(seq), rows).await?;
        if !page.entries.is_empty() || !woken_before(node, waiter.as_ref(), deadline).await {
            return Ok(page);
        }
    }
}

/// Conversations with something above the device's position, or none when the wait is over.
pub async fn conversations(
    node: &Node,
    poll: Poll,
    query: ListQuery,
) -> Result<Vec<ListItem>, Refusal> {
    let waiter = register(node, poll, WaitOn::Principal(poll.principal))?;
    let deadline = Instant::now() + poll.wait;
    loop {
        let mut items = conversation::list(node, poll.principal, query).await?;
        items.retain(|item| item.last_seq > item.position.map_or(0, |position| position.seq));
        if !items.is_empty() || !woken_before(node, waiter.as_ref(), deadline).await {
            return Ok(items);
        }
    }
}

fn register(node: &Node, poll: Poll, on: WaitOn) -> Result<Option<Waiter>, Refusal> {
    if poll.wait.is_zero() {
        return Ok(None);
    }
    let waiter = node.waiters.register(poll.principal, on, limits::WAITERS);
    waiter.map(Some).ok_or_else(|| {
        Refusal::because(
            ErrorCode::TooManyConnections,
            "too many requests of yours wait already",
        )
    })
}

/// `false` when the time is over or the server drains.
async fn woken_before(node: &Node, waiter: Option<&Waiter>, deadline: Instant) -> bool {
    let Some(waiter) = waiter else { return false };
    let left = deadline.saturating_duration_since(Instant::now());
    actix_rt::time::timeout(left, waiter.woken()).await.is_ok() && !node.waiters.is_draining()
}

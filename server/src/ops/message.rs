//! Messages: sending from outside the ring, and history.

use super::conversation::member_key;
use super::entry::Names;
use super::of_store;
use crate::conversation::{Conversation, Origin, Submit};
use crate::mailbox::{Mailbox, Refused, post};
use crate::node::Node;
use crate::registry::{Asker, Locate};
use protocol::event::{Refusal, Sent};
use protocol::{ConversationId, Entry, ErrorCode, limits};
use std::sync::Arc;
use std::time::Duration;
use store::{ConversationKey, NewEntry, Principal};
use tokio::sync::oneshot;

/// How long a caller waits for the answer to a send.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A conversation that retires while it is offered something is looked up again this often.
const TRIES: usize = 3;

/// Stores a message and delivers it; the same path as a socket's.
pub async fn send(
    node: &Node,
    conversation: ConversationKey,
    entry: NewEntry,
) -> Result<Sent, Refusal> {
    let entry = Arc::new(entry);
    for _ in 0..TRIES {
        let mailbox = locate(node, conversation).await?;
        let (caller, answer) = oneshot::channel();
        let offered = mailbox.offer(|permit| Submit {
            permit,
            origin: Origin::Call(caller),
            entry: Arc::clone(&entry),
        });
        match offered {
            Ok(()) => return within(answer).await,
            Err(Refused::Full) => return Err(Refusal::new(ErrorCode::Overloaded)),
            Err(Refused::Gone) => {}
        }
    }
    Err(Refusal::new(ErrorCode::Overloaded))
}

async fn within(answer: oneshot::Receiver<Result<Sent, Refusal>>) -> Result<Sent, Refusal> {
    match actix_rt::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(answer)) => answer,
        // The conversation died with it, or it took too long: it may have been stored.
        Ok(Err(_)) | Err(_) => Err(Refusal::new(ErrorCode::Timeout)),
    }
}

async fn locate(node: &Node, key: ConversationKey) -> Result<Mailbox<Conversation>, Refusal> {
    if let Some(mailbox) = node.directory.conversation(key)
        && mailbox.is_open()
    {
        return Ok(mailbox);
    }
    let (caller, found) = oneshot::channel();
    post(
        &node.registry,
        Locate {
            key,
            asker: Asker::Call(caller),
        },
    );
    found
        .await
        .ok()
        .flatten()
        .ok_or_else(|| Refusal::new(ErrorCode::ShuttingDown))
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The newest rows.
    Newest,
    /// The rows just below this `seq`.
    Before(i64),
    /// The rows just above this `seq`.
    After(i64),
}

/// Rows of a log, ascending.
#[derive(Debug)]
pub struct History {
    /// The rows.
    pub entries: Vec<Entry>,
    /// The first `seq` that is still there.
    pub first_seq: i64,
    /// The newest `seq`.
    pub last_seq: i64,
}

/// A page of history for a member.
pub async fn history(
    node: &Node,
    principal: Principal,
    id: &ConversationId,
    span: Span,
    rows: usize,
) -> Result<History, Refusal> {
    let id = id.clone();
    let read = node
        .store
        .read(move |conn| {
            let key = member_key(conn, principal, &id)?;
            let names = Names::load(conn, key)?;
            let rows = rows.clamp(1, limits::PAGE_ROWS);
            let page = match span {
                Span::Newest => {
                    store::message::page_below(conn, key, None, rows, limits::PAGE_BYTES)?
                }
                Span::Before(seq) => {
                    store::message::page_below(conn, key, Some(seq), rows, limits::PAGE_BYTES)?
                }
                Span::After(seq) => {
                    store::message::page_above(conn, key, seq, rows, limits::PAGE_BYTES)?
                }
            };
            let joined = names.joined(principal).unwrap_or(i64::MAX);
            let visible = page
                .rows
                .iter()
                .filter(|row| row.seq > joined && row.kind != protocol::EntryKind::Gap);
            let entries = visible.map(|row| names.entry(row)).collect();
            Ok(History {
                entries,
                first_seq: page.first_seq,
                last_seq: page.last_seq,
            })
        })
        .await;
    read.map_err(|error| of_store(error, ErrorCode::ConversationNotFound))
}

/// Turns the id of a message of this conversation into its `seq`.
pub async fn seq_of(
    node: &Node,
    conversation: ConversationKey,
    id: protocol::MessageId,
) -> Result<i64, Refusal> {
    let row = node
        .store
        .read(move |conn| store::message::find(conn, id))
        .await;
    let row = row.map_err(|error| of_store(error, ErrorCode::NotFound))?;
    row.filter(|row| row.conversation == conversation)
        .map(|row| row.seq)
        .ok_or_else(|| {
            Refusal::because(ErrorCode::NotFound, "no such message in this conversation")
        })
}

/// The `seq` at a time.
pub async fn seq_at(
    node: &Node,
    conversation: ConversationKey,
    at: protocol::Timestamp,
) -> Result<i64, Refusal> {
    let seq = node
        .store
        .read(move |conn| store::message::seq_at(conn, conversation, at))
        .await;
    seq.map_err(|error| of_store(error, ErrorCode::NotFound))
}

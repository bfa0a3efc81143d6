//! Sending over HTTP, history, and the long poll.

use super::caller::{Caller, header};
use super::conversations::conversation_id;
use super::view;
use crate::doors::extract::{Body, Params};
use crate::error::ApiError;
use crate::node::Node;
use crate::ops::message::{History, Span};
use crate::ops::{self, wait::Poll};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use protocol::messenger;
use protocol::{ClientMsgId, ConversationId, EntryKind, ErrorCode, MessageId, Timestamp, limits};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;
use store::NewEntry;

/// What sending may carry.
#[derive(Deserialize)]
pub(super) struct NewMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    metadata: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    client_msg_id: Option<String>,
    #[serde(default)]
    attachment_ids: Option<Vec<String>>,
}

/// `POST /conversations/{id}/messages`
pub(super) async fn send(
    node: Data<Node>,
    caller: Caller,
    request: HttpRequest,
    id: Path<String>,
    Body(body): Body<NewMessage>,
) -> Result<HttpResponse, ApiError> {
    let id = conversation_id(id.into_inner())?;
    if body.attachment_ids.is_some_and(|ids| !ids.is_empty()) {
        return Err(ApiError::new(ErrorCode::AttachmentNotFound));
    }
    let content = messenger::content(body.content.as_deref().unwrap_or_default())?;
    let raw = body
        .metadata
        .map(|map| serde_json::to_string(&map).and_then(RawValue::from_string));
    let raw = raw
        .transpose()
        .map_err(|error| ApiError::internal(&error))?;
    let metadata = messenger::metadata(raw.as_deref())?;
    let key = header(request.headers(), "idempotency-key")
        .map(str::to_owned)
        .or(body.client_msg_id);
    let client_msg_id = key.map(ClientMsgId::parse).transpose();
    let client_msg_id =
        client_msg_id.map_err(|error| ApiError::because(ErrorCode::InvalidRequest, error.0))?;
    let principal = caller.principal();
    let conversation = ops::conversation::key_of_member(&node, principal, &id).await?;
    let device = caller.device(&node).await?;
    let entry = NewEntry {
        kind: EntryKind::Message,
        sender: principal,
        device: Some(device),
        client_msg_id,
        content,
        metadata,
    };
    let sent = ops::message::send(&node, conversation, entry).await?;
    let mut response = HttpResponse::Created();
    if sent.replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    Ok(response.json(json!({
        "id": sent.id,
        "message_id": sent.id,
        "conversation_id": sent.conversation,
        "seq": sent.seq,
        "timestamp": sent.at,
        "created_at": sent.at,
        "status": "stored",
        "client_msg_id": sent.client_msg_id,
    })))
}

/// Which part of the history.
#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    conversation_id: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    before: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    wait: Option<u64>,
    #[serde(default)]
    ack: bool,
}

/// `GET /conversations/{id}/messages`
pub(super) async fn history(
    node: Data<Node>,
    caller: Caller,
    id: Path<String>,
    Params(query): Params<Query>,
) -> Result<HttpResponse, ApiError> {
    read(&node, &caller, &conversation_id(id.into_inner())?, &query).await
}

/// `GET /conversations/messages?conversation_id=`
pub(super) async fn history_by_query(
    node: Data<Node>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<HttpResponse, ApiError> {
    let id = query.conversation_id.clone().filter(|id| !id.is_empty());
    let id =
        id.ok_or_else(|| ApiError::because(ErrorCode::InvalidRequest, "missing conversation_id"))?;
    read(&node, &caller, &conversation_id(id)?, &query).await
}

async fn read(
    node: &Node,
    caller: &Caller,
    id: &ConversationId,
    query: &Query,
) -> Result<HttpResponse, ApiError> {
    let principal = caller.principal();
    let rows = query
        .limit
        .unwrap_or(limits::PAGE_ROWS_DEFAULT)
        .clamp(1, limits::PAGE_ROWS);
    let span = span(node, caller, id, query).await?;
    let (Span::After(seq), true) = (span, query.wait.is_some() || query.ack) else {
        let page = ops::message::history(node, principal, id, span, rows).await?;
        return Ok(page_of(&page, span));
    };
    let device = caller.device(node).await?;
    let key = ops::conversation::key_of_member(node, principal, id).await?;
    let end = ops::conversation::last_seq(node, key).await?;
    ops::wait::acknowledge(node, device, key, seq.min(end))?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0).min(limits::WAIT_SECONDS));
    let page = ops::wait::messages(
        node,
        Poll {
            principal,
            device,
            wait,
        },
        id,
        seq,
        rows,
    )
    .await?;
    Ok(page_of(&page, span))
}

async fn span(
    node: &Node,
    caller: &Caller,
    id: &ConversationId,
    query: &Query,
) -> Result<Span, ApiError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (given(&query.after), given(&query.before)) {
        (Some(_), Some(_)) => Err(ApiError::because(
            ErrorCode::InvalidRequest,
            "name either before or after, not both",
        )),
        (Some(after), None) => Ok(Span::After(place(node, caller, id, &after, "after").await?)),
        (None, Some(before)) => Ok(Span::Before(
            place(node, caller, id, &before, "before").await?,
        )),
        (None, None) if query.wait.is_some() => Err(ApiError::because(
            ErrorCode::InvalidRequest,
            "wait needs after: the last seq you have, 0 for none",
        )),
        (None, None) => Ok(Span::Newest),
    }
}

/// A place in the log: a `seq`, the id of a message, or a time.
async fn place(
    node: &Node,
    caller: &Caller,
    id: &ConversationId,
    text: &str,
    field: &'static str,
) -> Result<i64, ApiError> {
    if let Ok(seq) = text.parse::<i64>()
        && seq >= 0
    {
        return Ok(seq);
    }
    let key = ops::conversation::key_of_member(node, caller.principal(), id).await?;
    if let Ok(message) = MessageId::parse(text) {
        return Ok(ops::message::seq_of(node, key, message).await?);
    }
    match Timestamp::parse(text) {
        Some(at) => Ok(ops::message::seq_at(node, key, at).await?),
        None => Err(ApiError::because(
            ErrorCode::InvalidRequest,
            format!("{field} must be a seq, a message id or an RFC 3339 time"),
        )),
    }
}

/// An array of messages, as existing clients read it; where it stands is in headers.
fn page_of(page: &History, span: Span) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(("X-First-Seq", page.first_seq.to_string()));
    response.insert_header(("X-Last-Seq", page.last_seq.to_string()));
    if let Span::After(seq) = span
        && page.first_seq > seq + 1
    {
        response.insert_header(("X-Truncated", format!("{}-{}", seq + 1, page.first_seq - 1)));
    }
    response.json(page.entries.iter().map(view::message).collect::<Vec<_>>())
}

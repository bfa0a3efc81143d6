//! Opening, listing and getting conversations.

use super::caller::Caller;
use super::view;
use crate::doors::extract::{Body, Params};
use crate::error::ApiError;
use crate::node::Node;
use crate::ops::conversation::{Direct, Opening, open_as_agent, open_as_user};
use crate::ops::{self, wait::Poll};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use protocol::limits::WAIT_SECONDS;
use protocol::{AgentId, ConversationId, ErrorCode, PrincipalKind, UserId};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use store::{ListItem, ListQuery};

/// Items of a page of the list when the caller names no limit.
const PAGE: usize = 100;
/// Largest page of the list.
const PAGE_MOST: usize = 500;

/// What opening a conversation may carry.
#[derive(Deserialize)]
pub(super) struct Open {
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    new: bool,
}

/// `POST /conversations`, `POST /conversations/create`
pub(super) async fn open(
    node: Data<Node>,
    caller: Caller,
    Body(body): Body<Open>,
) -> Result<HttpResponse, ApiError> {
    if body
        .title
        .as_ref()
        .is_some_and(|title| title.len() > 512 || title.contains('\0'))
    {
        return Err(ApiError::because(
            ErrorCode::InvalidRequest,
            "title must be at most 512 bytes without NUL",
        ));
    }
    let opening = Opening {
        title: body.title,
        new: body.new,
    };
    let missing =
        |field: &str| ApiError::because(ErrorCode::InvalidRequest, format!("missing {field}"));
    let direct = match caller {
        Caller::User(user) => {
            let agent = body
                .agent_id
                .filter(|id| !id.is_empty())
                .ok_or_else(|| missing("agent_id"))?;
            let agent =
                AgentId::parse(agent).map_err(|_| ApiError::new(ErrorCode::AgentNotFound))?;
            open_as_user(&node, user.key, &agent, opening).await?
        }
        Caller::Agent(agent) => {
            let user = body
                .user_id
                .filter(|id| !id.is_empty())
                .ok_or_else(|| missing("user_id"))?;
            let user = UserId::parse(user).map_err(|_| ApiError::new(ErrorCode::UserNotFound))?;
            open_as_agent(&node, agent.key, &user, opening).await?
        }
    };
    Ok(HttpResponse::Ok().json(opened(&direct)))
}

fn opened(direct: &Direct) -> serde_json::Value {
    json!({
        "id": direct.row.id,
        "conversation_id": direct.row.id,
        "user_id": direct.user,
        "agent_id": direct.agent,
        "title": direct.row.title,
        "created_at": direct.row.created_at,
        "updated_at": direct.row.last_at,
        "created": direct.created,
    })
}

/// What listing may carry.
#[derive(Deserialize)]
pub(super) struct List {
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    wait: Option<u64>,
}

/// `GET /conversations`, `GET /conversations/list`; with `wait`, only those with something new.
pub(super) async fn list(
    node: Data<Node>,
    caller: Caller,
    Params(query): Params<List>,
) -> Result<HttpResponse, ApiError> {
    let device = caller.device(&node).await?;
    let principal = caller.principal();
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MOST);
    let list = ListQuery {
        limit,
        after: None,
        device: Some(device),
    };
    let items = match query.wait {
        None => ops::conversation::list(&node, principal, list).await?,
        Some(seconds) => {
            let wait = Duration::from_secs(seconds.min(WAIT_SECONDS));
            ops::wait::conversations(
                &node,
                Poll {
                    principal,
                    device,
                    wait,
                },
                list,
            )
            .await?
        }
    };
    Ok(HttpResponse::Ok().json(views(&caller, &items)))
}

fn views(caller: &Caller, items: &[ListItem]) -> Vec<serde_json::Value> {
    let me = match caller {
        Caller::User(user) => (user.id.as_str(), PrincipalKind::User),
        Caller::Agent(agent) => (agent.id.as_str(), PrincipalKind::Agent),
    };
    items.iter().map(|item| view::item(item, me)).collect()
}

/// `GET /conversations/{id}`
pub(super) async fn get(
    node: Data<Node>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = conversation_id(id.into_inner())?;
    let (row, names, last_seq) = ops::conversation::get(&node, caller.principal(), &id).await?;
    let (user, agent) = names.direct();
    Ok(HttpResponse::Ok().json(json!({
        "id": row.id,
        "conversation_id": row.id,
        "user_id": user,
        "agent_id": agent,
        "title": row.title,
        "created_at": row.created_at,
        "updated_at": row.last_at,
        "first_seq": row.first_seq,
        "last_seq": last_seq,
    })))
}

/// An id that is not well-formed names nothing that exists.
pub(super) fn conversation_id(text: String) -> Result<ConversationId, ApiError> {
    ConversationId::parse(text).map_err(|_| ApiError::new(ErrorCode::ConversationNotFound))
}

//! Accounts, invites and agents over `/api/admin/*`.

use super::caller::By;
use crate::doors::extract::{Body, Params};
use crate::doors::messenger::agents::fields;
use crate::error::{ApiError, ApiResult};
use crate::node::Node;
use crate::ops;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use protocol::admin::{NewAgent, NewInvite, NewUser, SetBan, SetPassword, SetRole};
use protocol::{AgentId, ErrorCode, UserId};
use serde::Deserialize;
use serde_json::json;

/// Longest reason of a ban, bytes.
const REASON_BYTES: usize = 512;

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: Option<String>,
}

fn user_id(text: String) -> ApiResult<UserId> {
    UserId::parse(text).map_err(|_| ApiError::new(ErrorCode::UserNotFound))
}

fn agent_id(text: String) -> ApiResult<AgentId> {
    AgentId::parse(text).map_err(|_| ApiError::new(ErrorCode::AgentNotFound))
}

fn reason(ban: &SetBan) -> ApiResult<String> {
    let text = ban.reason.clone().unwrap_or_default();
    if text.len() > REASON_BYTES {
        let sentence = format!("reason must be at most {REASON_BYTES} bytes");
        return Err(ApiError::because(ErrorCode::InvalidRequest, sentence));
    }
    Ok(text)
}

/// `GET /api/admin/users?after=`
pub(super) async fn users(
    node: Data<Node>,
    _by: By,
    Params(page): Params<After>,
) -> ApiResult<HttpResponse> {
    let after = page.after.map(user_id).transpose()?;
    let users = ops::user::list(&node, after).await?;
    let next = users
        .last()
        .filter(|_| users.len() == ops::user::PAGE)
        .map(|user| user.user_id.clone());
    Ok(HttpResponse::Ok().json(json!({ "users": users, "next": next })))
}

/// `POST /api/admin/users`
pub(super) async fn create_user(
    node: Data<Node>,
    By(by): By,
    Body(new): Body<NewUser>,
) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Created().json(ops::user::create(&node, &by, new).await?))
}

/// `POST /api/admin/users/{user}/role`
pub(super) async fn set_role(
    node: Data<Node>,
    By(by): By,
    user: Path<String>,
    Body(set): Body<SetRole>,
) -> ApiResult<HttpResponse> {
    let user = user_id(user.into_inner())?;
    Ok(HttpResponse::Ok().json(ops::user::set_role(&node, &by, user, set.role).await?))
}

/// `POST /api/admin/users/{user}/password`
pub(super) async fn set_password(
    node: Data<Node>,
    By(by): By,
    user: Path<String>,
    Body(set): Body<SetPassword>,
) -> ApiResult<HttpResponse> {
    let user = user_id(user.into_inner())?;
    ops::user::set_password(&node, &by, user, set.password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/admin/users/{user}/ban`
pub(super) async fn ban_user(
    node: Data<Node>,
    By(by): By,
    user: Path<String>,
    Body(ban): Body<SetBan>,
) -> ApiResult<HttpResponse> {
    let (user, why) = (user_id(user.into_inner())?, reason(&ban)?);
    ops::user::set_ban(&node, &by, user, ban.banned, why).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/admin/invites`
pub(super) async fn invites(node: Data<Node>, _by: By) -> ApiResult<HttpResponse> {
    let invites = ops::invite::list(&node).await?;
    Ok(HttpResponse::Ok().json(json!({ "invites": invites })))
}

/// `POST /api/admin/invites`
pub(super) async fn create_invite(
    node: Data<Node>,
    By(by): By,
    Body(new): Body<NewInvite>,
) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Created().json(ops::invite::create(&node, &by, new).await?))
}

/// `DELETE /api/admin/invites/{invite}`
pub(super) async fn revoke_invite(
    node: Data<Node>,
    _by: By,
    invite: Path<String>,
) -> ApiResult<HttpResponse> {
    ops::invite::revoke(&node, &invite).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/admin/agents`
pub(super) async fn agents(node: Data<Node>, _by: By) -> ApiResult<HttpResponse> {
    let agents = ops::agent::list(&node).await?;
    Ok(HttpResponse::Ok().json(json!({ "agents": agents })))
}

/// `POST /api/admin/agents`
pub(super) async fn create_agent(
    node: Data<Node>,
    _by: By,
    Body(new): Body<NewAgent>,
) -> ApiResult<HttpResponse> {
    let id = AgentId::parse(new.agent_id)
        .map_err(|error| ApiError::because(ErrorCode::InvalidRequest, error.0))?;
    let fields = fields(new.name, new.model, new.personality, new.specialty)?;
    Ok(HttpResponse::Created().json(ops::agent::create(&node, id, fields).await?))
}

/// `POST /api/admin/agents/{agent}/token`
pub(super) async fn reset_token(
    node: Data<Node>,
    _by: By,
    agent: Path<String>,
) -> ApiResult<HttpResponse> {
    let agent = agent_id(agent.into_inner())?;
    Ok(HttpResponse::Ok().json(ops::agent::reset_token(&node, agent).await?))
}

/// `POST /api/admin/agents/{agent}/ban`
pub(super) async fn ban_agent(
    node: Data<Node>,
    _by: By,
    agent: Path<String>,
    Body(ban): Body<SetBan>,
) -> ApiResult<HttpResponse> {
    let (agent, why) = (agent_id(agent.into_inner())?, reason(&ban)?);
    ops::agent::set_ban(&node, agent, ban.banned, why).await?;
    Ok(HttpResponse::NoContent().finish())
}

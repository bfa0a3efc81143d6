//! Who calls: a user by token, or an agent by `X-Agent-ID` with the secret or its own token.

use crate::auth::{AgentCredentials, AgentIdentity, AgentProof, UserIdentity};
use crate::error::ApiError;
use crate::limits::ClientAddress;
use crate::node::Node;
use crate::ops;
use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use protocol::{AgentId, ErrorCode};
use store::{DeviceKey, Principal};

/// An identified caller.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// A person.
    User(UserIdentity),
    /// An agent.
    Agent(AgentIdentity),
}

impl Caller {
    /// The principal.
    pub(super) const fn principal(&self) -> Principal {
        match self {
            Self::User(user) => Principal::user(user.key),
            Self::Agent(agent) => Principal::agent(agent.key),
        }
    }

    /// The device whose position its calls move.
    pub(super) async fn device(&self, node: &Node) -> Result<DeviceKey, ApiError> {
        let name = match self {
            Self::User(user) => login_device(&user.sid),
            Self::Agent(_) => ops::device::OF_AGENT.to_owned(),
        };
        Ok(ops::device::known(node, self.principal(), &name).await?)
    }
}

/// The name of the device of a login that names none.
pub(super) fn login_device(sid: &str) -> String {
    format!("login:{sid}")
}

/// A header as text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty())
}

/// The token of `Authorization`, with or without `Bearer `.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = header(headers, "authorization")?;
    match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => value.get(7..).map(str::trim),
        _ => Some(value),
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let node = request.app_data::<Data<Node>>().cloned();
        let headers = request.headers().clone();
        let address = ClientAddress::from_request(request, payload);
        Box::pin(async move {
            let node = node.ok_or_else(|| ApiError::new(ErrorCode::Internal))?;
            identify(&node, &headers, address.await?).await
        })
    }
}

async fn identify(
    node: &Node,
    headers: &HeaderMap,
    address: ClientAddress,
) -> Result<Caller, ApiError> {
    let Some(agent) = header(headers, "x-agent-id") else {
        let token = bearer(headers).ok_or_else(|| ApiError::new(ErrorCode::Unauthorized))?;
        return Ok(Caller::User(node.auth.user(token).await?));
    };
    let id = AgentId::parse(agent.to_owned())
        .map_err(|error| ApiError::because(ErrorCode::InvalidRequest, error.0))?;
    let proof = match (header(headers, "x-agent-secret"), bearer(headers)) {
        (Some(secret), _) => AgentProof::Secret(secret.to_owned()),
        (None, Some(token)) => AgentProof::Token(token.to_owned()),
        (None, None) => return Err(ApiError::new(ErrorCode::Unauthorized)),
    };
    let identity = node
        .auth
        .agent(AgentCredentials { id, proof }, None, address.ip)
        .await?;
    Ok(Caller::Agent(identity))
}

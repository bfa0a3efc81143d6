//! Registering agents, and listing them.

use super::caller::{Caller, header};
use crate::doors::extract::Body;
use crate::error::ApiError;
use crate::limits::ClientAddress;
use crate::node::Node;
use crate::ops::of_store;
use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use protocol::limits::AGENT_FIELD_BYTES;
use protocol::{AgentId, ErrorCode};
use serde::Deserialize;
use serde_json::json;
use store::AgentFields;

/// What `/auth/agent` may carry.
#[derive(Deserialize)]
pub(super) struct Registration {
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    agent_secret: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    personality: Option<String>,
    #[serde(default)]
    specialty: Option<String>,
}

/// Checks what an agent says of itself.
pub(crate) fn fields(
    name: Option<String>,
    model: Option<String>,
    personality: Option<String>,
    specialty: Option<String>,
) -> Result<AgentFields, ApiError> {
    for (field, text) in [
        ("name", &name),
        ("model", &model),
        ("personality", &personality),
        ("specialty", &specialty),
    ] {
        if text
            .as_ref()
            .is_some_and(|text| text.len() > AGENT_FIELD_BYTES || text.contains('\0'))
        {
            let sentence = format!("{field} must be at most {AGENT_FIELD_BYTES} bytes without NUL");
            return Err(ApiError::because(ErrorCode::InvalidRequest, sentence));
        }
    }
    Ok(AgentFields {
        name,
        model,
        personality,
        specialty,
    })
}

/// `POST /auth/agent`
pub(super) async fn register(
    node: Data<Node>,
    address: ClientAddress,
    request: HttpRequest,
    Body(body): Body<Registration>,
) -> Result<HttpResponse, ApiError> {
    let secret = header(request.headers(), "x-agent-secret")
        .map(str::to_owned)
        .or(body.agent_secret);
    let id = body.agent_id.filter(|id| !id.is_empty());
    let secret = secret.unwrap_or_default();
    let id = match id {
        Some(id) => AgentId::parse(id)
            .map_err(|error| ApiError::because(ErrorCode::InvalidRequest, error.0))?,
        None => {
            return Err(ApiError::because(
                ErrorCode::InvalidRequest,
                "missing agent_id",
            ));
        }
    };
    let fields = fields(body.name, body.model, body.personality, body.specialty)?;
    let (row, token) = node
        .auth
        .register_agent(id, &secret, fields, address.ip)
        .await?;
    let mut answer = json!({
        "agent_id": row.id,
        "id": row.id,
        "status": "registered",
        "name": row.name,
        "model": row.model,
        "personality": row.personality,
        "specialty": row.specialty,
    });
    if let (Some(token), Some(map)) = (token, answer.as_object_mut()) {
        map.insert("agent_token".to_owned(), json!(token));
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /agents`
pub(super) async fn list(node: Data<Node>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if !node.config.agents.public {
        Caller::from_request(&request, &mut Payload::None).await?;
    }
    let rows = node.store.read(store::agent::list).await;
    let rows = rows.map_err(|error| of_store(error, ErrorCode::AgentNotFound))?;
    let agents: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "id": row.id,
                "agent_id": row.id,
                "name": row.name,
                "model": row.model,
                "personality": row.personality,
                "specialty": row.specialty,
                "status": node.directory.agent_status(row.key),
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(agents))
}

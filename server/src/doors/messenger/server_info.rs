//! What this server is, for clients that decide what to show.

use super::caller::header;
use crate::auth::{Caller, Verdict, may_register};
use crate::error::ApiError;
use crate::limits::ClientAddress;
use crate::node::Node;
use crate::ops::of_store;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use protocol::{ErrorCode, limits};
use serde_json::json;

/// `GET /api/server`
pub(super) async fn get(
    node: Data<Node>,
    address: ClientAddress,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let owner = node.store.read(store::user::any_owner).await;
    let has_owner = owner.map_err(|error| of_store(error, ErrorCode::NotFound))?;
    let caller = Caller {
        address,
        host: header(request.headers(), "host").map(str::to_owned),
        origin: header(request.headers(), "origin").map(str::to_owned),
    };
    let registration = match may_register(node.config.auth.registration(), &caller) {
        Verdict::Welcome => "open",
        Verdict::NeedsInvite => "invite",
    };
    Ok(HttpResponse::Ok().json(json!({
        "name": "agent-messenger",
        "version": env!("CARGO_PKG_VERSION"),
        "needs_setup": !has_owner,
        "registration": registration,
        "protocol_versions": ["v1", "v2"],
        "public_url": node.config.auth.public_url,
        "vapid_public_key": null,
        "limits": {
            "frame_bytes": node.config.limits.max_ws_message_size,
            "content_bytes": limits::BODY_BYTES,
            "metadata_bytes": limits::METADATA_BYTES,
            "page_rows": limits::PAGE_ROWS,
            "wait_seconds": limits::WAIT_SECONDS,
            "client_msg_id_bytes": limits::CLIENT_MSG_ID_BYTES,
        },
    })))
}

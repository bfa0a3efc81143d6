//! Making an account, signing in and out.

use super::caller::{Caller, header};
use crate::auth::{LoggedIn, NewAccount};
use crate::doors::extract::Body;
use crate::error::ApiError;
use crate::limits::ClientAddress;
use crate::node::Node;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use protocol::ErrorCode;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

/// What a registration or sign-in may carry.
#[derive(Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    invite: Option<String>,
    #[serde(default)]
    setup_token: Option<String>,
}

/// `POST /auth/register`, `POST /auth/user`
pub(super) async fn register(
    node: Data<Node>,
    address: ClientAddress,
    request: HttpRequest,
    Body(body): Body<Account>,
) -> Result<HttpResponse, ApiError> {
    let caller = crate::auth::Caller {
        address,
        host: header(request.headers(), "host").map(str::to_owned),
        origin: header(request.headers(), "origin").map(str::to_owned),
    };
    let account = NewAccount {
        username: body.username.unwrap_or_default(),
        password: Zeroizing::new(body.password.unwrap_or_default()),
        invite: body.invite,
        setup_token: body.setup_token,
    };
    let logged_in = node.auth.register(account, &caller).await?;
    Ok(answer(&logged_in, "registered"))
}

/// `POST /auth/login`
pub(super) async fn log_in(
    node: Data<Node>,
    address: ClientAddress,
    Body(body): Body<Account>,
) -> Result<HttpResponse, ApiError> {
    let username = body.username.unwrap_or_default();
    let password = Zeroizing::new(body.password.unwrap_or_default());
    let logged_in = node.auth.log_in(&username, password, address.ip).await?;
    Ok(answer(&logged_in, "logged_in"))
}

/// `POST /auth/logout`: ends the login, its token and its sockets.
pub(super) async fn log_out(node: Data<Node>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let Caller::User(user) = caller else {
        return Err(ApiError::new(ErrorCode::Unauthorized));
    };
    node.auth.log_out(&user.sid).await?;
    Ok(HttpResponse::Ok().json(json!({ "status": "logged_out" })))
}

fn answer(logged_in: &LoggedIn, status: &str) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "token": logged_in.token,
        "user_id": logged_in.user_id,
        "username": logged_in.username,
        "expires_at": logged_in.expires_at,
        "status": status,
    }))
}

//! The messenger door: the routes that the project documents and those that existing clients
//! call, one implementation each, and the two socket endpoints. One DTO for JSON and forms.

mod accounts;
pub(super) mod agents;
pub(super) mod caller;
mod codec;
mod conversations;
mod messages;
mod server_info;
mod socket;
mod view;

pub use codec::MESSENGER;
pub use socket::Worker;

use crate::error::ApiError;
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError};
use protocol::ErrorCode;

/// A resource that answers other methods than its own with 405.
pub(super) fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(wrong_method))
}

async fn wrong_method(request: HttpRequest) -> HttpResponse {
    let known = ["GET", "POST", "DELETE"]
        .into_iter()
        .filter(|method| request.method() != method);
    let error = ApiError::new(ErrorCode::MethodNotAllowed);
    if request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().finish();
    }
    error
        .allow(known.collect::<Vec<_>>().join(", "))
        .error_response()
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/auth/register").route(web::post().to(accounts::register)))
        .service(resource("/auth/user").route(web::post().to(accounts::register)))
        .service(resource("/auth/login").route(web::post().to(accounts::log_in)))
        .service(resource("/auth/logout").route(web::post().to(accounts::log_out)))
        .service(resource("/auth/agent").route(web::post().to(agents::register)))
        .service(resource("/agents").route(web::get().to(agents::list)))
        .service(resource("/conversations/create").route(web::post().to(conversations::open)))
        .service(resource("/conversations/list").route(web::get().to(conversations::list)))
        .service(
            resource("/conversations/messages").route(web::get().to(messages::history_by_query)),
        )
        .service(
            resource("/conversations")
                .route(web::get().to(conversations::list))
                .route(web::post().to(conversations::open)),
        )
        .service(resource("/conversations/{id}").route(web::get().to(conversations::get)))
        .service(
            resource("/conversations/{id}/messages")
                .route(web::get().to(messages::history))
                .route(web::post().to(messages::send)),
        )
        .service(resource("/api/server").route(web::get().to(server_info::get)))
        .service(resource("/client/connect").route(web::get().to(socket::client)))
        .service(resource("/agent/connect").route(web::get().to(socket::agent)));
}

//! Administration. `/api/admin/*` is served on the admin listener and on the public port, for the
//! admin secret and for users with role owner or admin. The admin listener (loopback unless
//! `ADMIN_LISTEN` says otherwise) has profiles, `/metrics` and a `/health` with the depth of every
//! queue besides; the latter two ask for no credentials: who can reach it may read them.

mod caller;
mod people;
mod profile;
mod state;
mod telemetry;

pub use telemetry::metrics;

use crate::doors::messenger::resource;
use actix_web::web::{self, ServiceConfig};

/// `/api/admin/*`, for both listeners.
pub fn api(config: &mut ServiceConfig) {
    config
        .service(resource("/api/admin/health").route(web::get().to(state::health)))
        .service(resource("/api/admin/queues").route(web::get().to(state::queue_list)))
        .service(resource("/api/admin/metrics/history").route(web::get().to(state::history)))
        .service(resource("/api/admin/sessions").route(web::get().to(state::sessions)))
        .service(resource("/api/admin/sessions/kick").route(web::post().to(state::kick)))
        .service(
            resource("/api/admin/users")
                .route(web::get().to(people::users))
                .route(web::post().to(people::create_user)),
        )
        .service(resource("/api/admin/users/{user}/role").route(web::post().to(people::set_role)))
        .service(
            resource("/api/admin/users/{user}/password")
                .route(web::post().to(people::set_password)),
        )
        .service(resource("/api/admin/users/{user}/ban").route(web::post().to(people::ban_user)))
        .service(
            resource("/api/admin/invites")
                .route(web::get().to(people::invites))
                .route(web::post().to(people::create_invite)),
        )
        .service(
            resource("/api/admin/invites/{invite}").route(web::delete().to(people::revoke_invite)),
        )
        .service(
            resource("/api/admin/agents")
                .route(web::get().to(people::agents))
                .route(web::post().to(people::create_agent)),
        )
        .service(
            resource("/api/admin/agents/{agent}/token").route(web::post().to(people::reset_token)),
        )
        .service(
            resource("/api/admin/agents/{agent}/ban").route(web::post().to(people::ban_agent)),
        );
}

/// What the admin listener has besides.
pub fn routes(config: &mut ServiceConfig) {
    telemetry::routes(config);
    config
        .service(resource("/api/admin/profile/cpu").route(web::get().to(profile::cpu)))
        .service(resource("/api/admin/profile/memory").route(web::get().to(profile::memory)));
}

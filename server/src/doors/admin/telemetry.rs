//! Metrics and detailed health, for monitors of the operator.

use crate::doors::health::{Health, Probes, get_or_head};
use crate::error::{ApiError, ApiResult};
use crate::metrics::Metrics;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

/// What Prometheus calls its text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Adds `/metrics` and the detailed `/health`. Wants `web::Data<Probes>`.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/metrics").route(get_or_head().to(metrics)))
        .service(web::resource("/health").route(get_or_head().to(health)));
}

/// `GET /metrics`; on the public port only where a setting says so.
pub async fn metrics(probes: web::Data<Probes>) -> ApiResult<HttpResponse> {
    let text = probes
        .metrics
        .render()
        .map_err(|error| ApiError::internal(&error))?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}

async fn health(probes: web::Data<Probes>) -> HttpResponse {
    let (status, detail) = Detail::read(&probes).await;
    HttpResponse::build(status).json(detail)
}

/// The public fields, and what only the operator sees.
#[derive(Serialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    health: Health,
    queues: Queues,
    panics: u64,
}

impl Detail {
    pub(super) async fn read(probes: &Probes) -> (StatusCode, Self) {
        probes.metrics.refresh();
        let (status, health) = probes.health().await;
        let detail = Self {
            health,
            queues: Queues::of(&probes.metrics),
            panics: probes.metrics.panics.get(),
        };
        (status, detail)
    }
}

/// The depth of every queue of the design, now.
#[derive(Serialize)]
struct Queues {
    writer_entries: i64,
    conversation_permits: i64,
    batch_permits: i64,
    delivery_entries: i64,
    delivery_bytes: i64,
    ack_entries: i64,
    in_flight_sends: i64,
    store_reads: i64,
    password_checks: i64,
    sessions_catching_up: i64,
    long_poll_waiters: i64,
    wal_bytes: i64,
}

impl Queues {
    fn of(metrics: &Metrics) -> Self {
        Self {
            writer_entries: metrics.writer_queue.get(),
            conversation_permits: metrics.conversation_permits.get(),
            batch_permits: metrics.batch_permits.get(),
            delivery_entries: metrics.delivery_lane.get(),
            delivery_bytes: metrics.delivery_lane_bytes.get(),
            ack_entries: metrics.ack_lane.get(),
            in_flight_sends: metrics.in_flight_sends.get(),
            store_reads: metrics.read_queue.get(),
            password_checks: metrics.hash_queue.get(),
            sessions_catching_up: metrics.catching_up.get(),
            long_poll_waiters: metrics.waiters.get(),
            wal_bytes: metrics.wal_bytes.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::health::tests::{WELL, probes};
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body, read_body_json};

    #[actix_web::test]
    async fn the_admin_listener_serves_metrics_and_the_depth_of_every_queue() {
        let probes = probes(Some(WELL));
        probes
            .metrics
            .before_render(|metrics| metrics.wal_bytes.set(4096));
        let app = init_service(
            App::new()
                .app_data(web::Data::new(probes))
                .configure(routes),
        )
        .await;

        let response = call_service(&app, TestRequest::get().uri("/metrics").to_request()).await;
        assert_eq!(response.headers().get("content-type").unwrap(), TEXT_FORMAT);
        let text = String::from_utf8(read_body(response).await.to_vec()).unwrap();
        assert!(text.contains("agent_messenger_wal_bytes 4096"));

        let response = call_service(&app, TestRequest::get().uri("/health").to_request()).await;
        let body: serde_json::Value = read_body_json(response).await;
        assert_eq!(body["queues"]["wal_bytes"], 4096);
        assert_eq!(body["status"], "ok");
    }
}

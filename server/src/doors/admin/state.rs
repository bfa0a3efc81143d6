//! What the server is doing, over `/api/admin/*`: health in detail, queues, live sockets, the
//! last hour.

use super::caller::By;
use super::telemetry::Detail;
use crate::doors::extract::Body;
use crate::doors::health::Probes;
use crate::error::ApiResult;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::ops;
use actix_web::HttpResponse;
use actix_web::web::Data;
use protocol::admin::{Kick, Kicked};
use protocol::limits;
use serde::Serialize;
use serde_json::json;

/// The detailed health, and which log is kept.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    detail: Detail,
    /// The file, or the address without its password: by it a tool knows that this is the server
    /// of its database.
    log: String,
}

/// `GET /api/admin/health`
pub(super) async fn health(node: Data<Node>, probes: Data<Probes>, _by: By) -> HttpResponse {
    let (status, detail) = Detail::read(&probes).await;
    let log = node.log_name();
    HttpResponse::build(status).json(Whole { detail, log })
}

/// One queue of the design.
#[derive(Serialize)]
struct Queue {
    name: &'static str,
    /// What waits now, in all places of this kind.
    depth: i64,
    /// How much each place takes; absent where something else bounds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_each: Option<usize>,
    /// What happens when it is full.
    full: &'static str,
}

fn queues(metrics: &Metrics) -> Vec<Queue> {
    let queue = |name, depth: &prometheus::IntGauge, limit_each, full| Queue {
        name,
        depth: depth.get(),
        limit_each,
        full,
    };
    vec![
        queue(
            "sends in flight",
            &metrics.in_flight_sends,
            Some(limits::IN_FLIGHT_SENDS),
            "the socket is not read",
        ),
        queue(
            "submits of conversations",
            &metrics.conversation_permits,
            Some(limits::CONVERSATION_PERMITS),
            "refused: overloaded",
        ),
        queue(
            "answers of sockets",
            &metrics.ack_lane,
            Some(limits::IN_FLIGHT_SENDS + limits::PENDING_ANSWERS),
            "cannot be full",
        ),
        queue(
            "writer",
            &metrics.writer_queue,
            Some(limits::WRITER_QUEUE),
            "refused: overloaded",
        ),
        queue(
            "committed batches",
            &metrics.batch_permits,
            Some(limits::BATCH_PERMITS),
            "the writer waits",
        ),
        queue(
            "deliveries of sockets",
            &metrics.delivery_lane,
            Some(limits::DELIVERY_ENTRIES),
            "the socket catches up from the log",
        ),
        queue(
            "reads of the log",
            &metrics.read_queue,
            None,
            "refused: overloaded",
        ),
        queue(
            "password checks",
            &metrics.hash_queue,
            None,
            "refused: overloaded",
        ),
        queue("long polls", &metrics.waiters, None, "refused"),
    ]
}

/// `GET /api/admin/queues`
pub(super) async fn queue_list(node: Data<Node>, _by: By) -> HttpResponse {
    node.metrics.refresh();
    HttpResponse::Ok().json(json!({ "queues": queues(&node.metrics) }))
}

/// `GET /api/admin/metrics/history`
pub(super) async fn history(node: Data<Node>, _by: By) -> HttpResponse {
    let (samples, running) = node.history.read(&node.metrics, node.clock.now());
    HttpResponse::Ok().json(json!({ "minutes": samples, "running": running }))
}

/// `GET /api/admin/sessions`
pub(super) async fn sessions(node: Data<Node>, _by: By) -> ApiResult<HttpResponse> {
    let sessions = ops::session::list(&node).await?;
    Ok(HttpResponse::Ok().json(json!({ "sessions": sessions })))
}

/// `POST /api/admin/sessions/kick`
pub(super) async fn kick(
    node: Data<Node>,
    _by: By,
    Body(kick): Body<Kick>,
) -> ApiResult<HttpResponse> {
    let kicked = ops::session::kick(&node, kick).await?;
    Ok(HttpResponse::Ok().json(Kicked { kicked }))
}

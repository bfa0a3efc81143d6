//! The probes of the public port: `/health` with the fields that existing clients and monitors
//! read, `/healthz` (the process answers) and `/readyz` (send traffic here). All answer GET and
//! HEAD, to anybody, and name no user and no error text. What they say comes from a
//! [`HealthSource`] that the application fills in.

use crate::metrics::{Memory, Metrics};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, guard, web};
use futures_util::future::BoxFuture;
use protocol::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that a probe waits for the application's word, before it counts as failing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What only the application knows. Handed in as `web::Data<Probes>`.
pub trait HealthSource: Send + Sync + 'static {
    /// How things stand now. May read from the database; is given two seconds.
    fn facts(&self) -> BoxFuture<'_, Facts>;
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The database.
    pub database: Database,
    /// The watch over agents.
    pub heartbeat: Heartbeat,
    /// Whether traces are exported.
    pub tracing_enabled: bool,
    /// When the process started.
    pub started_at: Timestamp,
    /// The sockets are bound and served.
    pub listening: bool,
    /// The process is on its way out.
    pub draining: bool,
}

/// How the database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// It reads and writes.
    Ok,
    /// It does not; the word says how and is shown (`unavailable`, `overloaded`, `closed`).
    Failing(&'static str),
    /// It is not open yet.
    NotInitialized,
}

/// How agents are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// Missed heartbeats end the socket.
    pub enabled: bool,
    /// Seconds between heartbeats that are expected.
    pub interval_s: u64,
    /// Seconds without one after which an agent counts as gone.
    pub timeout_s: u64,
}

/// What the probes need.
#[derive(Clone)]
pub struct Probes {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The application's word.
    pub source: Arc<dyn HealthSource>,
}

/// The body of `/health`.
#[derive(Debug, Serialize)]
pub struct Health {
    agent_heartbeat: HeartbeatBody,
    agents_connected: i64,
    client_conns_total: i64,
    clients_connected: i64,
    connections_total: u64,
    db: String,
    errors_total: u64,
    goroutines: u64,
    memory_alloc_mb: f64,
    memory_sys_mb: f64,
    messages_in: u64,
    messages_out: u64,
    offline_queue_depth: i64,
    rate_limited: u64,
    start_time: Option<Timestamp>,
    status: &'static str,
    tracing_enabled: bool,
    uptime_seconds: u64,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct HeartbeatBody {
    enabled: bool,
    interval_s: u64,
    stale_agents: i64,
    timeout_s: u64,
}

impl Facts {
    fn is_ready(&self) -> bool {
        self.database == Database::Ok && self.listening && !self.draining
    }
}

impl Database {
    fn word(self) -> String {
        match self {
            Self::Ok => "ok".to_owned(),
            Self::Failing(how) => format!("error: {how}"),
            Self::NotInitialized => "not initialized".to_owned(),
        }
    }
}

impl Probes {
    /// `None`: the application did not answer in time.
    async fn facts(&self) -> Option<Facts> {
        tokio::time::timeout(PATIENCE, self.source.facts())
            .await
            .ok()
    }

    /// The body of `/health`, and its status: 503 while the database fails.
    pub async fn health(&self) -> (StatusCode, Health) {
        let facts = self.facts().await;
        let database = facts.map_or(Database::Failing("no answer in time"), |facts| {
            facts.database
        });
        let heartbeat = facts.map(|facts| facts.heartbeat).unwrap_or_default();
        let (status, word) = match database {
            Database::Ok => (StatusCode::OK, "ok"),
            Database::Failing(_) | Database::NotInitialized => {
                (StatusCode::SERVICE_UNAVAILABLE, "degraded")
            }
        };
        let (metrics, memory) = (&self.metrics, Memory::read());
        let health = Health {
            agent_heartbeat: HeartbeatBody {
                enabled: heartbeat.enabled,
                interval_s: heartbeat.interval_s,
                stale_agents: metrics.stale_agents.get(),
                timeout_s: heartbeat.timeout_s,
            },
            agents_connected: metrics.agents_connected.get(),
            client_conns_total: metrics.client_conns.get(),
            clients_connected: metrics.clients_connected.get(),
            connections_total: metrics.connections.get(),
            db: database.word(),
            errors_total: metrics.errors.get(),
            goroutines: memory.threads,
            memory_alloc_mb: megabytes(memory.resident_bytes),
            memory_sys_mb: megabytes(memory.peak_bytes),
            messages_in: metrics.messages_in.get(),
            messages_out: metrics.messages_out.get(),
            offline_queue_depth: metrics.offline_queue_depth.get(),
            rate_limited: metrics.rate_limited.get(),
            start_time: facts.map(|facts| facts.started_at),
            status: word,
            tracing_enabled: facts.is_some_and(|facts| facts.tracing_enabled),
            uptime_seconds: metrics.uptime().as_secs(),
            version: env!("CARGO_PKG_VERSION"),
        };
        (status, health)
    }
}

fn megabytes(bytes: u64) -> f64 {
    (bytes as f64 / 1_048_576.0 * 100.0).round() / 100.0
}

/// Adds the three routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/health").route(get_or_head().to(health)))
        .service(web::resource("/healthz").route(get_or_head().to(alive)))
        .service(web::resource("/readyz").route(get_or_head().to(ready)));
}

/// A route for GET and HEAD; actix sends no body for HEAD.
pub fn get_or_head() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn health(probes: web::Data<Probes>) -> HttpResponse {
    let (status, health) = probes.health().await;
    HttpResponse::build(status).json(health)
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Word { status: "ok" })
}

async fn ready(probes: web::Data<Probes>) -> HttpResponse {
    match probes.facts().await {
        Some(facts) if facts.is_ready() => HttpResponse::Ok().json(Word { status: "ready" }),
        Some(facts) if facts.draining => not_ready("draining"),
        _ => not_ready("not ready"),
    }
}

fn not_ready(status: &'static str) -> HttpResponse {
    HttpResponse::ServiceUnavailable().json(Word { status })
}

#[derive(Serialize)]
struct Word {
    status: &'static str,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use serde_json::{Value, json};

    pub(crate) struct Fixed(pub(crate) Option<Facts>);

    impl HealthSource for Fixed {
        fn facts(&self) -> BoxFuture<'_, Facts> {
            match self.0 {
                Some(facts) => Box::pin(std::future::ready(facts)),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    pub(crate) const WELL: Facts = Facts {
        database: Database::Ok,
        heartbeat: Heartbeat {
            enabled: true,
            interval_s: 30,
            timeout_s: 90,
        },
        tracing_enabled: false,
        started_at: Timestamp::from_micros(1_763_683_200_000_000),
        listening: true,
        draining: false,
    };

    pub(crate) fn probes(facts: Option<Facts>) -> Probes {
        Probes {
            metrics: Arc::new(Metrics::new().unwrap()),
            source: Arc::new(Fixed(facts)),
        }
    }

    async fn get(facts: Option<Facts>, path: &str) -> (u16, Value) {
        let app = init_service(
            App::new()
                .app_data(web::Data::new(probes(facts)))
                .configure(routes),
        )
        .await;
        let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        (response.status().as_u16(), read_body_json(response).await)
    }

    #[actix_web::test]
    async fn health_has_every_field_that_clients_read() {
        let (status, body) = get(Some(WELL), "/health").await;
        assert_eq!(
            (status, &body["status"], &body["db"]),
            (200, &json!("ok"), &json!("ok"))
        );
        let mut names: Vec<&String> = body.as_object().unwrap().keys().collect();
        names.sort();
        let expected = "agent_heartbeat agents_connected client_conns_total clients_connected \
            connections_total db errors_total goroutines memory_alloc_mb memory_sys_mb messages_in \
            messages_out offline_queue_depth rate_limited start_time status tracing_enabled \
            uptime_seconds version";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        let heartbeat =
            json!({"enabled": true, "interval_s": 30, "stale_agents": 0, "timeout_s": 90});
        assert_eq!(body["agent_heartbeat"], heartbeat);
        assert_eq!(body["start_time"], "2025-11-21T00:00:00.000000Z");
        assert!(body["memory_alloc_mb"].as_f64().unwrap() > 0.0);
    }

    #[actix_web::test]
    async fn a_failing_database_is_degraded_and_not_ready() {
        let facts = Facts {
            database: Database::Failing("unavailable"),
            ..WELL
        };
        let (status, body) = get(Some(facts), "/health").await;
        assert_eq!(
            (status, &body["status"], &body["db"]),
            (503, &json!("degraded"), &json!("error: unavailable"))
        );
        assert_eq!(get(Some(facts), "/readyz").await.0, 503);
        assert_eq!(get(Some(facts), "/healthz").await.0, 200);
    }

    #[actix_web::test]
    async fn ready_means_open_listening_and_not_draining() {
        assert_eq!(
            get(Some(WELL), "/readyz").await,
            (200, json!({"status": "ready"}))
        );
        let draining = Facts {
            draining: true,
            ..WELL
        };
        assert_eq!(
            get(Some(draining), "/readyz").await,
            (503, json!({"status": "draining"}))
        );
        assert_eq!(
            get(
                Some(Facts {
                    listening: false,
                    ..WELL
                }),
                "/readyz"
            )
            .await
            .0,
            503
        );
    }

    #[actix_web::test]
    async fn a_source_that_never_answers_is_degraded_after_two_seconds() {
        let (status, body) = get(None, "/health").await;
        assert_eq!(
            (status, &body["db"]),
            (503, &json!("error: no answer in time"))
        );
    }

    #[actix_web::test]
    async fn probes_answer_head_and_refuse_other_methods() {
        let data = web::Data::new(probes(Some(WELL)));
        let app = init_service(App::new().app_data(data).configure(routes)).await;
        for path in ["/health", "/healthz", "/readyz"] {
            let head = TestRequest::default()
                .method(actix_web::http::Method::HEAD)
                .uri(path);
            assert_eq!(
                call_service(&app, head.to_request()).await.status(),
                200,
                "{path}"
            );
            let post = call_service(&app, TestRequest::post().uri(path).to_request()).await;
            assert_eq!(post.status(), 405, "{path}");
        }
    }
}

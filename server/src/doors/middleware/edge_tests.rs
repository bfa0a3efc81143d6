use super::*;
use crate::doors::extract::{Body, RequestId};
use crate::error::ApiResult;
use crate::limits::{Enforcement, Tier, TierKey};
use actix_web::App;
use actix_web::dev::Service;
use actix_web::http::header::HeaderName;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service, read_body};
use serde::Deserialize;
use serde_json::{Value, json};

/// Users name themselves, in these tests.
struct ByHeader;

impl Identify for ByHeader {
    fn identify(&self, request: &ServiceRequest) -> Option<(TierKey, Tier)> {
        let user = request.headers().get("x-test-user")?.to_str().ok()?;
        Some((TierKey::User(user.into()), Tier::Pro))
    }
}

pub(crate) fn edge_with(enforcement: Enforcement, origins: &[&str]) -> web::Data<Edge> {
    web::Data::new(Edge {
        metrics: Arc::new(Metrics::new().unwrap()),
        proxies: Proxies::default(),
        origins: Origins::new(origins),
        tiers: Tiers::new(enforcement),
        identify: Arc::new(ByHeader),
        tls: false,
    })
}

#[derive(Deserialize)]
struct Dto {
    name: String,
}

async fn post(dto: Body<Dto>) -> String {
    dto.0.name
}

async fn refuse(id: RequestId) -> ApiResult<String> {
    assert!(!id.0.is_empty());
    Err(ErrorCode::ConversationNotFound.into())
}

async fn plain_error() -> HttpResponse {
    HttpResponse::ServiceUnavailable().body("secret cause")
}

async fn space_error() -> HttpResponse {
    HttpResponse::BadRequest().json(json!({"error": "worded by its door"}))
}

async fn panics() -> HttpResponse {
    panic!("on purpose")
}

async fn fails(
    _: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    Err(actix_web::error::ErrorBadGateway("secret cause"))
}

/// What a client sees.
struct Seen {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let name: HeaderName = name.parse().unwrap();
        self.headers
            .get(&name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

async fn send(edge_data: &web::Data<Edge>, request: TestRequest) -> Seen {
    let app = App::new()
        .app_data(edge_data.clone())
        .wrap(from_fn(edge))
        .service(
            web::resource("/things")
                .route(web::post().to(post))
                .route(web::get().to(refuse)),
        )
        .route("/plain", web::get().to(plain_error))
        .route("/space", web::get().to(space_error))
        .route("/panics", web::get().to(panics))
        .service(
            web::resource("/fails")
                .wrap(from_fn(fails))
                .route(web::get().to(refuse)),
        )
        .route("/health", web::get().to(|| async { "ok" }));
    let app = init_service(app).await;
    match app.call(request.to_request()).await {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = String::from_utf8(read_body(response).await.to_vec()).unwrap();
            Seen {
                status,
                headers,
                text,
            }
        }
        Err(error) => {
            let response = error.error_response();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let bytes = actix_web::body::to_bytes(response.into_body())
                .await
                .unwrap();
            Seen {
                status,
                headers,
                text: String::from_utf8(bytes.to_vec()).unwrap(),
            }
        }
    }
}

#[actix_web::test]
async fn every_refusal_is_json_with_the_request_id_and_the_security_headers() {
    let edge = edge_with(Enforcement::Lifted, &[]);
    let table = [
        (TestRequest::get().uri("/nowhere"), 404, "not_found"),
        (TestRequest::get().uri("/%ff"), 404, "not_found"),
        (
            TestRequest::delete().uri("/things"),
            405,
            "method_not_allowed",
        ),
        (
            TestRequest::get().uri("/things"),
            404,
            "conversation_not_found",
        ),
        (
            TestRequest::post().uri("/things").set_payload("{\"name\":"),
            400,
            "invalid_json",
        ),
        (
            TestRequest::post()
                .uri("/things")
                .set_payload("a".repeat(300 * 1024)),
            413,
            "too_large",
        ),
        (TestRequest::get().uri("/plain"), 503, "overloaded"),
        (TestRequest::get().uri("/panics"), 500, "internal"),
        (TestRequest::get().uri("/fails"), 500, "internal"),
    ];
    for (request, status, code) in table {
        let seen = send(&edge, request.insert_header((request_id::HEADER, "r-1"))).await;
        let body = seen.json();
        assert_eq!((seen.status, &body["code"]), (status, &json!(code)));
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(seen.header("x-request-id"), "r-1");
        assert_eq!(seen.header("x-content-type-options"), "nosniff");
        assert!(!seen.text.contains("secret"));
    }
    assert_eq!(edge.metrics.http_in_flight.get(), 0);
}

#[actix_web::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let seen = send(
        &edge_with(Enforcement::Lifted, &[]),
        TestRequest::delete().uri("/things"),
    )
    .await;
    assert!(seen.header("allow").contains("POST") && seen.header("allow").contains("GET"));
}

#[actix_web::test]
async fn a_door_that_words_its_own_errors_is_left_alone() {
    let seen = send(
        &edge_with(Enforcement::Lifted, &[]),
        TestRequest::get().uri("/space"),
    )
    .await;
    assert_eq!(
        (seen.status, seen.json()),
        (400, json!({"error": "worded by its door"}))
    );
}

#[actix_web::test]
async fn a_page_of_another_origin_may_not_change_anything() {
    let edge = edge_with(Enforcement::Lifted, &["https://chat.org"]);
    let post = |origin: &'static str| {
        let request = TestRequest::post().uri("/things").set_payload("name=a");
        request
            .insert_header(("host", "here.org"))
            .insert_header(("origin", origin))
    };
    let foreign = send(&edge, post("https://evil.net")).await;
    assert_eq!(
        (foreign.status, &foreign.json()["code"]),
        (403, &json!("origin_not_allowed"))
    );
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    let listed = send(&edge, post("https://chat.org")).await;
    assert_eq!((listed.status, listed.text.as_str()), (200, "a"));
    assert_eq!(
        listed.header("access-control-allow-origin"),
        "https://chat.org"
    );
    assert!(
        listed
            .header("access-control-expose-headers")
            .contains("Idempotent-Replayed")
    );
    assert_eq!(listed.header("vary"), "Origin");
    assert_eq!(send(&edge, post("https://here.org")).await.status, 200);
}

#[actix_web::test]
async fn a_preflight_is_204_and_lists_the_headers_that_clients_send() {
    let edge = edge_with(Enforcement::On, &["*"]);
    let request = TestRequest::default()
        .method(Method::OPTIONS)
        .uri("/things");
    let seen = send(&edge, request.insert_header(("origin", "https://any.org"))).await;
    assert_eq!((seen.status, seen.text.as_str()), (204, ""));
    assert_eq!(seen.header("access-control-allow-origin"), "*");
    assert_eq!(seen.header("access-control-max-age"), "86400");
    for name in [
        "Authorization",
        "X-Agent-Secret",
        "Idempotency-Key",
        "X-Requested-With",
    ] {
        assert!(
            seen.header("access-control-allow-headers").contains(name),
            "{name}"
        );
    }
}

#[actix_web::test]
async fn the_sixty_first_request_of_an_address_is_refused_and_a_known_user_is_not() {
    let edge = edge_with(Enforcement::On, &[]);
    let get = || {
        TestRequest::get()
            .uri("/space")
            .peer_addr("198.51.100.1:1000".parse().unwrap())
    };
    let first = send(&edge, get()).await;
    assert_eq!(
        (
            first.header("x-ratelimit-limit"),
            first.header("x-ratelimit-remaining")
        ),
        ("60", "59")
    );
    for _ in 0..59 {
        send(&edge, get()).await;
    }
    let mut refused = send(&edge, get()).await;
    // A slow machine may have gained a token meanwhile.
    for _ in 0..60 {
        if refused.status == 429 {
            break;
        }
        refused = send(&edge, get()).await;
    }
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (429, &json!("rate_limited"))
    );
    assert_eq!(
        (
            refused.header("retry-after"),
            refused.header("x-ratelimit-remaining")
        ),
        ("1", "0")
    );
    assert!(edge.metrics.rate_limited.get() >= 1);
    let other_port = get().peer_addr("198.51.100.1:2000".parse().unwrap());
    assert_eq!(send(&edge, other_port).await.status, 429);
    assert_eq!(
        send(&edge, get().insert_header(("x-test-user", "u")))
            .await
            .header("x-ratelimit-limit"),
        "300"
    );
    assert_eq!(send(&edge, get().uri("/health")).await.status, 200);
}

#[actix_web::test]
async fn requests_are_counted_by_pattern_and_status_and_refusals_by_code() {
    let edge = edge_with(Enforcement::Lifted, &[]);
    send(&edge, TestRequest::get().uri("/things?token=hunter2")).await;
    send(&edge, TestRequest::get().uri("/secret-path")).await;
    let text = edge.metrics.render().unwrap();
    for sample in [
        "http_requests_total{route=\"/things\",status=\"404\"} 1",
        "http_requests_total{route=\"-\",status=\"404\"} 1",
        "refusals_total{code=\"conversation_not_found\"} 1",
        "refusals_total{code=\"not_found\"} 1",
    ] {
        assert!(text.contains(sample), "{sample}");
    }
    assert!(!text.contains("hunter2") && !text.contains("secret-path"));
}

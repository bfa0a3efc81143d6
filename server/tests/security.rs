//! Who is let in, how, and for how long.

use harness::{AGENT_SECRET, Options, Socket, TestServer, as_agent};
use serde_json::json;
use std::sync::Arc;
use store::{Clock, FakeClock, SystemClock};

#[actix_rt::test]
async fn credentials_are_taken_from_header_query_sub_protocol_and_first_frame() {
    let server = TestServer::start();
    let (token, user) = server.http().register("ann").await;
    let bearer = format!("Bearer {token}");
    let by_header = [("Authorization", bearer.as_str())];
    let socket = Socket::connect(&server, "/client/connect", None, &by_header)
        .await
        .expect("let in");
    assert_eq!(
        (socket.welcome["data"]["id"].as_str(), socket.sub_protocol),
        (Some(user.as_str()), None)
    );
    let offered = format!("v2, bearer.{token}");
    let socket = Socket::connect(&server, "/client/connect", Some(&offered), &[])
        .await
        .expect("let in");
    assert_eq!(socket.sub_protocol.as_deref(), Some("v2"));
    let mut socket = Socket::connect(&server, "/client/connect?auth=frame", Some("v2"), &[])
        .await
        .expect("upgraded");
    socket
        .send(json!({ "type": "auth", "data": { "token": token } }))
        .await;
    assert_eq!(
        socket.expect("connected").await["data"]["id"],
        user.as_str()
    );
    let mut wrong = Socket::connect(&server, "/client/connect?auth=frame", None, &[])
        .await
        .expect("upgraded");
    wrong
        .send(json!({ "type": "auth", "data": { "token": "nonsense" } }))
        .await;
    assert_eq!(wrong.closed().await.code, Some(4001));
    let mut late = Socket::connect(&server, "/client/connect?auth=frame", None, &[])
        .await
        .expect("upgraded");
    assert_eq!(late.closed().await.code, Some(4001));
}

#[actix_rt::test]
async fn sockets_without_valid_credentials_are_refused_before_the_upgrade() {
    let server = TestServer::start();
    let cases = [
        ("/client/connect", 401, "unauthorized"),
        ("/client/connect?token=forged", 401, "unauthorized"),
        ("/client/connect?user_id=user_1", 401, "unauthorized"),
        ("/agent/connect?agent_secret=x", 400, "invalid_request"),
        ("/agent/connect?agent_id=bot", 401, "unauthorized"),
        (
            "/agent/connect?agent_id=bot&agent_secret=wrong",
            401,
            "invalid_agent_secret",
        ),
        (
            "/agent/connect?agent_id=bot&agent_token=at_wrong",
            401,
            "invalid_agent_secret",
        ),
        (
            "/agent/connect?agent_id=a%20b&agent_secret=wrong",
            400,
            "invalid_request",
        ),
    ];
    for (path, status, code) in cases {
        let refused = Socket::connect(&server, path, Some("v1"), &[])
            .await
            .err()
            .expect(path);
        assert_eq!(
            (refused.0, refused.1["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    }
}

#[actix_rt::test]
async fn a_socket_ends_with_its_token_unless_a_fresh_one_extends_it() {
    let clock = Arc::new(FakeClock::at(SystemClock.now()));
    let shared: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
    let options = Options {
        clock: shared,
        ..Options::with_flags(&["--jwt-ttl", "1h"])
    };
    let server = TestServer::with(options);
    let http = server.http();
    let (old, _) = http.register("ann").await;
    let mut ends = Socket::user(&server, &old, "&device_id=a", Some("v2")).await;
    let mut lives = Socket::user(&server, &old, "&device_id=b", Some("v2")).await;
    clock.advance_micros(1_800_000_000);
    let fresh = http.log_in("ann").await;
    lives
        .send(json!({ "type": "auth", "data": { "token": fresh } }))
        .await;
    lives.expect("auth").await;
    clock.advance_micros(2_000_000_000);
    assert_eq!(ends.closed().await.code, Some(4001));
    lives.frames_until_heartbeat().await;
    let refused = http
        .send(http.get("/conversations").bearer_auth(&old))
        .await;
    assert_eq!((refused.status, refused.code()), (401, "token_expired"));
}

#[actix_rt::test]
async fn an_agent_token_is_shown_once_and_opens() {
    let server = TestServer::start();
    let first = Socket::agent(&server, "bot", None).await;
    let token = first.welcome["data"]["agent_token"]
        .as_str()
        .expect("shown")
        .to_owned();
    first.close().await;
    let again = Socket::agent(&server, "bot", None).await;
    assert!(
        again.welcome["data"]["agent_token"].is_null(),
        "never again"
    );
    again.close().await;
    let path = format!("/agent/connect?agent_id=bot&agent_token={token}");
    Socket::connect(&server, &path, None, &[])
        .await
        .expect("let in")
        .close()
        .await;
}

#[actix_rt::test]
async fn a_bound_agent_no_longer_opens_with_the_secret() {
    let server = TestServer::with(Options::with_flags(&["--agent-auth", "bound"]));
    let http = server.http();
    let token = http.register_agent("bot").await;
    let by_token = http
        .get("/conversations")
        .bearer_auth(&token)
        .header("X-Agent-ID", "bot");
    http.send(by_token).await.ok();
    let by_secret = http.send(as_agent(http.get("/conversations"), "bot")).await;
    assert_eq!(
        (by_secret.status, by_secret.code()),
        (401, "invalid_agent_secret")
    );
    let body = json!({ "agent_id": "bot", "agent_secret": AGENT_SECRET });
    let renewed = http.send(http.post("/auth/agent").json(&body)).await;
    assert_eq!(renewed.code(), "invalid_agent_secret");
}

#[actix_rt::test]
async fn with_agent_auth_token_the_secret_opens_nothing() {
    let server = TestServer::with(Options::with_flags(&["--agent-auth", "token"]));
    let http = server.http();
    let token = http.register_agent("bot").await;
    let by_secret = http.send(as_agent(http.get("/conversations"), "bot")).await;
    assert_eq!(by_secret.code(), "invalid_agent_secret");
    let by_token = http
        .get("/conversations")
        .bearer_auth(&token)
        .header("X-Agent-ID", "bot");
    http.send(by_token).await.ok();
}

#[actix_rt::test]
async fn closed_registration_lets_in_the_first_owner_and_nobody_else() {
    let server = TestServer::with(Options::with_flags(&["--registration", "closed"]));
    let http = server.http();
    let account = |name: &str, setup: Option<&str>| {
        let body = json!({ "username": name, "password": "a good password", "setup_token": setup });
        http.send(http.post("/auth/register").json(&body))
    };
    assert_eq!(account("eve", None).await.code(), "registration_closed");
    assert_eq!(
        account("eve", Some("guessed")).await.code(),
        "registration_closed"
    );
    assert_eq!(
        http.send(http.get("/api/server")).await.json["needs_setup"],
        true
    );
    account("ann", Some(server.setup_token())).await.ok();
    assert_eq!(
        http.send(http.get("/api/server")).await.json["needs_setup"],
        false
    );
    assert_eq!(
        account("eve", Some(server.setup_token())).await.code(),
        "registration_closed"
    );
}

#[actix_rt::test]
async fn local_registration_is_closed_to_whoever_comes_through_a_proxy_from_afar() {
    let server = TestServer::start();
    let http = server.http();
    let body = json!({ "username": "eve", "password": "a good password" });
    let far = http
        .post("/auth/register")
        .header("X-Forwarded-For", "8.8.8.8")
        .json(&body);
    assert_eq!(http.send(far).await.code(), "registration_closed");
    let named = http
        .post("/auth/register")
        .header("Host", "am.example.org")
        .json(&body);
    assert_eq!(http.send(named).await.code(), "registration_closed");
}

#[actix_rt::test]
async fn pages_of_other_origins_change_nothing_and_open_no_socket() {
    let server = TestServer::with(Options::with_flags(&[
        "--cors-allowed-origins",
        "https://good.example",
    ]));
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let post = |origin: &str| {
        http.send(
            http.post("/conversations")
                .bearer_auth(&token)
                .header("Origin", origin)
                .json(&json!({})),
        )
    };
    let foreign = post("https://evil.example").await;
    assert_eq!(
        (foreign.status, foreign.code()),
        (403, "origin_not_allowed")
    );
    assert_eq!(post("https://good.example").await.code(), "invalid_request");
    assert_eq!(post(&server.url()).await.code(), "invalid_request");
    let path = format!("/client/connect?token={token}");
    let refused =
        Socket::connect(&server, &path, None, &[("Origin", "https://evil.example")]).await;
    assert_eq!(
        refused.err().expect("refused").1["code"],
        "origin_not_allowed"
    );
    Socket::connect(&server, &path, None, &[("Origin", "https://good.example")])
        .await
        .expect("let in");
}

#[actix_rt::test]
async fn too_many_sign_ins_of_one_address_are_told_when_to_come_back() {
    let server = TestServer::with(Options {
        rates: true,
        ..Options::with_flags(&["--auth-rate-limit", "5"])
    });
    let http = server.http();
    http.register("ann").await;
    let wrong = json!({ "username": "ann", "password": "wrong" });
    let mut last = None;
    for _ in 0..8 {
        last = Some(http.send(http.post("/auth/login").json(&wrong)).await);
    }
    let last = last.expect("answers");
    assert_eq!((last.status, last.code()), (429, "rate_limited"));
    assert!(last.headers.contains_key("retry-after"));
    // Agents with the right secret always pass.
    http.register_agent("bot").await;
}

#[actix_rt::test]
async fn an_agent_that_is_taken_over_too_often_is_in_use() {
    let server = TestServer::with(Options {
        rates: true,
        ..Options::default()
    });
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(Socket::agent(&server, "bot", None).await);
    }
    let path = format!("/agent/connect?agent_id=bot&agent_secret={AGENT_SECRET}");
    let refused = Socket::connect(&server, &path, None, &[])
        .await
        .err()
        .expect("refused");
    assert_eq!(
        (refused.0, refused.1["code"].as_str()),
        (409, Some("agent_in_use"))
    );
}

#[actix_rt::test]
async fn strangers_see_no_agents_and_agents_open_nothing_with_strangers() {
    let server = TestServer::start();
    let http = server.http();
    let (_, user) = http.register("ann").await;
    http.register_agent("bot").await;
    assert_eq!(http.send(http.get("/agents")).await.status, 401);
    let open = as_agent(http.post("/conversations"), "bot").json(&json!({ "user_id": user }));
    assert_eq!(http.send(open).await.code(), "agents_may_not_start");
    let public = TestServer::with(Options::with_flags(&["--public-agents"]));
    assert_eq!(
        public
            .http()
            .send(public.http().get("/agents"))
            .await
            .status,
        200
    );
}

#[actix_rt::test]
async fn every_answer_carries_the_security_headers_and_no_inside_text() {
    let server = TestServer::start();
    let http = server.http();
    for path in ["/healthz", "/nowhere", "/agents", "/api/server"] {
        let answer = http.send(http.get(path)).await;
        for name in [
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "content-security-policy",
            "x-request-id",
        ] {
            assert!(answer.headers.contains_key(name), "{path}: {name}");
        }
    }
    let metrics = reqwest::get(format!("{}/metrics", server.admin_url()))
        .await
        .expect("metrics");
    let text = metrics.text().await.expect("text");
    assert!(
        text.contains("agent_messenger_queue_writer_entries")
            && text.contains("agent_messenger_panics_total 0")
    );
    assert_eq!(
        http.send(http.get("/metrics")).await.status,
        404,
        "not on the public port"
    );
    let public = TestServer::with(Options::with_flags(&["--metrics-public"]));
    assert_eq!(
        public
            .http()
            .send(public.http().get("/metrics"))
            .await
            .status,
        200
    );
}

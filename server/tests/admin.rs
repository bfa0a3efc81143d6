//! Administration: who may do what, and what comes of it.

use harness::{ADMIN_SECRET, AGENT_SECRET, Answer, Http, Options, Socket, TestServer, as_agent};
use serde_json::{Value, json};

/// Every route, with a body that is well-formed.
fn routes() -> Vec<(&'static str, String, Value)> {
    let none = || Value::Null;
    let user = "/api/admin/users/user_nobody";
    let agent = "/api/admin/agents/nobody";
    vec![
        ("GET", "/api/admin/health".into(), none()),
        ("GET", "/api/admin/queues".into(), none()),
        ("GET", "/api/admin/metrics/history".into(), none()),
        ("GET", "/api/admin/sessions".into(), none()),
        (
            "POST",
            "/api/admin/sessions/kick".into(),
            json!({ "session_id": 1 }),
        ),
        ("GET", "/api/admin/users".into(), none()),
        (
            "POST",
            "/api/admin/users".into(),
            json!({ "username": "x", "password": "x" }),
        ),
        ("POST", format!("{user}/role"), json!({ "role": "member" })),
        (
            "POST",
            format!("{user}/password"),
            json!({ "password": "a good password" }),
        ),
        ("POST", format!("{user}/ban"), json!({ "banned": true })),
        ("GET", "/api/admin/invites".into(), none()),
        ("POST", "/api/admin/invites".into(), json!({ "days": 0 })),
        ("DELETE", "/api/admin/invites/00".into(), none()),
        ("GET", "/api/admin/agents".into(), none()),
        (
            "POST",
            "/api/admin/agents".into(),
            json!({ "agent_id": "no such id" }),
        ),
        ("POST", format!("{agent}/token"), json!({})),
        ("POST", format!("{agent}/ban"), json!({ "banned": true })),
    ]
}

/// A server with an owner, an admin and a member, and their tokens.
struct House {
    server: TestServer,
    owner: String,
    admin: String,
    member: String,
    member_id: String,
}

impl House {
    async fn new() -> Self {
        let server = TestServer::start();
        let http = server.http();
        let owner = json!({ "username": "olga", "password": "a good password",
            "setup_token": server.setup_token() });
        let owner = http.post("/auth/register").json(&owner);
        let owner = http.send(owner).await.ok().text_of("token");
        let (admin, admin_id) = http.register("alma").await;
        let (member, member_id) = http.register("mia").await;
        let house = Self {
            server,
            owner,
            admin,
            member,
            member_id,
        };
        let path = format!("/api/admin/users/{admin_id}/role");
        let by_owner = house.owner.clone();
        house
            .call("POST", &path, &by_owner, &json!({ "role": "admin" }))
            .await
            .ok();
        house
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        let http = self.server.http();
        let request = http.request(method, path).bearer_auth(token);
        http.send(with_body(request, body)).await
    }

    /// By the admin secret, at the admin listener.
    async fn by_secret(&self, method: &str, path: &str, body: &Value) -> Answer {
        let http = self.server.admin();
        let request = http.request(method, path);
        let request = request.header("X-Admin-Secret", ADMIN_SECRET);
        http.send(with_body(request, body)).await
    }
}

fn with_body(request: reqwest::RequestBuilder, body: &Value) -> reqwest::RequestBuilder {
    if body.is_null() {
        request
    } else {
        request.json(body)
    }
}

#[actix_rt::test]
async fn every_route_is_for_operators_only() {
    let house = House::new().await;
    let http = house.server.http();
    http.register_agent("bot").await;
    for (method, path, body) in routes() {
        for (who, token, expected) in [
            ("member", &house.member, 403),
            ("nobody", &"forged".to_owned(), 401),
        ] {
            let answer = house.call(method, &path, token, &body).await;
            assert_eq!(
                answer.status, expected,
                "{who}: {method} {path}: {answer:?}"
            );
        }
        for (who, request) in [
            ("nothing", http.request(method, &path)),
            (
                "wrong secret",
                http.request(method, &path)
                    .header("X-Admin-Secret", "wrong-secret-of-some-length"),
            ),
            (
                "agent secret",
                http.request(method, &path)
                    .header("X-Admin-Secret", AGENT_SECRET),
            ),
            ("agent", as_agent(http.request(method, &path), "bot")),
        ] {
            let answer = http.send(with_body(request, &body)).await;
            assert_eq!(answer.status, 401, "{who}: {method} {path}: {answer:?}");
        }
        for token in [&house.owner, &house.admin] {
            let answer = house.call(method, &path, token, &body).await;
            assert!(
                ![401, 403, 405, 500].contains(&answer.status),
                "{method} {path}: {answer:?}"
            );
        }
        let answer = house.by_secret(method, &path, &body).await;
        assert!(
            ![401, 403, 405, 500].contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
    }
}

#[actix_rt::test]
async fn failed_admin_secrets_are_limited_and_the_right_one_always_passes() {
    let server = TestServer::with(Options {
        rates: true,
        ..Options::with_flags(&["--auth-rate-limit", "3"])
    });
    let http = server.http();
    let guess = |secret: &str| {
        http.send(
            http.get("/api/admin/queues")
                .header("X-Admin-Secret", secret),
        )
    };
    let mut last = 0;
    for _ in 0..5 {
        last = guess("a-wrong-secret-of-some-length").await.status;
    }
    assert_eq!(last, 429);
    assert_eq!(guess(ADMIN_SECRET).await.status, 200);
}

#[actix_rt::test]
async fn accounts_are_made_listed_and_given_roles_and_the_last_owner_stays() {
    let house = House::new().await;
    let new = json!({ "username": "nora", "password": "a good password", "role": "member" });
    let made = house.by_secret("POST", "/api/admin/users", &new).await;
    assert_eq!(
        (made.status, made.text_of("role").as_str()),
        (201, "member")
    );
    assert!(!made.text.contains("password"));
    house.server.http().log_in("nora").await;
    let again = house.by_secret("POST", "/api/admin/users", &new).await;
    assert_eq!((again.status, again.code()), (409, "username_taken"));
    let listed = house
        .by_secret("GET", "/api/admin/users", &Value::Null)
        .await;
    let names: Vec<_> = listed.json["users"].as_array().expect("a list").clone();
    let names: Vec<_> = names.iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["olga", "alma", "mia", "nora"]);

    let owner_id = listed.json["users"][0]["user_id"].as_str().expect("an id");
    let role = format!("/api/admin/users/{owner_id}/role");
    let by_admin = house
        .call("POST", &role, &house.admin, &json!({ "role": "member" }))
        .await;
    assert_eq!((by_admin.status, by_admin.code()), (403, "forbidden"));
    let last = house
        .call("POST", &role, &house.owner, &json!({ "role": "member" }))
        .await;
    assert_eq!((last.status, last.code()), (409, "conflict"));
    let own = format!("/api/admin/users/{}/role", house.member_id);
    let promoted = house
        .call("POST", &own, &house.admin, &json!({ "role": "owner" }))
        .await;
    assert_eq!(promoted.status, 403, "admins make no owners");

    // A role counts at once, for tokens that were given before.
    house
        .call("POST", &own, &house.owner, &json!({ "role": "admin" }))
        .await
        .ok();
    let seen = house
        .call("GET", "/api/admin/queues", &house.member, &Value::Null)
        .await;
    assert_eq!(seen.status, 200);
}

#[actix_rt::test]
async fn a_new_password_ends_every_login() {
    let house = House::new().await;
    let http = house.server.http();
    let mut socket = Socket::user(&house.server, &house.member, "", Some("v1")).await;
    let path = format!("/api/admin/users/{}/password", house.member_id);
    let short = house
        .by_secret("POST", &path, &json!({ "password": "short" }))
        .await;
    assert_eq!((short.status, short.code()), (400, "invalid_request"));
    let set = house
        .by_secret("POST", &path, &json!({ "password": "another password" }))
        .await;
    assert_eq!(set.status, 204);
    assert_eq!(socket.closed().await.code, Some(4001));
    let old = http
        .send(http.get("/conversations").bearer_auth(&house.member))
        .await;
    assert_eq!((old.status, old.code()), (401, "token_revoked"));
    for (password, status) in [("a good password", 401), ("another password", 200)] {
        let body = json!({ "username": "mia", "password": password });
        let answer = http.send(http.post("/auth/login").json(&body)).await;
        assert_eq!(answer.status, status);
    }
}

#[actix_rt::test]
async fn an_invite_lets_one_person_in_and_a_revoked_one_nobody() {
    let house = House::new().await;
    let http = house.server.http();
    let make = json!({ "role": "admin", "days": 2 });
    let made = house
        .by_secret("POST", "/api/admin/invites", &make)
        .await
        .ok();
    let account = |name: &str, invite: &str| {
        let body = json!({ "username": name, "password": "a good password", "invite": invite });
        http.send(http.post("/auth/register").json(&body))
    };
    let invite = made.text_of("invite");
    let token = account("ines", &invite).await.ok().text_of("token");
    let seen = house
        .call("GET", "/api/admin/users", &token, &Value::Null)
        .await;
    assert_eq!(seen.status, 200, "it made an admin");
    assert_eq!(account("ivan", &invite).await.status, 403);

    let other = house
        .by_secret("POST", "/api/admin/invites", &json!({}))
        .await
        .ok();
    let path = format!("/api/admin/invites/{}", other.text_of("invite_id"));
    let gone = house.by_secret("DELETE", &path, &Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(
        house.by_secret("DELETE", &path, &Value::Null).await.status,
        404
    );
    assert_eq!(account("ivan", &other.text_of("invite")).await.status, 403);
    let listed = house
        .by_secret("GET", "/api/admin/invites", &Value::Null)
        .await;
    let invites = listed.json["invites"].as_array().expect("a list");
    assert_eq!(invites.len(), 1);
    assert!(invites[0]["used_at"].is_string());
    assert!(!listed.text.contains(&invite));
}

#[actix_rt::test]
async fn agents_get_tokens_of_their_own_and_new_ones() {
    let house = House::new().await;
    let http = house.server.http();
    let new = json!({ "agent_id": "helper", "name": "Helper", "model": "m1" });
    let made = house.by_secret("POST", "/api/admin/agents", &new).await;
    assert_eq!(
        (made.status, made.text_of("name").as_str()),
        (201, "Helper")
    );
    let again = house.by_secret("POST", "/api/admin/agents", &new).await;
    assert_eq!((again.status, again.code()), (409, "conflict"));
    let opens = |token: String| {
        http.send(
            http.get("/conversations")
                .header("X-Agent-ID", "helper")
                .bearer_auth(token),
        )
    };
    let first = made.text_of("agent_token");
    assert_eq!(opens(first.clone()).await.status, 200);
    let path = "/api/admin/agents/helper/token";
    let renewed = house.by_secret("POST", path, &json!({})).await.ok();
    assert_eq!(opens(first).await.status, 401);
    assert_eq!(opens(renewed.text_of("agent_token")).await.status, 200);
    let listed = house
        .by_secret("GET", "/api/admin/agents", &Value::Null)
        .await;
    assert_eq!(listed.json["agents"][0]["status"], "offline");
    assert!(!listed.text.contains("token"));
}

#[actix_rt::test]
async fn sockets_are_listed_and_a_kicked_one_ends_with_4009() {
    let house = House::new().await;
    let mut phone =
        Socket::user(&house.server, &house.member, "&device_id=phone", Some("v1")).await;
    let mut laptop = Socket::user(
        &house.server,
        &house.member,
        "&device_id=laptop",
        Some("v2"),
    )
    .await;
    laptop.frames_until_heartbeat().await;
    let mut agent = Socket::agent(&house.server, "bot", None).await;
    agent.frames_until_heartbeat().await;
    let listed = house
        .by_secret("GET", "/api/admin/sessions", &Value::Null)
        .await;
    let sessions = listed.json["sessions"].as_array().expect("a list").clone();
    let shown: Vec<_> = sessions
        .iter()
        .map(|s| {
            (
                s["kind"].as_str(),
                s["device_id"].as_str(),
                s["version"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Some("user"), Some("phone"), Some("v1")),
            (Some("user"), Some("laptop"), Some("v2")),
            (Some("agent"), None, Some("v1"))
        ]
    );
    assert_eq!(sessions[0]["address"], "127.0.0.1");
    let kick = |body: Value| async move { body };
    let one = kick(json!({ "session_id": sessions[0]["session_id"] })).await;
    let kicked = house
        .by_secret("POST", "/api/admin/sessions/kick", &one)
        .await;
    assert_eq!(kicked.json["kicked"], 1);
    assert_eq!(phone.closed().await.code, Some(4009));
    for (body, kicked) in [
        (json!({ "user_id": house.member_id }), 1),
        (json!({ "agent_id": "bot" }), 1),
        (json!({ "session_id": 999_999 }), 0),
    ] {
        let answer = house
            .by_secret("POST", "/api/admin/sessions/kick", &body)
            .await;
        assert_eq!(answer.json["kicked"], kicked, "{body}");
    }
    assert_eq!(laptop.closed().await.code, Some(4009));
    assert_eq!(agent.closed().await.code, Some(4009));
    let both = json!({ "user_id": "a", "agent_id": "b" });
    let refused = house
        .by_secret("POST", "/api/admin/sessions/kick", &both)
        .await;
    assert_eq!((refused.status, refused.code()), (400, "invalid_request"));
}

#[actix_rt::test]
async fn who_is_banned_loses_sockets_and_logins_and_stays_out_until_let_in() {
    let house = House::new().await;
    let http = house.server.http();
    let mut socket = Socket::user(&house.server, &house.member, "", Some("v1")).await;
    let mut agent = Socket::agent(&house.server, "bot", None).await;
    let ban = format!("/api/admin/users/{}/ban", house.member_id);
    let on = json!({ "banned": true, "reason": "spam" });
    assert_eq!(house.by_secret("POST", &ban, &on).await.status, 204);
    assert_eq!(
        house
            .by_secret("POST", "/api/admin/agents/bot/ban", &on)
            .await
            .status,
        204
    );
    assert!(matches!(socket.closed().await.code, Some(4009 | 4001)));
    assert_eq!(agent.closed().await.code, Some(4009));
    let sign_in = || {
        let body = json!({ "username": "mia", "password": "a good password" });
        http.send(http.post("/auth/login").json(&body))
    };
    let out = sign_in().await;
    assert_eq!((out.status, out.code()), (403, "forbidden"));
    let request = || http.send(as_agent(http.get("/conversations"), "bot"));
    assert_eq!(request().await.status, 403);
    let path = format!("/agent/connect?agent_id=bot&agent_secret={AGENT_SECRET}");
    assert!(
        Socket::connect(&house.server, &path, None, &[])
            .await
            .is_err()
    );

    let off = json!({ "banned": false });
    house.by_secret("POST", &ban, &off).await.ok();
    house
        .by_secret("POST", "/api/admin/agents/bot/ban", &off)
        .await
        .ok();
    assert_eq!(sign_in().await.status, 200);
    assert_eq!(request().await.status, 200);
    let own = house
        .by_secret("GET", "/api/admin/users", &Value::Null)
        .await;
    let me = own.json["users"][0]["user_id"].as_str().expect("an id");
    let myself = house
        .call(
            "POST",
            &format!("/api/admin/users/{me}/ban"),
            &house.owner,
            &on,
        )
        .await;
    assert_eq!((myself.status, myself.code()), (409, "conflict"));
    let last = house
        .by_secret("POST", &format!("/api/admin/users/{me}/ban"), &on)
        .await;
    assert_eq!((last.status, last.code()), (409, "conflict"));
}

#[actix_rt::test]
async fn the_running_minute_and_the_queues_are_told() {
    let house = House::new().await;
    let http = house.server.http();
    http.register_agent("bot").await;
    let conversation = http.open(&house.member, "bot").await;
    http.say(&house.member, &conversation, "hello").await.ok();
    let history = house
        .by_secret("GET", "/api/admin/metrics/history", &Value::Null)
        .await;
    assert_eq!(history.json["minutes"], json!([]));
    assert_eq!(history.json["running"]["stored"], 1);
    assert!(history.json["running"]["resident_bytes"].as_i64() > Some(0));
    let queues = house
        .by_secret("GET", "/api/admin/queues", &Value::Null)
        .await;
    let names: Vec<_> = queues.json["queues"].as_array().expect("a list").clone();
    assert!(
        names
            .iter()
            .any(|queue| queue["name"] == "writer" && queue["limit_each"] == 4096)
    );
    let health = house
        .by_secret("GET", "/api/admin/health", &Value::Null)
        .await;
    assert!(health.json["queues"].is_object());
}

#[actix_rt::test]
async fn a_profile_is_bounded_taken_one_at_a_time_and_not_on_the_public_port() {
    let house = House::new().await;
    let admin = house.server.admin();
    let profile = |http: Http, query: &str| {
        let path = format!("/api/admin/profile/cpu{query}");
        let request = http.get(&path).header("X-Admin-Secret", ADMIN_SECRET);
        async move { http.send(request).await }
    };
    assert_eq!(profile(admin.clone(), "?seconds=61").await.status, 400);
    assert_eq!(profile(house.server.http(), "?seconds=1").await.status, 404);
    let both = futures_util::join!(
        profile(admin.clone(), "?seconds=1"),
        profile(admin.clone(), "?seconds=1")
    );
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    let memory = house
        .by_secret("GET", "/api/admin/profile/memory", &Value::Null)
        .await;
    assert!(
        memory.json["anonymous_bytes"].as_u64() > Some(1_000_000),
        "{memory:?}"
    );
}

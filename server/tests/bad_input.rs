//! Whatever is wrong gets a stable code and a sentence, loses nothing and harms nobody.

use harness::{Options, Socket, TestServer, as_agent};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A chat still works, and nothing panicked.
async fn is_well(server: &TestServer, token: &str, conversation: &str) {
    let http = server.http();
    assert_eq!(http.send(http.get("/readyz")).await.status, 200);
    let answer = http.say(token, conversation, "still here").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(server.metrics().panics.get(), 0);
}

#[actix_rt::test]
async fn every_bad_frame_has_its_code_and_the_socket_stays_open() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let (other, _) = http.register("eve").await;
    http.register_agent("bot").await;
    let mine = http.open(&token, "bot").await;
    let foreign = http.open(&other, "bot").await;
    let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
    let to = |id: &str, content: Value| {
        json!({ "type": "message", "data": { "conversation_id": id, "content": content } })
            .to_string()
    };
    let cases = [
        ("hello".to_owned(), "invalid_json"),
        ("[]".to_owned(), "invalid_json"),
        ("{\"type\":".to_owned(), "invalid_json"),
        (json!({ "type": 1 }).to_string(), "invalid_request"),
        (json!({ "type": "dance" }).to_string(), "unknown_type"),
        (json!({ "type": "message" }).to_string(), "content_required"),
        (to(&mine, json!(7)), "invalid_request"),
        (to(&mine, json!("")), "content_required"),
        (to("", json!("x")), "conversation_required"),
        (to("conv_nowhere", json!("x")), "conversation_not_found"),
        (to("msg_0000000000000", json!("x")), "conversation_not_found"),
        (to("not an id", json!("x")), "conversation_not_found"),
        (to(&foreign, json!("x")), "conversation_not_found"),
        (to(&mine, json!("a\u{0}b")), "invalid_request"),
        (to(&mine, json!("x".repeat(32 * 1024 + 1))), "too_large"),
        (json!({ "type": "message", "data": { "conversation_id": mine, "content": "x", "metadata": "no" } }).to_string(), "invalid_request"),
        (json!({ "type": "message", "data": { "conversation_id": mine, "content": "x", "attachment_ids": ["att_1"] } }).to_string(), "attachment_not_found"),
        (json!({ "type": "message", "data": { "conversation_id": mine, "content": "x", "client_msg_id": "y".repeat(129) } }).to_string(), "invalid_request"),
        (json!({ "type": "ack", "data": { "conversation_id": mine } }).to_string(), "invalid_request"),
        (json!({ "type": "auth", "data": {} }).to_string(), "invalid_request"),
    ];
    for (frame, code) in cases {
        ann.send_raw(Message::text(frame.clone())).await;
        let error = ann.expect("error").await;
        assert_eq!(error["data"]["code"], code, "{frame}");
        assert!(
            error["data"]["error"]
                .as_str()
                .is_some_and(|sentence| !sentence.is_empty())
        );
    }
    assert_eq!(
        ann.say_acked(&mine, "good").await["data"]["seq"],
        1,
        "nothing was half-done"
    );
    is_well(&server, &token, &mine).await;
}

#[actix_rt::test]
async fn the_same_client_msg_id_is_answered_once_more_and_refused_with_another_body() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
    let frame = |content: &str| json!({ "type": "message", "data": { "conversation_id": conversation, "content": content, "client_msg_id": "a1" } });
    ann.send(frame("one")).await;
    let first = ann.expect("message_sent").await;
    ann.send(frame("one")).await;
    let again = ann.expect("message_sent").await;
    assert_eq!(first["data"]["message_id"], again["data"]["message_id"]);
    assert_eq!(again["data"]["client_msg_id"], "a1");
    ann.send(frame("two")).await;
    let error = ann.expect("error").await;
    assert_eq!(
        (
            error["data"]["code"].as_str(),
            error["data"]["client_msg_id"].as_str()
        ),
        (Some("conflict"), Some("a1"))
    );
    assert_eq!(http.history(&token, &conversation).await.len(), 1);
}

#[actix_rt::test]
async fn an_oversize_frame_closes_with_1009_and_invalid_utf8_with_4000() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut big = Socket::user(&server, &token, "", Some("v1")).await;
    big.send_raw(Message::text("x".repeat(65_537))).await;
    assert_eq!(big.closed().await.code, Some(1009));
    let mut odd = Socket::user(&server, &token, "", Some("v1")).await;
    odd.send_raw(Message::Frame(Frame::message(
        vec![0xff, 0xfe],
        OpCode::Data(Data::Text),
        true,
    )))
    .await;
    assert_eq!(odd.closed().await.code, Some(4000));
    assert_eq!(server.metrics().panics.get(), 0);
}

#[actix_rt::test]
async fn every_bad_request_has_its_status_and_code() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let (other, _) = http.register("eve").await;
    http.register_agent("bot").await;
    let mine = http.open(&token, "bot").await;
    let foreign = http.open(&other, "bot").await;
    let messages = format!("/conversations/{mine}/messages");
    let cases = [
        (Method::GET, "/nowhere".to_owned(), None, 404, "not_found"),
        (
            Method::DELETE,
            "/conversations".to_owned(),
            None,
            405,
            "method_not_allowed",
        ),
        (
            Method::PUT,
            messages.clone(),
            Some("{}"),
            405,
            "method_not_allowed",
        ),
        (
            Method::POST,
            messages.clone(),
            Some("{"),
            400,
            "invalid_json",
        ),
        (
            Method::POST,
            messages.clone(),
            Some("{}"),
            400,
            "content_required",
        ),
        (
            Method::POST,
            messages.clone(),
            Some(r#"{"content":["x"]}"#),
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            messages.clone(),
            Some(r#"{"content":"a\u0000b"}"#),
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            messages.clone(),
            Some(r#"{"content":"x","metadata":[1]}"#),
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            messages.clone(),
            Some(r#"{"content":"x","attachment_ids":["att_1"]}"#),
            404,
            "attachment_not_found",
        ),
        (
            Method::POST,
            format!("/conversations/{foreign}/messages"),
            Some(r#"{"content":"x"}"#),
            404,
            "conversation_not_found",
        ),
        (
            Method::GET,
            format!("/conversations/{foreign}/messages"),
            None,
            404,
            "conversation_not_found",
        ),
        (
            Method::GET,
            format!("/conversations/{foreign}"),
            None,
            404,
            "conversation_not_found",
        ),
        (
            Method::GET,
            format!("{messages}?after=x"),
            None,
            400,
            "invalid_request",
        ),
        (
            Method::GET,
            format!("{messages}?after=-1"),
            None,
            400,
            "invalid_request",
        ),
        (
            Method::GET,
            format!("{messages}?limit=many"),
            None,
            400,
            "invalid_request",
        ),
        (
            Method::GET,
            format!("{messages}?before=1&after=1"),
            None,
            400,
            "invalid_request",
        ),
        (
            Method::GET,
            format!("{messages}?wait=1"),
            None,
            400,
            "invalid_request",
        ),
        (
            Method::GET,
            "/conversations/messages".to_owned(),
            None,
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            "/conversations".to_owned(),
            Some("{}"),
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            "/conversations".to_owned(),
            Some(r#"{"agent_id":"nobody"}"#),
            404,
            "agent_not_found",
        ),
        (
            Method::POST,
            "/auth/register".to_owned(),
            Some(r#"{"username":"ann","password":"a good password"}"#),
            409,
            "username_taken",
        ),
        (
            Method::POST,
            "/auth/register".to_owned(),
            Some(r#"{"username":"x","password":"a good password"}"#),
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/login".to_owned(),
            Some(r#"{"username":"ann","password":"wrong"}"#),
            401,
            "invalid_credentials",
        ),
        (
            Method::POST,
            "/auth/agent".to_owned(),
            Some(r#"{"agent_id":"x","agent_secret":"wrong"}"#),
            401,
            "invalid_agent_secret",
        ),
        (
            Method::GET,
            "/client/connect?token=x".to_owned(),
            None,
            400,
            "invalid_request",
        ),
    ];
    for (method, path, body, status, code) in cases {
        let mut request = reqwest::Client::new()
            .request(method.clone(), format!("{}{path}", server.url()))
            .bearer_auth(&token);
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body);
        }
        let answer = http.send(request).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{method} {path} {body:?}: {answer:?}"
        );
        assert!(
            answer.json["error"].is_string() && answer.json["request_id"].is_string(),
            "{answer:?}"
        );
    }
    let large = http
        .post(&messages)
        .bearer_auth(&token)
        .header("Content-Type", "application/json")
        .body("x".repeat(300 * 1024));
    assert_eq!(http.send(large).await.code(), "too_large");
    let odd = http
        .post(&messages)
        .bearer_auth(&token)
        .header("Content-Type", "image/png")
        .body("x");
    assert_eq!(http.send(odd).await.code(), "unsupported_media_type");
    is_well(&server, &token, &mine).await;
}

#[actix_rt::test]
async fn a_repeated_idempotency_key_gets_the_first_answer_over_http() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let path = format!("/conversations/{}/messages", http.open(&token, "bot").await);
    let send = |content: &str| {
        http.send(
            http.post(&path)
                .bearer_auth(&token)
                .header("Idempotency-Key", "k")
                .json(&json!({ "content": content })),
        )
    };
    let first = send("one").await.ok();
    let again = send("one").await.ok();
    assert_eq!(first.json["id"], again.json["id"]);
    assert_eq!(
        again
            .headers
            .get("idempotent-replayed")
            .and_then(|value| value.to_str().ok()),
        Some("true")
    );
    let other = send("two").await;
    assert_eq!((other.status, other.code()), (409, "conflict"));
}

#[actix_rt::test]
async fn a_hundred_refusals_in_ten_seconds_close_with_4029() {
    let server = TestServer::with(Options {
        rates: true,
        ..Options::default()
    });
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
    let mut closed = None;
    for _ in 0..400 {
        ann.send_raw(Message::text("nonsense")).await;
        match ann.next().await {
            Ok(frame) => assert_eq!(frame["type"], "error"),
            Err(end) => {
                closed = end.code;
                break;
            }
        }
    }
    assert_eq!(closed, Some(4029));
}

#[actix_rt::test]
async fn a_seventeenth_waiting_request_of_one_agent_is_refused() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let path = format!("/conversations/{conversation}/messages?after=0&wait=20");
    let waiting: Vec<_> = (0..17)
        .map(|_| {
            let (http, path) = (http.clone(), path.clone());
            actix_rt::spawn(async move { http.send(as_agent(http.get(&path), "bot")).await })
        })
        .collect();
    let (mut waiting, refused) = {
        let (first, _, rest) = futures_util::future::select_all(waiting).await;
        (rest, first.expect("no panic"))
    };
    assert_eq!(
        (refused.status, refused.code()),
        (429, "too_many_connections")
    );
    http.say(&token, &conversation, "wake up").await.ok();
    for answer in waiting.drain(..) {
        assert_eq!(
            answer.await.expect("no panic").ok().json[0]["content"],
            "wake up"
        );
    }
}

#[actix_rt::test]
async fn sockets_over_the_cap_of_an_address_are_refused_and_places_come_back() {
    let flags = ["--max-sockets-per-address", "10"];
    let server = TestServer::with(Options {
        rates: true,
        ..Options::with_flags(&flags)
    });
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(Socket::user(&server, &token, "", Some("v1")).await);
    }
    let path = format!("/client/connect?token={token}");
    let refused = Socket::connect(&server, &path, Some("v1"), &[])
        .await
        .err()
        .expect("refused");
    assert_eq!(
        (refused.0, refused.1["code"].as_str()),
        (429, Some("too_many_connections"))
    );
    open.pop().expect("one").close().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while Socket::connect(&server, &path, Some("v1"), &[])
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the place comes back");
        actix_rt::task::yield_now().await;
    }
}

#[actix_rt::test]
async fn a_head_that_trickles_in_is_ended() {
    let server = TestServer::start();
    let mut stream = TcpStream::connect(server.address()).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .expect("written");
    let deadline = Instant::now() + Duration::from_secs(25);
    let mut answer = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "the connection is ended");
        let mut buffer = [0; 256];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                if stream.write_all(b"a").is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    let http = server.http();
    assert_eq!(http.send(http.get("/readyz")).await.status, 200);
}

//! People and agents chat over WebSocket and HTTP; whoever was away gets what was missed.

use harness::{Options, Socket, TestServer, as_agent};
use serde_json::json;

#[actix_rt::test]
async fn a_user_and_an_agent_chat_over_sockets() {
    let server = TestServer::start();
    let http = server.http();
    let (token, user) = http.register("ann").await;
    let mut agent = Socket::agent(&server, "bot", Some("v1")).await;
    assert_eq!(agent.welcome["data"]["agent_id"], "bot");
    assert!(agent.welcome["data"]["agent_token"].is_string());
    let conversation = http.open(&token, "bot").await;
    let mut ann = Socket::user(&server, &token, "&device_id=phone", Some("v1")).await;

    let ack = ann.say_acked(&conversation, "hello").await;
    assert_eq!(ack["data"]["status"], "stored");
    assert_eq!(ack["data"]["seq"], 1);
    let heard = agent.expect("user_message").await;
    assert_eq!(
        (heard["content"].as_str(), heard["user_id"].as_str()),
        (Some("hello"), Some(user.as_str()))
    );

    agent.say_acked(&conversation, "hi ann").await;
    let answer = ann.expect("message").await;
    assert_eq!(answer["data"]["content"], "hi ann");
    assert_eq!(answer["data"]["sender_type"], "agent");
}

#[actix_rt::test]
async fn an_absent_agent_gets_everything_in_order_when_it_connects() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
    let sent: Vec<String> = (0..700).map(|n| format!("m{n}")).collect();
    for content in &sent {
        ann.say(&conversation, content).await;
    }
    for _ in &sent {
        ann.expect("message_sent").await;
    }
    let mut agent = Socket::agent(&server, "bot", None).await;
    assert_eq!(agent.messages(sent.len()).await, sent);
    // What it confirmed is not sent again; what it did not confirm may be, in order.
    agent.close().await;
    ann.say_acked(&conversation, "last").await;
    let mut again = Socket::agent(&server, "bot", None).await;
    let mut contents = Vec::new();
    while contents.last().is_none_or(|content| content != "last") {
        contents.extend(again.messages(1).await);
    }
    let all: Vec<String> = sent.iter().cloned().chain(["last".to_owned()]).collect();
    assert!(all.ends_with(&contents), "a suffix, in order: {contents:?}");
}

#[actix_rt::test]
async fn a_v2_device_resumes_at_its_own_map_exactly_once() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    for n in 1..=10 {
        http.say_as_agent("bot", &conversation, &format!("m{n}"))
            .await
            .ok();
    }
    let mut ann = Socket::user(&server, &token, "&device_id=laptop", Some("v2")).await;
    assert!(
        ann.frames_until_heartbeat().await.is_empty(),
        "nothing is replayed before resume"
    );
    let mut positions = serde_json::Map::new();
    positions.insert(conversation.clone(), json!({ "seq": 7 }));
    ann.send(json!({ "type": "resume", "data": { "positions": positions } }))
        .await;
    let resumed = ann.expect("resumed").await;
    assert_eq!(resumed["data"]["positions"][&conversation]["seq"], 7);
    for seq in 8..=10 {
        let frame = ann.expect("message").await;
        assert_eq!(frame["data"]["seq"], seq);
    }
    let live = ann.expect("live").await;
    assert_eq!(live["data"]["seq"], 10);
    http.say_as_agent("bot", &conversation, "m11").await.ok();
    assert_eq!(ann.expect("message").await["data"]["seq"], 11);
}

#[actix_rt::test]
async fn an_ack_moves_the_position_that_a_later_resume_starts_from() {
    const MESSAGES: usize = 40;
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let said: Vec<String> = (1..=MESSAGES).map(|n| format!("m{n}")).collect();
    for text in &said {
        http.say_as_agent("bot", &conversation, text).await.ok();
    }
    // The goodbye right behind the ack takes nothing from it.
    for seq in 1..MESSAGES {
        let mut ann = Socket::user_v2(&server, &token, "laptop").await;
        let left = MESSAGES - seq + 1;
        assert_eq!(ann.messages(left).await, said[seq - 1..]);
        ann.send(json!({ "type": "ack", "data": { "conversation_id": conversation, "seq": seq } }))
            .await;
        assert_eq!(ann.close().await, Some(1000), "a goodbye is answered");
    }
}

#[actix_rt::test]
async fn every_device_of_a_user_hears_the_answer_and_its_other_devices_the_question() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let mut phone = Socket::user(&server, &token, "&device_id=phone", Some("v1")).await;
    let mut laptop = Socket::user(&server, &token, "&device_id=laptop", Some("v1")).await;
    phone.say_acked(&conversation, "question").await;
    assert_eq!(laptop.messages(1).await, ["question"]);
    http.say_as_agent("bot", &conversation, "answer").await.ok();
    assert_eq!(phone.messages(1).await, ["answer"]);
    assert_eq!(laptop.messages(1).await, ["answer"]);
}

#[actix_rt::test]
async fn a_user_that_names_an_agent_finds_or_makes_the_conversation() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut agent = Socket::agent(&server, "bot", None).await;
    let mut web = Socket::user(&server, &token, "", None).await;
    assert_eq!(web.sub_protocol, None);
    web.send(json!({ "type": "message", "data": { "agent_id": "bot", "content": "one" } }))
        .await;
    web.send(json!({ "type": "message", "data": { "agent_id": "bot", "content": "two" } }))
        .await;
    let ack = web.expect("user_message").await;
    assert!(ack["conversation_id"].is_string() && ack["message_id"].is_string());
    assert_eq!(agent.messages(2).await, ["one", "two"]);
    web.send(json!({ "type": "message", "data": { "agent_id": "nobody", "content": "x" } }))
        .await;
    assert_eq!(web.expect("error").await["data"]["code"], "agent_not_found");
}

#[actix_rt::test]
async fn an_agent_with_only_curl_waits_reads_answers_and_does_not_repeat() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let waiting = {
        let http = http.clone();
        let path = format!("/conversations/{conversation}/messages?after=0&wait=15");
        actix_rt::spawn(async move { http.send(as_agent(http.get(&path), "bot")).await })
    };
    http.say(&token, &conversation, "are you there?").await.ok();
    let heard = waiting.await.expect("no panic").ok();
    assert_eq!(heard.json[0]["content"], "are you there?");
    http.say_as_agent("bot", &conversation, "yes").await.ok();
    let path = format!("/conversations/{conversation}/messages?after=2&wait=0");
    assert_eq!(
        http.send(as_agent(http.get(&path), "bot")).await.ok().json,
        json!([])
    );
    let list = http
        .send(as_agent(http.get("/conversations?wait=0"), "bot"))
        .await
        .ok();
    assert_eq!(list.json, json!([]), "acknowledged up to the end");
}

#[actix_rt::test]
async fn a_newer_agent_socket_replaces_the_older_one() {
    let server = TestServer::start();
    let mut first = Socket::agent(&server, "bot", None).await;
    let _second = Socket::agent(&server, "bot", None).await;
    assert_eq!(first.closed().await.code, Some(4007));
}

#[actix_rt::test]
async fn a_logout_ends_the_token_and_its_sockets() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut socket = Socket::user(&server, &token, "", Some("v1")).await;
    http.send(http.post("/auth/logout").bearer_auth(&token))
        .await
        .ok();
    assert_eq!(socket.closed().await.code, Some(4001));
    let answer = http
        .send(http.get("/conversations").bearer_auth(&token))
        .await;
    assert_eq!((answer.status, answer.code()), (401, "token_revoked"));
}

#[actix_rt::test]
async fn typing_and_status_reach_the_other_party_and_nobody_else() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let (stranger, _) = http.register("eve").await;
    let mut agent = Socket::agent(&server, "bot", None).await;
    let conversation = http.open(&token, "bot").await;
    let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
    let mut eve = Socket::user(&server, &stranger, "", Some("v1")).await;
    agent.send(json!({ "type": "typing", "data": { "conversation_id": conversation, "typing": true } })).await;
    let typing = ann.expect("typing").await;
    assert_eq!(
        (&typing["typing"], &typing["data"]["typing"]),
        (&json!(true), &json!(true))
    );
    agent
        .send(json!({ "type": "status", "data": { "status": "busy" } }))
        .await;
    assert_eq!(ann.expect("status").await["data"]["status"], "busy");
    eve.send(json!({ "type": "typing", "data": { "conversation_id": conversation } }))
        .await;
    assert!(eve.frames_until_heartbeat().await.is_empty());
}

#[actix_rt::test]
async fn a_drain_closes_with_1012_and_everything_acknowledged_is_there_after_the_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Some(folder.path().to_owned());
    let server = TestServer::with(Options {
        data: data.clone(),
        ..Options::default()
    });
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
    ann.say_acked(&conversation, "before").await;
    let closing = actix_rt::spawn(async move { ann.closed().await });
    let stopping = std::thread::spawn(move || server.stop());
    assert_eq!(closing.await.expect("no panic").code, Some(1012));
    stopping.join().expect("stopped");
    let server = TestServer::with(Options {
        data,
        ..Options::default()
    });
    let history = server.http().history(&token, &conversation).await;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["content"], "before");
}

#[actix_rt::test]
async fn a_resume_sent_at_once_counts_and_nothing_below_it_is_replayed() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    for n in 1..=3 {
        http.say_as_agent("bot", &conversation, &format!("m{n}"))
            .await
            .ok();
    }
    let mut positions = serde_json::Map::new();
    positions.insert(conversation.clone(), json!({ "seq": 3 }));
    let resume = json!({ "type": "resume", "data": { "positions": positions } });
    for _ in 0..200 {
        let mut ann = Socket::user(&server, &token, "&device_id=quick", Some("v2")).await;
        ann.send(resume.clone()).await;
        ann.expect("resumed").await;
        let extra = ann.frames_until_heartbeat().await;
        assert!(
            extra.iter().all(|frame| frame["type"] != "message"),
            "{extra:?}"
        );
        ann.drop_now();
    }
}

/// The same on the second backend.
mod on_postgres {
    harness::also_on_postgres! {
        a_user_and_an_agent_chat_over_sockets,
        an_absent_agent_gets_everything_in_order_when_it_connects,
        a_v2_device_resumes_at_its_own_map_exactly_once,
        an_ack_moves_the_position_that_a_later_resume_starts_from,
        every_device_of_a_user_hears_the_answer_and_its_other_devices_the_question,
        a_user_that_names_an_agent_finds_or_makes_the_conversation,
        an_agent_with_only_curl_waits_reads_answers_and_does_not_repeat,
        a_newer_agent_socket_replaces_the_older_one,
        a_logout_ends_the_token_and_its_sockets,
        typing_and_status_reach_the_other_party_and_nobody_else,
        a_drain_closes_with_1012_and_everything_acknowledged_is_there_after_the_restart,
        a_resume_sent_at_once_counts_and_nothing_below_it_is_replayed,
    }
}

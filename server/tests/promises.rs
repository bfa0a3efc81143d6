//! The promises that hold at every door, each with a test that fails when it is broken.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use harness::{Http, Options, PATIENCE, Socket, TestServer};
use serde_json::json;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Sockets of one user that all send before they read.
const SENDERS: usize = 6;
/// Sends of each.
const EACH: usize = 1500;

/// The real binary as a process of its own.
struct Process {
    child: Child,
    url: String,
    printed: Vec<String>,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_agent-messenger"))
            .args([
                "--port",
                "0",
                "--host",
                "127.0.0.1",
                "--admin-listen",
                "off",
                "--rate-limit-disabled",
                "1",
            ])
            .arg("--data-dir")
            .arg(folder)
            .env("LOG_LEVEL", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut printed = Vec::new();
        let url = loop {
            let line = lines.next().expect("a line").expect("text");
            printed.push(line.clone());
            if let Some(url) = line.strip_prefix("Agent Messenger listens on ") {
                break url.to_owned();
            }
        };
        // What else is printed at start follows at once; the last line is always the set-up token
        // while there is no owner.
        while let Some(Ok(line)) = lines.next() {
            let last = line.starts_with("Set-up token");
            printed.push(line);
            if last {
                break;
            }
        }
        Self {
            child,
            url,
            printed,
        }
    }

    fn kill_minus_nine(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

async fn register_agent(http: &Http, folder: &Path, id: &str) -> String {
    let secret = std::fs::read_to_string(folder.join("agent.secret")).expect("a secret");
    let request = http
        .post("/auth/agent")
        .header("X-Agent-Secret", secret.trim())
        .json(&json!({ "agent_id": id }));
    http.send(request).await.ok();
    secret.trim().to_owned()
}

#[actix_rt::test]
async fn acknowledged_means_durable_over_kill_minus_nine() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::start(folder.path());
    let http = Http::new(process.url.clone());
    let (token, _) = http.register("ann").await;
    register_agent(&http, folder.path(), "bot").await;
    let conversation = http.open(&token, "bot").await;
    // Eight senders write until the process dies under them.
    let path = format!("/conversations/{conversation}/messages");
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let (http, path, token) = (http.clone(), path.clone(), token.clone());
            actix_rt::spawn(async move {
                let mut acknowledged = HashMap::new();
                for n in 0.. {
                    let content = format!("{sender}-{n}");
                    let request = http
                        .post(&path)
                        .bearer_auth(&token)
                        .json(&json!({ "content": content }));
                    match request.send().await {
                        Ok(response) if response.status() == 201 => {
                            let Ok(body) = response.json::<serde_json::Value>().await else {
                                break;
                            };
                            acknowledged.insert(content, body["seq"].as_i64().expect("a seq"));
                        }
                        _ => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let started = std::time::Instant::now();
    while http.history(&token, &conversation).await.len() < 200 {
        assert!(started.elapsed() < PATIENCE, "messages are stored");
    }
    process.kill_minus_nine();
    let mut acknowledged = HashMap::new();
    for sender in senders {
        acknowledged.extend(sender.await.expect("no panic"));
    }
    assert!(acknowledged.len() >= 100);
    let process = Process::start(folder.path());
    let history = Http::new(process.url.clone())
        .history(&token, &conversation)
        .await;
    let mut stored = HashMap::new();
    for (index, row) in history.iter().enumerate() {
        let seq = row["seq"].as_i64().expect("a seq");
        assert_eq!(seq, index as i64 + 1, "gap-free from 1");
        let content = row["content"].as_str().expect("content").to_owned();
        assert!(stored.insert(content, seq).is_none(), "stored once");
    }
    for (content, seq) in &acknowledged {
        assert_eq!(stored.get(content), Some(seq), "{content} was acknowledged");
    }
    process.kill_minus_nine();
}

#[actix_rt::test]
async fn nothing_is_done_twice_even_over_a_restart() {
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
    let path = format!("/conversations/{conversation}/messages");
    let once = json!({ "content": "once", "client_msg_id": "only" });
    let first = http
        .send(http.post(&path).bearer_auth(&token).json(&once))
        .await
        .ok();
    server.stop();
    let server = TestServer::with(Options {
        data,
        ..Options::default()
    });
    let http = server.http();
    let again = http
        .send(http.post(&path).bearer_auth(&token).json(&once))
        .await
        .ok();
    assert_eq!(first.json["id"], again.json["id"]);
    assert_eq!(http.history(&token, &conversation).await.len(), 1);
}

#[actix_rt::test]
async fn order_is_one_on_every_device_whoever_sends() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut agent = Socket::agent(&server, "bot", Some("v2")).await;
    agent.send(json!({ "type": "resume" })).await;
    let conversation = http.open(&token, "bot").await;
    let mut devices = Vec::new();
    for name in ["phone", "laptop", "tablet"] {
        devices.push(Socket::user_v2(&server, &token, name).await);
    }
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let (http, token, conversation) = (http.clone(), token.clone(), conversation.clone());
            actix_rt::spawn(async move {
                for n in 0..50 {
                    http.say(&token, &conversation, &format!("{sender}-{n}"))
                        .await
                        .ok();
                }
            })
        })
        .collect();
    for _ in 0..50 {
        agent.say(&conversation, "from the agent").await;
    }
    for sender in senders {
        sender.await.expect("no panic");
    }
    let history = http.history(&token, &conversation).await;
    assert_eq!(history.len(), 250);
    let times: Vec<_> = history
        .iter()
        .map(|row| row["created_at"].as_str().expect("a time"))
        .collect();
    assert!(
        times.windows(2).all(|pair| pair[0] < pair[1]),
        "created_at strictly increases"
    );
    for device in &mut devices {
        for row in &history {
            let frame = device.expect("message").await;
            assert_eq!(
                (&frame["data"]["seq"], &frame["data"]["content"]),
                (&row["seq"], &row["content"])
            );
        }
    }
}

#[actix_rt::test]
async fn nothing_is_lost_or_reordered_when_replay_races_with_live_traffic() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    for round in 0..5 {
        let mut ann = Socket::user(&server, &token, "", Some("v1")).await;
        let writing = {
            let conversation = conversation.clone();
            actix_rt::spawn(async move {
                for n in 0..1000 {
                    ann.say(&conversation, &format!("{round}-{n}")).await;
                }
                for _ in 0..1000 {
                    ann.expect("message_sent").await;
                }
            })
        };
        let mut agent = Socket::agent(&server, "bot", Some("v2")).await;
        let mut positions = serde_json::Map::new();
        positions.insert(conversation.clone(), json!({ "seq": round * 1000 }));
        agent
            .send(json!({ "type": "resume", "data": { "positions": positions } }))
            .await;
        for n in 0..1000 {
            let frame = agent.expect("message").await;
            assert_eq!(frame["data"]["seq"], round * 1000 + n + 1);
            assert_eq!(frame["data"]["content"], format!("{round}-{n}"));
        }
        writing.await.expect("no panic");
    }
}

#[actix_rt::test]
async fn a_reader_that_stops_loses_its_socket_and_not_its_messages() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    http.register_agent("bot").await;
    let conversation = http.open(&token, "bot").await;
    let stalled = Socket::user_v2(&server, &token, "stalled").await;
    let mut other = Socket::user_v2(&server, &token, "other").await;
    let body = "x".repeat(16 * 1024);
    let mut agent = Socket::agent(&server, "bot", None).await;
    for _ in 0..1500 {
        agent.say(&conversation, &body).await;
    }
    for seq in 1..=1500 {
        assert_eq!(other.expect("message").await["data"]["seq"], seq);
    }
    // Its kernel buffers are full by now; ten seconds later the server lets go of it.
    let before = server.directory().counts().user_sessions;
    assert_eq!(before, 2);
    let deadline = std::time::Instant::now() + PATIENCE;
    while server.directory().counts().user_sessions == before {
        assert!(
            std::time::Instant::now() < deadline,
            "the stalled socket is ended"
        );
        other.frames_until_heartbeat().await;
    }
    drop(stalled);
    let mut back = Socket::user_v2(&server, &token, "stalled").await;
    for seq in 1..=1500 {
        assert_eq!(back.expect("message").await["data"]["seq"], seq);
    }
}

#[actix_rt::test]
async fn a_batch_larger_than_every_queue_is_acknowledged_whole() {
    let server = TestServer::start();
    let http = server.http();
    let (token, _) = http.register("ann").await;
    let mut agent = Socket::agent(&server, "bot", Some("v2")).await;
    agent.send(json!({ "type": "resume" })).await;
    let conversation = http.open(&token, "bot").await;
    let mut writing = Vec::new();
    for sender in 0..SENDERS {
        let mut ann = Socket::user(
            &server,
            &token,
            &format!("&device_id=d{sender}"),
            Some("v1"),
        )
        .await;
        let conversation = conversation.clone();
        writing.push(actix_rt::spawn(async move {
            for n in 0..EACH {
                ann.say(&conversation, &format!("{sender} {n}")).await;
            }
            let mut acked = 0;
            let mut overloaded = 0;
            while acked + overloaded < EACH {
                let frame = ann.next().await.expect("open");
                match frame["type"].as_str() {
                    Some("message_sent") => acked += 1,
                    Some("error") => {
                        assert_eq!(frame["data"]["code"], "overloaded");
                        overloaded += 1;
                    }
                    _ => {}
                }
            }
            acked
        }));
    }
    let mut acked = 0;
    for writing in writing {
        acked += writing.await.expect("no panic");
    }
    assert_eq!(http.history(&token, &conversation).await.len(), acked);
    for seq in 1..=acked {
        assert_eq!(agent.expect("message").await["data"]["seq"], seq);
    }
}

#[test]
fn secure_without_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let first = Process::start(&data);
    let secret = std::fs::read_to_string(data.join("agent.secret")).expect("made");
    assert!(
        first
            .printed
            .iter()
            .any(|line| line.contains(secret.trim())),
        "shown once"
    );
    for name in [
        "agent.secret",
        "jwt.key",
        "admin.secret",
        "agent-messenger.db",
    ] {
        let mode = std::fs::metadata(data.join(name))
            .expect("made")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name} is for its owner only");
    }
    first.kill_minus_nine();
    let second = Process::start(&data);
    assert!(
        second
            .printed
            .iter()
            .all(|line| !line.contains(secret.trim())),
        "and never again"
    );
    second.kill_minus_nine();
}

/// The same on the second backend.
mod on_postgres {
    harness::also_on_postgres! {
        nothing_is_done_twice_even_over_a_restart,
        order_is_one_on_every_device_whoever_sends,
        nothing_is_lost_or_reordered_when_replay_races_with_live_traffic,
        a_batch_larger_than_every_queue_is_acknowledged_whole,
    }
}

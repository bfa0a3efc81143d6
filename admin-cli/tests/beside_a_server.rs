//! `am-admin` beside a running server: through its administration, or not at all.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use harness::{ADMIN_SECRET, Socket, TestServer};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the tool on the server's data directory.
fn run(data: &Path, secret: &str, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_am-admin"))
        .arg("--json")
        .args(args)
        .env_clear()
        .env("DATA_DIR", data)
        .env("ADMIN_SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

/// Off this thread, which serves nobody but must not block the clients on it.
async fn json(server: &TestServer, args: &[&str], input: &str) -> Value {
    let (data, input) = (server.data().to_path_buf(), input.to_owned());
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        tell.send(run(&data, ADMIN_SECRET, &args, &input)).ok();
    });
    let output = told.await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[actix_rt::test]
async fn everything_goes_through_the_server_that_uses_the_database() {
    let server = TestServer::start();
    let http = server.http();
    let made = json(
        &server,
        &["create-user", "ada", "--role", "owner"],
        "a good password\n",
    )
    .await;
    assert_eq!(made["role"], "owner");
    let token = http.log_in("ada").await;
    let agent = json(&server, &["create-agent", "bot", "--model", "m1"], "").await;
    let mut socket = Socket::user(&server, &token, "&device_id=phone", Some("v1")).await;
    let sessions = json(&server, &["sessions"], "").await;
    assert_eq!(sessions[0]["device_id"], "phone");
    let kicked = json(&server, &["kick", "--user", "ada", "--yes"], "").await;
    assert_eq!(kicked["kicked"], 1);
    assert_eq!(socket.closed().await.code, Some(4009));
    let renewed = json(&server, &["reset-apikey", "bot", "--yes"], "").await;
    assert_ne!(renewed["agent_token"], agent["agent_token"]);
    assert_eq!(
        json(&server, &["list-agents"], "").await[0]["status"],
        "offline"
    );
    json(&server, &["reset-password", "ada"], "another password\n").await;
    let old = http
        .send(http.get("/conversations").bearer_auth(&token))
        .await;
    assert_eq!(old.status, 401);
    let invite = json(&server, &["invite"], "").await;
    let id = invite["invite_id"].as_str().unwrap();
    json(&server, &["revoke-invite", id], "").await;
    json(&server, &["ban", "--agent", "bot", "--yes"], "").await;
    assert_eq!(json(&server, &["list-agents"], "").await[0]["banned"], true);
}

#[test]
fn without_the_secret_or_the_address_it_refuses_and_changes_nothing() {
    let server = TestServer::start();
    let make = ["create-user", "eve"];
    let wrong = run(
        server.data(),
        "a-wrong-admin-secret",
        &make,
        "a good password\n",
    );
    assert_eq!(wrong.status.code(), Some(3));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("not reachable from here"), "{said}");
    let named = ["--url", &server.admin_url(), "list-users"];
    let output = run(server.data(), ADMIN_SECRET, &named, "");
    let users: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(users, Value::Array(vec![]), "eve was not made");
    let nobody = run(
        server.data(),
        ADMIN_SECRET,
        &["--url", "http://127.0.0.1:1", "sessions"],
        "",
    );
    assert_eq!(nobody.status.code(), Some(1));
    let address = server.data().join("admin.url");
    assert!(address.exists());
    server.stop();
    assert!(!address.exists(), "the next tool opens the database itself");
}

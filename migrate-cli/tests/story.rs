//! `am-migrate` as an operator meets it: the real binary on real files.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use protocol::{AgentId, ConversationId, EntryKind, Position, UserId};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use store::{
    AgentFields, Append, BatchPermit, Clock, CommitSink, ConversationKey, NewDirect, NewEntry,
    NewUser,
};
use store::{
    Outcome, Overwrite, PositionUpdate, Principal, Role, Store, StoreConfig, SystemClock, UserKey,
};
use tempfile::TempDir;

/// Passes the outcomes on to the test.
struct Heard(std::sync::Mutex<Sender<Outcome>>);

impl CommitSink for Heard {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, outcomes: Vec<Outcome>) {
        let sender = self.0.lock().unwrap();
        for outcome in outcomes {
            drop(sender.send(outcome));
        }
    }
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("agent-messenger.db")
    }

    fn run(&self, args: &[&str]) -> Output {
        let db = self.db();
        let mut all = vec!["--db", db.to_str().unwrap()];
        all.extend(args);
        run_raw(self.folder.path(), &all)
    }

    fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.run(&all);
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn open(&self) -> (Store, Receiver<Outcome>) {
        let (sender, outcomes) = channel();
        let sink = Arc::new(Heard(std::sync::Mutex::new(sender)));
        (
            Store::open(StoreConfig::at(self.db()), Arc::new(SystemClock), sink).unwrap(),
            outcomes,
        )
    }

    /// A user, an agent, and a conversation with three messages.
    fn fill(&self) -> (ConversationKey, UserKey) {
        let (store, outcomes) = self.open();
        let made = block_on(store.write(|conn| {
            let id = UserId::parse(store::random_id("user_")?).unwrap();
            let new = NewUser {
                public_id: id,
                username: "ada".into(),
                password_hash: "-".into(),
                role: Role::Member,
            };
            let user = store::user::insert(conn, new)?.key;
            let bot = AgentId::parse("bot").unwrap();
            let agent = store::agent::upsert(conn, &bot, AgentFields::default(), Overwrite::All)?
                .0
                .key;
            let public_id = ConversationId::parse(store::random_id("conv_")?).unwrap();
            let new = NewDirect {
                public_id,
                user,
                agent,
                title: None,
            };
            Ok((store::conversation::create_direct(conn, new)?.key, user))
        }));
        let (conversation, user) = made.unwrap();
        for tag in 0..3 {
            let entry = Arc::new(NewEntry {
                kind: EntryKind::Message,
                sender: Principal::user(user),
                device: None,
                client_msg_id: None,
                content: format!("message {tag}").into(),
                metadata: None,
            });
            store
                .append(Append {
                    conversation,
                    tag,
                    entry,
                })
                .unwrap();
            assert!(
                outcomes
                    .recv_timeout(Duration::from_secs(10))
                    .unwrap()
                    .result
                    .is_ok()
            );
        }
        store.close();
        (conversation, user)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn run_raw(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_am-migrate"))
        .args(args)
        .current_dir(folder)
        .env_remove("DB_PATH")
        .env_remove("DATA_DIR")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn length(value: &Value) -> usize {
    value.as_array().unwrap().len()
}

#[test]
fn up_makes_the_schema_and_a_second_up_finds_nothing_to_do() {
    let place = Place::new();
    let first = place.json(&["up"]);
    assert!(length(&first["changed"]) > 0);
    assert_eq!(first["pending"], Value::Array(vec![]));
    let second = place.json(&["up"]);
    assert_eq!(length(&second["changed"]), 0);
    assert_eq!(second["applied"], first["applied"]);
    place.open().0.close();
}

#[test]
fn down_undoes_only_when_it_is_meant_and_up_brings_an_empty_schema_back() {
    let place = Place::new();
    place.fill();
    let applied = length(&place.json(&["status"])["applied"]);
    let all = applied.to_string();
    let unsure = place.run(&["down", &all]);
    assert_eq!(code(&unsure), 2);
    assert!(stderr(&unsure).contains("--yes"), "{}", stderr(&unsure));
    assert_eq!(
        length(&place.json(&["status"])["applied"]),
        applied,
        "nothing was undone"
    );

    let too_many = place.run(&["down", &(applied + 1).to_string(), "--yes"]);
    assert_eq!(code(&too_many), 1);
    assert_eq!(
        length(&place.json(&["status"])["applied"]),
        applied,
        "nothing was undone"
    );

    let down = place.json(&["down", &all, "--yes"]);
    assert_eq!(length(&down["applied"]), 0);
    assert_eq!(length(&down["changed"]), applied);
    let up = place.json(&["up"]);
    assert_eq!(length(&up["applied"]), applied);
    let (store, _) = place.open();
    assert_eq!(block_on(store.read(store::user::count)), Ok(0));
    store.close();
}

#[test]
fn the_old_command_line_does_the_same() {
    let place = Place::new();
    let db = place.db();
    let old = |args: &[&str]| {
        let mut all = vec!["-db", db.to_str().unwrap()];
        all.extend(args);
        run_raw(place.folder.path(), &all)
    };
    assert_eq!(code(&old(&["-action", "up"])), 0);
    let status = old(&["-action", "status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("up to date"));
    assert_eq!(
        code(&old(&["-action", "down", "-target", "0"])),
        2,
        "--yes is still needed"
    );
    assert_eq!(code(&old(&["-action", "down", "-target", "0", "--yes"])), 0);
    assert_eq!(length(&place.json(&["status"])["applied"]), 0);
    assert_eq!(code(&old(&["-action", "sideways"])), 2);
    assert_eq!(code(&old(&["-action", "up", "-target", "800"])), 1);
}

#[test]
fn status_and_verify_of_a_database_that_is_not_there_make_none() {
    let place = Place::new();
    for args in [["status", "--json"], ["verify", "--json"], ["down", "1"]] {
        let output = place.run(&args);
        assert_eq!(code(&output), 4, "{args:?}: {}", stderr(&output));
    }
    assert!(!place.db().exists());
}

#[test]
fn a_running_server_keeps_the_tool_out_and_nothing_changes() {
    let place = Place::new();
    place.fill();
    let (server, _) = place.open();
    for args in [
        vec!["up"],
        vec!["status"],
        vec!["verify"],
        vec!["down", "1", "--yes"],
    ] {
        let output = place.run(&args);
        assert_eq!(code(&output), 3, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("stop it"), "{}", stderr(&output));
    }
    assert_eq!(block_on(server.read(store::user::count)), Ok(1));
    server.close();
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    std::fs::write(place.db(), "notes\n".repeat(1000)).unwrap();
    let before = std::fs::read(place.db()).unwrap();
    for args in [
        vec!["up"],
        vec!["status"],
        vec!["verify"],
        vec!["down", "1", "--yes"],
    ] {
        assert_eq!(code(&place.run(&args)), 4, "{args:?}");
    }
    assert_eq!(std::fs::read(place.db()).unwrap(), before);
}

#[test]
fn verify_passes_a_whole_log_and_names_what_is_wrong_with_another() {
    let place = Place::new();
    let (conversation, user) = place.fill();
    assert_eq!(place.json(&["verify"])["problems"], Value::Array(vec![]));

    let (store, _) = place.open();
    let now = SystemClock.now();
    let device = block_on(store.write(move |conn| {
        store::device::find_or_create(conn, Principal::user(user), "phone", now)
    }));
    let ahead = PositionUpdate {
        device: device.unwrap().key,
        conversation,
        position: Position { seq: 99, rev: 0 },
    };
    store.save_positions(vec![ahead]).unwrap();
    store.close();

    let output = place.run(&["--json", "verify"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(length(&found["problems"]), 1);
    assert!(
        found["problems"][0]
            .as_str()
            .unwrap()
            .contains("ahead of the log")
    );
}

#[test]
fn verify_leaves_an_old_schema_alone() {
    let place = Place::new();
    let applied = length(&place.json(&["up"])["applied"]);
    place.json(&["down", &applied.to_string(), "--yes"]);
    assert_eq!(code(&place.run(&["verify"])), 1);
    assert_eq!(length(&place.json(&["status"])["applied"]), 0);
}

#[test]
fn a_database_of_postgresql_goes_up_is_whole_and_goes_down() {
    let Ok(server) = std::env::var("AM_TEST_POSTGRES") else {
        let all = std::env::var_os("AM_TEST_ALL");
        assert!(all.is_none(), "AM_TEST_POSTGRES is not set");
        return;
    };
    let database = store::scratch::Scratch::make(&server).unwrap();
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_am-migrate"))
            .args(["--json", "--db", database.url().expose()])
            .args(args)
            .env_remove("DATABASE_URL")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {error}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let up = run(&["up"]);
    let all = up["applied"].as_array().unwrap().len();
    assert!(all > 0);
    assert_eq!(run(&["status"])["pending"], serde_json::json!([]));
    assert_eq!(run(&["verify"])["problems"], serde_json::json!([]));
    let down = run(&["down", &all.to_string(), "--yes"]);
    assert_eq!(down["pending"].as_array().unwrap().len(), all);
    assert!(!up["database"].as_str().unwrap().contains("***"));
}

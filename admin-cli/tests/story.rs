//! `am-admin` as an operator meets it: the real binary on real files.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use store::{
    BatchPermit, Clock, CommitSink, Conn, Outcome, Store, StoreConfig, StoreError, SystemClock,
};
use tempfile::TempDir;

struct NobodyListens;

impl CommitSink for NobodyListens {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, _outcomes: Vec<Outcome>) {}
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

    /// Runs `am-admin` with the file of this place and `input` on standard input.
    fn run(&self, args: &[&str], input: &str) -> Output {
        let db = self.db();
        let mut all = vec!["--db", db.to_str().unwrap()];
        all.extend(args);
        run_raw(self.folder.path(), &all, input)
    }

    /// The JSON result of a command that must succeed.
    fn json(&self, args: &[&str], input: &str) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.run(&all, input);
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn open(&self) -> Store {
        Store::open(
            StoreConfig::at(self.db()),
            Arc::new(SystemClock),
            Arc::new(NobodyListens),
        )
        .unwrap()
    }

    /// Looks into the file with the store's own functions.
    fn look<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let store = self.open();
        let result = runtime.block_on(store.write(f));
        store.close();
        result
    }
}

fn run_raw(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_am-admin"))
        .args(args)
        .current_dir(folder)
        .env_remove("DB_PATH")
        .env_remove("DATA_DIR")
        .env_remove("DATABASE_URL")
        .env_remove("AM_ADMIN_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses before it reads closes the pipe first.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sha256(text: &Value) -> [u8; 32] {
    Sha256::digest(text.as_str().unwrap().as_bytes()).into()
}

#[test]
fn a_created_user_is_listed_and_the_password_verifies() {
    let place = Place::new();
    let made = place.json(
        &["create-user", "ada", "--role", "owner"],
        "correct-horse\n",
    );
    assert_eq!(made["username"], "ada");
    assert_eq!(made["role"], "owner");
    assert!(made["user_id"].as_str().unwrap().starts_with("user_"));
    assert_eq!(place.json(&["list-users"], ""), Value::Array(vec![made]));

    let row = place
        .look(|conn| store::user::find_by_name(conn, "ada"))
        .unwrap()
        .unwrap();
    assert!(
        row.password_hash.starts_with("$argon2id$"),
        "{}",
        row.password_hash
    );
    let hash = PasswordHash::new(&row.password_hash).unwrap();
    assert!(
        Argon2::default()
            .verify_password(b"correct-horse", &hash)
            .is_ok()
    );
    assert!(
        Argon2::default()
            .verify_password(b"correct-horsf", &hash)
            .is_err()
    );
}

#[test]
fn without_a_terminal_values_come_from_standard_input_in_the_order_of_the_questions() {
    let place = Place::new();
    let user = place.json(&["create-user"], "grace\ncorrect-horse\n");
    assert_eq!(user["username"], "grace");
    let agent = place.json(&["create-agent"], "bot.one\nBot\n\nfriendly\n");
    assert_eq!(agent["agent_id"], "bot.one");
    assert_eq!(agent["name"], "Bot");
    assert_eq!(agent["model"], "");
    assert_eq!(agent["personality"], "friendly");
}

#[test]
fn a_second_user_of_the_same_name_is_refused_and_the_first_is_untouched() {
    let place = Place::new();
    let first = place.json(&["create-user", "ada"], "correct-horse\n");
    let second = place.run(&["create-user", "ada"], "another-horse\n");
    assert_eq!(code(&second), 1);
    assert!(
        stderr(&second).contains("ada exists already"),
        "{}",
        stderr(&second)
    );
    assert!(second.stdout.is_empty());
    assert_eq!(place.json(&["list-users"], ""), Value::Array(vec![first]));
}

#[test]
fn names_and_passwords_that_the_server_would_refuse_are_refused_before_anything_is_made() {
    let place = Place::new();
    for (name, password) in [
        ("a", "correct-horse"),
        ("a b c", "correct-horse"),
        ("ada", "short"),
        ("ada", "x".repeat(129).as_str()),
    ] {
        let output = place.run(&["create-user", name], &format!("{password}\n"));
        assert_eq!(code(&output), 1, "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("must be"), "{}", stderr(&output));
        assert!(
            !stderr(&output).contains(password),
            "the password is never printed"
        );
    }
    assert!(!place.db().exists());
}

#[test]
fn what_is_missing_without_a_terminal_is_a_usage_error() {
    let place = Place::new();
    for (args, input) in [
        (vec!["create-user"], ""),
        (vec!["create-user", "ada"], ""),
        (vec!["create-agent"], "\n"),
        (vec!["reset-agent-token", "bot"], ""),
        (vec!["no-such-command"], ""),
        (vec![], ""),
    ] {
        assert_eq!(code(&place.run(&args, input)), 2, "{args:?}");
    }
    assert!(!place.db().exists());
}

#[test]
fn a_running_server_keeps_the_tool_out_and_nothing_changes() {
    let place = Place::new();
    place.json(&["create-user", "ada"], "correct-horse\n");
    let server = place.open();
    for (args, input) in [
        (vec!["create-user", "eve"], "correct-horse\n"),
        (vec!["list-users"], ""),
        (vec!["invite"], ""),
    ] {
        let output = place.run(&args, input);
        assert_eq!(code(&output), 3, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("stop it"), "{}", stderr(&output));
    }
    server.close();
    drop(server);
    assert_eq!(place.json(&["list-users"], "").as_array().unwrap().len(), 1);
}

#[test]
fn a_list_of_a_database_that_is_not_there_makes_none() {
    let place = Place::new();
    let output = place.run(&["list-users"], "");
    assert_eq!(code(&output), 4);
    assert!(
        stderr(&output).contains("no database"),
        "{}",
        stderr(&output)
    );
    assert!(!place.db().exists());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    std::fs::write(
        place.db(),
        "these are my notes, not a database\n".repeat(100),
    )
    .unwrap();
    let before = std::fs::read(place.db()).unwrap();
    let output = place.run(&["create-user", "ada"], "correct-horse\n");
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert_eq!(std::fs::read(place.db()).unwrap(), before);
}

#[test]
fn an_agents_token_is_shown_once_and_stored_as_a_hash() {
    let place = Place::new();
    let made = place.json(&["create-agent", "bot", "--model", "small"], "");
    let row = place
        .look(|conn| store::agent::find(conn, &protocol::AgentId::parse("bot").unwrap()))
        .unwrap()
        .unwrap();
    assert_eq!(row.token_hash, Some(sha256(&made["agent_token"])));
    assert_eq!(row.name, "bot");
    let listed = place.json(&["list-agents"], "");
    assert_eq!(listed[0]["model"], "small");
    assert!(
        !listed
            .to_string()
            .contains(made["agent_token"].as_str().unwrap())
    );

    let again = place.run(&["create-agent", "bot"], "");
    assert_eq!(code(&again), 1);
    let row = place
        .look(|conn| store::agent::find(conn, &protocol::AgentId::parse("bot").unwrap()))
        .unwrap()
        .unwrap();
    assert_eq!(
        row.token_hash,
        Some(sha256(&made["agent_token"])),
        "the refused command changed nothing"
    );
}

#[test]
fn a_reset_replaces_the_token_and_only_when_it_is_meant() {
    let place = Place::new();
    let made = place.json(&["create-agent", "bot"], "");
    let unsure = place.run(&["reset-agent-token", "bot"], "y\n");
    assert_eq!(code(&unsure), 2, "a piped yes is not a terminal's");
    let reset = place.json(&["reset-agent-token", "bot", "--yes"], "");
    assert_ne!(reset["agent_token"], made["agent_token"]);
    let row = place
        .look(|conn| store::agent::find(conn, &protocol::AgentId::parse("bot").unwrap()))
        .unwrap()
        .unwrap();
    assert_eq!(row.token_hash, Some(sha256(&reset["agent_token"])));
    assert_eq!(
        code(&place.run(&["reset-agent-token", "nobody", "--yes"], "")),
        1
    );
}

#[test]
fn an_invite_lets_one_person_in_until_it_ends() {
    let place = Place::new();
    let made = place.json(&["invite", "--role", "admin", "--days", "2"], "");
    let hash = sha256(&made["invite"]);
    let now = SystemClock.now();
    let late = now.plus_micros(3 * 24 * 60 * 60 * 1_000_000);
    assert_eq!(
        place.look(move |conn| store::invite::take(conn, hash, late, None)),
        Err(StoreError::NotFound)
    );
    assert_eq!(
        place.look(move |conn| store::invite::take(conn, hash, now, None)),
        Ok(store::Role::Admin)
    );
    assert_eq!(
        place.look(move |conn| store::invite::take(conn, hash, now, None)),
        Err(StoreError::NotFound)
    );
}

#[test]
fn the_old_spelling_of_the_database_flag_and_the_data_directory_name_the_same_file() {
    let place = Place::new();
    let folder = place.folder.path();
    let made = run_raw(
        folder,
        &["-db", "data/agent-messenger.db", "create-user", "ada"],
        "correct-horse\n",
    );
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let listed = run_raw(folder, &["list-users"], "");
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("ada"),
        "{}",
        stderr(&listed)
    );
}

#[test]
fn errors_are_json_for_scripts_and_name_the_exit_code() {
    let place = Place::new();
    let output = place.run(&["--json", "list-agents"], "");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["exit"], 4);
    assert_eq!(code(&output), 4);
}

#[test]
fn the_help_lists_the_exit_codes() {
    let place = Place::new();
    let output = place.run(&["--help"], "");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code(&output), 0);
    for line in [
        "0  done",
        "2  the command line",
        "3  a server is using",
        "4  the database cannot",
    ] {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn passwords_roles_and_bans_are_changed_and_the_last_owner_stays() {
    let place = Place::new();
    let ada = place.json(
        &["create-user", "ada", "--role", "owner"],
        "correct-horse\n",
    );
    place.json(&["create-user", "eve"], "correct-horse\n");
    let user = ada["user_id"].as_str().unwrap();
    let kept = place.run(&["grant", user, "member"], "");
    assert_eq!(code(&kept), 1);
    assert!(stderr(&kept).contains("last owner"), "{}", stderr(&kept));
    assert_eq!(place.json(&["grant", "eve", "owner"], "")["role"], "owner");
    assert_eq!(
        place.json(&["grant", "ada", "member"], "")["role"],
        "member"
    );
    place.json(&["reset-password", "ada"], "another-horse\n");
    let row = place
        .look(|conn| store::user::find_by_name(conn, "ada"))
        .unwrap()
        .unwrap();
    let hash = PasswordHash::new(&row.password_hash).unwrap();
    let same = Argon2::default().verify_password(b"another-horse", &hash);
    assert!(same.is_ok());
    assert_eq!(code(&place.run(&["ban", "--user", "ada"], "")), 2, "--yes");
    place.json(&["ban", "--user", "ada", "--reason", "spam", "--yes"], "");
    assert_eq!(place.json(&["list-users"], "")[0]["banned"], true);
    place.json(&["unban", "--user", "ada"], "");
    assert_eq!(place.json(&["list-users"], "")[0]["banned"], false);
    assert_eq!(code(&place.run(&["grant", "nobody", "admin"], "")), 1);
}

#[test]
fn invites_are_listed_without_their_text_and_taken_back() {
    let place = Place::new();
    let made = place.json(&["invite"], "");
    let listed = place.json(&["list-invites"], "");
    assert_eq!(listed[0]["invite_id"], made["invite_id"]);
    assert!(
        !listed
            .to_string()
            .contains(made["invite"].as_str().unwrap())
    );
    let id = made["invite_id"].as_str().unwrap();
    place.json(&["revoke-invite", id], "");
    assert_eq!(place.json(&["list-invites"], ""), Value::Array(vec![]));
    assert_eq!(code(&place.run(&["revoke-invite", id], "")), 1);
}

#[test]
fn completions_and_the_manual_come_from_the_definition() {
    let place = Place::new();
    for (args, said) in [
        (vec!["completions", "bash"], "reset-agent-token"),
        (vec!["completions", "fish"], "create-user"),
        (vec!["man"], ".TH am-admin"),
        (vec!["man"], "RESET\\-PASSWORD"),
    ] {
        let output = place.run(&args, "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(code(&output), 0, "{args:?}");
        assert!(
            text.contains(said) || text.contains(&said.replace('\\', "")),
            "{args:?}"
        );
    }
}

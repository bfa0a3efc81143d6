//! The frames of every variant as files: what is on the wire today stays readable for ever. The
//! test fails when a frame drifts, and when a file is missing or left over. `GOLDEN=write` in the
//! environment writes them anew, for a change that is meant.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use am_protocol::event::{Change, Connected, Refusal, Sent};
use am_protocol::messenger::{Variant, decode, encode, encode_android_echo};
use am_protocol::{
    AgentId, ChangeKind, ClientMsgId, ConversationId, Entry, EntryKind, ErrorCode, Event,
    MessageId, Party, Position, PrincipalKind, Timestamp, UserId,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const AT: Timestamp = Timestamp::from_micros(1_795_219_200_123_456);

fn conversation() -> ConversationId {
    ConversationId::parse("conv_one").expect("an id")
}

fn entry(from: PrincipalKind) -> Entry {
    let (user, agent) = (
        Party::new(PrincipalKind::User, "user_ann"),
        Party::new(PrincipalKind::Agent, "bot"),
    );
    let (sender, recipient) = if from == PrincipalKind::User {
        (user, agent)
    } else {
        (agent, user)
    };
    Entry {
        id: MessageId::from_i64(42),
        conversation: conversation(),
        seq: 7,
        kind: EntryKind::Message,
        sender,
        recipient: Some(recipient),
        content: "say \"hi\" <b>\u{1F44B}</b>\n".into(),
        metadata: Some(r#"{"mood":"good"}"#.into()),
        client_msg_id: ClientMsgId::parse("mine-1").ok(),
        created_at: AT,
        edited_at: None,
        deleted_at: None,
    }
}

fn sent(replayed: bool) -> Event {
    Event::Sent(Sent {
        id: MessageId::from_i64(42),
        conversation: conversation(),
        seq: 7,
        at: AT,
        client_msg_id: ClientMsgId::parse("mine-1").ok(),
        replayed,
    })
}

fn entries() -> Vec<(&'static str, Event)> {
    let shown = |entry: Entry| Event::Entry(Arc::new(entry));
    let deleted = Entry {
        deleted_at: Some(AT),
        edited_at: Some(AT),
        ..entry(PrincipalKind::User)
    };
    let system = Entry {
        kind: EntryKind::System,
        ..entry(PrincipalKind::Agent)
    };
    vec![
        ("entry_from_user", shown(entry(PrincipalKind::User))),
        ("entry_from_agent", shown(entry(PrincipalKind::Agent))),
        ("entry_deleted", shown(deleted)),
        ("entry_system", shown(system)),
        ("sent", sent(false)),
        ("sent_replayed", sent(true)),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of every event")]
fn notices() -> Vec<(&'static str, Event)> {
    let agent = || Party::new(PrincipalKind::Agent, "bot");
    let user = || Party::new(PrincipalKind::User, "user_ann");
    let (conv, place) = (conversation(), Position { seq: 7, rev: 2 });
    let connected = |who, device_id, agent_token| {
        Event::Connected(Connected {
            who,
            device_id,
            version: "v1",
            agent_token,
            heartbeat_s: None,
        })
    };
    let status = |conversation| Event::Status {
        sender: agent(),
        status: "busy".into(),
        conversation,
    };
    let refusal = Refusal {
        conversation: Some("conv_one".into()),
        client_msg_id: ClientMsgId::parse("mine-1").ok(),
        retry_after: Some(3),
        ..Refusal::new(ErrorCode::RateLimited)
    };
    let change = Change {
        conversation: conv.clone(),
        rev: 3,
        kind: ChangeKind::Edit,
        message: Some(MessageId::from_i64(42)),
        message_seq: Some(7),
        payload: Some(r#"{"content":"new"}"#.into()),
        at: AT,
    };
    vec![
        (
            "connected_user",
            connected(user(), Some("phone".into()), None),
        ),
        (
            "connected_agent",
            connected(agent(), None, Some("at_shown-once".to_owned())),
        ),
        (
            "typing",
            Event::Typing {
                conversation: conv.clone(),
                sender: agent(),
                typing: true,
            },
        ),
        ("status", status(None)),
        ("status_in_conversation", status(Some(conv.clone()))),
        (
            "presence",
            Event::Presence {
                who: agent(),
                online: true,
            },
        ),
        ("conversation_created", created()),
        (
            "heartbeat_ack",
            Event::HeartbeatAck {
                server_time: AT,
                interval_s: 30,
                timeout_s: 90,
                monitoring: false,
            },
        ),
        ("error", Event::Error(refusal)),
        ("changed", Event::Changed(change)),
        (
            "resumed",
            Event::Resumed {
                positions: BTreeMap::from([(conv.clone(), place)]),
            },
        ),
        (
            "live",
            Event::Live {
                conversation: conv.clone(),
                position: place,
            },
        ),
        (
            "truncated",
            Event::Truncated {
                conversation: conv.clone(),
                from: 1,
                to: 4,
            },
        ),
        (
            "gap",
            Event::Gap {
                conversation: conv.clone(),
                from: 5,
                to: 5,
            },
        ),
        (
            "resync",
            Event::Resync {
                conversation: conv,
                rev: 9,
            },
        ),
        ("auth", Event::Authenticated { expires_at: AT }),
    ]
}

fn created() -> Event {
    Event::ConversationCreated {
        conversation: conversation(),
        user: UserId::parse("user_ann").expect("an id"),
        agent: AgentId::parse("bot").expect("an id"),
    }
}

/// Every file that there should be, with its text: one frame a line.
fn wanted() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for variant in Variant::ALL {
        for (name, event) in entries().into_iter().chain(notices()) {
            let path = PathBuf::from(variant.name()).join(format!("{name}.jsonl"));
            files.insert(path, lines(&encode(&event, variant)));
        }
    }
    let echo = encode_android_echo(&entry(PrincipalKind::User));
    files.insert(PathBuf::from("android/echo.jsonl"), lines(&echo));
    files
}

fn lines(frames: &[bytestring::ByteString]) -> String {
    let mut text = String::new();
    for frame in frames {
        text.push_str(frame);
        text.push('\n');
    }
    text
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn there() -> BTreeSet<PathBuf> {
    let files = Variant::ALL.iter().flat_map(|variant| {
        std::fs::read_dir(folder().join(variant.name()))
            .into_iter()
            .flatten()
    });
    files
        .map(|file| {
            file.expect("readable")
                .path()
                .strip_prefix(folder())
                .expect("inside")
                .to_owned()
        })
        .collect()
}

#[test]
fn frames_do_not_drift() {
    let wanted = wanted();
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        for (path, text) in &wanted {
            let path = folder().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
    }
    assert_eq!(
        there(),
        wanted.keys().cloned().collect(),
        "files that are missing or left over"
    );
    for (path, text) in wanted {
        let golden = std::fs::read_to_string(folder().join(&path)).expect("readable");
        assert_eq!(golden, text, "{}", path.display());
    }
}

/// iOS and Android drop a frame whose keys have other types; messenger-ws 8.11.
#[test]
fn the_keys_that_phones_read_keep_their_types() {
    const TEXT: [&str; 7] = [
        "conversation_id",
        "content",
        "sender_type",
        "sender_id",
        "agent_id",
        "status",
        "message",
    ];
    for (path, text) in wanted() {
        for line in text.lines() {
            let frame: Value = serde_json::from_str(line).expect("JSON");
            let kind = frame["type"].as_str().expect("a type");
            let data = &frame["data"];
            assert!(
                data.is_object() || data.is_null(),
                "{}: data is an object or absent",
                path.display()
            );
            assert!(
                !matches!(kind, "agent_message" | "user_message" | "chat") || data.is_null(),
                "{kind} is flat"
            );
            for key in TEXT {
                assert!(
                    data[key].is_string() || data[key].is_null(),
                    "{}: {key}",
                    path.display()
                );
            }
            assert!(
                data["typing"].is_boolean() || data["typing"].is_null(),
                "{}: typing",
                path.display()
            );
        }
    }
}

#[test]
fn each_kind_of_socket_gets_the_frames_it_reads() {
    let kinds = |variant, event: &Event| -> Vec<String> {
        let frames = encode(event, variant);
        let kind = |frame: &bytestring::ByteString| {
            serde_json::from_str::<Value>(frame).expect("JSON")["type"]
                .as_str()
                .expect("a type")
                .to_owned()
        };
        frames.iter().map(kind).collect()
    };
    let from_agent = Event::Entry(Arc::new(entry(PrincipalKind::Agent)));
    let from_user = Event::Entry(Arc::new(entry(PrincipalKind::User)));
    assert_eq!(kinds(Variant::UserDevice, &from_agent), ["message"]);
    assert_eq!(
        kinds(Variant::UserV1, &from_agent),
        ["message", "agent_message", "chat"]
    );
    assert_eq!(
        kinds(Variant::UserPlain, &from_agent),
        ["message", "agent_message"]
    );
    assert_eq!(
        kinds(Variant::UserPlain, &from_user),
        ["message"],
        "the echo is only ever message"
    );
    assert_eq!(
        kinds(Variant::UserPlain, &sent(false)),
        ["message_sent", "user_message"]
    );
    assert_eq!(kinds(Variant::UserV1, &sent(false)), ["message_sent"]);
    assert_eq!(
        kinds(Variant::AgentPlain, &from_user),
        ["message", "user_message"]
    );
    assert_eq!(kinds(Variant::UserV2, &from_agent), ["message"]);
    assert_eq!(kinds(Variant::AgentPlain, &created()), [""; 0]);
    assert_eq!(
        kinds(Variant::AgentV1, &created()),
        ["conversation_created"]
    );
}

/// What shipped clients send, as they send it.
#[test]
fn the_frames_of_shipped_clients_are_understood() {
    let frames = [
        (
            r#"{"type":"message","data":{"conversation_id":"conv_1","content":"hi","metadata":{"x":1}}}"#,
            true,
        ),
        (
            r#"{"type":"chat","conversation_id":"conv_1","content":"hi"}"#,
            true,
        ),
        (
            r#"{"type":"message","data":{"agent_id":"bot","content":"hi","attachment_ids":[]}}"#,
            false,
        ),
        (
            r#"{"type":"message","data":{"conversation_id":"conv_1","content":"hi","sender_type":"user","sender_id":null,"typing":null,"status":null}}"#,
            false,
        ),
        (
            r#"{"type":"typing","data":{"conversation_id":"conv_1","typing":false}}"#,
            true,
        ),
        (
            r#"{"type":"typing","data":{"conversation_id":"conv_1"}}"#,
            false,
        ),
        (
            r#"{"type":"status","data":{"status":"active","message":"x"}}"#,
            true,
        ),
        (r#"{"type":"heartbeat"}"#, true),
        (
            r#"{"type":"resume","data":{"positions":{"conv_1":{"seq":41,"rev":3}}}}"#,
            false,
        ),
        (r#"{"type":"resume"}"#, false),
        (
            r#"{"type":"ack","data":{"conversation_id":"conv_1","seq":41}}"#,
            false,
        ),
        (r#"{"type":"auth","data":{"token":"a.b.c"}}"#, false),
    ];
    for (frame, agent) in frames {
        assert!(
            decode(frame, agent).is_ok(),
            "{frame}: {:?}",
            decode(frame, agent)
        );
    }
}

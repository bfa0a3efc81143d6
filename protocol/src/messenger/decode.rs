//! Frames as commands. Bodies may be nested under `data` or flat; `null` is like absent, unknown
//! keys are ignored. Whatever is wrong has a stable code and, where the Go messenger had one, its
//! old sentence.

use crate::event::Refusal;
use crate::{
    AgentId, ClientMsgId, Command, ConversationId, ErrorCode, InvalidId, Position, Send, Target,
    limits,
};
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a frame may carry, nested or flat.
#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    conversation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    agent_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    client_msg_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(default)]
    attachment_ids: Option<Vec<String>>,
    #[serde(default)]
    typing: Option<bool>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<i64>,
    #[serde(default)]
    rev: Option<i64>,
    #[serde(borrow, default)]
    positions: Option<&'a RawValue>,
    #[serde(default)]
    token: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads a frame of a user (`agent` false) or an agent.
pub fn decode(text: &str, agent: bool) -> Result<Command, Refusal> {
    const MALFORMED: &str = "invalid message format";
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Refusal::because(ErrorCode::InvalidJson, MALFORMED));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
        let code = if error.is_data() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::InvalidJson
        };
        Refusal::because(code, MALFORMED)
    })?;
    let kind = envelope.kind.as_deref().unwrap_or_default();
    let source = envelope.data.map_or(text, RawValue::get);
    let read = || body(source);
    match kind {
        "message" | "chat" => send(read()?, agent).map(Command::Send),
        "typing" => typing(&read()?),
        "status" => status(&read()?),
        "heartbeat" => Ok(Command::Heartbeat),
        "resume" => resume(&read()?),
        "ack" => ack(&read()?),
        "auth" => auth(read()?),
        other => Err(Refusal::because(
            ErrorCode::UnknownType,
            format!("unknown message type: {}", printable(other)),
        )),
    }
}

/// A type as it may be repeated to its sender.
fn printable(kind: &str) -> String {
    kind.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn body(source: &str) -> Result<Body<'_>, Refusal> {
    serde_json::from_str(source).map_err(|_| invalid("invalid message data"))
}

fn invalid(sentence: impl Into<ByteString>) -> Refusal {
    Refusal::because(ErrorCode::InvalidRequest, sentence)
}

fn of_id(error: InvalidId) -> Refusal {
    invalid(error.0)
}

/// Empty is like absent.
fn given<'a>(text: Option<&'a Cow<'_, str>>) -> Option<&'a str> {
    text.map(|text| &**text).filter(|text| !text.is_empty())
}

fn send(body: Body<'_>, agent: bool) -> Result<Send, Refusal> {
    let refer = |mut refusal: Refusal| {
        refusal.conversation = given(body.conversation_id.as_ref())
            .map(|id| id.chars().take(128).collect::<String>().into());
        refusal.client_msg_id = given(body.client_msg_id.as_ref())
            .and_then(|id| ClientMsgId::parse(id.to_owned()).ok());
        refusal
    };
    let content = content(body.content.as_deref().unwrap_or_default()).map_err(refer)?;
    let target = target(&body, agent).map_err(refer)?;
    let client_msg_id = given(body.client_msg_id.as_ref())
        .map(|id| ClientMsgId::parse(id.to_owned()))
        .transpose()
        .map_err(|error| refer(of_id(error)))?;
    let metadata = metadata(body.metadata).map_err(refer)?;
    let attachment_ids = body.attachment_ids.unwrap_or_default();
    if attachment_ids.len() > 32 {
        return Err(invalid("at most 32 attachment_ids"));
    }
    Ok(Send {
        target,
        content,
        metadata,
        client_msg_id,
        attachment_ids,
    })
}

/// Checks the text of a message: not empty, within the limit, without NUL.
pub fn content(text: &str) -> Result<ByteString, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(ErrorCode::ContentRequired));
    }
    if text.len() > limits::BODY_BYTES {
        return Err(Refusal::because(
            ErrorCode::TooLarge,
            "content is longer than 32 KiB",
        ));
    }
    if text.contains('\0') {
        return Err(invalid("content must not contain NUL"));
    }
    Ok(text.to_owned().into())
}

/// Checks metadata: an object, within the limit.
pub fn metadata(raw: Option<&RawValue>) -> Result<Option<ByteString>, Refusal> {
    let Some(text) = raw.map(RawValue::get).filter(|text| *text != "null") else {
        return Ok(None);
    };
    if !text.starts_with('{') {
        return Err(invalid("metadata must be an object"));
    }
    if text.len() > limits::METADATA_BYTES {
        return Err(Refusal::because(
            ErrorCode::TooLarge,
            "metadata is longer than 8 KiB",
        ));
    }
    Ok(Some(text.to_owned().into()))
}

fn target(body: &Body<'_>, agent: bool) -> Result<Target, Refusal> {
    if let Some(id) = given(body.conversation_id.as_ref()) {
        return conversation(id).map(Target::Conversation);
    }
    match given(body.agent_id.as_ref()) {
        Some(id) if !agent => AgentId::parse(id.to_owned())
            .map(Target::Agent)
            .map_err(of_id),
        _ => Err(Refusal::new(ErrorCode::ConversationRequired)),
    }
}

/// An id that is not well-formed names nothing that exists.
fn conversation(id: &str) -> Result<ConversationId, Refusal> {
    ConversationId::parse(id.to_owned()).map_err(|_| Refusal::new(ErrorCode::ConversationNotFound))
}

fn required(body: &Body<'_>) -> Result<ConversationId, Refusal> {
    let id = given(body.conversation_id.as_ref())
        .ok_or_else(|| Refusal::new(ErrorCode::ConversationRequired))?;
    conversation(id)
}

fn typing(body: &Body<'_>) -> Result<Command, Refusal> {
    Ok(Command::Typing {
        conversation: required(body)?,
        typing: body.typing.unwrap_or(true),
    })
}

fn status(body: &Body<'_>) -> Result<Command, Refusal> {
    let status = given(body.status.as_ref()).ok_or_else(|| invalid("status is required"))?;
    if status.len() > limits::STATUS_BYTES || status.chars().any(char::is_control) {
        return Err(invalid(
            "status must be at most 64 bytes without control characters",
        ));
    }
    let status = if status == "active" {
        ByteString::from_static("online")
    } else {
        status.to_owned().into()
    };
    let conversation = given(body.conversation_id.as_ref())
        .map(conversation)
        .transpose()?;
    Ok(Command::Status {
        status,
        conversation,
    })
}

fn resume(body: &Body<'_>) -> Result<Command, Refusal> {
    let Some(raw) = body
        .positions
        .map(RawValue::get)
        .filter(|text| *text != "null")
    else {
        return Ok(Command::Resume { positions: None });
    };
    let positions: BTreeMap<ConversationId, Position> =
        serde_json::from_str(raw).map_err(|_| {
            invalid("positions must be an object of {\"conv_…\":{\"seq\":0,\"rev\":0}}")
        })?;
    if positions
        .values()
        .any(|position| position.seq < 0 || position.rev < 0)
    {
        return Err(invalid("a position is never negative"));
    }
    Ok(Command::Resume {
        positions: Some(positions),
    })
}

fn ack(body: &Body<'_>) -> Result<Command, Refusal> {
    let seq = body
        .seq
        .filter(|seq| *seq >= 0)
        .ok_or_else(|| invalid("seq is required and never negative"))?;
    let rev = body.rev.unwrap_or(0);
    if rev < 0 {
        return Err(invalid("rev is never negative"));
    }
    Ok(Command::Ack {
        conversation: required(body)?,
        position: Position { seq, rev },
    })
}

fn auth(body: Body<'_>) -> Result<Command, Refusal> {
    let token = body
        .token
        .filter(|token| !token.is_empty())
        .ok_or_else(|| invalid("token is required"))?;
    Ok(Command::Auth { token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> ErrorCode {
        decode(text, false).expect_err("refused").code
    }

    #[test]
    fn nested_and_flat_bodies_mean_the_same() {
        let nested = decode(
            r#"{"type":"message","data":{"conversation_id":"conv_1","content":"hi","metadata":null}}"#,
            false,
        );
        let flat = decode(
            r#"{"type":"chat","conversation_id":"conv_1","content":"hi","extra":{"a":[1]}}"#,
            false,
        );
        assert_eq!(nested, flat);
        assert!(nested.is_ok());
    }

    #[test]
    fn every_wrong_frame_has_its_code() {
        assert_eq!(code("hello"), ErrorCode::InvalidJson);
        assert_eq!(code("[1]"), ErrorCode::InvalidJson);
        assert_eq!(code(r#"{"type":7}"#), ErrorCode::InvalidRequest);
        assert_eq!(code("{}"), ErrorCode::UnknownType);
        assert_eq!(code(r#"{"type":"read"}"#), ErrorCode::UnknownType);
        assert_eq!(
            code(r#"{"type":"message","data":"x"}"#),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            code(r#"{"type":"message","data":{"content":7}}"#),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            code(r#"{"type":"message","data":{"conversation_id":"c"}}"#),
            ErrorCode::ContentRequired
        );
        assert_eq!(
            code(r#"{"type":"message","data":{"content":"x"}}"#),
            ErrorCode::ConversationRequired
        );
        assert_eq!(
            code(r#"{"type":"message","data":{"content":"a\u0000b","conversation_id":"c"}}"#),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            code(
                r#"{"type":"message","data":{"content":"x","conversation_id":"c","metadata":[]}}"#
            ),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            code(r#"{"type":"ack","data":{"conversation_id":"c","seq":-1}}"#),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            code(r#"{"type":"resume","data":{"positions":{"c":{"seq":-1}}}}"#),
            ErrorCode::InvalidRequest
        );
        let long = format!(
            r#"{{"type":"message","data":{{"conversation_id":"c","content":"{}"}}}}"#,
            "x".repeat(limits::BODY_BYTES + 1)
        );
        assert_eq!(code(&long), ErrorCode::TooLarge);
    }

    #[test]
    fn an_agent_must_name_the_conversation_and_a_user_may_name_an_agent() {
        let frame = r#"{"type":"message","data":{"agent_id":"bot","content":"hi"}}"#;
        assert!(matches!(
            decode(frame, false),
            Ok(Command::Send(Send {
                target: Target::Agent(_),
                ..
            }))
        ));
        assert_eq!(
            decode(frame, true).expect_err("refused").code,
            ErrorCode::ConversationRequired
        );
    }

    #[test]
    fn a_refused_message_names_what_it_refers_to() {
        let frame =
            r#"{"type":"message","data":{"conversation_id":"conv_1","client_msg_id":"a1"}}"#;
        let refusal = decode(frame, false).expect_err("refused");
        assert_eq!(refusal.conversation.as_deref(), Some("conv_1"));
        assert_eq!(
            refusal.client_msg_id.map(|id| id.to_string()).as_deref(),
            Some("a1")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_decoder_panic(text in ".{0,200}", agent in any::<bool>()) {
            let _ = decode(&text, agent);
            let _ = decode(&format!(r#"{{"type":"message","data":{text}}}"#), agent);
        }

        #[test]
        fn any_text_survives_the_wire(content in "[^\u{0}]{1,200}") {
            let frame = serde_json::json!({"type": "message", "data": {"conversation_id": "c", "content": content}});
            match decode(&frame.to_string(), false) {
                Ok(Command::Send(send)) => prop_assert_eq!(&*send.content, content.as_str()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

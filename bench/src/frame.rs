//! What the load clients read from the server's frames, of both dialects, and the few frames
//! that they write. Frames and fields that no check needs are skipped.

use serde::Deserialize;

/// A frame that matters to a run.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The first frame of a socket.
    Connected,
    /// The answer to `resume`.
    Resumed,
    /// Somebody's entry, in the one form that every dialect has.
    Message(Told<'a>),
    /// The sender's ack.
    Sent(Told<'a>),
    /// A refusal; its code (or text) and sentence.
    Error(String),
    /// The server says that something was left out; the frame's type.
    Left(&'a str),
    /// A form of what another frame says, or something ephemeral.
    Other,
}

/// The `data` of a message or an ack.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Told<'a> {
    /// Conversation.
    #[serde(default)]
    pub conversation_id: Option<&'a str>,
    /// Text; none in an ack.
    #[serde(default)]
    pub content: Option<&'a str>,
    /// Place in the conversation; v1 messages have none.
    #[serde(default)]
    pub seq: Option<i64>,
    /// The sender's own id, if it gave one.
    #[serde(default)]
    pub client_msg_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    data: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize, Default)]
struct Trouble {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

const FLAT: [&[u8]; 3] = [
    b"{\"type\":\"user_message\"",
    b"{\"type\":\"agent_message\"",
    b"{\"type\":\"chat\"",
];
const MESSAGE: &[u8] = b"{\"type\":\"message\",\"data\":";
const SENT: &[u8] = b"{\"type\":\"message_sent\",\"data\":";

#[derive(Deserialize)]
struct Quick<'a> {
    #[serde(borrow)]
    data: Told<'a>,
}

/// Reads one text frame. Not JSON, or a message without readable data: an error.
pub fn read(text: &[u8]) -> anyhow::Result<Frame<'_>> {
    if FLAT.iter().any(|flat| text.starts_with(flat)) {
        return Ok(Frame::Other);
    }
    let quick = |text| serde_json::from_slice::<Quick<'_>>(text).map(|quick| quick.data);
    if text.starts_with(MESSAGE) {
        return Ok(Frame::Message(quick(text)?));
    }
    if text.starts_with(SENT) {
        return Ok(Frame::Sent(quick(text)?));
    }
    read_any(text)
}

fn read_any(text: &[u8]) -> anyhow::Result<Frame<'_>> {
    let envelope: Envelope<'_> = serde_json::from_slice(text)?;
    let data = envelope.data.map_or("{}", serde_json::value::RawValue::get);
    Ok(match envelope.kind {
        "connected" => Frame::Connected,
        "resumed" => Frame::Resumed,
        "message" => Frame::Message(serde_json::from_str(data)?),
        "message_sent" => Frame::Sent(serde_json::from_str(data)?),
        "truncated" | "gap" | "resync" => Frame::Left(envelope.kind),
        "error" => {
            let trouble: Trouble = serde_json::from_str(data).unwrap_or_default();
            let code = trouble.code.or(trouble.error.clone()).unwrap_or_default();
            let sentence = trouble.message.or(trouble.error).unwrap_or_default();
            Frame::Error(format!("{code}: {sentence}"))
        }
        _ => Frame::Other,
    })
}

/// The beginning of a `message` frame for one conversation, up to the content's first byte.
pub fn message_head(conversation: &str) -> Vec<u8> {
    format!(
        "{{\"type\":\"message\",\"data\":{{\"conversation_id\":\"{conversation}\",\"content\":\""
    )
    .into_bytes()
}

/// What follows the content when there is no `client_msg_id`.
pub const MESSAGE_END: &[u8] = b"\"}}";

/// What follows the content when there is one; the id and [`MESSAGE_END`] follow this.
pub const MESSAGE_ID: &[u8] = b"\",\"client_msg_id\":\"";

/// `resume` from the client's own positions, or from the server's if there are none.
pub fn resume(positions: &[(String, i64)]) -> String {
    if positions.is_empty() {
        return r#"{"type":"resume","data":{}}"#.to_owned();
    }
    let entries: Vec<String> = positions
        .iter()
        .map(|(id, seq)| format!(r#""{id}":{{"seq":{seq},"rev":0}}"#))
        .collect();
    format!(
        r#"{{"type":"resume","data":{{"positions":{{{}}}}}}}"#,
        entries.join(",")
    )
}

/// A cumulative `ack` of one conversation.
pub fn ack(conversation: &str, seq: i64) -> String {
    format!(r#"{{"type":"ack","data":{{"conversation_id":"{conversation}","seq":{seq}}}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_whatever_the_order_of_its_keys() {
        let quick = br#"{"type":"message","data":{"type":"message","conversation_id":"c1","content":"hi","seq":7,"metadata":{"content":"no"}}}"#;
        let slow = br#"{"data":{"seq":7,"content":"hi","conversation_id":"c1"},"type":"message"}"#;
        for text in [quick.as_slice(), slow.as_slice()] {
            let Frame::Message(told) = read(text).unwrap() else {
                panic!("not a message")
            };
            assert_eq!(
                (told.conversation_id, told.content, told.seq),
                (Some("c1"), Some("hi"), Some(7))
            );
        }
    }

    #[test]
    fn flat_forms_are_no_second_delivery() {
        let text = br#"{"type":"user_message","conversation_id":"c1","content":"hi"}"#;
        assert_eq!(read(text).unwrap(), Frame::Other);
    }

    #[test]
    fn a_refusal_names_its_code() {
        let text = br#"{"type":"error","data":{"error":"too much","message":"too much","code":"overloaded"}}"#;
        assert_eq!(
            read(text).unwrap(),
            Frame::Error("overloaded: too much".to_owned())
        );
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(read(b"hello").is_err());
        assert!(read(br#"{"type":"message","data":7}"#).is_err());
    }
}

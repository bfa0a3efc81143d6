//! Ids as they stand on the wire. `MessageId` is a number inside and text outside; the others
//! are text, checked once at the edge, so that what is inside is known to be well-formed.

use crate::limits;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Text that is not an id of the wanted kind; the text says what the kind looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

/// Names one entry of a log for good, and is roughly in time order. Never a cursor: a cursor is
/// a `seq` in one conversation. On the wire `msg_` and 13 characters of Crockford's base32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(i64);

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const MESSAGE_PREFIX: &str = "msg_";
const MESSAGE_DIGITS: usize = 13;

impl MessageId {
    /// From the database's number, which is never negative.
    pub const fn from_i64(number: i64) -> Self {
        Self(number)
    }

    /// The database's number.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// Reads `msg_…`; case does not matter.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        const WRONG: InvalidId = InvalidId("a message id is msg_ and 13 characters of base32");
        let digits = text.strip_prefix(MESSAGE_PREFIX).ok_or(WRONG)?;
        if digits.len() != MESSAGE_DIGITS {
            return Err(WRONG);
        }
        let mut number: u64 = 0;
        for byte in digits.bytes() {
            let lower = byte.to_ascii_lowercase();
            let digit = BASE32.iter().position(|b| *b == lower).ok_or(WRONG)?;
            number = number
                .checked_mul(32)
                .and_then(|n| n.checked_add(digit as u64))
                .ok_or(WRONG)?;
        }
        i64::try_from(number).map(Self).map_err(|_| WRONG)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"msg_0000000000000";
        let mut rest = self.0 as u64;
        for slot in text.iter_mut().rev().take(MESSAGE_DIGITS) {
            *slot = BASE32.get((rest & 31) as usize).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ByteString);

        impl $name {
            /// Checks `text`; the error says what such an id looks like.
            pub fn parse(text: impl Into<ByteString>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), InvalidId> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text of the id, shared.
            pub fn text(&self) -> ByteString {
                self.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Imported ids keep their old text, so any short printable ASCII word is well-formed.
fn public_id(text: &str) -> Result<(), InvalidId> {
    let well_formed = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if well_formed {
        Ok(())
    } else {
        Err(InvalidId("an id is 1 to 128 printable ASCII characters"))
    }
}

fn agent_id(text: &str) -> Result<(), InvalidId> {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-');
    let well_formed =
        (1..=limits::AGENT_ID_CHARS).contains(&text.len()) && text.bytes().all(allowed);
    if well_formed {
        Ok(())
    } else {
        Err(InvalidId(
            "agent_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ -",
        ))
    }
}

fn device_id(text: &str) -> Result<(), InvalidId> {
    let well_formed =
        (1..=limits::DEVICE_ID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    if well_formed {
        Ok(())
    } else {
        Err(InvalidId(
            "device_id must be 1 to 128 bytes without control characters",
        ))
    }
}

fn client_msg_id(text: &str) -> Result<(), InvalidId> {
    let well_formed = (1..=limits::CLIENT_MSG_ID_BYTES).contains(&text.len())
        && !text.chars().any(char::is_control);
    if well_formed {
        Ok(())
    } else {
        Err(InvalidId(
            "client_msg_id must be 1 to 128 bytes without control characters",
        ))
    }
}

text_id!(
    /// A user: `user_` and 128 random bits, or the text of an imported id.
    UserId, public_id);
text_id!(
    /// A conversation: `conv_` and 128 random bits, or the text of an imported id.
    ConversationId, public_id);
text_id!(
    /// A global agent, chosen by whoever runs it: 1 to 128 of `[A-Za-z0-9._:@-]`.
    AgentId, agent_id);
text_id!(
    /// A user's device, chosen by the client: 1 to 128 bytes without control characters.
    DeviceId, device_id);
text_id!(
    /// A sender's own name for one send, so that a repeat is recognised: 1 to 128 bytes.
    ClientMsgId, client_msg_id);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn message_ids_read_back_and_sort_as_numbers(a in 0i64.., b in 0i64..) {
            let (a, b) = (MessageId::from_i64(a), MessageId::from_i64(b));
            prop_assert_eq!(MessageId::parse(&a.to_string()), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = MessageId::parse(&text);
            let _ = AgentId::parse(text.clone());
            let _ = ConversationId::parse(text);
        }
    }

    #[test]
    fn ids_of_the_wrong_kind_are_refused() {
        assert!(MessageId::parse("conv_0000000000000").is_err());
        assert!(MessageId::parse("msg_000000000000").is_err());
        assert!(MessageId::parse("msg_zzzzzzzzzzzzz").is_err());
        assert!(AgentId::parse("").is_err());
        assert!(AgentId::parse("a b").is_err());
        assert!(AgentId::parse("bot.one:x@y-1").is_ok());
        assert!(ClientMsgId::parse("x\u{0}").is_err());
        assert!(ConversationId::parse("conv_\u{e9}").is_err());
    }
}

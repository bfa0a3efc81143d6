//! A body or query taken apart into named values that are not yet read: JSON keeps each value's
//! own text, so that nothing (a long number, the order of metadata) is lost on the way.

use super::value::{Object, Value};
use super::wrong::name_of;
use crate::error::ApiError;
use protocol::ErrorCode;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Named values, in the order in which they were written; no name twice.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    /// Takes a JSON object apart.
    pub(super) fn of_json(text: &'a str) -> Result<Self, ApiError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let pairs = json
            .deserialize_map(Pairs)
            .and_then(|pairs| json.end().map(|()| pairs));
        Self::check(pairs.map_err(|error| not_an_object(&error))?)
    }

    /// Takes a form or a query string apart.
    pub(super) fn of_form(encoded: &[u8]) -> Result<Self, ApiError> {
        let parts = encoded
            .split(|b| *b == b'&')
            .filter(|part| !part.is_empty());
        let pairs = parts.map(|part| {
            let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
            let (name, value) = part.split_at_checked(at).unwrap_or((part, &[]));
            let name =
                percent_decode(name).ok_or_else(|| invalid("a field name is not valid UTF-8"))?;
            let value = percent_decode(value.strip_prefix(b"=").unwrap_or(value));
            let value =
                value.ok_or_else(|| invalid(format!("{} is not valid UTF-8", name_of(&name))))?;
            Ok((Cow::Owned(name), Value::Text(Cow::Owned(value))))
        });
        Self::check(pairs.collect::<Result<_, ApiError>>()?)
    }

    fn check(pairs: Vec<(Cow<'a, str>, Value<'a>)>) -> Result<Self, ApiError> {
        let mut seen = HashSet::with_capacity(pairs.len());
        for (name, value) in &pairs {
            if !seen.insert(name.as_ref()) {
                return Err(invalid(format!("{} is given twice", name_of(name))));
            }
            if value.holds_nul() {
                return Err(invalid(format!("{} holds a NUL character", name_of(name))));
            }
        }
        Ok(Self(pairs))
    }

    /// Reads the DTO.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        T::deserialize(Object(self)).map_err(|wrong| invalid(wrong.to_string()))
    }
}

fn invalid(sentence: impl Into<bytestring::ByteString>) -> ApiError {
    ApiError::because(ErrorCode::InvalidRequest, sentence)
}

fn not_an_object(error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        return invalid("the body must be a JSON object");
    }
    let place = format!("line {}, column {}", error.line(), error.column());
    ApiError::because(
        ErrorCode::InvalidJson,
        format!("the body is not valid JSON ({place})"),
    )
}

/// Collects the pairs of an object; unlike a map it keeps repeated names, to be refused.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(Cow<'de, str>, Value<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        /// More names than any DTO has: an object of a hundred thousand is a waste of our time.
        const MAX_FIELDS: usize = 256;
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if pairs.len() == MAX_FIELDS {
                return Err(A::Error::custom("too many fields"));
            }
            pairs.push((Cow::Owned(name), Value::Json(value.get())));
        }
        Ok(pairs)
    }
}

/// `application/x-www-form-urlencoded`: `+` is a space, a malformed `%` stands for itself. `None`
/// where the bytes are not UTF-8.
fn percent_decode(encoded: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|digits| hex_byte(*digits));
        rest = if hex.is_some() {
            tail.get(2..).unwrap_or(&[])
        } else {
            tail
        };
        bytes.push(hex.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8(bytes).ok()
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_survives_a_form(text in any::<String>()) {
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            prop_assert_eq!(percent_decode(encoded.as_bytes()), Some(text));
        }

        #[test]
        fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Fields::of_form(&bytes).is_ok();
            let _ = Fields::of_json(&String::from_utf8_lossy(&bytes)).is_ok();
        }
    }

    #[test]
    fn a_malformed_escape_stands_for_itself() {
        assert_eq!(percent_decode(b"100%+%zz%4").as_deref(), Some("100% %zz%4"));
        assert_eq!(percent_decode(b"%ff"), None);
    }
}

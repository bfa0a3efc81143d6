//! Reads one named value into the type of its field. JSON and form values coerce alike: `true`,
//! `"true"`, `1` and `"1"` are a bool, `5` and `"5"` a number; a number is never text. Objects and
//! lists go to `serde_json` as they are.

use super::fields::Fields;
use super::wrong::Wrong;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;

/// A value as the client wrote it.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// JSON text of one value.
    Json(&'a str),
    /// Decoded text of a form or a query.
    Text(Cow<'a, str>),
}

/// A value without its quotes, or with none.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Bare(&'a str),
}

impl Scalar<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Bare(text) => text,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Bare(text) => match text.bytes().next() {
                Some(b'{') => "an object",
                Some(b'[') => "a list",
                Some(b'n') => "null",
                Some(b't' | b'f') => "true or false",
                _ => "a number",
            },
        }
    }
}

impl<'a> Value<'a> {
    /// A NUL character anywhere in it, written out or as an escape. `PostgreSQL` cannot keep one.
    pub(super) fn holds_nul(&self) -> bool {
        match self {
            Self::Text(text) => text.contains('\0'),
            Self::Json(text) => holds_nul_escape(text),
        }
    }

    fn scalar(self) -> Result<Scalar<'a>, Wrong> {
        match self {
            Self::Text(text) => Ok(Scalar::Text(text)),
            Self::Json(text) if text.starts_with('"') => serde_json::from_str::<String>(text)
                .map(|text| Scalar::Text(Cow::Owned(text)))
                .map_err(|_| Wrong::new("holds an invalid escape")),
            Self::Json(text) => Ok(Scalar::Bare(text)),
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let scalar = self.scalar()?;
        let text = scalar.as_str().trim();
        if let Ok(number) = text.parse() {
            return visitor.visit_u64(number);
        }
        match text.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => Err(not_whole(&scalar)),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let scalar = self.scalar()?;
        match scalar.as_str().trim().parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => Err(Wrong::must_be("a number", scalar.kind())),
        }
    }

    fn structure<'de, V: Visitor<'de>>(self, visitor: V, shape: Shape) -> Result<V::Value, Wrong> {
        let text = match &self {
            Self::Json(text) => text,
            Self::Text(text) => text.as_ref(),
        };
        let mut json = owned_reader(text);
        let read = match shape {
            Shape::Map => json.deserialize_map(visitor),
            Shape::Seq => json.deserialize_seq(visitor),
            Shape::Raw => json.deserialize_newtype_struct(RAW_VALUE, visitor),
        };
        let read = read.map_err(|error| Wrong::nested(&error))?;
        json.end()
            .map(|()| read)
            .map_err(|error| Wrong::nested(&error))
    }
}

/// A kind of value that `serde_json` reads.
#[derive(Clone, Copy)]
enum Shape {
    Map,
    Seq,
    Raw,
}

/// How `serde_json`'s `RawValue` asks for the text of a value.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// A reader whose results borrow nothing from `text`.
fn owned_reader(text: &str) -> serde_json::Deserializer<serde_json::de::IoRead<&[u8]>> {
    serde_json::Deserializer::from_reader(text.as_bytes())
}

fn not_whole(scalar: &Scalar<'_>) -> Wrong {
    match scalar.kind() {
        "a number" => Wrong::must_be("a whole number", "a fraction or out of range"),
        found => Wrong::must_be("a whole number", found),
    }
}

fn holds_nul_escape(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = rest.get(at + 1..).unwrap_or("");
        if escape.starts_with("u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or("");
    }
    false
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Text(text) => visitor.visit_str(&text),
            Self::Json(text) => {
                let mut json = owned_reader(text);
                json.deserialize_any(visitor)
                    .map_err(|error| Wrong::nested(&error))
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let scalar = self.scalar()?;
        match scalar.as_str().trim() {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(Wrong::must_be("true or false", scalar.kind())),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.scalar()? {
            Scalar::Text(text) => visitor.visit_string(text.into_owned()),
            bare @ Scalar::Bare(_) => Err(Wrong::must_be("text", bare.kind())),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self {
            Self::Json("null") => visitor.visit_none(),
            Self::Text(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if name == RAW_VALUE {
            return self.structure(visitor, Shape::Raw);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Self::Json(text) if !text.starts_with('"') => {
                let mut json = owned_reader(text);
                json.deserialize_enum(name, variants, visitor)
                    .map_err(|error| Wrong::nested(&error))
            }
            quoted => {
                let scalar = quoted.scalar()?;
                let variant: StrDeserializer<'_, Wrong> = scalar.as_str().into_deserializer();
                visitor.visit_enum(variant)
            }
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.structure(visitor, Shape::Map)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.structure(visitor, Shape::Map)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.structure(visitor, Shape::Seq)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.structure(visitor, Shape::Seq)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.structure(visitor, Shape::Seq)
    }

    /// A field that no DTO has is not looked at.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.float(visitor)
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct }
}

/// All fields together, as the DTO reads them.
pub(super) struct Object<'a>(pub(super) Fields<'a>);

impl<'de> Deserializer<'de> for Object<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(ObjectAccess {
            rest: self.0.0.into_iter(),
            next: None,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct ObjectAccess<'a> {
    rest: std::vec::IntoIter<(Cow<'a, str>, Value<'a>)>,
    next: Option<(Cow<'a, str>, Value<'a>)>,
}

impl<'de> MapAccess<'de> for ObjectAccess<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        self.next = self.rest.next();
        let Some((name, _)) = &self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Wrong> = name.as_ref().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        match self.next.take() {
            Some((name, value)) => seed.deserialize(value).map_err(|wrong| wrong.at(&name)),
            None => Err(Wrong::new("a value was read before its name")),
        }
    }
}

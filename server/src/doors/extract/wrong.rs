//! What is wrong with a field, as a sentence: the field's name and what it must be, never the
//! value that was sent.

use serde::de::{Error, Expected, Unexpected};
use std::fmt;

/// Why a DTO could not be read.
#[derive(Debug)]
pub(super) struct Wrong {
    field: Option<String>,
    what: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            field: None,
            what: what.into(),
        }
    }

    /// Names the field, unless something deeper did.
    pub(super) fn at(mut self, name: &str) -> Self {
        self.field.get_or_insert_with(|| name_of(name).to_owned());
        self
    }

    /// `must be …, not …`
    pub(super) fn must_be(expected: &str, found: &str) -> Self {
        Self::new(format!("must be {expected}, not {found}"))
    }

    /// The error of a nested value, without what it may quote.
    pub(super) fn nested(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let quotes_nothing =
            text.starts_with("missing field") || text.starts_with("recursion limit");
        match text.split(" at line").next() {
            Some(sentence) if quotes_nothing => Self::new(format!("is not valid: {sentence}")),
            _ => Self::new("is not valid or of the wrong type"),
        }
    }
}

/// A name as it may be shown: one that no DTO could have is not echoed.
pub(super) fn name_of(name: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        name
    } else {
        "a field"
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field} {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    /// The sentence of a type that checks itself, such as an id.
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(format!("is not valid: {what}"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::must_be(&expected_words(expected), found_words(&found))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", expected_words(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            field: Some(field.to_owned()),
            what: "is required".to_owned(),
        }
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("must be one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::new("is not a field of this request").at(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("is given twice (it has two names)").at(field)
    }
}

fn expected_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "text".to_owned(),
        _ if text.starts_with("a nonzero") => "a whole number above 0".to_owned(),
        _ if text.starts_with("struct ") => "an object".to_owned(),
        _ => text,
    }
}

const fn found_words(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

//! The messenger dialect: how commands and events look to the clients of the Go messenger (v1)
//! and to ours (v2). Pure functions from events to frames and from frames to commands.

mod decode;
mod encode;
mod variant;

pub use decode::{content, decode, metadata};
pub use encode::{encode, encode_android_echo};
pub use variant::Variant;

/// The frames of one event, in order; empty where a variant has none for it.
pub type Frames = Vec<bytestring::ByteString>;

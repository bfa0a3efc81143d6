//! The codec between the messenger's wire and the shared commands and events.

use crate::session::wire::Dialect;
use bytestring::ByteString;
use protocol::event::Refusal;
use protocol::messenger::{Variant, decode, encode, encode_android_echo};
use protocol::{Command, Entry, Event, PrincipalKind};

/// The dialect of the Go messenger's clients, and of ours.
pub struct Messenger;

/// The one there is.
pub static MESSENGER: Messenger = Messenger;

impl Dialect for Messenger {
    fn number(&self) -> u8 {
        0
    }

    fn encode(&self, event: &Event, variant: u8) -> Vec<ByteString> {
        Variant::from_number(variant).map_or_else(Vec::new, |variant| encode(event, variant))
    }

    fn encode_echo(&self, entry: &Entry, _: u8) -> Vec<ByteString> {
        encode_android_echo(entry)
    }

    fn decode(&self, text: &str, kind: PrincipalKind) -> Result<Command, Refusal> {
        decode(text, kind == PrincipalKind::Agent)
    }
}

//! What a session needs to know of its dialect: how to turn events into frames and frames into
//! commands, and what it is shown. A dialect lives in its door and knows nothing else.

use bytestring::ByteString;
use domain::own::OwnEntries;
use protocol::event::Refusal;
use protocol::{Command, Entry, Event, PrincipalKind};
use smallvec::SmallVec;
use std::sync::Arc;

/// The frames of one event for one variant; shared by all its sessions.
pub type SharedFrames = Arc<[ByteString]>;

/// One wire's codec.
pub trait Dialect: Send + Sync + 'static {
    /// Distinguishes dialects in caches; unique in the process.
    fn number(&self) -> u8;
    /// The frames of an event; empty where the variant has none for it.
    fn encode(&self, event: &Event, variant: u8) -> Vec<ByteString>;
    /// The frames that show an entry to the device that wrote it, for wires that echo.
    fn encode_echo(&self, entry: &Entry, variant: u8) -> Vec<ByteString>;
    /// Reads a frame; a refusal is answered to the sender.
    fn decode(&self, text: &str, kind: PrincipalKind) -> Result<Command, Refusal>;
}

/// A session's dialect and variant, with what they imply.
#[derive(Clone, Copy)]
pub struct Wire {
    /// The codec.
    pub dialect: &'static dyn Dialect,
    /// Which of the dialect's variants.
    pub variant: u8,
    /// What it is shown of its own principal's entries.
    pub own: OwnEntries,
    /// Nothing is replayed before `resume`, and only `ack` moves positions.
    pub cursor_aware: bool,
}

impl Wire {
    /// Names dialect and variant in caches.
    pub fn key(&self) -> u16 {
        u16::from(self.dialect.number()) << 8 | u16::from(self.variant)
    }

    /// The frames of an event on this wire.
    pub fn encode(&self, event: &Event) -> SharedFrames {
        self.dialect.encode(event, self.variant).into()
    }
}

/// The frames of one event, once for each wire that needs them.
#[derive(Default)]
pub struct Encoded(SmallVec<[(u16, SharedFrames); 3]>);

impl Encoded {
    /// Adds the frames for `wire` if they are not there.
    pub fn add(&mut self, wire: &Wire, event: &Event) {
        let key = wire.key();
        if self.0.iter().all(|(known, _)| *known != key) {
            self.0.push((key, wire.encode(event)));
        }
    }

    /// The frames for `wire`.
    pub fn get(&self, wire: &Wire) -> Option<&SharedFrames> {
        let key = wire.key();
        self.0
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, frames)| frames)
    }
}

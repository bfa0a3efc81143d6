//! The labelled families: refusals and closes by code, frames by type, requests by route and
//! status. Labels come from closed lists (routes are patterns), so their number is bounded.

use super::PREFIX;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry, Result};
use protocol::{CloseCode, ErrorCode};

/// What a frame from a socket decoded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A message.
    Send,
    /// Somebody writes.
    Typing,
    /// What somebody is doing.
    Status,
    /// An agent is alive.
    Heartbeat,
    /// A position.
    Ack,
    /// A request to replay.
    Resume,
    /// A new token.
    Auth,
    /// Anything else that this server knows.
    Other,
    /// Not a frame that this server understands.
    Refused,
}

impl FrameKind {
    /// Every kind, in the order of their labels.
    pub const ALL: [Self; 9] = [
        Self::Send,
        Self::Typing,
        Self::Status,
        Self::Heartbeat,
        Self::Ack,
        Self::Resume,
        Self::Auth,
        Self::Other,
        Self::Refused,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Typing => "typing",
            Self::Status => "status",
            Self::Heartbeat => "heartbeat",
            Self::Ack => "ack",
            Self::Resume => "resume",
            Self::Auth => "auth",
            Self::Other => "other",
            Self::Refused => "refused",
        }
    }
}

/// The families, each with its children at the place of the label in its list.
pub(super) struct Labelled {
    refusals: Vec<IntCounter>,
    closes: Vec<(CloseCode, IntCounter)>,
    frames: Vec<IntCounter>,
    http: IntCounterVec,
}

impl Labelled {
    pub(super) fn register(registry: &Registry) -> Result<Self> {
        let refusals = family(
            registry,
            "refusals_total",
            "refusals by code, over every door",
            &["code"],
        )?;
        let closes = family(
            registry,
            "closes_total",
            "sockets that the server ended, by close code",
            &["code"],
        )?;
        let frames = family(
            registry,
            "frames_total",
            "frames read from sockets, by type",
            &["type"],
        )?;
        let build = family(
            registry,
            "build_info",
            "always 1; the label says which version runs",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).inc();
        Ok(Self {
            refusals: ErrorCode::ALL
                .iter()
                .map(|c| refusals.with_label_values(&[c.as_str()]))
                .collect(),
            closes: CloseCode::ALL
                .map(|c| (c, closes.with_label_values(&[&c.code().to_string()])))
                .to_vec(),
            frames: FrameKind::ALL
                .iter()
                .map(|k| frames.with_label_values(&[k.label()]))
                .collect(),
            http: family(
                registry,
                "http_requests_total",
                "answered requests",
                &["route", "status"],
            )?,
        })
    }

    pub(super) fn refused(&self, code: ErrorCode) {
        // ALL lists the codes in the order of their declaration, so the discriminant is the place.
        if let Some(counter) = self.refusals.get(code as usize) {
            counter.inc();
        }
    }

    pub(super) fn closed(&self, code: CloseCode) {
        if let Some((_, counter)) = self.closes.iter().find(|(known, _)| *known == code) {
            counter.inc();
        }
    }

    pub(super) fn frame(&self, kind: FrameKind) {
        if let Some(counter) = self.frames.get(kind as usize) {
            counter.inc();
        }
    }

    pub(super) fn http(&self, route: &str, status: u16) {
        self.http
            .with_label_values(&[route, &status.to_string()])
            .inc();
    }
}

fn family(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    let family = IntCounterVec::new(Opts::new(name, help).namespace(PREFIX), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminant_of_each_label_is_its_place_in_the_list() {
        for (place, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, place);
        }
        for (place, kind) in FrameKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
    }
}

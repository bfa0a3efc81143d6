//! The two lanes of one socket and what is counted about them, as plain data: answers, which the
//! log cannot reproduce, and deliveries, which it can.

use super::confirm::Confirm;
use super::wire::SharedFrames;
use bytestring::ByteString;
use domain::feed::{Feed, PageWanted};
use protocol::{CloseCode, ConversationId, limits};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::Instant;
use store::ConversationKey;

/// How far a session has come in hearing of its conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A cursor-aware socket that has not resumed: deliveries are found by the snapshot later.
    AwaitingResume,
    /// Deliveries count, and pages wait until the snapshot says where to start.
    Starting,
    /// As it stays.
    Running,
}

/// The next thing for the socket.
pub enum Next {
    /// Text frames, in order.
    Frames(SharedFrames),
    /// The answer to a send: when it is written, the send's place is free.
    Answer {
        /// Text frames, in order.
        frames: SharedFrames,
        /// The place, for acks and refusals of sends.
        send: Option<usize>,
    },
    /// A ping with this payload.
    Ping(ByteString),
    /// The answer to the peer's ping.
    Pong(Vec<u8>),
    /// A page to read from the log while the lane drains.
    Page(PageWanted<ConversationKey>),
    /// Write the close frame and end.
    Close(CloseCode),
    /// The peer said goodbye, with this code.
    Goodbye(Option<u16>),
    /// The peer went.
    Gone,
}

/// What waits in lanes, for the gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depths {
    /// Sessions that read from the log.
    pub catching_up: i64,
    /// Entries in delivery lanes.
    pub deliveries: i64,
    /// Their bytes.
    pub delivery_bytes: i64,
    /// Acks, errors and answers.
    pub answers: i64,
    /// Sends whose ack is not written yet.
    pub in_flight: i64,
}

impl std::ops::AddAssign for Depths {
    fn add_assign(&mut self, other: Self) {
        self.catching_up += other.catching_up;
        self.deliveries += other.deliveries;
        self.delivery_bytes += other.delivery_bytes;
        self.answers += other.answers;
        self.in_flight += other.in_flight;
    }
}

pub(super) enum Lane {
    Frames(SharedFrames),
    Ping(u64),
}

pub(super) struct Answer {
    pub(super) frames: SharedFrames,
    pub(super) send: Option<usize>,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) feed: Feed<ConversationKey>,
    pub(super) answers: VecDeque<Answer>,
    /// Answers in the lane that no in-flight send accounts for.
    pub(super) loose_answers: usize,
    pub(super) deliveries: VecDeque<Lane>,
    pub(super) delivery_bytes: usize,
    pub(super) in_flight: Slab<Instant>,
    pub(super) confirm: Confirm,
    /// What a cursor-aware peer calls the conversations that it heard of; empty for others.
    pub(super) names: HashMap<ConversationId, ConversationKey>,
    pub(super) pong: Option<Vec<u8>>,
    pub(super) keep_alive: bool,
    pub(super) page_in_flight: bool,
    pub(super) end: Option<EndState>,
    pub(super) reader: Option<Waker>,
}

#[derive(Clone, Copy)]
pub(super) enum EndState {
    Close(CloseCode),
    Goodbye(Option<u16>),
    Gone,
}

impl State {
    pub(super) fn has_room(&self) -> bool {
        self.deliveries.len() < limits::DELIVERY_ENTRIES
            && self.delivery_bytes < limits::DELIVERY_BYTES
    }

    pub(super) fn learn(&mut self, id: &ConversationId, key: ConversationKey) {
        if !self.names.contains_key(id) {
            self.names.insert(id.clone(), key);
        }
    }

    pub(super) fn may_read(&self) -> bool {
        self.in_flight.len() < limits::IN_FLIGHT_SENDS
            && self.loose_answers < limits::PENDING_ANSWERS
    }

    pub(super) fn push(&mut self, frames: SharedFrames) {
        self.delivery_bytes += size_of_frames(&frames);
        self.deliveries.push_back(Lane::Frames(frames));
    }

    pub(super) fn pop(&mut self) -> Option<Next> {
        match self.deliveries.pop_front()? {
            Lane::Frames(frames) => {
                self.delivery_bytes = self.delivery_bytes.saturating_sub(size_of_frames(&frames));
                Some(Next::Frames(frames))
            }
            Lane::Ping(number) => Some(Next::Ping(number.to_string().into())),
        }
    }

    /// A page is read while half the lane is free, one at a time.
    pub(super) fn next_page(&mut self) -> Option<PageWanted<ConversationKey>> {
        let half_empty = self.deliveries.len() * 2 <= limits::DELIVERY_ENTRIES
            && self.delivery_bytes * 2 <= limits::DELIVERY_BYTES;
        if self.phase != Phase::Running || self.page_in_flight || !half_empty {
            return None;
        }
        let page = self.feed.next_page()?;
        self.page_in_flight = true;
        Some(page)
    }
}

fn size_of_frames(frames: &SharedFrames) -> usize {
    frames.iter().map(|frame| frame.len()).sum()
}

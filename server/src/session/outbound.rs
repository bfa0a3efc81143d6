//! What waits for one socket, and what it has been sent: two lanes and the feed. The hub puts
//! deliveries in, the session puts answers in, the pump takes frames out. All three live on the
//! worker's thread, so this is plain shared memory.
//!
//! Acks, errors and answers have a lane of their own that is written first: the log cannot
//! reproduce them. The delivery lane may be full at any time: then the log is the buffer.

use super::confirm::Confirm;
use super::lanes::{Answer, EndState, Lane, State};
pub(super) use super::lanes::{Depths, Next, Phase};
use super::messages::{CommittedEntry, EntryDelivery};
use super::wire::{Encoded, SharedFrames, Wire};
use bytestring::ByteString;
use domain::feed::{Feed, Verdict};
use domain::own::{Shown, shown};
use protocol::event::{Refusal, Sent};
use protocol::{CloseCode, ConversationId, Event, Position, limits};
use slab::Slab;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};
use std::time::Instant;
use store::{ConversationKey, DeviceKey, Principal};
use tokio::sync::Notify;

/// Whose socket this is, and how it wants its frames.
#[derive(Clone, Copy)]
pub struct Viewer {
    /// Who.
    pub principal: Principal,
    /// With which device.
    pub device: DeviceKey,
    /// On which wire.
    pub wire: Wire,
}

/// The lanes and the feed of one socket.
pub struct Outbound {
    viewer: Viewer,
    state: RefCell<State>,
    wake_pump: Notify,
}

impl Outbound {
    /// Empty lanes.
    pub fn new(viewer: Viewer) -> Self {
        let phase = if viewer.wire.cursor_aware {
            Phase::AwaitingResume
        } else {
            Phase::Starting
        };
        let state = State {
            phase,
            feed: Feed::default(),
            answers: VecDeque::new(),
            loose_answers: 0,
            deliveries: VecDeque::new(),
            delivery_bytes: 0,
            in_flight: Slab::new(),
            confirm: Confirm::default(),
            names: HashMap::new(),
            pong: None,
            keep_alive: false,
            page_in_flight: false,
            end: None,
            reader: None,
        };
        Self {
            viewer,
            state: RefCell::new(state),
            wake_pump: Notify::new(),
        }
    }

    /// Whose socket this is.
    pub const fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// A committed entry arrived.
    pub fn deliver(&self, delivery: &EntryDelivery) {
        let mut state = self.state.borrow_mut();
        if state.phase == Phase::AwaitingResume || state.end.is_some() {
            return;
        }
        let committed = &delivery.entry;
        if self.viewer.wire.cursor_aware {
            state.learn(&committed.entry.conversation, committed.conversation);
        }
        let shown = self.shown(committed.sender, committed.device);
        let frames = self.frames_of(committed, shown);
        let room = state.has_room();
        let verdict = state.feed.on_entry(
            committed.conversation,
            committed.entry.seq,
            !frames.is_empty(),
            room,
        );
        match verdict {
            Verdict::Send => {
                state.push(frames);
                state.confirm.moved(committed.conversation);
                self.wake_pump.notify_one();
            }
            Verdict::CatchUp => self.wake_pump.notify_one(),
            Verdict::Drop => state.confirm.moved(committed.conversation),
        }
    }

    /// An event that is not in the log arrived: dropped where there is no room.
    pub fn deliver_ephemeral(&self, frames: &Encoded) {
        let mut state = self.state.borrow_mut();
        if state.end.is_some() || !state.has_room() {
            return;
        }
        if let Some(frames) = frames.get(&self.viewer.wire)
            && !frames.is_empty()
        {
            state.push(frames.clone());
            self.wake_pump.notify_one();
        }
    }

    /// How this socket is shown an entry.
    pub fn shown(&self, sender: Principal, device: Option<DeviceKey>) -> Shown {
        let mine = sender == self.viewer.principal;
        shown(
            self.viewer.wire.own,
            mine,
            mine && device == Some(self.viewer.device),
        )
    }

    fn frames_of(&self, committed: &CommittedEntry, shown: Shown) -> SharedFrames {
        let wire = &self.viewer.wire;
        match shown {
            Shown::Hidden => SharedFrames::from([]),
            Shown::Echo => wire
                .dialect
                .encode_echo(&committed.entry, wire.variant)
                .into(),
            Shown::Plain => committed
                .frames
                .get(wire)
                .cloned()
                .unwrap_or_else(|| SharedFrames::from([])),
        }
    }

    /// Takes a place among the sends in flight; `None` where all are taken (the reader is paused
    /// before that can happen).
    pub fn begin_send(&self, now: Instant) -> Option<usize> {
        let mut state = self.state.borrow_mut();
        (state.in_flight.len() < limits::IN_FLIGHT_SENDS).then(|| state.in_flight.insert(now))
    }

    /// The answer to a send: goes to the answer lane.
    pub fn answer_send(&self, place: usize, answer: Result<Sent, Refusal>) {
        let event = match answer {
            Ok(sent) => Event::Sent(sent),
            Err(refusal) => Event::Error(refusal),
        };
        let frames = self.viewer.wire.encode(&event);
        self.state.borrow_mut().answers.push_back(Answer {
            frames,
            send: Some(place),
        });
        self.wake_pump.notify_one();
    }

    /// An answer to anything else: an error, a heartbeat, the welcome.
    pub fn answer(&self, event: &Event) {
        let frames = self.viewer.wire.encode(event);
        if frames.is_empty() {
            return;
        }
        let mut state = self.state.borrow_mut();
        state.loose_answers += 1;
        state.answers.push_back(Answer { frames, send: None });
        self.wake_pump.notify_one();
    }

    /// An event of the log's order (live, truncated, resync): follows what is in the lane.
    pub fn queue(&self, event: &Event) {
        let frames = self.viewer.wire.encode(event);
        if !frames.is_empty() {
            self.state.borrow_mut().push(frames);
            self.wake_pump.notify_one();
        }
    }

    /// Frames of a page.
    pub fn queue_frames(&self, frames: SharedFrames) {
        if !frames.is_empty() {
            self.state.borrow_mut().push(frames);
        }
    }

    /// Answers the peer's ping; only the newest is answered.
    pub fn pong(&self, payload: &[u8]) {
        self.state.borrow_mut().pong = Some(payload.to_vec());
        self.wake_pump.notify_one();
    }

    /// Asks the peer for a sign of life.
    pub fn keep_alive(&self) {
        self.state.borrow_mut().keep_alive = true;
        self.wake_pump.notify_one();
    }

    /// Ends the socket with a close code. The first reason stays.
    pub fn close(&self, code: CloseCode) {
        self.end(EndState::Close(code));
    }

    /// The peer said goodbye: only that is answered.
    pub fn goodbye(&self, code: Option<u16>) {
        self.end(EndState::Goodbye(code));
    }

    /// The peer has gone: nothing more is written.
    pub fn peer_gone(&self) {
        self.end(EndState::Gone);
    }

    fn end(&self, end: EndState) {
        let mut state = self.state.borrow_mut();
        if state.end.is_none() {
            state.end = Some(end);
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        self.wake_pump.notify_one();
    }

    /// Whether the socket is ending.
    pub fn is_ending(&self) -> bool {
        self.state.borrow().end.is_some()
    }

    /// Ready when another frame may be read: all places in flight and in the answer lane are not
    /// taken. TCP does the rest.
    pub fn poll_may_read(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.may_read() || state.end.is_some() {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether reading is paused because too much is unanswered.
    pub fn is_reading_paused(&self) -> bool {
        !self.state.borrow().may_read()
    }

    /// When the oldest unanswered send began.
    pub fn oldest_send(&self) -> Option<Instant> {
        self.state
            .borrow()
            .in_flight
            .iter()
            .map(|(_, since)| *since)
            .min()
    }

    /// The pump takes the next thing; `None`: wait for [`Outbound::woken`].
    pub fn next(&self) -> Option<Next> {
        let mut state = self.state.borrow_mut();
        match state.end {
            Some(EndState::Gone) => return Some(Next::Gone),
            Some(EndState::Goodbye(code)) => return Some(Next::Goodbye(code)),
            Some(EndState::Close(_)) | None => {}
        }
        if let Some(payload) = state.pong.take() {
            return Some(Next::Pong(payload));
        }
        if let Some(answer) = state.answers.pop_front() {
            return Some(Next::Answer {
                frames: answer.frames,
                send: answer.send,
            });
        }
        if let Some(EndState::Close(code)) = state.end {
            return Some(Next::Close(code));
        }
        if let Some(page) = state.next_page() {
            return Some(Next::Page(page));
        }
        if std::mem::take(&mut state.keep_alive) {
            return Some(Next::Ping(ByteString::from_static("alive")));
        }
        state.pop()
    }

    /// Resolves when something may have been put in.
    pub async fn woken(&self) {
        self.wake_pump.notified().await;
    }

    /// An answer was written: its place is free, and the reader may go on.
    pub fn answer_written(&self, send: Option<usize>) {
        let mut state = self.state.borrow_mut();
        match send {
            Some(send) => drop(state.in_flight.try_remove(send)),
            None => state.loose_answers = state.loose_answers.saturating_sub(1),
        }
        if state.may_read()
            && let Some(reader) = state.reader.take()
        {
            reader.wake();
        }
    }

    /// Calls `with` with the feed, then wakes the pump: pages may be wanted.
    pub fn with_feed<T>(&self, with: impl FnOnce(&mut Feed<ConversationKey>) -> T) -> T {
        let result = with(&mut self.state.borrow_mut().feed);
        self.wake_pump.notify_one();
        result
    }

    /// The page that was being read is taken in or lost: the next may be read.
    pub fn page_over(&self) {
        self.state.borrow_mut().page_in_flight = false;
        self.wake_pump.notify_one();
    }

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Moves on to another phase.
    pub fn enter(&self, phase: Phase) {
        self.state.borrow_mut().phase = phase;
        self.wake_pump.notify_one();
    }

    /// Entries of this conversation were passed or sent: the next confirming ping covers them.
    pub fn moved(&self, conversation: ConversationKey) {
        self.state.borrow_mut().confirm.moved(conversation);
    }

    /// Puts a confirming ping behind the deliveries, if anything moved and none is under way.
    pub fn ask_for_confirmation(&self) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if state.phase != Phase::Running || state.end.is_some() {
            return;
        }
        let State { confirm, feed, .. } = state;
        if let Some(number) = confirm.ping(|conversation| feed.sent(conversation)) {
            state.deliveries.push_back(Lane::Ping(number));
            self.wake_pump.notify_one();
        }
    }

    /// The peer answered a confirming ping: what was sent before it has arrived.
    pub fn confirmed(&self, number: u64) {
        self.state.borrow_mut().confirm.pong(number);
    }

    /// What a cursor-aware peer calls a conversation that it hears of from now on.
    pub fn learn(&self, id: &ConversationId, conversation: ConversationKey) {
        if self.viewer.wire.cursor_aware {
            self.state.borrow_mut().learn(id, conversation);
        }
    }

    /// The peer says that it has everything up to `position`; what was never sent does not count.
    pub fn acknowledged(&self, conversation: &ConversationId, position: Position) {
        let mut state = self.state.borrow_mut();
        if let Some(key) = state.names.get(conversation).copied()
            && let Some(sent) = state.feed.sent(key)
        {
            let position = Position {
                seq: position.seq.min(sent.seq),
                rev: position.rev.min(sent.rev),
            };
            state.confirm.acknowledge(key, position);
        }
    }

    /// These were confirmed and could not be saved: they are confirmed again with the next ones.
    pub fn confirm_again(&self, confirmed: Vec<(ConversationKey, Position)>) {
        let mut state = self.state.borrow_mut();
        for (conversation, position) in confirmed {
            state.confirm.acknowledge(conversation, position);
        }
    }

    /// Positions that were confirmed since the last call.
    pub fn take_confirmed(&self) -> Vec<(ConversationKey, Position)> {
        self.state.borrow_mut().confirm.take()
    }

    /// What waits now.
    pub fn depths(&self) -> Depths {
        let state = self.state.borrow();
        Depths {
            catching_up: i64::from(state.feed.has_turns() || state.page_in_flight),
            deliveries: state.deliveries.len() as i64,
            delivery_bytes: state.delivery_bytes as i64,
            answers: state.answers.len() as i64,
            in_flight: state.in_flight.len() as i64,
        }
    }
}

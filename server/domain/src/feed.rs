//! The session's rule: what one socket has been sent of each conversation, and what to do with
//! the next thing that arrives. It covers replay, resume, gaps, a lossy bus and full queues with
//! one idea: a delivery that is not exactly next raises what is *wanted*, and the conversation
//! catches up from the log until it is reached.
//!
//! The feed decides; the session (server crate) reads pages and writes frames. The feed never
//! holds a message.

mod cursor;
#[cfg(test)]
mod story;

pub use cursor::Cursor;

use protocol::Position;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What to do with a delivery that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is next: put it in the lane.
    Send,
    /// It was sent before, or is not shown to this socket: nothing to do.
    Drop,
    /// Not now: the conversation catches up from the log; read pages if none is being read.
    CatchUp,
}

/// A page to read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWanted<K> {
    /// Whose log.
    pub conversation: K,
    /// Above which position; `None`: above the one the server keeps for the device.
    pub above: Option<Position>,
}

/// Where a conversation stands after a page was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything wanted was sent: deliveries go out directly again.
    Live(Position),
    /// More is to be read.
    Behind,
}

/// What one socket has been sent, per conversation with traffic.
#[derive(Debug)]
pub struct Feed<K> {
    cursors: HashMap<K, Cursor>,
    /// Conversations that catch up, one page each in turn.
    turns: VecDeque<K>,
}

impl<K> Default for Feed<K> {
    fn default() -> Self {
        Self {
            cursors: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Feed<K> {
    /// A live entry with number `seq` arrived. `shown`: this socket is shown it; `room`: its lane
    /// has place for it.
    pub fn on_entry(&mut self, conversation: K, seq: i64, shown: bool, room: bool) -> Verdict {
        let Some(cursor) = self.cursors.get_mut(&conversation) else {
            self.start(conversation, Cursor::unknown(Position { seq, rev: 0 }));
            return Verdict::CatchUp;
        };
        let verdict = cursor.on_entry(seq, shown, room);
        self.turn_if_new(conversation, verdict)
    }

    /// A live change with number `rev` arrived; it names an entry with number `entry_seq`, or none.
    pub fn on_change(
        &mut self,
        conversation: K,
        rev: i64,
        entry_seq: Option<i64>,
        room: bool,
    ) -> Verdict {
        let Some(cursor) = self.cursors.get_mut(&conversation) else {
            self.start(conversation, Cursor::unknown(Position { seq: 0, rev }));
            return Verdict::CatchUp;
        };
        let verdict = cursor.on_change(rev, entry_seq, room);
        self.turn_if_new(conversation, verdict)
    }

    /// The snapshot at attach or resume says that the log goes on to `wanted`; the device has
    /// `from` (`None`: what the server keeps for it). A position that is known already is kept.
    pub fn begin(&mut self, conversation: K, from: Option<Position>, wanted: Position) {
        if let Some(cursor) = self.cursors.get_mut(&conversation) {
            cursor.want(wanted);
            if let Some(from) = from {
                cursor.starts_at(from);
            }
            let verdict = if cursor.is_live() {
                Verdict::Drop
            } else {
                Verdict::CatchUp
            };
            self.turn_if_new(conversation, verdict);
            return;
        }
        let cursor = from.map_or_else(
            || Cursor::unknown(wanted),
            |from| Cursor::behind(from, wanted),
        );
        if cursor.is_live() {
            self.cursors.insert(conversation, cursor);
        } else {
            self.start(conversation, cursor);
        }
    }

    /// The next page to read, one conversation after the other. The conversation leaves the round
    /// until [`Feed::page_done`] or [`Feed::page_unfinished`].
    pub fn next_page(&mut self) -> Option<PageWanted<K>> {
        let conversation = self.turns.pop_front()?;
        let cursor = self.cursors.get_mut(&conversation)?;
        cursor.set_in_turn(false);
        Some(PageWanted {
            conversation,
            above: cursor.known(),
        })
    }

    /// The page's reader found where the device stands; returns the position to send from.
    pub fn starts_at(&mut self, conversation: K, stored: Position) -> Position {
        self.cursors
            .get_mut(&conversation)
            .map_or(stored, |cursor| cursor.starts_at(stored))
    }

    /// An entry of a page was put in the lane, or passed over because it is not shown, or is gone.
    pub fn sent_entry(&mut self, conversation: K, seq: i64) {
        if let Some(cursor) = self.cursors.get_mut(&conversation) {
            cursor.sent_entry(seq);
        }
    }

    /// A change of a page was put in the lane, or is gone.
    pub fn sent_change(&mut self, conversation: K, rev: i64) {
        if let Some(cursor) = self.cursors.get_mut(&conversation) {
            cursor.sent_change(rev);
        }
    }

    /// The whole page was taken in, and the log at its snapshot went to `log_end`.
    pub fn page_done(&mut self, conversation: K, log_end: Position) -> Progress {
        let Some(cursor) = self.cursors.get_mut(&conversation) else {
            return Progress::Behind;
        };
        cursor.want(log_end);
        if cursor.settle() {
            return Progress::Live(cursor.sent());
        }
        self.take_turn(conversation);
        Progress::Behind
    }

    /// The page could not be read, or only its head found room: it is this conversation's turn
    /// again later.
    pub fn page_unfinished(&mut self, conversation: K) {
        self.take_turn(conversation);
    }

    /// The conversation is gone, or no longer this principal's: nothing more of it is wanted.
    pub fn forget(&mut self, conversation: K) {
        self.cursors.remove(&conversation);
        self.turns.retain(|other| *other != conversation);
    }

    /// What was sent of this conversation; `None` before its first page.
    pub fn sent(&self, conversation: K) -> Option<Position> {
        self.cursors.get(&conversation).and_then(Cursor::known)
    }

    /// Whether any conversation waits for a page.
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Conversations that are not live.
    pub fn catching_up(&self) -> usize {
        self.cursors
            .values()
            .filter(|cursor| !cursor.is_live())
            .count()
    }

    fn start(&mut self, conversation: K, cursor: Cursor) {
        self.cursors.insert(conversation, cursor);
        self.take_turn(conversation);
    }

    fn turn_if_new(&mut self, conversation: K, verdict: Verdict) -> Verdict {
        if verdict == Verdict::CatchUp
            && self
                .cursors
                .get(&conversation)
                .is_some_and(Cursor::wants_turn)
        {
            self.take_turn(conversation);
        }
        verdict
    }

    fn take_turn(&mut self, conversation: K) {
        if let Some(cursor) = self.cursors.get_mut(&conversation)
            && cursor.set_in_turn(true)
        {
            self.turns.push_back(conversation);
        }
    }
}

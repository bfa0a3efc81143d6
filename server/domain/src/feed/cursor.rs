//! One conversation as one socket sees it.

use super::Verdict;
use protocol::Position;

/// How far a socket has been sent one conversation, and whether it is level with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    sent: Position,
    state: State,
    /// Stands in the feed's round, or (a page is being read) will stand there again.
    in_turn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Level: the next number goes straight out.
    Live,
    /// Reads the log until `wanted` is reached. `known`: `sent` is meant, not a blank.
    CatchingUp {
        wanted: Position,
        known: bool,
        reading: bool,
    },
}

impl Cursor {
    /// Nothing is known yet of what the device has; the log goes on to `wanted` at least.
    pub(super) const fn unknown(wanted: Position) -> Self {
        let state = State::CatchingUp {
            wanted,
            known: false,
            reading: false,
        };
        Self {
            sent: Position { seq: 0, rev: 0 },
            state,
            in_turn: false,
        }
    }

    /// The device has `from`, the log goes on to `wanted`.
    pub(super) fn behind(from: Position, wanted: Position) -> Self {
        if from.seq >= wanted.seq && from.rev >= wanted.rev {
            return Self {
                sent: from,
                state: State::Live,
                in_turn: false,
            };
        }
        let state = State::CatchingUp {
            wanted,
            known: true,
            reading: false,
        };
        Self {
            sent: from,
            state,
            in_turn: false,
        }
    }

    /// Level with the log.
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// What was sent.
    pub const fn sent(&self) -> Position {
        self.sent
    }

    /// What was sent, unless nobody has looked it up yet.
    pub(super) const fn known(&self) -> Option<Position> {
        match self.state {
            State::CatchingUp { known: false, .. } => None,
            _ => Some(self.sent),
        }
    }

    pub(super) fn on_entry(&mut self, seq: i64, shown: bool, room: bool) -> Verdict {
        if let State::CatchingUp { wanted, .. } = &mut self.state {
            wanted.seq = wanted.seq.max(seq);
            return Verdict::CatchUp;
        }
        if seq <= self.sent.seq {
            return Verdict::Drop;
        }
        if seq > self.sent.seq + 1 || (shown && !room) {
            return self.fall_behind(Position {
                seq,
                rev: self.sent.rev,
            });
        }
        self.sent.seq = seq;
        if shown { Verdict::Send } else { Verdict::Drop }
    }

    pub(super) fn on_change(&mut self, rev: i64, entry_seq: Option<i64>, room: bool) -> Verdict {
        if let State::CatchingUp { wanted, .. } = &mut self.state {
            wanted.rev = wanted.rev.max(rev);
            return Verdict::CatchUp;
        }
        if rev <= self.sent.rev {
            return Verdict::Drop;
        }
        let entry_sent = entry_seq.is_none_or(|seq| seq <= self.sent.seq);
        if rev > self.sent.rev + 1 || !entry_sent || !room {
            let seq = self.sent.seq.max(entry_seq.unwrap_or(0));
            return self.fall_behind(Position { seq, rev });
        }
        self.sent.rev = rev;
        Verdict::Send
    }

    /// The log goes on to `wanted` at least.
    pub(super) fn want(&mut self, wanted: Position) {
        match &mut self.state {
            State::CatchingUp { wanted: old, .. } => {
                old.seq = old.seq.max(wanted.seq);
                old.rev = old.rev.max(wanted.rev);
            }
            State::Live if wanted.seq > self.sent.seq || wanted.rev > self.sent.rev => {
                self.fall_behind(wanted);
            }
            State::Live => {}
        }
    }

    /// The store says the device has `stored`; an already known position is kept.
    pub(super) fn starts_at(&mut self, stored: Position) -> Position {
        if let State::CatchingUp { known, .. } = &mut self.state
            && !*known
        {
            *known = true;
            self.sent = stored;
        }
        self.sent
    }

    pub(super) fn sent_entry(&mut self, seq: i64) {
        self.sent.seq = self.sent.seq.max(seq);
    }

    pub(super) fn sent_change(&mut self, rev: i64) {
        self.sent.rev = self.sent.rev.max(rev);
    }

    /// Goes live if everything wanted was sent.
    pub(super) fn settle(&mut self) -> bool {
        if let State::CatchingUp { wanted, known, .. } = self.state {
            if !known || wanted.seq > self.sent.seq || wanted.rev > self.sent.rev {
                return false;
            }
            self.state = State::Live;
        }
        true
    }

    /// Enters or leaves the round; `true` if that changed anything.
    pub(super) fn set_in_turn(&mut self, in_turn: bool) -> bool {
        if let State::CatchingUp { reading, .. } = &mut self.state {
            *reading = !in_turn;
        }
        std::mem::replace(&mut self.in_turn, in_turn) != in_turn
    }

    /// Catches up, and is neither in the round nor being read.
    pub(super) const fn wants_turn(&self) -> bool {
        matches!(self.state, State::CatchingUp { reading: false, .. }) && !self.in_turn
    }

    fn fall_behind(&mut self, wanted: Position) -> Verdict {
        self.state = State::CatchingUp {
            wanted,
            known: true,
            reading: false,
        };
        self.in_turn = false;
        Verdict::CatchUp
    }
}

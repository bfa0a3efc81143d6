//! How a socket's position moves. Sockets that know no cursor confirm by answering a numbered
//! ping that stands behind the deliveries; cursor-aware ones say `ack`.

use protocol::Position;
use std::collections::{HashMap, HashSet};
use store::ConversationKey;

/// What one socket has confirmed.
#[derive(Default)]
pub(super) struct Confirm {
    /// Conversations whose sent position moved since the last mark.
    moved: HashSet<ConversationKey>,
    /// The ping under way and the positions at its place in the lane.
    under_way: Option<(u64, Vec<(ConversationKey, Position)>)>,
    last_number: u64,
    /// Confirmed and not yet taken for the store.
    fresh: HashMap<ConversationKey, Position>,
}

impl Confirm {
    /// The sent position of this conversation moved.
    pub(super) fn moved(&mut self, conversation: ConversationKey) {
        self.moved.insert(conversation);
    }

    /// Starts a ping if anything moved and none is under way; returns its number.
    pub(super) fn ping(
        &mut self,
        sent: impl Fn(ConversationKey) -> Option<Position>,
    ) -> Option<u64> {
        if self.moved.is_empty() || self.under_way.is_some() {
            return None;
        }
        let mark = self
            .moved
            .drain()
            .filter_map(|key| Some((key, sent(key)?)))
            .collect();
        self.last_number += 1;
        self.under_way = Some((self.last_number, mark));
        Some(self.last_number)
    }

    /// The peer answered a ping; other numbers than the one under way move nothing.
    pub(super) fn pong(&mut self, number: u64) {
        match self.under_way.take() {
            Some((expected, mark)) if expected == number => {
                for (conversation, position) in mark {
                    self.acknowledge(conversation, position);
                }
            }
            other => self.under_way = other,
        }
    }

    /// The peer has everything up to `position`; never backwards.
    pub(super) fn acknowledge(&mut self, conversation: ConversationKey, position: Position) {
        let entry = self.fresh.entry(conversation).or_default();
        entry.seq = entry.seq.max(position.seq);
        entry.rev = entry.rev.max(position.rev);
    }

    /// What was confirmed since the last call.
    pub(super) fn take(&mut self) -> Vec<(ConversationKey, Position)> {
        self.fresh.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ConversationKey = ConversationKey(1);

    fn at(seq: i64) -> Position {
        Position { seq, rev: 0 }
    }

    #[test]
    fn a_pong_confirms_what_was_sent_before_its_ping_and_nothing_later() {
        let mut confirm = Confirm::default();
        confirm.moved(ONE);
        let number = confirm.ping(|_| Some(at(5))).expect("something moved");
        confirm.moved(ONE);
        confirm.pong(number);
        assert_eq!(confirm.take(), vec![(ONE, at(5))]);
    }

    #[test]
    fn other_pongs_move_nothing() {
        let mut confirm = Confirm::default();
        confirm.moved(ONE);
        let number = confirm.ping(|_| Some(at(5))).expect("something moved");
        confirm.pong(number + 1);
        assert!(confirm.take().is_empty());
        confirm.pong(number);
        assert_eq!(confirm.take(), vec![(ONE, at(5))]);
    }

    #[test]
    fn one_ping_is_under_way_at_a_time() {
        let mut confirm = Confirm::default();
        confirm.moved(ONE);
        assert!(confirm.ping(|_| Some(at(1))).is_some());
        confirm.moved(ONE);
        assert!(confirm.ping(|_| Some(at(2))).is_none());
    }
}

//! A model of a log, a lossy bus and a socket with a small lane, driven at random: whatever the
//! interleaving, the socket is sent every shown entry exactly once and in order.

use super::{Feed, PageWanted, Progress, Verdict};
use proptest::prelude::*;
use protocol::Position;
use std::collections::HashMap;

#[derive(Debug, Clone)]
enum Step {
    /// An entry is committed to conversation 0..3 and its delivery is lost, kept or doubled.
    Commit {
        conversation: u8,
        delivered: u8,
        hidden: bool,
    },
    /// A change is committed.
    Change { conversation: u8, delivered: bool },
    /// A delivery that waited arrives.
    Deliver,
    /// A page is asked for (the snapshot is taken now).
    Ask { rows: usize },
    /// The page that was asked for arrives.
    Page,
    /// The lane is written to the socket.
    Drain { items: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..3, 0u8..3, any::<bool>()).prop_map(|(conversation, delivered, hidden)| Step::Commit { conversation, delivered, hidden }),
        1 => (0u8..3, any::<bool>()).prop_map(|(conversation, delivered)| Step::Change { conversation, delivered }),
        4 => Just(Step::Deliver),
        2 => (1usize..5).prop_map(|rows| Step::Ask { rows }),
        2 => Just(Step::Page),
        2 => (1usize..6).prop_map(|items| Step::Drain { items }),
    ];
    proptest::collection::vec(step, 0..200)
}

const LANE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Entry(u8, i64),
    Change(u8, i64),
}

#[derive(Clone, Copy)]
enum Delivery {
    Entry(u8, i64),
    Change(u8, i64, i64),
}

#[derive(Clone)]
struct Snapshot {
    wanted: PageWanted<u8>,
    entries: Vec<i64>,
    /// (rev, seq of the entry it names)
    changes: Vec<(i64, i64)>,
    end: Position,
}

#[derive(Default)]
struct World {
    feed: Feed<u8>,
    /// Hidden or not, per entry.
    log: HashMap<u8, Vec<bool>>,
    /// The entry that each change names.
    changes: HashMap<u8, Vec<i64>>,
    bus: Vec<Delivery>,
    page: Option<Snapshot>,
    lane: Vec<Item>,
    written: Vec<Item>,
}

impl World {
    fn run(&mut self, step: &Step) {
        match *step {
            Step::Commit {
                conversation,
                delivered,
                hidden,
            } => self.commit(conversation, delivered, hidden),
            Step::Change {
                conversation,
                delivered,
            } => self.change(conversation, delivered),
            Step::Deliver if !self.bus.is_empty() => {
                let delivery = self.bus.remove(0);
                self.deliver(delivery);
            }
            Step::Ask { rows } => self.ask(rows),
            Step::Page => self.take_page(),
            Step::Drain { items } => {
                let count = items.min(self.lane.len());
                self.written.extend(self.lane.drain(..count));
            }
            Step::Deliver => {}
        }
    }

    fn commit(&mut self, conversation: u8, delivered: u8, hidden: bool) {
        let log = self.log.entry(conversation).or_default();
        log.push(hidden);
        let seq = log.len() as i64;
        self.bus
            .extend((0..delivered).map(|_| Delivery::Entry(conversation, seq)));
    }

    fn change(&mut self, conversation: u8, delivered: bool) {
        let entries = self
            .log
            .get(&conversation)
            .map_or(0, |log| log.len() as i64);
        if entries == 0 {
            return;
        }
        let changes = self.changes.entry(conversation).or_default();
        changes.push(entries);
        if delivered {
            self.bus.push(Delivery::Change(
                conversation,
                changes.len() as i64,
                entries,
            ));
        }
    }

    fn hidden(&self, conversation: u8, seq: i64) -> bool {
        self.log[&conversation][seq as usize - 1]
    }

    fn deliver(&mut self, delivery: Delivery) {
        let room = self.lane.len() < LANE;
        match delivery {
            Delivery::Entry(conversation, seq) => {
                let shown = !self.hidden(conversation, seq);
                if self.feed.on_entry(conversation, seq, shown, room) == Verdict::Send {
                    self.lane.push(Item::Entry(conversation, seq));
                }
            }
            Delivery::Change(conversation, rev, seq) => {
                if self.feed.on_change(conversation, rev, Some(seq), room) == Verdict::Send {
                    self.lane.push(Item::Change(conversation, rev));
                }
            }
        }
    }

    fn ask(&mut self, rows: usize) {
        if self.page.is_some() {
            return;
        }
        let Some(wanted) = self.feed.next_page() else {
            return;
        };
        let above = wanted.above.unwrap_or_default();
        let end = Position {
            seq: self.log.get(&wanted.conversation).map_or(0, Vec::len) as i64,
            rev: self.changes.get(&wanted.conversation).map_or(0, Vec::len) as i64,
        };
        let entries: Vec<i64> = (above.seq + 1..=end.seq).take(rows).collect();
        let complete = entries.last().is_none_or(|last| *last == end.seq);
        let revs = above.rev + 1..=if complete { end.rev } else { above.rev };
        let changes = revs
            .take(rows)
            .map(|rev| (rev, self.changes[&wanted.conversation][rev as usize - 1]))
            .collect();
        self.page = Some(Snapshot {
            wanted,
            entries,
            changes,
            end,
        });
    }

    fn take_page(&mut self) {
        let Some(page) = self.page.take() else { return };
        let conversation = page.wanted.conversation;
        self.feed.starts_at(conversation, Position::default());
        for seq in page.entries {
            if !self.hidden(conversation, seq) {
                if self.lane.len() >= LANE {
                    self.feed.page_unfinished(conversation);
                    return;
                }
                self.lane.push(Item::Entry(conversation, seq));
            }
            self.feed.sent_entry(conversation, seq);
        }
        for (rev, _) in page.changes {
            if self.lane.len() >= LANE {
                self.feed.page_unfinished(conversation);
                return;
            }
            self.lane.push(Item::Change(conversation, rev));
            self.feed.sent_change(conversation, rev);
        }
        let _: Progress = self.feed.page_done(conversation, page.end);
    }

    fn settle(&mut self) {
        // What a lossy bus swallowed is found by the next delivery or attach: nudge every conversation.
        for conversation in 0..3 {
            let end = Position {
                seq: self.log.get(&conversation).map_or(0, Vec::len) as i64,
                rev: self.changes.get(&conversation).map_or(0, Vec::len) as i64,
            };
            self.feed.begin(conversation, None, end);
        }
        for _ in 0..2000 {
            for step in [
                Step::Deliver,
                Step::Ask { rows: 3 },
                Step::Page,
                Step::Drain { items: LANE },
            ] {
                self.run(&step);
            }
        }
    }

    fn entries_written(&self, conversation: u8) -> Vec<i64> {
        let of = |item: &Item| match item {
            Item::Entry(at, seq) if *at == conversation => Some(*seq),
            _ => None,
        };
        self.written.iter().filter_map(of).collect()
    }

    fn changes_come_after_their_entries(&self) -> bool {
        let mut seen: HashMap<u8, i64> = HashMap::new();
        let mut revs: HashMap<u8, i64> = HashMap::new();
        self.written.iter().all(|item| match *item {
            Item::Entry(conversation, seq) => {
                seen.insert(conversation, seq);
                true
            }
            Item::Change(conversation, rev) => {
                let named = self.changes[&conversation][rev as usize - 1];
                let next = revs.insert(conversation, rev).unwrap_or(0) + 1 == rev;
                let shown_before = self.hidden(conversation, named)
                    || seen.get(&conversation).is_some_and(|s| *s >= named);
                next && shown_before
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_shown_entry_is_sent_exactly_once_and_in_order(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.run(step);
        }
        world.settle();
        for conversation in 0..3u8 {
            let shown: Vec<i64> = world.log.get(&conversation).into_iter().flatten().enumerate()
                .filter(|(_, hidden)| !**hidden).map(|(index, _)| index as i64 + 1).collect();
            prop_assert_eq!(world.entries_written(conversation), shown);
        }
        let changes: usize = world.changes.values().map(Vec::len).sum();
        let written = world.written.iter().filter(|item| matches!(item, Item::Change(..))).count();
        prop_assert_eq!(changes, written);
        prop_assert!(world.changes_come_after_their_entries());
        prop_assert_eq!(world.feed.catching_up(), 0);
    }
}

#[test]
fn a_full_lane_turns_a_live_conversation_to_catching_up() {
    let mut feed = Feed::default();
    feed.begin(
        1u8,
        Some(Position { seq: 4, rev: 0 }),
        Position { seq: 4, rev: 0 },
    );
    assert_eq!(feed.on_entry(1, 5, true, true), Verdict::Send);
    assert_eq!(feed.on_entry(1, 6, true, false), Verdict::CatchUp);
    assert_eq!(
        feed.next_page(),
        Some(PageWanted {
            conversation: 1,
            above: Some(Position { seq: 5, rev: 0 })
        })
    );
}

#[test]
fn a_repeated_delivery_and_a_hidden_entry_send_nothing() {
    let mut feed = Feed::default();
    feed.begin(
        1u8,
        Some(Position { seq: 4, rev: 0 }),
        Position { seq: 4, rev: 0 },
    );
    assert_eq!(feed.on_entry(1, 4, true, true), Verdict::Drop);
    assert_eq!(feed.on_entry(1, 5, false, false), Verdict::Drop);
    assert_eq!(feed.sent(1), Some(Position { seq: 5, rev: 0 }));
}

#[test]
fn a_forgotten_conversation_asks_for_no_more_pages() {
    let mut feed = Feed::default();
    feed.begin(
        1u8,
        Some(Position { seq: 4, rev: 0 }),
        Position { seq: 9, rev: 0 },
    );
    feed.forget(1);
    assert_eq!(feed.next_page(), None);
    assert_eq!(feed.catching_up(), 0);
}

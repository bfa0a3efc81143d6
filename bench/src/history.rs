//! The checker that all scenarios share: pure, values in, verdict out. [`Inbox`] watches one
//! numbered stream at one receiver, message by message; [`check_log`] judges a whole stored log
//! against what its senders were told. Both find a loss, a repeat and a changed order.

use crate::body::Side;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::AddAssign;

/// What was wrong, counted. All zero is a pass.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Faults {
    /// Acknowledged (or sent and never refused), and not there.
    pub lost: u64,
    /// There more than once where once is promised.
    pub duplicated: u64,
    /// There, but after a later one, or with a `seq` that does not rise.
    pub reordered: u64,
    /// There, but in another conversation than it was sent to, or unreadable.
    pub misplaced: u64,
}

impl Faults {
    /// Whether nothing was wrong.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.misplaced += other.misplaced;
    }
}

/// A set of small numbers.
#[derive(Debug, Default, Clone)]
struct Numbers {
    words: Vec<u64>,
}

impl Numbers {
    /// Whether `number` is new in the set.
    fn add(&mut self, number: u64) -> bool {
        let at = (number / 64) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let bit = 1 << (number % 64);
        match self.words.get_mut(at) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    fn has(&self, number: u64) -> bool {
        self.words
            .get((number / 64) as usize)
            .is_some_and(|word| word & 1 << (number % 64) != 0)
    }
}

/// What one receiver saw of one stream that its sender numbers from 0.
#[derive(Debug, Default, Clone)]
pub struct Inbox {
    ever: Numbers,
    this_session: Numbers,
    next: u64,
    last_seq: i64,
    received: u64,
    repeated: u64,
    faults: Faults,
}

/// How one delivery looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// For the first time.
    New,
    /// Again.
    Again,
}

impl Inbox {
    /// Takes the next delivery; `seq` where the dialect has one.
    pub fn receive(&mut self, number: u64, seq: Option<i64>) -> Seen {
        if !self.this_session.add(number) {
            self.faults.duplicated += 1;
            return Seen::Again;
        }
        if number < self.next || seq.is_some_and(|seq| seq <= self.last_seq) {
            self.faults.reordered += 1;
        }
        self.next = self.next.max(number + 1);
        self.last_seq = self.last_seq.max(seq.unwrap_or(self.last_seq));
        if self.ever.add(number) {
            self.received += 1;
            return Seen::New;
        }
        self.repeated += 1;
        Seen::Again
    }

    /// A new connection of the same device: what comes now may begin again further back.
    pub fn reconnected(&mut self) {
        self.this_session = Numbers::default();
        self.next = 0;
        self.last_seq = 0;
    }

    /// Whether `number` has come.
    pub fn has(&self, number: u64) -> bool {
        self.ever.has(number)
    }

    /// Different numbers that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Numbers that came again over a later connection, which a device without acks must expect.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Highest `seq` seen on this connection; 0 if none.
    pub fn last_seq(&self) -> i64 {
        self.last_seq
    }

    /// What was wrong, if the numbers below `sent` should have come.
    pub fn faults(&self, sent: u64) -> Faults {
        let lost = (0..sent).filter(|number| !self.ever.has(*number)).count() as u64;
        Faults {
            lost,
            ..self.faults
        }
    }
}

/// One entry of a stored conversation, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Place in the conversation.
    pub seq: i64,
    /// Who sent it and the how-manieth it is; `None` if the body is not of this run.
    pub what: Option<(Side, u64)>,
}

/// What one sender of a conversation was told.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which member.
    pub side: Side,
    /// Messages that it sent.
    pub sent: u64,
    /// Number and `seq` of each that was acknowledged.
    pub acked: Vec<(u64, i64)>,
}

/// Judges a whole log, oldest first, against what its senders were told. A message that was sent
/// but never acknowledged may stand there once or not at all.
pub fn check_log(log: &[Stored], senders: &[Told]) -> Faults {
    let mut faults = Faults::default();
    let mut places: HashMap<(Side, u64), i64> = HashMap::new();
    let mut highest: HashMap<Side, u64> = HashMap::new();
    for (expected, entry) in (1..).zip(log) {
        faults.reordered += u64::from(entry.seq != expected);
        let Some((side, number)) = entry.what else {
            faults.misplaced += 1;
            continue;
        };
        let known = senders
            .iter()
            .any(|told| told.side == side && number < told.sent);
        faults.misplaced += u64::from(!known);
        match places.entry((side, number)) {
            Entry::Occupied(_) => {
                faults.duplicated += 1;
                continue;
            }
            Entry::Vacant(place) => place.insert(entry.seq),
        };
        let above = highest.entry(side).or_insert(number);
        faults.reordered += u64::from(number < *above);
        *above = number.max(*above);
    }
    for told in senders {
        for (number, seq) in &told.acked {
            match places.get(&(told.side, *number)) {
                None => faults.lost += 1,
                Some(place) => faults.reordered += u64::from(place != seq),
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn receive(numbers: &[u64]) -> Inbox {
        let mut inbox = Inbox::default();
        for number in numbers {
            inbox.receive(*number, Some(*number as i64 + 1));
        }
        inbox
    }

    fn log_of(count: u64) -> (Vec<Stored>, Vec<Told>) {
        let log = (0..count)
            .map(|number| {
                let side = if number % 2 == 0 {
                    Side::User
                } else {
                    Side::Agent
                };
                Stored {
                    seq: number as i64 + 1,
                    what: Some((side, number / 2)),
                }
            })
            .collect::<Vec<_>>();
        let told = [Side::User, Side::Agent].map(|side| {
            let acked: Vec<(u64, i64)> = log
                .iter()
                .filter_map(|entry| {
                    entry
                        .what
                        .filter(|what| what.0 == side)
                        .map(|what| (what.1, entry.seq))
                })
                .collect();
            Told {
                side,
                sent: acked.len() as u64,
                acked,
            }
        });
        (log, told.into())
    }

    /// Numbers a log again from 1, as a server would that lost or repeated without a gap.
    fn renumber(mut log: Vec<Stored>) -> Vec<Stored> {
        log.iter_mut()
            .zip(1..)
            .for_each(|(entry, seq)| entry.seq = seq);
        log
    }

    proptest! {
        #[test]
        fn a_clean_stream_has_no_fault(count in 1..400_u64) {
            let numbers: Vec<u64> = (0..count).collect();
            prop_assert!(receive(&numbers).faults(count).none());
        }

        #[test]
        fn a_lost_delivery_is_found(count in 1..400_u64, at in any::<prop::sample::Index>()) {
            let mut numbers: Vec<u64> = (0..count).collect();
            numbers.remove(at.index(numbers.len()));
            prop_assert_eq!(receive(&numbers).faults(count), Faults { lost: 1, ..Faults::default() });
        }

        #[test]
        fn a_repeated_delivery_is_found(count in 1..400_u64, at in any::<prop::sample::Index>(), later in any::<prop::sample::Index>()) {
            let mut numbers: Vec<u64> = (0..count).collect();
            let from = at.index(numbers.len());
            let to = from + later.index(numbers.len() - from) + 1;
            numbers.insert(to, numbers[from]);
            prop_assert_eq!(receive(&numbers).faults(count), Faults { duplicated: 1, ..Faults::default() });
        }

        #[test]
        fn two_deliveries_that_changed_places_are_found(count in 2..400_u64, at in any::<prop::sample::Index>()) {
            let mut numbers: Vec<u64> = (0..count).collect();
            let first = at.index(numbers.len() - 1);
            numbers.swap(first, first + 1);
            let faults = receive(&numbers).faults(count);
            prop_assert!(faults.reordered >= 1 && faults.lost == 0 && faults.duplicated == 0);
        }

        #[test]
        fn a_clean_log_has_no_fault(count in 1..400_u64) {
            let (log, told) = log_of(count);
            prop_assert!(check_log(&log, &told).none());
        }

        #[test]
        fn an_acknowledged_message_that_is_missing_is_found(count in 1..400_u64, at in any::<prop::sample::Index>(), closed in any::<bool>()) {
            let (mut log, told) = log_of(count);
            log.remove(at.index(log.len()));
            let log = if closed { renumber(log) } else { log };
            prop_assert_eq!(check_log(&log, &told).lost, 1);
        }

        #[test]
        fn a_message_that_is_stored_twice_is_found(count in 1..400_u64, at in any::<prop::sample::Index>()) {
            let (mut log, told) = log_of(count);
            log.push(log[at.index(log.len())].clone());
            prop_assert_eq!(check_log(&renumber(log), &told), Faults { duplicated: 1, ..Faults::default() });
        }

        #[test]
        fn stored_messages_that_changed_places_are_found(count in 3..400_u64, at in any::<prop::sample::Index>()) {
            let (mut log, told) = log_of(count);
            let first = at.index(log.len() - 2);
            log.swap(first, first + 2);
            let faults = check_log(&renumber(log), &told);
            prop_assert!(faults.reordered >= 1 && faults.lost == 0);
        }

        #[test]
        fn a_gap_in_the_places_is_found(count in 2..400_u64, at in any::<prop::sample::Index>()) {
            let (mut log, _) = log_of(count);
            let from = at.index(log.len());
            log.iter_mut().skip(from).for_each(|entry| entry.seq += 1);
            prop_assert!(check_log(&log, &[]).reordered >= 1);
        }
    }

    #[test]
    fn a_number_that_comes_again_over_a_new_connection_is_not_a_duplicate() {
        let mut inbox = receive(&[0, 1, 2, 3]);
        inbox.reconnected();
        for number in 2..6 {
            inbox.receive(number, Some(number as i64 + 1));
        }
        assert!(inbox.faults(6).none());
        assert_eq!((inbox.received(), inbox.repeated()), (6, 2));
    }

    #[test]
    fn an_unacknowledged_message_may_be_stored_or_not() {
        let told = [Told {
            side: Side::User,
            sent: 2,
            acked: vec![(0, 1)],
        }];
        let one = [Stored {
            seq: 1,
            what: Some((Side::User, 0)),
        }];
        let two = [
            one[0].clone(),
            Stored {
                seq: 2,
                what: Some((Side::User, 1)),
            },
        ];
        assert!(check_log(&one, &told).none() && check_log(&two, &told).none());
    }

    #[test]
    fn a_message_of_another_conversation_is_found() {
        let told = [Told {
            side: Side::User,
            sent: 1,
            acked: vec![],
        }];
        let log = [
            Stored { seq: 1, what: None },
            Stored {
                seq: 2,
                what: Some((Side::User, 9)),
            },
        ];
        assert_eq!(check_log(&log, &told).misplaced, 2);
    }
}

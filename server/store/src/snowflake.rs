//! Numbers for messages: 41 bits of milliseconds since 2020, 10 bits of node, 12 bits of count.
//! Pure: the caller brings the time. Numbers only ever rise, whatever the clock does.

use protocol::Timestamp;

/// 2020-01-01T00:00:00Z in milliseconds since 1970.
const EPOCH_MS: i64 = 1_577_836_800_000;
const NODE_BITS: u32 = 10;
const COUNT_BITS: u32 = 12;
const LAST_COUNT: i64 = (1 << COUNT_BITS) - 1;
const LAST_MS: i64 = (1 << 41) - 1;

/// Makes numbers for one node.
#[derive(Debug, Clone)]
pub struct Snowflake {
    node: i64,
    ms: i64,
    count: i64,
}

impl Snowflake {
    /// Numbers above `newest` (0 where there is none), for `node` (its low 10 bits).
    pub const fn above(node: u16, newest: i64) -> Self {
        let node = (node & ((1 << NODE_BITS) - 1)) as i64;
        // Another node may have made `newest`: its millisecond counts as used up.
        Self {
            node,
            ms: newest >> (NODE_BITS + COUNT_BITS),
            count: LAST_COUNT,
        }
    }

    /// The next number. A clock that stands or steps back is overruled; after 4096 numbers in
    /// one millisecond the next one is borrowed.
    pub fn next(&mut self, now: Timestamp) -> i64 {
        let now_ms = (now.millis() - EPOCH_MS).clamp(0, LAST_MS);
        if now_ms > self.ms {
            self.ms = now_ms;
            self.count = 0;
        } else if self.count < LAST_COUNT {
            self.count += 1;
        } else {
            self.ms += 1;
            self.count = 0;
        }
        (self.ms << (NODE_BITS + COUNT_BITS)) | (self.node << COUNT_BITS) | self.count
    }
}

/// The lowest number of any node at `at`: what is older than `at` is below it.
pub const fn floor_of(at: Timestamp) -> i64 {
    let ms = at.millis() - EPOCH_MS;
    if ms < 0 {
        0
    } else {
        ms << (NODE_BITS + COUNT_BITS)
    }
}

/// The number `micros` older than `id`, of the lowest node.
pub(crate) const fn earlier(id: i64, micros: i64) -> i64 {
    let ms = (id >> (NODE_BITS + COUNT_BITS)) - micros / 1000;
    if ms < 0 {
        0
    } else {
        ms << (NODE_BITS + COUNT_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_rise_whatever_the_clock_does(
            node in 0u16..1024,
            newest in 0i64..(1 << 62),
            clock in proptest::collection::vec(0i64..3_000_000_000_000_000, 1..200),
        ) {
            let mut ids = Snowflake::above(node, newest);
            let mut last = newest;
            for at in clock {
                let id = ids.next(Timestamp::from_micros(at));
                prop_assert!(id > last);
                prop_assert_eq!((id >> COUNT_BITS) & 1023, i64::from(node));
                last = id;
            }
        }

        #[test]
        fn the_floor_of_a_time_separates_older_from_newer(ms in 0i64..LAST_MS - 1) {
            let at = Timestamp::from_micros((EPOCH_MS + ms) * 1000);
            let before = Snowflake::above(1023, 0).next(at.plus_micros(-1000));
            let after = Snowflake::above(0, 0).next(at);
            prop_assert!(before < floor_of(at) || ms == 0);
            prop_assert!(after >= floor_of(at));
        }
    }

    #[test]
    fn an_overflow_borrows_the_next_millisecond() {
        let now = Timestamp::from_micros((EPOCH_MS + 5) * 1000);
        let mut ids = Snowflake::above(3, 0);
        let made: Vec<i64> = (0..4097).map(|_| ids.next(now)).collect();
        assert_eq!(made[0] >> 22, 5);
        assert_eq!(made[4095] >> 22, 5);
        assert_eq!(made[4096] >> 22, 6);
    }
}

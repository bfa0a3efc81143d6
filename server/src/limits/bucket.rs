//! Token buckets for the frames of one socket, on `governor`. Sends and ephemeral frames have a
//! bucket each; `ack` and `resume` have none, they are coalesced. The session owns its buckets,
//! answers `rate_limited` with the seconds it is told, counts what it refused, and ends the
//! socket when a peer keeps on.

use super::Enforcement;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use protocol::PrincipalKind;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

/// What asking for a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Go on.
    Ok,
    /// Over the rate; this many seconds (at least 1) until there is a token again.
    RetryAfter(u64),
}

/// The bucket that a frame draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameClass {
    /// Messages, and every other frame that is answered.
    Send,
    /// Typing, status and heartbeat: over the rate they are dropped silently.
    Ephemeral,
}

/// How many tokens a bucket holds, and how many it gains each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: NonZeroU32,
    /// Tokens gained each second.
    pub per_second: NonZeroU32,
}

impl Rate {
    /// A rate; a zero counts as 1.
    pub const fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst: at_least_one(burst),
            per_second: at_least_one(per_second),
        }
    }

    /// As `governor` wants it.
    pub const fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

const fn at_least_one(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

/// Sends of a user.
pub const USER_SENDS: Rate = Rate::new(60, 5);
/// Sends of an agent.
pub const AGENT_SENDS: Rate = Rate::new(240, 50);
/// Typing, status and heartbeat of either.
pub const EPHEMERAL: Rate = Rate::new(10, 10);
/// So many refusals …
pub const REFUSALS: usize = 100;
/// … in this time end the socket with 4029.
pub const REFUSALS_WITHIN: Duration = Duration::from_secs(10);

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The buckets of one socket.
#[derive(Debug)]
pub struct FrameBuckets<C: Clock = DefaultClock> {
    enforcement: Enforcement,
    sends: Bucket<C>,
    ephemeral: Bucket<C>,
    clock: C,
}

impl FrameBuckets {
    /// Full buckets for a socket of this kind of principal.
    pub fn new(kind: PrincipalKind, enforcement: Enforcement) -> Self {
        Self::with_clock(kind, enforcement, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> FrameBuckets<C> {
    /// The same, on a clock that tests move.
    pub fn with_clock(kind: PrincipalKind, enforcement: Enforcement, clock: &C) -> Self {
        let sends = match kind {
            PrincipalKind::Agent => AGENT_SENDS,
            _ => USER_SENDS,
        };
        Self {
            enforcement,
            sends: RateLimiter::direct_with_clock(sends.quota(), clock.clone()),
            ephemeral: RateLimiter::direct_with_clock(EPHEMERAL.quota(), clock.clone()),
            clock: clock.clone(),
        }
    }

    /// Takes one token for a frame of `class`.
    pub fn take(&self, class: FrameClass) -> Take {
        if self.enforcement == Enforcement::Lifted {
            return Take::Ok;
        }
        let bucket = match class {
            FrameClass::Send => &self.sends,
            FrameClass::Ephemeral => &self.ephemeral,
        };
        match bucket.check() {
            Ok(()) => Take::Ok,
            Err(until) => Take::RetryAfter(whole_seconds(until.wait_time_from(self.clock.now()))),
        }
    }
}

/// Seconds, rounded up, at least 1.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Counts what one socket was refused, of whatever code.
#[derive(Debug)]
pub struct Refusals<C: Clock = DefaultClock> {
    clock: C,
    last: VecDeque<C::Instant>,
}

impl Refusals {
    /// None so far.
    pub fn new() -> Self {
        Self::with_clock(DefaultClock::default())
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> Refusals<C> {
    /// The same, on a clock that tests move.
    pub fn with_clock(clock: C) -> Self {
        Self {
            clock,
            last: VecDeque::new(),
        }
    }

    /// Notes one refusal; true when it is the hundredth within ten seconds: close 4029.
    pub fn note(&mut self) -> bool {
        let now = self.clock.now();
        if self.last.len() == REFUSALS {
            self.last.pop_front();
        }
        self.last.push_back(now);
        let within =
            |first: &C::Instant| Duration::from(now.duration_since(*first)) <= REFUSALS_WITHIN;
        self.last.len() == REFUSALS && self.last.front().is_some_and(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    fn buckets(kind: PrincipalKind) -> (FrameBuckets<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (
            FrameBuckets::with_clock(kind, Enforcement::On, &clock),
            clock,
        )
    }

    fn taken(buckets: &FrameBuckets<FakeRelativeClock>, class: FrameClass, tries: usize) -> usize {
        (0..tries)
            .filter(|_| buckets.take(class) == Take::Ok)
            .count()
    }

    #[test]
    fn a_user_bursts_sixty_and_then_sends_five_a_second() {
        let (buckets, clock) = buckets(PrincipalKind::User);
        assert_eq!(taken(&buckets, FrameClass::Send, 100), 60);
        assert_eq!(buckets.take(FrameClass::Send), Take::RetryAfter(1));
        clock.advance(Duration::from_secs(2));
        assert_eq!(taken(&buckets, FrameClass::Send, 100), 10);
    }

    #[test]
    fn an_agent_bursts_240_and_then_sends_fifty_a_second() {
        let (buckets, clock) = buckets(PrincipalKind::Agent);
        assert_eq!(taken(&buckets, FrameClass::Send, 500), 240);
        clock.advance(Duration::from_secs(1));
        assert_eq!(taken(&buckets, FrameClass::Send, 500), 50);
    }

    #[test]
    fn ephemeral_frames_have_a_bucket_of_their_own() {
        let (buckets, _clock) = buckets(PrincipalKind::User);
        assert_eq!(taken(&buckets, FrameClass::Ephemeral, 100), 10);
        assert_eq!(taken(&buckets, FrameClass::Send, 100), 60);
    }

    #[test]
    fn lifted_limits_refuse_nothing() {
        let clock = FakeRelativeClock::default();
        let buckets = FrameBuckets::with_clock(PrincipalKind::User, Enforcement::Lifted, &clock);
        assert_eq!(taken(&buckets, FrameClass::Send, 10_000), 10_000);
    }

    #[test]
    fn the_hundredth_refusal_within_ten_seconds_closes() {
        let clock = FakeRelativeClock::default();
        let mut refusals = Refusals::with_clock(clock.clone());
        for _ in 0..99 {
            assert!(!refusals.note());
            clock.advance(Duration::from_millis(100));
        }
        assert!(refusals.note());
    }

    #[test]
    fn slow_refusals_never_close() {
        let clock = FakeRelativeClock::default();
        let mut refusals = Refusals::with_clock(clock.clone());
        for _ in 0..1_000 {
            assert!(!refusals.note());
            clock.advance(Duration::from_millis(102));
        }
    }

    proptest! {
        #[test]
        fn over_any_time_no_more_than_burst_and_refill_pass(steps in prop::collection::vec((0_u64..2_000, 0_usize..100), 1..40)) {
            let (buckets, clock) = buckets(PrincipalKind::User);
            let (mut passed, mut elapsed_ms) = (0, 0);
            for (ms, tries) in steps {
                clock.advance(Duration::from_millis(ms));
                elapsed_ms += ms;
                passed += taken(&buckets, FrameClass::Send, tries);
                prop_assert!(passed as u64 <= 60 + elapsed_ms * 5 / 1000);
            }
        }
    }
}

//! HTTP tiers: one token bucket for each user or agent, else for each address, on `governor`'s
//! keyed limiter. Callers that are not limited any more are forgotten now and then, so the map is
//! bounded by who asked lately. The edge middleware asks once for each request.

use super::Enforcement;
use super::bucket::{Rate, whole_seconds};
use bytestring::ByteString;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

/// How generous a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tier {
    /// 60 requests at once, 5 a second.
    #[default]
    Free,
    /// 300 requests at once, 25 a second.
    Pro,
    /// 1500 requests at once, 125 a second.
    Enterprise,
}

impl Tier {
    /// The tier's bucket.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Free => Rate::new(60, 5),
            Self::Pro => Rate::new(300, 25),
            Self::Enterprise => Rate::new(1500, 125),
        }
    }

    /// The tier of this name (`free`, `pro`, `enterprise`).
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "free" => Some(Self::Free),
            "pro" => Some(Self::Pro),
            "enterprise" => Some(Self::Enterprise),
            _ => None,
        }
    }
}

/// Whose bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TierKey {
    /// A user, by public id.
    User(ByteString),
    /// An agent, by id.
    Agent(ByteString),
    /// Whoever is at this address ([`super::ClientAddress::key`]).
    Address(IpAddr),
}

/// What asking came to, as the rate headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Tokens of a full bucket.
    pub limit: u32,
    /// Tokens left.
    pub remaining: u32,
    /// Seconds until the bucket is full again.
    pub reset_s: u64,
    /// Set where the request is refused: seconds until there is a token.
    pub retry_after: Option<u64>,
}

/// Callers are forgotten after so many requests (those whose bucket is full again).
const SWEEP_EVERY: u32 = 4096;

type Buckets<C> = RateLimiter<TierKey, DashMapStateStore<TierKey>, C, StateInformationMiddleware>;

/// The buckets of all callers.
#[derive(Debug)]
pub struct Tiers<C: Clock = DefaultClock> {
    enforcement: Enforcement,
    free: Buckets<C>,
    pro: Buckets<C>,
    enterprise: Buckets<C>,
    clock: C,
    takes: AtomicU32,
}

impl Tiers {
    /// Full buckets for everybody.
    pub fn new(enforcement: Enforcement) -> Self {
        Self::with_clock(enforcement, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Tiers<C> {
    /// The same, on a clock that tests move.
    pub fn with_clock(enforcement: Enforcement, clock: &C) -> Self {
        let buckets = |quota: Quota| -> Buckets<C> {
            RateLimiter::dashmap_with_clock(quota, clock.clone())
                .with_middleware::<StateInformationMiddleware>()
        };
        Self {
            enforcement,
            free: buckets(Tier::Free.rate().quota()),
            pro: buckets(Tier::Pro.rate().quota()),
            enterprise: buckets(Tier::Enterprise.rate().quota()),
            clock: clock.clone(),
            takes: AtomicU32::new(0),
        }
    }

    /// Takes one token; `None` where rates are lifted.
    pub fn take(&self, key: &TierKey, tier: Tier) -> Option<Admission> {
        if self.enforcement == Enforcement::Lifted {
            return None;
        }
        if self.takes.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        let rate = tier.rate();
        let (remaining, retry_after) = match self.buckets(tier).check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (
                0,
                Some(whole_seconds(until.wait_time_from(self.clock.now()))),
            ),
        };
        let missing = rate.burst.get().saturating_sub(remaining);
        let reset_s = u64::from(missing.div_ceil(rate.per_second.get()));
        Some(Admission {
            limit: rate.burst.get(),
            remaining,
            reset_s,
            retry_after,
        })
    }

    /// Forgets the callers whose bucket is full again.
    pub fn sweep(&self) {
        for buckets in [&self.free, &self.pro, &self.enterprise] {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }

    /// Callers that are remembered.
    pub fn callers(&self) -> usize {
        self.free.len() + self.pro.len() + self.enterprise.len()
    }

    const fn buckets(&self, tier: Tier) -> &Buckets<C> {
        match tier {
            Tier::Free => &self.free,
            Tier::Pro => &self.pro,
            Tier::Enterprise => &self.enterprise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    fn tiers() -> (Tiers<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Tiers::with_clock(Enforcement::On, &clock), clock)
    }

    fn user(id: &'static str) -> TierKey {
        TierKey::User(ByteString::from_static(id))
    }

    #[test]
    fn each_tier_has_its_bucket_and_its_refill() {
        for (tier, burst, per_second) in [
            (Tier::Free, 60, 5),
            (Tier::Pro, 300, 25),
            (Tier::Enterprise, 1500, 125),
        ] {
            let (tiers, clock) = tiers();
            let passed = |tries: usize| {
                (0..tries)
                    .filter(|_| tiers.take(&user("u"), tier).unwrap().retry_after.is_none())
                    .count()
            };
            assert_eq!(passed(2_000), burst);
            clock.advance(Duration::from_secs(1));
            assert_eq!(passed(2_000), per_second);
        }
    }

    #[test]
    fn the_figures_for_the_headers_count_down_and_say_when_to_come_back() {
        let (tiers, _clock) = tiers();
        let first = tiers.take(&user("u"), Tier::Free).unwrap();
        assert_eq!(
            first,
            Admission {
                limit: 60,
                remaining: 59,
                reset_s: 1,
                retry_after: None
            }
        );
        for _ in 0..59 {
            tiers.take(&user("u"), Tier::Free);
        }
        let last = tiers.take(&user("u"), Tier::Free).unwrap();
        assert_eq!(
            last,
            Admission {
                limit: 60,
                remaining: 0,
                reset_s: 12,
                retry_after: Some(1)
            }
        );
    }

    #[test]
    fn callers_do_not_share_buckets() {
        let (tiers, _clock) = tiers();
        let address = TierKey::Address("198.51.100.1".parse().unwrap());
        for _ in 0..60 {
            tiers.take(&user("a"), Tier::Free);
        }
        assert!(
            tiers
                .take(&user("a"), Tier::Free)
                .unwrap()
                .retry_after
                .is_some()
        );
        assert!(
            tiers
                .take(&user("b"), Tier::Free)
                .unwrap()
                .retry_after
                .is_none()
        );
        assert!(
            tiers
                .take(&address, Tier::Free)
                .unwrap()
                .retry_after
                .is_none()
        );
        assert!(
            tiers
                .take(&TierKey::Agent("a".into()), Tier::Free)
                .unwrap()
                .retry_after
                .is_none()
        );
    }

    #[test]
    fn callers_that_are_not_limited_are_forgotten_without_anybody_asking() {
        let (tiers, clock) = tiers();
        for n in 0..1_000_u32 {
            tiers.take(&TierKey::Address(IpAddr::V4(n.into())), Tier::Free);
        }
        assert_eq!(tiers.callers(), 1_000);
        clock.advance(Duration::from_secs(60));
        for _ in 0..SWEEP_EVERY {
            tiers.take(&user("u"), Tier::Free);
        }
        assert_eq!(tiers.callers(), 1);
    }

    #[test]
    fn lifted_rates_are_not_even_counted() {
        let tiers = Tiers::new(Enforcement::Lifted);
        assert_eq!(tiers.take(&user("u"), Tier::Free), None);
        assert_eq!(tiers.callers(), 0);
    }
}

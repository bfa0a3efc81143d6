//! How often an agent may take over its own live socket: two processes that fight for one id
//! would otherwise replace each other for ever.

use super::Enforcement;
use super::bucket::whole_seconds;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use store::AgentKey;

/// Takeovers of one agent in a minute.
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

/// Counts takeovers per agent.
pub struct Takeovers(Option<RateLimiter<AgentKey, DashMapStateStore<AgentKey>, DefaultClock>>);

impl Takeovers {
    /// None so far.
    pub fn new(enforcement: Enforcement) -> Self {
        Self(
            (enforcement == Enforcement::On)
                .then(|| RateLimiter::keyed(Quota::per_minute(PER_MINUTE))),
        )
    }

    /// Takes one; the error is the seconds to wait.
    pub fn take(&self, agent: AgentKey) -> Result<(), u64> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        limiter
            .check_key(&agent)
            .map_err(|until| whole_seconds(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Forgets agents that have been quiet.
    pub fn sweep(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fourth_takeover_in_a_minute_is_refused_and_other_agents_are_not_hurt() {
        let takeovers = Takeovers::new(Enforcement::On);
        for _ in 0..3 {
            assert!(takeovers.take(AgentKey(1)).is_ok());
        }
        assert!(
            takeovers
                .take(AgentKey(1))
                .is_err_and(|seconds| seconds >= 1)
        );
        assert!(takeovers.take(AgentKey(2)).is_ok());
    }
}

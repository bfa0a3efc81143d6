//! What a run measures: delays and counts inside the measured span, troubles at any time. One
//! meter for all connections of a run, on the one thread that drives them.

use crate::body::Side;
use crate::clock::SECOND_NS;
use hdrhistogram::Histogram;

const LONGEST_US: u64 = 120_000_000;
const TROUBLES_KEPT: usize = 5;

/// Delays in microseconds, three digits.
#[derive(Debug)]
pub struct Delays(Histogram<u64>);

impl Delays {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_US, 3)?))
    }

    fn record_ns(&mut self, delay_ns: u64) {
        self.0.saturating_record((delay_ns / 1000).max(1));
    }

    /// The quantile (0.5 = median) in milliseconds; 0 if nothing was recorded.
    pub fn ms(&self, quantile: f64) -> f64 {
        if self.0.is_empty() {
            0.0
        } else {
            self.0.value_at_quantile(quantile) as f64 / 1000.0
        }
    }
}

/// Counts and delays of one run.
#[derive(Debug)]
pub struct Meter {
    from_ns: u64,
    to_ns: u64,
    /// Send to ack.
    pub ack: Delays,
    /// Send to delivery, of messages to agents.
    pub to_agent: Delays,
    /// Send to delivery, of messages to users.
    pub to_user: Delays,
    /// Acks in the measured span.
    pub acks: u64,
    /// Deliveries in the measured span.
    pub deliveries: u64,
    /// Refusals and unreadable frames, at any time.
    pub troubles: u64,
    /// The first few of them, in words.
    pub first_troubles: Vec<String>,
}

impl Meter {
    /// Measures nothing until [`Meter::measure`].
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            from_ns: u64::MAX,
            to_ns: u64::MAX,
            ack: Delays::new()?,
            to_agent: Delays::new()?,
            to_user: Delays::new()?,
            acks: 0,
            deliveries: 0,
            troubles: 0,
            first_troubles: Vec::new(),
        })
    }

    /// Sets the measured span.
    pub fn measure(&mut self, from_ns: u64, to_ns: u64) {
        (self.from_ns, self.to_ns) = (from_ns, to_ns);
    }

    /// Length of the measured span in seconds.
    pub fn seconds(&self) -> f64 {
        self.to_ns.saturating_sub(self.from_ns) as f64 / SECOND_NS as f64
    }

    fn measures(&self, now_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&now_ns)
    }

    /// An ack of a message that was meant to leave at `sent_ns`.
    pub fn acked(&mut self, sent_ns: u64, now_ns: u64) {
        if self.measures(now_ns) {
            self.acks += 1;
            self.ack.record_ns(now_ns.saturating_sub(sent_ns));
        }
    }

    /// A delivery of a message of `from`.
    pub fn delivered(&mut self, from: Side, sent_ns: u64, now_ns: u64) {
        if self.measures(now_ns) {
            self.deliveries += 1;
            let delays = if from == Side::User {
                &mut self.to_agent
            } else {
                &mut self.to_user
            };
            delays.record_ns(now_ns.saturating_sub(sent_ns));
        }
    }

    /// A refusal, or a frame that cannot be read.
    pub fn trouble(&mut self, words: &str) {
        self.troubles += 1;
        if self.first_troubles.len() < TROUBLES_KEPT
            && !self.first_troubles.iter().any(|known| known == words)
        {
            self.first_troubles.push(words.to_owned());
        }
    }
}

//! The last hour of the main figures, one sample a minute, in memory: what an operator's page
//! draws without a metrics database beside the server.

use crate::metrics::Metrics;
use parking_lot::Mutex;
use prometheus::Histogram;
use prometheus::core::Collector;
use protocol::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;

/// Samples that are kept: an hour.
const KEPT: usize = 60;

/// One minute. Counts are of the minute, the rest is as it was at its end.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// The end of the minute.
    pub at: Timestamp,
    /// Frames read from sockets.
    pub frames_in: u64,
    /// Frames written to sockets.
    pub frames_out: u64,
    /// Entries stored.
    pub stored: u64,
    /// Refusals that an operator should know of.
    pub errors: u64,
    /// Requests and frames refused for their rate.
    pub rate_limited: u64,
    /// HTTP requests answered.
    pub http_requests: u64,
    /// Half of the commits took at most this long, milliseconds; 0 where there was none.
    pub commit_p50_ms: f64,
    /// 99 of 100 commits took at most this long, milliseconds.
    pub commit_p99_ms: f64,
    /// Live sockets.
    pub sessions: i64,
    /// Users with a live socket.
    pub users: i64,
    /// Agents with a live socket.
    pub agents: i64,
    /// Entries that wait for the writer.
    pub writer_queue: i64,
    /// Entries that wait in delivery lanes.
    pub delivery_queue: i64,
    /// Size of the write-ahead log.
    pub wal_bytes: i64,
    /// Resident memory.
    pub resident_bytes: i64,
}

/// Totals since the start.
#[derive(Default)]
struct Totals {
    frames_in: u64,
    frames_out: u64,
    stored: u64,
    errors: u64,
    rate_limited: u64,
    http_requests: u64,
    /// Commits in each bucket, cumulative, with the bucket's bound in seconds.
    commits: Vec<(f64, u64)>,
}

impl Totals {
    fn of(metrics: &Metrics) -> Self {
        Self {
            frames_in: metrics.messages_in.get(),
            frames_out: metrics.messages_out.get(),
            stored: metrics.stored.get(),
            errors: metrics.errors.get(),
            rate_limited: metrics.rate_limited.get(),
            http_requests: metrics.http_seconds.get_sample_count(),
            commits: buckets(&metrics.commit_seconds),
        }
    }
}

fn buckets(histogram: &Histogram) -> Vec<(f64, u64)> {
    let families = histogram.collect();
    let first = families.first().and_then(|f| f.get_metric().first());
    let Some(metric) = first else {
        return Vec::new();
    };
    let histogram = metric.get_histogram();
    let buckets = histogram.get_bucket().iter();
    let mut all: Vec<(f64, u64)> = buckets
        .map(|b| (b.upper_bound(), b.cumulative_count()))
        .collect();
    // What is above the last bound counts too; it is told as that bound.
    let last = all.last().map_or(0.0, |bucket| bucket.0);
    all.push((last, histogram.get_sample_count()));
    all
}

/// The bound below which `share` of what came between two readings lies, milliseconds.
fn quantile_ms(before: &[(f64, u64)], now: &[(f64, u64)], share: f64) -> f64 {
    let before_of = |at: usize| before.get(at).map_or(0, |bucket| bucket.1);
    let fresh: Vec<(f64, u64)> = now
        .iter()
        .enumerate()
        .map(|(at, (bound, count))| (*bound, count.saturating_sub(before_of(at))))
        .collect();
    let all = fresh.last().map_or(0, |bucket| bucket.1);
    if all == 0 {
        return 0.0;
    }
    let wanted = (all as f64 * share).ceil() as u64;
    let bound = fresh.iter().find(|(_, count)| *count >= wanted);
    bound.map_or(0.0, |(bound, _)| bound * 1000.0)
}

/// The samples and what the last one was counted from.
#[derive(Default)]
pub struct History(Mutex<(VecDeque<Sample>, Totals)>);

impl History {
    /// Ends a minute.
    pub fn record(&self, metrics: &Metrics, at: Timestamp) {
        metrics.refresh();
        let mut kept = self.0.lock();
        let (samples, last) = &mut *kept;
        let totals = Totals::of(metrics);
        samples.push_back(sample(metrics, last, &totals, at));
        if samples.len() > KEPT {
            samples.pop_front();
        }
        *last = totals;
    }

    /// The samples, the oldest first, and the minute that is not over.
    pub fn read(&self, metrics: &Metrics, now: Timestamp) -> (Vec<Sample>, Sample) {
        metrics.refresh();
        let kept = self.0.lock();
        let running = sample(metrics, &kept.1, &Totals::of(metrics), now);
        (kept.0.iter().cloned().collect(), running)
    }
}

fn sample(metrics: &Metrics, before: &Totals, now: &Totals, at: Timestamp) -> Sample {
    Sample {
        at,
        frames_in: now.frames_in.saturating_sub(before.frames_in),
        frames_out: now.frames_out.saturating_sub(before.frames_out),
        stored: now.stored.saturating_sub(before.stored),
        errors: now.errors.saturating_sub(before.errors),
        rate_limited: now.rate_limited.saturating_sub(before.rate_limited),
        http_requests: now.http_requests.saturating_sub(before.http_requests),
        commit_p50_ms: quantile_ms(&before.commits, &now.commits, 0.5),
        commit_p99_ms: quantile_ms(&before.commits, &now.commits, 0.99),
        sessions: metrics.sessions_live.get(),
        users: metrics.clients_connected.get(),
        agents: metrics.agents_connected.get(),
        writer_queue: metrics.writer_queue.get(),
        delivery_queue: metrics.delivery_lane.get(),
        wal_bytes: metrics.wal_bytes.get(),
        resident_bytes: metrics.memory_alloc.get(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_minutes_is_kept_and_each_counts_its_own() {
        let (metrics, history) = (Metrics::new().unwrap(), History::default());
        for minute in 0..70 {
            metrics.stored.inc_by(minute);
            metrics.commit_seconds.observe(0.0008);
            history.record(&metrics, Timestamp::from_micros(minute as i64));
        }
        metrics.stored.inc_by(5);
        let (samples, running) = history.read(&metrics, Timestamp::from_micros(99));
        assert_eq!(samples.len(), KEPT);
        assert_eq!(samples[0].stored, 10);
        assert_eq!(samples[59].stored, 69);
        assert!((samples[59].commit_p50_ms - 1.0).abs() < f64::EPSILON);
        assert_eq!((running.stored, running.commit_p99_ms), (5, 0.0));
    }
}

//! What the server counts about itself, on a registry of its own, rendered as Prometheus text on
//! the admin listener. Names and meanings of the unlabelled metrics are those that existing
//! dashboards and alerts read; every queue has a gauge. Children of labelled families are
//! resolved once, so that counting is one atomic addition. Nothing here holds ids or text of
//! users.

mod families;
mod panic;
mod process;

pub use families::FrameKind;
#[cfg(test)]
pub(crate) use panic::HOOK;
pub use panic::install_panic_hook;
pub use process::Memory;

use families::Labelled;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, Result, TextEncoder,
};
use protocol::{CloseCode, ErrorCode};
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The prefix of every name but those of the process collector.
pub const PREFIX: &str = "agent_messenger";

/// Bounds of latency histograms, seconds.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 30.0,
];
/// Bounds of the rows in a writer's batch.
const BATCH_ROWS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];
/// Bounds of the rows in a page of catch-up.
const PAGE_ROWS: &[f64] = &[0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0];
/// For metrics that have no bounds.
const NONE: &[f64] = &[];

/// Runs before each rendering, to copy figures that others keep (the store's, for example).
type Refresh = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Makes one metric of its kind.
trait Make: Collector + Clone + Sized + 'static {
    fn make(opts: Opts, buckets: &[f64]) -> Result<Self>;
}

impl Make for IntCounter {
    fn make(opts: Opts, _: &[f64]) -> Result<Self> {
        Self::with_opts(opts)
    }
}

impl Make for IntGauge {
    fn make(opts: Opts, _: &[f64]) -> Result<Self> {
        Self::with_opts(opts)
    }
}

impl Make for Histogram {
    fn make(opts: Opts, buckets: &[f64]) -> Result<Self> {
        Self::with_opts(HistogramOpts {
            common_opts: opts,
            buckets: buckets.to_vec(),
        })
    }
}

fn register<M: Make>(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<M> {
    let metric = M::make(Opts::new(name, help).namespace(PREFIX), buckets)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

macro_rules! metrics {
    ($( $field:ident: $kind:ident = $name:literal, $buckets:expr, $help:literal; )*) => {
        /// Every metric of the server; each field's text is also its help line.
        pub struct Metrics {
            registry: Registry,
            started: Instant,
            refresh: OnceLock<Refresh>,
            labelled: Labelled,
            $( #[doc = $help] pub $field: $kind, )*
        }

        impl Metrics {
            /// All metrics at zero, on a new registry. Fails only if two names are the same.
            pub fn new() -> Result<Self> {
                let registry = Registry::new();
                let metrics = Self {
                    started: Instant::now(),
                    refresh: OnceLock::new(),
                    labelled: Labelled::register(&registry)?,
                    $( $field: register(&registry, $name, $help, $buckets)?, )*
                    registry,
                };
                metrics.registry.register(Box::new(ProcessCollector::for_self()))?;
                metrics.version.set(1);
                Ok(metrics)
            }
        }
    };
}

metrics! {
    messages_in: IntCounter = "messages_in_total", NONE, "frames read from sockets, of any type, before rate limiting";
    messages_out: IntCounter = "messages_out_total", NONE, "frames written to sockets, pings aside";
    connections: IntCounter = "connections_total", NONE, "sockets that were ever let in";
    agents_connected: IntGauge = "agents_connected", NONE, "agents with a live socket";
    clients_connected: IntGauge = "clients_connected", NONE, "distinct users with a live socket";
    client_conns: IntGauge = "client_conns_total", NONE, "live sockets of users";
    errors: IntCounter = "errors_total", NONE, "refusals that an operator should know of: failed credentials, rates exceeded, failures of our own";
    rate_limited: IntCounter = "rate_limited_total", NONE, "requests and frames refused for their rate or number";
    uptime_seconds: IntGauge = "uptime_seconds", NONE, "seconds since the start";
    version: IntGauge = "version", NONE, "always 1; the version is a label of its own metric";
    goroutines: IntGauge = "goroutines", NONE, "threads of this process (the name is kept for existing dashboards)";
    memory_alloc: IntGauge = "memory_alloc_bytes", NONE, "resident memory";
    memory_sys: IntGauge = "memory_sys_bytes", NONE, "highest resident memory so far";
    offline_queue_depth: IntGauge = "offline_queue_depth", NONE, "always 0: there is no offline queue, what a device missed is the log above its position";
    heartbeat_enabled: IntGauge = "agent_heartbeat_enabled", NONE, "1 where missed heartbeats of agents end their socket";
    stale_agents: IntGauge = "stale_agents", NONE, "agents that were cut off for missed heartbeats and are not back";

    stored: IntCounter = "stored_total", NONE, "entries committed to the log";
    replayed_sends: IntCounter = "replayed_sends_total", NONE, "sends that repeated a stored one and stored nothing";
    deliveries: IntCounter = "deliveries_total", NONE, "entries written to sockets, live or caught up";
    ephemeral_dropped: IntCounter = "ephemeral_dropped_total", NONE, "typing, status and presence events dropped because a queue was full";
    panics: IntCounter = "panics_total", NONE, "panics caught anywhere in the process";

    conversations_live: IntGauge = "conversations_live", NONE, "conversation actors in memory";
    sessions_live: IntGauge = "sessions_live", NONE, "session actors in memory";
    http_in_flight: IntGauge = "http_in_flight", NONE, "HTTP requests being answered, long polls included";
    waiters: IntGauge = "long_poll_waiters", NONE, "long polls that wait";

    writer_queue: IntGauge = "queue_writer_entries", NONE, "entries that wait for the writer (limit 4096)";
    conversation_permits: IntGauge = "queue_conversation_permits", NONE, "submits on their way through conversations (limit 1024 each)";
    batch_permits: IntGauge = "queue_batch_permits", NONE, "committed batches on their way to the sockets (limit 16)";
    delivery_lane: IntGauge = "queue_delivery_entries", NONE, "entries that wait in all delivery lanes (limit 256 each)";
    delivery_lane_bytes: IntGauge = "queue_delivery_bytes", NONE, "bytes that wait in all delivery lanes (limit 1 MiB each)";
    ack_lane: IntGauge = "queue_ack_entries", NONE, "acks, errors and answers that wait in all ack lanes (limit 288 each)";
    in_flight_sends: IntGauge = "queue_in_flight_sends", NONE, "sends whose ack is not yet written to its socket (limit 256 each)";
    read_queue: IntGauge = "queue_store_reads", NONE, "reads that wait for a connection of the pool (limit 1024)";
    hash_queue: IntGauge = "queue_password_checks", NONE, "passwords that wait to be hashed";
    catching_up: IntGauge = "sessions_catching_up", NONE, "sessions that read from the log";
    wal_bytes: IntGauge = "wal_bytes", NONE, "size of the write-ahead log";
    checkpoints: IntGauge = "checkpoints", NONE, "checkpoints of the write-ahead log since the start";
    checkpoint_stall_us: IntGauge = "checkpoint_stall_us", NONE, "how long the last checkpoint held the writer, microseconds";

    ack_seconds: Histogram = "ack_seconds", SECONDS, "from reading a send to writing its ack to the socket's queue";
    commit_seconds: Histogram = "commit_seconds", SECONDS, "one transaction of the writer, from BEGIN to the end of COMMIT";
    batch_rows: Histogram = "batch_rows", BATCH_ROWS, "entries in one transaction of the writer";
    http_seconds: Histogram = "http_seconds", SECONDS, "one HTTP request, long polls included";
    catch_up_rows: Histogram = "catch_up_rows", PAGE_ROWS, "rows in one page of a session's catch-up";
    catch_up_seconds: Histogram = "catch_up_seconds", SECONDS, "one page of a session's catch-up, from asking to having it";
}

impl Metrics {
    /// Counts a refusal, over whichever door it left. Call once for each.
    pub fn refused(&self, code: ErrorCode) {
        self.labelled.refused(code);
        if code == ErrorCode::RateLimited || code == ErrorCode::TooManyConnections {
            self.rate_limited.inc();
        }
        if matches!(code.http_status(), 401 | 429 | 500..) {
            self.errors.inc();
        }
    }

    /// Counts a socket that the server ended.
    pub fn closed(&self, code: CloseCode) {
        self.labelled.closed(code);
    }

    /// Counts a frame that was read, by what it decoded to.
    pub fn frame(&self, kind: FrameKind) {
        self.messages_in.inc();
        self.labelled.frame(kind);
    }

    /// Counts a socket that was let in.
    pub fn session_started(&self) {
        self.connections.inc();
        self.sessions_live.inc();
    }

    /// Counts frames written to a socket.
    pub fn frames_written(&self, frames: usize) {
        self.messages_out.inc_by(frames as u64);
    }

    /// Counts an answered HTTP request. `route` is the matched pattern, never the path itself.
    pub fn http(&self, route: &str, status: u16, took: Duration) {
        self.labelled.http(route, status);
        self.http_seconds.observe(took.as_secs_f64());
    }

    /// Sets what copies the figures of others into the gauges before each rendering. The first
    /// call wins.
    pub fn before_render(&self, refresh: impl Fn(&Self) + Send + Sync + 'static) {
        if self.refresh.set(Box::new(refresh)).is_err() {
            tracing::warn!("metrics have a refresh already");
        }
    }

    /// Brings the gauges that are copies up to date.
    pub fn refresh(&self) {
        let memory = Memory::read();
        self.uptime_seconds.set(self.uptime().as_secs() as i64);
        self.goroutines.set(memory.threads as i64);
        self.memory_alloc.set(memory.resident_bytes as i64);
        self.memory_sys.set(memory.peak_bytes as i64);
        if let Some(refresh) = self.refresh.get() {
            refresh(self);
        }
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> Result<String> {
        self.refresh();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("uptime", &self.uptime())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The names of the contract, in its order.
    const CONTRACT: &[&str] = &[
        "messages_in_total",
        "messages_out_total",
        "connections_total",
        "agents_connected",
        "clients_connected",
        "client_conns_total",
        "errors_total",
        "rate_limited_total",
        "uptime_seconds",
        "version",
        "goroutines",
        "memory_alloc_bytes",
        "memory_sys_bytes",
        "offline_queue_depth",
        "agent_heartbeat_enabled",
        "stale_agents",
    ];

    #[test]
    fn every_name_that_dashboards_read_is_rendered_without_labels() {
        let text = Metrics::new().unwrap().render().unwrap();
        for name in CONTRACT {
            let line = format!("\n{PREFIX}_{name} ");
            assert!(text.contains(&line), "{name} is missing");
        }
    }

    #[test]
    fn names_are_unique_and_every_sample_belongs_to_us_or_to_the_process() {
        let metrics = Metrics::new().unwrap();
        metrics.http("/health", 200, Duration::from_millis(1));
        let text = metrics.render().unwrap();
        let types: Vec<&str> = text
            .lines()
            .filter_map(|l| l.strip_prefix("# TYPE "))
            .collect();
        let names: HashSet<&str> = types.iter().filter_map(|l| l.split(' ').next()).collect();
        assert_eq!(names.len(), types.len());
        assert!(
            names
                .iter()
                .all(|n| n.starts_with(PREFIX) || n.starts_with("process_"))
        );
        assert!(names.contains("process_resident_memory_bytes"));
    }

    #[test]
    fn a_refusal_counts_by_code_and_only_alarming_ones_as_errors() {
        let metrics = Metrics::new().unwrap();
        for code in [
            ErrorCode::NotFound,
            ErrorCode::RateLimited,
            ErrorCode::Internal,
        ] {
            metrics.refused(code);
        }
        assert_eq!((metrics.errors.get(), metrics.rate_limited.get()), (2, 1));
        let text = metrics.render().unwrap();
        assert!(text.contains("agent_messenger_refusals_total{code=\"not_found\"} 1"));
        assert!(text.contains("agent_messenger_refusals_total{code=\"internal\"} 1"));
    }

    #[test]
    fn frames_closes_and_requests_count_under_their_label() {
        let metrics = Metrics::new().unwrap();
        metrics.frame(FrameKind::Heartbeat);
        metrics.closed(CloseCode::TooSlow);
        metrics.http("/conversations/{id}", 404, Duration::from_millis(3));
        let text = metrics.render().unwrap();
        for sample in [
            "agent_messenger_frames_total{type=\"heartbeat\"} 1",
            "agent_messenger_closes_total{code=\"4008\"} 1",
            "agent_messenger_http_requests_total{route=\"/conversations/{id}\",status=\"404\"} 1",
            "agent_messenger_http_seconds_count 1",
            "agent_messenger_messages_in_total 1",
        ] {
            assert!(text.contains(sample), "{sample} is missing in {text}");
        }
    }

    #[test]
    fn figures_of_others_are_copied_at_each_rendering() {
        let metrics = Metrics::new().unwrap();
        metrics.before_render(|m| m.wal_bytes.set(77));
        assert!(
            metrics
                .render()
                .unwrap()
                .contains("agent_messenger_wal_bytes 77")
        );
    }
}

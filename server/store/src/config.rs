//! What a store is opened with, and what it tells about itself while it runs.

use crate::location::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// The disk: an acknowledged message survives a power cut.
    Full,
    /// The operating system: it survives `kill -9`, and perhaps no power cut.
    Normal,
}

/// How long connections that read from PostgreSQL are kept. A file's are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// So many stay open though nobody reads; `None`: all.
    pub min_idle: Option<u32>,
    /// A connection is closed after this time; `None`: never.
    pub max_lifetime: Option<Duration>,
    /// A connection that nobody used for this time is closed; `None`: never.
    pub idle_timeout: Option<Duration>,
}

impl Default for PoolLimits {
    /// The Go server's: half an hour, and five minutes of idleness.
    fn default() -> Self {
        Self {
            min_idle: None,
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            idle_timeout: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// How to open a store. [`StoreConfig::at`] has the defaults.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where the log is.
    pub location: Location,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Size of SQLite's WAL, bytes, above which the writer restarts it between two batches.
    pub wal_limit_bytes: u64,
    /// Threads and connections that read.
    pub readers: u32,
    /// How long connections of PostgreSQL's readers are kept.
    pub pool: PoolLimits,
    /// How long one statement of a reader may take on PostgreSQL; `None`: for ever.
    pub read_timeout: Option<Duration>,
    /// Low 10 bits: this process in message ids.
    pub node: u16,
    /// For how long a repeated `client_msg_id` is recognised, seconds.
    pub dedupe_window_s: i64,
    /// Largest size of a SQLite file, pages of 4 KiB; `None`: as the disk allows. For tests of
    /// a full disk.
    pub max_pages: Option<u32>,
}

impl StoreConfig {
    /// The defaults, for the file or the database at `location`.
    pub fn at(location: impl Into<Location>) -> Self {
        Self {
            location: location.into(),
            read_timeout: Some(Duration::from_secs(10)),
            synchronous: Synchronous::Full,
            wal_limit_bytes: 64 * 1024 * 1024,
            readers: 4,
            pool: PoolLimits::default(),
            node: 0,
            dedupe_window_s: 14 * 24 * 3600,
            max_pages: None,
        }
    }
}

/// The file beside `path` with `suffix` added to its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What the store looks like now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Jobs that wait for the writer.
    pub writer_queue: usize,
    /// Reads that wait for a thread.
    pub read_queue: usize,
    /// Live part of the WAL after the last batch, bytes.
    pub wal_bytes: u64,
    /// Jobs of the last batch.
    pub last_batch: u64,
    /// Batches committed.
    pub batches: u64,
    /// Messages stored.
    pub rows: u64,
    /// Batches that were refused because the disk failed.
    pub failed_batches: u64,
    /// Times a checkpoint ran (PASSIVE beside the writer, RESTART by it).
    pub checkpoints: u64,
    /// Times the writer restarted the WAL.
    pub wal_restarts: u64,
    /// What these cost the writer in all, microseconds.
    pub checkpoint_stall_us: u64,
    /// What commits took in all, microseconds.
    pub commit_us: u64,
}

/// The counters behind [`Gauges`].
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) wal_bytes: AtomicI64,
    pub(crate) last_batch: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) failed_batches: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) wal_restarts: AtomicU64,
    pub(crate) checkpoint_stall_us: AtomicU64,
    pub(crate) commit_us: AtomicU64,
}

impl Meters {
    pub(crate) fn read(&self, writer_queue: usize, read_queue: usize) -> Gauges {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Gauges {
            writer_queue,
            read_queue,
            wal_bytes: self.wal_bytes.load(Ordering::Relaxed).max(0) as u64,
            last_batch: get(&self.last_batch),
            batches: get(&self.batches),
            rows: get(&self.rows),
            failed_batches: get(&self.failed_batches),
            checkpoints: get(&self.checkpoints),
            wal_restarts: get(&self.wal_restarts),
            checkpoint_stall_us: get(&self.checkpoint_stall_us),
            commit_us: get(&self.commit_us),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

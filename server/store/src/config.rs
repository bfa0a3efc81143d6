//! What a store is opened with, and what it tells about itself while it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// The disk: an acknowledged message survives a power cut.
    Full,
    /// The operating system: it survives `kill -9`, and perhaps no power cut.
    Normal,
}

/// How to open a store. [`StoreConfig::at`] has the defaults.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The database file; its folder must exist.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Size of the WAL, bytes, above which the writer restarts it between two batches.
    pub wal_limit_bytes: u64,
    /// Threads and connections that read.
    pub readers: u32,
    /// Low 10 bits: this process in message ids.
    pub node: u16,
    /// For how long a repeated `client_msg_id` is recognised, seconds.
    pub dedupe_window_s: i64,
    /// Largest size of the database, pages of 4 KiB; `None`: as the disk allows. For tests of
    /// a full disk.
    pub max_pages: Option<u32>,
}

impl StoreConfig {
    /// The defaults, for the file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            wal_limit_bytes: 64 * 1024 * 1024,
            readers: 4,
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

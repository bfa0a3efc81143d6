//! Keeping the WAL small. A thread of its own copies it into the database beside the writer
//! (PASSIVE); where the WAL passes its limit all the same, the writer lets it start again
//! (RESTART) between two batches. TRUNCATE only at the end: under load it stalls ten times
//! longer.

use crate::config::{Meters, StoreConfig, add};
use crate::error::OpenError;
use crate::sqlite::open;
use crossbeam_channel::{Receiver, Sender, bounded};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A page of 4 KiB and its header.
const FRAME_BYTES: i64 = 4096 + 24;
/// So few frames are not worth a checkpoint.
const FEW: i64 = 256;
/// The pause between two passes beside the writer.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a restart waits for readers that are still on old pages: many times what a read takes.
const PATIENCE: Duration = Duration::from_millis(50);
/// The pause after a restart that readers prevented; it doubles up to a second, so that one who
/// stays (a backup) does not stall the writer all the time.
const RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

#[derive(QueryableByName, Debug, Clone, Copy)]
struct Progress {
    #[diesel(sql_type = BigInt)]
    busy: i64,
    #[diesel(sql_type = BigInt)]
    log: i64,
    #[diesel(sql_type = BigInt)]
    checkpointed: i64,
}

fn checkpoint(conn: &mut SqliteConnection, mode: &str) -> QueryResult<Progress> {
    diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(conn)
}

/// Whether the WAL starts again. Readers outside this process are waited for as long as ours.
fn restart_now(conn: &mut SqliteConnection) -> QueryResult<bool> {
    conn.batch_execute("PRAGMA busy_timeout = 50;")?;
    let done = checkpoint(conn, "RESTART");
    conn.batch_execute("PRAGMA busy_timeout = 2000;")?;
    Ok(done?.busy == 0)
}

/// Empties the WAL; only when nobody else is there.
pub(crate) fn truncate(conn: &mut SqliteConnection) -> QueryResult<()> {
    checkpoint(conn, "TRUNCATE").map(drop)
}

/// Shared by whoever reads, for as long as a read lasts; a restart holds it alone. `SQLite`'s own
/// waiting starves here: a reader that comes back soon takes the very slot that the restart waits
/// for, and the WAL would grow as long as readers are busy.
pub(crate) type Snapshots = Arc<RwLock<()>>;

/// The writer's side.
pub(crate) struct Checkpoints {
    limit: i64,
    /// Held by whoever runs a checkpoint: two at once only wait for each other.
    gate: Arc<Mutex<()>>,
    snapshots: Snapshots,
    nudge: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    not_before: Instant,
    pause: Duration,
}

impl Checkpoints {
    /// Starts the thread.
    pub(crate) fn start(
        path: &Path,
        config: &StoreConfig,
        meters: Arc<Meters>,
    ) -> Result<Self, OpenError> {
        let mut conn = open::establish(path, "rw")?;
        let said = |text: String| OpenError::from_text(path, &text);
        open::prepare(&mut conn, config).map_err(|error| said(error.to_string()))?;
        let gate = Arc::new(Mutex::new(()));
        let (nudge, nudged) = bounded(1);
        let beside = Beside {
            conn,
            gate: Arc::clone(&gate),
            nudged,
            meters,
        };
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(move || beside.run());
        let thread = thread.map_err(|error| said(error.to_string()))?;
        Ok(Self {
            limit: i64::try_from(config.wal_limit_bytes).unwrap_or(i64::MAX),
            gate,
            snapshots: Snapshots::default(),
            nudge: Some(nudge),
            thread: Some(thread),
            not_before: Instant::now(),
            pause: RETRY,
        })
    }

    /// What readers of the same database share.
    pub(crate) fn snapshots(&self) -> Snapshots {
        Arc::clone(&self.snapshots)
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&mut self) {
        self.nudge = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpointer panicked");
        }
    }

    /// Measures the WAL, wakes the thread, restarts the WAL where it is too large.
    pub(crate) fn after_batch(
        &mut self,
        conn: &mut SqliteConnection,
        meters: &Meters,
    ) -> QueryResult<()> {
        let progress = checkpoint(conn, "NOOP")?;
        let bytes = progress.log * FRAME_BYTES;
        meters.wal_bytes.store(bytes, Ordering::Relaxed);
        if progress.log - progress.checkpointed > FEW
            && let Some(nudge) = &self.nudge
        {
            // Full: it was nudged already.
            let _ = nudge.try_send(());
        }
        if bytes > self.limit && Instant::now() >= self.not_before {
            self.restart(conn, meters, bytes)?;
        }
        Ok(())
    }

    /// Half a limit of grace for the pass that is running: then the writer waits for it.
    fn restart(
        &mut self,
        conn: &mut SqliteConnection,
        meters: &Meters,
        bytes: i64,
    ) -> QueryResult<()> {
        let gate = Arc::clone(&self.gate);
        let start = Instant::now();
        let held = if bytes > self.limit + self.limit / 2 {
            Some(gate.lock())
        } else {
            gate.try_lock()
        };
        if held.is_none() {
            return Ok(());
        }
        let snapshots = Arc::clone(&self.snapshots);
        let alone = snapshots.try_write_for(PATIENCE);
        let done = match &alone {
            Some(_) => restart_now(conn),
            None => Ok(false),
        };
        drop(alone);
        add(
            &meters.checkpoint_stall_us,
            start.elapsed().as_micros() as u64,
        );
        add(&meters.checkpoints, 1);
        match done {
            Ok(true) => {
                add(&meters.wal_restarts, 1);
                meters.wal_bytes.store(0, Ordering::Relaxed);
                self.pause = RETRY;
            }
            // A reader holds an old snapshot; it ends within a second.
            Ok(false) => self.put_off(),
            Err(error) => {
                self.put_off();
                return Err(error);
            }
        }
        Ok(())
    }

    fn put_off(&mut self) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_RETRY);
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's side.
struct Beside {
    conn: SqliteConnection,
    gate: Arc<Mutex<()>>,
    nudged: Receiver<()>,
    meters: Arc<Meters>,
}

impl Beside {
    fn run(mut self) {
        while self.nudged.recv().is_ok() {
            let pass = {
                let _held = self.gate.lock();
                checkpoint(&mut self.conn, "PASSIVE")
            };
            match pass {
                Ok(_) => add(&self.meters.checkpoints, 1),
                Err(error) => tracing::warn!(%error, "a checkpoint failed"),
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}

//! Reading: a few threads, each with a connection of a pool that cannot write, behind one
//! bounded queue. This is the one place where somebody else's blocking closure may run.

use crate::backend::{self, Backend};
use crate::clock::Clock;
use crate::config::{PoolLimits, StoreConfig};
use crate::conn::Conn;
use crate::error::{OpenError, StoreError};
use crate::sqlite::checkpoint::Snapshots;
use crate::writer::batch::Call;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ManageConnection, Pool};
use parking_lot::RwLock;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads that wait for a thread. At 55 µs a page, four threads clear it in 15 ms; a caller who
/// finds it full would only wait longer elsewhere.
const QUEUE: usize = 1024;

/// Makes connections that can only read.
struct ReadOnly {
    backend: Backend,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
}

/// A connection of the pool.
struct Reader {
    conn: Conn,
    /// A transaction did not begin or end: it is thrown away.
    broken: bool,
}

impl ManageConnection for ReadOnly {
    type Connection = Reader;
    type Error = OpenError;

    fn connect(&self) -> Result<Reader, Self::Error> {
        let db = self.backend.open_reader(&self.config)?;
        Ok(Reader {
            conn: Conn::new(db, Arc::clone(&self.clock)),
            broken: false,
        })
    }

    fn is_valid(&self, reader: &mut Reader) -> Result<(), Self::Error> {
        let alive = reader.conn.db.batch_execute("SELECT 1");
        alive.map_err(|error| OpenError::said(&self.config.location, &error.to_string()))
    }

    fn has_broken(&self, reader: &mut Reader) -> bool {
        reader.broken || std::thread::panicking()
    }
}

/// The pool, its threads and their queue.
pub(crate) struct Readers {
    queue: RwLock<Option<Sender<Box<dyn Call>>>>,
    threads: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Opens the connections and starts the threads.
    pub(crate) fn start(
        config: &StoreConfig,
        backend: &Backend,
        clock: &Arc<dyn Clock>,
        snapshots: &Snapshots,
    ) -> Result<Self, OpenError> {
        let said = |text: String| OpenError::said(&config.location, &text);
        let manager = ReadOnly {
            backend: backend.clone(),
            config: config.clone(),
            clock: Arc::clone(clock),
        };
        let limits = match backend {
            Backend::Postgres(_) => config.pool,
            Backend::Sqlite => PoolLimits {
                min_idle: None,
                max_lifetime: None,
                idle_timeout: None,
            },
        };
        let pool = Pool::builder()
            .max_size(config.readers.max(1))
            .min_idle(limits.min_idle.map(|idle| idle.min(config.readers.max(1))))
            .max_lifetime(limits.max_lifetime)
            .idle_timeout(limits.idle_timeout)
            .connection_timeout(Duration::from_secs(5))
            .test_on_check_out(false)
            .build(manager)
            .map_err(|error| said(error.to_string()))?;
        let (queue, jobs) = bounded(QUEUE);
        let mut threads = Vec::new();
        for number in 0..config.readers.max(1) {
            let (pool, jobs, snapshots) = (pool.clone(), jobs.clone(), Arc::clone(snapshots));
            let thread = std::thread::Builder::new().name(format!("reader-{number}"));
            threads.push(
                thread
                    .spawn(move || serve(&pool, &jobs, &snapshots))
                    .map_err(|error| said(error.to_string()))?,
            );
        }
        Ok(Self {
            queue: RwLock::new(Some(queue)),
            threads: parking_lot::Mutex::new(threads),
        })
    }

    /// Queues a read; never blocks.
    pub(crate) fn offer(&self, call: Box<dyn Call>) -> Result<(), StoreError> {
        match &*self.queue.read() {
            None => Err(StoreError::Closed),
            Some(queue) => queue.try_send(call).map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Disconnected(_) => StoreError::Closed,
            }),
        }
    }

    /// Reads that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.read().as_ref().map_or(0, Sender::len)
    }

    /// Finishes the queue and ends the threads.
    pub(crate) fn stop(&self) {
        *self.queue.write() = None;
        let here = std::thread::current().id();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.thread().id() != here && thread.join().is_err() {
                tracing::error!("a reader panicked");
            }
        }
    }
}

fn serve(pool: &Pool<ReadOnly>, jobs: &Receiver<Box<dyn Call>>, snapshots: &Snapshots) {
    while let Ok(mut call) = jobs.recv() {
        let done = {
            let _shared = snapshots.read();
            read(pool, call.as_mut())
        };
        call.answer(done);
    }
}

/// Runs a closure in one read transaction. The inner result stays with the call. A connection
/// that broke while it lay in the pool (the server was restarted) is replaced, once for each.
fn read(pool: &Pool<ReadOnly>, call: &mut dyn Call) -> Result<(), StoreError> {
    for _ in 0..=pool.max_size() {
        let mut reader = pool.get().map_err(|error| {
            tracing::error!(%error, "no connection to read with");
            StoreError::Unavailable
        })?;
        if let Err(error) = backend::begin_snapshot(&mut reader.conn.db) {
            tracing::debug!(%error, "a reader's connection is thrown away");
            reader.broken = true;
            continue;
        }
        let ran = call.run(&mut reader.conn);
        let ended = reader.conn.db.batch_execute("ROLLBACK");
        reader.broken = ended.is_err();
        return match (ran, ended) {
            (Ok(()), Err(error)) => Err(error.into()),
            // The closure's own error says more.
            _ => Ok(()),
        };
    }
    Err(StoreError::Unavailable)
}

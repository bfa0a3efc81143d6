//! The store as the server holds it: a queue to the one writer, a queue to the readers, and a
//! way to close both in order.

use crate::backend::{self, Opened};
use crate::clock::Clock;
use crate::config::{Gauges, Meters, StoreConfig};
use crate::conn::Conn;
use crate::error::{OpenError, StoreError};
use crate::position::PositionUpdate;
use crate::reader::Readers;
use crate::sink::{Append, AppendRefusal, CommitSink};
use crate::writer::batch::{Closure, Job};
use crate::writer::{self, Writer};
use crossbeam_channel::{Sender, TrySendError, bounded};
use parking_lot::{Mutex, RwLock};
use protocol::limits;
use std::fs::File;
use std::sync::Arc;
use std::thread::JoinHandle;

/// An open database. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: RwLock<Option<Sender<Job>>>,
    readers: Readers,
    meters: Arc<Meters>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// SQLite's, held until the writer is gone; PostgreSQL's goes with the connection.
    lock: Mutex<Option<File>>,
}

impl Store {
    /// Creates the file if it is absent (its folder must exist; a database of PostgreSQL must
    /// exist), takes the lock, refuses what is not ours, brings the schema up to date and starts the threads. Blocks.
    #[expect(clippy::needless_pass_by_value, reason = "the threads keep them")]
    pub fn open(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        let Opened { db, lock, backend } = backend::open(&config)?;
        let meters = Arc::new(Meters::default());
        let mut writer = Writer::new(
            config.clone(),
            backend.clone(),
            Arc::clone(&clock),
            sink,
            Arc::clone(&meters),
            db,
        )?;
        let readers = Readers::start(&config, &backend, &clock, &writer.snapshots())?;
        let (queue, jobs) = bounded(limits::WRITER_QUEUE);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer::run(&mut writer, &jobs))
            .map_err(|error| OpenError::said(&config.location, &error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            queue: RwLock::new(Some(queue)),
            readers,
            meters,
            thread: Mutex::new(Some(thread)),
            lock: Mutex::new(lock),
        })))
    }

    /// Queues a message; its outcome comes through the sink. Never blocks.
    pub fn append(&self, append: Append) -> Result<(), AppendRefusal> {
        self.0.offer(Job::Append(append))
    }

    /// Queues positions to be saved; they are collapsed and never move backwards. Never
    /// blocks. What does not exist any more is passed over.
    pub fn save_positions(&self, updates: Vec<PositionUpdate>) -> Result<(), AppendRefusal> {
        if updates.is_empty() {
            return Ok(());
        }
        self.0.offer(Job::Positions(updates))
    }

    /// Runs `f` on the writer's thread in its own savepoint of the current batch; answered
    /// after COMMIT. An error of `f` undoes what `f` did and nothing else.
    pub async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let (call, answer) = Closure::new(f);
        self.0
            .offer(Job::Call(Box::new(call)))
            .map_err(|refused| match refused {
                AppendRefusal::Full => StoreError::Overloaded,
                AppendRefusal::Closed => StoreError::Closed,
            })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `f` on a reading thread in one read transaction. `f` cannot write. It must end
    /// within a second (nothing interrupts it): an old snapshot keeps the WAL from shrinking.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        let (call, answer) = Closure::new(f);
        self.0.readers.offer(Box::new(call))?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// What the store looks like now.
    pub fn gauges(&self) -> Gauges {
        let queued = self.0.queue.read().as_ref().map_or(0, Sender::len);
        self.0.meters.read(queued, self.0.readers.waiting())
    }

    /// Finishes the queues, writes lazy state, empties the WAL, ends the threads and gives the
    /// lock back. Later calls answer `Closed`. Blocks; a second call returns when the first is
    /// done.
    pub fn close(&self) {
        self.0.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("gauges", &self.gauges())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn offer(&self, job: Job) -> Result<(), AppendRefusal> {
        match &*self.queue.read() {
            None => Err(AppendRefusal::Closed),
            Some(queue) => queue.try_send(job).map_err(|refused| match refused {
                TrySendError::Full(_) => AppendRefusal::Full,
                TrySendError::Disconnected(_) => AppendRefusal::Closed,
            }),
        }
    }

    fn close(&self) {
        *self.queue.write() = None;
        // Readers first: their snapshots would keep the WAL from being emptied.
        self.readers.stop();
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take()
            // The sink may hold the last clone; the writer cannot wait for itself.
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the writer panicked");
        }
        *self.lock.lock() = None;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

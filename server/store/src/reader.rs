//! Reading: a few threads, each with a connection of a pool that cannot write, behind one
//! bounded queue. This is the one place where somebody else's blocking closure may run.

use crate::checkpoint::Snapshots;
use crate::clock::Clock;
use crate::config::StoreConfig;
use crate::conn::{Conn, Db};
use crate::error::{OpenError, StoreError};
use crate::open;
use crate::writer::batch::Call;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ManageConnection, Pool};
use diesel::sqlite::SqliteConnection;
use parking_lot::RwLock;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads that wait for a thread. At 55 µs a page, four threads clear it in 15 ms; a caller who
/// finds it full would only wait longer elsewhere.
const QUEUE: usize = 1024;

/// Makes connections that can only read.
struct ReadOnly {
    uri: String,
    clock: Arc<dyn Clock>,
}

impl ManageConnection for ReadOnly {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Conn, Self::Error> {
        let mut conn =
            SqliteConnection::establish(&self.uri).map_err(diesel::r2d2::Error::ConnectionError)?;
        conn.batch_execute(
            "PRAGMA busy_timeout = 2000; PRAGMA query_only = ON; PRAGMA cache_size = -2048; \
             PRAGMA temp_store = MEMORY;",
        )
        .map_err(diesel::r2d2::Error::QueryError)?;
        Ok(Conn::new(Db::Sqlite(conn), Arc::clone(&self.clock)))
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), Self::Error> {
        conn.db
            .batch_execute("SELECT 1")
            .map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, _conn: &mut Conn) -> bool {
        std::thread::panicking()
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
        clock: &Arc<dyn Clock>,
        snapshots: &Snapshots,
    ) -> Result<Self, OpenError> {
        let said = |text: String| OpenError::from_text(&config.path, &text);
        let path = config
            .path
            .to_str()
            .ok_or_else(|| said("the path is not UTF-8".into()))?;
        let manager = ReadOnly {
            uri: open::uri(path, "ro"),
            clock: Arc::clone(clock),
        };
        let pool = Pool::builder()
            .max_size(config.readers.max(1))
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
        let done = match pool.get() {
            Ok(mut conn) => {
                let _shared = snapshots.read();
                read(&mut conn, call.as_mut())
            }
            Err(error) => {
                tracing::error!(%error, "no connection to read with");
                Err(StoreError::Unavailable)
            }
        };
        call.answer(done);
    }
}

/// Runs a closure in one read transaction. The inner result stays with the call.
fn read(conn: &mut Conn, call: &mut dyn Call) -> Result<(), StoreError> {
    conn.db.batch_execute("BEGIN")?;
    let ran = call.run(conn);
    let ended = conn.db.batch_execute("ROLLBACK");
    match (ran, ended) {
        (Ok(()), Err(error)) => Err(error.into()),
        // The closure's own error says more.
        _ => Ok(()),
    }
}

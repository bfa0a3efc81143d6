//! A connection as the nouns see it: the backend's connection, the clock, and the list of
//! conversations whose newest entry a statement has changed behind the writer's back.
//! Plain selects run on `db` as it is; a statement with an upsert, returning or a lock is one
//! function that matches on the backend.

use crate::clock::Clock;
use crate::error::StoreError;
use crate::keys::ConversationKey;
use diesel::connection::{Connection, InstrumentationEvent, SimpleConnection};
use protocol::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use backend::Db;

mod backend {
    use diesel::pg::PgConnection;
    use diesel::sqlite::SqliteConnection;

    /// The backends. Neither is opened through `Db::establish`.
    #[derive(diesel::MultiConnection)]
    pub(crate) enum Db {
        /// A server's.
        Postgres(PgConnection),
        /// The default.
        Sqlite(SqliteConnection),
    }
}

/// What `Store::read` and `Store::write` lend to their closure.
pub struct Conn {
    pub(crate) db: Db,
    clock: Arc<dyn Clock>,
    forgotten: Vec<ConversationKey>,
}

impl Conn {
    pub(crate) fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            clock,
            forgotten: Vec::new(),
        }
    }

    /// The time by the store's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs SQL as it stands: for tests and command lines, never with text from outside.
    pub fn batch_execute(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.db.batch_execute(sql)?)
    }

    /// Runs `f` and counts the statements that it ran: for tests of what must not grow with the data.
    pub fn counting<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> (T, u64) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        self.db
            .set_instrumentation(move |event: InstrumentationEvent<'_>| {
                if matches!(event, InstrumentationEvent::StartQuery { .. }) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        let result = f(self);
        self.db
            .set_instrumentation(|_: InstrumentationEvent<'_>| {});
        (result, count.load(Ordering::Relaxed))
    }

    /// Says that the newest entry of `conversation` was changed other than by an append, so
    /// that the writer reads it again before its next number.
    pub fn forget_newest(&mut self, conversation: ConversationKey) {
        self.forgotten.push(conversation);
    }

    pub(crate) fn take_forgotten(&mut self) -> Vec<ConversationKey> {
        std::mem::take(&mut self.forgotten)
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn").finish_non_exhaustive()
    }
}

//! One batch as one transaction. A row that fails, fails alone: appends run without savepoints
//! and, where one fails, run again with one savepoint each; a closure, which can run only once,
//! always has its own. What concerns the disk refuses the whole batch.

use super::append::{self, Desk};
use super::batch::{Batch, Positions, Step};
use super::heads::Heads;
use super::hooks::{Fresh, HOOKS};
use super::lazy::{self, Lazy};
use crate::checkpoint::Checkpoints;
use crate::clock::Clock;
use crate::config::{Meters, StoreConfig, add};
use crate::conn::{Conn, Db};
use crate::error::{OpenError, StoreError, is_disk_trouble};
use crate::position::{self, PositionUpdate};
use crate::schema::messages;
use crate::snowflake::Snowflake;
use crate::{AppendError, CommitSink, open};
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The batch cannot be saved.
#[derive(Debug)]
struct Dead(String);

impl From<diesel::result::Error> for Dead {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.to_string())
    }
}

/// The writer's state.
pub(crate) struct Writer {
    config: StoreConfig,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn CommitSink>,
    meters: Arc<Meters>,
    checkpoints: Checkpoints,
    /// None after the disk failed; opened again for the next batch.
    conn: Option<Conn>,
    ids: Snowflake,
    heads: Heads,
    lazy: Lazy,
}

impl Writer {
    /// Takes over a connection that `open` has prepared.
    pub(crate) fn new(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
        meters: Arc<Meters>,
        conn: SqliteConnection,
        checkpoints: Checkpoints,
    ) -> Result<Self, OpenError> {
        let said =
            |error: diesel::result::Error| OpenError::from_text(&config.path, &error.to_string());
        let mut db = Db::Sqlite(conn);
        let newest: Option<i64> = messages::table
            .select(messages::id)
            .order(messages::id.desc())
            .first(&mut db)
            .optional()
            .map_err(said)?;
        let newest = newest.unwrap_or(0);
        db.transaction(|db| lazy::recover(db, newest))
            .map_err(said)?;
        let ids = Snowflake::above(config.node, newest);
        let conn = Some(Conn::new(db, Arc::clone(&clock)));
        let (heads, lazy) = (Heads::new(), Lazy::new());
        Ok(Self {
            config,
            clock,
            sink,
            meters,
            checkpoints,
            conn,
            ids,
            heads,
            lazy,
        })
    }

    /// How long it may sleep; `None`: for ever.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.lazy.wait()
    }

    /// Does one batch, and answers everybody in it.
    pub(crate) fn run(&mut self, mut batch: Batch) {
        // Opened anew where the last batch lost it.
        let opened = match self.conn.take() {
            Some(conn) => Ok(conn),
            None => {
                open::reopen_writer(&self.config).map(|db| Conn::new(db, Arc::clone(&self.clock)))
            }
        };
        let mut permit = None;
        let mut waited = Duration::ZERO;
        let start = Instant::now();
        let done = opened
            .map_err(|error| Dead(error.to_string()))
            .and_then(|mut conn| {
                self.fill_transaction(&mut conn, &mut batch)?;
                if !batch.appends.is_empty() {
                    let asked = Instant::now();
                    permit = Some(self.sink.reserve());
                    waited = asked.elapsed();
                }
                with_manager(&mut conn.db, AnsiTransactionManager::commit_transaction)?;
                Ok(conn)
            });
        let committed = match done {
            Ok(conn) => {
                self.conn = Some(conn);
                self.adopt(&batch, start.elapsed().saturating_sub(waited));
                Ok(())
            }
            Err(Dead(text)) => {
                tracing::error!(error = text, jobs = batch.len(), "a batch was refused");
                self.heads.drop_all();
                self.lazy.put_off();
                batch.refuse();
                add(&self.meters.failed_batches, 1);
                Err(StoreError::Unavailable)
            }
        };
        self.answer(batch, permit, &committed);
        self.after_batch();
    }

    fn answer(
        &self,
        mut batch: Batch,
        permit: Option<crate::BatchPermit>,
        committed: &Result<(), StoreError>,
    ) {
        if !batch.appends.is_empty() {
            let permit = permit.unwrap_or_else(|| self.sink.reserve());
            self.sink.publish(permit, batch.take_outcomes());
        }
        for call in batch.calls {
            call.answer(committed.clone());
        }
    }

    fn adopt(&mut self, batch: &Batch, took: Duration) {
        self.heads.adopt();
        self.lazy.flushed();
        let mut rows = 0;
        for (append, result) in batch.appends.iter().zip(&batch.results) {
            if let Ok(stored) = result
                && !stored.replayed
            {
                rows += 1;
                let at = stored.created_at.micros();
                self.lazy
                    .stored(append.conversation, append.entry.sender, stored.seq, at);
            }
        }
        add(&self.meters.rows, rows);
        add(&self.meters.batches, 1);
        add(&self.meters.commit_us, took.as_micros() as u64);
        self.meters
            .last_batch
            .store(batch.len() as u64, std::sync::atomic::Ordering::Relaxed);
        self.sink.observe_commit(batch.len(), took);
    }

    /// Everything of the batch, up to but without COMMIT.
    fn fill_transaction(&mut self, conn: &mut Conn, batch: &mut Batch) -> Result<(), Dead> {
        begin(&mut conn.db)?;
        self.heads.mark();
        let steps = std::mem::take(&mut batch.steps);
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Appends(range) => self.appends(conn, batch, range.clone(), index == 0)?,
                Step::Positions(positions) => self.positions(conn, positions)?,
                Step::Call(at) => self.call(conn, batch, *at)?,
            }
        }
        self.positions(conn, &batch.positions)?;
        if self.lazy.is_due() {
            self.lazy.flush(&mut conn.db)?;
        }
        run_hooks(&mut conn.db, batch)
    }

    /// Appends in a row. `alone`: nothing else was done in this transaction yet, so that the
    /// whole of it can be the savepoint.
    fn appends(
        &mut self,
        conn: &mut Conn,
        batch: &mut Batch,
        range: Range<usize>,
        alone: bool,
    ) -> Result<(), Dead> {
        self.heads.mark();
        if !alone {
            with_manager(&mut conn.db, AnsiTransactionManager::begin_transaction)?;
        }
        let Err(error) = self.append_all(conn, batch, range.clone()) else {
            if !alone {
                with_manager(&mut conn.db, AnsiTransactionManager::commit_transaction)?;
            }
            return Ok(());
        };
        if is_disk_trouble(&error) {
            return Err(error.into());
        }
        with_manager(&mut conn.db, AnsiTransactionManager::rollback_transaction)?;
        self.heads.give_back();
        if alone {
            begin(&mut conn.db)?;
        }
        for at in range {
            self.append_guarded(conn, batch, at)?;
        }
        Ok(())
    }

    fn append_all(
        &mut self,
        conn: &mut Conn,
        batch: &mut Batch,
        range: Range<usize>,
    ) -> QueryResult<()> {
        let mut desk = Desk {
            ids: &mut self.ids,
            heads: &mut self.heads,
            now: self.clock.now(),
            window_us: self.config.dedupe_window_s.saturating_mul(1_000_000),
        };
        let appends = batch.appends.iter().zip(&mut batch.results);
        for (append, result) in appends.skip(range.start).take(range.len()) {
            *result = append::append(&mut conn.db, &mut desk, append.conversation, &append.entry)?;
        }
        Ok(())
    }

    /// One append in its own savepoint.
    fn append_guarded(
        &mut self,
        conn: &mut Conn,
        batch: &mut Batch,
        at: usize,
    ) -> Result<(), Dead> {
        self.heads.mark();
        with_manager(&mut conn.db, AnsiTransactionManager::begin_transaction)?;
        match self.append_all(conn, batch, at..at + 1) {
            Ok(()) => with_manager(&mut conn.db, AnsiTransactionManager::commit_transaction)?,
            Err(error) if is_disk_trouble(&error) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "a message was refused by the database");
                with_manager(&mut conn.db, AnsiTransactionManager::rollback_transaction)?;
                self.heads.give_back();
                if let Some(result) = batch.results.get_mut(at) {
                    *result = Err(AppendError::Unavailable);
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, conn: &mut Conn, batch: &mut Batch, at: usize) -> Result<(), Dead> {
        let Some(call) = batch.calls.get_mut(at) else {
            return Ok(());
        };
        with_manager(&mut conn.db, AnsiTransactionManager::begin_transaction)?;
        let done = call.run(conn);
        for key in conn.take_forgotten() {
            self.heads.forget(key);
        }
        match done {
            Ok(()) => with_manager(&mut conn.db, AnsiTransactionManager::commit_transaction)?,
            // SQLite may have rolled back the whole transaction: this fails then.
            Err(_) => with_manager(&mut conn.db, AnsiTransactionManager::rollback_transaction)?,
        }
        Ok(())
    }

    fn positions(&mut self, conn: &mut Conn, positions: &Positions) -> Result<(), Dead> {
        let now = self.clock.now();
        for ((device, conversation), position) in positions {
            let update = PositionUpdate {
                device: *device,
                conversation: *conversation,
                position: *position,
            };
            match position::save(&mut conn.db, &update, now) {
                Ok(()) => {}
                Err(error) if is_disk_trouble(&error) => return Err(error.into()),
                // The device or the conversation is gone: so is its position.
                Err(error) => tracing::debug!(%error, "a position was not saved"),
            }
        }
        Ok(())
    }

    /// Between two batches: the WAL's size, and what has to be done about it.
    fn after_batch(&mut self) {
        if let Some(conn) = &mut self.conn
            && let Err(error) = self.checkpoints.after_batch(&mut conn.db, &self.meters)
        {
            tracing::warn!(%error, "the WAL could not be measured or restarted");
        }
    }

    /// Flushes what is lazy and empties the WAL, for a clean end.
    pub(crate) fn finish(&mut self) {
        let mut tries = 0;
        while !self.lazy.is_empty() && tries < 1000 {
            self.lazy.hurry();
            self.run(Batch::default());
            tries = if self.conn.is_some() { tries + 1 } else { 1000 };
        }
        self.checkpoints.stop();
        if let Some(conn) = &mut self.conn
            && let Err(error) = crate::checkpoint::truncate(&mut conn.db)
        {
            tracing::warn!(%error, "the WAL was not emptied at the end");
        }
        self.conn = None;
    }
}

/// Runs one of Diesel's transaction functions on the backend's own connection.
fn with_manager(db: &mut Db, run: fn(&mut SqliteConnection) -> QueryResult<()>) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => run(c),
    }
}

/// Takes the write lock at once, so that nothing fails on it later.
fn begin(db: &mut Db) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE"),
    }
}

fn run_hooks(db: &mut Db, batch: &Batch) -> Result<(), Dead> {
    if HOOKS.is_empty() {
        return Ok(());
    }
    let rows = batch.appends.iter().zip(&batch.results);
    let fresh: Vec<Fresh<'_>> = rows
        .filter_map(|(append, result)| match result {
            Ok(stored) if !stored.replayed => Some(Fresh {
                conversation: append.conversation,
                entry: &append.entry,
                stored: *stored,
            }),
            _ => None,
        })
        .collect();
    for hook in HOOKS {
        hook(db, &fresh)?;
    }
    Ok(())
}

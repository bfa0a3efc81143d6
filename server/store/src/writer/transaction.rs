//! One batch as one transaction. A row that fails, fails alone: appends run without savepoints
//! and, where one fails, run again with one savepoint each; a closure, which can run only once,
//! always has its own. What concerns the disk refuses the whole batch.

use super::append::{self, Desk};
use super::batch::{Batch, Positions, Step};
use super::heads::Heads;
use super::hooks::{Fresh, HOOKS};
use super::lazy::{self, Lazy};
use crate::backend::{self, Backend};
use crate::clock::Clock;
use crate::config::{Meters, StoreConfig, add};
use crate::conn::{Conn, Db};
use crate::error::{OpenError, StoreError, is_disk_trouble};
use crate::location::Location;
use crate::position::{self, PositionUpdate};
use crate::schema::messages;
use crate::snowflake::Snowflake;
use crate::sqlite::checkpoint::{self, Checkpoints, Snapshots};
use crate::{AppendError, BatchPermit, CommitSink};
use diesel::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a batch is tried again where the server may come back.
const RETRIES: usize = 2;

/// The transaction cannot be saved.
#[derive(Debug)]
struct Dead {
    text: String,
    /// COMMIT was sent, and nobody could be asked what became of it.
    unknown: bool,
}

impl From<diesel::result::Error> for Dead {
    fn from(error: diesel::result::Error) -> Self {
        Self::undone(&error)
    }
}

impl Dead {
    fn undone(error: &impl std::fmt::Display) -> Self {
        Self {
            text: error.to_string(),
            unknown: false,
        }
    }
}

/// The writer's state.
pub(crate) struct Writer {
    config: StoreConfig,
    backend: Backend,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn CommitSink>,
    meters: Arc<Meters>,
    /// None on PostgreSQL, which looks after its own log.
    checkpoints: Option<Checkpoints>,
    /// None after it failed; opened again for the next transaction.
    conn: Option<Conn>,
    ids: Snowflake,
    heads: Heads,
    lazy: Lazy,
}

/// What a batch needs of its transaction's surroundings.
#[derive(Default)]
struct Attempt {
    permit: Option<BatchPermit>,
    waited: Duration,
}

impl Writer {
    /// Takes over a connection that `backend` has prepared.
    pub(crate) fn new(
        config: StoreConfig,
        backend: Backend,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
        meters: Arc<Meters>,
        mut db: Db,
    ) -> Result<Self, OpenError> {
        let said =
            |error: diesel::result::Error| OpenError::said(&config.location, &error.to_string());
        let newest: Option<i64> = messages::table
            .select(messages::id)
            .order(messages::id.desc())
            .first(&mut db)
            .optional()
            .map_err(said)?;
        let newest = newest.unwrap_or(0);
        db.transaction(|db| lazy::recover(db, newest))
            .map_err(said)?;
        let checkpoints = match &config.location {
            Location::Sqlite(path) => Some(Checkpoints::start(path, &config, Arc::clone(&meters))?),
            Location::Postgres(_) => None,
        };
        Ok(Self {
            ids: Snowflake::above(config.node, newest),
            conn: Some(Conn::new(db, Arc::clone(&clock))),
            heads: Heads::new(checkpoints.is_some()),
            lazy: Lazy::new(),
            config,
            backend,
            clock,
            sink,
            meters,
            checkpoints,
        })
    }

    /// What readers of the same database share with the checkpoints.
    pub(crate) fn snapshots(&self) -> Snapshots {
        let checkpoints = self.checkpoints.as_ref();
        checkpoints.map(Checkpoints::snapshots).unwrap_or_default()
    }

    /// How long it may sleep; `None`: for ever.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.lazy.wait()
    }

    /// Does one batch, and answers everybody in it.
    pub(crate) fn run(&mut self, mut batch: Batch) {
        let mut attempt = Attempt::default();
        let start = Instant::now();
        let mut left = if self.backend.may_come_back() {
            RETRIES
        } else {
            0
        };
        let committed = loop {
            match self.transaction(&mut batch, &mut attempt) {
                Ok(()) => {
                    self.adopt(&batch, start.elapsed().saturating_sub(attempt.waited));
                    break Ok(());
                }
                Err(dead) if left > 0 && !dead.unknown => {
                    left -= 1;
                    tracing::warn!(error = dead.text, "a batch is tried again");
                    self.forget();
                    batch.again();
                }
                Err(dead) => break Err(self.give_up(&mut batch, &dead)),
            }
        };
        self.answer(batch, attempt.permit, &committed);
        self.after_batch();
    }

    fn give_up(&mut self, batch: &mut Batch, dead: &Dead) -> StoreError {
        tracing::error!(error = dead.text, jobs = batch.len(), "a batch was refused");
        self.forget();
        add(&self.meters.failed_batches, 1);
        let (append, call) = if dead.unknown {
            (AppendError::Unknown, StoreError::Unknown)
        } else {
            (AppendError::Unavailable, StoreError::Unavailable)
        };
        batch.refuse(append);
        call
    }

    /// After a transaction that was undone.
    fn forget(&mut self) {
        self.heads.drop_all();
        self.lazy.put_off();
    }

    /// One try: BEGIN, everything, COMMIT. The connection stays only after success.
    fn transaction(&mut self, batch: &mut Batch, attempt: &mut Attempt) -> Result<(), Dead> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reopened()?,
        };
        self.fill_transaction(&mut conn, batch)?;
        if !batch.appends.is_empty() && attempt.permit.is_none() {
            let asked = Instant::now();
            attempt.permit = Some(self.sink.reserve());
            attempt.waited = asked.elapsed();
        }
        match backend::commit(&mut conn.db) {
            Ok(()) => self.conn = Some(conn),
            Err(error) if self.backend.may_come_back() => {
                drop(conn);
                self.ask_for_commit(batch, &error)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn reopened(&self) -> Result<Conn, Dead> {
        let db = self.backend.reopen_writer(&self.config);
        db.map(|db| Conn::new(db, Arc::clone(&self.clock)))
            .map_err(|error| Dead::undone(&error))
    }

    /// COMMIT was sent and not answered. A new session that has the lock sees the end of the old
    /// one, so the batch's first message is there now or never.
    fn ask_for_commit(&mut self, batch: &Batch, error: &diesel::result::Error) -> Result<(), Dead> {
        let unknown = |text: String| Dead {
            text,
            unknown: true,
        };
        let Some(first) = batch.first_stored() else {
            return Err(unknown(error.to_string()));
        };
        let mut conn = self.reopened().map_err(|dead| unknown(dead.text))?;
        let found: QueryResult<Option<i64>> = messages::table
            .find(first.as_i64())
            .select(messages::id)
            .first(&mut conn.db)
            .optional();
        match found {
            Ok(Some(_)) => {
                tracing::warn!(%error, "a commit was not answered, and was done");
                self.conn = Some(conn);
                Ok(())
            }
            Ok(None) => {
                self.conn = Some(conn);
                Err(Dead::undone(error))
            }
            Err(second) => Err(unknown(second.to_string())),
        }
    }

    fn answer(
        &self,
        mut batch: Batch,
        permit: Option<BatchPermit>,
        committed: &Result<(), StoreError>,
    ) {
        if !batch.appends.is_empty() {
            let permit = permit.unwrap_or_else(|| self.sink.reserve());
            self.sink.publish(permit, batch.take_outcomes());
        }
        batch.answer_calls(committed);
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
        backend::begin(&mut conn.db)?;
        self.heads.mark();
        let steps = std::mem::take(&mut batch.steps);
        let done = self.steps(conn, batch, &steps);
        // Another try needs them again.
        batch.steps = steps;
        done?;
        self.positions(conn, &batch.positions)?;
        if self.lazy.is_due() {
            self.lazy.flush(&mut conn.db)?;
        }
        run_hooks(&mut conn.db, batch)
    }

    fn steps(&mut self, conn: &mut Conn, batch: &mut Batch, steps: &[Step]) -> Result<(), Dead> {
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Appends(range) => self.appends(conn, batch, range.clone(), index == 0)?,
                Step::Positions(positions) => self.positions(conn, positions)?,
                Step::Call(at) => self.call(conn, batch, *at)?,
            }
        }
        Ok(())
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
            backend::begin_savepoint(&mut conn.db)?;
        }
        let Err(error) = self.append_all(conn, batch, range.clone()) else {
            if !alone {
                backend::commit(&mut conn.db)?;
            }
            return Ok(());
        };
        if is_disk_trouble(&error) {
            return Err(error.into());
        }
        backend::roll_back(&mut conn.db)?;
        self.heads.give_back();
        if alone {
            backend::begin(&mut conn.db)?;
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
        let Batch {
            appends, results, ..
        } = batch;
        match (appends.get(range.clone()), results.get_mut(range)) {
            (Some(appends), Some(results)) => {
                append::append_all(&mut conn.db, &mut desk, appends, results)
            }
            _ => Ok(()),
        }
    }

    /// One append in its own savepoint.
    fn append_guarded(
        &mut self,
        conn: &mut Conn,
        batch: &mut Batch,
        at: usize,
    ) -> Result<(), Dead> {
        self.heads.mark();
        backend::begin_savepoint(&mut conn.db)?;
        match self.append_all(conn, batch, at..at + 1) {
            Ok(()) => backend::commit(&mut conn.db)?,
            Err(error) if is_disk_trouble(&error) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "a message was refused by the database");
                backend::roll_back(&mut conn.db)?;
                self.heads.give_back();
                if let Some(result) = batch.results.get_mut(at) {
                    *result = Err(AppendError::Unavailable);
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, conn: &mut Conn, batch: &mut Batch, at: usize) -> Result<(), Dead> {
        let Some(Some(call)) = batch.calls.get_mut(at) else {
            return Ok(());
        };
        batch.ran = at + 1;
        backend::begin_savepoint(&mut conn.db)?;
        let done = call.run(conn);
        for key in conn.take_forgotten() {
            self.heads.forget(key);
        }
        match done {
            Ok(()) => backend::commit(&mut conn.db)?,
            // The backend may have rolled back the whole transaction: this fails then.
            Err(_) => backend::roll_back(&mut conn.db)?,
        }
        Ok(())
    }

    fn positions(&mut self, conn: &mut Conn, positions: &Positions) -> Result<(), Dead> {
        if positions.is_empty() {
            return Ok(());
        }
        let updates: Vec<_> = positions
            .iter()
            .map(|((device, conversation), position)| PositionUpdate {
                device: *device,
                conversation: *conversation,
                position: *position,
            })
            .collect();
        Ok(position::save_all(
            &mut conn.db,
            &updates,
            self.clock.now(),
        )?)
    }

    /// Between two batches: the WAL's size, and what has to be done about it.
    fn after_batch(&mut self) {
        if let Some(Conn {
            db: Db::Sqlite(conn),
            ..
        }) = &mut self.conn
            && let Some(checkpoints) = &mut self.checkpoints
            && let Err(error) = checkpoints.after_batch(conn, &self.meters)
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
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.stop();
        }
        if let Some(Conn {
            db: Db::Sqlite(conn),
            ..
        }) = &mut self.conn
            && let Err(error) = checkpoint::truncate(conn)
        {
            tracing::warn!(%error, "the WAL was not emptied at the end");
        }
        self.conn = None;
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

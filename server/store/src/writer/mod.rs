//! The writer: one thread, one connection, one transaction after the other. It drains its queue
//! into a batch, gives every conversation its next numbers, commits, and only then says so.
//! It decides nothing about who may write; it never tells of a message that is not durable.

pub(crate) mod append;
mod append_postgres;
pub(crate) mod batch;
pub(crate) mod heads;
pub(crate) mod hooks;
pub(crate) mod lazy;
mod transaction;

pub(crate) use transaction::Writer;

use batch::{Batch, Job};
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use protocol::limits;
use std::time::{Duration, Instant};

/// Batches of at least so many jobs mean load: the next one waits for company. Tiny commits at
/// 15,000 messages a second saturate the writer.
const LOAD: usize = 12;
/// The longest wait for company.
const LINGER: Duration = Duration::from_micros(1500);
/// How long the writer sleeps at a time while it lingers.
const NAP: Duration = Duration::from_micros(250);

/// Runs until every sender is gone and the queue is empty.
pub(crate) fn run(writer: &mut Writer, queue: &Receiver<Job>) {
    let mut last = 0;
    loop {
        let mut batch = Batch::default();
        match wait(writer, queue) {
            Ok(job) => {
                batch.push(job);
                fill(&mut batch, queue);
                if last >= LOAD {
                    linger(&mut batch, queue);
                }
            }
            // Only lazy state is due.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        last = batch.len();
        writer.run(batch);
    }
    writer.finish();
}

/// The next job, or `Timeout` when lazy state is due first.
fn wait(writer: &Writer, queue: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
    match writer.wait() {
        Some(timeout) => queue.recv_timeout(timeout),
        None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

/// Takes what is there; whether something was.
fn fill(batch: &mut Batch, queue: &Receiver<Job>) -> bool {
    let before = batch.len();
    while batch.len() < limits::WRITER_BATCH {
        match queue.try_recv() {
            Ok(job) => batch.push(job),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    batch.len() > before
}

/// Waits for more, in naps: a blocked receiver would cost every sender a wake-up. A nap that
/// brings nothing ends it, because then everybody waits for this batch.
fn linger(batch: &mut Batch, queue: &Receiver<Job>) {
    let start = Instant::now();
    while batch.len() < limits::WRITER_BATCH && start.elapsed() < LINGER {
        std::thread::park_timeout(NAP);
        if !fill(batch, queue) {
            break;
        }
    }
}

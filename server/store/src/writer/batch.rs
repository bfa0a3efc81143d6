//! The jobs of one transaction, in the order in which they came.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{ConversationKey, DeviceKey};
use crate::position::PositionUpdate;
use crate::{Append, AppendError, Outcome, Stored};
use protocol::{MessageId, Position};
use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// Something for the writer.
pub(crate) enum Job {
    Append(Append),
    Positions(Vec<PositionUpdate>),
    Call(Box<dyn Call>),
}

/// A closure that waits for its answer.
pub(crate) trait Call: Send {
    /// Runs it, once. An error means: roll back what it did.
    fn run(&mut self, conn: &mut Conn) -> Result<(), StoreError>;
    /// Answers, after COMMIT (`Ok`) or after the batch failed.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// The one implementation of [`Call`], also used by the readers.
pub(crate) struct Closure<T, F> {
    f: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Closure<T, F> {
    pub(crate) fn new(f: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (
            Self {
                f: Some(f),
                result: None,
                reply,
            },
            answer,
        )
    }
}

impl<T, F> Call for Closure<T, F>
where
    T: Send,
    F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, conn: &mut Conn) -> Result<(), StoreError> {
        let Some(f) = self.f.take() else {
            return Err(StoreError::Internal("a call ran twice".into()));
        };
        // A panic in one caller's closure must not end the thread that serves all.
        let result = catch_unwind(AssertUnwindSafe(|| f(conn)))
            .unwrap_or_else(|_| Err(StoreError::Internal("a database closure panicked".into())));
        let verdict = result.as_ref().map(drop).map_err(Clone::clone);
        self.result = Some(result);
        verdict
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Internal("a call was not run".into())),
            (Err(error), _) => Err(error),
        };
        // Whoever asked may have gone away.
        drop(self.reply.send(result));
    }
}

/// Collapsed positions.
pub(crate) type Positions = HashMap<(DeviceKey, ConversationKey), Position>;

/// Neighbouring appends are one step, because they share a savepoint. Positions wait for the
/// next closure, which must see them, or for the end.
#[derive(Debug)]
pub(crate) enum Step {
    Appends(Range<usize>),
    Positions(Positions),
    Call(usize),
}

/// What is to be done, and what came of it.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) steps: Vec<Step>,
    pub(crate) appends: Vec<Append>,
    pub(crate) results: Vec<Result<Stored, AppendError>>,
    /// None where it was answered already.
    pub(crate) calls: Vec<Option<Box<dyn Call>>>,
    /// So many calls have run, and can run no second time.
    pub(crate) ran: usize,
    /// Since the last closure.
    pub(crate) positions: Positions,
    jobs: usize,
}

impl Batch {
    /// How many jobs it holds.
    pub(crate) fn len(&self) -> usize {
        self.jobs
    }

    pub(crate) fn push(&mut self, job: Job) {
        self.jobs += 1;
        match job {
            Job::Append(append) => self.push_append(append),
            Job::Call(call) => {
                if !self.positions.is_empty() {
                    self.steps
                        .push(Step::Positions(std::mem::take(&mut self.positions)));
                }
                self.steps.push(Step::Call(self.calls.len()));
                self.calls.push(Some(call));
            }
            Job::Positions(updates) => updates
                .into_iter()
                .for_each(|update| self.push_position(update)),
        }
    }

    fn push_append(&mut self, append: Append) {
        let at = self.appends.len();
        match self.steps.last_mut() {
            Some(Step::Appends(range)) => range.end = at + 1,
            _ => self.steps.push(Step::Appends(at..at + 1)),
        }
        self.appends.push(append);
        self.results.push(Err(AppendError::Unavailable));
    }

    fn push_position(&mut self, update: PositionUpdate) {
        let kept = self
            .positions
            .entry((update.device, update.conversation))
            .or_default();
        kept.seq = kept.seq.max(update.position.seq);
        kept.rev = kept.rev.max(update.position.rev);
    }

    /// Refuses all appends, whatever was done before.
    pub(crate) fn refuse(&mut self, error: AppendError) {
        self.results.fill(Err(error));
    }

    /// Makes the batch ready for another transaction after its first was undone: what can run
    /// only once and has run is refused.
    pub(crate) fn again(&mut self) {
        self.refuse(AppendError::Unavailable);
        for call in self.calls.iter_mut().take(self.ran) {
            if let Some(call) = call.take() {
                call.answer(Err(StoreError::Unavailable));
            }
        }
    }

    /// The first message that the transaction stores; whether it is there tells whether all is.
    pub(crate) fn first_stored(&self) -> Option<MessageId> {
        let stored = self.results.iter().flatten();
        stored
            .into_iter()
            .find(|stored| !stored.replayed)
            .map(|stored| stored.id)
    }

    /// Answers every call that was not answered yet.
    pub(crate) fn answer_calls(&mut self, committed: &Result<(), StoreError>) {
        for call in self.calls.drain(..).flatten() {
            call.answer(committed.clone());
        }
    }

    /// The outcomes of the appends, in order; the batch has none afterwards.
    pub(crate) fn take_outcomes(&mut self) -> Vec<Outcome> {
        let results = self.results.drain(..);
        let outcome = |(append, result): (Append, _)| Outcome {
            conversation: append.conversation,
            tag: append.tag,
            entry: append.entry,
            result,
        };
        self.appends.drain(..).zip(results).map(outcome).collect()
    }
}

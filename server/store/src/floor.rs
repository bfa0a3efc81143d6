//! The floor of the bench: how many messages the bare writer stores on this machine, with the
//! very statements of the server, one fsync a group, and no queue, actor or socket around it.

use crate::clock::{Clock, SystemClock};
use crate::config::{Meters, StoreConfig};
use crate::error::StoreError;
use crate::keys::{ConversationKey, Principal, UserKey};
use crate::location::Location;
use crate::sink::{Append, BatchPermit, CommitSink, NewEntry, Outcome};
use crate::writer::Writer;
use crate::writer::batch::{Batch, Call, Closure, Job};
use crate::{AgentFields, NewDirect, NewUser, Overwrite, Role, agent, backend, conversation, user};
use protocol::{AgentId, ClientMsgId, ConversationId, EntryKind, UserId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What the floor was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorResult {
    /// Messages stored.
    pub rows: u64,
    /// Wall time of storing them, commits and checkpoints included.
    pub seconds: f64,
    /// Transactions.
    pub commits: u64,
    /// Times the WAL was restarted.
    pub wal_restarts: u64,
    /// What the restarts took in all, microseconds.
    pub checkpoint_stall_us: u64,
}

impl FloorResult {
    /// Messages a second.
    pub fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// Stores `rows` messages of `body_bytes` bytes in an empty database at `place`, `batch` a commit,
/// spread over `conversations` conversations without an order.
pub fn run(
    place: &Location,
    rows: usize,
    batch: usize,
    conversations: usize,
    body_bytes: usize,
) -> Result<FloorResult, StoreError> {
    measure(place, rows, batch, conversations, body_bytes, false)
}

/// Like [`run`], with a `client_msg_id` in each message.
pub fn run_keyed(
    place: &Location,
    rows: usize,
    batch: usize,
    conversations: usize,
    body_bytes: usize,
) -> Result<FloorResult, StoreError> {
    measure(place, rows, batch, conversations, body_bytes, true)
}

/// Counts what was stored.
#[derive(Default)]
struct Count(AtomicU64);

impl CommitSink for Count {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, outcomes: Vec<Outcome>) {
        let stored = outcomes
            .iter()
            .filter(|outcome| outcome.result.is_ok())
            .count();
        self.0.fetch_add(stored as u64, Ordering::Relaxed);
    }
}

fn measure(
    place: &Location,
    rows: usize,
    batch: usize,
    conversations: usize,
    body_bytes: usize,
    keyed: bool,
) -> Result<FloorResult, StoreError> {
    let internal = |error: crate::OpenError| StoreError::Internal(error.to_string());
    let config = StoreConfig::at(place.clone());
    let opened = backend::open(&config).map_err(internal)?;
    let _lock = opened.lock;
    let meters = Arc::new(Meters::default());
    let count = Arc::new(Count::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sink = Arc::clone(&count) as Arc<dyn CommitSink>;
    let mut writer = Writer::new(
        config,
        opened.backend,
        clock,
        sink,
        Arc::clone(&meters),
        opened.db,
    )
    .map_err(internal)?;
    let (sender, keys) = prepare(&mut writer, conversations.max(1))?;
    let before = meters.read(0, 0);
    let start = Instant::now();
    let mut done = 0;
    while done < rows {
        let group = batch.clamp(1, rows - done);
        writer.run(group_of(done, group, sender, &keys, body_bytes, keyed));
        done += group;
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = meters.read(0, 0);
    let stored = count.0.load(Ordering::Relaxed);
    if stored != rows as u64 {
        return Err(StoreError::Internal(format!(
            "{stored} of {rows} messages were stored"
        )));
    }
    Ok(FloorResult {
        rows: stored,
        seconds,
        commits: after.batches - before.batches,
        wal_restarts: after.wal_restarts - before.wal_restarts,
        checkpoint_stall_us: after.checkpoint_stall_us - before.checkpoint_stall_us,
    })
}

fn group_of(
    first: usize,
    rows: usize,
    sender: Principal,
    keys: &[ConversationKey],
    body_bytes: usize,
    keyed: bool,
) -> Batch {
    let mut batch = Batch::default();
    for number in first..first + rows {
        // Multiplying by an odd constant visits the conversations without an order.
        let spread = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let at = (spread % keys.len().max(1) as u64) as usize;
        let Some(conversation) = keys.get(at).copied() else {
            break;
        };
        let client_msg_id = if keyed {
            ClientMsgId::parse(format!("floor-{number}")).ok()
        } else {
            None
        };
        let entry = NewEntry {
            kind: EntryKind::Message,
            sender,
            device: None,
            client_msg_id,
            content: "x".repeat(body_bytes).into(),
            metadata: None,
        };
        batch.push(Job::Append(Append {
            conversation,
            tag: number as u64,
            entry: Arc::new(entry),
        }));
    }
    batch
}

/// One user, one agent and their conversations, through the writer.
fn prepare(
    writer: &mut Writer,
    conversations: usize,
) -> Result<(Principal, Vec<ConversationKey>), StoreError> {
    let wrong = |error: protocol::InvalidId| StoreError::Internal(error.to_string());
    let (user_id, agent_id) = (
        UserId::parse("user_floor").map_err(wrong)?,
        AgentId::parse("floor").map_err(wrong)?,
    );
    let (call, mut answer) = Closure::new(move |conn: &mut crate::Conn| {
        let name = NewUser {
            public_id: user_id,
            username: "floor".into(),
            password_hash: String::new(),
            role: Role::Member,
        };
        let user: UserKey = user::insert(conn, name)?.key;
        let (agent, _) = agent::upsert(conn, &agent_id, AgentFields::default(), Overwrite::All)?;
        let mut keys = Vec::with_capacity(conversations);
        for number in 0..conversations {
            let public_id = ConversationId::parse(format!("conv_floor{number}"))
                .map_err(|error| StoreError::Internal(error.to_string()))?;
            let new = NewDirect {
                public_id,
                user,
                agent: agent.key,
                title: None,
            };
            keys.push(conversation::create_direct(conn, new)?.key);
        }
        Ok((Principal::user(user), keys))
    });
    let mut batch = Batch::default();
    batch.push(Job::Call(Box::new(call) as Box<dyn Call>));
    writer.run(batch);
    answer
        .try_recv()
        .map_err(|_| StoreError::Internal("no answer".into()))?
}

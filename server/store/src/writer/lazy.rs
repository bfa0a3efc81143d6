//! State that may be a second late: when something last happened in a conversation, and the
//! read mark that a member's own message moves. Collapsed in memory, flushed with a batch, and
//! found again after a crash from the newest messages.

use crate::conn::Db;
use crate::keys::{ConversationKey, Principal};
use crate::schema::messages;
use crate::snowflake;
use crate::statement::statement;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, SmallInt};
use protocol::PrincipalKind;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// How late the state may be.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// Keys of one batch: as many as a batch can make dirty, so that the rest never grows.
const AT_ONCE: usize = protocol::limits::WRITER_BATCH;
/// How far before the newest message a crash may have lost the state.
const LOOK_BACK_US: i64 = 5_000_000;

type Reader = (ConversationKey, Principal);

/// What waits to be flushed.
#[derive(Debug)]
pub(crate) struct Lazy {
    last_at: HashMap<ConversationKey, i64>,
    read: HashMap<Reader, i64>,
    flushing: Vec<Dirty>,
    due: Instant,
}

/// One value on its way into a transaction.
#[derive(Debug, Clone, Copy)]
enum Dirty {
    LastAt(ConversationKey, i64),
    Read(Reader, i64),
}

impl Lazy {
    pub(crate) fn new() -> Self {
        Self {
            last_at: HashMap::new(),
            read: HashMap::new(),
            flushing: Vec::new(),
            due: Instant::now() + EVERY,
        }
    }

    /// After the commit of a message.
    pub(crate) fn stored(
        &mut self,
        conversation: ConversationKey,
        sender: Principal,
        seq: i64,
        at: i64,
    ) {
        if self.is_empty() {
            self.due = Instant::now() + EVERY;
        }
        self.last_at.insert(conversation, at);
        if matches!(sender.kind, PrincipalKind::User | PrincipalKind::Agent) {
            self.read.insert((conversation, sender), seq);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last_at.is_empty() && self.read.is_empty()
    }

    /// How long the writer may sleep before a flush; `None`: for ever.
    pub(crate) fn wait(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| self.due.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_due(&self) -> bool {
        !self.is_empty() && Instant::now() >= self.due
    }

    /// The next flush is due now.
    pub(crate) fn hurry(&mut self) {
        self.due = Instant::now();
    }

    /// Writes some of what waits into the open transaction.
    pub(crate) fn flush(&mut self, db: &mut Db) -> QueryResult<()> {
        self.flushing.clear();
        self.flushing.extend(
            self.last_at
                .iter()
                .take(AT_ONCE)
                .map(|(key, at)| Dirty::LastAt(*key, *at)),
        );
        let room = AT_ONCE - self.flushing.len();
        self.flushing.extend(
            self.read
                .iter()
                .take(room)
                .map(|(key, seq)| Dirty::Read(*key, *seq)),
        );
        let (mut times, mut marks) = (Vec::new(), Vec::new());
        for dirty in &self.flushing {
            match *dirty {
                Dirty::LastAt(key, at) => times.push((key, at)),
                Dirty::Read(reader, seq) => marks.push((reader, seq)),
            }
        }
        raise_last_at(db, &times)?;
        raise_read(db, &marks)?;
        Ok(())
    }

    /// After COMMIT: what was flushed waits no more. Call before [`Lazy::stored`] of that batch.
    pub(crate) fn flushed(&mut self) {
        for dirty in self.flushing.drain(..) {
            match dirty {
                Dirty::LastAt(key, _) => drop(self.last_at.remove(&key)),
                Dirty::Read(key, _) => drop(self.read.remove(&key)),
            }
        }
        if self.is_empty() {
            self.due = Instant::now() + EVERY;
        }
    }

    /// After a failed transaction: it waits on, and is not tried with the very next batch.
    pub(crate) fn put_off(&mut self) {
        self.flushing.clear();
        self.due = Instant::now() + EVERY;
    }
}

statement! {
    RaiseLastAt { at: i64 => BigInt, id: i64 => BigInt, below: i64 => BigInt }
    "UPDATE conversations SET last_at = ? WHERE id = ? AND last_at < ?"
}

statement! {
    RaiseAllLastAt { ids: &'a [i64] => Array<BigInt>, ats: &'a [i64] => Array<BigInt> }
    "UPDATE conversations c SET last_at = u.at FROM unnest(?, ?) AS u (id, at) \
     WHERE c.id = u.id AND c.last_at < u.at"
}

fn raise_last_at(db: &mut Db, times: &[(ConversationKey, i64)]) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => {
            for &(key, at) in times {
                let raise = RaiseLastAt {
                    at,
                    id: key.0,
                    below: at,
                    lifetime: PhantomData,
                };
                raise.execute(c)?;
            }
        }
        Db::Postgres(c) if !times.is_empty() => {
            let (ids, ats): (Vec<_>, Vec<_>) = times.iter().map(|(key, at)| (key.0, *at)).unzip();
            let raise = RaiseAllLastAt {
                ids: &ids,
                ats: &ats,
                lifetime: PhantomData,
            };
            raise.execute(c)?;
        }
        Db::Postgres(_) => {}
    }
    Ok(())
}

statement! {
    RaiseRead { seq: i64 => BigInt, conversation: i64 => BigInt, kind: i16 => SmallInt, who: i64 => BigInt, below: i64 => BigInt }
    "UPDATE members SET read_seq = ? WHERE conversation_id = ? AND principal_kind = ? AND principal_id = ? AND read_seq < ?"
}

statement! {
    RaiseAllRead {
        conversations: &'a [i64] => Array<BigInt>,
        kinds: &'a [i16] => Array<SmallInt>,
        who: &'a [i64] => Array<BigInt>,
        seqs: &'a [i64] => Array<BigInt>,
    }
    "UPDATE members m SET read_seq = u.seq FROM unnest(?, ?, ?, ?) AS u (conversation, kind, who, seq) \
     WHERE m.conversation_id = u.conversation AND m.principal_kind = u.kind \
       AND m.principal_id = u.who AND m.read_seq < u.seq"
}

fn raise_read(db: &mut Db, marks: &[(Reader, i64)]) -> QueryResult<()> {
    match db {
        Db::Sqlite(c) => {
            for &((key, who), seq) in marks {
                let raise = RaiseRead {
                    seq,
                    conversation: key.0,
                    kind: who.kind.as_i16(),
                    who: who.key,
                    below: seq,
                    lifetime: PhantomData,
                };
                raise.execute(c)?;
            }
        }
        Db::Postgres(c) if !marks.is_empty() => {
            let column = |of: fn(&(Reader, i64)) -> i64| marks.iter().map(of).collect::<Vec<_>>();
            let kinds: Vec<_> = marks
                .iter()
                .map(|((_, who), _)| who.kind.as_i16())
                .collect();
            let raise = RaiseAllRead {
                conversations: &column(|((key, _), _)| key.0),
                kinds: &kinds,
                who: &column(|((_, who), _)| who.key),
                seqs: &column(|(_, seq)| *seq),
                lifetime: PhantomData,
            };
            raise.execute(c)?;
        }
        Db::Postgres(_) => {}
    }
    Ok(())
}

/// Makes up for what a crash kept from being flushed: the newest seconds of the log, read by
/// the primary key.
pub(crate) fn recover(db: &mut Db, newest_id: i64) -> QueryResult<()> {
    let since = snowflake::earlier(newest_id, LOOK_BACK_US);
    let recent = messages::table.filter(messages::id.ge(since));
    let times: Vec<(i64, Option<i64>)> = recent
        .group_by(messages::conversation_id)
        .select((messages::conversation_id, max(messages::created_at)))
        .load(db)?;
    let times: Vec<_> = times
        .into_iter()
        .map(|(key, at)| (ConversationKey(key), at.unwrap_or(0)))
        .collect();
    raise_last_at(db, &times)?;
    let marks: Vec<(i64, i16, i64, Option<i64>)> = recent
        .group_by((
            messages::conversation_id,
            messages::sender_kind,
            messages::sender_id,
        ))
        .select((
            messages::conversation_id,
            messages::sender_kind,
            messages::sender_id,
            max(messages::seq),
        ))
        .load(db)?;
    let marks: Vec<_> = marks
        .into_iter()
        .filter_map(|(key, kind, sender, seq)| {
            let kind = PrincipalKind::from_i16(kind)?;
            let reader = (ConversationKey(key), Principal { kind, key: sender });
            Some((reader, seq.unwrap_or(0)))
        })
        .collect();
    raise_read(db, &marks)
}

//! The newest `seq` and time of each conversation: a cache of what is committed, and over it
//! the numbers of the open transaction, which are adopted after COMMIT or given back. On
//! PostgreSQL nothing is cached: there the conversation's row, locked, says what is newest.

use crate::conn::Db;
use crate::keys::ConversationKey;
use crate::schema::{conversations, messages};
use diesel::prelude::*;
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;

/// Conversations whose newest entry is kept in memory, about 100 bytes each.
const CACHED: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// The newest entry of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its place; `first_seq - 1` where the log is empty.
    pub(crate) seq: i64,
    /// Its time, microseconds.
    pub(crate) created_at: i64,
}

/// The cache and the working copy.
#[derive(Debug)]
pub(crate) struct Heads {
    committed: LruCache<ConversationKey, Head>,
    working: HashMap<ConversationKey, Head>,
    /// What `working` said before each advance since the last mark.
    undo: Vec<(ConversationKey, Option<Head>)>,
    /// Whether what is committed is remembered, and so are numbers after a savepoint is undone
    /// (with it PostgreSQL gives back the locks of the rows).
    remembers: bool,
}

impl Heads {
    /// Empty; `remembers` for a backend that only this process writes to.
    pub(crate) fn new(remembers: bool) -> Self {
        Self {
            committed: LruCache::new(CACHED),
            working: HashMap::new(),
            undo: Vec::new(),
            remembers,
        }
    }

    /// The newest entry if the open transaction knows it.
    pub(crate) fn known(&self, key: ConversationKey) -> Option<Head> {
        self.working.get(&key).copied()
    }

    /// What the open transaction has read.
    pub(crate) fn learn(&mut self, key: ConversationKey, head: Head) {
        self.working.insert(key, head);
    }

    /// The newest entry as the open transaction sees it; `None` where the conversation is not.
    pub(crate) fn get(&mut self, db: &mut Db, key: ConversationKey) -> QueryResult<Option<Head>> {
        if let Some(head) = self.working.get(&key).or_else(|| self.committed.get(&key)) {
            return Ok(Some(*head));
        }
        let loaded = load(db, key)?;
        if let Some(head) = loaded {
            self.working.insert(key, head);
        }
        Ok(loaded)
    }

    /// Takes a number in the working copy.
    pub(crate) fn advance(&mut self, key: ConversationKey, head: Head) {
        let before = self.working.insert(key, head);
        self.undo.push((key, before));
    }

    /// From here on advances can be given back.
    pub(crate) fn mark(&mut self) {
        self.undo.clear();
    }

    /// Gives back the numbers since the mark.
    pub(crate) fn give_back(&mut self) {
        if !self.remembers {
            self.working.clear();
            self.undo.clear();
        }
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(head) => self.working.insert(key, head),
                None => self.working.remove(&key),
            };
        }
    }

    /// After COMMIT.
    pub(crate) fn adopt(&mut self) {
        self.undo.clear();
        for (key, head) in self.working.drain() {
            if self.remembers {
                self.committed.put(key, head);
            }
        }
    }

    /// The row was changed by something else than an append.
    pub(crate) fn forget(&mut self, key: ConversationKey) {
        self.working.remove(&key);
        self.committed.pop(&key);
    }

    /// After a failed transaction.
    pub(crate) fn drop_all(&mut self) {
        self.undo.clear();
        self.working.clear();
        self.committed.clear();
    }
}

fn load(db: &mut Db, key: ConversationKey) -> QueryResult<Option<Head>> {
    let Some(first_seq) = conversations::table
        .find(key.0)
        .select(conversations::first_seq)
        .first::<i64>(db)
        .optional()?
    else {
        return Ok(None);
    };
    let newest: Option<(i64, i64)> = messages::table
        .filter(messages::conversation_id.eq(key.0))
        .order(messages::seq.desc())
        .select((messages::seq, messages::created_at))
        .first(db)
        .optional()?;
    let (seq, created_at) = newest.unwrap_or((0, 0));
    Ok(Some(Head {
        seq: seq.max(first_seq - 1),
        created_at,
    }))
}

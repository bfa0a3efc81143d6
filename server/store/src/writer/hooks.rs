//! What else is written in the transaction of a message: a row for the push dispatcher, the
//! full-text index. Nothing today; a feature adds its function to the table.

use crate::conn::Db;
use crate::keys::ConversationKey;
use crate::{NewEntry, Stored};
use diesel::QueryResult;

/// A message that the open transaction stores for the first time.
#[expect(dead_code, reason = "read by the hooks of later features")]
pub(crate) struct Fresh<'a> {
    pub(crate) conversation: ConversationKey,
    pub(crate) entry: &'a NewEntry,
    pub(crate) stored: Stored,
}

/// Runs once a batch, before COMMIT, with the batch's new messages in order. An error refuses
/// the whole batch.
pub(crate) type Hook = fn(&mut Db, &[Fresh<'_>]) -> QueryResult<()>;

/// All hooks, in the order in which they run.
pub(crate) const HOOKS: &[Hook] = &[];

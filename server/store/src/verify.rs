//! Whether the log keeps its promises: gap-free, in time order, nothing dangling. For the
//! command line and for the crash bench; reads everything, so not for a busy server.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::ConversationKey;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub conversation: Option<ConversationKey>,
    /// What, for a person.
    pub text: String,
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Nullable<BigInt>)]
    conversation: Option<i64>,
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(sql_type = Text)]
    what: String,
}

const GAPS: &str = "SELECT conversation, place, 'entries do not run on after seq ' || expected AS what FROM ( \
     SELECT m.conversation_id AS conversation, m.seq AS place, \
       LAG(m.seq, 1, c.first_seq - 1) OVER (PARTITION BY m.conversation_id ORDER BY m.seq) AS expected \
     FROM messages m JOIN conversations c ON c.id = m.conversation_id) AS t \
     WHERE place <> expected + 1 LIMIT 1000";
const TIMES: &str = "SELECT conversation, place, 'the time does not rise' AS what FROM ( \
     SELECT conversation_id AS conversation, seq AS place, created_at AS at, \
       LAG(created_at, 1, CAST(-1 AS BIGINT)) OVER (PARTITION BY conversation_id ORDER BY seq) AS before \
     FROM messages) AS t WHERE at <= before LIMIT 1000";
const REVS: &str = "SELECT conversation, place, 'changes do not run on after rev ' || expected AS what FROM ( \
     SELECT h.conversation_id AS conversation, h.rev AS place, \
       LAG(h.rev, 1, c.first_rev - 1) OVER (PARTITION BY h.conversation_id ORDER BY h.rev) AS expected \
     FROM changes h JOIN conversations c ON c.id = h.conversation_id) AS t \
     WHERE place <> expected + 1 LIMIT 1000";
const SENDS: &str = "SELECT s.conversation_id AS conversation, s.seq AS place, \
       'a repeat would be answered with a message that is not there' AS what \
     FROM sends s JOIN conversations c ON c.id = s.conversation_id \
     LEFT JOIN messages m ON m.id = s.message_id AND m.conversation_id = s.conversation_id AND m.seq = s.seq \
     WHERE s.seq >= c.first_seq AND m.id IS NULL LIMIT 1000";
const ORPHANS: &str = "SELECT m.conversation_id AS conversation, m.seq AS place, \
       'the conversation is not there' AS what \
     FROM messages m LEFT JOIN conversations c ON c.id = m.conversation_id WHERE c.id IS NULL LIMIT 1000";
const AHEAD: &str = "SELECT p.conversation_id AS conversation, p.seq AS place, \
       'device ' || p.device_id || ' is ahead of the log' AS what \
     FROM positions p JOIN conversations c ON c.id = p.conversation_id \
     WHERE p.seq > c.first_seq - 1 \
       AND p.seq > COALESCE((SELECT MAX(seq) FROM messages m WHERE m.conversation_id = c.id), 0) \
     LIMIT 1000";

/// Looks at everything; an empty list is a clean bill. At most 1000 problems of each kind.
pub fn check(conn: &mut Conn) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    for query in [GAPS, TIMES, REVS, SENDS, ORPHANS, AHEAD] {
        let found: Vec<Finding> = diesel::sql_query(query).load(&mut conn.db)?;
        problems.extend(found.into_iter().map(|finding| Problem {
            conversation: finding.conversation.map(ConversationKey),
            text: format!("{} (at {})", finding.what, finding.place),
        }));
    }
    Ok(problems)
}

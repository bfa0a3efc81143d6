//! The names under which sends are recognised when they are repeated. The writer inserts them
//! with the message; here they are forgotten when the window is over.

use crate::conn::{Conn, Db};
use crate::error::StoreError;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};
use protocol::Timestamp;

/// Where a sweep goes on: the last name that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SweepCursor {
    #[diesel(sql_type = SmallInt)]
    sender_kind: i16,
    #[diesel(sql_type = BigInt)]
    sender_id: i64,
    #[diesel(sql_type = Text)]
    client_msg_id: String,
}

impl Default for SweepCursor {
    /// Before the first name.
    fn default() -> Self {
        Self {
            sender_kind: i16::MIN,
            sender_id: i64::MIN,
            client_msg_id: String::new(),
        }
    }
}

/// Looks at `at_once` names after `cursor` and forgets those from before `older_than`. Gives
/// how many, and where to go on; `None` after the last. There is no index by age, which every
/// send would pay for: a whole sweep reads the table, in pieces that hold nobody up.
pub fn sweep(
    conn: &mut Conn,
    older_than: Timestamp,
    cursor: &SweepCursor,
    at_once: usize,
) -> Result<(usize, Option<SweepCursor>), StoreError> {
    Ok(sweep_piece(&mut conn.db, older_than, cursor, at_once)?)
}

fn sweep_piece(
    db: &mut Db,
    older_than: Timestamp,
    from: &SweepCursor,
    at_once: usize,
) -> QueryResult<(usize, Option<SweepCursor>)> {
    const LAST: &str = "SELECT sender_kind, sender_id, client_msg_id FROM sends \
         WHERE (sender_kind, sender_id, client_msg_id) > (?, ?, ?) \
         ORDER BY sender_kind, sender_id, client_msg_id LIMIT 1 OFFSET ?";
    const REMOVE: &str = "DELETE FROM sends WHERE (sender_kind, sender_id, client_msg_id) > (?, ?, ?) \
         AND created_at < ?";
    const UP_TO: &str = " AND (sender_kind, sender_id, client_msg_id) <= (?, ?, ?)";
    let Db::Sqlite(c) = db;
    let last: Option<SweepCursor> = diesel::sql_query(LAST)
        .bind::<SmallInt, _>(from.sender_kind)
        .bind::<BigInt, _>(from.sender_id)
        .bind::<Text, _>(&from.client_msg_id)
        .bind::<BigInt, _>(at_once.max(1) as i64 - 1)
        .get_result(c)
        .optional()?;
    let text = if last.is_some() {
        format!("{REMOVE}{UP_TO}")
    } else {
        REMOVE.to_owned()
    };
    let mut remove = diesel::sql_query(text)
        .into_boxed()
        .bind::<SmallInt, _>(from.sender_kind)
        .bind::<BigInt, _>(from.sender_id)
        .bind::<Text, _>(&from.client_msg_id)
        .bind::<BigInt, _>(older_than.micros());
    if let Some(last) = &last {
        remove = remove
            .bind::<SmallInt, _>(last.sender_kind)
            .bind::<BigInt, _>(last.sender_id)
            .bind::<Text, _>(&last.client_msg_id);
    }
    Ok((remove.execute(c)?, last))
}

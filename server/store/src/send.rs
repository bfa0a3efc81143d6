//! The names under which sends are recognised when they are repeated. The writer inserts them
//! with the message; here they are forgotten when the window is over.

use crate::conn::{Conn, Db};
use crate::error::StoreError;
use crate::statement::statement;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};
use protocol::Timestamp;
use std::marker::PhantomData;

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

statement! {
    FindLast { kind: i16 => SmallInt, sender: i64 => BigInt, name: &'a str => Text, skip: i64 => BigInt }
    "SELECT sender_kind, sender_id, client_msg_id FROM sends \
     WHERE (sender_kind, sender_id, client_msg_id) > (?, ?, ?) \
     ORDER BY sender_kind, sender_id, client_msg_id LIMIT 1 OFFSET ?"
}

statement! {
    RemoveRest { kind: i16 => SmallInt, sender: i64 => BigInt, name: &'a str => Text, older: i64 => BigInt }
    "DELETE FROM sends WHERE (sender_kind, sender_id, client_msg_id) > (?, ?, ?) AND created_at < ?"
}

statement! {
    Remove {
        kind: i16 => SmallInt,
        sender: i64 => BigInt,
        name: &'a str => Text,
        older: i64 => BigInt,
        last_kind: i16 => SmallInt,
        last_sender: i64 => BigInt,
        last_name: &'a str => Text,
    }
    "DELETE FROM sends WHERE (sender_kind, sender_id, client_msg_id) > (?, ?, ?) AND created_at < ? \
     AND (sender_kind, sender_id, client_msg_id) <= (?, ?, ?)"
}

fn sweep_piece(
    db: &mut Db,
    older_than: Timestamp,
    from: &SweepCursor,
    at_once: usize,
) -> QueryResult<(usize, Option<SweepCursor>)> {
    let find = FindLast {
        kind: from.sender_kind,
        sender: from.sender_id,
        name: &from.client_msg_id,
        skip: at_once.max(1) as i64 - 1,
        lifetime: PhantomData,
    };
    let last: Option<SweepCursor> = match db {
        Db::Sqlite(c) => find.get_result(c).optional()?,
        Db::Postgres(c) => find.get_result(c).optional()?,
    };
    let older = older_than.micros();
    let Some(last) = last else {
        let remove = RemoveRest {
            kind: from.sender_kind,
            sender: from.sender_id,
            name: &from.client_msg_id,
            older,
            lifetime: PhantomData,
        };
        let removed = match db {
            Db::Sqlite(c) => remove.execute(c)?,
            Db::Postgres(c) => remove.execute(c)?,
        };
        return Ok((removed, None));
    };
    let remove = Remove {
        kind: from.sender_kind,
        sender: from.sender_id,
        name: &from.client_msg_id,
        older,
        last_kind: last.sender_kind,
        last_sender: last.sender_id,
        last_name: &last.client_msg_id,
        lifetime: PhantomData,
    };
    let removed = match db {
        Db::Sqlite(c) => remove.execute(c)?,
        Db::Postgres(c) => remove.execute(c)?,
    };
    Ok((removed, Some(last)))
}

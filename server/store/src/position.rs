//! Positions: how far each device has come in each conversation. They only move forward.

use crate::conn::{Conn, Db};
use crate::error::{StoreError, is_disk_trouble};
use crate::keys::{ConversationKey, DeviceKey, Principal};
use crate::schema::{conversations, members, positions};
use crate::statement::statement;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
use diesel::sqlite::SqliteConnection;
use protocol::{ConversationId, Position, Timestamp};
use std::marker::PhantomData;

/// A position that a device has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionUpdate {
    /// Whose.
    pub device: DeviceKey,
    /// Where.
    pub conversation: ConversationKey,
    /// How far; each part that is lower than the stored one changes nothing.
    pub position: Position,
}

/// A conversation that holds something a device has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Key.
    pub key: ConversationKey,
    /// Public id.
    pub id: ConversationId,
    /// Where the device is.
    pub position: Position,
    /// Newest entry.
    pub last_seq: i64,
    /// Newest change.
    pub last_rev: i64,
    /// First entry that is still there.
    pub first_seq: i64,
    /// First change that is still there.
    pub first_rev: i64,
    /// Entries up to this one were before the principal's joining.
    pub joined_seq: i64,
}

/// Where the device is; (0, 0) where nothing was ever saved.
pub fn load(
    conn: &mut Conn,
    device: DeviceKey,
    conversation: ConversationKey,
) -> Result<Position, StoreError> {
    let saved: Option<(i64, i64)> = positions::table
        .find((device.0, conversation.0))
        .select((positions::seq, positions::rev))
        .first(&mut conn.db)
        .optional()?;
    Ok(saved
        .map(|(seq, rev)| Position { seq, rev })
        .unwrap_or_default())
}

/// Moves a position forward; either part that is not higher stays. `NotFound` when the device
/// or the conversation is gone.
pub fn advance(conn: &mut Conn, update: &PositionUpdate) -> Result<(), StoreError> {
    let now = conn.now();
    match &mut conn.db {
        Db::Sqlite(c) => save(c, update, now)?,
        Db::Postgres(c) => {
            if save_many(c, std::slice::from_ref(update), now)? == 0 {
                return Err(StoreError::NotFound);
            }
        }
    }
    Ok(())
}

statement! {
    /// Inserts a position, or raises each part of it.
    Save { device: i64 => BigInt, conversation: i64 => BigInt, seq: i64 => BigInt, rev: i64 => BigInt, at: i64 => BigInt }
    "INSERT INTO positions (device_id, conversation_id, seq, rev, updated_at) VALUES (?, ?, ?, ?, ?) \
     ON CONFLICT (device_id, conversation_id) DO UPDATE SET \
       seq = MAX(seq, excluded.seq), rev = MAX(rev, excluded.rev), updated_at = excluded.updated_at"
}

fn save(conn: &mut SqliteConnection, update: &PositionUpdate, now: Timestamp) -> QueryResult<()> {
    let save = Save {
        device: update.device.0,
        conversation: update.conversation.0,
        seq: update.position.seq,
        rev: update.position.rev,
        at: now.micros(),
        lifetime: PhantomData,
    };
    save.execute(conn).map(drop)
}

statement! {
    /// The same for many; those whose device or conversation is gone are passed over.
    SaveMany {
        devices: &'a [i64] => Array<BigInt>,
        conversations: &'a [i64] => Array<BigInt>,
        seqs: &'a [i64] => Array<BigInt>,
        revs: &'a [i64] => Array<BigInt>,
        at: i64 => BigInt,
    }
    "INSERT INTO positions (device_id, conversation_id, seq, rev, updated_at) \
     SELECT d.id, c.id, u.seq, u.rev, t.at FROM unnest(?, ?, ?, ?) AS u (device, conversation, seq, rev) \
     CROSS JOIN (SELECT ? AS at) t \
     JOIN devices d ON d.id = u.device JOIN conversations c ON c.id = u.conversation \
     ON CONFLICT (device_id, conversation_id) DO UPDATE SET \
       seq = GREATEST(positions.seq, excluded.seq), rev = GREATEST(positions.rev, excluded.rev), \
       updated_at = excluded.updated_at"
}

fn save_many(
    conn: &mut PgConnection,
    updates: &[PositionUpdate],
    now: Timestamp,
) -> QueryResult<usize> {
    let column = |of: fn(&PositionUpdate) -> i64| updates.iter().map(of).collect::<Vec<_>>();
    let save = SaveMany {
        devices: &column(|update| update.device.0),
        conversations: &column(|update| update.conversation.0),
        seqs: &column(|update| update.position.seq),
        revs: &column(|update| update.position.rev),
        at: now.micros(),
        lifetime: PhantomData,
    };
    save.execute(conn)
}

/// Saves the positions of a batch. Where a device or a conversation is gone, so is its position.
pub(crate) fn save_all(db: &mut Db, updates: &[PositionUpdate], now: Timestamp) -> QueryResult<()> {
    match db {
        Db::Postgres(conn) => save_many(conn, updates, now).map(drop),
        Db::Sqlite(conn) => {
            for update in updates {
                match save(conn, update, now) {
                    Err(error) if is_disk_trouble(&error) => return Err(error),
                    Err(error) => tracing::debug!(%error, "a position was not saved"),
                    Ok(()) => {}
                }
            }
            Ok(())
        }
    }
}

type Columns = (
    (i64, String, i64, i64, i64),
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// The live conversations of `principal` whose newest entry or change is above the position of
/// `device`, in one query.
pub fn behind(
    conn: &mut Conn,
    device: DeviceKey,
    principal: Principal,
) -> Result<Vec<Behind>, StoreError> {
    let at_device = positions::conversation_id
        .eq(conversations::id)
        .and(positions::device_id.eq(device.0));
    let rows: Vec<Columns> = members::table
        .inner_join(conversations::table)
        .left_join(positions::table.on(at_device))
        .filter(members::principal_kind.eq(principal.kind.as_i16()))
        .filter(members::principal_id.eq(principal.key))
        .filter(members::left_seq.is_null())
        .order(conversations::id)
        .select((
            (
                conversations::id,
                conversations::public_id,
                conversations::first_seq,
                conversations::first_rev,
                members::joined_seq,
            ),
            crate::message::newest_seq!(),
            crate::change::newest_rev!(),
            positions::seq.nullable(),
            positions::rev.nullable(),
        ))
        .load(&mut conn.db)?;
    let all = rows
        .into_iter()
        .map(behind_row)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(all
        .into_iter()
        .filter(|b| b.last_seq > b.position.seq || b.last_rev > b.position.rev)
        .collect())
}

fn behind_row(columns: Columns) -> Result<Behind, StoreError> {
    let ((key, id, first_seq, first_rev, joined_seq), last_seq, last_rev, seq, rev) = columns;
    Ok(Behind {
        key: ConversationKey(key),
        id: ConversationId::parse(id).map_err(|e| StoreError::Internal(e.to_string()))?,
        position: Position {
            seq: seq.unwrap_or(0),
            rev: rev.unwrap_or(0),
        },
        last_seq: last_seq.unwrap_or(0).max(first_seq - 1),
        last_rev: last_rev.unwrap_or(0).max(first_rev - 1),
        first_seq,
        first_rev,
        joined_seq,
    })
}

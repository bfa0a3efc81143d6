//! Devices: what positions belong to. A user has at most 64, the least recently used goes; an
//! agent is one device.

use crate::conn::{Conn, Db};
use crate::error::StoreError;
use crate::keys::{DeviceKey, Principal};
use crate::schema::{devices, positions};
use crate::statement::statement;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt};
use protocol::{PrincipalKind, Timestamp, limits};
use std::marker::PhantomData;

/// A device that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRow {
    /// Key.
    pub key: DeviceKey,
    /// It was not known before.
    pub created: bool,
}

/// The device of `owner` called `name`, used `now`. A device of a user that was not known
/// starts, per conversation, at the furthest position any device of that user has reached.
pub fn find_or_create(
    conn: &mut Conn,
    owner: Principal,
    name: &str,
    now: Timestamp,
) -> Result<DeviceRow, StoreError> {
    let mine = devices::principal_kind
        .eq(owner.kind.as_i16())
        .and(devices::principal_id.eq(owner.key));
    let known: Option<i64> = devices::table
        .filter(mine)
        .filter(devices::name.eq(name))
        .select(devices::id)
        .first(&mut conn.db)
        .optional()?;
    if let Some(key) = known {
        diesel::update(devices::table.find(key))
            .set(devices::used_at.eq(now.micros()))
            .execute(&mut conn.db)?;
        return Ok(DeviceRow {
            key: DeviceKey(key),
            created: false,
        });
    }
    diesel::insert_into(devices::table)
        .values((
            devices::principal_kind.eq(owner.kind.as_i16()),
            devices::principal_id.eq(owner.key),
            devices::name.eq(name),
            devices::created_at.eq(now.micros()),
            devices::used_at.eq(now.micros()),
        ))
        .execute(&mut conn.db)?;
    let key: i64 = devices::table
        .filter(mine)
        .filter(devices::name.eq(name))
        .select(devices::id)
        .first(&mut conn.db)?;
    if owner.kind == PrincipalKind::User {
        copy_furthest(&mut conn.db, owner, DeviceKey(key), now)?;
        drop_oldest(conn, owner, DeviceKey(key))?;
    }
    Ok(DeviceRow {
        key: DeviceKey(key),
        created: true,
    })
}

statement! {
    CopyFurthest { to: i64 => BigInt, at: i64 => BigInt, kind: i16 => SmallInt, owner: i64 => BigInt }
    "INSERT INTO positions (device_id, conversation_id, seq, rev, updated_at) \
     SELECT CAST(? AS BIGINT), p.conversation_id, MAX(p.seq), MAX(p.rev), CAST(? AS BIGINT) \
     FROM devices d JOIN positions p ON p.device_id = d.id \
     WHERE d.principal_kind = ? AND d.principal_id = ? GROUP BY p.conversation_id"
}

fn copy_furthest(db: &mut Db, owner: Principal, to: DeviceKey, now: Timestamp) -> QueryResult<()> {
    let copy = CopyFurthest {
        to: to.0,
        at: now.micros(),
        kind: owner.kind.as_i16(),
        owner: owner.key,
        lifetime: PhantomData,
    };
    match db {
        Db::Sqlite(c) => copy.execute(c).map(drop),
        Db::Postgres(c) => copy.execute(c).map(drop),
    }
}

/// Removes what is beyond the limit, the least recently used first, never `keep`.
fn drop_oldest(conn: &mut Conn, owner: Principal, keep: DeviceKey) -> Result<(), StoreError> {
    let others = devices::table
        .filter(devices::principal_kind.eq(owner.kind.as_i16()))
        .filter(devices::principal_id.eq(owner.key))
        .filter(devices::id.ne(keep.0))
        .order((devices::used_at.desc(), devices::id.desc()))
        .select(devices::id);
    let keys: Vec<i64> = others.load(&mut conn.db)?;
    for key in keys.into_iter().skip(limits::DEVICES_PER_USER - 1) {
        remove(conn, DeviceKey(key))?;
    }
    Ok(())
}

/// Forgets a device and its positions.
pub fn remove(conn: &mut Conn, device: DeviceKey) -> Result<(), StoreError> {
    diesel::delete(positions::table.filter(positions::device_id.eq(device.0)))
        .execute(&mut conn.db)?;
    diesel::delete(devices::table.find(device.0)).execute(&mut conn.db)?;
    Ok(())
}

/// Forgets the devices of users that were not used since `older_than`; gives how many.
pub fn sweep(conn: &mut Conn, older_than: Timestamp) -> Result<usize, StoreError> {
    let old = devices::table
        .filter(devices::principal_kind.eq(PrincipalKind::User.as_i16()))
        .filter(devices::used_at.lt(older_than.micros()))
        .select(devices::id);
    let keys: Vec<i64> = old.load(&mut conn.db)?;
    for key in &keys {
        remove(conn, DeviceKey(*key))?;
    }
    Ok(keys.len())
}

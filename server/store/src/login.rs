//! Logins: one row for each `sid` that tokens carry, so that they can be revoked.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{DeviceKey, UserKey};
use crate::schema::logins;
use crate::user::found;
use diesel::prelude::*;
use protocol::Timestamp;

/// A login to insert.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// The `sid` claim.
    pub sid: String,
    /// Whose.
    pub user: UserKey,
    /// From which device, where known.
    pub device: Option<DeviceKey>,
    /// When the last token made of it ends.
    pub expires_at: Timestamp,
}

/// A row of `logins`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// The `sid` claim.
    pub sid: String,
    /// Whose.
    pub user: UserKey,
    /// From which device.
    pub device: Option<DeviceKey>,
    /// When they logged in.
    pub created_at: Timestamp,
    /// When it was last used, to the precision of `touch`.
    pub used_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was ended early.
    pub revoked_at: Option<Timestamp>,
}

type Columns = (String, i64, Option<i64>, i64, i64, i64, Option<i64>);

fn row((sid, user, device, created, touched, expires, revoked): Columns) -> LoginRow {
    LoginRow {
        sid,
        user: UserKey(user),
        device: device.map(DeviceKey),
        created_at: Timestamp::from_micros(created),
        used_at: Timestamp::from_micros(touched),
        expires_at: Timestamp::from_micros(expires),
        revoked_at: revoked.map(Timestamp::from_micros),
    }
}

/// Inserts a login, used now.
pub fn insert(conn: &mut Conn, new: NewLogin) -> Result<(), StoreError> {
    let now = conn.now().micros();
    diesel::insert_into(logins::table)
        .values((
            logins::sid.eq(new.sid),
            logins::user_id.eq(new.user.0),
            logins::device_id.eq(new.device.map(|key| key.0)),
            logins::created_at.eq(now),
            logins::used_at.eq(now),
            logins::expires_at.eq(new.expires_at.micros()),
        ))
        .execute(&mut conn.db)?;
    Ok(())
}

/// The login of this `sid`, revoked and expired ones too.
pub fn find(conn: &mut Conn, sid: &str) -> Result<Option<LoginRow>, StoreError> {
    Ok(logins::table
        .find(sid)
        .first::<Columns>(&mut conn.db)
        .optional()?
        .map(row))
}

/// Ends a login; once ended, it keeps its time. `NotFound` if there is none.
pub fn revoke(conn: &mut Conn, sid: &str) -> Result<(), StoreError> {
    let now = conn.now().micros();
    let open = logins::table.find(sid).filter(logins::revoked_at.is_null());
    let changed = diesel::update(open)
        .set(logins::revoked_at.eq(Some(now)))
        .execute(&mut conn.db)?;
    if changed == 0 {
        find(conn, sid)?.map(|_| ()).ok_or(StoreError::NotFound)
    } else {
        Ok(())
    }
}

/// Ends every open login of a user; gives their `sid`s.
pub fn revoke_all(conn: &mut Conn, user: UserKey) -> Result<Vec<String>, StoreError> {
    let now = conn.now().micros();
    let mine = logins::user_id.eq(user.0).and(logins::revoked_at.is_null());
    let open: Vec<String> = logins::table
        .filter(mine)
        .select(logins::sid)
        .load(&mut conn.db)?;
    diesel::update(logins::table.filter(mine))
        .set(logins::revoked_at.eq(Some(now)))
        .execute(&mut conn.db)?;
    Ok(open)
}

/// A user's logins that are neither revoked nor expired, the last used first.
pub fn list(conn: &mut Conn, user: UserKey) -> Result<Vec<LoginRow>, StoreError> {
    let now = conn.now().micros();
    let open = logins::table
        .filter(logins::user_id.eq(user.0))
        .filter(logins::revoked_at.is_null())
        .filter(logins::expires_at.gt(now))
        .order((logins::used_at.desc(), logins::sid));
    Ok(open
        .load::<Columns>(&mut conn.db)?
        .into_iter()
        .map(row)
        .collect())
}

/// Marks a login as used now.
pub fn touch(conn: &mut Conn, sid: &str) -> Result<(), StoreError> {
    let now = conn.now().micros();
    found(
        diesel::update(logins::table.find(sid))
            .set(logins::used_at.eq(now))
            .execute(&mut conn.db)?,
    )
}

/// Moves the end of a login, for a refreshed token.
pub fn extend(conn: &mut Conn, sid: &str, expires_at: Timestamp) -> Result<(), StoreError> {
    let set = logins::expires_at.eq(expires_at.micros());
    found(
        diesel::update(logins::table.find(sid))
            .set(set)
            .execute(&mut conn.db)?,
    )
}

/// Removes logins that ended before `now`; gives how many.
pub fn sweep(conn: &mut Conn, now: Timestamp) -> Result<usize, StoreError> {
    let over = logins::table.filter(logins::expires_at.lt(now.micros()));
    Ok(diesel::delete(over).execute(&mut conn.db)?)
}

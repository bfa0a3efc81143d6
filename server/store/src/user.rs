//! People with accounts. A deleted user keeps the row and the name, and is still found by key,
//! so that old messages have a sender.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{UserKey, numbered};
use crate::schema::users;
use diesel::prelude::*;
use protocol::{Timestamp, UserId};

numbered! {
    /// What a user may do beyond their own conversations.
    Role {
        /// Everything; the first user.
        Owner = 0,
        /// Administration.
        Admin = 1,
        /// Only their own.
        Member = 2,
    }
}

/// A user to insert.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// `user_…`, or the text of an imported id.
    pub public_id: UserId,
    /// Unique, as written.
    pub username: String,
    /// A PHC string.
    pub password_hash: String,
    /// Role from the start.
    pub role: Role,
}

/// A row of `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Key.
    pub key: UserKey,
    /// Public id.
    pub id: UserId,
    /// Name.
    pub username: String,
    /// A PHC string.
    pub password_hash: String,
    /// Role.
    pub role: Role,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

type Columns = (i64, String, String, String, i16, i64, Option<i64>);

fn row(
    (key, id, username, password_hash, role, created_at, deleted_at): Columns,
) -> Result<UserRow, StoreError> {
    Ok(UserRow {
        key: UserKey(key),
        id: UserId::parse(id).map_err(|e| StoreError::Internal(e.to_string()))?,
        username,
        password_hash,
        role: Role::from_i16(role).ok_or_else(|| StoreError::Internal(format!("role {role}")))?,
        created_at: Timestamp::from_micros(created_at),
        deleted_at: deleted_at.map(Timestamp::from_micros),
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "as the other nouns take what they insert"
)]
/// Inserts a user; [`StoreError::Conflict`] if the name or the id is taken.
pub fn insert(conn: &mut Conn, new: NewUser) -> Result<UserRow, StoreError> {
    let now = conn.now();
    diesel::insert_into(users::table)
        .values((
            users::public_id.eq(new.public_id.as_str()),
            users::username.eq(&new.username),
            users::password_hash.eq(&new.password_hash),
            users::role.eq(new.role.as_i16()),
            users::created_at.eq(now.micros()),
        ))
        .execute(&mut conn.db)?;
    find_by_id(conn, &new.public_id)?.ok_or(StoreError::NotFound)
}

/// The user of this name, deleted or not.
pub fn find_by_name(conn: &mut Conn, username: &str) -> Result<Option<UserRow>, StoreError> {
    let found = users::table
        .filter(users::username.eq(username))
        .first::<Columns>(&mut conn.db);
    found.optional()?.map(row).transpose()
}

/// The user of this public id, deleted or not.
pub fn find_by_id(conn: &mut Conn, id: &UserId) -> Result<Option<UserRow>, StoreError> {
    let found = users::table
        .filter(users::public_id.eq(id.as_str()))
        .first::<Columns>(&mut conn.db);
    found.optional()?.map(row).transpose()
}

/// The user of this key, deleted or not.
pub fn load(conn: &mut Conn, key: UserKey) -> Result<UserRow, StoreError> {
    row(users::table.find(key.0).first::<Columns>(&mut conn.db)?)
}

/// At most `limit` users with keys above `after`, in order of their keys, deleted ones too.
pub fn list(
    conn: &mut Conn,
    limit: usize,
    after: Option<UserKey>,
) -> Result<Vec<UserRow>, StoreError> {
    users::table
        .filter(users::id.gt(after.map_or(0, |key| key.0)))
        .order(users::id)
        .limit(limit as i64)
        .load::<Columns>(&mut conn.db)?
        .into_iter()
        .map(row)
        .collect()
}

/// How many users there are, without deleted ones.
pub fn count(conn: &mut Conn) -> Result<i64, StoreError> {
    Ok(users::table
        .filter(users::deleted_at.is_null())
        .count()
        .get_result(&mut conn.db)?)
}

/// Replaces the password hash.
pub fn set_password(conn: &mut Conn, key: UserKey, password_hash: &str) -> Result<(), StoreError> {
    let changed = diesel::update(users::table.find(key.0))
        .set(users::password_hash.eq(password_hash))
        .execute(&mut conn.db)?;
    found(changed)
}

/// Changes what a user may do.
pub fn set_role(conn: &mut Conn, key: UserKey, role: Role) -> Result<(), StoreError> {
    let changed = diesel::update(users::table.find(key.0))
        .set(users::role.eq(role.as_i16()))
        .execute(&mut conn.db)?;
    found(changed)
}

/// How many owners there are.
pub fn count_owners(conn: &mut Conn) -> Result<i64, StoreError> {
    let owners = users::table
        .filter(users::role.eq(Role::Owner.as_i16()))
        .filter(users::deleted_at.is_null());
    Ok(owners.count().get_result(&mut conn.db)?)
}

/// Whether an owner exists, so that set-up is over.
pub fn any_owner(conn: &mut Conn) -> Result<bool, StoreError> {
    let owners = users::table
        .filter(users::role.eq(Role::Owner.as_i16()))
        .filter(users::deleted_at.is_null());
    let first: Option<i64> = owners.select(users::id).first(&mut conn.db).optional()?;
    Ok(first.is_some())
}

/// `NotFound` where a statement changed nothing.
pub(crate) fn found(changed: usize) -> Result<(), StoreError> {
    if changed == 0 {
        Err(StoreError::NotFound)
    } else {
        Ok(())
    }
}

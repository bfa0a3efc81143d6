//! Invites: single use, known by the hash of their token.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::UserKey;
use crate::schema::invites;
use crate::user::{Role, found};
use diesel::prelude::*;
use protocol::Timestamp;

/// A row of `invites`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRow {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// What whoever takes it becomes.
    pub role: Role,
    /// Who made it; `None`: the command line, or a removed user.
    pub created_by: Option<UserKey>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was taken.
    pub used_at: Option<Timestamp>,
    /// Who took it.
    pub used_by: Option<UserKey>,
}

type Columns = (
    Vec<u8>,
    i16,
    Option<i64>,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);

fn role_of(number: i16) -> Result<Role, StoreError> {
    Role::from_i16(number).ok_or_else(|| StoreError::Internal(format!("role {number}")))
}

fn row(
    (hash, role, created_by, created_at, expires_at, used_at, used_by): Columns,
) -> Result<InviteRow, StoreError> {
    Ok(InviteRow {
        token_hash: hash
            .as_slice()
            .try_into()
            .map_err(|_| StoreError::Internal("invite hash".into()))?,
        role: role_of(role)?,
        created_by: created_by.map(UserKey),
        created_at: Timestamp::from_micros(created_at),
        expires_at: Timestamp::from_micros(expires_at),
        used_at: used_at.map(Timestamp::from_micros),
        used_by: used_by.map(UserKey),
    })
}

/// Inserts an invite.
pub fn create(
    conn: &mut Conn,
    token_hash: [u8; 32],
    role: Role,
    created_by: Option<UserKey>,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let now = conn.now().micros();
    diesel::insert_into(invites::table)
        .values((
            invites::token_hash.eq(token_hash.to_vec()),
            invites::role.eq(role.as_i16()),
            invites::created_by.eq(created_by.map(|key| key.0)),
            invites::created_at.eq(now),
            invites::expires_at.eq(expires_at.micros()),
        ))
        .execute(&mut conn.db)?;
    Ok(())
}

/// What the invite would make of whoever takes it now; `NotFound` when unknown, used or over.
pub fn find_open(
    conn: &mut Conn,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<Role, StoreError> {
    let open = invites::table
        .find(token_hash.to_vec())
        .filter(invites::used_at.is_null())
        .filter(invites::expires_at.gt(now.micros()));
    role_of(open.select(invites::role).first(&mut conn.db)?)
}

/// Uses the invite up; `NotFound` when unknown, used or over.
pub fn take(
    conn: &mut Conn,
    token_hash: [u8; 32],
    now: Timestamp,
    used_by: Option<UserKey>,
) -> Result<Role, StoreError> {
    let role = find_open(conn, token_hash, now)?;
    let used = (
        invites::used_at.eq(Some(now.micros())),
        invites::used_by.eq(used_by.map(|key| key.0)),
    );
    found(
        diesel::update(invites::table.find(token_hash.to_vec()))
            .set(used)
            .execute(&mut conn.db)?,
    )?;
    Ok(role)
}

/// All invites, the newest first.
pub fn list(conn: &mut Conn) -> Result<Vec<InviteRow>, StoreError> {
    let all = invites::table.order((invites::created_at.desc(), invites::token_hash));
    all.load::<Columns>(&mut conn.db)?
        .into_iter()
        .map(row)
        .collect()
}

/// Removes an invite that was not taken; `NotFound` otherwise.
pub fn revoke(conn: &mut Conn, token_hash: [u8; 32]) -> Result<(), StoreError> {
    let open = invites::table
        .find(token_hash.to_vec())
        .filter(invites::used_at.is_null());
    found(diesel::delete(open).execute(&mut conn.db)?)
}

//! Bans: who is kept out. Whoever is let in is looked up here first.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::Principal;
use crate::schema::bans;
use diesel::prelude::*;
use std::collections::HashSet;

/// Keeps a principal out; a second time changes the reason.
pub fn put(conn: &mut Conn, who: Principal, reason: &str) -> Result<(), StoreError> {
    let row = bans::table.find((who.kind.as_i16(), who.key));
    let changed = diesel::update(row)
        .set(bans::reason.eq(reason))
        .execute(&mut conn.db)?;
    if changed == 0 {
        diesel::insert_into(bans::table)
            .values((
                bans::principal_kind.eq(who.kind.as_i16()),
                bans::principal_id.eq(who.key),
                bans::reason.eq(reason),
                bans::created_at.eq(conn.now().micros()),
            ))
            .execute(&mut conn.db)?;
    }
    Ok(())
}

/// Lets a principal in again; nothing where it was not kept out.
pub fn lift(conn: &mut Conn, who: Principal) -> Result<(), StoreError> {
    diesel::delete(bans::table.find((who.kind.as_i16(), who.key))).execute(&mut conn.db)?;
    Ok(())
}

/// Whether a principal is kept out.
pub fn stands(conn: &mut Conn, who: Principal) -> Result<bool, StoreError> {
    let row = bans::table.find((who.kind.as_i16(), who.key));
    let found: Option<i64> = row
        .select(bans::principal_id)
        .first(&mut conn.db)
        .optional()?;
    Ok(found.is_some())
}

/// Everybody of this kind who is kept out, by key.
pub fn all_of(conn: &mut Conn, kind: protocol::PrincipalKind) -> Result<HashSet<i64>, StoreError> {
    let rows = bans::table.filter(bans::principal_kind.eq(kind.as_i16()));
    let keys: Vec<i64> = rows.select(bans::principal_id).load(&mut conn.db)?;
    Ok(keys.into_iter().collect())
}

//! Named values of the server itself: secrets, marks of what was done once. The name `schema`
//! is the mark by which a database of this program is known.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::schema::server_state;
use diesel::prelude::*;

/// The value of `name`.
pub fn get(conn: &mut Conn, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(server_state::table
        .find(name)
        .select(server_state::value)
        .first(&mut conn.db)
        .optional()?)
}

/// Sets `name`.
pub fn put(conn: &mut Conn, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let set = server_state::value.eq(value);
    let changed = diesel::update(server_state::table.find(name))
        .set(set)
        .execute(&mut conn.db)?;
    if changed == 0 {
        diesel::insert_into(server_state::table)
            .values((server_state::name.eq(name), set))
            .execute(&mut conn.db)?;
    }
    Ok(())
}

/// The value of `name`; where there is none, `value` becomes it.
pub fn find_or_put(conn: &mut Conn, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    if let Some(old) = get(conn, name)? {
        return Ok(old);
    }
    put(conn, name, value)?;
    Ok(value.to_vec())
}

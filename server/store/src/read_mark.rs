//! Read marks: how far a member has read. A member's own message moves theirs, which the writer
//! does lazily; here is the explicit move.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{ConversationKey, Principal};
use crate::schema::members;
use diesel::prelude::*;

/// Moves the mark forward to `seq`; a lower one changes nothing. `NotFound` for who is no
/// member.
pub fn set(
    conn: &mut Conn,
    conversation: ConversationKey,
    who: Principal,
    seq: i64,
) -> Result<(), StoreError> {
    let mark = members::table.find((conversation.0, who.kind.as_i16(), who.key));
    let changed = diesel::update(mark.filter(members::read_seq.lt(seq)))
        .set(members::read_seq.eq(seq))
        .execute(&mut conn.db)?;
    if changed == 0 {
        mark.select(members::read_seq).first::<i64>(&mut conn.db)?;
    }
    Ok(())
}

//! Conversations and their members. Deleting one is a write like any other, but tells the
//! writer to forget its numbers.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::{AgentKey, ConversationKey, Principal, UserKey, numbered};
use crate::schema::{agents, conversations, members, users};
use bytestring::ByteString;
use diesel::prelude::*;
use protocol::{ConversationId, PrincipalKind, Timestamp};

pub use crate::conversation_list::{ListCursor, ListItem, ListQuery, list_for};

numbered! {
    /// What a conversation is.
    ConversationKind {
        /// One user and one agent.
        Direct = 0,
        /// Any number of members.
        Room = 1,
    }
}

numbered! {
    /// What a member may do.
    MemberRole {
        /// Everything.
        Owner = 0,
        /// Keep order.
        Moderator = 1,
        /// Read and write.
        Member = 2,
        /// Read.
        Observer = 3,
    }
}

/// A direct conversation to make.
#[derive(Debug, Clone)]
pub struct NewDirect {
    /// `conv_…`, or the text of an imported id.
    pub public_id: ConversationId,
    /// Its user.
    pub user: UserKey,
    /// Its agent.
    pub agent: AgentKey,
    /// Shown name.
    pub title: Option<String>,
}

/// A row of `conversations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Key.
    pub key: ConversationKey,
    /// Public id.
    pub id: ConversationId,
    /// What it is.
    pub kind: ConversationKind,
    /// Shown name.
    pub title: Option<String>,
    /// The first entry that is still there.
    pub first_seq: i64,
    /// The first change that is still there.
    pub first_rev: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something last happened; up to a second late.
    pub last_at: Timestamp,
}

/// A row of `members`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub principal: Principal,
    /// Their public id.
    pub id: ByteString,
    /// What they may do.
    pub role: MemberRole,
    /// Entries up to this one were before their joining.
    pub joined_seq: i64,
    /// The last entry they were shown, for who has left.
    pub left_seq: Option<i64>,
    /// How far they have read; up to a second late for their own messages.
    pub read_seq: i64,
}

pub(crate) type Columns = (i64, String, i16, Option<String>, i64, i64, i64, i64);

pub(crate) fn row(columns: Columns) -> Result<ConversationRow, StoreError> {
    let (key, id, kind, title, first_seq, first_rev, created_at, last_at) = columns;
    Ok(ConversationRow {
        key: ConversationKey(key),
        id: ConversationId::parse(id).map_err(|e| StoreError::Internal(e.to_string()))?,
        kind: ConversationKind::from_i16(kind)
            .ok_or_else(|| StoreError::Internal(format!("kind {kind}")))?,
        title,
        first_seq,
        first_rev,
        created_at: Timestamp::from_micros(created_at),
        last_at: Timestamp::from_micros(last_at),
    })
}

/// Makes a direct conversation of a user and an agent; several of one pair are threads.
/// `Conflict` if the id is taken.
pub fn create_direct(conn: &mut Conn, new: NewDirect) -> Result<ConversationRow, StoreError> {
    let now = conn.now().micros();
    diesel::insert_into(conversations::table)
        .values((
            conversations::public_id.eq(new.public_id.as_str()),
            conversations::kind.eq(ConversationKind::Direct.as_i16()),
            conversations::title.eq(new.title),
            conversations::first_seq.eq(1),
            conversations::first_rev.eq(1),
            conversations::created_at.eq(now),
            conversations::last_at.eq(now),
        ))
        .execute(&mut conn.db)?;
    let made = find(conn, &new.public_id)?.ok_or(StoreError::NotFound)?;
    for principal in [Principal::user(new.user), Principal::agent(new.agent)] {
        add_member(conn, made.key, principal, MemberRole::Member)?;
    }
    Ok(made)
}

/// Adds a member who is shown what comes after the newest entry; `Conflict` if they are one.
pub fn add_member(
    conn: &mut Conn,
    conversation: ConversationKey,
    principal: Principal,
    role: MemberRole,
) -> Result<(), StoreError> {
    let newest = crate::message::last_seq(conn, conversation)?;
    let now = conn.now().micros();
    diesel::insert_into(members::table)
        .values((
            members::conversation_id.eq(conversation.0),
            members::principal_kind.eq(principal.kind.as_i16()),
            members::principal_id.eq(principal.key),
            members::role.eq(role.as_i16()),
            members::joined_seq.eq(newest),
            members::read_seq.eq(newest),
            members::joined_at.eq(now),
        ))
        .execute(&mut conn.db)?;
    Ok(())
}

/// The newest conversation of the pair, or a new one. The flag: it was created now.
pub fn find_or_create_direct(
    conn: &mut Conn,
    new: NewDirect,
) -> Result<(ConversationRow, bool), StoreError> {
    match find_direct(conn, new.user, new.agent)? {
        Some(found) => Ok((found, false)),
        None => Ok((create_direct(conn, new)?, true)),
    }
}

/// The conversation of this public id.
pub fn find(conn: &mut Conn, id: &ConversationId) -> Result<Option<ConversationRow>, StoreError> {
    let found = conversations::table.filter(conversations::public_id.eq(id.as_str()));
    found
        .first::<Columns>(&mut conn.db)
        .optional()?
        .map(row)
        .transpose()
}

/// The conversation of this key.
pub fn load(conn: &mut Conn, key: ConversationKey) -> Result<ConversationRow, StoreError> {
    row(conversations::table
        .find(key.0)
        .first::<Columns>(&mut conn.db)?)
}

/// The newest direct conversation of a user and an agent.
pub fn find_direct(
    conn: &mut Conn,
    user: UserKey,
    agent: AgentKey,
) -> Result<Option<ConversationRow>, StoreError> {
    diesel::alias!(members as others: Others);
    let agent_too = others
        .field(members::conversation_id)
        .eq(members::conversation_id)
        .and(
            others
                .field(members::principal_kind)
                .eq(PrincipalKind::Agent.as_i16()),
        )
        .and(others.field(members::principal_id).eq(agent.0));
    let found = members::table
        .inner_join(conversations::table)
        .inner_join(others.on(agent_too))
        .filter(members::principal_kind.eq(PrincipalKind::User.as_i16()))
        .filter(members::principal_id.eq(user.0))
        .filter(conversations::kind.eq(ConversationKind::Direct.as_i16()))
        .order(conversations::id.desc())
        .select(conversations::all_columns);
    found
        .first::<Columns>(&mut conn.db)
        .optional()?
        .map(row)
        .transpose()
}

/// Whether the pair has a conversation.
pub fn have_met(conn: &mut Conn, user: UserKey, agent: AgentKey) -> Result<bool, StoreError> {
    Ok(find_direct(conn, user, agent)?.is_some())
}

/// The members, who has left too, in order of kind and key.
pub fn members(
    conn: &mut Conn,
    conversation: ConversationKey,
) -> Result<Vec<MemberRow>, StoreError> {
    let found = members_of(conn, &[conversation.0])?;
    Ok(found.into_iter().map(|(_, member, _)| member).collect())
}

type MemberColumns = (
    i64,
    i16,
    i64,
    i16,
    i64,
    Option<i64>,
    i64,
    Option<(String, String)>,
    Option<(String, String)>,
);

/// The members of several conversations, each with the conversation's key and its shown name.
pub(crate) fn members_of(
    conn: &mut Conn,
    keys: &[i64],
) -> Result<Vec<(i64, MemberRow, String)>, StoreError> {
    let is_user = users::id
        .eq(members::principal_id)
        .and(members::principal_kind.eq(PrincipalKind::User.as_i16()));
    let is_agent = agents::id
        .eq(members::principal_id)
        .and(members::principal_kind.eq(PrincipalKind::Agent.as_i16()));
    let rows: Vec<MemberColumns> = members::table
        .left_join(users::table.on(is_user))
        .left_join(agents::table.on(is_agent))
        .filter(members::conversation_id.eq_any(keys))
        .order((
            members::conversation_id,
            members::principal_kind,
            members::principal_id,
        ))
        .select((
            members::conversation_id,
            members::principal_kind,
            members::principal_id,
            members::role,
            members::joined_seq,
            members::left_seq,
            members::read_seq,
            (users::public_id, users::username).nullable(),
            (agents::public_id, agents::name).nullable(),
        ))
        .load(&mut conn.db)?;
    rows.into_iter().map(member_row).collect()
}

fn member_row(columns: MemberColumns) -> Result<(i64, MemberRow, String), StoreError> {
    let (conversation, kind, key, role, joined_seq, left_seq, read_seq, user, agent) = columns;
    let (id, name) = user.or(agent).unwrap_or_default();
    let member = MemberRow {
        principal: Principal {
            kind: PrincipalKind::from_i16(kind)
                .ok_or_else(|| StoreError::Internal(format!("principal kind {kind}")))?,
            key,
        },
        id: id.into(),
        role: MemberRole::from_i16(role)
            .ok_or_else(|| StoreError::Internal(format!("member role {role}")))?,
        joined_seq,
        left_seq,
        read_seq,
    };
    Ok((conversation, member, name))
}

/// Whether `principal` is a member and has not left.
pub fn is_member(
    conn: &mut Conn,
    key: ConversationKey,
    principal: Principal,
) -> Result<bool, StoreError> {
    let live = members::table
        .find((key.0, principal.kind.as_i16(), principal.key))
        .filter(members::left_seq.is_null())
        .select(members::conversation_id);
    Ok(live.first::<i64>(&mut conn.db).optional()?.is_some())
}

/// Those who share a live conversation with `principal`, each once.
pub fn peers_of(conn: &mut Conn, principal: Principal) -> Result<Vec<Principal>, StoreError> {
    diesel::alias!(members as others: Others);
    let (other_kind, other_key) = (
        others.field(members::principal_kind),
        others.field(members::principal_id),
    );
    let shared = others
        .field(members::conversation_id)
        .eq(members::conversation_id);
    let rows: Vec<(i16, i64)> = members::table
        .inner_join(others.on(shared))
        .filter(members::principal_kind.eq(principal.kind.as_i16()))
        .filter(members::principal_id.eq(principal.key))
        .filter(members::left_seq.is_null())
        .filter(others.field(members::left_seq).is_null())
        .filter(
            other_kind
                .ne(principal.kind.as_i16())
                .or(other_key.ne(principal.key)),
        )
        .select((other_kind, other_key))
        .distinct()
        .load(&mut conn.db)?;
    let principal = |(kind, key)| PrincipalKind::from_i16(kind).map(|kind| Principal { kind, key });
    let mut peers: Vec<Principal> = rows.into_iter().filter_map(principal).collect();
    peers.sort_unstable();
    Ok(peers)
}

/// Removes a conversation with all that belongs to it; `NotFound` where it is not.
pub fn delete(conn: &mut Conn, key: ConversationKey) -> Result<(), StoreError> {
    let removed = diesel::delete(conversations::table.find(key.0)).execute(&mut conn.db)?;
    conn.forget_newest(key);
    crate::user::found(removed)
}

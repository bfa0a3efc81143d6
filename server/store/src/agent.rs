//! Global agents: chosen ids, what they say about themselves, and the hash of their own token.

use crate::conn::Conn;
use crate::error::StoreError;
use crate::keys::AgentKey;
use crate::schema::agents;
use crate::user::found;
use diesel::prelude::*;
use protocol::{AgentId, Timestamp};

/// What an agent says about itself; `None` says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFields {
    /// Shown name.
    pub name: Option<String>,
    /// Language model.
    pub model: Option<String>,
    /// Free text.
    pub personality: Option<String>,
    /// Free text.
    pub specialty: Option<String>,
}

/// What happens to the fields of an agent that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Each field takes the new text, empty where none was given.
    All,
    /// Only fields with a text that is not empty are replaced.
    NonEmpty,
}

/// A row of `agents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Key.
    pub key: AgentKey,
    /// Chosen id.
    pub id: AgentId,
    /// Shown name; the id where none was given.
    pub name: String,
    /// Language model.
    pub model: String,
    /// Free text.
    pub personality: String,
    /// Free text.
    pub specialty: String,
    /// SHA-256 of its token.
    pub token_hash: Option<[u8; 32]>,
    /// It has used its own token once.
    pub bound: bool,
    /// When the id was first seen.
    pub created_at: Timestamp,
}

type Columns = (
    i64,
    String,
    String,
    String,
    String,
    String,
    Option<Vec<u8>>,
    bool,
    i64,
    Option<i64>,
);

fn row(c: Columns) -> Result<AgentRow, StoreError> {
    let token_hash = c.6.map(|hash| <[u8; 32]>::try_from(hash.as_slice()));
    Ok(AgentRow {
        key: AgentKey(c.0),
        id: AgentId::parse(c.1).map_err(|e| StoreError::Internal(e.to_string()))?,
        name: c.2,
        model: c.3,
        personality: c.4,
        specialty: c.5,
        token_hash: token_hash
            .transpose()
            .map_err(|e| StoreError::Internal(e.to_string()))?,
        bound: c.7,
        created_at: Timestamp::from_micros(c.8),
    })
}

/// Makes the agent, or changes its fields as `overwrite` says. The flag: it was created now.
pub fn upsert(
    conn: &mut Conn,
    id: &AgentId,
    fields: AgentFields,
    overwrite: Overwrite,
) -> Result<(AgentRow, bool), StoreError> {
    let old = find(conn, id)?;
    let created = old.is_none();
    let pick = |new: Option<String>, old: Option<&str>, default: &str| match (new, old, overwrite) {
        (Some(new), Some(old), Overwrite::NonEmpty) if new.is_empty() => old.to_owned(),
        (None, Some(old), Overwrite::NonEmpty) => old.to_owned(),
        (Some(new), _, _) if !new.is_empty() => new,
        _ => default.to_owned(),
    };
    let (name, model) = (
        pick(
            fields.name,
            old.as_ref().map(|o| o.name.as_str()),
            id.as_str(),
        ),
        pick(fields.model, old.as_ref().map(|o| o.model.as_str()), ""),
    );
    let (personality, specialty) = (
        pick(
            fields.personality,
            old.as_ref().map(|o| o.personality.as_str()),
            "",
        ),
        pick(
            fields.specialty,
            old.as_ref().map(|o| o.specialty.as_str()),
            "",
        ),
    );
    let values = (
        agents::name.eq(name),
        agents::model.eq(model),
        agents::personality.eq(personality),
        agents::specialty.eq(specialty),
    );
    if let Some(old) = old {
        diesel::update(agents::table.find(old.key.0))
            .set(values)
            .execute(&mut conn.db)?;
    } else {
        let made = (
            agents::public_id.eq(id.as_str()),
            agents::bound.eq(false),
            agents::created_at.eq(conn.now().micros()),
        );
        diesel::insert_into(agents::table)
            .values((made, values))
            .execute(&mut conn.db)?;
    }
    let row = find(conn, id)?.ok_or(StoreError::NotFound)?;
    Ok((row, created))
}

/// The agent of this id.
pub fn find(conn: &mut Conn, id: &AgentId) -> Result<Option<AgentRow>, StoreError> {
    let found = agents::table
        .filter(agents::public_id.eq(id.as_str()))
        .first::<Columns>(&mut conn.db);
    found.optional()?.map(row).transpose()
}

/// The agent of this key.
pub fn load(conn: &mut Conn, key: AgentKey) -> Result<AgentRow, StoreError> {
    row(agents::table.find(key.0).first::<Columns>(&mut conn.db)?)
}

/// All agents, by name and then id.
pub fn list(conn: &mut Conn) -> Result<Vec<AgentRow>, StoreError> {
    let all = agents::table
        .filter(agents::deleted_at.is_null())
        .order((agents::name, agents::public_id));
    all.load::<Columns>(&mut conn.db)?
        .into_iter()
        .map(row)
        .collect()
}

/// Replaces the hash of the agent's token.
pub fn set_token(conn: &mut Conn, key: AgentKey, hash: [u8; 32]) -> Result<(), StoreError> {
    let set = agents::token_hash.eq(Some(hash.to_vec()));
    found(
        diesel::update(agents::table.find(key.0))
            .set(set)
            .execute(&mut conn.db)?,
    )
}

/// Remembers that the agent has used its own token.
pub fn set_bound(conn: &mut Conn, key: AgentKey) -> Result<(), StoreError> {
    found(
        diesel::update(agents::table.find(key.0))
            .set(agents::bound.eq(true))
            .execute(&mut conn.db)?,
    )
}

/// How many agents there are.
pub fn count(conn: &mut Conn) -> Result<i64, StoreError> {
    Ok(agents::table
        .filter(agents::deleted_at.is_null())
        .count()
        .get_result(&mut conn.db)?)
}

//! Agents, as an operator looks after them.

use super::of_store;
use super::session::{Which, remove};
use crate::auth::random_token;
use crate::node::Node;
use protocol::admin::{Agent, AgentWithToken};
use protocol::event::Refusal;
use protocol::{AgentId, ErrorCode, PrincipalKind};
use sha2::{Digest, Sha256};
use store::{AgentFields, AgentRow, Overwrite, Principal, StoreError, agent};

fn shown(node: &Node, row: AgentRow, banned: bool) -> Agent {
    Agent {
        status: Some(node.directory.agent_status(row.key).to_string()),
        agent_id: row.id,
        name: row.name,
        model: row.model,
        personality: row.personality,
        specialty: row.specialty,
        bound: row.bound,
        created_at: row.created_at,
        banned,
    }
}

/// All agents, by name.
pub async fn list(node: &Node) -> Result<Vec<Agent>, Refusal> {
    let read = node.store.read(|conn| {
        let banned = store::ban::all_of(conn, PrincipalKind::Agent)?;
        Ok((agent::list(conn)?, banned))
    });
    let (rows, banned) = read
        .await
        .map_err(|e| of_store(e, ErrorCode::AgentNotFound))?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let kept_out = banned.contains(&row.key.0);
            shown(node, row, kept_out)
        })
        .collect())
}

/// Makes an agent with a token of its own.
pub async fn create(
    node: &Node,
    id: AgentId,
    fields: AgentFields,
) -> Result<AgentWithToken, Refusal> {
    let (token, hash) = new_token()?;
    let made = node
        .store
        .write(move |conn| {
            if agent::find(conn, &id)?.is_some() {
                return Err(StoreError::Conflict);
            }
            let (row, _) = agent::upsert(conn, &id, fields, Overwrite::All)?;
            agent::set_token(conn, row.key, hash)?;
            Ok(row)
        })
        .await;
    let row = made.map_err(|error| match error {
        StoreError::Conflict => {
            Refusal::because(ErrorCode::Conflict, "an agent of this id exists already")
        }
        error => of_store(error, ErrorCode::AgentNotFound),
    })?;
    Ok(AgentWithToken {
        agent: shown(node, row, false),
        agent_token: token,
    })
}

/// Gives an agent a new token; the old one stops working, and its socket ends.
pub async fn reset_token(node: &Node, id: AgentId) -> Result<AgentWithToken, Refusal> {
    let (token, hash) = new_token()?;
    let changed = node
        .store
        .write(move |conn| {
            let row = agent::find(conn, &id)?.ok_or(StoreError::NotFound)?;
            agent::set_token(conn, row.key, hash)?;
            let banned = store::ban::stands(conn, Principal::agent(row.key))?;
            Ok((row, banned))
        })
        .await;
    let (row, banned) = changed.map_err(|e| of_store(e, ErrorCode::AgentNotFound))?;
    // Whoever came in with the old token goes; with the new one the agent comes back at once.
    remove(node, Which::Of(Principal::agent(row.key))).await?;
    Ok(AgentWithToken {
        agent: shown(node, row, banned),
        agent_token: token,
    })
}

/// Keeps an agent out, or lets it in again. Its socket ends.
pub async fn set_ban(
    node: &Node,
    id: AgentId,
    banned: bool,
    reason: String,
) -> Result<(), Refusal> {
    let changed = node
        .store
        .write(move |conn| {
            let row = agent::find(conn, &id)?.ok_or(StoreError::NotFound)?;
            let who = Principal::agent(row.key);
            if banned {
                store::ban::put(conn, who, &reason)?;
            } else {
                store::ban::lift(conn, who)?;
            }
            Ok(who)
        })
        .await;
    let who = changed.map_err(|e| of_store(e, ErrorCode::AgentNotFound))?;
    if banned {
        remove(node, Which::Of(who)).await?;
    }
    Ok(())
}

fn new_token() -> Result<(String, [u8; 32]), Refusal> {
    let token = random_token("at_").ok_or_else(|| Refusal::new(ErrorCode::Internal))?;
    let hash = Sha256::digest(token.as_bytes()).into();
    Ok((token, hash))
}

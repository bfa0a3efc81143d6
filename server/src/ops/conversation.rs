//! Conversations: making, finding, listing.

use super::entry::Names;
use super::{of_store, whisper};
use crate::node::Node;
use protocol::event::Refusal;
use protocol::{AgentId, ConversationId, ErrorCode, Event, PrincipalKind, Target, UserId};
use store::conversation::{self, ListItem, ListQuery, NewDirect};
use store::{AgentKey, Conn, ConversationKey, ConversationRow, Principal, StoreError, UserKey};

/// A conversation that the caller is a member of.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its key.
    pub key: ConversationKey,
    /// Its public id.
    pub id: ConversationId,
}

/// A direct conversation with its two ends.
#[derive(Debug, Clone)]
pub struct Direct {
    /// Its row.
    pub row: ConversationRow,
    /// Its user.
    pub user: UserId,
    /// Its agent.
    pub agent: AgentId,
    /// It was not there before.
    pub created: bool,
}

/// How a conversation is opened.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// A shown name.
    pub title: Option<String>,
    /// Another one, even if the pair has one.
    pub new: bool,
}

/// The conversation that a send goes to; an agent's name finds or makes the newest with it.
pub async fn resolve(node: &Node, principal: Principal, target: &Target) -> Result<Found, Refusal> {
    match target {
        Target::Conversation(id) => {
            let key = key_of_member(node, principal, id).await?;
            Ok(Found {
                key,
                id: id.clone(),
            })
        }
        Target::Agent(agent) if principal.kind == PrincipalKind::User => {
            let direct =
                open_as_user(node, UserKey(principal.key), agent, Opening::default()).await?;
            Ok(Found {
                key: direct.row.key,
                id: direct.row.id,
            })
        }
        Target::Agent(_) => Err(Refusal::new(ErrorCode::ConversationRequired)),
    }
}

/// The key of a conversation for one of its members; for others it does not exist.
pub async fn key_of_member(
    node: &Node,
    principal: Principal,
    id: &ConversationId,
) -> Result<ConversationKey, Refusal> {
    let id = id.clone();
    let key = node
        .store
        .read(move |conn| member_key(conn, principal, &id))
        .await;
    key.map_err(|error| of_store(error, ErrorCode::ConversationNotFound))
}

pub(super) fn member_key(
    conn: &mut Conn,
    principal: Principal,
    id: &ConversationId,
) -> Result<ConversationKey, StoreError> {
    let row = conversation::find(conn, id)?.ok_or(StoreError::NotFound)?;
    if conversation::is_member(conn, row.key, principal)? {
        Ok(row.key)
    } else {
        Err(StoreError::NotFound)
    }
}

/// A user opens a conversation with an agent: the newest there is, or a new one.
pub async fn open_as_user(
    node: &Node,
    user: UserKey,
    agent: &AgentId,
    opening: Opening,
) -> Result<Direct, Refusal> {
    let wanted = agent.clone();
    let found = node
        .store
        .read(move |conn| store::agent::find(conn, &wanted))
        .await;
    let agent = found.map_err(|e| of_store(e, ErrorCode::AgentNotFound))?;
    let agent = agent.ok_or_else(|| Refusal::new(ErrorCode::AgentNotFound))?;
    open(node, user, agent.key, opening).await
}

/// An agent opens a conversation with a user who already has one with it, unless it may start.
pub async fn open_as_agent(
    node: &Node,
    agent: AgentKey,
    user: &UserId,
    opening: Opening,
) -> Result<Direct, Refusal> {
    let wanted = user.clone();
    let met = node
        .store
        .read(move |conn| {
            let user = store::user::find_by_id(conn, &wanted)?.ok_or(StoreError::NotFound)?;
            Ok((user.key, conversation::have_met(conn, user.key, agent)?))
        })
        .await;
    match met {
        Ok((user, met)) if met || node.config.agents.may_start => {
            open(node, user, agent, opening).await
        }
        // Whether the user exists is nothing that a stranger learns.
        Ok(_) => Err(Refusal::new(ErrorCode::AgentsMayNotStart)),
        Err(StoreError::NotFound) if node.config.agents.may_start => {
            Err(Refusal::new(ErrorCode::UserNotFound))
        }
        Err(error) => Err(of_store(error, ErrorCode::AgentsMayNotStart)),
    }
}

async fn open(
    node: &Node,
    user: UserKey,
    agent: AgentKey,
    opening: Opening,
) -> Result<Direct, Refusal> {
    let direct = node
        .store
        .write(move |conn| open_in(conn, user, agent, opening))
        .await;
    let direct = direct.map_err(|error| of_store(error, ErrorCode::NotFound))?;
    if direct.created {
        let event = Event::ConversationCreated {
            conversation: direct.row.id.clone(),
            user: direct.user.clone(),
            agent: direct.agent.clone(),
        };
        let members = [Principal::user(user), Principal::agent(agent)];
        whisper::to_principals(&node.directory, &node.hubs, members.into_iter(), &event);
    }
    Ok(direct)
}

fn open_in(
    conn: &mut Conn,
    user: UserKey,
    agent: AgentKey,
    opening: Opening,
) -> Result<Direct, StoreError> {
    let id = store::random_id("conv_")?;
    let public_id =
        ConversationId::parse(id).map_err(|error| StoreError::Internal(error.to_string()))?;
    let new = NewDirect {
        public_id,
        user,
        agent,
        title: opening.title,
    };
    let (row, created) = if opening.new {
        (conversation::create_direct(conn, new)?, true)
    } else {
        conversation::find_or_create_direct(conn, new)?
    };
    let user = store::user::load(conn, user)?.id;
    let agent = store::agent::load(conn, agent)?.id;
    Ok(Direct {
        row,
        user,
        agent,
        created,
    })
}

/// A page of the caller's conversations, newest activity first.
pub async fn list(
    node: &Node,
    principal: Principal,
    query: ListQuery,
) -> Result<Vec<ListItem>, Refusal> {
    let listed = node
        .store
        .read(move |conn| conversation::list_for(conn, principal, query))
        .await;
    listed.map_err(|error| of_store(error, ErrorCode::NotFound))
}

/// One of the caller's conversations, with its members.
pub async fn get(
    node: &Node,
    principal: Principal,
    id: &ConversationId,
) -> Result<(ConversationRow, Names, i64), Refusal> {
    let id = id.clone();
    let got = node
        .store
        .read(move |conn| {
            let key = member_key(conn, principal, &id)?;
            let last_seq = store::message::last_seq(conn, key)?;
            Ok((
                conversation::load(conn, key)?,
                Names::load(conn, key)?,
                last_seq,
            ))
        })
        .await;
    got.map_err(|error| of_store(error, ErrorCode::ConversationNotFound))
}

/// The newest `seq`.
pub async fn last_seq(node: &Node, key: ConversationKey) -> Result<i64, Refusal> {
    let seq = node
        .store
        .read(move |conn| store::message::last_seq(conn, key))
        .await;
    seq.map_err(|error| of_store(error, ErrorCode::ConversationNotFound))
}

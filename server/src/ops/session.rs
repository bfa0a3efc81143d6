//! Live sockets, as an operator sees and ends them.

use super::of_store;
use crate::mailbox::post;
use crate::node::Node;
use crate::registry::{ListSessions, Remove};
use crate::session::SessionId;
use protocol::admin::{Kick, Session};
use protocol::event::Refusal;
use protocol::{AgentId, ErrorCode, UserId};
use store::{Principal, StoreError};
use tokio::sync::oneshot;

pub use crate::registry::Which;

/// All of them, in the order in which they came.
pub async fn list(node: &Node) -> Result<Vec<Session>, Refusal> {
    let (caller, told) = oneshot::channel();
    post(&node.registry, ListSessions { caller });
    told.await
        .map_err(|_| Refusal::new(ErrorCode::ShuttingDown))
}

/// Ends the sockets that are meant with close code 4009; gives how many.
pub async fn remove(node: &Node, which: Which) -> Result<usize, Refusal> {
    let (caller, told) = oneshot::channel();
    post(&node.registry, Remove { which, caller });
    told.await
        .map_err(|_| Refusal::new(ErrorCode::ShuttingDown))
}

/// Ends one socket, or all of one principal.
pub async fn kick(node: &Node, kick: Kick) -> Result<usize, Refusal> {
    let which = match (kick.session_id, kick.user_id, kick.agent_id) {
        (Some(id), None, None) => Which::Session(SessionId(id)),
        (None, Some(user), None) => Which::Of(user_of(node, user).await?),
        (None, None, Some(agent)) => Which::Of(agent_of(node, agent).await?),
        _ => {
            return Err(Refusal::because(
                ErrorCode::InvalidRequest,
                "name one of session_id, user_id and agent_id",
            ));
        }
    };
    remove(node, which).await
}

async fn user_of(node: &Node, id: String) -> Result<Principal, Refusal> {
    let missing = ErrorCode::UserNotFound;
    let id = UserId::parse(id).map_err(|_| Refusal::new(missing))?;
    let found = node.store.read(move |conn| {
        let row = store::user::find_by_id(conn, &id)?.ok_or(StoreError::NotFound)?;
        Ok(Principal::user(row.key))
    });
    found.await.map_err(|e| of_store(e, missing))
}

async fn agent_of(node: &Node, id: String) -> Result<Principal, Refusal> {
    let missing = ErrorCode::AgentNotFound;
    let id = AgentId::parse(id).map_err(|_| Refusal::new(missing))?;
    let found = node.store.read(move |conn| {
        let row = store::agent::find(conn, &id)?.ok_or(StoreError::NotFound)?;
        Ok(Principal::agent(row.key))
    });
    found.await.map_err(|e| of_store(e, missing))
}

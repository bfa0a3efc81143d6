//! Invites: single use, for those whom registration does not welcome.

use super::of_store;
use super::user::{of_store_role, to_store};
use crate::auth::{Operator, random_token};
use crate::node::Node;
use data_encoding::HEXLOWER_PERMISSIVE;
use protocol::ErrorCode;
use protocol::admin::{Invite, InviteMade, NewInvite, Role};
use protocol::event::Refusal;
use sha2::{Digest, Sha256};
use store::invite;

const DAY_US: i64 = 86_400_000_000;

/// All invites, the newest first.
pub async fn list(node: &Node) -> Result<Vec<Invite>, Refusal> {
    let rows = node.store.read(invite::list).await;
    let rows = rows.map_err(|e| of_store(e, ErrorCode::NotFound))?;
    Ok(rows
        .into_iter()
        .map(|row| Invite {
            invite_id: HEXLOWER_PERMISSIVE.encode(&row.token_hash),
            role: of_store_role(row.role),
            created_at: row.created_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        })
        .collect())
}

/// Makes one. Only owners invite owners.
pub async fn create(node: &Node, by: &Operator, new: NewInvite) -> Result<InviteMade, Refusal> {
    if new.role == Role::Owner && !by.is_owner() {
        return Err(Refusal::because(
            ErrorCode::Forbidden,
            "only owners may do this",
        ));
    }
    if !(1..=365).contains(&new.days) {
        return Err(Refusal::because(
            ErrorCode::InvalidRequest,
            "days must be between 1 and 365",
        ));
    }
    let text = random_token("invite_").ok_or_else(|| Refusal::new(ErrorCode::Internal))?;
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let (role, by) = (to_store(new.role), by.user());
    let expires_at = node.clock.now().plus_micros(i64::from(new.days) * DAY_US);
    let made = node
        .store
        .write(move |conn| invite::create(conn, hash, role, by, expires_at))
        .await;
    made.map_err(|e| of_store(e, ErrorCode::NotFound))?;
    Ok(InviteMade {
        invite: text,
        invite_id: HEXLOWER_PERMISSIVE.encode(&hash),
        role: new.role,
        expires_at,
    })
}

/// Takes one back that was not used.
pub async fn revoke(node: &Node, id: &str) -> Result<(), Refusal> {
    let hash = HEXLOWER_PERMISSIVE
        .decode(id.as_bytes())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let hash = hash.ok_or_else(|| Refusal::new(ErrorCode::NotFound))?;
    let gone = node.store.write(move |conn| invite::revoke(conn, hash));
    gone.await.map_err(|e| of_store(e, ErrorCode::NotFound))
}

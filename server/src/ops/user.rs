//! Accounts, as an operator looks after them.

use super::of_store;
use super::session::{Which, remove};
use crate::auth::{Auth, Operator};
use crate::node::Node;
use protocol::admin::{NewUser, Role, User};
use protocol::event::Refusal;
use protocol::{ErrorCode, PrincipalKind, UserId};
use store::{Conn, Principal, StoreError, UserKey, UserRow, user};
use zeroize::Zeroizing;

/// Accounts of one page.
pub const PAGE: usize = 200;

/// A role as the database keeps it.
pub const fn to_store(role: Role) -> store::Role {
    match role {
        Role::Owner => store::Role::Owner,
        Role::Admin => store::Role::Admin,
        Role::Member => store::Role::Member,
    }
}

/// A role as it is told.
pub const fn of_store_role(role: store::Role) -> Role {
    match role {
        store::Role::Owner => Role::Owner,
        store::Role::Admin => Role::Admin,
        store::Role::Member => Role::Member,
    }
}

fn shown(row: UserRow, banned: bool) -> User {
    User {
        user_id: row.id,
        username: row.username,
        role: of_store_role(row.role),
        created_at: row.created_at,
        banned,
    }
}

/// The accounts after `after` in the order in which they were made, deleted ones aside.
pub async fn list(node: &Node, after: Option<UserId>) -> Result<Vec<User>, Refusal> {
    let read = node.store.read(move |conn| {
        let after = match after {
            Some(id) => Some(find(conn, &id)?.key),
            None => None,
        };
        let banned = store::ban::all_of(conn, PrincipalKind::User)?;
        let rows = user::list(conn, PAGE, after)?;
        let live = rows.into_iter().filter(|row| row.deleted_at.is_none());
        Ok(live
            .map(|row| {
                let kept_out = banned.contains(&row.key.0);
                shown(row, kept_out)
            })
            .collect())
    });
    read.await.map_err(|e| of_store(e, ErrorCode::UserNotFound))
}

/// Makes an account. Only owners make owners.
pub async fn create(node: &Node, by: &Operator, new: NewUser) -> Result<User, Refusal> {
    only_owners(by, new.role == Role::Owner)?;
    Auth::check_username(&new.username)?;
    let hash = node.auth.new_password(Zeroizing::new(new.password)).await?;
    let wrong = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "no id for an account");
        Refusal::new(ErrorCode::Internal)
    };
    let id = store::random_id("user_").map_err(|error| wrong(&error))?;
    let row = store::NewUser {
        public_id: UserId::parse(id).map_err(|error| wrong(&error.0))?,
        username: new.username,
        password_hash: hash,
        role: to_store(new.role),
    };
    let made = node.store.write(move |conn| user::insert(conn, row)).await;
    match made {
        Ok(row) => Ok(shown(row, false)),
        Err(StoreError::Conflict) => Err(Refusal::new(ErrorCode::UsernameTaken)),
        Err(error) => Err(of_store(error, ErrorCode::UserNotFound)),
    }
}

/// Changes what an account may do. The last owner stays one.
pub async fn set_role(node: &Node, by: &Operator, id: UserId, role: Role) -> Result<User, Refusal> {
    let is_owner = by.is_owner();
    let changed = node
        .store
        .write(move |conn| {
            let row = find(conn, &id)?;
            let touches_owner = row.role == store::Role::Owner || role == Role::Owner;
            if touches_owner && !is_owner {
                return Ok(Err(owners_only()));
            }
            if row.role == store::Role::Owner
                && role != Role::Owner
                && user::count_owners(conn)? == 1
            {
                return Ok(Err(Refusal::because(
                    ErrorCode::Conflict,
                    "this is the last owner: make another one first",
                )));
            }
            user::set_role(conn, row.key, to_store(role))?;
            let banned = store::ban::stands(conn, Principal::user(row.key))?;
            Ok(Ok((row, banned)))
        })
        .await;
    let (row, banned) = changed.map_err(|e| of_store(e, ErrorCode::UserNotFound))??;
    node.auth.role_changed(row.key, to_store(role));
    Ok(User {
        role,
        ..shown(row, banned)
    })
}

/// Gives an account a new password; all its logins end.
pub async fn set_password(
    node: &Node,
    by: &Operator,
    id: UserId,
    password: String,
) -> Result<(), Refusal> {
    let hash = node.auth.new_password(Zeroizing::new(password)).await?;
    let key = touch(node, by, id, move |conn, key| {
        user::set_password(conn, key, &hash)
    })
    .await?;
    node.auth.log_out_everywhere(key).await
}

/// Keeps an account out, or lets it in again. Its logins and sockets end.
pub async fn set_ban(
    node: &Node,
    by: &Operator,
    id: UserId,
    banned: bool,
    reason: String,
) -> Result<(), Refusal> {
    let me = by.user();
    let key = touch(node, by, id, move |conn, key| {
        let is_owner = user::load(conn, key)?.role == store::Role::Owner;
        if Some(key) == me || banned && is_owner && user::count_owners(conn)? == 1 {
            return Err(StoreError::Conflict);
        }
        let who = Principal::user(key);
        if banned {
            store::ban::put(conn, who, &reason)
        } else {
            store::ban::lift(conn, who)
        }
    })
    .await?;
    if banned {
        // The logins first, so that nobody comes back in between; then the sockets, which may have
        // been told 4001 by then.
        node.auth.log_out_everywhere(key).await?;
        remove(node, Which::Of(Principal::user(key))).await?;
    }
    Ok(())
}

/// Does something to an account; an owner's is for owners only.
async fn touch(
    node: &Node,
    by: &Operator,
    id: UserId,
    change: impl FnOnce(&mut Conn, UserKey) -> Result<(), StoreError> + Send + 'static,
) -> Result<UserKey, Refusal> {
    let is_owner = by.is_owner();
    let changed = node.store.write(move |conn| {
        let row = find(conn, &id)?;
        if row.role == store::Role::Owner && !is_owner {
            return Ok(Err(owners_only()));
        }
        change(conn, row.key)?;
        Ok(Ok(row.key))
    });
    changed.await.map_err(|error| match error {
        StoreError::Conflict => Refusal::because(
            ErrorCode::Conflict,
            "this is your own account, or the last owner's",
        ),
        error => of_store(error, ErrorCode::UserNotFound),
    })?
}

fn find(conn: &mut Conn, id: &UserId) -> Result<UserRow, StoreError> {
    user::find_by_id(conn, id)?
        .filter(|row| row.deleted_at.is_none())
        .ok_or(StoreError::NotFound)
}

fn only_owners(by: &Operator, needed: bool) -> Result<(), Refusal> {
    if needed && !by.is_owner() {
        Err(owners_only())
    } else {
        Ok(())
    }
}

fn owners_only() -> Refusal {
    Refusal::because(ErrorCode::Forbidden, "only owners may do this")
}

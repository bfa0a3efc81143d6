//! Who may administer: the admin secret, or a user with role owner or admin. Only failures are
//! counted, per address.

use super::{Auth, UserIdentity, password, secret, take};
use protocol::ErrorCode;
use protocol::event::Refusal;
use std::net::IpAddr;
use store::{Role, UserKey};
use zeroize::Zeroizing;

/// Somebody who may administer.
#[derive(Debug, Clone)]
pub enum Operator {
    /// Whoever knows the admin secret.
    Secret,
    /// An owner or an admin.
    User(UserIdentity),
}

impl Operator {
    /// Owners may do what admins may not: make owners, and touch their accounts.
    pub fn is_owner(&self) -> bool {
        match self {
            Self::Secret => true,
            Self::User(user) => user.role == Role::Owner,
        }
    }

    /// The account, where it is one.
    pub const fn user(&self) -> Option<UserKey> {
        match self {
            Self::Secret => None,
            Self::User(user) => Some(user.key),
        }
    }
}

impl Auth {
    /// Lets an operator in by the admin secret or a token of their own.
    pub async fn operator(
        &self,
        shown_secret: Option<&str>,
        token: Option<&str>,
        address: IpAddr,
    ) -> Result<Operator, Refusal> {
        if let Some(shown) = shown_secret {
            if secret::same(&self.admin_secret, shown) {
                return Ok(Operator::Secret);
            }
            let sentence = "rate limit exceeded: too many failed attempts";
            take(self.agent_failures.as_ref(), address, sentence)?;
            return Err(Refusal::because(
                ErrorCode::Unauthorized,
                "the admin secret is not valid",
            ));
        }
        let token = token.ok_or_else(|| Refusal::new(ErrorCode::Unauthorized))?;
        let user = self.user(token).await?;
        match user.role {
            Role::Owner | Role::Admin => Ok(Operator::User(user)),
            Role::Member => Err(Refusal::because(
                ErrorCode::Forbidden,
                "only owners and admins may do this",
            )),
        }
    }

    /// A checked new password as text for the database.
    pub async fn new_password(&self, password: Zeroizing<String>) -> Result<String, Refusal> {
        password::check_new(&password)?;
        self.hashing.hash(password).await
    }

    /// Whether a name may be an account's.
    pub fn check_username(username: &str) -> Result<(), Refusal> {
        password::check_username(username)
    }

    /// What the account may do from now on, in the logins that are remembered.
    pub fn role_changed(&self, user: UserKey, role: Role) {
        self.logins.set_role(user, role);
    }
}

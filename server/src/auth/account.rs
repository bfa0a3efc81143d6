//! Accounts: making one, and signing in.

use super::registration::{Caller, Verdict, may_register};
use super::{Auth, password, secret};
use crate::ops::of_store;
use protocol::event::Refusal;
use protocol::{ErrorCode, Timestamp, UserId};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use store::{Conn, NewLogin, NewUser, Principal, Role, StoreError, UserRow};
use zeroize::Zeroizing;

/// A registration as it came in.
pub struct NewAccount {
    /// 3 to 50 letters, digits, underscores.
    pub username: String,
    /// 6 to 128 characters.
    pub password: Zeroizing<String>,
    /// An invite, where one is needed.
    pub invite: Option<String>,
    /// Makes the first owner.
    pub setup_token: Option<String>,
}

/// Somebody has signed in.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The token; shown to its owner only.
    pub token: String,
    /// Public id.
    pub user_id: UserId,
    /// Name.
    pub username: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// By what right an account is made.
enum Right {
    Welcome,
    Invite([u8; 32]),
    Setup,
}

impl Auth {
    /// Makes an account and signs it in.
    pub async fn register(
        &self,
        account: NewAccount,
        caller: &Caller,
    ) -> Result<LoggedIn, Refusal> {
        self.take_attempt(caller.address.ip)?;
        if account.username.is_empty() || account.password.is_empty() {
            return Err(Refusal::because(
                ErrorCode::InvalidRequest,
                "missing username or password",
            ));
        }
        password::check_username(&account.username)?;
        password::check_new(&account.password)?;
        let right = self.right(&account, caller)?;
        let password_hash = self.hashing.hash(account.password).await?;
        let id = UserId::parse(named("user_")?).map_err(|_| Refusal::new(ErrorCode::Internal))?;
        let new = NewUser {
            public_id: id,
            username: account.username,
            password_hash,
            role: Role::Member,
        };
        let (now, login) = (self.now(), self.new_login()?);
        let made = self
            .store
            .write(move |conn| make(conn, new, &right, login, now))
            .await;
        let (user, sid) = made.map_err(|error| match error {
            StoreError::Conflict => Refusal::new(ErrorCode::UsernameTaken),
            error => of_store(error, ErrorCode::RegistrationClosed),
        })?;
        self.signed_in(&user, &sid)
    }

    fn right(&self, account: &NewAccount, caller: &Caller) -> Result<Right, Refusal> {
        if let Some(shown) = &account.setup_token {
            let right = secret::same(&self.setup_token, shown).then_some(Right::Setup);
            return right.ok_or_else(|| {
                Refusal::because(
                    ErrorCode::RegistrationClosed,
                    "the set-up token is not valid",
                )
            });
        }
        if let Some(invite) = &account.invite {
            return Ok(Right::Invite(Sha256::digest(invite.as_bytes()).into()));
        }
        match may_register(self.registration, caller) {
            Verdict::Welcome => Ok(Right::Welcome),
            Verdict::NeedsInvite => Err(Refusal::new(ErrorCode::RegistrationClosed)),
        }
    }

    /// Signs in; unknown names take as long as wrong passwords.
    pub async fn log_in(
        &self,
        username: &str,
        password: Zeroizing<String>,
        address: IpAddr,
    ) -> Result<LoggedIn, Refusal> {
        if username.is_empty() || password.is_empty() {
            return Err(Refusal::because(
                ErrorCode::InvalidRequest,
                "missing username or password",
            ));
        }
        self.take_attempt(address)?;
        let wanted = username.to_owned();
        let found = self
            .store
            .read(move |conn| store::user::find_by_name(conn, &wanted))
            .await;
        let found = found.map_err(|error| of_store(error, ErrorCode::InvalidCredentials))?;
        let found = found.filter(|user| user.deleted_at.is_none());
        let stored = found.as_ref().map(|user| user.password_hash.clone());
        let same = self.hashing.verify(password, stored).await?;
        let Some(user) = found.filter(|_| same) else {
            return Err(Refusal::new(ErrorCode::InvalidCredentials));
        };
        let (key, login) = (user.key, self.new_login()?);
        let sid = login.sid.clone();
        let inserted = self
            .store
            .write(move |conn| {
                let banned = store::ban::stands(conn, Principal::user(key))?;
                if !banned {
                    insert_login(conn, key, login)?;
                }
                Ok(banned)
            })
            .await;
        if inserted.map_err(|error| of_store(error, ErrorCode::InvalidCredentials))? {
            return Err(banned());
        }
        self.signed_in(&user, &sid)
    }

    fn signed_in(&self, user: &UserRow, sid: &str) -> Result<LoggedIn, Refusal> {
        let now = self.now();
        let token = self
            .tokens
            .sign(user.id.as_str(), &user.username, sid, now)
            .map_err(Refusal::new)?;
        let expires_at = self.tokens.end(now);
        Ok(LoggedIn {
            token,
            user_id: user.id.clone(),
            username: user.username.clone(),
            expires_at,
        })
    }

    fn new_login(&self) -> Result<Login, Refusal> {
        Ok(Login {
            sid: named("")?,
            expires_at: self.tokens.end(self.now()),
        })
    }
}

/// What whoever is kept out is told, once they have shown who they are.
pub(super) fn banned() -> Refusal {
    Refusal::because(ErrorCode::Forbidden, "banned by the operator")
}

/// A login to be.
struct Login {
    sid: String,
    expires_at: Timestamp,
}

fn named(prefix: &str) -> Result<String, Refusal> {
    let name = secret::random_name().ok_or_else(|| Refusal::new(ErrorCode::Internal))?;
    Ok(format!("{prefix}{name}"))
}

fn insert_login(conn: &mut Conn, user: store::UserKey, login: Login) -> Result<(), StoreError> {
    store::login::insert(
        conn,
        NewLogin {
            sid: login.sid,
            user,
            device: None,
            expires_at: login.expires_at,
        },
    )
}

/// One transaction: the invite is used up if and only if the account is made.
fn make(
    conn: &mut Conn,
    mut new: NewUser,
    right: &Right,
    login: Login,
    now: Timestamp,
) -> Result<(UserRow, String), StoreError> {
    match right {
        Right::Welcome => {}
        Right::Setup if store::user::any_owner(conn)? => return Err(StoreError::NotFound),
        Right::Setup => new.role = Role::Owner,
        Right::Invite(hash) => new.role = store::invite::find_open(conn, *hash, now)?,
    }
    let user = store::user::insert(conn, new)?;
    if let Right::Invite(hash) = right {
        store::invite::take(conn, *hash, now, Some(user.key))?;
    }
    let sid = login.sid.clone();
    insert_login(conn, user.key, login)?;
    Ok((user, sid))
}

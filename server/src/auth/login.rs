//! Logins: a token is worth what the login behind it is. The store keeps them; this remembers
//! those in use, so that a request costs no read.

use super::Auth;
use dashmap::DashMap;
use protocol::event::Refusal;
use protocol::{ErrorCode, Timestamp, UserId};
use store::{Role, UserKey};

/// How many logins are remembered at most.
const REMEMBERED: usize = 100_000;
/// `used_at` is written at most this often, microseconds.
const TOUCH_EVERY: i64 = 3_600_000_000;

/// A user whose token was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// The account.
    pub key: UserKey,
    /// Its public id.
    pub id: UserId,
    /// Its name.
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// The login behind the token.
    pub sid: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

#[derive(Clone)]
struct Known {
    key: UserKey,
    id: UserId,
    role: Role,
    revoked: bool,
    ends: Timestamp,
    touched: Timestamp,
}

/// Logins in use.
#[derive(Default)]
pub(super) struct Logins(DashMap<String, Known>);

impl Logins {
    pub(super) fn sweep(&self, now: Timestamp) {
        self.0.retain(|_, known| known.ends > now);
        if self.0.len() > REMEMBERED {
            self.0.clear();
        }
    }

    pub(super) fn set_role(&self, user: UserKey, role: Role) {
        for mut known in self.0.iter_mut().filter(|known| known.key == user) {
            known.role = role;
        }
    }

    /// A login that ended is remembered as such, so that no read in flight brings it back.
    fn forget(&self, sid: &str) {
        if let Some(mut known) = self.0.get_mut(sid) {
            known.revoked = true;
        }
    }
}

impl Auth {
    /// Whose token this is.
    pub async fn user(&self, token: &str) -> Result<UserIdentity, Refusal> {
        let now = self.now();
        let claims = self.tokens.check(token, now).map_err(Refusal::new)?;
        let known = self.known(&claims.sid).await?;
        if known.revoked {
            return Err(Refusal::new(ErrorCode::TokenRevoked));
        }
        if known.id.as_str() != claims.user_id {
            return Err(Refusal::new(ErrorCode::Unauthorized));
        }
        self.touch(&claims.sid, &known, now).await;
        Ok(UserIdentity {
            key: known.key,
            id: known.id,
            username: claims.username,
            role: known.role,
            sid: claims.sid,
            expires_at: Timestamp::from_micros(claims.exp * 1_000_000),
        })
    }

    async fn known(&self, sid: &str) -> Result<Known, Refusal> {
        if let Some(known) = self.logins.0.get(sid) {
            return Ok(known.clone());
        }
        let wanted = sid.to_owned();
        let read = self
            .store
            .read(move |conn| {
                let Some(login) = store::login::find(conn, &wanted)? else {
                    return Ok(None);
                };
                let user = store::user::load(conn, login.user)?;
                Ok(Some((login, user)))
            })
            .await;
        let found = read.map_err(|error| crate::ops::of_store(error, ErrorCode::Unauthorized))?;
        // A login that this server does not know was never its own, or was swept long ago.
        let (login, user) = found.ok_or_else(|| Refusal::new(ErrorCode::TokenRevoked))?;
        let known = Known {
            key: login.user,
            id: user.id,
            role: user.role,
            revoked: login.revoked_at.is_some() || user.deleted_at.is_some(),
            ends: login.expires_at,
            touched: login.used_at,
        };
        let entry = self.logins.0.entry(sid.to_owned()).or_insert(known);
        Ok(entry.value().clone())
    }

    /// Notes that the login is in use, now and then.
    async fn touch(&self, sid: &str, known: &Known, now: Timestamp) {
        if now.micros() - known.touched.micros() < TOUCH_EVERY {
            return;
        }
        if let Some(mut known) = self.logins.0.get_mut(sid) {
            known.touched = now;
        }
        let sid = sid.to_owned();
        if let Err(error) = self
            .store
            .write(move |conn| store::login::touch(conn, &sid))
            .await
        {
            tracing::debug!(%error, "the use of a login was not noted");
        }
    }

    /// Ends a login: its token is refused from now on and its sockets end.
    pub async fn log_out(&self, sid: &str) -> Result<(), Refusal> {
        let ended = sid.to_owned();
        let revoked = self
            .store
            .write(move |conn| store::login::revoke(conn, &ended))
            .await;
        revoked.map_err(|error| crate::ops::of_store(error, ErrorCode::NotFound))?;
        self.tell_revoked(sid);
        Ok(())
    }

    /// Ends every login of a user.
    pub async fn log_out_everywhere(&self, user: UserKey) -> Result<(), Refusal> {
        let revoked = self
            .store
            .write(move |conn| store::login::revoke_all(conn, user))
            .await;
        let revoked = revoked.map_err(|error| crate::ops::of_store(error, ErrorCode::NotFound))?;
        for sid in &revoked {
            self.tell_revoked(sid);
        }
        Ok(())
    }

    fn tell_revoked(&self, sid: &str) {
        self.logins.forget(sid);
        // Nobody listens while the server starts or stops: then there are no sockets either.
        drop(self.revoked.send(sid.to_owned()));
    }
}

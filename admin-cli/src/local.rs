//! The operator's work on a database that no server is using: opened as the server opens it, under
//! the lock, with migrations.

use crate::failure::Failure;
use argon2::{Argon2, PasswordHasher};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use protocol::admin::{
    Agent, AgentWithToken, Invite, InviteMade, NewAgent, NewInvite, NewUser, Role, User,
};
use protocol::{AgentId, PrincipalKind, UserId};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use store::{
    AgentFields, AgentRow, BatchPermit, Clock, CommitSink, Conn, Location, Outcome, Overwrite,
    Principal, Store, StoreConfig, StoreError, SystemClock, UserRow, agent, ban, invite, login,
    user,
};

const PAGE: usize = 500;
const DAY_US: i64 = 86_400_000_000;

/// Nobody is connected, so nobody is told.
struct NobodyListens;

impl CommitSink for NobodyListens {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, _outcomes: Vec<Outcome>) {}
}

/// An open database; closed, with its log checkpointed, when dropped.
pub(crate) struct Local {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.store.close();
    }
}

type Done<T> = Result<T, Failure>;

impl Local {
    /// Opens `location`; a file that is not there is made.
    pub(crate) fn open(location: Location) -> Done<Self> {
        if let Location::Sqlite(path) = &location {
            make_folder(path)?;
        }
        let store = Store::open(
            StoreConfig::at(location),
            Arc::new(SystemClock),
            Arc::new(NobodyListens),
        )?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { store, runtime })
    }

    /// Runs `f` on the writer; it is durable when this returns.
    fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(self.store.write(f))
    }

    fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(self.store.read(f))
    }

    pub(crate) fn users(&self) -> Done<Vec<User>> {
        let banned = self.read(|conn| ban::all_of(conn, PrincipalKind::User))?;
        let mut users: Vec<User> = Vec::new();
        let mut after = None;
        loop {
            let page = self.read(move |conn| user::list(conn, PAGE, after))?;
            let live = page.iter().filter(|row| row.deleted_at.is_none());
            users.extend(live.map(|row| shown_user(row, banned.contains(&row.key.0))));
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key),
                _ => return Ok(users),
            }
        }
    }

    pub(crate) fn create_user(&self, new: NewUser) -> Done<User> {
        let name = new.username.clone();
        let row = store::NewUser {
            public_id: UserId::parse(store::random_id("user_")?)
                .map_err(|e| Failure::Refused(e.to_string()))?,
            username: new.username,
            password_hash: hash(&new.password)?,
            role: to_store(new.role),
        };
        match self.write(move |conn| user::insert(conn, row)) {
            Ok(row) => Ok(shown_user(&row, false)),
            Err(StoreError::Conflict) => Err(Failure::Refused(format!(
                "a user named {name} exists already"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn set_role(&self, who: &User, role: Role) -> Done<()> {
        let last = self.on_user(who, move |conn, row| {
            let is_last = row.role == store::Role::Owner
                && role != Role::Owner
                && user::count_owners(conn)? == 1;
            if !is_last {
                user::set_role(conn, row.key, to_store(role))?;
            }
            Ok(is_last)
        })?;
        if last {
            let sentence = "this is the last owner: make another one first";
            return Err(Failure::Refused(sentence.to_owned()));
        }
        Ok(())
    }

    pub(crate) fn set_password(&self, who: &User, password: &str) -> Done<()> {
        let hash = hash(password)?;
        self.on_user(who, move |conn, row| {
            user::set_password(conn, row.key, &hash)?;
            login::revoke_all(conn, row.key).map(drop)
        })
    }

    pub(crate) fn ban_user(&self, who: &User, banned: bool, reason: String) -> Done<()> {
        let last = self.on_user(who, move |conn, row| {
            let principal = Principal::user(row.key);
            if !banned {
                ban::lift(conn, principal)?;
                return Ok(false);
            }
            if row.role == store::Role::Owner && user::count_owners(conn)? == 1 {
                return Ok(true);
            }
            login::revoke_all(conn, row.key)?;
            ban::put(conn, principal, &reason)?;
            Ok(false)
        })?;
        if last {
            return Err(Failure::Refused("this is the last owner".to_owned()));
        }
        Ok(())
    }

    fn on_user<T: Send + 'static>(
        &self,
        who: &User,
        change: impl FnOnce(&mut Conn, &UserRow) -> Result<T, StoreError> + Send + 'static,
    ) -> Done<T> {
        let id = who.user_id.clone();
        let changed = self.write(move |conn| {
            let row = user::find_by_id(conn, &id)?.ok_or(StoreError::NotFound)?;
            change(conn, &row)
        });
        Ok(changed?)
    }

    pub(crate) fn agents(&self) -> Done<Vec<Agent>> {
        let (rows, banned) = self.read(|conn| {
            let banned = ban::all_of(conn, PrincipalKind::Agent)?;
            Ok((agent::list(conn)?, banned))
        })?;
        let shown = rows.into_iter().map(|row| {
            let kept_out = banned.contains(&row.key.0);
            shown_agent(row, kept_out)
        });
        Ok(shown.collect())
    }

    pub(crate) fn create_agent(&self, id: AgentId, new: NewAgent) -> Done<AgentWithToken> {
        let (token, hash) = token("at_")?;
        let fields = AgentFields {
            name: new.name,
            model: new.model,
            personality: new.personality,
            specialty: new.specialty,
        };
        let name = id.clone();
        let made = self.write(move |conn| {
            if agent::find(conn, &id)?.is_some() {
                return Err(StoreError::Conflict);
            }
            let (row, _) = agent::upsert(conn, &id, fields, Overwrite::All)?;
            agent::set_token(conn, row.key, hash)?;
            Ok(row)
        });
        let row = made.map_err(|error| match error {
            StoreError::Conflict => Failure::Refused(format!("an agent {name} exists already")),
            other => other.into(),
        })?;
        Ok(AgentWithToken {
            agent: shown_agent(row, false),
            agent_token: token,
        })
    }

    pub(crate) fn reset_token(&self, id: &AgentId) -> Done<AgentWithToken> {
        let (token, hash) = token("at_")?;
        let agent = self.on_agent(id, move |conn, row| agent::set_token(conn, row.key, hash))?;
        Ok(AgentWithToken {
            agent,
            agent_token: token,
        })
    }

    pub(crate) fn ban_agent(&self, id: &AgentId, banned: bool, reason: String) -> Done<()> {
        let change = move |conn: &mut Conn, row: &AgentRow| {
            let principal = Principal::agent(row.key);
            if banned {
                ban::put(conn, principal, &reason)
            } else {
                ban::lift(conn, principal)
            }
        };
        self.on_agent(id, change).map(drop)
    }

    fn on_agent(
        &self,
        id: &AgentId,
        change: impl FnOnce(&mut Conn, &AgentRow) -> Result<(), StoreError> + Send + 'static,
    ) -> Done<Agent> {
        let (wanted, name) = (id.clone(), id.clone());
        let changed = self.write(move |conn| {
            let row = agent::find(conn, &wanted)?.ok_or(StoreError::NotFound)?;
            change(conn, &row)?;
            let banned = ban::stands(conn, Principal::agent(row.key))?;
            Ok(shown_agent(row, banned))
        });
        changed.map_err(|error| match error {
            StoreError::NotFound => Failure::Refused(format!("there is no agent {name}")),
            other => other.into(),
        })
    }

    pub(crate) fn invites(&self) -> Done<Vec<Invite>> {
        let rows = self.read(invite::list)?;
        let shown = rows.into_iter().map(|row| Invite {
            invite_id: HEXLOWER.encode(&row.token_hash),
            role: of_store(row.role),
            created_at: row.created_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        });
        Ok(shown.collect())
    }

    pub(crate) fn create_invite(&self, new: NewInvite) -> Done<InviteMade> {
        let (text, hash) = token("invite_")?;
        let role = to_store(new.role);
        let expires_at = SystemClock.now().plus_micros(i64::from(new.days) * DAY_US);
        self.write(move |conn| invite::create(conn, hash, role, None, expires_at))?;
        Ok(InviteMade {
            invite: text,
            invite_id: HEXLOWER.encode(&hash),
            role: new.role,
            expires_at,
        })
    }

    pub(crate) fn revoke_invite(&self, id: &str) -> Done<()> {
        let hash = HEXLOWER.decode(id.as_bytes()).ok();
        let hash = hash.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let missing = || Failure::Refused(format!("there is no open invite {id}"));
        let hash = hash.ok_or_else(missing)?;
        match self.write(move |conn| invite::revoke(conn, hash)) {
            Err(StoreError::NotFound) => Err(missing()),
            other => Ok(other?),
        }
    }
}

fn shown_user(row: &UserRow, banned: bool) -> User {
    User {
        user_id: row.id.clone(),
        username: row.username.clone(),
        role: of_store(row.role),
        created_at: row.created_at,
        banned,
    }
}

fn shown_agent(row: AgentRow, banned: bool) -> Agent {
    Agent {
        agent_id: row.id,
        name: row.name,
        model: row.model,
        personality: row.personality,
        specialty: row.specialty,
        bound: row.bound,
        created_at: row.created_at,
        banned,
        status: None,
    }
}

const fn to_store(role: Role) -> store::Role {
    match role {
        Role::Owner => store::Role::Owner,
        Role::Admin => store::Role::Admin,
        Role::Member => store::Role::Member,
    }
}

const fn of_store(role: store::Role) -> Role {
    match role {
        store::Role::Owner => Role::Owner,
        store::Role::Admin => Role::Admin,
        store::Role::Member => Role::Member,
    }
}

/// A secret that is shown once, and its SHA-256, which the database keeps.
fn token(prefix: &str) -> Done<(String, [u8; 32])> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Refused(format!("no randomness: {error}")))?;
    let text = format!("{prefix}{}", BASE64URL_NOPAD.encode(&bytes));
    let hash = Sha256::digest(text.as_bytes()).into();
    Ok((text, hash))
}

fn hash(password: &str) -> Done<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash = hash
        .map_err(|error| Failure::Refused(format!("the password could not be hashed: {error}")))?;
    Ok(hash.to_string())
}

/// The folder of a new database, for its owner only.
fn make_folder(path: &Path) -> Done<()> {
    use std::os::unix::fs::DirBuilderExt;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            Ok(std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?)
        }
        _ => Ok(()),
    }
}

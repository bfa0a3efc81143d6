//! Where the work is done: through the server where one runs, else on the database itself. The
//! commands do not know which it is.

use crate::api::Api;
use crate::args::Args;
use crate::failure::Failure;
use crate::local::Local;
use crate::place::Place;
use protocol::AgentId;
use protocol::admin::{
    Agent, AgentWithToken, Invite, InviteMade, Kick, Kicked, NewAgent, NewInvite, NewUser, Role,
    Session, SetBan, User,
};
use store::Location;

/// What a command needs of a file that may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A list of nothing is a mistake in the path.
    Refuse,
    /// Accounts may be made before the server's first start.
    Create,
}

/// Where the work is done.
pub(crate) enum Desk {
    /// On the database, under the lock.
    Local(Local),
    /// By a running server.
    Server(Api),
}

type Done<T> = Result<T, Failure>;

impl Desk {
    /// Opens the database, or turns to the server that uses it.
    pub(crate) fn open(args: &Args, missing: Missing) -> Done<Self> {
        let data_dir = args.place.data_dir();
        if let Some(url) = &args.url {
            return Ok(Self::Server(Api::at(url, data_dir)?));
        }
        let location = args.place.location()?;
        if missing == Missing::Refuse {
            Place::must_exist(&location)?;
        }
        let log = name_of(&location);
        match Local::open(location) {
            Ok(local) => Ok(Self::Local(local)),
            Err(Failure::InUse(why)) => match Api::beside(data_dir, &log) {
                Some(api) => Ok(Self::Server(api)),
                None => Err(Failure::InUse(format!(
                    "{why}; its administration is not reachable from here (--url, --data-dir)"
                ))),
            },
            Err(other) => Err(other),
        }
    }

    pub(crate) fn users(&self) -> Done<Vec<User>> {
        match self {
            Self::Local(local) => local.users(),
            Self::Server(api) => api.users(),
        }
    }

    /// The account of this name or id.
    pub(crate) fn user(&self, name: &str) -> Done<User> {
        let all = self.users()?.into_iter();
        let mut meant = all.filter(|user| user.username == name || user.user_id.as_str() == name);
        meant
            .next()
            .ok_or_else(|| Failure::Refused(format!("there is no user {name}")))
    }

    pub(crate) fn create_user(&self, new: NewUser) -> Done<User> {
        match self {
            Self::Local(local) => local.create_user(new),
            Self::Server(api) => api.create_user(&new),
        }
    }

    pub(crate) fn set_role(&self, who: &User, role: Role) -> Done<()> {
        match self {
            Self::Local(local) => local.set_role(who, role),
            Self::Server(api) => api.set_role(who, role),
        }
    }

    pub(crate) fn set_password(&self, who: &User, password: String) -> Done<()> {
        match self {
            Self::Local(local) => local.set_password(who, &password),
            Self::Server(api) => api.set_password(who, password),
        }
    }

    pub(crate) fn ban_user(&self, who: &User, banned: bool, reason: Option<String>) -> Done<()> {
        match self {
            Self::Local(local) => local.ban_user(who, banned, reason.unwrap_or_default()),
            Self::Server(api) => api.ban_user(who, &SetBan { banned, reason }),
        }
    }

    pub(crate) fn agents(&self) -> Done<Vec<Agent>> {
        match self {
            Self::Local(local) => local.agents(),
            Self::Server(api) => api.agents(),
        }
    }

    pub(crate) fn create_agent(&self, id: AgentId, new: NewAgent) -> Done<AgentWithToken> {
        match self {
            Self::Local(local) => local.create_agent(id, new),
            Self::Server(api) => api.create_agent(&new),
        }
    }

    pub(crate) fn reset_token(&self, id: &AgentId) -> Done<AgentWithToken> {
        match self {
            Self::Local(local) => local.reset_token(id),
            Self::Server(api) => api.reset_token(id),
        }
    }

    pub(crate) fn ban_agent(&self, id: &AgentId, banned: bool, reason: Option<String>) -> Done<()> {
        match self {
            Self::Local(local) => local.ban_agent(id, banned, reason.unwrap_or_default()),
            Self::Server(api) => api.ban_agent(id, &SetBan { banned, reason }),
        }
    }

    pub(crate) fn invites(&self) -> Done<Vec<Invite>> {
        match self {
            Self::Local(local) => local.invites(),
            Self::Server(api) => api.invites(),
        }
    }

    pub(crate) fn create_invite(&self, new: NewInvite) -> Done<InviteMade> {
        match self {
            Self::Local(local) => local.create_invite(new),
            Self::Server(api) => api.create_invite(new),
        }
    }

    pub(crate) fn revoke_invite(&self, id: &str) -> Done<()> {
        match self {
            Self::Local(local) => local.revoke_invite(id),
            Self::Server(api) => api.revoke_invite(id),
        }
    }

    pub(crate) fn sessions(&self) -> Done<Vec<Session>> {
        match self {
            Self::Local(_) => Ok(Vec::new()),
            Self::Server(api) => api.sessions(),
        }
    }

    pub(crate) fn kick(&self, kick: &Kick) -> Done<Kicked> {
        match self {
            Self::Local(_) => Err(Failure::Refused(
                "no server is running, so nobody is connected".to_owned(),
            )),
            Self::Server(api) => api.kick(kick),
        }
    }
}

/// As the server names its log.
fn name_of(location: &Location) -> String {
    match location {
        Location::Sqlite(path) => path.canonicalize().map_or_else(
            |_| path.display().to_string(),
            |path| path.display().to_string(),
        ),
        Location::Postgres(_) => location.to_string(),
    }
}

//! Bodies of the administration routes (`/api/admin/*`), for the server and for `am-admin`.

use crate::{AgentId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// What an account may do beyond its own conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Administration.
    Admin,
    /// Only their own.
    #[default]
    Member,
}

impl Role {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Public id.
    pub user_id: UserId,
    /// Name.
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// It may not sign in.
    pub banned: bool,
}

/// `POST /api/admin/users`
#[derive(Clone, Serialize, Deserialize)]
pub struct NewUser {
    /// 3 to 50 of `A-Z a-z 0-9 _`.
    pub username: String,
    /// 6 to 128 characters.
    pub password: String,
    /// What it may do.
    #[serde(default)]
    pub role: Role,
}

/// `POST /api/admin/users/{user}/role`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SetRole {
    /// What it may do from now on.
    pub role: Role,
}

/// `POST /api/admin/users/{user}/password`: every login of the account ends.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetPassword {
    /// 6 to 128 characters.
    pub password: String,
}

/// `POST /api/admin/users/{user}/ban`, `POST /api/admin/agents/{agent}/ban`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetBan {
    /// Whether it is kept out.
    pub banned: bool,
    /// Why, for the operator's memory; at most 512 bytes.
    #[serde(default)]
    pub reason: Option<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Chosen id.
    pub agent_id: AgentId,
    /// Shown name.
    pub name: String,
    /// Language model.
    pub model: String,
    /// Free text.
    pub personality: String,
    /// Free text.
    pub specialty: String,
    /// It has used its own token.
    pub bound: bool,
    /// When the id was first seen.
    pub created_at: Timestamp,
    /// It may not come in.
    pub banned: bool,
    /// What it is doing; absent where no server is asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
}

/// `POST /api/admin/agents`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewAgent {
    /// 1 to 128 of `A-Z a-z 0-9 . _ : @ -`.
    pub agent_id: String,
    /// Shown name; the id where none is given.
    #[serde(default)]
    pub name: Option<String>,
    /// Language model.
    #[serde(default)]
    pub model: Option<String>,
    /// Free text.
    #[serde(default)]
    pub personality: Option<String>,
    /// Free text.
    #[serde(default)]
    pub specialty: Option<String>,
}

/// An agent with its token, which is shown only now.
#[derive(Clone, Serialize, Deserialize)]
pub struct AgentWithToken {
    /// The agent.
    #[serde(flatten)]
    pub agent: Agent,
    /// Its own token.
    pub agent_token: String,
}

/// An invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Names it here; not what lets somebody in.
    pub invite_id: String,
    /// What whoever takes it becomes.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used_at: Option<Timestamp>,
}

/// `POST /api/admin/invites`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct NewInvite {
    /// What whoever takes it becomes.
    #[serde(default)]
    pub role: Role,
    /// How many days it can be used, 1 to 365.
    #[serde(default = "seven")]
    pub days: u16,
}

const fn seven() -> u16 {
    7
}

/// An invite with its text, which is shown only now.
#[derive(Clone, Serialize, Deserialize)]
pub struct InviteMade {
    /// What lets somebody register, once.
    pub invite: String,
    /// Names it in the list.
    pub invite_id: String,
    /// What whoever takes it becomes.
    pub role: Role,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A live socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Names it until it ends.
    pub session_id: u64,
    /// `user` or `agent`.
    pub kind: String,
    /// Whose it is.
    pub id: String,
    /// The device that the client named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_id: Option<String>,
    /// The protocol, `v1` or `v2`.
    pub version: String,
    /// Where it comes from.
    pub address: String,
    /// Since when.
    pub since: Timestamp,
}

/// `POST /api/admin/sessions/kick`: exactly one of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kick {
    /// This socket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<u64>,
    /// All of this user's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<String>,
    /// This agent's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<String>,
}

/// How many sockets were told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kicked {
    /// Sockets.
    pub kicked: usize,
}

/// What must not stand in a log is left out.
macro_rules! discreet {
    ($($name:ident: $field:ident),+) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field(stringify!($field), &"***")
                    .finish_non_exhaustive()
            }
        })+
    };
}

discreet! {
    NewUser: password,
    SetPassword: password,
    AgentWithToken: agent_token,
    InviteMade: invite
}

//! The operator's work through the administration API of a running server.

use crate::failure::Failure;
use protocol::admin::{
    Agent, AgentWithToken, Invite, InviteMade, Kick, Kicked, NewAgent, NewInvite, NewUser, Role,
    Session, SetBan, SetPassword, SetRole, User,
};
use protocol::{AgentId, UserId};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Where a server says how its administration is reached, in its data directory.
const ADDRESS_FILE: &str = "admin.url";
/// Where a server keeps the admin secret that it made.
const SECRET_FILE: &str = "admin.secret";
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that answers.
pub(crate) struct Api {
    base: String,
    secret: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

type Done<T> = Result<T, Failure>;

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
    next: Option<UserId>,
}

#[derive(Deserialize)]
struct Agents {
    agents: Vec<Agent>,
}

#[derive(Deserialize)]
struct Invites {
    invites: Vec<Invite>,
}

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

#[derive(Deserialize)]
struct Health {
    log: String,
}

impl Api {
    /// The server at `base`, with the secret of the environment or of `data_dir`.
    pub(crate) fn at(base: &str, data_dir: &Path) -> Done<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // The secret goes to this server and to nobody else.
        let client = Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            secret: secret(data_dir)?,
            client,
            runtime,
        })
    }

    /// The server that left its address in `data_dir`, if it answers and keeps this log.
    pub(crate) fn beside(data_dir: &Path, log: &str) -> Option<Self> {
        let address = std::fs::read_to_string(data_dir.join(ADDRESS_FILE)).ok()?;
        let api = Self::at(address.trim(), data_dir).ok()?;
        let health: Health = api.get("/api/admin/health").ok()?;
        (health.log == log).then_some(api)
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Done<T> {
        let unreachable = |error: reqwest::Error| {
            Failure::Refused(format!("no answer from {}: {error}", self.base))
        };
        let request = request.header("X-Admin-Secret", &self.secret);
        let (status, text) = self.runtime.block_on(async {
            let answer = request.send().await.map_err(unreachable)?;
            let status = answer.status();
            Ok::<_, Failure>((status, answer.text().await.map_err(unreachable)?))
        })?;
        let json = if text.is_empty() { "null" } else { &text };
        if status.is_success() {
            return serde_json::from_str(json).map_err(|error| {
                Failure::Refused(format!("an answer of another version: {error}"))
            });
        }
        let sentence = serde_json::from_str::<Refused>(json).map_or(text.clone(), |r| r.error);
        Err(Failure::Refused(sentence))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Done<T> {
        self.send(self.client.get(format!("{}{path}", self.base)))
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl serde::Serialize) -> Done<T> {
        let request = self.client.post(format!("{}{path}", self.base));
        self.send(request.json(body))
    }

    pub(crate) fn users(&self) -> Done<Vec<User>> {
        let mut all = Vec::new();
        let mut path = "/api/admin/users".to_owned();
        loop {
            let page: Users = self.get(&path)?;
            all.extend(page.users);
            match page.next {
                Some(next) => path = format!("/api/admin/users?after={next}"),
                None => return Ok(all),
            }
        }
    }

    pub(crate) fn create_user(&self, new: &NewUser) -> Done<User> {
        self.post("/api/admin/users", new)
    }

    pub(crate) fn set_role(&self, who: &User, role: Role) -> Done<()> {
        let path = format!("/api/admin/users/{}/role", who.user_id);
        self.post::<Value>(&path, &SetRole { role }).map(drop)
    }

    pub(crate) fn set_password(&self, who: &User, password: String) -> Done<()> {
        let path = format!("/api/admin/users/{}/password", who.user_id);
        self.post::<Value>(&path, &SetPassword { password })
            .map(drop)
    }

    pub(crate) fn ban_user(&self, who: &User, ban: &SetBan) -> Done<()> {
        let path = format!("/api/admin/users/{}/ban", who.user_id);
        self.post::<Value>(&path, ban).map(drop)
    }

    pub(crate) fn agents(&self) -> Done<Vec<Agent>> {
        Ok(self.get::<Agents>("/api/admin/agents")?.agents)
    }

    pub(crate) fn create_agent(&self, new: &NewAgent) -> Done<AgentWithToken> {
        self.post("/api/admin/agents", new)
    }

    pub(crate) fn reset_token(&self, id: &AgentId) -> Done<AgentWithToken> {
        self.post(&format!("/api/admin/agents/{id}/token"), &Value::Null)
    }

    pub(crate) fn ban_agent(&self, id: &AgentId, ban: &SetBan) -> Done<()> {
        self.post::<Value>(&format!("/api/admin/agents/{id}/ban"), ban)
            .map(drop)
    }

    pub(crate) fn invites(&self) -> Done<Vec<Invite>> {
        Ok(self.get::<Invites>("/api/admin/invites")?.invites)
    }

    pub(crate) fn create_invite(&self, new: NewInvite) -> Done<InviteMade> {
        self.post("/api/admin/invites", &new)
    }

    pub(crate) fn revoke_invite(&self, id: &str) -> Done<()> {
        let url = format!("{}/api/admin/invites/{id}", self.base);
        self.send::<Value>(self.client.request(Method::DELETE, url))
            .map(drop)
    }

    pub(crate) fn sessions(&self) -> Done<Vec<Session>> {
        Ok(self.get::<Sessions>("/api/admin/sessions")?.sessions)
    }

    pub(crate) fn kick(&self, kick: &Kick) -> Done<Kicked> {
        self.post("/api/admin/sessions/kick", kick)
    }
}

fn secret(data_dir: &Path) -> Done<String> {
    if let Ok(secret) = std::env::var("ADMIN_SECRET")
        && !secret.is_empty()
    {
        return Ok(secret);
    }
    let path = match std::env::var_os("ADMIN_SECRET_FILE") {
        Some(path) => path.into(),
        None => data_dir.join(SECRET_FILE),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Failure::Refused(format!(
            "no admin secret: ADMIN_SECRET is not set, and {} cannot be read: {error}",
            path.display()
        ))),
    }
}

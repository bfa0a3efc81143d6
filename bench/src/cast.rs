//! Who takes part in a run: users that are registered, agents that are known, and the lanes
//! (conversations) between them; made through the server's own doors.

use crate::body::Body;
use crate::clock::now_ns;
use crate::desk::{Desk, Dialect, Manner};
use crate::history::Stored;
use crate::meter::Meter;
use crate::server::Server;
use crate::socket::{Dial, Socket};
use anyhow::{Context, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const PAGE_ROWS: usize = 200;

/// The server's REST door.
pub struct Api {
    client: reqwest::Client,
    address: SocketAddr,
    agent_secret: String,
}

/// A registered user.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// What the sockets and routes take.
    pub token: String,
}

#[derive(Deserialize)]
struct Opened {
    conversation_id: Option<String>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    seq: i64,
    content: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Page {
    Wrapped { messages: Vec<Row> },
    Bare(Vec<Row>),
}

/// One conversation of a run and its members, as indexes.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Index of the user.
    pub user: usize,
    /// Index of the agent.
    pub agent: usize,
    /// Its id.
    pub conversation: String,
}

/// All who take part. A lane's number is its index.
pub struct Cast {
    /// The server's REST door.
    pub api: Api,
    /// Users.
    pub users: Vec<User>,
    /// Ids of the agents.
    pub agents: Vec<String>,
    /// One for each user with each agent.
    pub lanes: Vec<Lane>,
}

impl Api {
    /// The door of `server`.
    pub fn of(server: &Server) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            address: server.address(),
            agent_secret: server.agent_secret().to_owned(),
        })
    }

    /// Registers a user of this name.
    pub async fn register(&self, name: &str) -> anyhow::Result<User> {
        let body = serde_json::json!({"username": name, "password": "bench-password-1"});
        self.answer(self.client.post(self.url("/auth/register")).json(&body))
            .await
    }

    /// Makes an agent known by connecting it once.
    pub async fn introduce(&self, agent: &str) -> anyhow::Result<()> {
        let mut socket = Socket::open(&self.agent_dial(agent, Dialect::V1)).await?;
        let mut greeted = false;
        while !greeted && socket.closed().is_none() {
            tokio::time::timeout(Duration::from_secs(10), socket.step())
                .await
                .context("an agent was not greeted")??;
            socket.drain(|_, _| greeted = true)?;
        }
        ensure!(greeted, "an agent was cut off before it was greeted");
        Ok(())
    }

    /// Opens a conversation of the user with the agent and returns its id.
    pub async fn open(&self, user: &User, agent: &str) -> anyhow::Result<String> {
        let body = serde_json::json!({"agent_id": agent});
        let request = self
            .client
            .post(self.url("/conversations"))
            .bearer_auth(&user.token)
            .json(&body);
        let opened: Opened = self.answer(request).await?;
        opened
            .conversation_id
            .or(opened.id)
            .context("the new conversation has no id")
    }

    /// The whole stored conversation, oldest first.
    pub async fn log(&self, user: &User, conversation: &str) -> anyhow::Result<Vec<Stored>> {
        let mut log: Vec<Stored> = Vec::new();
        loop {
            let after = log.last().map_or(0, |entry| entry.seq);
            let path =
                format!("/conversations/{conversation}/messages?after={after}&limit={PAGE_ROWS}");
            let page: Page = self
                .answer(self.client.get(self.url(&path)).bearer_auth(&user.token))
                .await?;
            let rows = match page {
                Page::Wrapped { messages } | Page::Bare(messages) => messages,
            };
            if rows.is_empty() {
                return Ok(log);
            }
            ensure!(
                rows.iter().all(|row| row.seq > after),
                "a history page holds rows that were not asked for"
            );
            log.extend(rows.into_iter().map(|row| {
                let what = Body::read(&row.content).map(|body| (body.side, body.number));
                Stored { seq: row.seq, what }
            }));
        }
    }

    /// How an agent connects.
    pub fn agent_dial(&self, agent: &str, dialect: Dialect) -> Dial {
        let path = format!(
            "/agent/connect?agent_id={agent}&agent_secret={}",
            self.agent_secret
        );
        Dial {
            address: self.address,
            path,
            protocol: Some(dialect.name()),
            receive_buffer: None,
        }
    }

    /// How a device of the user with this token connects.
    pub fn user_dial(&self, token: &str, device: &str, dialect: Dialect) -> Dial {
        let path = format!("/client/connect?token={token}&device_id={device}");
        Dial {
            address: self.address,
            path,
            protocol: Some(dialect.name()),
            receive_buffer: None,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> anyhow::Result<T> {
        let response = request.send().await?;
        let (status, path) = (response.status(), response.url().path().to_owned());
        let body = response.text().await?;
        let shown: String = body.chars().take(300).collect();
        ensure!(status.is_success(), "{path} answered {status}: {shown}");
        serde_json::from_str(&body)
            .with_context(|| format!("{path} answered in another shape: {shown}"))
    }
}

impl Cast {
    /// Registers users and agents and opens a conversation for each pair. No two casts share
    /// a name, whoever made them.
    pub async fn assemble(server: &Server, users: usize, agents: usize) -> anyhow::Result<Self> {
        let tag = format!("{:x}_{:x}", std::process::id(), now_ns());
        let api = Api::of(server)?;
        let mut cast = Self {
            api,
            users: Vec::new(),
            agents: Vec::new(),
            lanes: Vec::new(),
        };
        for number in 0..users {
            cast.users
                .push(cast.api.register(&format!("u{tag}_{number}")).await?);
        }
        for number in 0..agents {
            let agent = format!("a{tag}-{number}");
            cast.api.introduce(&agent).await?;
            cast.agents.push(agent);
        }
        for (user, owner) in cast.users.iter().enumerate() {
            for (agent, id) in cast.agents.iter().enumerate() {
                let conversation = cast.api.open(owner, id).await?;
                cast.lanes.push(Lane {
                    user,
                    agent,
                    conversation,
                });
            }
        }
        Ok(cast)
    }

    /// A desk for the user of this index, with its lanes.
    pub fn user_desk(&self, user: usize, manner: Manner, meter: &Rc<RefCell<Meter>>) -> Desk {
        self.desk(|lane| lane.user == user, manner, meter)
    }

    /// A desk for the agent of this index, with its lanes.
    pub fn agent_desk(&self, agent: usize, manner: Manner, meter: &Rc<RefCell<Meter>>) -> Desk {
        self.desk(|lane| lane.agent == agent, manner, meter)
    }

    fn desk(
        &self,
        mine: impl Fn(&Lane) -> bool,
        manner: Manner,
        meter: &Rc<RefCell<Meter>>,
    ) -> Desk {
        let lanes: Vec<(u32, String)> = (0_u32..)
            .zip(&self.lanes)
            .filter(|(_, lane)| mine(lane))
            .map(|(number, lane)| (number, lane.conversation.clone()))
            .collect();
        Desk::new(manner, &lanes, meter.clone())
    }
}

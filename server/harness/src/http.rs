//! A client over HTTP: users, agents, and whoever sends nonsense.

use crate::AGENT_SECRET;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as JSON; `Null` where it is none.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The stable code of an error.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// A text field; fails the test with the whole answer if it is not there.
    pub fn text_of(&self, field: &str) -> String {
        self.json[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
            .to_owned()
    }

    /// Fails the test unless the request succeeded.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "checking is enough for many tests"
    )]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }
}

/// A client over HTTP.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    client: Client,
}

impl Http {
    /// A client of the server at `base`.
    pub fn new(base: String) -> Self {
        Self {
            base,
            client: Client::new(),
        }
    }

    /// A GET.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    /// A POST.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }

    /// A request of any method.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    /// Makes an account; returns its token and id.
    pub async fn register(&self, username: &str) -> (String, String) {
        let body = json!({ "username": username, "password": "a good password" });
        let answer = self
            .send(self.post("/auth/register").json(&body))
            .await
            .ok();
        (answer.text_of("token"), answer.text_of("user_id"))
    }

    /// Signs in; returns the token.
    pub async fn log_in(&self, username: &str) -> String {
        let body = json!({ "username": username, "password": "a good password" });
        self.send(self.post("/auth/login").json(&body))
            .await
            .ok()
            .text_of("token")
    }

    /// Registers an agent; returns its own token.
    pub async fn register_agent(&self, id: &str) -> String {
        let request = self
            .post("/auth/agent")
            .header("X-Agent-Secret", AGENT_SECRET)
            .json(&json!({ "agent_id": id }));
        self.send(request).await.ok().text_of("agent_token")
    }

    /// Opens a conversation; returns its id.
    pub async fn open(&self, token: &str, agent: &str) -> String {
        let request = self
            .post("/conversations")
            .bearer_auth(token)
            .json(&json!({ "agent_id": agent }));
        self.send(request).await.ok().text_of("conversation_id")
    }

    /// A user sends a message.
    pub async fn say(&self, token: &str, conversation: &str, content: &str) -> Answer {
        let path = format!("/conversations/{conversation}/messages");
        self.send(
            self.post(&path)
                .bearer_auth(token)
                .json(&json!({ "content": content })),
        )
        .await
    }

    /// An agent sends a message.
    pub async fn say_as_agent(&self, agent: &str, conversation: &str, content: &str) -> Answer {
        let path = format!("/conversations/{conversation}/messages");
        self.send(as_agent(self.post(&path), agent).json(&json!({ "content": content })))
            .await
    }

    /// The whole history of a conversation as one of its members sees it.
    pub async fn history(&self, token: &str, conversation: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all
                .last()
                .map_or(0, |row| row["seq"].as_i64().expect("a seq"));
            let path = format!("/conversations/{conversation}/messages?after={after}&limit=200");
            let page = self.send(self.get(&path).bearer_auth(token)).await.ok();
            let rows = page.json.as_array().cloned().unwrap_or_default();
            if rows.is_empty() {
                return all;
            }
            all.extend(rows);
        }
    }
}

/// Adds an agent's credentials.
pub fn as_agent(request: RequestBuilder, agent: &str) -> RequestBuilder {
    request
        .header("X-Agent-Secret", AGENT_SECRET)
        .header("X-Agent-ID", agent)
}

//! A client over WebSocket.

use crate::{AGENT_SECRET, PATIENCE, TestServer};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A text frame.
pub type Frame = Value;

/// How a socket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The close code; `None` without a close frame.
    pub code: Option<u16>,
}

/// A live socket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The first frame.
    pub welcome: Frame,
    /// The sub-protocol that the server chose.
    pub sub_protocol: Option<String>,
}

impl Socket {
    /// A user's socket. `query` is added to the URL, `protocol` asked for.
    pub async fn user(
        server: &TestServer,
        token: &str,
        query: &str,
        protocol: Option<&str>,
    ) -> Self {
        let path = format!("/client/connect?token={token}{query}");
        Self::connect(server, &path, protocol, &[])
            .await
            .expect("let in")
    }

    /// A v2 user that has resumed at the server's positions.
    pub async fn user_v2(server: &TestServer, token: &str, device: &str) -> Self {
        let mut socket =
            Self::user(server, token, &format!("&device_id={device}"), Some("v2")).await;
        socket.send(json!({ "type": "resume" })).await;
        socket.expect("resumed").await;
        socket
    }

    /// An agent's socket, by the shared secret.
    pub async fn agent(server: &TestServer, id: &str, protocol: Option<&str>) -> Self {
        let path = format!("/agent/connect?agent_id={id}&agent_secret={AGENT_SECRET}");
        Self::connect(server, &path, protocol, &[])
            .await
            .expect("let in")
    }

    /// Connects to a path and reads the welcome; a refusal is the status and the body.
    pub async fn connect(
        server: &TestServer,
        path: &str,
        protocol: Option<&str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, (u16, Value)> {
        let (stream, response) = Self::open(server, path, protocol, headers).await?;
        let chosen = response.headers().get("sec-websocket-protocol");
        let sub_protocol = chosen.map(|value| value.to_str().expect("text").to_owned());
        let mut socket = Self {
            stream,
            welcome: Value::Null,
            sub_protocol,
        };
        if !path.contains("auth=frame") {
            socket.welcome = socket.expect("connected").await;
        }
        Ok(socket)
    }

    async fn open(
        server: &TestServer,
        path: &str,
        protocol: Option<&str>,
        headers: &[(&'static str, &str)],
    ) -> Result<(WebSocketStream<TcpStream>, Response), (u16, Value)> {
        let mut request = format!("ws://{}{path}", server.address())
            .into_client_request()
            .expect("a request");
        if let Some(protocol) = protocol {
            let value = HeaderValue::from_str(protocol).expect("a header");
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", value);
        }
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        let tcp = TcpStream::connect(server.address())
            .await
            .expect("a connection");
        tcp.set_nodelay(true).expect("no delay");
        match client_async(request, tcp).await {
            Ok(opened) => Ok(opened),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((
                    response.status().as_u16(),
                    serde_json::from_slice(&body).unwrap_or_default(),
                ))
            }
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        self.send_raw(Message::text(frame.to_string())).await;
    }

    /// Sends anything.
    pub async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("sent");
    }

    /// Sends a message.
    pub async fn say(&mut self, conversation: &str, content: &str) {
        self.send(json!({ "type": "message", "data": { "conversation_id": conversation, "content": content } })).await;
    }

    /// Sends a message and waits for its ack.
    pub async fn say_acked(&mut self, conversation: &str, content: &str) -> Frame {
        self.say(conversation, content).await;
        self.expect("message_sent").await
    }

    /// The next frame, or how it ended.
    pub async fn next(&mut self) -> Result<Frame, Closed> {
        let next = tokio::time::timeout(PATIENCE, self.next_unbounded()).await;
        next.unwrap_or_else(|_| panic!("no frame within {PATIENCE:?}"))
    }

    async fn next_unbounded(&mut self) -> Result<Frame, Closed> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(close))) => {
                    return Err(Closed {
                        code: close.map(|frame| frame.code.into()),
                    });
                }
                // Reading answers the pings.
                Some(Ok(_)) => drop(self.stream.flush().await),
                Some(Err(_)) | None => return Err(Closed { code: None }),
            }
        }
    }

    /// The next frame of this type; others are passed over.
    pub async fn expect(&mut self, kind: &str) -> Frame {
        loop {
            match self.next().await {
                Ok(frame) if frame["type"] == kind => return frame,
                Ok(_) => {}
                Err(closed) => panic!("closed with {closed:?} while waiting for {kind}"),
            }
        }
    }

    /// The contents of the next `count` messages.
    pub async fn messages(&mut self, count: usize) -> Vec<String> {
        let mut contents = Vec::with_capacity(count);
        while contents.len() < count {
            let frame = self.expect("message").await;
            contents.push(
                frame["data"]["content"]
                    .as_str()
                    .expect("content")
                    .to_owned(),
            );
        }
        contents
    }

    /// Reads to the end and says how it ended.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    /// Whether nothing but these types arrives until the answer to a heartbeat does.
    pub async fn frames_until_heartbeat(&mut self) -> Vec<Frame> {
        self.send(json!({ "type": "heartbeat" })).await;
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(frame) if frame["type"] == "heartbeat_ack" => return frames,
                Ok(frame) => frames.push(frame),
                Err(closed) => panic!("closed with {closed:?} while waiting for heartbeat_ack"),
            }
        }
    }

    /// Ends it without a word.
    pub fn drop_now(self) {
        drop(self.stream);
    }

    /// Says goodbye with code 1000 and waits until the server has let go; gives the code it
    /// answered with.
    pub async fn close(mut self) -> Option<u16> {
        let goodbye = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        drop(self.stream.close(Some(goodbye)).await);
        let mut answered = None;
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Close(frame) = message {
                answered = frame.map(|frame| frame.code.into());
            }
        }
        answered
    }
}

//! A stand-in for the server, in memory: the frames and routes that the load clients use, spoken
//! through an independent WebSocket implementation, with one fault on demand. It knows no
//! positions: who connects gets everything again. It exists to test
//! the benchmark, whose verdicts must not depend on the server that it judges.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helper: a panic fails it"
)]

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What the stand-in does wrong, once, at the delivery of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Drop(u64),
    Repeat(u64),
    Swap(u64),
}

#[derive(Clone)]
struct Entry {
    sender: String,
    content: String,
}

struct Conversation {
    user: String,
    agent: String,
    log: Vec<Entry>,
}

struct Live {
    principal: String,
    v2: bool,
    resumed: bool,
    out: UnboundedSender<Message>,
}

struct World {
    conversations: HashMap<String, Conversation>,
    live: HashMap<u64, Live>,
    next: u64,
    deliveries: u64,
    fault: Fault,
    held: Option<(u64, Message)>,
}

/// Starts it on a thread of its own; it lives as long as the process.
pub(crate) fn start(fault: Fault) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let world = World {
        conversations: HashMap::new(),
        live: HashMap::new(),
        next: 0,
        deliveries: 0,
        fault,
        held: None,
    };
    let world = Arc::new(Mutex::new(world));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, world.clone()));
            }
        });
    });
    address
}

async fn serve(stream: TcpStream, world: Arc<Mutex<World>>) {
    stream.set_nodelay(true).unwrap();
    let mut head = [0_u8; 2048];
    let length = stream.peek(&mut head).await.unwrap_or(0);
    if String::from_utf8_lossy(&head[..length]).contains("Upgrade: websocket") {
        serve_socket(stream, world).await;
    } else {
        serve_http(stream, world).await;
    }
}

async fn serve_http(mut stream: TcpStream, world: Arc<Mutex<World>>) {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0_u8; 4096];
        let Ok(count) = stream.read(&mut buffer).await else {
            return;
        };
        if count == 0 {
            return;
        }
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).to_string();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let path = head.split(' ').nth(1).unwrap();
        let token = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("authorization: bearer ")
                .map(str::to_owned)
        });
        let answer = world
            .lock()
            .unwrap()
            .answer(path, &token.unwrap_or_default(), body)
            .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n",
            answer.len()
        );
        stream.write_all((head + &answer).as_bytes()).await.unwrap();
        read.clear();
    }
}

async fn serve_socket(stream: TcpStream, world: Arc<Mutex<World>>) {
    let (mut path, mut v2) = (String::new(), false);
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let look = |request: &Request, mut response: Response| {
        path = request.uri().to_string();
        let protocol = request.headers().get("sec-websocket-protocol").cloned();
        v2 = protocol.as_ref().is_some_and(|name| name == "v2");
        protocol.map(|name| {
            response
                .headers_mut()
                .insert("sec-websocket-protocol", name)
        });
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, look)
        .await
        .unwrap();
    let query = |name: &str| {
        let pairs = path.split_once('?').map_or("", |two| two.1);
        pairs
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned))
            .unwrap_or_default()
    };
    let agent = query("agent_id");
    let principal = if agent.is_empty() {
        query("token")
    } else {
        agent
    };
    let (out, mut outgoing) = unbounded_channel();
    let id = world.lock().unwrap().attach(Live {
        principal,
        v2,
        resumed: !v2,
        out,
    });
    let (mut sink, mut frames) = socket.split();
    let writer = tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if sink.feed(frame).await.is_err()
                || (outgoing.is_empty() && sink.flush().await.is_err())
            {
                return;
            }
        }
    });
    while let Some(Ok(frame)) = frames.next().await {
        if let Message::Text(text) = frame {
            let value: Value = serde_json::from_str(&text).unwrap();
            world.lock().unwrap().frame(id, &value);
        }
    }
    world.lock().unwrap().live.remove(&id);
    writer.abort();
}

impl World {
    fn answer(&mut self, path: &str, token: &str, body: &str) -> Value {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        match path {
            "/auth/register" => json!({"token": body["username"], "user_id": body["username"]}),
            "/conversations" => {
                self.next += 1;
                let id = format!("conv_{}", self.next);
                let agent = body["agent_id"].as_str().unwrap().to_owned();
                self.conversations.insert(
                    id.clone(),
                    Conversation {
                        user: token.to_owned(),
                        agent,
                        log: Vec::new(),
                    },
                );
                json!({"id": id, "conversation_id": id})
            }
            _ => self.history(path),
        }
    }

    fn history(&self, path: &str) -> Value {
        let Some(rest) = path.strip_prefix("/conversations/") else {
            return json!({});
        };
        let (id, query) = rest.split_once("/messages?after=").unwrap();
        let after: usize = query.split('&').next().unwrap().parse().unwrap();
        let log = &self.conversations[id].log;
        let rows: Vec<Value> = (after + 1..)
            .zip(log.iter().skip(after).take(200))
            .map(|(seq, entry)| json!({"seq": seq, "content": entry.content}))
            .collect();
        json!({"messages": rows})
    }

    fn attach(&mut self, live: Live) -> u64 {
        self.next += 1;
        let id = self.next;
        let v2 = live.v2;
        let connected =
            json!({"type": "connected", "data": {"id": live.principal, "status": "connected"}});
        live.out.send(Message::text(connected.to_string())).unwrap();
        self.live.insert(id, live);
        if !v2 {
            self.replay(id);
        }
        id
    }

    fn replay(&mut self, id: u64) {
        let principal = self.live[&id].principal.clone();
        let mine = |c: &Conversation| c.user == principal || c.agent == principal;
        let ids: Vec<String> = self
            .conversations
            .iter()
            .filter(|(_, c)| mine(c))
            .map(|(id, _)| id.clone())
            .collect();
        for conversation in ids {
            for at in 0..self.conversations[&conversation].log.len() {
                self.deliver(id, &conversation, at);
            }
        }
    }

    fn frame(&mut self, id: u64, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "resume" => {
                let _ = self.live[&id]
                    .out
                    .send(Message::text(r#"{"type":"resumed","data":{}}"#));
                self.live.get_mut(&id).unwrap().resumed = true;
                self.replay(id);
            }
            "message" => self.message(id, &frame["data"]),
            "ack" => {}
            other => panic!("an unexpected frame of type {other}"),
        }
    }

    fn message(&mut self, id: u64, data: &Value) {
        let conversation = data["conversation_id"].as_str().unwrap();
        let found = self.conversations.get_mut(conversation).unwrap();
        let entry = Entry {
            sender: self.live[&id].principal.clone(),
            content: data["content"].as_str().unwrap().to_owned(),
        };
        found.log.push(entry);
        let (at, members) = (
            found.log.len() - 1,
            [found.user.clone(), found.agent.clone()],
        );
        let ack = json!({"type": "message_sent", "data": {"conversation_id": conversation, "seq": at + 1, "client_msg_id": data["client_msg_id"]}});
        let _ = self.live[&id].out.send(Message::text(ack.to_string()));
        let ids: Vec<u64> = self
            .live
            .iter()
            .filter(|(_, live)| members.contains(&live.principal))
            .map(|(id, _)| *id)
            .collect();
        for other in ids {
            self.deliver(other, conversation, at);
        }
    }

    fn deliver(&mut self, id: u64, conversation: &str, at: usize) {
        let live = &self.live[&id];
        if !live.resumed {
            return;
        }
        let entry = &self.conversations[conversation].log[at];
        if entry.sender == live.principal && !live.v2 {
            return;
        }
        let mut data =
            json!({"type": "message", "conversation_id": conversation, "content": entry.content});
        if live.v2 {
            data["seq"] = json!(at + 1);
        }
        let frame = Message::text(json!({"type": "message", "data": data}).to_string());
        if entry.sender == live.principal {
            let _ = live.out.send(frame);
            return;
        }
        self.deliveries += 1;
        let fault = self.fault;
        let out = live.out.clone();
        match fault {
            Fault::Drop(nth) if nth == self.deliveries => return,
            Fault::Repeat(nth) if nth == self.deliveries => drop(out.send(frame.clone())),
            Fault::Swap(nth) if nth == self.deliveries => {
                self.held = Some((id, frame));
                return;
            }
            _ => {}
        }
        let _ = out.send(frame);
        if let Some((_, held)) = self.held.take_if(|held| held.0 == id) {
            let _ = out.send(held);
        }
    }
}

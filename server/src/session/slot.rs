//! One session as its worker's thread sees it: the lanes, and what the hub looks after once a
//! second – confirmation, positions, signs of life, deadlines.

use super::messages::SessionId;
use super::outbound::Outbound;
use crate::connection::Connection;
use crate::node::Node;
use protocol::{CloseCode, Timestamp};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::PositionUpdate;

/// A quiet peer is asked for a sign of life this often.
const PING_EVERY: Duration = Duration::from_secs(54);
/// A peer that gave no sign of life for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(120);
/// A send without an answer for this long ends the socket; it may have been stored.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long the close frame may take from its lane to the kernel.
const FLUSH: Duration = Duration::from_millis(20);
/// How long the peer may take to hang up as well.
const LINGER: Duration = Duration::from_secs(2);

/// One session's place in its hub.
pub struct Slot {
    /// The session.
    pub id: SessionId,
    /// Its lanes.
    pub outbound: Outbound,
    /// Its TCP connection.
    pub connection: Option<Arc<Connection>>,
    /// When its token ends.
    pub expires_at: Cell<Option<Timestamp>>,
    /// An agent that shows no life for this long has missed its heartbeat.
    pub heartbeat_timeout: Option<Duration>,
    last_life: Cell<Instant>,
    last_ping: Cell<Instant>,
    node: Arc<Node>,
}

impl Slot {
    /// A place for a session that has just come.
    pub fn new(
        id: SessionId,
        outbound: Outbound,
        connection: Option<Arc<Connection>>,
        heartbeat_timeout: Option<Duration>,
        node: Arc<Node>,
    ) -> Self {
        let now = Instant::now();
        Self {
            id,
            outbound,
            connection,
            expires_at: Cell::new(None),
            heartbeat_timeout,
            last_life: Cell::new(now),
            last_ping: Cell::new(now),
            node,
        }
    }

    /// Cuts the connection both ways, at once.
    pub fn cut(&self) {
        if let Some(connection) = &self.connection {
            connection.end();
        }
    }

    /// Hangs up once the close frame is out: the peer waits for our end of the connection, and a
    /// cut while it is still sending would overtake the frame with a reset.
    pub fn hang_up(&self) {
        if let Some(connection) = self.connection.clone() {
            actix::spawn(async move {
                actix_rt::time::sleep(FLUSH).await;
                connection.end_writing();
                actix_rt::time::sleep(LINGER).await;
                connection.end();
            });
        }
    }

    /// Anything at all came from the peer.
    pub fn alive(&self) {
        self.last_life.set(Instant::now());
    }

    /// What the hub does once a second.
    pub fn tick(&self) {
        if !self.outbound.viewer().wire.cursor_aware {
            self.outbound.ask_for_confirmation();
        }
        self.save_positions();
        self.check_deadlines();
    }

    /// Hands what was confirmed to the writer; what finds no place is handed over later.
    pub fn save_positions(&self) {
        let confirmed = self.outbound.take_confirmed();
        if confirmed.is_empty() {
            return;
        }
        let device = self.outbound.viewer().device;
        let moved = self.node.positions.confirm(device, self.id, &confirmed);
        let updates: Vec<_> = moved
            .into_iter()
            .map(|(conversation, position)| PositionUpdate {
                device,
                conversation,
                position,
            })
            .collect();
        if !updates.is_empty() && self.node.store.save_positions(updates).is_err() {
            // The queue is full: the same positions are confirmed again with the next ones.
            self.outbound.confirm_again(confirmed);
        }
    }

    fn check_deadlines(&self) {
        let now = Instant::now();
        if self
            .outbound
            .oldest_send()
            .is_some_and(|since| now - since > ANSWER_WITHIN)
        {
            self.outbound.close(CloseCode::Internal);
        }
        if self
            .expires_at
            .get()
            .is_some_and(|end| self.node.clock.now() >= end)
        {
            self.outbound.close(CloseCode::Unauthenticated);
        }
        if self.outbound.is_reading_paused() {
            // Signs of life stand behind what is not read: the stall clock bounds such a peer.
            self.last_life.set(now);
            return;
        }
        let quiet = now - self.last_life.get();
        if self
            .heartbeat_timeout
            .is_some_and(|timeout| quiet > timeout)
        {
            self.outbound.close(CloseCode::HeartbeatMissed);
        } else if quiet > GONE_AFTER {
            self.outbound.peer_gone();
        } else if quiet > self.ping_every() && now - self.last_ping.get() > self.ping_every() {
            self.last_ping.set(now);
            self.outbound.keep_alive();
        }
    }

    /// An agent whose life is monitored is asked often enough that a healthy one is never missed.
    fn ping_every(&self) -> Duration {
        self.heartbeat_timeout
            .map_or(PING_EVERY, |timeout| PING_EVERY.min(timeout / 3))
    }
}

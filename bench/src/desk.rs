//! What one connected member of a run keeps: its lanes, what it sent, what was acknowledged and
//! what came. Frames in, frames out, no socket: it outlives connections, so that a scenario may
//! cut one and go on with the next.

use crate::body::{Body, Side};
use crate::frame::{self, Frame, Told};
use crate::history::{self, Faults, Inbox, Seen};
use crate::meter::Meter;
use crate::socket::Outbox;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

/// Deliveries of one conversation after which a v2 client sends its cumulative `ack`.
const ACK_EVERY: u32 = 64;

/// The wire a run speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
pub enum Dialect {
    /// What the existing clients speak: no `seq` in messages, replay without asking.
    V1,
    /// One frame an event, with `seq`; replay after `resume`; acks.
    V2,
}

impl Dialect {
    /// The sub-protocol to ask for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// How a member behaves on the wire.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Which side of its lanes it is.
    pub side: Side,
    /// Its wire.
    pub dialect: Dialect,
    /// Size of the bodies that it sends, bytes.
    pub body_bytes: usize,
    /// Whether sends carry a `client_msg_id` and acks are kept, so that sends can be repeated.
    pub repeatable: bool,
    /// Whether `resume` names the client's own positions.
    pub own_positions: bool,
}

/// One conversation at one member.
pub struct Lane {
    number: u32,
    conversation: String,
    head: Vec<u8>,
    /// Messages that this member sent here.
    pub sent: u64,
    unacked: VecDeque<(u64, u64)>,
    acks: u64,
    /// Number to `seq` and intended time of what was acknowledged; kept by repeatable members.
    acked: BTreeMap<u64, (i64, u64)>,
    inbox: Inbox,
    unconfirmed: u32,
    /// Highest `seq` shown here on any connection: in `seq` order, so all below it is known too.
    position: i64,
}

/// What a frame meant for the member's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing to do.
    Nothing,
    /// A message of the other side, for the first time, in the lane of this index.
    Delivered(usize),
    /// One of the own messages is stored.
    Acked,
}

/// One member of a run.
pub struct Desk {
    manner: Manner,
    lanes: Vec<Lane>,
    by_number: HashMap<u32, usize>,
    by_conversation: HashMap<String, usize>,
    filling: Vec<u8>,
    meter: Rc<RefCell<Meter>>,
    greeted: bool,
    connected: bool,
    frames: u64,
    misplaced: u64,
    wrong_acks: u64,
}

impl Desk {
    /// A member of the lanes given as (number, conversation id).
    pub fn new(manner: Manner, lanes: &[(u32, String)], meter: Rc<RefCell<Meter>>) -> Self {
        let filling = crate::body::filling(manner.body_bytes);
        let mut desk = Self {
            manner,
            lanes: Vec::new(),
            by_number: HashMap::new(),
            by_conversation: HashMap::new(),
            filling,
            meter,
            greeted: false,
            connected: false,
            frames: 0,
            misplaced: 0,
            wrong_acks: 0,
        };
        for (number, conversation) in lanes {
            desk.add_lane(*number, conversation);
        }
        desk
    }

    fn add_lane(&mut self, number: u32, conversation: &str) {
        let at = self.lanes.len();
        self.by_number.insert(number, at);
        self.by_conversation.insert(conversation.to_owned(), at);
        self.lanes.push(Lane {
            number,
            conversation: conversation.to_owned(),
            head: frame::message_head(conversation),
            sent: 0,
            unacked: VecDeque::new(),
            acks: 0,
            acked: BTreeMap::new(),
            inbox: Inbox::default(),
            unconfirmed: 0,
            position: 0,
        });
    }

    /// Whether the server has greeted this connection and, in v2, answered `resume`.
    pub fn connected(&self) -> bool {
        self.connected
    }

    /// Whether the server has greeted this connection.
    pub fn greeted(&self) -> bool {
        self.greeted
    }

    /// The lanes, in the order they were given.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Messages sent.
    pub fn sent(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.sent).sum()
    }

    /// Messages sent and not acknowledged yet.
    pub fn unacked(&self) -> u64 {
        self.lanes
            .iter()
            .map(|lane| lane.unacked.len() as u64)
            .sum()
    }

    /// Different messages of the other side that came.
    pub fn received(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.inbox.received()).sum()
    }

    /// Frames that came, of any kind.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Acks that came.
    pub fn acks(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.acks).sum()
    }

    /// Deliveries that came again over a later connection.
    pub fn repeated(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.inbox.repeated()).sum()
    }

    /// Sends the next message of the lane at `index`; it was meant to leave at `sent_ns`.
    pub fn send(&mut self, index: usize, sent_ns: u64, out: &mut Outbox) {
        let Some(lane) = self.lanes.get_mut(index) else {
            return;
        };
        let number = lane.sent;
        lane.sent += 1;
        lane.unacked.push_back((number, sent_ns));
        self.put(index, number, sent_ns, out);
    }

    fn put(&self, index: usize, number: u64, sent_ns: u64, out: &mut Outbox) {
        let Some(lane) = self.lanes.get(index) else {
            return;
        };
        let head = Body {
            side: self.manner.side,
            lane: lane.number,
            number,
            sent_ns,
        }
        .head();
        if self.manner.repeatable {
            let id = format!("{:08x}.{:?}.{number:x}", lane.number, self.manner.side);
            out.text(&[
                &lane.head,
                &head,
                &self.filling,
                frame::MESSAGE_ID,
                id.as_bytes(),
                frame::MESSAGE_END,
            ]);
        } else {
            out.text(&[&lane.head, &head, &self.filling, frame::MESSAGE_END]);
        }
    }

    /// A new connection takes over: what was sent on the old one may never be answered.
    pub fn reconnected(&mut self) {
        (self.greeted, self.connected) = (false, false);
        self.lanes
            .iter_mut()
            .for_each(|lane| lane.inbox.reconnected());
    }

    /// Sends again, in order, the last `acknowledged` acknowledged messages of each lane and all
    /// that were not. Only for repeatable members; the bodies are the same to the byte.
    pub fn repeat(&mut self, acknowledged: usize, out: &mut Outbox) {
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else {
                continue;
            };
            let told = lane.acked.iter().rev().take(acknowledged);
            let mut again: Vec<(u64, u64)> = told
                .map(|(number, (_, sent_ns))| (*number, *sent_ns))
                .collect();
            again.reverse();
            again.extend(lane.unacked.iter().copied());
            for (number, sent_ns) in again {
                self.put(index, number, sent_ns, out);
            }
        }
    }

    /// Takes one frame of the server.
    pub fn receive(&mut self, text: &[u8], now_ns: u64, out: &mut Outbox) -> News {
        self.frames += 1;
        match frame::read(text) {
            Ok(Frame::Message(told)) => self.message(&told, now_ns, out),
            Ok(Frame::Sent(told)) => self.stored(&told, now_ns),
            Ok(Frame::Connected) => {
                self.greet(out);
                News::Nothing
            }
            Ok(Frame::Resumed) => {
                self.connected = true;
                News::Nothing
            }
            Ok(Frame::Error(words)) => self.trouble(&words),
            Ok(Frame::Left(kind)) => self.trouble(&format!("the server sent `{kind}`")),
            Ok(Frame::Other) => News::Nothing,
            Err(error) => self.trouble(&format!("an unreadable frame: {error}")),
        }
    }

    fn trouble(&self, words: &str) -> News {
        self.meter.borrow_mut().trouble(words);
        News::Nothing
    }

    fn greet(&mut self, out: &mut Outbox) {
        self.greeted = true;
        if self.manner.dialect == Dialect::V1 {
            self.connected = true;
            return;
        }
        let mut positions = Vec::new();
        if self.manner.own_positions {
            positions.extend(
                self.lanes
                    .iter()
                    .map(|lane| (lane.conversation.clone(), lane.position)),
            );
        }
        out.text(&[frame::resume(&positions).as_bytes()]);
    }

    fn message(&mut self, told: &Told<'_>, now_ns: u64, out: &mut Outbox) -> News {
        let body = told.content.and_then(Body::read);
        let found = body.and_then(|body| Some((body, *self.by_number.get(&body.lane)?)));
        let Some((body, index)) = found else {
            self.misplaced += 1;
            return self.trouble("a message that is not of this run");
        };
        let Some(lane) = self.lanes.get_mut(index) else {
            return News::Nothing;
        };
        if told.conversation_id != Some(lane.conversation.as_str()) {
            self.misplaced += 1;
            return self.trouble("a message in another conversation than it was sent to");
        }
        lane.position = lane.position.max(told.seq.unwrap_or(0));
        lane.unconfirmed += 1;
        if self.manner.dialect == Dialect::V2 && lane.unconfirmed >= ACK_EVERY {
            lane.unconfirmed = 0;
            out.text(&[frame::ack(&lane.conversation, told.seq.unwrap_or(0)).as_bytes()]);
        }
        if body.side == self.manner.side {
            return News::Nothing;
        }
        let seen = lane.inbox.receive(body.number, told.seq);
        self.meter
            .borrow_mut()
            .delivered(body.side, body.sent_ns, now_ns);
        if seen == Seen::New {
            News::Delivered(index)
        } else {
            News::Nothing
        }
    }

    fn stored(&mut self, told: &Told<'_>, now_ns: u64) -> News {
        let index = told
            .conversation_id
            .and_then(|id| self.by_conversation.get(id));
        let Some(lane) = index.and_then(|index| self.lanes.get_mut(*index)) else {
            self.misplaced += 1;
            return self.trouble("an ack in a conversation of others");
        };
        let number = told
            .client_msg_id
            .and_then(|id| u64::from_str_radix(id.rsplit('.').next()?, 16).ok());
        let at = match number {
            Some(number) => lane.unacked.iter().position(|pending| pending.0 == number),
            None if self.manner.repeatable => None,
            None => Some(0),
        };
        let seq = told.seq.unwrap_or(0);
        if let Some((number, sent_ns)) = at.and_then(|at| lane.unacked.remove(at)) {
            lane.acks += 1;
            if self.manner.repeatable {
                lane.acked.insert(number, (seq, sent_ns));
            }
            self.meter.borrow_mut().acked(sent_ns, now_ns);
            return News::Acked;
        }
        // The answer to a repeat must be the first answer.
        let first = number
            .and_then(|number| lane.acked.get(&number))
            .map(|(seq, _)| *seq);
        if first != Some(seq) {
            self.wrong_acks += 1;
            return self
                .trouble("an ack of a message that was not sent, or with another seq than before");
        }
        News::Nothing
    }

    /// Faults of the deliveries to this member, if the other side sent `sent(lane number)`.
    pub fn faults(&self, sent: impl Fn(u32) -> u64) -> Faults {
        let mut faults = Faults {
            misplaced: self.misplaced + self.wrong_acks,
            ..Faults::default()
        };
        self.lanes
            .iter()
            .for_each(|lane| faults += lane.inbox.faults(sent(lane.number)));
        faults
    }
}

impl Lane {
    /// The lane's number in the run.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What came in this lane.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// What the server told this member, for [`history::check_log`].
    pub fn told(&self, side: Side) -> history::Told {
        history::Told {
            side,
            sent: self.sent,
            acked: self
                .acked
                .iter()
                .map(|(number, (seq, _))| (*number, *seq))
                .collect(),
        }
    }
}

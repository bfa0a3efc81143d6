//! Members that act: each has a desk, a habit (ask, keep a pace, echo, listen) and a connection
//! of its own, driven by one task on the run's single thread. A [`Crew`] starts them, watches
//! them and stops them.

use crate::clock::{Alarm, now_ns};
use crate::desk::{Desk, News};
use crate::socket::{Dial, Outbox, Socket};
use anyhow::{Context, bail, ensure};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How often a crew is looked at, while a run waits for something.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes that may wait in front of a server that does not read; more ends the run.
const BACKLOG_BYTES: usize = 64 * 1024 * 1024;

/// What a member does.
#[derive(Debug, Clone, Copy)]
pub enum Habit {
    /// Keeps `window` messages under way, through its lanes in turn; one is under way until its
    /// echo is back, or, without echo, until its ack.
    Ask {
        /// Messages under way.
        window: usize,
        /// Whether the echo, not the ack, ends a message's way.
        until_echo: bool,
    },
    /// Sends one message each `interval_ns`, through its lanes in turn, whatever comes back.
    Pace {
        /// Nanoseconds from one to the next.
        interval_ns: u64,
        /// Time of the first.
        first_ns: u64,
    },
    /// Answers each message in its lane, at once.
    Echo,
    /// Only reads.
    Listen,
}

/// A member with its habit.
pub struct Peer {
    /// What it keeps.
    pub desk: Desk,
    habit: Habit,
    sending: Rc<Cell<bool>>,
    under_way: usize,
    next_lane: usize,
    left: u64,
    to_repeat: Option<usize>,
}

impl Peer {
    /// A member that sends of itself only while `sending`; echoes are not held back.
    pub fn new(desk: Desk, habit: Habit, sending: Rc<Cell<bool>>) -> Self {
        Self {
            desk,
            habit,
            sending,
            under_way: 0,
            next_lane: 0,
            left: u64::MAX,
            to_repeat: None,
        }
    }

    /// Whether it sends of itself.
    pub fn asks(&self) -> bool {
        matches!(self.habit, Habit::Ask { .. } | Habit::Pace { .. })
    }

    /// Lets it send at most `messages` from now on, echoes aside.
    pub fn limit(&mut self, messages: u64) {
        self.left = messages;
    }

    /// Cut off: the next connection begins anew. With `repeat`, what was not acknowledged is
    /// sent again there, and that many of the acknowledged of each lane.
    pub fn cut(&mut self, repeat: Option<usize>) {
        self.desk.reconnected();
        self.to_repeat = repeat;
        self.under_way = 0;
    }

    fn due(&self) -> Option<u64> {
        match self.habit {
            Habit::Pace { first_ns, .. } if self.sending.get() && self.left > 0 => Some(first_ns),
            _ => None,
        }
    }

    fn take(&mut self, text: &[u8], now_ns: u64, out: &mut Outbox) {
        let news = self.desk.receive(text, now_ns, out);
        // Before anything new is sent: a repeat must not overtake, nor be overtaken.
        if let Some(acknowledged) = self.to_repeat.take_if(|_| self.desk.greeted()) {
            self.desk.repeat(acknowledged, out);
        }
        match (news, self.habit) {
            (News::Delivered(lane), Habit::Echo) => self.desk.send(lane, now_ns, out),
            (
                News::Delivered(_),
                Habit::Ask {
                    until_echo: true, ..
                },
            )
            | (
                News::Acked,
                Habit::Ask {
                    until_echo: false, ..
                },
            ) => {
                self.under_way = self.under_way.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn act(&mut self, now_ns: u64, out: &mut Outbox) {
        if !self.desk.connected() {
            return;
        }
        while self.sending.get() && self.left > 0 {
            let sent_ns = match &mut self.habit {
                Habit::Ask { window, .. } if self.under_way < *window => now_ns,
                Habit::Pace {
                    interval_ns,
                    first_ns,
                } if *first_ns <= now_ns => {
                    let due_ns = *first_ns;
                    *first_ns += *interval_ns;
                    due_ns
                }
                _ => return,
            };
            self.under_way += 1;
            self.left -= 1;
            self.desk.send(self.next_lane, sent_ns, out);
            self.next_lane = (self.next_lane + 1) % self.desk.lanes().len().max(1);
        }
    }
}

/// A member and how it connects.
#[derive(Clone)]
pub struct Member {
    /// The member.
    pub peer: Rc<RefCell<Peer>>,
    /// How it connects.
    pub dial: Dial,
    /// Wakes it when something outside its socket changed.
    pub poke: Rc<Notify>,
}

impl Member {
    /// A member that is not connected yet.
    pub fn new(peer: Peer, dial: Dial) -> Self {
        Self {
            peer: Rc::new(RefCell::new(peer)),
            dial,
            poke: Rc::new(Notify::new()),
        }
    }

    /// The same, sending at most `messages`, echoes aside.
    #[must_use]
    pub fn up_to(self, messages: u64) -> Self {
        self.peer.borrow_mut().limit(messages);
        self
    }

    /// Drives the member on an open socket until the server closes it; returns the close code.
    /// May be dropped at any time: the socket and the member stay whole.
    pub async fn drive(&self, socket: &mut Socket) -> anyhow::Result<u16> {
        let alarm = Alarm::new()?;
        let mut set_for = None;
        loop {
            let due = self.peer.borrow().due();
            if let Some(due_ns) = due.filter(|_| due != set_for) {
                alarm.set(due_ns)?;
                set_for = due;
            }
            tokio::select! {
                biased;
                rung = alarm.rung(), if due.is_some() => { rung?; set_for = None; }
                () = self.poke.notified() => {}
                step = socket.step() => step?,
            }
            let now_ns = now_ns();
            let mut peer = self.peer.borrow_mut();
            socket.drain(|text, out| peer.take(text, now_ns, out))?;
            peer.act(now_ns, &mut socket.out);
            ensure!(
                socket.out.waiting() < BACKLOG_BYTES,
                "the server does not read what the load sends"
            );
            if let Some(code) = socket.closed() {
                return Ok(code);
            }
        }
    }
}

/// Members of a run and their tasks.
pub struct Crew {
    /// The members, in the order they were given.
    pub members: Vec<Member>,
    tasks: Vec<JoinHandle<anyhow::Result<u16>>>,
    ended: Rc<RefCell<Vec<String>>>,
}

impl Crew {
    /// Connects all and waits until each is greeted.
    pub async fn connect(members: Vec<Member>) -> anyhow::Result<Self> {
        let mut crew = Self {
            members: Vec::new(),
            tasks: Vec::new(),
            ended: Rc::default(),
        };
        for member in members {
            let opening = Socket::open(&member.dial);
            let mut socket = tokio::time::timeout(Duration::from_secs(10), opening)
                .await
                .context("a connection was not let in within 10 s")??;
            let (own, ended) = (member.clone(), crew.ended.clone());
            crew.tasks.push(tokio::task::spawn_local(async move {
                let end = own.drive(&mut socket).await;
                ended.borrow_mut().push(match &end {
                    Ok(code) => format!("close code {code}"),
                    Err(error) => format!("{error:#}"),
                });
                end
            }));
            crew.members.push(member);
        }
        let greeted = |crew: &Self| {
            crew.members
                .iter()
                .all(|member| member.peer.borrow().desk.connected())
        };
        if !crew.wait(Duration::from_secs(10), greeted).await? {
            bail!("not every connection was greeted within 10 s");
        }
        Ok(crew)
    }

    /// Makes every member look at what changed outside its socket.
    pub fn poke(&self) {
        self.members
            .iter()
            .for_each(|member| member.poke.notify_one());
    }

    /// Waits until `done`, at most `longest`; false if it did not come to that. A connection
    /// that ended meanwhile is an error.
    pub async fn wait(
        &self,
        longest: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        let begin = Instant::now();
        while !done(self) {
            if let Some(why) = self.ended.borrow().first() {
                bail!("a connection ended under load: {why}");
            }
            if begin.elapsed() > longest {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// Waits until what `progress` returns is `enough`, or has not changed for `calm`, at most
    /// `longest`.
    pub async fn settle(
        &self,
        enough: u64,
        calm: Duration,
        longest: Duration,
        progress: impl Fn(&Self) -> u64,
    ) {
        let begin = Instant::now();
        let (mut last, mut since) = (progress(self), Instant::now());
        while last < enough && begin.elapsed() < longest && since.elapsed() < calm {
            tokio::time::sleep(LOOK).await;
            let now = progress(self);
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// How connections ended so far, in words.
    pub fn ended(&self) -> Vec<String> {
        self.ended.borrow().clone()
    }

    /// Cuts every connection, without a goodbye, and returns the members.
    pub async fn stop(self) -> anyhow::Result<Vec<Member>> {
        for task in self.tasks {
            task.abort();
            match task.await {
                Err(error) if error.is_panic() => return Err(error).context("a member panicked"),
                _ => {}
            }
        }
        Ok(self.members)
    }

    /// The sum of `count` over the members.
    pub fn sum(&self, count: impl Fn(&Desk) -> u64) -> u64 {
        self.members
            .iter()
            .map(|member| count(&member.peer.borrow().desk))
            .sum()
    }
}

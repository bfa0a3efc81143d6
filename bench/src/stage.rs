//! What every scenario starts from: how to get a server, and one run's shared parts (the meter,
//! the switch that lets members send, the watch on the server's memory and log).

use crate::body::Side;
use crate::cast::Cast;
use crate::desk::{Dialect, Manner};
use crate::history::Faults;
use crate::meter::Meter;
use crate::peer::{Crew, Habit, Member, Peer};
use crate::report::Report;
use crate::server::{Launch, Server, Usage, usage};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the watch looks.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// Where servers come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Each run starts its own.
    Launch(Launch),
    /// One that runs already: its address and agent secret.
    Running(String, String),
}

impl Source {
    /// A server for one run.
    pub async fn server(&self) -> anyhow::Result<Server> {
        match self {
            Self::Launch(launch) => Server::start(launch).await,
            Self::Running(url, secret) => Server::attach(url, secret),
        }
    }
}

/// The parts that the members of one run share.
pub struct Stage {
    /// What is measured.
    pub meter: Rc<RefCell<Meter>>,
    /// Whether members may send.
    pub sending: Rc<Cell<bool>>,
}

impl Stage {
    /// Nobody sends and nothing is measured yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            meter: Rc::new(RefCell::new(Meter::new()?)),
            sending: Rc::new(Cell::new(false)),
        })
    }

    /// A device of the cast's user of this index.
    pub fn user(&self, cast: &Cast, user: usize, device: &str, load: Load, habit: Habit) -> Member {
        let desk = cast.user_desk(user, load.manner(Side::User), &self.meter);
        let token = cast.users.get(user).map_or("", |user| user.token.as_str());
        let dial = cast.api.user_dial(token, device, load.dialect);
        Member::new(Peer::new(desk, habit, self.sending.clone()), dial)
    }

    /// A member of the first lane whoever it was made for: a user of the cast by index.
    pub fn member(&self, cast: &Cast, user: usize, load: Load, habit: Habit) -> Member {
        let desk = cast.user_desk(0, load.manner(Side::User), &self.meter);
        let token = cast.users.get(user).map_or("", |user| user.token.as_str());
        let dial = cast.api.user_dial(token, "bench", load.dialect);
        Member::new(Peer::new(desk, habit, self.sending.clone()), dial)
    }

    /// The cast's agent of this index.
    pub fn agent(&self, cast: &Cast, agent: usize, load: Load, habit: Habit) -> Member {
        let desk = cast.agent_desk(agent, load.manner(Side::Agent), &self.meter);
        let id = cast.agents.get(agent).map_or("", String::as_str);
        let dial = cast.api.agent_dial(id, load.dialect);
        Member::new(Peer::new(desk, habit, self.sending.clone()), dial)
    }

    /// Lets the crew send.
    pub fn go(&self, crew: &Crew) {
        self.sending.set(true);
        crew.poke();
    }

    /// Puts what went wrong into the report: refusals, and the first few in words.
    pub fn tell_troubles(&self, report: &mut Report) {
        let meter = self.meter.borrow();
        report.none("refused or unreadable", meter.troubles);
        meter
            .first_troubles
            .iter()
            .for_each(|words| report.note(words.clone()));
    }
}

/// What messages of a run look like.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The wire.
    pub dialect: Dialect,
    /// Bytes of a message's text.
    pub body_bytes: usize,
    /// Whether sends can be repeated after a cut; in v2 the members then resume from their own
    /// positions.
    pub repeatable: bool,
}

impl Load {
    /// Messages without a `client_msg_id`.
    pub fn plain(dialect: Dialect, body_bytes: u64) -> Self {
        Self {
            dialect,
            body_bytes: body_bytes as usize,
            repeatable: false,
        }
    }

    fn manner(self, side: Side) -> Manner {
        let Self {
            dialect,
            body_bytes,
            repeatable,
        } = self;
        let own_positions = repeatable && dialect == Dialect::V2;
        Manner {
            side,
            dialect,
            body_bytes,
            repeatable,
            own_positions,
        }
    }
}

/// What each side sent in each lane, by the senders' own count.
pub fn sent_by_lane(crew: &Crew, is_side: impl Fn(usize) -> bool) -> HashMap<u32, u64> {
    let mut sent = HashMap::new();
    for (_, member) in crew
        .members
        .iter()
        .enumerate()
        .filter(|(index, _)| is_side(*index))
    {
        let peer = member.peer.borrow();
        for lane in peer.desk.lanes() {
            *sent.entry(lane.number()).or_insert(0) += lane.sent;
        }
    }
    sent
}

/// Faults at all members of one side, against what the other side sent.
pub fn faults(crew: &Crew, users: usize) -> Faults {
    let by_users = sent_by_lane(crew, |index| index < users);
    let by_agents = sent_by_lane(crew, |index| index >= users);
    let mut faults = Faults::default();
    for (index, member) in crew.members.iter().enumerate() {
        let sent = if index < users { &by_agents } else { &by_users };
        faults += member
            .peer
            .borrow()
            .desk
            .faults(|lane| sent.get(&lane).copied().unwrap_or(0));
    }
    faults
}

/// Puts the faults into the report, as checks.
pub fn tell_faults(report: &mut Report, faults: Faults) {
    report.none("lost", faults.lost);
    report.none("duplicated", faults.duplicated);
    report.none("out of order", faults.reordered);
    report.none("misplaced", faults.misplaced);
}

/// Watches a server's memory and log while a run goes on.
pub struct Watch {
    server: Rc<Server>,
    wal_peak: Rc<Cell<u64>>,
    task: JoinHandle<()>,
    begin: (Usage, Usage),
}

/// What the watch saw.
pub struct Watched {
    /// CPU time of the server, seconds.
    pub server_cpu_s: f64,
    /// CPU time of this load client, seconds.
    pub client_cpu_s: f64,
    /// Resident memory at the end and at its peak since the server began, bytes.
    pub usage: Usage,
    /// The longest write-ahead log seen, bytes.
    pub wal_peak_bytes: u64,
}

impl Watch {
    /// Begins to watch.
    pub fn begin(server: &Rc<Server>) -> Self {
        let wal_peak = Rc::new(Cell::new(0));
        let (watched, peak) = (server.clone(), wal_peak.clone());
        let task = tokio::task::spawn_local(async move {
            loop {
                peak.set(peak.get().max(watched.wal_bytes()));
                tokio::time::sleep(WATCH_EVERY).await;
            }
        });
        let begin = (
            server.usage().unwrap_or_default(),
            usage("self").unwrap_or_default(),
        );
        Self {
            server: server.clone(),
            wal_peak,
            task,
            begin,
        }
    }

    /// Ends it.
    pub fn end(self) -> Watched {
        self.task.abort();
        let now = self.server.usage().unwrap_or_default();
        let own = usage("self").unwrap_or_default();
        Watched {
            server_cpu_s: now.cpu_s - self.begin.0.cpu_s,
            client_cpu_s: own.cpu_s - self.begin.1.cpu_s,
            usage: now,
            wal_peak_bytes: self.wal_peak.get(),
        }
    }
}

/// A cast on a server of its own.
pub async fn assemble(
    source: &Source,
    users: usize,
    agents: usize,
) -> anyhow::Result<(Server, Cast)> {
    let server = source.server().await?;
    let cast = Cast::assemble(&server, users, agents).await?;
    Ok((server, cast))
}

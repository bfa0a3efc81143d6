//! Many users and a few agents that echo: how many messages a second are stored and delivered,
//! how long an ack and a delivery take in each direction, and what that costs. Closed loop with
//! a window, or open loop at a rate, timed from when each message was meant to leave.

use crate::clock::{SECOND_NS, now_ns, ns};
use crate::desk::{Desk, Dialect};
use crate::peer::{Crew, Habit, Member};
use crate::progress;
use crate::report::{Report, Target, mib};
use crate::scenario::floor;
use crate::server::Server;
use crate::stage::{self, Load, Source, Stage, Watch, Watched};
use std::rc::Rc;
use std::time::Duration;

/// Longest wait for what is still under way at the end.
const DRAIN: Duration = Duration::from_secs(30);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Users; each has a conversation with each agent.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub users: u64,
    /// Agents.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub agents: u64,
    /// Messages a user has under way (closed loop).
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub window: u64,
    /// Messages a second that all users together send, whatever comes back (open loop).
    #[arg(long)]
    pub rate: Option<u64>,
    /// Agents only read.
    #[arg(long)]
    pub no_echo: bool,
    /// Bytes of a message's text.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(37..=32768))]
    pub body: u64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Seconds before that.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warmup: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = Dialect::V1)]
    pub dialect: Dialect,
    /// Also run `floor` on the same disk, just before, and tell the ratio.
    #[arg(long)]
    pub with_floor: bool,
}

impl Args {
    /// The closed-loop run.
    pub fn standard() -> Self {
        Self {
            users: 50,
            agents: 10,
            window: 64,
            rate: None,
            no_echo: false,
            body: 128,
            seconds: 10,
            warmup: 2,
            dialect: Dialect::V1,
            with_floor: false,
        }
    }

    fn name(&self) -> String {
        let load = self.rate.map_or(format!("window {}", self.window), |rate| {
            format!("open loop {rate}/s")
        });
        let echo = if self.no_echo { "no echo" } else { "echo" };
        let Self {
            users,
            agents,
            dialect,
            ..
        } = self;
        format!(
            "throughput {users} users, {agents} agents, {load}, {echo}, {}",
            dialect.name()
        )
    }

    fn habit(&self, user: u64, from_ns: u64) -> Habit {
        match self.rate {
            None => Habit::Ask {
                window: self.window as usize,
                until_echo: !self.no_echo,
            },
            Some(rate) => {
                let interval_ns = self.users * SECOND_NS / rate.max(1);
                Habit::Pace {
                    interval_ns,
                    first_ns: from_ns + user * interval_ns / self.users,
                }
            }
        }
    }
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let floor = if args.with_floor {
        Some(floor::rows_per_second(source, &floor::Args::like(args))?)
    } else {
        None
    };
    let (server, cast) = stage::assemble(source, args.users as usize, args.agents as usize).await?;
    let (server, stage) = (Rc::new(server), Stage::new()?);
    let (begin_ns, load) = (now_ns() + SECOND_NS, Load::plain(args.dialect, args.body));
    let users = (0..cast.users.len()).map(|user| {
        stage.user(
            &cast,
            user,
            "bench",
            load,
            args.habit(user as u64, begin_ns),
        )
    });
    let habit = if args.no_echo {
        Habit::Listen
    } else {
        Habit::Echo
    };
    let agents = (0..cast.agents.len()).map(|agent| stage.agent(&cast, agent, load, habit));
    let crew = Crew::connect(users.chain(agents).collect()).await?;
    tokio::time::sleep(Duration::from_nanos(begin_ns.saturating_sub(now_ns()))).await;
    stage.go(&crew);
    let watched = measure(&server, &stage, args).await;
    let drained = crew
        .wait(DRAIN, |crew| is_quiet(crew, args.users as usize))
        .await;
    let mut report = Report::new(args.name());
    if !matches!(drained, Ok(true)) {
        let ended = crew.ended();
        report.note(format!(
            "not everything came within {DRAIN:?}: {drained:?}; {ended:?}"
        ));
    }
    tell_rates(&mut report, args, &stage, floor);
    tell_delays(&mut report, args, &stage);
    tell_costs(&mut report, &stage, &watched);
    report.none("never acknowledged", crew.sum(Desk::unacked));
    stage::tell_faults(&mut report, stage::faults(&crew, args.users as usize));
    stage.tell_troubles(&mut report);
    crew.stop().await?;
    Ok(report)
}

/// Warms up, measures, and stops the sending.
async fn measure(server: &Rc<Server>, stage: &Stage, args: &Args) -> Watched {
    progress::wait("warm-up", Duration::from_secs(args.warmup)).await;
    let (from_ns, span) = (now_ns(), Duration::from_secs(args.seconds));
    stage
        .meter
        .borrow_mut()
        .measure(from_ns, from_ns + ns(span));
    let watch = Watch::begin(server);
    progress::wait("throughput", span).await;
    let watched = watch.end();
    stage.sending.set(false);
    watched
}

/// Whether nothing is under way: all acknowledged, all delivered, all echoed.
fn is_quiet(crew: &Crew, users: usize) -> bool {
    let (users, agents) = crew.members.split_at(users.min(crew.members.len()));
    let sum = |members: &[Member], count: fn(&Desk) -> u64| -> u64 {
        members
            .iter()
            .map(|member| count(&member.peer.borrow().desk))
            .sum()
    };
    crew.sum(Desk::unacked) == 0
        && sum(agents, Desk::received) == sum(users, Desk::sent)
        && sum(users, Desk::received) == sum(agents, Desk::sent)
}

fn tell_rates(report: &mut Report, args: &Args, stage: &Stage, floor: Option<f64>) {
    let meter = stage.meter.borrow();
    let stored = meter.acks as f64 / meter.seconds();
    let delivered = meter.deliveries as f64 / meter.seconds();
    if args.rate.is_some() || args.users == 1 {
        report.tell("stored and delivered", stored.min(delivered), "1/s");
    } else {
        let least = floor.map_or(50_000.0, |floor| (floor / 2.0).min(50_000.0));
        report.aim(
            "stored and delivered",
            stored.min(delivered),
            "1/s",
            Target::AtLeast(least),
        );
    }
    report.tell("stored", stored, "1/s");
    report.tell("delivered", delivered, "1/s");
    if let Some(floor) = floor {
        report.tell("floor", floor, "rows/s");
        report.tell("stored / floor", stored / floor, "");
    }
}

/// The issue sets bounds for the open loop and for the single pair.
fn tell_delays(report: &mut Report, args: &Args, stage: &Stage) {
    let meter = stage.meter.borrow();
    let (p50, p99) = (meter.ack.ms(0.5), meter.ack.ms(0.99));
    match (
        args.rate.is_some_and(|rate| rate <= 10_000),
        args.users == 1,
    ) {
        (true, _) => {
            report.aim("ack p50", p50, "ms", Target::AtMost(3.0));
            report.aim("ack p99", p99, "ms", Target::AtMost(15.0));
        }
        (false, true) => {
            report.aim("ack p50", p50, "ms", Target::AtMost(1.5));
            report.tell("ack p99", p99, "ms");
        }
        (false, false) => {
            report.tell("ack p50", p50, "ms");
            report.tell("ack p99", p99, "ms");
        }
    }
    report.tell("ack p99.9", meter.ack.ms(0.999), "ms");
    report.tell("user to agent p50", meter.to_agent.ms(0.5), "ms");
    report.tell("user to agent p99", meter.to_agent.ms(0.99), "ms");
    if !args.no_echo {
        report.tell("agent to user p50", meter.to_user.ms(0.5), "ms");
        report.tell("agent to user p99", meter.to_user.ms(0.99), "ms");
        let (one, other) = (meter.to_agent.ms(0.5), meter.to_user.ms(0.5));
        let ratio = one.max(other) / one.min(other).max(0.001);
        report.aim("slower / faster side, p50", ratio, "", Target::AtMost(1.2));
    }
}

fn tell_costs(report: &mut Report, stage: &Stage, watched: &Watched) {
    let meter = stage.meter.borrow();
    let per_message = |cpu_s: f64| cpu_s * 1e6 / meter.acks.max(1) as f64;
    report.tell(
        "server CPU a message",
        per_message(watched.server_cpu_s),
        "us",
    );
    report.tell("server cores", watched.server_cpu_s / meter.seconds(), "");
    report.tell(
        "load client CPU a message",
        per_message(watched.client_cpu_s),
        "us",
    );
    report.tell(
        "load client cores (its bound is 1)",
        watched.client_cpu_s / meter.seconds(),
        "",
    );
    report.tell("RSS peak", mib(watched.usage.rss_peak_bytes), "MiB");
    report.aim(
        "WAL peak",
        mib(watched.wal_peak_bytes),
        "MiB",
        Target::AtMost(128.0),
    );
}

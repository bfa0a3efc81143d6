//! One of several readers stops reading for a while: it must lose nothing, whether it goes on
//! with its socket or comes back with another; the others must not notice; and the server must
//! not hold what it does not read: the log is the buffer.

use crate::clock::{SECOND_NS, now_ns, ns};
use crate::desk::{Desk, Dialect};
use crate::history::Faults;
use crate::peer::{Crew, Habit, Member};
use crate::progress;
use crate::report::{Report, Target, mib};
use crate::socket::Socket;
use crate::stage::{self, Load, Source, Stage};
use std::time::{Duration, Instant};

/// Longest wait for what has not come, after the last was sent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time from the first message to the stop.
const BEFORE: Duration = Duration::from_secs(1);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Devices that read, the one that stops included.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=64))]
    pub readers: u64,
    /// Seconds for which it stops.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub stall: u64,
    /// Messages a second.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    pub rate: u64,
    /// Messages of the memory part, of 16 KiB each; 0 leaves it out.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub big: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = Dialect::V1)]
    pub dialect: Dialect,
    /// Kernel receive buffer of the reader that stops, bytes; default: as the kernel chooses. A
    /// small one may make it drop segments while nobody reads, and then the sender's backed-off
    /// timer, not the server, decides when data flows again.
    #[arg(long)]
    pub receive_buffer: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    Never,
    KeepsSocket,
    ComesBack,
}

/// One part of the run.
struct Plan {
    readers: u64,
    stall: Duration,
    /// Messages a second; `None`: as fast as acks allow.
    rate: Option<u64>,
    messages: u64,
    receive_buffer: Option<u32>,
    load: Load,
}

impl Plan {
    fn longest(&self) -> Duration {
        Duration::from_secs(self.rate.map_or(0, |rate| self.messages / rate)) + PATIENCE
    }
}

#[derive(Default)]
struct Part {
    others_p50_ms: f64,
    others: Faults,
    stalled: Faults,
    repeated: u64,
    cut_off: Vec<String>,
    troubles: u64,
    rss_peak_mib: f64,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let Args {
        dialect,
        receive_buffer,
        ..
    } = *args;
    let stall = Duration::from_secs(args.stall);
    let messages = args.rate * (args.stall + 3);
    let load = Load::plain(dialect, 128);
    let plan = Plan {
        readers: args.readers,
        stall,
        rate: Some(args.rate),
        messages,
        receive_buffer,
        load,
    };
    let mut report = Report::new(format!(
        "stall 1 of {} readers for {} s, {}",
        args.readers,
        args.stall,
        dialect.name()
    ));
    let never = part(source, &plan, Stall::Never).await?;
    report.tell(
        "p50 of the others, nobody stalled",
        never.others_p50_ms,
        "ms",
    );
    for (name, how) in [
        ("keeps its socket", Stall::KeepsSocket),
        ("comes back", Stall::ComesBack),
    ] {
        let part = part(source, &plan, how).await?;
        tell(&mut report, name, &part, never.others_p50_ms);
    }
    if args.big > 0 {
        memory(source, args, &mut report).await?;
    }
    Ok(report)
}

fn tell(report: &mut Report, name: &str, part: &Part, without_ms: f64) {
    report.tell(
        &format!("p50 of the others, {name}"),
        part.others_p50_ms,
        "ms",
    );
    // Below a millisecond a ratio says more of the machine than of the server.
    let slower_ms = part.others_p50_ms - without_ms;
    report.aim(
        &format!("p50 with less without, {name}"),
        slower_ms,
        "ms",
        Target::AtMost(1.0),
    );
    report.none(&format!("lost for the stalled, {name}"), part.stalled.lost);
    let disorder = part.stalled.duplicated + part.stalled.reordered + part.stalled.misplaced;
    report.none(&format!("order and repeats, {name}"), disorder);
    report.tell(
        &format!("sent again after coming back, {name}"),
        part.repeated as f64,
        "",
    );
    report.none(&format!("faults of the others, {name}"), sum(part.others));
    report.none(&format!("cut off, {name}"), part.cut_off.len() as u64);
    for end in &part.cut_off {
        report.note(format!("the stalled, {name}: {end}"));
    }
    report.none(&format!("refused or unreadable, {name}"), part.troubles);
}

async fn memory(source: &Source, args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Args {
        dialect,
        receive_buffer,
        ..
    } = *args;
    let stall = Duration::from_secs(args.stall);
    let load = Load::plain(dialect, 16 * 1024);
    let plan = Plan {
        readers: args.readers,
        stall,
        rate: None,
        messages: args.big,
        receive_buffer,
        load,
    };
    let never = part(source, &plan, Stall::Never).await?;
    let stalled = part(source, &plan, Stall::KeepsSocket).await?;
    report.tell(
        "RSS peak with 16 KiB bodies, nobody stalled",
        never.rss_peak_mib,
        "MiB",
    );
    report.tell(
        "RSS peak with 16 KiB bodies, one stalled",
        stalled.rss_peak_mib,
        "MiB",
    );
    report.aim(
        "RSS peak, difference",
        stalled.rss_peak_mib - never.rss_peak_mib,
        "MiB",
        Target::AtMost(8.0),
    );
    report.none(
        "faults with 16 KiB bodies",
        sum(stalled.stalled) + sum(stalled.others) + stalled.troubles,
    );
    report.none("cut off with 16 KiB bodies", stalled.cut_off.len() as u64);
    Ok(())
}

fn sum(faults: Faults) -> u64 {
    faults.lost + faults.duplicated + faults.reordered + faults.misplaced
}

async fn part(source: &Source, plan: &Plan, how: Stall) -> anyhow::Result<Part> {
    let (server, cast) = stage::assemble(source, 1, 1).await?;
    let (stage, apart) = (Stage::new()?, Stage::new()?);
    let begin_ns = now_ns() + SECOND_NS;
    // The time of the stall, also where nobody stalls.
    let from_ns = begin_ns + ns(BEFORE);
    stage
        .meter
        .borrow_mut()
        .measure(from_ns, from_ns + ns(plan.stall));
    let mut lone = apart.user(&cast, 0, "reader0", plan.load, Habit::Listen);
    lone.dial.receive_buffer = plan.receive_buffer;
    let mut members: Vec<Member> = (1..plan.readers)
        .map(|device| {
            stage.user(
                &cast,
                0,
                &format!("reader{device}"),
                plan.load,
                Habit::Listen,
            )
        })
        .collect();
    let habit = plan.rate.map_or(
        Habit::Ask {
            window: 16,
            until_echo: false,
        },
        |rate| Habit::Pace {
            interval_ns: SECOND_NS / rate,
            first_ns: begin_ns,
        },
    );
    members.push(stage.agent(&cast, 0, plan.load, habit).up_to(plan.messages));
    let others = Crew::connect(members).await?;
    let (cut_off, finished) = tokio::join!(
        read_with_stall(&lone, plan, how),
        finish(&others, &stage, plan, begin_ns)
    );
    finished?;
    let mut part = judge(&others, &lone, plan.messages);
    part.cut_off = cut_off?;
    part.others_p50_ms = stage.meter.borrow().to_user.ms(0.5);
    part.troubles = stage.meter.borrow().troubles + apart.meter.borrow().troubles;
    part.rss_peak_mib = mib(server.usage().unwrap_or_default().rss_peak_bytes);
    others.stop().await?;
    Ok(part)
}

/// What came to whom.
fn judge(others: &Crew, lone: &Member, messages: u64) -> Part {
    let (mut part, lone) = (Part::default(), lone.peer.borrow());
    // The last one is the agent, to whom nobody writes.
    for member in others.members.iter().rev().skip(1) {
        part.others += member.peer.borrow().desk.faults(|_| messages);
    }
    part.stalled = lone.desk.faults(|_| messages);
    part.repeated = lone.desk.repeated();
    part
}

/// Lets the agent send, and waits until the others have everything.
async fn finish(others: &Crew, stage: &Stage, plan: &Plan, begin_ns: u64) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_nanos(begin_ns.saturating_sub(now_ns()))).await;
    stage.go(others);
    let wanted = plan.messages * (plan.readers - 1);
    let bar = progress::bar("stall", wanted);
    let all = |crew: &Crew| {
        let received = crew.sum(Desk::received);
        bar.set_position(received);
        received >= wanted
    };
    others.wait(plan.longest(), all).await?;
    bar.finish_and_clear();
    Ok(())
}

/// Reads, stops reading, and reads on until everything is there; returns how the server cut it
/// off, if it did.
async fn read_with_stall(lone: &Member, plan: &Plan, how: Stall) -> anyhow::Result<Vec<String>> {
    let mut socket = Socket::open(&lone.dial).await?;
    let (mut cut_off, begin) = (Vec::new(), Instant::now());
    let end = begin + plan.longest();
    // The pace begins a second after the sockets are open.
    let mut look = tokio::time::timeout(BEFORE * 2, lone.drive(&mut socket)).await;
    if how != Stall::Never {
        tokio::time::sleep(plan.stall).await;
    }
    if how == Stall::ComesBack {
        drop(socket);
        lone.peer.borrow_mut().cut(None);
        socket = Socket::open(&lone.dial).await?;
    }
    while Instant::now() < end && lone.peer.borrow().desk.received() < plan.messages {
        if let Ok(closed) = look {
            cut_off.push(format!("{closed:?} after {:?}", begin.elapsed()));
            lone.peer.borrow_mut().cut(None);
            socket = Socket::open(&lone.dial).await?;
        }
        look = tokio::time::timeout(Duration::from_millis(20), lone.drive(&mut socket)).await;
    }
    Ok(cut_off)
}

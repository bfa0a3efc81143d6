//! One agent writes to many devices of one user: how many deliveries a second, and that nobody
//! is cut off and every device sees everything in order.

use crate::clock::{now_ns, ns};
use crate::desk::{Desk, Dialect};
use crate::peer::{Crew, Habit, Member};
use crate::progress;
use crate::report::{Report, Target, mib};
use crate::stage::{self, Load, Source, Stage, Watch, Watched};
use std::rc::Rc;
use std::time::Duration;

/// Longest wait for what is still under way at the end.
const DRAIN: Duration = Duration::from_secs(30);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Devices of the user.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub devices: u64,
    /// Messages of the agent that are not acknowledged.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub window: u64,
    /// Bytes of a message's text.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(37..=32768))]
    pub body: u64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = Dialect::V1)]
    pub dialect: Dialect,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let (server, cast) = stage::assemble(source, 1, 1).await?;
    let (server, stage) = (Rc::new(server), Stage::new()?);
    let load = Load::plain(args.dialect, args.body);
    let mut members: Vec<Member> = (0..args.devices)
        .map(|device| stage.user(&cast, 0, &format!("device{device}"), load, Habit::Listen))
        .collect();
    let ask = Habit::Ask {
        window: args.window as usize,
        until_echo: false,
    };
    members.push(stage.agent(&cast, 0, load, ask));
    let crew = Crew::connect(members).await?;
    stage.go(&crew);
    progress::wait("warm-up", Duration::from_secs(1)).await;
    let (from_ns, span) = (now_ns(), Duration::from_secs(args.seconds));
    stage
        .meter
        .borrow_mut()
        .measure(from_ns, from_ns + ns(span));
    let watch = Watch::begin(&server);
    progress::wait("fanout", span).await;
    let watched = watch.end();
    stage.sending.set(false);
    let sent = stage::sent_by_lane(&crew, |index| index as u64 == args.devices)
        .values()
        .sum::<u64>();
    let all = |crew: &Crew| {
        crew.sum(Desk::received) >= sent * args.devices && crew.sum(Desk::unacked) == 0
    };
    let drained = crew.wait(DRAIN, all).await;
    let Args {
        devices,
        window,
        dialect,
        ..
    } = args;
    let run = format!(
        "fanout to {devices} devices, window {window}, {}",
        dialect.name()
    );
    let mut report = Report::new(run);
    if !matches!(drained, Ok(true)) {
        report.note(format!("not everything came within {DRAIN:?}: {drained:?}"));
    }
    tell(&mut report, &stage, &watched);
    report.none("cut off", crew.ended().len() as u64);
    stage::tell_faults(&mut report, stage::faults(&crew, args.devices as usize));
    stage.tell_troubles(&mut report);
    crew.stop().await?;
    Ok(report)
}

fn tell(report: &mut Report, stage: &Stage, watched: &Watched) {
    let meter = stage.meter.borrow();
    let deliveries = meter.deliveries as f64;
    report.aim(
        "deliveries",
        deliveries / meter.seconds(),
        "1/s",
        Target::AtLeast(600_000.0),
    );
    report.tell("messages", meter.acks as f64 / meter.seconds(), "1/s");
    report.tell("ack p50", meter.ack.ms(0.5), "ms");
    report.tell("delivery p50", meter.to_user.ms(0.5), "ms");
    report.tell("delivery p99", meter.to_user.ms(0.99), "ms");
    report.tell(
        "server CPU a delivery",
        watched.server_cpu_s * 1e6 / deliveries.max(1.0),
        "us",
    );
    report.tell("server cores", watched.server_cpu_s / meter.seconds(), "");
    report.tell(
        "load client cores (its bound is 1)",
        watched.client_cpu_s / meter.seconds(),
        "",
    );
    report.tell("RSS peak", mib(watched.usage.rss_peak_bytes), "MiB");
}

//! Very many sockets on which nothing happens: what each costs in memory, what all cost in time,
//! and that every one of them still hears a message.

use crate::cast::Cast;
use crate::desk::{Desk, Dialect};
use crate::peer::{Crew, Habit, Member};
use crate::progress;
use crate::report::{Report, Target, mib};
use crate::stage::{self, Load, Source, Stage, Watch};
use anyhow::Context;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Devices of one user: a server remembers 64.
const DEVICES: u64 = 50;
/// Longest wait for the last message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Descriptors for the largest run.
const WANTED: u64 = 65_536;

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sockets.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(50..=25_000))]
    pub sockets: u64,
    /// Seconds of silence.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = Dialect::V1)]
    pub dialect: Dialect,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let descriptors = raise_descriptors();
    // Two each in the server, which inherits the limit.
    anyhow::ensure!(
        descriptors >= args.sockets * 2 + 150,
        "the limit of open files is {descriptors}, which allows --sockets {} at most",
        descriptors.saturating_sub(150) / 2
    );
    let users = args.sockets.div_ceil(DEVICES);
    let (server, cast) = stage::assemble(source, users as usize, 1).await?;
    let (server, stage) = (Rc::new(server), Stage::new()?);
    let load = Load::plain(args.dialect, 128);
    let before = server.usage().context("a server of its own")?;
    let begin = Instant::now();
    let listen = |number: u64| -> Member {
        let (user, device) = ((number / DEVICES) as usize, number % DEVICES);
        stage.user(&cast, user, &format!("d{device}"), load, Habit::Listen)
    };
    let crew = Crew::connect((0..args.sockets).map(listen).collect()).await?;
    let connected = begin.elapsed();
    progress::wait("settling", Duration::from_secs(3)).await;
    let watch = Watch::begin(&server);
    progress::wait("idle", Duration::from_secs(args.seconds)).await;
    let watched = watch.end();
    let each =
        watched.usage.rss_bytes.saturating_sub(before.rss_bytes) as f64 / args.sockets as f64;
    let mut report = Report::new(format!(
        "idle {} sockets, {}",
        args.sockets,
        args.dialect.name()
    ));
    report.aim(
        "RSS of a socket",
        each / 1024.0,
        "KiB",
        Target::AtMost(32.0),
    );
    report.tell("RSS", mib(watched.usage.rss_bytes), "MiB");
    report.tell(
        "connected",
        args.sockets as f64 / connected.as_secs_f64(),
        "1/s",
    );
    let cores = watched.server_cpu_s / args.seconds as f64;
    report.tell("server cores while idle", cores, "");
    everyone_hears(&cast, &stage, &crew, (args, load), &mut report).await?;
    crew.stop().await?;
    Ok(report)
}

/// One message to each user reaches every device.
async fn everyone_hears(
    cast: &Cast,
    stage: &Stage,
    crew: &Crew,
    (args, load): (&Args, Load),
    report: &mut Report,
) -> anyhow::Result<()> {
    let users = cast.users.len() as u64;
    let ask = Habit::Ask {
        window: 64,
        until_echo: false,
    };
    let agent = stage.agent(cast, 0, load, ask).up_to(users);
    let speaker = Crew::connect(vec![agent]).await?;
    stage.go(&speaker);
    let heard = |crew: &Crew| crew.sum(Desk::received) == args.sockets;
    let all = crew.wait(PATIENCE, heard).await?;
    report.none(
        "sockets that heard nothing",
        args.sockets - crew.sum(Desk::received),
    );
    report.none("not all heard in time", u64::from(!all));
    report.none("cut off", crew.ended().len() as u64);
    report.tell("spoken", speaker.sum(Desk::acks) as f64, "");
    stage.tell_troubles(report);
    speaker.stop().await?;
    Ok(())
}

/// As many descriptors as the system allows, for this process and for the servers that it starts:
/// one a socket here, two there.
fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: Some(WANTED),
        maximum: limit.maximum.map(|maximum| maximum.max(WANTED)),
    };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        // Only root may go beyond.
        let current = limit.maximum;
        let _: Result<(), _> = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

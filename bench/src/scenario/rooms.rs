//! Conversations with many members, as rooms will be: one agent writes, every member hears it on a
//! device of their own. The members are put into the conversation through the store while the
//! server is down: no door makes rooms yet.

use crate::cast::Cast;
use crate::clock::{now_ns, ns};
use crate::desk::{Desk, Dialect};
use crate::peer::{Crew, Habit, Member};
use crate::progress;
use crate::report::{Report, Target};
use crate::stage::{self, Load, Source, Stage, Watch, Watched};
use anyhow::{Context, ensure};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::{
    BatchPermit, CommitSink, MemberRole, Outcome, Principal, Store, StoreConfig, SystemClock,
};

/// Longest wait for what is still under way at the end.
const DRAIN: Duration = Duration::from_secs(30);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Members beside the agent.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=1000))]
    pub members: u64,
    /// Messages of the agent that are not acknowledged.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub window: u64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = Dialect::V1)]
    pub dialect: Dialect,
}

/// Nobody is connected while members are put in.
struct Nobody;

impl CommitSink for Nobody {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, _outcomes: Vec<Outcome>) {}
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let (mut server, mut cast) = stage::assemble(source, args.members as usize, 1).await?;
    server.kill().await?;
    join(&server.database().context("a server on SQLite")?, &mut cast).await?;
    server.spawn().await?;
    let (server, stage) = (Rc::new(server), Stage::new()?);
    let load = Load::plain(args.dialect, 128);
    let listen = |user: usize| stage.member(&cast, user, load, Habit::Listen);
    let mut members: Vec<Member> = (0..cast.users.len()).map(listen).collect();
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
    progress::wait("rooms", span).await;
    let watched = watch.end();
    stage.sending.set(false);
    let sent = stage::sent_by_lane(&crew, |index| index as u64 == args.members)
        .values()
        .sum::<u64>();
    let all = |crew: &Crew| {
        crew.sum(Desk::received) >= sent * args.members && crew.sum(Desk::unacked) == 0
    };
    let drained = crew.wait(DRAIN, all).await?;
    let mut report = Report::new(format!(
        "rooms: 1 agent to {} members, window {}, {}",
        args.members,
        args.window,
        args.dialect.name()
    ));
    tell(&mut report, &stage, &watched);
    report.none("not everything came in time", u64::from(!drained));
    report.none("cut off", crew.ended().len() as u64);
    stage::tell_faults(&mut report, stage::faults(&crew, args.members as usize));
    stage.tell_troubles(&mut report);
    crew.stop().await?;
    Ok(report)
}

fn tell(report: &mut Report, stage: &Stage, watched: &Watched) {
    let meter = stage.meter.borrow();
    let deliveries = meter.deliveries as f64;
    let rate = Target::AtLeast(600_000.0);
    report.aim("deliveries", deliveries / meter.seconds(), "1/s", rate);
    report.tell("messages", meter.acks as f64 / meter.seconds(), "1/s");
    report.tell("ack p50", meter.ack.ms(0.5), "ms");
    report.tell("delivery p99", meter.to_user.ms(0.99), "ms");
    let cpu = watched.server_cpu_s * 1e6 / deliveries.max(1.0);
    report.tell("server CPU a delivery", cpu, "us");
}

/// Puts every user into the first user's conversation, which becomes the only lane.
async fn join(database: &std::path::Path, cast: &mut Cast) -> anyhow::Result<()> {
    cast.lanes.truncate(1);
    let lane = cast.lanes.first().context("a conversation")?;
    let id = protocol::ConversationId::parse(lane.conversation.clone())
        .map_err(|error| anyhow::anyhow!("{}", error.0))?;
    let store = Store::open(
        StoreConfig::at(database),
        Arc::new(SystemClock),
        Arc::new(Nobody),
    )?;
    let wanted = cast.users.len();
    let joined = store
        .write(move |conn| {
            let row = store::conversation::find(conn, &id)?.ok_or(store::StoreError::NotFound)?;
            let mut joined = 1;
            for user in store::user::list(conn, 10_000, None)? {
                let who = Principal::user(user.key);
                if !store::conversation::is_member(conn, row.key, who)? {
                    store::conversation::add_member(conn, row.key, who, MemberRole::Member)?;
                    joined += 1;
                }
            }
            Ok(joined)
        })
        .await?;
    store.close();
    ensure!(joined == wanted, "{joined} of {wanted} members are in");
    Ok(())
}

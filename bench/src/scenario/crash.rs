//! SIGKILL under load, again and again on the same data directory. After each, what was
//! acknowledged is compared with what is stored; everybody comes back, repeats what was not
//! acknowledged (and a little that was), and in the end everything is stored once, in order, and
//! delivered. After the last, the logs of all runs are read once more.

use crate::body::Side;
use crate::cast::{Api, Cast, User};
use crate::desk::{Desk, Dialect};
use crate::history::{self, Faults, Stored};
use crate::peer::{Crew, Habit, Member};
use crate::progress;
use crate::report::Report;
use crate::server::Server;
use crate::stage::{self, Load, Source, Stage};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Longest wait for what has not come after a restart.
const PATIENCE: Duration = Duration::from_secs(20);
/// Acknowledged messages of each lane that are sent again: the answer must be the first one.
const REPEATED: usize = 3;

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Kills.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub runs: u64,
    /// Users.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub users: u64,
    /// Agents that echo.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=20))]
    pub agents: u64,
    /// Messages a user has under way.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub window: u64,
    /// Milliseconds of load before a kill, on average.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub load: u64,
    /// The wire; both in turn if none is given.
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,
}

#[derive(Default)]
struct Tally {
    stored: Faults,
    delivered: Faults,
    never_acknowledged: u64,
    repeated: u64,
    repeated_despite_positions: u64,
    acked: u64,
    troubles: u64,
    words: Vec<String>,
    ready_ms: Vec<f64>,
}

impl Tally {
    fn take_troubles(&mut self, run: u64, stage: &Stage) {
        let meter = stage.meter.borrow();
        self.troubles += meter.troubles;
        self.words.extend(
            meter
                .first_troubles
                .iter()
                .map(|words| format!("run {run}: {words}")),
        );
    }
}

/// A log of an earlier run, to be read again at the end.
struct Past {
    user: User,
    conversation: String,
    digest: u64,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let mut server = source.server().await?;
    let bar = progress::bar("crash", args.runs);
    let (mut tally, mut past) = (Tally::default(), Vec::new());
    for run in 0..args.runs {
        let turn = if run % 2 == 0 {
            Dialect::V1
        } else {
            Dialect::V2
        };
        let dialect = args.dialect.unwrap_or(turn);
        // New ones each time, who have no conversations of earlier runs.
        let cast = Cast::assemble(&server, args.users as usize, args.agents as usize).await?;
        past.extend(once(&mut server, &cast, args, (run, dialect), &mut tally).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let changed = audit(&Api::of(&server)?, &past).await?;
    Ok(report(args, &mut tally, changed))
}

/// One kill: load, kill, compare, come back, compare again.
async fn once(
    server: &mut Server,
    cast: &Cast,
    args: &Args,
    (run, dialect): (u64, Dialect),
    tally: &mut Tally,
) -> anyhow::Result<Vec<Past>> {
    let stage = Stage::new()?;
    let crew = Crew::connect(members(cast, args.window, dialect, &stage)).await?;
    stage.go(&crew);
    // From half to one and a half of the wanted time: kills fall on any moment of a commit.
    let load_ms = args.load / 2 + (run * 7_919) % args.load;
    tokio::time::sleep(Duration::from_millis(load_ms)).await;
    if let Some(why) = crew.ended().first() {
        anyhow::bail!("a connection ended before the kill: {why}");
    }
    server.kill().await?;
    let members = crew.stop().await?;
    server.spawn().await?;
    tally
        .ready_ms
        .push(server.ready_after.as_secs_f64() * 1000.0);
    for (lane, told) in told(cast, &members) {
        tally.acked += told.iter().map(|told| told.acked.len() as u64).sum::<u64>();
        tally.stored += history::check_log(&read(cast, lane).await?, &told);
    }
    stage.sending.set(false);
    for member in &members {
        member.peer.borrow_mut().cut(Some(REPEATED));
    }
    let members = come_back(members, (run, dialect), &stage, tally).await?;
    let mut past = Vec::new();
    for (lane, told) in told(cast, &members) {
        let log = read(cast, lane).await?;
        tally.stored += history::check_log(&log, &told);
        let found = cast
            .lanes
            .get(lane)
            .and_then(|lane| Some((lane, cast.users.get(lane.user)?)));
        past.extend(found.map(|(lane, user)| Past {
            user: user.clone(),
            conversation: lane.conversation.clone(),
            digest: digest(&log),
        }));
    }
    Ok(past)
}

/// All connect again, repeat what was not acknowledged, and get what they missed.
async fn come_back(
    members: Vec<Member>,
    (run, dialect): (u64, Dialect),
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<Vec<Member>> {
    let users = members
        .iter()
        .filter(|member| member.peer.borrow().asks())
        .count();
    let crew = Crew::connect(members).await?;
    if !crew.wait(PATIENCE, |crew| is_quiet(crew, users)).await? {
        tally.words.push(format!(
            "run {run}: not everything came within {PATIENCE:?}"
        ));
    }
    let calm = Duration::from_millis(50);
    crew.settle(u64::MAX, calm, PATIENCE, |crew| crew.sum(Desk::frames))
        .await;
    tally.never_acknowledged += crew.sum(Desk::unacked);
    let repeated = crew.sum(Desk::repeated);
    tally.repeated += repeated;
    tally.repeated_despite_positions += if dialect == Dialect::V2 { repeated } else { 0 };
    tally.delivered += stage::faults(&crew, users);
    tally.take_troubles(run, stage);
    crew.stop().await
}

fn members(cast: &Cast, window: u64, dialect: Dialect, stage: &Stage) -> Vec<Member> {
    let load = Load {
        repeatable: true,
        ..Load::plain(dialect, 128)
    };
    let ask = Habit::Ask {
        window: window as usize,
        until_echo: true,
    };
    let users = (0..cast.users.len()).map(|user| stage.user(cast, user, "bench", load, ask));
    let agents = (0..cast.agents.len()).map(|agent| stage.agent(cast, agent, load, Habit::Echo));
    users.chain(agents).collect()
}

/// For each lane, by its index, what its two senders were told.
fn told(cast: &Cast, members: &[Member]) -> Vec<(usize, Vec<history::Told>)> {
    let mut lanes: Vec<(usize, Vec<history::Told>)> = (0..cast.lanes.len())
        .map(|lane| (lane, Vec::new()))
        .collect();
    for (index, member) in members.iter().enumerate() {
        let side = if index < cast.users.len() {
            Side::User
        } else {
            Side::Agent
        };
        for lane in member.peer.borrow().desk.lanes() {
            let at = (lane.number()) as usize;
            if let Some((_, senders)) = lanes.get_mut(at) {
                senders.push(lane.told(side));
            }
        }
    }
    lanes
}

async fn read(cast: &Cast, lane: usize) -> anyhow::Result<Vec<Stored>> {
    let found = cast
        .lanes
        .get(lane)
        .and_then(|lane| Some((cast.users.get(lane.user)?, lane)));
    match found {
        Some((user, lane)) => cast.api.log(user, &lane.conversation).await,
        None => Ok(Vec::new()),
    }
}

fn is_quiet(crew: &Crew, users: usize) -> bool {
    let by_users: u64 = stage::sent_by_lane(crew, |index| index < users)
        .values()
        .sum();
    let by_agents: u64 = stage::sent_by_lane(crew, |index| index >= users)
        .values()
        .sum();
    crew.sum(Desk::unacked) == 0
        && by_agents == by_users
        && crew.sum(Desk::received) == by_users * 2
}

fn digest(log: &[Stored]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in log {
        (entry.seq, entry.what).hash(&mut hasher);
    }
    hasher.finish()
}

/// Logs of earlier runs that are no longer what they were.
async fn audit(api: &Api, past: &[Past]) -> anyhow::Result<u64> {
    let bar = progress::bar("audit", past.len() as u64);
    let mut changed = 0;
    for old in past {
        let log = api.log(&old.user, &old.conversation).await?;
        changed += u64::from(digest(&log) != old.digest);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(changed)
}

fn report(args: &Args, tally: &mut Tally, changed: u64) -> Report {
    let wire = args.dialect.map_or("v1 and v2", Dialect::name);
    let mut report = Report::new(format!(
        "crash {} kills, {} users, {} agents, {wire}",
        args.runs, args.users, args.agents
    ));
    report.tell("acknowledged before a kill", tally.acked as f64, "");
    report.none("acknowledged but missing", tally.stored.lost);
    report.none("stored twice", tally.stored.duplicated);
    report.none("stored out of order", tally.stored.reordered);
    report.none("stored in a wrong place", tally.stored.misplaced);
    report.none("never delivered", tally.delivered.lost);
    report.none(
        "delivered twice on one connection",
        tally.delivered.duplicated,
    );
    report.none("delivered out of order", tally.delivered.reordered);
    report.none("delivered to a wrong place", tally.delivered.misplaced);
    report.none(
        "never acknowledged, though repeated",
        tally.never_acknowledged,
    );
    report.tell(
        "delivered again on the next connection",
        tally.repeated as f64,
        "",
    );
    report.none(
        "of these, although v2 named its position",
        tally.repeated_despite_positions,
    );
    report.none("logs of earlier runs that changed", changed);
    report.none("refused or unreadable", tally.troubles);
    tally.ready_ms.sort_by(f64::total_cmp);
    let median = tally
        .ready_ms
        .get(tally.ready_ms.len() / 2)
        .copied()
        .unwrap_or(f64::NAN);
    report.tell("restart to ready, median", median, "ms");
    report.tell(
        "restart to ready, slowest",
        tally.ready_ms.last().copied().unwrap_or(f64::NAN),
        "ms",
    );
    tally.words.truncate(10);
    for words in tally.words.drain(..) {
        report.note(words);
    }
    report
}

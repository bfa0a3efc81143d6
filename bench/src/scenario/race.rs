//! A receiver connects while messages are being sent to it: what comes from the log and what
//! comes live must join without a change of order and without a hole.

use crate::cast::Cast;
use crate::desk::{Desk, Dialect};
use crate::history::Faults;
use crate::peer::{Crew, Habit};
use crate::progress;
use crate::report::Report;
use crate::server::Server;
use crate::stage::{Load, Source, Stage};
use anyhow::ensure;
use std::time::Duration;

const NO_ACKS: &str = "the sender's messages were not acknowledged in time";
/// Longest wait for what has not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// When nothing has come for this long, nothing will.
const CALM: Duration = Duration::from_secs(3);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Messages of one repeat.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub messages: u64,
    /// Repeats, each with a new agent that connects at another moment.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub repeats: u64,
    /// The wire; both in turn if none is given.
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let server = source.server().await?;
    let bar = progress::bar("race", args.repeats);
    let wire = args.dialect.map_or("v1 and v2", Dialect::name);
    let Args {
        messages, repeats, ..
    } = args;
    let mut report = Report::new(format!("race {repeats} times {messages} messages, {wire}"));
    let (mut faults, mut troubles) = (Faults::default(), 0);
    for repeat in 0..args.repeats {
        let turn = if repeat % 2 == 0 {
            Dialect::V1
        } else {
            Dialect::V2
        };
        let dialect = args.dialect.unwrap_or(turn);
        // Another moment each time, from the first message to the last.
        let moment = args.messages * repeat / args.repeats;
        let stage = Stage::new()?;
        faults += once(&server, &stage, args.messages, moment, dialect).await?;
        troubles += stage.meter.borrow().troubles;
        for words in &stage.meter.borrow().first_troubles {
            report.note(words.clone());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.none("stranded", faults.lost);
    report.none("out of order", faults.reordered);
    report.none("duplicated", faults.duplicated);
    report.none("misplaced", faults.misplaced);
    report.none("refused or unreadable", troubles);
    Ok(report)
}

async fn once(
    server: &Server,
    stage: &Stage,
    messages: u64,
    moment: u64,
    dialect: Dialect,
) -> anyhow::Result<Faults> {
    let cast = Cast::assemble(server, 1, 1).await?;
    let load = Load::plain(dialect, 128);
    let ask = Habit::Ask {
        window: 64,
        until_echo: false,
    };
    let sender = stage.user(&cast, 0, "bench", load, ask).up_to(messages);
    let sender = Crew::connect(vec![sender]).await?;
    stage.go(&sender);
    ensure!(
        sender
            .wait(PATIENCE, |crew| crew.sum(Desk::acks) >= moment)
            .await?,
        "{NO_ACKS}"
    );
    let reader = Crew::connect(vec![stage.agent(&cast, 0, load, Habit::Listen)]).await?;
    ensure!(
        sender
            .wait(PATIENCE, |crew| crew.sum(Desk::acks) == messages)
            .await?,
        "{NO_ACKS}"
    );
    reader
        .settle(messages, CALM, PATIENCE, |crew| crew.sum(Desk::received))
        .await;
    let calm = Duration::from_millis(50);
    reader
        .settle(u64::MAX, calm, PATIENCE, |crew| crew.sum(Desk::frames))
        .await;
    sender.stop().await?;
    let mut faults = Faults::default();
    for member in reader.stop().await? {
        faults += member.peer.borrow().desk.faults(|_| messages);
    }
    Ok(faults)
}

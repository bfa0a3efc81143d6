//! Many messages to an agent that is away; then it connects: nothing is lost, all is in order,
//! and it comes fast.

use crate::clock::now_ns;
use crate::desk::{Desk, Dialect};
use crate::peer::{Crew, Habit};
use crate::report::{Report, Target};
use crate::stage::{self, Load, Source, Stage};
use anyhow::ensure;
use std::time::Duration;

/// Longest wait for all acks, and for all deliveries.
const PATIENCE: Duration = Duration::from_secs(30);

/// When nothing has come for this long, nothing will.
const CALM: Duration = Duration::from_secs(3);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Messages.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub messages: u64,
    /// Bytes of a message's text.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(37..=32768))]
    pub body: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = Dialect::V1)]
    pub dialect: Dialect,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let (_server, cast) = stage::assemble(source, 1, 1).await?;
    let (stage, load) = (Stage::new()?, Load::plain(args.dialect, args.body));
    let ask = Habit::Ask {
        window: 128,
        until_echo: false,
    };
    let sender = stage
        .user(&cast, 0, "bench", load, ask)
        .up_to(args.messages);
    let sender = Crew::connect(vec![sender]).await?;
    stage.go(&sender);
    let stored = |crew: &Crew| crew.sum(Desk::acks) == args.messages;
    ensure!(
        sender.wait(PATIENCE, stored).await?,
        "not every message was acknowledged"
    );

    let reader = stage.agent(&cast, 0, load, Habit::Listen);
    let begin_ns = now_ns();
    let reader = Crew::connect(vec![reader]).await?;
    let received = |crew: &Crew| crew.sum(Desk::received);
    reader.settle(args.messages, CALM, PATIENCE, received).await;
    let seconds = (now_ns() - begin_ns) as f64 / 1e9;
    // Whatever comes twice comes soon after.
    let frames = |crew: &Crew| crew.sum(Desk::frames);
    reader
        .settle(u64::MAX, Duration::from_millis(300), PATIENCE, frames)
        .await;
    let mut report = Report::new(format!(
        "offline {} messages, {}",
        args.messages,
        args.dialect.name()
    ));
    let received = reader.sum(Desk::received);
    report.aim(
        "drained, from connecting to the last",
        received as f64 / seconds,
        "1/s",
        Target::AtLeast(50_000.0),
    );
    let mut crew = reader.stop().await?;
    let faults = crew
        .pop()
        .map(|member| member.peer.borrow().desk.faults(|_| args.messages))
        .unwrap_or_default();
    stage::tell_faults(&mut report, faults);
    stage.tell_troubles(&mut report);
    sender.stop().await?;
    Ok(report)
}

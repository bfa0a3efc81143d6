//! Reading pages of a long conversation over HTTP: the newest, one in the middle, the oldest. The
//! depth must not matter.

use crate::desk::{Desk, Dialect};
use crate::peer::{Crew, Habit};
use crate::reader::{self, Reads};
use crate::report::{Report, Target};
use crate::stage::{self, Load, Source, Stage};
use anyhow::{Context, ensure};
use std::time::Duration;

/// Longest wait for the messages to be stored.
const PATIENCE: Duration = Duration::from_secs(120);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Messages in the conversation.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    pub messages: u64,
    /// Clients, each with one request under way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub clients: u64,
    /// Rows of a page.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub rows: u64,
    /// Seconds for each depth.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let (server, cast) = stage::assemble(source, 1, 1).await?;
    let (stage, load) = (Stage::new()?, Load::plain(Dialect::V1, 128));
    let ask = Habit::Ask {
        window: 256,
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
        "not every message was stored"
    );
    sender.stop().await?;
    let user = cast.users.first().context("a user")?;
    let lane = cast.lanes.first().context("a conversation")?;
    let mut report = Report::new(format!(
        "history, pages of {} from {} messages, {} clients",
        args.rows, args.messages, args.clients
    ));
    let mut newest = None;
    for (name, place) in [
        ("newest", String::new()),
        ("middle", format!("&before={}", args.messages / 2)),
        ("oldest", format!("&before={}", args.rows + 1)),
    ] {
        let path = format!(
            "/conversations/{}/messages?limit={}{place}",
            lane.conversation, args.rows
        );
        let request = reader::get(server.address(), &path, &user.token);
        let span = Duration::from_secs(args.seconds);
        let reads = reader::repeat(server.address(), &request, args.clients, span).await?;
        tell(&mut report, name, &reads, newest);
        newest = newest.or(Some(reads.rate()));
    }
    Ok(report)
}

fn tell(report: &mut Report, name: &str, reads: &Reads, newest: Option<f64>) {
    if let Some(newest) = newest {
        report.tell(&format!("{name}: pages"), reads.rate(), "1/s");
        report.aim(
            &format!("{name} / newest"),
            reads.rate() / newest,
            "",
            Target::AtLeast(0.8),
        );
    } else {
        let (rate, p99) = (Target::AtLeast(10_000.0), Target::AtMost(5.0));
        report.aim(&format!("{name}: pages"), reads.rate(), "1/s", rate);
        report.aim(&format!("{name}: p99"), reads.ms(0.99), "ms", p99);
    }
    report.tell(&format!("{name}: p50"), reads.ms(0.5), "ms");
    let size = reads.bytes as f64 / reads.delays.len().max(1) as f64 / 1024.0;
    report.tell(&format!("{name}: size of a page"), size, "KiB");
}

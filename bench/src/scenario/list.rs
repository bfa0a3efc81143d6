//! Reading the list of somebody's conversations over HTTP, with the last message and the count of
//! what is unread of each.

use crate::desk::Desk;
use crate::desk::Dialect;
use crate::peer::{Crew, Habit};
use crate::reader;
use crate::report::{Report, Target};
use crate::stage::{self, Load, Source, Stage};
use anyhow::{Context, ensure};
use std::time::Duration;

/// Longest wait for the messages to be stored.
const PATIENCE: Duration = Duration::from_secs(60);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Conversations of the user.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=500))]
    pub conversations: u64,
    /// Messages in each, on average.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub messages: u64,
    /// Items of a page; the whole list if it is not smaller.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=500))]
    pub page: u64,
    /// Clients, each with one request under way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub clients: u64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let (server, cast) = stage::assemble(source, 1, args.conversations as usize).await?;
    let (stage, load) = (Stage::new()?, Load::plain(Dialect::V1, 128));
    // The agents write, so that everything is unread.
    let each = |agent| {
        let ask = Habit::Ask {
            window: 8,
            until_echo: false,
        };
        stage.agent(&cast, agent, load, ask).up_to(args.messages)
    };
    let agents = Crew::connect((0..cast.agents.len()).map(each).collect()).await?;
    stage.go(&agents);
    let all = args.messages * args.conversations;
    let stored = |crew: &Crew| crew.sum(Desk::acks) == all;
    ensure!(
        agents.wait(PATIENCE, stored).await?,
        "not every message was stored"
    );
    agents.stop().await?;
    let user = cast.users.first().context("a user")?;
    let mut report = Report::new(format!(
        "list of {} conversations, {} a page, {} clients",
        args.conversations, args.page, args.clients
    ));
    let path = format!("/conversations?limit={}", args.page);
    let request = reader::get(server.address(), &path, &user.token);
    let span = Duration::from_secs(args.seconds);
    let reads = reader::repeat(server.address(), &request, args.clients, span).await?;
    report.aim("lists", reads.rate(), "1/s", Target::AtLeast(1_000.0));
    report.tell("p50", reads.ms(0.5), "ms");
    report.tell("p99", reads.ms(0.99), "ms");
    let size = reads.bytes as f64 / reads.delays.len().max(1) as f64 / 1024.0;
    report.tell("size of a list", size, "KiB");
    Ok(report)
}

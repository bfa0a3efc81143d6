//! One user, one agent, one message under way: how long an ack takes when nothing else goes on.

use crate::report::Report;
use crate::scenario::throughput;
use crate::stage::Source;

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// The wire.
    #[arg(long, value_enum, default_value_t = crate::desk::Dialect::V1)]
    pub dialect: crate::desk::Dialect,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let parameters = throughput::Args {
        users: 1,
        agents: 1,
        window: 1,
        seconds: args.seconds,
        warmup: 1,
        dialect: args.dialect,
        ..throughput::Args::standard()
    };
    let mut report = throughput::run(source, &parameters).await?;
    report.run = format!("latency 1 user, 1 agent, window 1, {}", args.dialect.name());
    Ok(report)
}

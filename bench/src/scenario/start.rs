//! From spawning the server on an empty data directory to the first answer that it is ready, and
//! the memory it holds when nothing goes on.

use crate::progress;
use crate::report::{Report, Target, mib};
use crate::stage::Source;
use std::time::Duration;

/// How long a server idles before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Starts, each on an empty directory.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub repeats: u64,
}

/// Runs it.
pub async fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let bar = progress::bar("start", args.repeats);
    let (mut ready_ms, mut idle_mib) = (Vec::new(), 0.0_f64);
    for _ in 0..args.repeats {
        let server = source.server().await?;
        ready_ms.push(server.ready_after.as_secs_f64() * 1000.0);
        tokio::time::sleep(IDLE).await;
        let rss = server.usage().unwrap_or_default().rss_bytes;
        idle_mib = idle_mib.max(mib(rss));
        bar.inc(1);
    }
    bar.finish_and_clear();
    ready_ms.sort_by(f64::total_cmp);
    let mut report = Report::new(format!("start {} times on an empty database", args.repeats));
    let median = ready_ms
        .get(ready_ms.len() / 2)
        .copied()
        .unwrap_or(f64::NAN);
    report.aim(
        "start to ready, median",
        median,
        "ms",
        Target::AtMost(200.0),
    );
    report.tell(
        "start to ready, slowest",
        ready_ms.last().copied().unwrap_or(f64::NAN),
        "ms",
    );
    report.aim("idle RSS, largest", idle_mib, "MiB", Target::AtMost(30.0));
    Ok(report)
}

//! The bare writer: the same statements as the server's, one connection, a commit with fsync for
//! each group, nothing else. What the disk and the database allow; the server's figure is read
//! as a share of it.

use crate::progress;
use crate::report::Report;
use crate::scenario::throughput;
use crate::stage::Source;
use anyhow::Context;
use protocol::limits::WRITER_BATCH;

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Rows to write.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rows: u64,
    /// Rows of one commit; the server's writer takes at most as many.
    #[arg(long, default_value_t = WRITER_BATCH as u64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub batch: u64,
    /// Conversations that the rows go to in turn.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub conversations: u64,
    /// Bytes of a row's text.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=32768))]
    pub body: u64,
}

impl Args {
    /// The rows that a throughput run stores.
    pub fn like(run: &throughput::Args) -> Self {
        Self {
            rows: 300_000,
            batch: WRITER_BATCH as u64,
            conversations: run.users * run.agents,
            body: run.body,
        }
    }
}

/// Runs it.
pub fn run(source: &Source, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new(format!("floor {} rows, {} a commit", args.rows, args.batch));
    report.tell("floor", rows_per_second(source, args)?, "rows/s");
    Ok(report)
}

/// Rows a second through the bare writer, in a data directory like a server's.
pub fn rows_per_second(source: &Source, args: &Args) -> anyhow::Result<f64> {
    let Source::Launch(launch) = source else {
        anyhow::bail!(
            "`floor` writes a database of its own: it cannot run against a server elsewhere"
        );
    };
    std::fs::create_dir_all(&launch.data_root)?;
    let folder = tempfile::Builder::new()
        .prefix("floor-")
        .tempdir_in(&launch.data_root)?;
    let bar = progress::bar("floor", 1);
    let (rows, batch, conversations, body) = (args.rows, args.batch, args.conversations, args.body);
    let path = folder.path().join("floor.db");
    let sizes = [rows, batch, conversations, body].map(|size| size as usize);
    let [rows, batch, conversations, body] = sizes;
    // It blocks this thread, on which nothing else runs meanwhile.
    let result = store::floor::run(&path.as_path().into(), rows, batch, conversations, body);
    bar.finish_and_clear();
    Ok(result.context("the bare writer failed")?.rows_per_second())
}

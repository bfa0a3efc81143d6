//! Every scenario with the parameters of the project's table of targets, one after the other, in
//! one table. `--quick` shortens them: it finds what is broken, but its figures say less.

use crate::desk::Dialect;
use crate::report::Report;
use crate::scenario::{crash, fanout, latency, offline, race, stall, start, throughput};
use crate::stage::Source;
use anyhow::Context;

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Shorter runs and fewer repeats.
    #[arg(long)]
    pub quick: bool,
}

/// Runs them. A scenario that cannot finish is a report with a failed check.
pub async fn run(source: &Source, args: &Args, mut each: impl FnMut(&Report)) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut take = |name: &str, result: anyhow::Result<Report>| {
        let report = result.unwrap_or_else(|error| {
            let mut broken = Report::new(name);
            broken.none("runs that could not finish", 1);
            broken.note(format!("{error:#}"));
            broken
        });
        each(&report);
        reports.push(report);
    };
    let standard = throughput(args);
    let with_floor = throughput::Args {
        with_floor: matches!(source, Source::Launch(_)),
        ..standard.clone()
    };
    let open = |rate, seconds| throughput::Args {
        rate: Some(rate),
        no_echo: true,
        seconds,
        ..standard.clone()
    };
    take("throughput", throughput::run(source, &with_floor).await);
    let v2 = throughput::Args {
        dialect: Dialect::V2,
        ..standard.clone()
    };
    take("throughput v2", throughput::run(source, &v2).await);
    take(
        "open loop",
        throughput::run(source, &open(10_000, standard.seconds))
            .await
            .context("10,000/s"),
    );
    take(
        "latency",
        latency::run(
            source,
            &latency::Args {
                seconds: standard.seconds / 2,
                dialect: Dialect::V1,
            },
        )
        .await,
    );
    take("fanout", fanout::run(source, &fanout(args)).await);
    take(
        "offline",
        offline::run(
            source,
            &offline::Args {
                messages: 10_000,
                body: 128,
                dialect: Dialect::V1,
            },
        )
        .await,
    );
    take(
        "offline v2",
        offline::run(
            source,
            &offline::Args {
                messages: 10_000,
                body: 128,
                dialect: Dialect::V2,
            },
        )
        .await,
    );
    take(
        "race",
        race::run(
            source,
            &race::Args {
                messages: 2_000,
                repeats: 20,
                dialect: None,
            },
        )
        .await,
    );
    for dialect in [Dialect::V1, Dialect::V2] {
        take("stall", stall::run(source, &stall(args, dialect)).await);
    }
    take(
        "wal",
        throughput::run(source, &open(30_000, if args.quick { 10 } else { 60 }))
            .await
            .context("30,000/s"),
    );
    if matches!(source, Source::Launch(_)) {
        take("crash", crash::run(source, &crash(args)).await);
        take(
            "start",
            start::run(source, &start::Args { repeats: 5 }).await,
        );
    }
    reports
}

fn throughput(args: &Args) -> throughput::Args {
    let seconds = if args.quick { 4 } else { 10 };
    throughput::Args {
        seconds,
        ..throughput::Args::standard()
    }
}

fn fanout(args: &Args) -> fanout::Args {
    fanout::Args {
        devices: 100,
        window: 8,
        body: 128,
        seconds: if args.quick { 4 } else { 8 },
        dialect: Dialect::V1,
    }
}

fn stall(args: &Args, dialect: Dialect) -> stall::Args {
    let big = if dialect == Dialect::V1 { 20_000 } else { 0 };
    stall::Args {
        readers: 5,
        stall: if args.quick { 4 } else { 8 },
        rate: 5_000,
        big,
        dialect,
    }
}

fn crash(args: &Args) -> crash::Args {
    crash::Args {
        runs: if args.quick { 6 } else { 50 },
        users: 8,
        agents: 2,
        window: 16,
        load: 1_000,
        dialect: None,
    }
}

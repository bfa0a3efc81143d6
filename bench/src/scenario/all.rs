//! Every scenario with the parameters of the project's table of targets, one after the other, in
//! one table. `--quick` shortens them: it finds what is broken, but its figures say less.

use crate::desk::Dialect;
use crate::report::Report;
use crate::scenario::{crash, fanout, latency, offline, race, stall, start, throughput};
use crate::stage::Source;

/// Parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Shorter runs and fewer repeats.
    #[arg(long)]
    pub quick: bool,
}

/// Reports so far, each shown as soon as it is there.
struct Series<F> {
    reports: Vec<Report>,
    show: F,
}

impl<F: FnMut(&Report)> Series<F> {
    /// A scenario that cannot finish is a report with a failed check.
    fn take(&mut self, name: &str, result: anyhow::Result<Report>) {
        let report = result.unwrap_or_else(|error| {
            let mut broken = Report::new(name);
            broken.none("runs that could not finish", 1);
            broken.note(format!("{error:#}"));
            broken
        });
        (self.show)(&report);
        self.reports.push(report);
    }
}

/// Runs them.
pub async fn run(source: &Source, args: &Args, show: impl FnMut(&Report)) -> Vec<Report> {
    let mut series = Series {
        reports: Vec::new(),
        show,
    };
    let own = matches!(source, Source::Launch(_));
    if own {
        series.take(
            "start",
            start::run(source, &start::Args { repeats: 5 }).await,
        );
    }
    speed(source, args, own, &mut series).await;
    promises(source, args, &mut series).await;
    if own {
        series.take("crash", crash::run(source, &crash(args)).await);
    }
    series.reports
}

async fn speed<F: FnMut(&Report)>(source: &Source, args: &Args, own: bool, series: &mut Series<F>) {
    let standard = throughput(args);
    let with_floor = throughput::Args {
        with_floor: own,
        ..standard.clone()
    };
    series.take("throughput", throughput::run(source, &with_floor).await);
    let v2 = throughput::Args {
        dialect: Dialect::V2,
        ..standard.clone()
    };
    series.take("throughput v2", throughput::run(source, &v2).await);
    let open = throughput::Args {
        rate: Some(10_000),
        no_echo: true,
        ..standard.clone()
    };
    series.take("open loop 10,000/s", throughput::run(source, &open).await);
    let seconds = if args.quick { 10 } else { 60 };
    let long = throughput::Args {
        rate: Some(30_000),
        seconds,
        ..open
    };
    series.take("open loop 30,000/s", throughput::run(source, &long).await);
    let one = latency::Args {
        seconds: standard.seconds / 2,
        dialect: Dialect::V1,
    };
    series.take("latency", latency::run(source, &one).await);
    series.take("fanout", fanout::run(source, &fanout(args)).await);
}

async fn promises<F: FnMut(&Report)>(source: &Source, args: &Args, series: &mut Series<F>) {
    for dialect in [Dialect::V1, Dialect::V2] {
        let offline = offline::Args {
            messages: 10_000,
            body: 128,
            dialect,
        };
        series.take("offline", offline::run(source, &offline).await);
    }
    let race = race::Args {
        messages: 2_000,
        repeats: 20,
        dialect: None,
    };
    series.take("race", race::run(source, &race).await);
    for dialect in [Dialect::V1, Dialect::V2] {
        series.take("stall", stall::run(source, &stall(args, dialect)).await);
    }
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
        receive_buffer: None,
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

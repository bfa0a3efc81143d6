//! The scenarios against a stand-in server: a sound server passes each, and one that loses,
//! repeats or reorders a single delivery is found out.

mod standin;

use bench::desk::Dialect;
use bench::report::Report;
use bench::scenario::{fanout, latency, offline, race, throughput};
use bench::stage::Source;
use standin::Fault;
use std::future::Future;

fn source(fault: Fault) -> Source {
    Source::Running(
        format!("http://{}", standin::start(fault)),
        "secret".to_owned(),
    )
}

#[expect(clippy::unwrap_used, reason = "a test's helper: a panic fails it")]
fn on_one_thread<T>(run: impl Future<Output = anyhow::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new()
        .block_on(&runtime, run)
        .unwrap()
}

fn short(dialect: Dialect) -> throughput::Args {
    throughput::Args {
        users: 4,
        agents: 2,
        window: 8,
        seconds: 1,
        warmup: 0,
        dialect,
        ..throughput::Args::standard()
    }
}

fn failed(report: &Report) -> Vec<&str> {
    let wrong = report
        .figures
        .iter()
        .filter(|figure| figure.check && !figure.reached());
    wrong.map(|figure| figure.name.as_str()).collect()
}

fn sound(report: &Report) {
    assert_eq!(
        failed(report),
        Vec::<&str>::new(),
        "{}: {:?}",
        report.run,
        report.notes
    );
}

#[test]
fn a_sound_server_passes_the_throughput_run_in_both_dialects() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let report = on_one_thread(throughput::run(&source(Fault::None), &short(dialect)));
        sound(&report);
        assert!(report.value("stored").unwrap() > 0.0);
        assert!(report.value("ack p50").unwrap() > 0.0);
    }
}

#[test]
fn the_open_loop_keeps_its_rate() {
    let args = throughput::Args {
        rate: Some(500),
        no_echo: true,
        seconds: 2,
        ..short(Dialect::V1)
    };
    let report = on_one_thread(throughput::run(&source(Fault::None), &args));
    sound(&report);
    let stored = report.value("stored").unwrap();
    assert!((250.0..550.0).contains(&stored), "{stored} stored a second");
}

#[test]
fn a_sound_server_passes_the_other_runs() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let source = source(Fault::None);
        let offline = offline::Args {
            messages: 500,
            body: 128,
            dialect,
        };
        sound(&on_one_thread(offline::run(&source, &offline)));
        let race = race::Args {
            messages: 200,
            repeats: 4,
            dialect: Some(dialect),
        };
        sound(&on_one_thread(race::run(&source, &race)));
        let fanout = fanout::Args {
            devices: 10,
            window: 4,
            body: 300,
            seconds: 1,
            dialect,
        };
        sound(&on_one_thread(fanout::run(&source, &fanout)));
        sound(&on_one_thread(latency::run(
            &source,
            &latency::Args {
                seconds: 1,
                dialect,
            },
        )));
    }
}

#[test]
fn a_single_lost_delivery_is_found() {
    let args = offline::Args {
        messages: 50,
        body: 128,
        dialect: Dialect::V1,
    };
    let report = on_one_thread(offline::run(&source(Fault::Drop(20)), &args));
    assert_eq!(failed(&report), ["lost"]);
}

#[test]
fn a_single_repeated_delivery_is_found() {
    let args = offline::Args {
        messages: 300,
        body: 128,
        dialect: Dialect::V1,
    };
    let report = on_one_thread(offline::run(&source(Fault::Repeat(120)), &args));
    assert_eq!(failed(&report), ["duplicated"]);
}

#[test]
fn a_single_change_of_order_is_found_in_both_dialects() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let args = offline::Args {
            messages: 300,
            body: 128,
            dialect,
        };
        let report = on_one_thread(offline::run(&source(Fault::Swap(120)), &args));
        assert_eq!(failed(&report), ["out of order"]);
    }
}

//! Measures the bare writer: `cargo run --release -p am-store --example floor -- <folder>`.
#![expect(clippy::print_stdout, reason = "a table for a person")]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    println!(
        "{:>6} {:>6} {:>12} {:>10} {:>9} {:>9} {:>9}",
        "batch", "keyed", "rows/s", "cpu us/row", "commits", "restarts", "stall ms"
    );
    for (batch, keyed) in [
        (64, false),
        (256, false),
        (256, true),
        (1024, false),
        (1024, true),
    ] {
        let path = std::path::Path::new(&folder).join(format!("floor-{batch}-{keyed}.db"));
        let before = cpu_seconds();
        let run = if keyed {
            am_store::floor::run_keyed
        } else {
            am_store::floor::run
        };
        let result = run(&path.clone().into(), 300_000, batch, 1000, 128)?;
        let cpu = (cpu_seconds() - before) * 1e6 / result.rows as f64;
        println!(
            "{batch:>6} {keyed:>6} {:>12.0} {cpu:>10.1} {:>9} {:>9} {:>9.1}",
            result.rows_per_second(),
            result.commits,
            result.wal_restarts,
            result.checkpoint_stall_us as f64 / 1000.0
        );
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
    }
    Ok(())
}

/// User and system time of this process; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

//! `am-bench`: reads the command line, makes the servers' source, runs one scenario (or all),
//! and prints. The exit code is 1 if a check of loss, repeats or order failed, 2 if a run could
//! not finish.

use anyhow::Context;
use bench::report::{self, Report};
use bench::scenario::{
    all, crash, fanout, floor, history, idle, latency, list, offline, race, rooms, stall, start,
    throughput,
};
use bench::server::Launch;
use bench::stage::Source;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Agent Messenger on this machine: its speed, and that it loses, repeats and reorders
/// nothing. Only on the loopback.
#[derive(Parser)]
#[command(name = "am-bench", version)]
struct Options {
    /// The server's binary; default: beside this one, built if it is missing.
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    /// Another server's binary, to run the same in turn and compare.
    #[arg(long, global = true)]
    against: Option<PathBuf>,
    /// Rounds of a comparison.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// A server that runs already, `http://127.0.0.1:PORT`, with `RATE_LIMIT_DISABLED=1`.
    #[arg(long, global = true, conflicts_with_all = ["server", "against"], requires = "agent_secret")]
    url: Option<String>,
    /// The agent secret of the server that runs already.
    #[arg(long, global = true, env = "AGENT_SECRET", hide_env_values = true)]
    agent_secret: Option<String>,
    /// Where servers keep their data; on the disk that is to be measured.
    #[arg(long, global = true, default_value = "target/bench-data")]
    data_dir: PathBuf,
    /// A setting for the servers, `NAME=VALUE`; may be given several times.
    #[arg(long = "set", global = true, value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Also write the figures to this file as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand, Clone)]
enum Scenario {
    /// Many users and agents that echo: messages a second and delays.
    Throughput(throughput::Args),
    /// The bare writer with fsync for each group: what the disk and the database allow.
    Floor(floor::Args),
    /// One message under way.
    Latency(latency::Args),
    /// One agent to many devices.
    Fanout(fanout::Args),
    /// One agent to many members of one conversation.
    Rooms(rooms::Args),
    /// Very many sockets on which nothing happens.
    Idle(idle::Args),
    /// Pages of a long conversation over HTTP.
    History(history::Args),
    /// The list of conversations over HTTP.
    List(list::Args),
    /// Messages to an agent that is away.
    Offline(offline::Args),
    /// A receiver that connects while messages are sent to it.
    Race(race::Args),
    /// A reader that stops reading.
    Stall(stall::Args),
    /// SIGKILL under load.
    Crash(crash::Args),
    /// Start to ready, idle memory.
    Start(start::Args),
    /// All of them, with the parameters of the table of targets.
    All(all::Args),
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::select! {
            sound = measure(options) => sound,
            // Dropping the run ends its servers and removes their data.
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    })
}

async fn measure(options: &Options) -> anyhow::Result<bool> {
    let source = source(options)?;
    let mut reports = Vec::new();
    if let Some(other) = &options.against {
        let other = Source::Launch(launch(options, other)?);
        let mut others = Vec::new();
        for _ in 0..options.rounds {
            reports.extend(reports_of(&source, &options.scenario).await?);
            others.extend(reports_of(&other, &options.scenario).await?);
        }
        say(&report::comparison(&reports, &others));
        reports.extend(others);
    } else {
        reports = reports_of(&source, &options.scenario).await?;
        say(&report::table(&reports));
    }
    let json = serde_json::to_string(&reports)?;
    if let Some(path) = &options.json {
        std::fs::write(path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    } else {
        say(&json);
    }
    Ok(reports.iter().all(Report::sound))
}

async fn reports_of(source: &Source, scenario: &Scenario) -> anyhow::Result<Vec<Report>> {
    let report = match scenario {
        Scenario::Throughput(args) => throughput::run(source, args).await,
        Scenario::Floor(args) => floor::run(source, args),
        Scenario::Latency(args) => latency::run(source, args).await,
        Scenario::Fanout(args) => fanout::run(source, args).await,
        Scenario::Rooms(args) => rooms::run(source, args).await,
        Scenario::Idle(args) => idle::run(source, args).await,
        Scenario::History(args) => history::run(source, args).await,
        Scenario::List(args) => list::run(source, args).await,
        Scenario::Offline(args) => offline::run(source, args).await,
        Scenario::Race(args) => race::run(source, args).await,
        Scenario::Stall(args) => stall::run(source, args).await,
        Scenario::Crash(args) => crash::run(source, args).await,
        Scenario::Start(args) => start::run(source, args).await,
        Scenario::All(args) => {
            let each = |report: &Report| say(&report::table(std::slice::from_ref(report)));
            return Ok(all::run(source, args, each).await);
        }
    };
    Ok(vec![report?])
}

fn source(options: &Options) -> anyhow::Result<Source> {
    if let (Some(url), Some(secret)) = (&options.url, &options.agent_secret) {
        return Ok(Source::Running(url.clone(), secret.clone()));
    }
    let binary = match &options.server {
        Some(path) => path.clone(),
        None => beside_this()?,
    };
    Ok(Source::Launch(launch(options, &binary)?))
}

fn launch(options: &Options, binary: &Path) -> anyhow::Result<Launch> {
    anyhow::ensure!(binary.is_file(), "{} is not a file", binary.display());
    std::fs::create_dir_all(&options.data_dir)?;
    let data_root = options.data_dir.canonicalize()?;
    Ok(Launch {
        binary: binary.canonicalize()?,
        data_root,
        settings: options.settings.clone(),
    })
}

fn beside_this() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let binary = own
        .parent()
        .unwrap_or(Path::new("."))
        .join("agent-messenger");
    if !binary.is_file() {
        let arguments = ["build", "--release", "-p", "agent-messenger"];
        let built = std::process::Command::new("cargo")
            .args(arguments)
            .status()?;
        anyhow::ensure!(built.success(), "the server could not be built");
    }
    Ok(binary)
}

fn setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

/// Standard output, whole; a closed pipe is nobody's fault.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

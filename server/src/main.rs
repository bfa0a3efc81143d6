//! The server's binary: settings in, a running application, and a drain on SIGTERM.

use agent_messenger::application::Application;
use agent_messenger::config::{Config, Environment, LogFormat, LogSettings, Task, Unusable};
use agent_messenger::start_lines;
use agent_messenger::systemd::{self, Inherited};
use anyhow::Context;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use store::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two libraries may bring two: without this line the first TLS would panic.
    let chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
    debug_assert!(chosen.is_ok(), "nobody chose before");
    let environment = environment();
    let config = match Config::parse_from_args(std::env::args_os(), &environment) {
        Ok(config) => config,
        Err(unusable) => return say(unusable),
    };
    if config.print_config || config.task == Some(Task::CheckConfig) {
        return show(&config, &environment);
    }
    log_to_stderr(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    raise_descriptors(config.limits.max_sockets as u64);
    // Whatever this process creates is for its own user only: the log holds what people say.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match actix_rt::System::new().block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The variables that are text; a setting is.
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Why there is nothing to start with.
fn say(unusable: Unusable) -> ExitCode {
    match unusable {
        Unusable::CommandLine(error) => error.exit(),
        problems @ Unusable::Problems(_) => {
            let told = write!(std::io::stderr(), "{problems}");
            ExitCode::from(if told.is_ok() { 2 } else { 1 })
        }
    }
}

/// `--print-config`, or `check-config` of settings without a problem.
fn show(config: &Config, environment: &Environment) -> ExitCode {
    let text = if config.print_config {
        match Config::in_force(std::env::args_os(), environment) {
            Ok(text) => text,
            Err(unusable) => return say(unusable),
        }
    } else {
        let warnings = config.warnings.iter();
        let mut lines: Vec<String> = warnings.map(|text| format!("warning: {text}")).collect();
        lines.push("configuration is valid\n".to_owned());
        lines.join("\n")
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// As many descriptors as the system allows: each socket takes two.
fn raise_descriptors(max_sockets: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
    let sockets = getrlimit(Resource::Nofile).current.map(|files| files / 2);
    if let Some(sockets) = sockets.filter(|sockets| *sockets < max_sockets) {
        tracing::info!(
            "the limit of open files lets in about {sockets} sockets, MAX_SOCKETS says {max_sockets}"
        );
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let inherited = Inherited::take().context("the sockets of LISTEN_FDS")?;
    let application = Application::start_on(config, Arc::new(SystemClock), inherited)?;
    start_lines::print(&application).await?;
    systemd::keep_watch(application.arbiters());
    systemd::ready();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("SIGHUP")?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                systemd::reloading();
                application.reload();
                systemd::ready();
            }
        }
    }
    tracing::info!("draining");
    systemd::stopping();
    application.stop().await;
    Ok(())
}

fn log_to_stderr(settings: &LogSettings) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Pretty => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

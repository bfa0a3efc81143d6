//! The server's binary: settings in, a running application, and a drain on SIGTERM.

use agent_messenger::application::Application;
use agent_messenger::config::{Config, Environment, LogFormat, LogSettings, Task, Unusable};
use agent_messenger::start_lines;
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
        let warnings: String = warnings.map(|w| format!("warning: {w}\n")).collect();
        format!("{warnings}configuration is valid\n")
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let application = Application::start(config, Arc::new(SystemClock))?;
    start_lines::print(&application).await?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
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

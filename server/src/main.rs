//! The server's binary: settings in, a running application, and a drain on SIGTERM.

use agent_messenger::application::Application;
use agent_messenger::config::{Config, LogFormat, LogSettings};
use agent_messenger::start_lines;
use anyhow::Context;
use std::process::ExitCode;
use std::sync::Arc;
use store::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = match Config::parse_from_args(std::env::args_os()) {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    log_to_stderr(&config.log);
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

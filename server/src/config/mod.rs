//! Settings: flags before environment before file before defaults, one section a file. Parsing
//! checks every value and says what is accepted; nothing here opens a port or creates a file.

mod agents;
mod auth;
mod database;
mod file;
mod layers;
mod limits;
mod log;
mod server;
mod setting;
mod show;
mod tls;
mod value;

pub use agents::AgentSettings;
pub use auth::{AgentAuth, AuthSettings, Registration};
pub use database::{Address, DatabaseSettings, Driver, Synchronous};
pub use file::Place;
pub use layers::{Environment, Problem, Source};
pub use limits::LimitSettings;
pub use log::{LogFormat, LogSettings};
pub use server::ServerSettings;
pub use setting::{Section, Setting};
pub use tls::TlsSettings;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use layers::Layers;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The settings file that is read where none is named and it is there.
pub(crate) const FILE: &str = "agent-messenger.toml";

/// One self-hosted server where people talk with their AI agents, and agents with each other.
///
/// Without any setting it serves on port 8080 with its data in ./data, and makes the secrets it
/// needs. Every flag can also be given in the environment, under the name shown, and in a file;
/// docs/settings.md lists them all.
#[derive(Debug, Clone, Parser)]
#[command(name = "agent-messenger", version, disable_version_flag = true)]
pub struct Config {
    /// Something else than to serve.
    #[arg(value_enum)]
    pub task: Option<Task>,
    /// Settings file [default: agent-messenger.toml here, if there is one].
    #[arg(long, env = "CONFIG_FILE", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the settings in force and where each comes from, and exit.
    #[arg(long)]
    pub print_config: bool,
    /// Print the version and exit.
    #[arg(long, short = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// Where it listens.
    #[command(flatten, next_help_heading = "Server")]
    pub server: ServerSettings,
    /// Where the log is kept.
    #[command(flatten, next_help_heading = "Database")]
    pub database: DatabaseSettings,
    /// Who may come in.
    #[command(flatten, next_help_heading = "Accounts and secrets")]
    pub auth: AuthSettings,
    /// What agents may do.
    #[command(flatten, next_help_heading = "Agents")]
    pub agents: AgentSettings,
    /// How much is too much.
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitSettings,
    /// Certificates of the public listener.
    #[command(flatten, next_help_heading = "TLS")]
    pub tls: TlsSettings,
    /// What is written to standard error.
    #[command(flatten, next_help_heading = "Log")]
    pub log: LogSettings,
    /// Where the settings that are set come from, by clap's names.
    #[clap(skip)]
    pub sources: BTreeMap<String, Source>,
    /// What looks like a slip and is no error.
    #[clap(skip)]
    pub warnings: Vec<String>,
}

/// What the binary can do beside serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Look at all settings, tell every problem, and exit.
    CheckConfig,
}

/// Why there are no settings to start with.
#[derive(Debug)]
pub enum Unusable {
    /// The command line, or help that was asked for: clap says it, with its exit code.
    CommandLine(clap::Error),
    /// All problems of the settings.
    Problems(Vec<Problem>),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine(error) => error.fmt(f),
            Self::Problems(problems) => {
                for problem in problems {
                    writeln!(f, "error: {problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl Unusable {
    /// 0 for help and version, else 2.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::CommandLine(error) => error.exit_code(),
            Self::Problems(_) => 2,
        }
    }
}

impl Config {
    /// Reads flags, the environment and the file.
    pub fn parse_from_args(
        args: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<Self, Unusable> {
        Self::parse(args, environment).map(|(config, _)| config)
    }

    fn parse(
        args: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<(Self, clap::ArgMatches), Unusable> {
        let mut args: Vec<OsString> = args.into_iter().map(double_dash).collect();
        let command = Self::command();
        let bare = || layers::bare(command.clone());
        let mut refused = None;
        let flags = match bare().try_get_matches_from(args.clone()) {
            Ok(flags) => flags,
            Err(error) => {
                // A value that is not accepted is told with the other problems, and without the
                // value where that is a secret; the rest is looked at as if it were not there.
                refused = layers::refused_flag(&error, &Self::settings());
                if refused.is_none() {
                    return Err(Unusable::CommandLine(named(&command, &args, error)));
                }
                args.truncate(1);
                bare()
                    .try_get_matches_from(&args)
                    .map_err(Unusable::CommandLine)?
            }
        };
        let layers = Layers::gather(&command, args, &flags, environment);
        let mut problems: Vec<Problem> = refused.into_iter().chain(layers.problems).collect();
        let matches = bare()
            .try_get_matches_from(layers.args)
            .map_err(Unusable::CommandLine)?;
        let mut config = Self::from_arg_matches(&matches).map_err(Unusable::CommandLine)?;
        problems.extend(config.check());
        config.sources = layers.sources;
        config.warnings = layers.warnings;
        if problems.is_empty() {
            Ok((config, matches))
        } else {
            Err(Unusable::Problems(problems))
        }
    }

    /// What single values cannot tell.
    fn check(&self) -> Vec<Problem> {
        let all = [self.database.check(), self.server.check(), self.tls.check()];
        all.into_iter()
            .flatten()
            .map(|text| Problem { source: None, text })
            .collect()
    }

    /// The settings in force as a settings file, each with where it comes from; secrets are not
    /// shown.
    pub fn in_force(
        args: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<String, Unusable> {
        let (config, matches) = Self::parse(args, environment)?;
        Ok(show::in_force(&Self::settings(), &matches, &config))
    }

    /// Every setting there is.
    pub fn settings() -> Vec<Setting> {
        layers::settings(&Self::command())
    }

    /// docs/settings.md.
    pub fn reference() -> String {
        show::reference(&Self::settings())
    }
}

/// The help names the variables too.
fn named(command: &clap::Command, args: &[OsString], error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::DisplayHelp {
        return error;
    }
    let with_names = command.clone().try_get_matches_from(args);
    with_names.err().unwrap_or(error)
}

/// The Go server took long flags with one dash: `-port 8080`, `-db FILE`.
fn double_dash(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => arg,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

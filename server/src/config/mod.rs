//! Settings: flags before environment before defaults, one section a file. Parsing checks every
//! value and says what is accepted; nothing here opens or creates anything.

mod agents;
mod auth;
mod database;
mod limits;
mod log;
mod server;
mod value;

pub use agents::AgentSettings;
pub use auth::{AgentAuth, AuthSettings, Registration};
pub use database::{Address, DatabaseSettings, Driver, Synchronous};
pub use limits::LimitSettings;
pub use log::{LogFormat, LogSettings};
pub use server::ServerSettings;

use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;

/// One self-hosted server where people talk with their AI agents, and agents with each other.
///
/// Without any setting it serves on port 8080 with its data in ./data, and makes the secrets it
/// needs. Every flag can also be given in the environment, under the name shown.
#[derive(Debug, Clone, Parser)]
#[command(name = "agent-messenger", version, disable_version_flag = true)]
pub struct Config {
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
    /// What is written to standard error.
    #[command(flatten, next_help_heading = "Log")]
    pub log: LogSettings,
    /// Print the version and exit.
    #[arg(long, short = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,
}

impl Config {
    /// Reads flags and the environment. The error is what to print, with its exit code.
    pub fn parse_from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(args.into_iter().map(double_dash))?;
        let config = Self::from_arg_matches(&matches)?;
        config
            .database
            .check()
            .map_err(|text| Self::command().error(clap::error::ErrorKind::ValueValidation, text))?;
        Ok(config)
    }
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
mod tests {
    use super::*;
    use std::time::Duration;

    fn parse(args: &[&str]) -> Result<Config, clap::Error> {
        let args = std::iter::once("agent-messenger")
            .chain(args.iter().copied())
            .map(OsString::from);
        Config::parse_from_args(args)
    }

    #[test]
    fn without_settings_there_are_defaults() {
        let config = parse(&[]).expect("defaults are valid");
        assert_eq!(config.server.port, 8080);
        assert_eq!(config.auth.registration(), Registration::Local);
        assert_eq!(config.auth.jwt_ttl, Duration::from_secs(30 * 86_400));
        assert_eq!(config.limits.max_ws_message_size, 65_536);
    }

    #[test]
    fn long_flags_take_one_dash_or_two() {
        assert_eq!(parse(&["-port", "9000"]).expect("valid").server.port, 9000);
        assert_eq!(
            parse(&["--port=9001", "-db", "x.db"])
                .expect("valid")
                .server
                .port,
            9001
        );
        assert_eq!(parse(&["-version"]).expect_err("prints").exit_code(), 0);
    }

    #[test]
    fn a_public_url_closes_registration_unless_it_is_opened() {
        assert_eq!(
            parse(&["--public-url", "https://am.example"])
                .expect("valid")
                .auth
                .registration(),
            Registration::Closed
        );
        let open = parse(&[
            "--public-url",
            "https://am.example",
            "--registration",
            "open",
        ])
        .expect("valid");
        assert_eq!(open.auth.registration(), Registration::Open);
    }

    #[test]
    fn a_database_url_chooses_postgresql_and_an_empty_one_nothing() {
        let place = |args: &[&str]| {
            let config = parse(args).expect("valid");
            config.database.store("data".as_ref()).location.to_string()
        };
        let url = "postgres://am:x@db.example/log";
        assert_eq!(
            place(&["--database-url", url, "--db", "x.db"]),
            "postgres://am:***@db.example/log"
        );
        assert_eq!(place(&["--database-url", "", "--db", "x.db"]), "x.db");
        assert_eq!(place(&[]), "data/agent-messenger.db");
    }

    #[test]
    fn bad_values_name_the_setting_and_exit_with_2() {
        for (args, named) in [
            (["--port", "70000"], "--port"),
            (["--jwt-ttl", "soon"], "--jwt-ttl"),
            (["--registration", "maybe"], "--registration"),
            (["--trusted-proxies", "10.0.0.0/99"], "--trusted-proxies"),
            (
                ["--jwt-secret", "change-me-to-a-random-secret"],
                "--jwt-secret",
            ),
        ] {
            let error = parse(&args).expect_err(named);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(named), "{error}");
        }
        for (args, said) in [
            (vec!["--db-driver", "postgres"], "DATABASE_URL"),
            (vec!["--db-driver", "oracle"], "sqlite"),
            (vec!["--database-url", "mysql://h/d"], "mysql"),
            (
                vec!["--db-driver", "sqlite3", "--database-url", "postgres://h/d"],
                "DB_DRIVER is sqlite",
            ),
        ] {
            let error = parse(&args).expect_err(said);
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}

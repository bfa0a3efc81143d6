//! The command line: what can be said, and the spelling of the Go tool that scripts still use
//! (`-db FILE`, one dash). Exit codes are part of the help, because scripts depend on them.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done: the sentence on standard error says why
  2  the command line is wrong, or something is missing and there is no terminal to ask
  3  a server is using the database: stop it first
  4  the database cannot be opened (missing, read-only, of another program or version)

Questions are asked only on a terminal. Without one, values that are missing are read from
standard input, one per line, in the order in which they would be asked.";

/// Accounts, agents and invites of a stopped Agent Messenger server.
#[derive(Debug, Parser)]
#[command(name = "am-admin", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Database file [default: agent-messenger.db in the data directory]
    #[arg(long, global = true, env = "DB_PATH", value_name = "FILE")]
    pub(crate) db: Option<PathBuf>,
    /// The server's data directory
    #[arg(
        long,
        global = true,
        env = "DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do not ask whether it is meant
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// The database file that is meant.
    pub(crate) fn database(&self) -> PathBuf {
        self.db
            .clone()
            .unwrap_or_else(|| self.data_dir.join("agent-messenger.db"))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account; the password is asked, or read from standard input
    CreateUser(CreateUser),
    /// List accounts in the order in which they were made
    ListUsers,
    /// Make an invite that lets one person register
    Invite(Invite),
    /// Make an agent and print its token, which is shown only now
    CreateAgent(CreateAgent),
    /// List agents by name
    ListAgents,
    /// Give an agent a new token; the old one stops working
    ResetAgentToken(ResetAgentToken),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CreateUser {
    /// User name, 3 to 50 of A-Z a-z 0-9 _
    pub(crate) username: Option<String>,
    /// What the account may do
    #[arg(long, value_enum, default_value_t = RoleArg::Member)]
    pub(crate) role: RoleArg,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Invite {
    /// What the account may do that is made with it
    #[arg(long, value_enum, default_value_t = RoleArg::Member)]
    pub(crate) role: RoleArg,
    /// How many days it can be used
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub(crate) days: u16,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CreateAgent {
    /// Agent id, 1 to 128 of A-Z a-z 0-9 . _ : @ -
    pub(crate) agent_id: Option<String>,
    /// Shown name [default: the id]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Language model
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Free text
    #[arg(long)]
    pub(crate) personality: Option<String>,
    /// Free text
    #[arg(long)]
    pub(crate) specialty: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ResetAgentToken {
    /// Agent id
    pub(crate) agent_id: Option<String>,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleArg {
    /// Everything
    Owner,
    /// Administration
    Admin,
    /// Only their own
    Member,
}

impl From<RoleArg> for store::Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Admin => Self::Admin,
            RoleArg::Member => Self::Member,
        }
    }
}

/// Turns `-db FILE` and `-db=FILE` (and other long names after one dash) into two dashes.
pub(crate) fn accept_old_spelling(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    const LONG: [&str; 5] = ["db", "data-dir", "json", "yes", "help"];
    let spell = |arg: OsString| {
        let name = arg.to_str().and_then(|text| text.strip_prefix('-'));
        let name = name.and_then(|text| text.split('=').next());
        if name.is_some_and(|name| LONG.contains(&name)) {
            let mut two = OsString::from("-");
            two.push(arg);
            two
        } else {
            arg
        }
    };
    args.into_iter().map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_before_a_long_name_is_understood_and_nothing_else_changes() {
        let old = [
            "am-admin",
            "-db",
            "x.db",
            "-db=y.db",
            "-h",
            "--json",
            "-1",
            "create-user",
        ];
        let new = accept_old_spelling(old.map(OsString::from));
        let wanted = [
            "am-admin",
            "--db",
            "x.db",
            "--db=y.db",
            "-h",
            "--json",
            "-1",
            "create-user",
        ];
        assert_eq!(new, wanted.map(OsString::from));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}

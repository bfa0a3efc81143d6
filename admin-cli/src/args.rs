//! The command line: what can be said, and the spelling of the Go tool that scripts still use
//! (`-db FILE`, one dash). Exit codes are part of the help, because scripts depend on them.

use crate::place::Place;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done: the sentence on standard error says why
  2  the command line is wrong, or something is missing and there is no terminal to ask
  3  a server is using the database, and its administration cannot be reached
  4  the database cannot be opened (missing, read-only, of another program or version)

Questions are asked only on a terminal. Without one, values that are missing are read from
standard input, one per line, in the order in which they would be asked.";

/// Accounts, agents, invites and live sockets of an Agent Messenger server.
///
/// Where a server is using the database, commands go through its administration: its address and
/// secret are found in the data directory, or given with --url and in `ADMIN_SECRET`.
#[derive(Debug, Parser)]
#[command(name = "am-admin", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Administration of a running server, for example `http://127.0.0.1:9464`
    #[arg(long, global = true, env = "AM_ADMIN_URL")]
    pub(crate) url: Option<String>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do not ask whether it is meant
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account; the password is asked, or read from standard input
    CreateUser(CreateUser),
    /// List accounts in the order in which they were made
    ListUsers,
    /// Give an account a new password; every login of it ends
    ResetPassword(Named),
    /// Change what an account may do
    Grant(Grant),
    /// Keep a user or an agent out
    Ban(Banned),
    /// Let a user or an agent in again
    Unban(Banned),
    /// Make an invite that lets one person register
    Invite(Invite),
    /// List invites, the newest first
    ListInvites,
    /// Take back an invite that was not used
    RevokeInvite(RevokeInvite),
    /// Make an agent and print its token, which is shown only now
    CreateAgent(CreateAgent),
    /// List agents by name
    ListAgents,
    /// Give an agent a new token; the old one stops working
    #[command(visible_alias = "reset-apikey")]
    ResetAgentToken(ResetAgentToken),
    /// List the live sockets of a running server
    Sessions,
    /// End sockets of a running server
    Kick(KickWhom),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual, for `man -l -`
    Man,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Named {
    /// User name or id
    pub(crate) user: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Grant {
    /// User name or id
    pub(crate) user: String,
    /// What the account may do from now on
    #[arg(value_enum)]
    pub(crate) role: RoleArg,
}

#[derive(Debug, ClapArgs)]
#[group(skip)]
pub(crate) struct Banned {
    /// User name or id
    #[arg(long, conflicts_with = "agent", required_unless_present = "agent")]
    pub(crate) user: Option<String>,
    /// Agent id
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Why, for your own memory
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RevokeInvite {
    /// As in list-invites
    pub(crate) invite_id: String,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct KickWhom {
    /// One socket, as in sessions
    #[arg(long)]
    pub(crate) session: Option<u64>,
    /// All of a user's, by name or id
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// An agent's
    #[arg(long)]
    pub(crate) agent: Option<String>,
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

impl From<RoleArg> for protocol::admin::Role {
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
    const LONG: [&str; 7] = [
        "db",
        "database-url",
        "data-dir",
        "url",
        "json",
        "yes",
        "help",
    ];
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

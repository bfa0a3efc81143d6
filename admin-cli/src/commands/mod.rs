//! One file for each noun; this is the table of contents.

mod agent;
mod invite;
mod session;
mod user;

use crate::args::{Args, Command};
use crate::extras;
use crate::failure::Failure;
use crate::output::Output;
use clap::CommandFactory;

/// Does what `args` says.
pub(crate) fn run(args: &Args, output: Output) -> Result<(), Failure> {
    match &args.command {
        Command::CreateUser(user) => user::create(args, user, output),
        Command::ListUsers => user::list(args, output),
        Command::ResetPassword(user) => user::reset_password(args, user, output),
        Command::Grant(grant) => user::grant(args, grant, output),
        Command::Ban(ban) => user::ban(args, ban, true, output),
        Command::Unban(ban) => user::ban(args, ban, false, output),
        Command::Invite(invite) => invite::create(args, invite, output),
        Command::ListInvites => invite::list(args, output),
        Command::RevokeInvite(invite) => invite::revoke(args, invite, output),
        Command::CreateAgent(agent) => agent::create(args, agent, output),
        Command::ListAgents => agent::list(args, output),
        Command::ResetAgentToken(agent) => agent::reset_token(args, agent, output),
        Command::Sessions => session::list(args, output),
        Command::Kick(kick) => session::kick(args, kick, output),
        Command::Completions { shell } => extras::completions(Args::command(), *shell),
        Command::Man => extras::manual(&Args::command()),
    }
}

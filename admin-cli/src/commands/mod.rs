//! One file for each noun; this is the table of contents.

mod agent;
mod invite;
mod user;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::output::Output;

/// Does what `args` says.
pub(crate) fn run(args: &Args, output: Output) -> Result<(), Failure> {
    match &args.command {
        Command::CreateUser(user) => user::create(args, user, output),
        Command::ListUsers => user::list(args, output),
        Command::Invite(invite) => invite::create(args, invite, output),
        Command::CreateAgent(agent) => agent::create(args, agent, output),
        Command::ListAgents => agent::list(args, output),
        Command::ResetAgentToken(agent) => agent::reset_token(args, agent, output),
    }
}

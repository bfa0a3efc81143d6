//! `am-admin`: the operator's commands. Beside a running server they go through its
//! administration API; otherwise they open the database under the same lock as the server, so the
//! two never write side by side. Results go to standard output, questions and errors to standard
//! error, and the exit code is stable. What `am-migrate` needs of it (where a database is, how
//! results and failures are told) is public.

mod api;
mod args;
mod ask;
mod commands;
mod desk;
pub mod extras;
pub mod failure;
mod local;
pub mod output;
pub mod place;

use clap::Parser;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    let args = args::Args::parse_from(args::accept_old_spelling(std::env::args_os()));
    let output = output::Output {
        program: "am-admin",
        json: args.json,
    };
    output.exit(commands::run(&args, output))
}

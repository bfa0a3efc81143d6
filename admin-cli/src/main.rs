//! `am-admin`: the operator's commands on a database file, while no server is using it.
//! It takes the same lock as the server, so the two never write side by side. Results go to
//! standard output, questions and errors to standard error, and the exit code is stable.

mod args;
mod ask;
mod commands;
mod database;
mod failure;
mod output;
mod token;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse_from(args::accept_old_spelling(std::env::args_os()));
    let output = output::Output { json: args.json };
    match commands::run(&args, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

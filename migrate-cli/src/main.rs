//! `am-migrate`: the schema of a database file by hand, and a check of the log in it, while no
//! server is using it. The server brings the schema up by itself when it starts; this tool is
//! for looking first, for going back, and for certainty after a restore.

mod args;
mod commands;
mod old_spelling;

use am_admin::output::Output;
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match old_spelling::translate(std::env::args_os().collect()) {
        Ok(args) => args::Args::parse_from(args),
        Err(sentence) => {
            clap::Error::raw(ErrorKind::ValueValidation, format!("{sentence}\n")).exit()
        }
    };
    let output = Output {
        program: "am-migrate",
        json: args.json,
    };
    output.exit(commands::run(&args, output))
}

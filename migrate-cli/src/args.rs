//! The command line. Exit codes are part of the help, because scripts depend on them.

use am_admin::place::Place;
use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Exit codes:
  0  done; for verify: nothing is wrong
  1  not done, or verify found something: standard error says what
  2  the command line is wrong, or --yes is missing
  3  a server is using the database: stop it first
  4  the database cannot be opened (missing, read-only, of another program or version)

The old spelling -action up|down|status -db FILE -target N is understood. There, N is how many
migrations shall be applied at the end; without it, up applies all and down undoes all.";

/// The schema of a stopped Agent Messenger server's database, and a check of its log.
#[derive(Debug, Parser)]
#[command(name = "am-migrate", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Yes, undo: data in what is undone is lost
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply every pending migration
    Up {
        /// Refuse unless this many are applied at the end (the old `-target`)
        #[arg(long, hide = true)]
        target: Option<usize>,
    },
    /// Undo the last N migrations, with the data in what they made; needs --yes
    Down {
        /// How many
        #[arg(value_name = "N", required_unless_present = "target")]
        steps: Option<usize>,
        /// How many stay applied (the old `-target`)
        #[arg(long, hide = true, conflicts_with = "steps")]
        target: Option<usize>,
    },
    /// Show what is applied and what is pending; changes nothing
    Status,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual, for `man -l -`
    Man,
    /// Check the log: numbers without gaps, times that increase, keys that point at messages
    Verify,
}

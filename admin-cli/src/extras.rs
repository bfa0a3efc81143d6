//! What shells and packagers want of a command line: completions and manual pages, made from its
//! own definition.

use crate::failure::Failure;
use clap::Command;
use clap_complete::Shell;
use std::io::Write;

/// Prints the completions of `command` for a shell.
pub fn completions(mut command: Command, shell: Shell) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    print(&text)
}

/// Prints the manual of `command`, one page with all its subcommands.
pub fn manual(command: &Command) -> Result<(), Failure> {
    let mut text = Vec::new();
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    for subcommand in subcommands.into_iter().filter(|sub| !sub.is_hide_set()) {
        let title = format!("{} {}", command.get_name(), subcommand.get_name());
        writeln!(text, ".SH \"{}\"", title.to_uppercase())?;
        let man = clap_mangen::Man::new(subcommand);
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
    }
    print(&text)
}

fn print(text: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

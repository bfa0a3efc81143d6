//! Questions. On a terminal they are shown on standard error and answered there; elsewhere the
//! answers are read from standard input, one per line and in the same order, without a question.

use crate::failure::Failure;
use std::io::{BufRead, IsTerminal, Write};

fn on_terminal() -> bool {
    std::io::stdin().is_terminal()
}

fn read_line() -> Result<Option<String>, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The answer, or `None` where there is none (an empty line, or no more input).
pub(crate) fn optional(label: &str) -> Result<Option<String>, Failure> {
    if on_terminal() {
        write!(std::io::stderr(), "{label}: ")?;
    }
    Ok(read_line()?.filter(|line| !line.is_empty()))
}

/// `given`, or the answer.
pub(crate) fn required(given: Option<&String>, label: &str) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given.clone());
    }
    optional(label)?.ok_or_else(|| Failure::Usage(format!("{} is required", label.to_lowercase())))
}

/// A new password: asked twice and not shown on a terminal, one line elsewhere.
pub(crate) fn new_password() -> Result<String, Failure> {
    if !on_terminal() {
        let line = read_line()?.filter(|line| !line.is_empty());
        return line.ok_or_else(|| {
            Failure::Usage("the password is required, as a line on standard input".into())
        });
    }
    let first = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? == first {
        Ok(first)
    } else {
        Err(Failure::Refused(
            "the two passwords differ; nothing was changed".into(),
        ))
    }
}

/// Whether it is meant; without a terminal only `--yes` says so.
pub(crate) fn confirm(yes: bool, what_happens: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !on_terminal() {
        return Err(Failure::Usage(format!(
            "{what_happens}: say --yes if that is meant"
        )));
    }
    match optional(&format!("{what_happens}. Continue? [y/N]"))? {
        Some(answer) if answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes") => {
            Ok(())
        }
        _ => Err(Failure::Refused("nothing was changed".into())),
    }
}

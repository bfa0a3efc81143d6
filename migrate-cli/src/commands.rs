//! What each command does, in the order of the help.

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::output::Output;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{BatchPermit, CommitSink, Outcome, Store, StoreConfig, SystemClock, migrate, verify};

#[derive(Serialize)]
struct Schema {
    database: PathBuf,
    applied: Vec<String>,
    pending: Vec<String>,
    /// What this command applied or undid.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<String>>,
}

/// Does what `args` says.
pub(crate) fn run(args: &Args, output: Output) -> Result<(), Failure> {
    let path = args.database();
    match args.command {
        Command::Up { target } => up(&path, target, output),
        Command::Down { steps, target } => down(args, &path, steps, target, output),
        Command::Status => status(&path, output),
        Command::Verify => check_log(&path, output),
    }
}

fn up(path: &Path, target: Option<usize>, output: Output) -> Result<(), Failure> {
    if path.exists() {
        let now = migrate::status(path)?;
        let all = now.applied.len() + now.pending.len();
        if target.is_some_and(|target| target != all) {
            return Err(Failure::Refused(format!("up goes to the newest schema, which is number {all}")));
        }
    }
    let changed = migrate::up(path)?;
    let text = match changed.len() {
        0 => "The schema is up to date.".to_owned(),
        n => format!("Applied {n}: {}.", changed.join(", ")),
    };
    finish(path, changed, &text, output)
}

fn down(args: &Args, path: &Path, steps: Option<usize>, target: Option<usize>, output: Output) -> Result<(), Failure> {
    must_exist(path)?;
    let applied = migrate::status(path)?.applied.len();
    let steps = match (steps, target) {
        (Some(steps), _) => steps,
        (None, Some(target)) => applied.saturating_sub(target),
        (None, None) => return Err(Failure::Usage("say how many migrations to undo".to_owned())),
    };
    if steps > applied {
        return Err(Failure::Refused(format!("there are {applied} migrations to undo, not {steps}; nothing was changed")));
    }
    if steps > 0 && !args.yes {
        let sentence = format!("undoing {steps} of {applied} migrations loses the data in them: say --yes if that is meant");
        return Err(Failure::Usage(sentence));
    }
    let changed = migrate::down(path, steps)?;
    let text = match changed.len() {
        0 => "Nothing to undo.".to_owned(),
        n => format!("Undone {n}: {}.", changed.join(", ")),
    };
    finish(path, changed, &text, output)
}

fn status(path: &Path, output: Output) -> Result<(), Failure> {
    must_exist(path)?;
    let now = migrate::status(path)?;
    let mut text = format!("Database: {}\n", path.display());
    for version in &now.applied {
        text.push_str(&format!("  applied  {version}\n"));
    }
    for version in &now.pending {
        text.push_str(&format!("  pending  {version}\n"));
    }
    if now.pending.is_empty() {
        text.push_str("The schema is up to date.\n");
    }
    let schema = Schema { database: path.into(), applied: now.applied, pending: now.pending, changed: None };
    output.result(&schema, &text)
}

fn finish(path: &Path, changed: Vec<String>, text: &str, output: Output) -> Result<(), Failure> {
    let now = migrate::status(path)?;
    let schema = Schema { database: path.into(), applied: now.applied, pending: now.pending, changed: Some(changed) };
    output.result(&schema, text)
}

fn must_exist(path: &Path) -> Result<(), Failure> {
    if path.exists() { Ok(()) } else { Err(Failure::NoDatabase(path.display().to_string())) }
}

/// Nobody is connected, so nobody is told.
struct NobodyListens;

impl CommitSink for NobodyListens {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, _outcomes: Vec<Outcome>) {}
}

fn check_log(path: &Path, output: Output) -> Result<(), Failure> {
    must_exist(path)?;
    if !migrate::status(path)?.pending.is_empty() {
        return Err(Failure::Refused("the schema is not up to date: run `am-migrate up` first".to_owned()));
    }
    let store = Store::open(StoreConfig::at(path), Arc::new(SystemClock), Arc::new(NobodyListens))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let problems = runtime.block_on(store.read(verify::check));
    store.close();
    let problems: Vec<String> = problems?.iter().map(ToString::to_string).collect();
    let text = if problems.is_empty() { "The log is whole.".to_owned() } else { problems.join("\n") };
    output.result(&serde_json::json!({ "database": path, "problems": problems }), &text)?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::Problems(problems.len())) }
}

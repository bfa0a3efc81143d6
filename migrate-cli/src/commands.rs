//! What each command does, in the order of the help.

use crate::args::{Args, Command};
use am_admin::extras;
use am_admin::failure::Failure;
use am_admin::output::Output;
use am_admin::place::Place;
use clap::CommandFactory;
use serde::Serialize;
use std::sync::Arc;
use store::migrate::{self, VersionStatus};
use store::verify::{self, Problem};
use store::{BatchPermit, CommitSink, Location, Outcome, Store, StoreConfig, SystemClock};

#[derive(Serialize)]
struct Schema {
    database: String,
    applied: Vec<String>,
    pending: Vec<String>,
    /// What this command applied or undid.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<String>>,
}

impl Schema {
    /// What the file holds now; a file that is not there has everything pending.
    fn of(place: &Location) -> Result<Self, Failure> {
        let (applied, pending): (Vec<_>, Vec<_>) = migrate::status(place.clone())?
            .into_iter()
            .partition(|version| version.applied);
        let names = |versions: Vec<VersionStatus>| {
            versions
                .into_iter()
                .map(|version| version.version)
                .collect()
        };
        Ok(Self {
            database: place.to_string(),
            applied: names(applied),
            pending: names(pending),
            changed: None,
        })
    }
}

/// Does what `args` says.
pub(crate) fn run(args: &Args, output: Output) -> Result<(), Failure> {
    let place = args.place.location()?;
    match args.command {
        Command::Up { target } => up(&place, target, output),
        Command::Down { steps, target } => down(args, &place, steps, target, output),
        Command::Status => status(&place, output),
        Command::Verify => check_log(&place, output),
        Command::Completions { shell } => extras::completions(Args::command(), shell),
        Command::Man => extras::manual(&Args::command()),
    }
}

fn up(place: &Location, target: Option<usize>, output: Output) -> Result<(), Failure> {
    let now = Schema::of(place)?;
    let all = now.applied.len() + now.pending.len();
    if target.is_some_and(|target| target != all) {
        return Err(Failure::Refused(format!(
            "up goes to the newest schema, which is number {all}"
        )));
    }
    let changed = migrate::up(place.clone())?;
    let text = match changed.len() {
        0 => "The schema is up to date.".to_owned(),
        n => format!("Applied {n}: {}.", changed.join(", ")),
    };
    finish(place, changed, &text, output)
}

fn down(
    args: &Args,
    place: &Location,
    steps: Option<usize>,
    target: Option<usize>,
    output: Output,
) -> Result<(), Failure> {
    Place::must_exist(place)?;
    let applied = Schema::of(place)?.applied.len();
    let steps = match (steps, target) {
        (Some(steps), _) => steps,
        (None, Some(target)) => applied.saturating_sub(target),
        (None, None) => return Err(Failure::Usage("say how many migrations to undo".to_owned())),
    };
    if steps > applied {
        return Err(Failure::Refused(format!(
            "there are {applied} migrations to undo, not {steps}; nothing was changed"
        )));
    }
    if steps > 0 && !args.yes {
        let sentence = format!(
            "undoing {steps} of {applied} migrations loses the data in them: say --yes if that is meant"
        );
        return Err(Failure::Usage(sentence));
    }
    let changed = migrate::down(place.clone(), steps)?;
    let text = match changed.len() {
        0 => "Nothing to undo.".to_owned(),
        n => format!("Undone {n}: {}.", changed.join(", ")),
    };
    finish(place, changed, &text, output)
}

fn status(place: &Location, output: Output) -> Result<(), Failure> {
    Place::must_exist(place)?;
    let schema = Schema::of(place)?;
    let mut text = format!("Database: {place}\n");
    let lines = |word: &str, versions: &[String]| -> String {
        versions
            .iter()
            .flat_map(|version| ["  ", word, "  ", version, "\n"])
            .collect::<Vec<_>>()
            .concat()
    };
    text.push_str(&lines("applied", &schema.applied));
    text.push_str(&lines("pending", &schema.pending));
    if schema.pending.is_empty() {
        text.push_str("The schema is up to date.\n");
    }
    output.result(&schema, &text)
}

fn finish(
    place: &Location,
    changed: Vec<String>,
    text: &str,
    output: Output,
) -> Result<(), Failure> {
    let schema = Schema {
        changed: Some(changed),
        ..Schema::of(place)?
    };
    output.result(&schema, text)
}

/// Nobody is connected, so nobody is told.
struct NobodyListens;

impl CommitSink for NobodyListens {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, _outcomes: Vec<Outcome>) {}
}

fn check_log(place: &Location, output: Output) -> Result<(), Failure> {
    Place::must_exist(place)?;
    if !Schema::of(place)?.pending.is_empty() {
        return Err(Failure::Refused(
            "the schema is not up to date: run `am-migrate up` first".to_owned(),
        ));
    }
    let store = Store::open(
        StoreConfig {
            read_timeout: None,
            ..StoreConfig::at(place.clone())
        },
        Arc::new(SystemClock),
        Arc::new(NobodyListens),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let problems = runtime.block_on(store.read(verify::check));
    store.close();
    let problems: Vec<String> = problems?.iter().map(sentence).collect();
    let text = if problems.is_empty() {
        "The log is whole.".to_owned()
    } else {
        problems.join("\n")
    };
    output.result(
        &serde_json::json!({ "database": place.to_string(), "problems": problems }),
        &text,
    )?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Problems(problems.len()))
    }
}

fn sentence(problem: &Problem) -> String {
    match problem.conversation {
        Some(key) => format!("conversation {}: {}", key.0, problem.text),
        None => problem.text.clone(),
    }
}

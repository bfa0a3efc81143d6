//! The layers of settings and their order: flags, then the environment, then the file, then
//! defaults. Each value is checked by itself, so that all problems are told at once and each says
//! where it stands.

use super::file::{File, Place};
use super::setting::Setting;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag(String),
    /// A variable.
    Env(String),
    /// A line of the file.
    File(Place),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Env(name) => f.write_str(name),
            Self::File(place) => place.fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Something that keeps the settings from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; `None` for what several settings do together.
    pub source: Option<Source>,
    /// What is wrong, and what is accepted.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// The variables of the process, or those of a test.
pub type Environment = BTreeMap<String, String>;

/// What the layers say together.
#[derive(Debug)]
pub(super) struct Layers {
    /// For clap, without the environment.
    pub(super) args: Vec<OsString>,
    /// By the id of the setting, for those that are set.
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) problems: Vec<Problem>,
    /// What looks like a slip in the environment.
    pub(super) warnings: Vec<String>,
}

/// The definition without its environment: that layer is ours.
pub(super) fn bare(command: Command) -> Command {
    command.mut_args(|arg| arg.env(None::<&str>))
}

pub(super) fn settings(command: &Command) -> Vec<Setting> {
    command.get_arguments().filter_map(Setting::of).collect()
}

/// The value of a setting in one layer.
struct Given {
    text: String,
    source: Source,
}

impl Layers {
    /// Puts the layers over each other. `flags` is what clap made of the command line `args`.
    pub(super) fn gather(
        command: &Command,
        args: Vec<OsString>,
        flags: &ArgMatches,
        environment: &Environment,
    ) -> Self {
        let settings = settings(command);
        let mut layers = Self {
            args,
            sources: BTreeMap::new(),
            problems: Vec::new(),
            warnings: slips(&settings, environment),
        };
        let file = layers.file(flags, environment);
        layers.problems.extend(file.unknown(&settings));
        for setting in &settings {
            if flags.value_source(&setting.id) == Some(ValueSource::CommandLine) {
                let source = Source::Flag(setting.flag.clone());
                layers.sources.insert(setting.id.clone(), source);
                continue;
            }
            let given = match of_environment(setting, environment) {
                Ok(None) => of_file(setting, &file),
                given => given,
            };
            match given {
                Ok(Some(given)) => layers.take(command, setting, given),
                Ok(None) => {}
                Err(problem) => layers.problems.push(problem),
            }
        }
        layers
    }

    /// Takes a value if clap accepts it.
    fn take(&mut self, command: &Command, setting: &Setting, given: Given) {
        let flag = OsString::from(format!("--{}={}", setting.flag, given.text));
        let alone = [OsString::from("agent-messenger"), flag.clone()];
        match bare(command.clone()).try_get_matches_from(alone) {
            Ok(_) => {
                self.args.push(flag);
                self.sources.insert(setting.id.clone(), given.source);
            }
            Err(error) => self.problems.push(Problem {
                source: Some(given.source),
                text: match reason(&error, setting) {
                    text if text.contains("invalid digit") => {
                        format!("expected a whole number, not {:?}", given.text)
                    }
                    text => text,
                },
            }),
        }
    }

    /// The file that a flag or a variable names, or the one beside us, if there is one.
    fn file(&mut self, flags: &ArgMatches, environment: &Environment) -> File {
        let named = flags
            .get_one::<PathBuf>("config")
            .cloned()
            .or_else(|| Some(PathBuf::from(filled(environment, "CONFIG_FILE")?)));
        let path = match named {
            Some(path) => path,
            None if Path::new(super::FILE).exists() => super::FILE.into(),
            None => return File::default(),
        };
        File::read(&path).unwrap_or_else(|problem| {
            self.problems.push(problem);
            File::default()
        })
    }
}

/// The problem of a flag whose value is not accepted; `None` for other errors of the command line.
pub(super) fn refused_flag(error: &clap::Error, settings: &[Setting]) -> Option<Problem> {
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return None;
    }
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = arg.trim_start_matches('-');
    let flag = flag.split([' ', '[', '=']).next().unwrap_or_default();
    let setting = settings.iter().find(|setting| setting.flag == flag)?;
    Some(Problem {
        source: Some(Source::Flag(setting.flag.clone())),
        text: reason(error, setting),
    })
}

/// clap's sentence without its frame: the reason alone.
pub(super) fn reason(error: &clap::Error, setting: &Setting) -> String {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.trim_start_matches("error: ");
    let reason = match first.split_once("]: ").or_else(|| first.split_once(">': ")) {
        Some((_, reason)) => reason,
        None => first,
    };
    if setting.secret {
        // The frame would show the value.
        return reason.split("': ").last().unwrap_or_default().to_owned();
    }
    reason.replace("\n  ", " ").trim().to_owned()
}

/// An empty variable is none: compose files set what is not used to an empty text.
fn filled(environment: &Environment, name: &str) -> Option<String> {
    environment
        .get(name)
        .filter(|text| !text.trim().is_empty())
        .cloned()
}

fn of_environment(setting: &Setting, environment: &Environment) -> Result<Option<Given>, Problem> {
    let value = setting.env.as_ref().and_then(|name| {
        let text = filled(environment, name)?;
        Some((text, Source::Env(name.clone())))
    });
    let file = setting.file_env().and_then(|name| {
        let path = filled(environment, &name)?;
        Some((path, Source::Env(name)))
    });
    one_of(value, file)
}

fn of_file(setting: &Setting, file: &File) -> Result<Option<Given>, Problem> {
    let at = |key: &str| {
        let (text, place) = file.get(&setting.section.table, key)?;
        Some((text, Source::File(place)))
    };
    let path = setting.file_key().and_then(|key| at(&key));
    one_of(at(&setting.key()), path)
}

/// A value, or what stands in the file that is named instead; not both.
fn one_of(
    value: Option<(String, Source)>,
    file: Option<(String, Source)>,
) -> Result<Option<Given>, Problem> {
    match (value, file) {
        (None, None) => Ok(None),
        (Some((text, source)), None) => Ok(Some(Given { text, source })),
        (Some((_, value)), Some((_, source))) => Err(Problem {
            text: format!("{value} says the same thing: leave one out"),
            source: Some(source),
        }),
        (None, Some((path, source))) => match std::fs::read_to_string(&path) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                Ok(Some(Given { text, source }))
            }
            Err(error) => Err(Problem {
                source: Some(source),
                text: format!("cannot read {path}: {error}"),
            }),
        },
    }
}

/// Variables that are nearly the name of a setting.
fn slips(settings: &[Setting], environment: &Environment) -> Vec<String> {
    let known: Vec<String> = settings
        .iter()
        .flat_map(|setting| [setting.env.clone(), setting.file_env()])
        .flatten()
        .chain(["CONFIG_FILE".to_owned()])
        .collect();
    environment
        .keys()
        .filter(|name| !known.contains(name))
        .filter_map(|name| {
            let near = nearest(name, &known, 0)?;
            Some(format!("{name} is not a setting: {near} is"))
        })
        .collect()
}

/// The known name that differs from `name` by a slip of the keys, if there is one. In the
/// environment, which is not ours, short names that differ are other names.
pub(super) fn nearest<'a>(
    name: &str,
    known: &'a [String],
    fewest_slips: usize,
) -> Option<&'a String> {
    known
        .iter()
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= fewest_slips.max(other.len() / 5))
        .min()
        .map(|(_, other)| other)
}

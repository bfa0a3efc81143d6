//! The settings for people: what is in force and why, and the reference of all of them.

use super::Config;
use super::layers::Source;
use super::setting::{Section, Setting};
use clap::ArgMatches;
use std::fmt::Write;

/// The settings in force as a file that would set them, each with where it comes from. Secrets are
/// not shown.
pub(super) fn in_force(settings: &[Setting], matches: &ArgMatches, config: &Config) -> String {
    let mut text = String::new();
    for section in sections(settings) {
        let _ = writeln!(text, "[{}]", section.table);
        for setting in settings.iter().filter(|s| &s.section == section) {
            let source = config.sources.get(&setting.id).unwrap_or(&Source::Default);
            let value = matches.get_raw(&setting.id).map(|values| {
                let all: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                all.join(",")
            });
            let _ = match value {
                Some(_) if setting.secret => {
                    writeln!(text, "{} = \"***\" # {source}", setting.key())
                }
                Some(value) => writeln!(text, "{} = {} # {source}", setting.key(), toml(&value)),
                None => writeln!(text, "# {} is not set", setting.key()),
            };
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn sections(settings: &[Setting]) -> Vec<&Section> {
    let mut all: Vec<&Section> = Vec::new();
    for setting in settings {
        if !all.contains(&&setting.section) {
            all.push(&setting.section);
        }
    }
    all
}

fn toml(value: &str) -> String {
    toml_edit::Value::from(value).to_string().trim().to_owned()
}

const HEAD: &str = "# Settings

Every setting has a flag, a variable and a key in the file; a flag wins over the environment, the environment over the
file, the file over the default. None is required: without any the server runs on SQLite and makes its own secrets.

- The **file** is TOML: `--config FILE` or `CONFIG_FILE`, else `agent-messenger.toml` in the working directory. The
  sections below are its tables.
- A **secret** may stand in a file of its own: `JWT_SECRET_FILE=/run/secrets/jwt` in the environment, or
  `jwt_secret_file` in the settings file. Its last line end does not count.
- An **empty** variable is one that is not set. A variable that is nearly a setting's name is warned about at the start;
  a key in the file that no setting has is an error.
- `agent-messenger check-config` looks at all of it and tells every problem with its line;
  `agent-messenger --print-config` shows what is in force and where it comes from, without secrets.
- Durations are written `30s`, `5m`, `1h30m`, `14d`; sizes `65536`, `64KB`, `10MB` (powers of 1024); switches `true` or
  `false`; lists with commas, or as a list in the file.

This page is made from the code.
";

/// The reference of all settings, as Markdown.
pub(super) fn reference(settings: &[Setting]) -> String {
    let mut text = HEAD.to_owned();
    for section in sections(settings) {
        let _ = write!(
            text,
            "\n## {}: `[{}]`\n\n| key | flag | variable | default | meaning |\n|---|---|---|---|---|\n",
            section.heading, section.table
        );
        for setting in settings.iter().filter(|s| &s.section == section) {
            let default = match setting.default.as_deref() {
                None => String::new(),
                Some("") => "empty".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let _ = writeln!(
                text,
                "| `{}` | `--{}` | {} | {default} | {} |",
                setting.key(),
                setting.flag,
                variable(setting),
                meaning(setting)
            );
        }
    }
    text
}

fn variable(setting: &Setting) -> String {
    let name = setting.env.as_ref();
    let name = name.map_or(String::new(), |name| format!("`{name}`"));
    match setting.file_env() {
        Some(file) => format!("{name}, `{file}`"),
        None => name,
    }
}

fn meaning(setting: &Setting) -> String {
    let help = setting.help.replace('\n', " ").replace('|', "\\|");
    let help = help.trim();
    if setting.choices.is_empty() {
        return help.to_owned();
    }
    let choices: Vec<String> = setting.choices.iter().map(|c| format!("`{c}`")).collect();
    format!("{} One of {}.", end(help), choices.join(", "))
}

fn end(help: &str) -> String {
    if help.ends_with(['.', ']', ')']) {
        help.to_owned()
    } else {
        format!("{help}.")
    }
}

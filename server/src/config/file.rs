//! The settings file: TOML, one table for each section, a key for each flag. Every value knows its
//! line.

use super::layers::{Problem, Source, nearest};
use super::setting::Setting;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml_edit::{Document, Item, Value};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// One value of the file.
#[derive(Debug)]
struct Entry {
    table: String,
    key: String,
    /// What a flag would be given; `None` for what no setting can be.
    text: Option<String>,
    place: Place,
}

/// What a file says; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct File(Vec<Entry>);

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let at = |line: usize| {
            let path = path.to_path_buf();
            Some(Source::File(Place { path, line }))
        };
        let text = std::fs::read_to_string(path).map_err(|error| Problem {
            source: None,
            text: format!("cannot read {}: {error}", path.display()),
        })?;
        let document = Document::parse(text.as_str()).map_err(|error| Problem {
            source: at(error.span().map_or(1, |span| line_of(&text, &span))),
            text: error.message().trim().to_owned(),
        })?;
        let mut entries = Vec::new();
        for (table, item) in document.iter() {
            let place = |span: Option<Range<usize>>| Place {
                path: path.to_path_buf(),
                line: span.map_or(1, |span| line_of(&text, &span)),
            };
            let Some(keys) = item.as_table_like() else {
                entries.push(Entry {
                    table: String::new(),
                    key: table.to_owned(),
                    text: item.as_value().and_then(text_of),
                    place: place(item.span()),
                });
                continue;
            };
            for (key, value) in keys.iter() {
                entries.push(Entry {
                    table: table.to_owned(),
                    key: key.to_owned(),
                    text: value.as_value().and_then(text_of),
                    place: place(value.span().or_else(|| key_span(item, key))),
                });
            }
        }
        Ok(Self(entries))
    }

    /// The text of a key and where it stands.
    pub(super) fn get(&self, table: &str, key: &str) -> Option<(String, Place)> {
        let entry = self.0.iter().find(|e| e.table == table && e.key == key)?;
        Some((entry.text.clone()?, entry.place.clone()))
    }

    /// Keys that no setting has, and values that none can take.
    pub(super) fn unknown(&self, settings: &[Setting]) -> Vec<Problem> {
        self.0
            .iter()
            .filter_map(|entry| entry.problem(settings))
            .collect()
    }
}

impl Entry {
    fn problem(&self, settings: &[Setting]) -> Option<Problem> {
        let names = |setting: &Setting| [Some(setting.key()), setting.file_key()];
        let known = settings
            .iter()
            .filter(|setting| setting.section.table == self.table)
            .any(|setting| names(setting).contains(&Some(self.key.clone())));
        let text = if known {
            if self.text.is_some() {
                return None;
            }
            format!("{} takes a text, a number, true or false", self.key)
        } else {
            self.unknown(settings)
        };
        Some(Problem {
            source: Some(Source::File(self.place.clone())),
            text,
        })
    }

    fn unknown(&self, settings: &[Setting]) -> String {
        let tables: Vec<String> = settings.iter().map(|s| s.section.table.clone()).collect();
        if let Some(meant) = nearest(&self.table, &tables, 1).filter(|name| **name != self.table) {
            return format!(
                "there is no section [{}]: did you mean [{meant}]?",
                self.table
            );
        }
        if let Some(elsewhere) = settings.iter().find(|setting| setting.key() == self.key) {
            return format!("{} belongs into [{}]", self.key, elsewhere.section.table);
        }
        if !tables.contains(&self.table) {
            return format!("there is no section [{}]", self.table);
        }
        let keys: Vec<String> = settings
            .iter()
            .filter(|setting| setting.section.table == self.table)
            .flat_map(|setting| [Some(setting.key()), setting.file_key()])
            .flatten()
            .collect();
        let meant = nearest(&self.key, &keys, 1);
        let meant = meant.map_or(String::new(), |name| format!(": did you mean {name}?"));
        format!("[{}] has no setting {}{meant}", self.table, self.key)
    }
}

fn key_span(item: &Item, key: &str) -> Option<Range<usize>> {
    item.as_table()?.key(key)?.span()
}

/// Lists are what a flag takes with commas.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(switch) => Some(switch.value().to_string()),
        Value::Array(list) => {
            let all: Option<Vec<String>> = list.iter().map(text_of).collect();
            all.map(|all| all.join(","))
        }
        Value::Datetime(_) | Value::InlineTable(_) => None,
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or_default();
    before.matches('\n').count() + 1
}

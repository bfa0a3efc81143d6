//! What is known of one setting, read from the definition that clap has of its flag: the name in
//! each layer, the default, the help. Nothing here is written down twice.

use clap::Arg;

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// clap's name of the flag.
    pub id: String,
    /// `jwt-secret`.
    pub flag: String,
    /// `JWT_SECRET`.
    pub env: Option<String>,
    /// The table in the file, and the heading of the help.
    pub section: Section,
    /// Not to be shown.
    pub secret: bool,
    /// What counts where nothing is set.
    pub default: Option<String>,
    /// Accepted words, where there is a list.
    pub choices: Vec<String>,
    /// What it is for.
    pub help: String,
}

/// A group of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `Accounts and secrets`.
    pub heading: String,
    /// `accounts`.
    pub table: String,
}

impl Setting {
    /// What clap knows of a flag; `None` for what is no setting (help, version, check).
    pub(super) fn of(arg: &Arg) -> Option<Self> {
        let heading = arg.get_help_heading()?.to_owned();
        let table = heading.split(' ').next().unwrap_or_default();
        let default: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        Some(Self {
            id: arg.get_id().to_string(),
            flag: arg.get_long()?.to_owned(),
            env: arg.get_env().map(|env| env.to_string_lossy().into_owned()),
            section: Section {
                table: table.to_lowercase(),
                heading,
            },
            secret: arg.is_hide_env_values_set(),
            default: (!default.is_empty()).then(|| default.join(",")),
            choices: arg
                .get_possible_values()
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| value.get_name().to_owned())
                .collect(),
            help: help_of(arg),
        })
    }

    /// Its name in the file.
    pub fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// The name in the file under which a secret's own file is named.
    pub(super) fn file_key(&self) -> Option<String> {
        self.secret.then(|| format!("{}_file", self.key()))
    }

    /// The variable that names a secret's own file.
    pub(super) fn file_env(&self) -> Option<String> {
        let env = self.env.as_ref().filter(|_| self.secret)?;
        Some(format!("{env}_FILE"))
    }
}

fn help_of(arg: &Arg) -> String {
    arg.get_long_help()
        .or_else(|| arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default()
}

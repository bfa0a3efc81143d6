//! Who may come in.

use super::value;
use clap::{Args, ValueEnum};
use secrecy::SecretString;
use std::time::Duration;

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Registration {
    /// Everyone.
    Open,
    /// Who comes from this machine or its private network; others need an invite.
    Local,
    /// Who has an invite.
    Closed,
}

/// What an agent shows to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AgentAuth {
    /// The shared secret, or the agent's own token.
    Shared,
    /// The same, but an agent that once used its token no longer opens with the secret.
    Bound,
    /// The agent's own token only.
    Token,
}

/// Who may come in.
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// Key that signs users' tokens [default: made at the first start, in the data folder].
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_parser = value::secret)]
    pub jwt_secret: Option<SecretString>,
    /// Secret with which agents register [default: made at the first start and printed once].
    #[arg(long, env = "AGENT_SECRET", hide_env_values = true, value_parser = value::secret)]
    pub agent_secret: Option<SecretString>,
    /// Secret of the administration routes [default: made at the first start].
    #[arg(long, env = "ADMIN_SECRET", hide_env_values = true, value_parser = value::secret)]
    pub admin_secret: Option<SecretString>,
    /// Who may make an account [default: local; closed when a public URL is set].
    #[arg(long = "registration", env = "REGISTRATION")]
    pub registration_setting: Option<Registration>,
    /// How the world reaches this server, for example <https://am.example.org>. Setting it closes
    /// registration unless that is set too.
    #[arg(long, env = "PUBLIC_URL", value_parser = value::web_address)]
    pub public_url: Option<String>,
    /// What an agent shows to come in.
    #[arg(long, env = "AGENT_AUTH", default_value = "shared")]
    pub agent_auth: AgentAuth,
    /// How long a user stays signed in.
    #[arg(long, env = "JWT_TTL", default_value = "30d", value_parser = value::duration)]
    pub jwt_ttl: Duration,
}

impl AuthSettings {
    /// Who may make an account.
    pub fn registration(&self) -> Registration {
        let by_url = if self.public_url.is_some() {
            Registration::Closed
        } else {
            Registration::Local
        };
        self.registration_setting.unwrap_or(by_url)
    }
}

//! What agents may do, and how they are watched.

use super::value;
use crate::node::Heartbeat;
use clap::Args;
use std::time::Duration;

/// What agents may do, and how they are watched.
#[derive(Debug, Clone, Args)]
pub struct AgentSettings {
    /// End the socket of an agent that shows no sign of life. Any frame or pong is one.
    #[arg(long = "agent-heartbeat-enabled", env = "AGENT_HEARTBEAT_ENABLED", default_value_t = false,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub heartbeat_enabled: bool,
    /// How often agents are told to send a heartbeat.
    #[arg(long = "agent-heartbeat-interval", env = "AGENT_HEARTBEAT_INTERVAL", default_value = "30s", value_parser = value::duration)]
    pub heartbeat_interval: Duration,
    /// When a silent agent counts as gone; at least twice the interval.
    #[arg(long = "agent-heartbeat-timeout", env = "AGENT_HEARTBEAT_TIMEOUT", default_value = "90s", value_parser = value::duration)]
    pub heartbeat_timeout: Duration,
    /// Let an agent open the first conversation with a user.
    #[arg(long = "agents-may-start", env = "AGENTS_MAY_START", default_value_t = false,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub may_start: bool,
    /// Let everyone list the agents, without signing in.
    #[arg(long = "public-agents", env = "PUBLIC_AGENTS", default_value_t = false,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub public: bool,
}

impl AgentSettings {
    /// How signs of life are watched.
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            enabled: self.heartbeat_enabled,
            interval: self.heartbeat_interval,
            timeout: self.heartbeat_timeout.max(self.heartbeat_interval * 2),
        }
    }
}

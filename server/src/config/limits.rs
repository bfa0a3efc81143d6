//! How much is too much.

use super::value;
use crate::limits::Enforcement;
use clap::Args;

/// How much is too much.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Failed and successful sign-ins and registrations of one address in a minute.
    #[arg(long, env = "AUTH_RATE_LIMIT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub auth_rate_limit: u32,
    /// Longest WebSocket message.
    #[arg(long, env = "MAX_WS_MESSAGE_SIZE", default_value = "65536", value_parser = value::bytes)]
    pub max_ws_message_size: u64,
    /// Live sockets of one address.
    #[arg(long, env = "MAX_SOCKETS_PER_ADDRESS", default_value_t = 500)]
    pub max_sockets_per_address: usize,
    /// Live sockets in all.
    #[arg(long, env = "MAX_SOCKETS", default_value_t = 100_000)]
    pub max_sockets: usize,
    /// Lift every rate and every cap per address (tests and benchmarks only).
    #[arg(
        long,
        env = "RATE_LIMIT_DISABLED",
        default_value = "0",
        value_parser = switch,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "1"
    )]
    pub rate_limit_disabled: bool,
}

impl LimitSettings {
    /// Whether rates are kept.
    pub const fn enforcement(&self) -> Enforcement {
        if self.rate_limit_disabled {
            Enforcement::Lifted
        } else {
            Enforcement::On
        }
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" | "" => Ok(false),
        _ => Err("expected 1 or 0".to_owned()),
    }
}

//! What the server says on standard output when it starts, outside the logger: where it is, the
//! agent secret the first time, and the set-up link until there is an owner.

use crate::application::Application;
use anyhow::Context;
use secrecy::ExposeSecret;
use std::io::Write;

/// Prints the lines.
pub async fn print(application: &Application) -> anyhow::Result<()> {
    let node = application.node();
    let url = node.config.auth.public_url.clone().unwrap_or_else(|| {
        let address = application.address();
        let host = if address.ip().is_unspecified() {
            "localhost".to_owned()
        } else {
            address.ip().to_string()
        };
        let scheme = if application.speaks_tls() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{host}:{}", address.port())
    });
    let has_owner = node
        .store
        .read(store::user::any_owner)
        .await
        .context("reading the accounts")?;
    let mut lines = vec![format!("Agent Messenger listens on {url}")];
    if let Some(admin) = application.admin_address() {
        lines.push(format!("Metrics: http://{admin}/metrics"));
    }
    if node.config.limits.rate_limit_disabled {
        tracing::warn!("RATE_LIMIT_DISABLED: every rate and every cap per address is lifted");
    }
    if application.secrets().agent_is_new {
        let secret = application.secrets().agent.expose_secret();
        lines.push(format!(
            "Agent secret (shown once, kept in agent.secret in the data folder): {secret}"
        ));
    }
    if !has_owner {
        let token = node.auth.setup_token().expose_secret();
        lines.push(format!(
            "Set-up token (register with setup_token to become the owner): {token}"
        ));
    }
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").context("standard output")?;
    }
    out.flush().context("standard output")
}
